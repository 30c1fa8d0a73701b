"""One search: what a text finds in a synthetic run, by every name that is printed of it."""

from __future__ import annotations

import pytest
from synthetic_run import write_synthetic_run

from results.feature_lists import find_feature
from results.ids import feature_ids, plain_id
from results.pair_lists import PairFilter, find_pair, listed_pairs
from results.search import features_matching, found_by
from results.stored_comparison import StoredComparison


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> StoredComparison:
    run = write_synthetic_run(
        str(tmp_path_factory.mktemp("store")), n_models=2, n_latents=40, n_documents=40, n_ctx=32, n_untrained=0
    )
    return StoredComparison(run, "main")


@pytest.mark.parametrize(
    ("printed", "plain"),
    [
        ("m0/75", "m0:75"), ("m0:75", "m0:75"), ("m0s1/7", "m0s1:7"), ("m0/12-m1/7", "m0:12-m1:7"),
        ("m0:12-m1:7", "m0:12-m1:7"), ("3.14", "3.14"), ("a/b", "a/b"), ("Arabic", "Arabic"),
    ],
)  # fmt: skip
def test_ids_are_read_as_terminal_and_graph_files_write_them(printed: str, plain: str) -> None:
    assert plain_id(printed) == plain


def test_features_pairs_clusters_and_numbers_are_found_by_name(stored: StoredComparison) -> None:
    for text in ("m0:7", "m0/7", " m0/7 "):
        assert found_by(stored, text) == {"by name": ["m0:7"]}
    assert found_by(stored, "m0/7-m1:3") == {"by name": ["m0:7", "m1:3"]}
    assert found_by(stored, "7") == {"latent 7": ["m0:7", "m1:7"]}
    features = stored.table("features")
    cluster = int(features["cluster"].dropna().iloc[0])
    members = feature_ids(features[features["cluster"] == cluster]).tolist()
    assert found_by(stored, f"Cluster {cluster}") == {f"cluster {cluster}": members}
    row = find_feature(stored, "m0/7")
    assert row is not None
    assert (row["model"], row["latent"]) == ("m0", 7)


def test_a_domain_is_found_by_its_name_or_a_word_of_it_whatever_the_case(stored: StoredComparison) -> None:
    features = stored.table("features")
    domain = str(features["top_domain"].mode()[0])
    expected = feature_ids(features[features["top_domain"] == domain]).tolist()
    for text in (domain, domain.upper(), f" {domain.replace('_', ' ').title()} "):
        assert found_by(stored, text)[f"domain {domain}"] == expected
        assert set(expected) <= set(features_matching(stored, text))
    assert f"domain {domain}" not in found_by(stored, domain[:-1])
    assert not any(what.startswith("domain") for what in found_by(stored, f'"{domain}"'))


def test_a_label_finds_the_latents_that_tell_it_best(stored: StoredComparison) -> None:
    probes = stored.table("probes").query("kind == 'matched' and model_a in ['m0', 'm1']")
    label = str(probes["label"].iloc[0])
    best = probes[probes["label"] == label].drop_duplicates("model_a")
    for text in (label, label.replace("_", " ")):
        assert found_by(stored, text)[f"best at {label.replace('_', ' ')}"] == feature_ids(best, "a").tolist()


def test_text_is_found_where_contexts_peak_and_nothing_is_nothing(stored: StoredComparison) -> None:
    top = stored.top_rows().iloc[0]
    window = stored.text.window(int(top["row"]), 0, 0)
    typed = "".join(window.tokens)
    assert f"{top['model']}:{top['latent']}" in features_matching(stored, f'"{typed}"')
    for text in ("no such text anywhere", "m7:3", "m0:" + "9" * 30, "cluster 999999", "", "²", "_"):
        assert "by name" not in found_by(stored, text)
    assert found_by(stored, "no such text anywhere") == {}


def test_a_pair_s_name_finds_that_pair_alone(stored: StoredComparison) -> None:
    pairs = listed_pairs(stored)
    pair = str(pairs["id"].iloc[0])
    for text in (pair, pair.replace(":", "/"), "-".join(reversed(pair.split("-")))):
        assert PairFilter(search=text).rows(pairs, stored, 0.05)["id"].tolist() == [pair]
    assert find_pair(stored, pair.replace(":", "/")) is not None
