"""Labels by rule on screen: told as text where a feature, a pair or a cluster stands, filtered, and found."""

from __future__ import annotations

from html import escape

import pytest
from synthetic_labels import HOSTILE
from synthetic_run import write_synthetic_run
from visits import checked, html, sentences, turned, visitor

from results import words
from results.ids import feature_ids
from results.label_frames import NO_RULE
from storage import open_run


@pytest.fixture(scope="module")
def full(tmp_path_factory) -> str:
    url = str(tmp_path_factory.mktemp("full") / "store")
    write_synthetic_run(url, n_latents=60, n_documents=100)
    return url


@pytest.fixture(scope="module")
def labels(full):
    table = open_run(None, full).table("labels")
    table = table[table["model"].str.startswith("m")]
    return table.assign(id=feature_ids(table)).set_index("id")


@pytest.fixture
def at_full(full, monkeypatch):
    return visitor(full, monkeypatch)


@pytest.mark.parametrize("token", HOSTILE)
def test_a_feature_has_its_label_score_and_floor_as_plain_text(labels, at_full, token):
    row = labels[labels["label"].str.endswith(token) & labels["explained"]].iloc[0]
    at = turned(at_full, "feature", feature=row.name)
    assert f"<bdi>{escape(row['label'])}</bdi>" in html(at)
    told = f"foretells it at r {words.number(row['r'])} on rows that taught it nothing; untrained models at r "
    assert told + words.number(row["r_untrained"]) in html(at)
    assert "makes likelier: script Greek (8 of 10)" in html(at)
    (rule,) = [frame.value for frame in at.dataframe if "part" in frame.value.columns]
    assert rule["part"].tolist() == [token, token]


def test_what_no_rule_explains_is_told_so(labels, at_full):
    row = labels[~labels["explained"]].iloc[0]
    at = turned(at_full, "feature", feature=row.name)
    assert f"<bdi>{NO_RULE} (nearest: {escape(row['label'])})</bdi>" in html(at)


def test_both_sides_of_a_pair_and_clusters_have_theirs(full, labels, at_full):
    pair = open_run(None, full).table("pairs").query("comparison_id == 'main'").iloc[0]
    sides = [f"{pair[f'model_{side}']}:{pair[f'latent_{side}']}" for side in "ab"]
    at = turned(at_full, "pairs", pair="-".join(sides))
    for side in sides:
        assert f"{escape(labels.loc[side, 'label'])}" in html(at)
    cluster = open_run(None, full).table("cluster_labels").query("n_models == 3").iloc[0]
    at = turned(at_full, "clusters", cluster=str(cluster["cluster"]))
    assert f"holds for {cluster['n_explained']} of 3 models: r {words.number(cluster['r'])} on average" in html(at)


@pytest.mark.parametrize(("page", "chosen"), [("pairs", "one token"), ("specific", NO_RULE), ("clusters", "domain")])
def test_lists_show_labels_and_are_narrowed_to_kinds_of_them(full, labels, at_full, page, chosen):
    at = turned(at_full, page)
    checked(at.multiselect(key="label").set_value([chosen]).run())
    (frame,) = [
        frame.value for frame in at.dataframe if "label" in frame.value.columns and len(frame.value.columns) > 4
    ]
    assert len(frame)
    if page == "clusters":
        assert frame["label"].str.startswith(chosen).all()
        return
    ids = frame["feature"]
    kinds = labels["family"].map(words.LABEL_FAMILIES).where(labels["explained"], NO_RULE)
    assert (kinds.reindex(ids.to_numpy()) == chosen).all()
    assert frame["label"].tolist() == labels["label"].reindex(ids.to_numpy()).tolist()


def test_words_of_labels_are_found(labels, at_full):
    at = turned(at_full, "specific")
    checked(at.text_input(key="seek").set_value("Position").run())
    told = next(text for text in sentences(at).splitlines() if text.startswith("Found"))
    n = int(labels["label"].str.startswith("position").sum())
    assert f"{n} features, label" in told.replace("\\", "")
