"""Clusters and single features on screen: deep links, filters, what is missing, and stores that cannot be drawn."""

from __future__ import annotations

from html import escape

import pytest
from run_variants import write_silent_run
from synthetic_run import write_synthetic_run
from visits import CONTEXT, TINY, checked, damage, html, opened, sentences, turned, visitor

from results import words
from storage import open_run


@pytest.fixture(scope="module")
def full(tmp_path_factory) -> str:
    url = str(tmp_path_factory.mktemp("full") / "store")
    write_synthetic_run(url, n_latents=60, n_documents=100, n_untrained=0)
    return url


@pytest.fixture(scope="module")
def run(full):
    return open_run(None, full)


@pytest.fixture
def at_full(full, monkeypatch):
    return visitor(full, monkeypatch)


def ids(at) -> list[str]:
    return list(at.session_state["clusters_table_ids"])


def widget(at, kind: str, key: str):
    return next(w for w in at.get(kind) if w.key == key)


def links(at) -> list[str]:
    return [link.proto.label.replace("\\", "") for link in at.get("page_link")]


def test_clusters_come_complete_and_cohesive_first(run, at_full):
    clusters = run.table("clusters")
    at = turned(at_full, "clusters")
    table = clusters[clusters["n_models"] > 1].sort_values(
        ["n_models", "completeness", "cohesion"], ascending=False, kind="stable"
    )
    shown = ids(at)
    assert shown[: len(table)] == table["cluster"].astype(str).tolist()
    assert len(shown) == len(clusters)
    (frame,) = [f.value for f in at.dataframe if "cohesion" in f.value.columns]
    alone = frame["models"] == "1 of 3"
    assert frame.loc[alone, ["cohesion", "completeness"]].isna().all(axis=None)
    assert not frame.loc[~alone, "cohesion"].isna().any()


def test_filters_of_clusters_keep_exactly_what_they_say(run, at_full):
    clusters, features = run.table("clusters"), run.table("features")
    level, domain = clusters["level"].mode()[0], features["top_domain"].mode()[0]
    of_domain = features.loc[features["top_domain"] == domain, "cluster"].dropna()
    expected = {
        "reach": (["2 of 3"], clusters["n_models"] == 2),
        "kind": (["universal"], clusters["class"] == "universal"),
        "depth": ([level], clusters["level"] == level),
        "about": ([domain], clusters["cluster"].isin(of_domain)),
        "lacking": (["m1"], ~clusters["members"].str.contains("m1:")),
    }
    at = turned(at_full, "clusters")
    for key, (value, keep) in expected.items():
        checked(widget(at, "multiselect", key).set_value(value).run())
        assert sorted(ids(at)) == sorted(clusters.loc[keep, "cluster"].astype(str)), key
        assert 0 < keep.sum() < len(clusters), key
        checked(widget(at, "multiselect", key).set_value([]).run())


def test_search_finds_the_cluster_of_a_feature(run, at_full):
    member = run.table("clusters").set_index("cluster")["members"].str.split(";")
    cluster = member.index[-1]
    at = turned(at_full, "clusters")
    checked(at.text_input(key="member").set_value(member[cluster][0]).run())
    assert ids(at) == [str(cluster)]
    checked(at.text_input(key="member").set_value("no such text anywhere").run())
    assert "No cluster passes these filters" in sentences(at)


def test_a_cluster_shows_members_absence_and_consensus(run, at_full):
    clusters = run.table("clusters")
    row = clusters[clusters["class"] == "shared"].iloc[0]
    members = row["members"].split(";")
    (missing,) = {"m0", "m1", "m2"} - {name.split(":")[0] for name in members}
    verdicts = run.table("verdicts").query("other_model == @missing")
    verdicts = verdicts[(verdicts["model"] + ":" + verdicts["latent"].astype(str)).isin(members)]
    about = {name for names in verdicts["about"].dropna() for name in names.split(";")}
    at = turned(at_full, "clusters", cluster=str(row["cluster"]))
    shown = html(at)
    assert not at.error
    assert not at.info
    assert about
    for member, verdict in zip(members, verdicts["verdict"], strict=True):
        assert f"no partner for {member}" in shown
        assert verdict.replace("_", " ") in shown
    assert f"{missing} absent" in shown
    assert f'<div class="uv-value">{row["cohesion"]:.2f}</div>' in shown
    assert shown.count(CONTEXT) > 4
    assert set(members) <= set(links(at))
    assert {name for name in about if name.startswith(f"{missing}:")} <= set(links(at))


def test_a_cluster_that_the_filters_hide_is_shown_with_a_remark(run, at_full):
    clusters = run.table("clusters")
    cluster = str(clusters.loc[clusters["class"] == "universal", "cluster"].iloc[0])
    at = turned(at_full, "clusters", cluster=cluster)
    assert "hidden by the filters" not in sentences(at)
    checked(widget(at, "multiselect", "kind").set_value(["specific"]).run())
    assert "hidden by the filters" in sentences(at)
    assert at.query_params["cluster"] in (cluster, [cluster])
    assert f"Cluster {cluster}" in html(at)


def test_next_cluster_follows_the_current_order(at_full):
    at = turned(at_full, "clusters")
    at.selectbox(key="ranked").set_value("Least cohesive").run()
    order = ids(at)
    at.query_params["cluster"] = order[2]
    checked(at.run())
    checked(at.button(key="cluster_next").click().run())
    assert at.query_params["cluster"] in (order[3], [order[3]])


def test_several_members_of_one_model_are_all_listed(tmp_path, monkeypatch):
    from dashboards import data

    run = write_synthetic_run(str(tmp_path), n_latents=60, n_documents=60, n_untrained=0)
    features = run.table("features")
    cluster = int(run.table("clusters").query("`class` == 'shared'")["cluster"].iloc[0])
    member = features[features["cluster"] == cluster].iloc[0]
    other = features[(features["model"] == member["model"]) & (features["class"] == "specific")].iloc[0]
    real = data.View.table

    def table(view, name):
        frame = real(view, name)
        if name != "features":
            return frame
        moved = (frame["model"] == other["model"]) & (frame["latent"] == other["latent"])
        return frame.assign(cluster=frame["cluster"].mask(moved, cluster))

    monkeypatch.setattr(data.View, "table", table)
    at = opened(str(tmp_path), monkeypatch, "clusters", cluster=str(cluster))
    pieces = {f"{row['model']}:{row['latent']}" for row in (member, other)}
    assert pieces <= set(links(at))
    assert all(html(at).count(f">{piece}</span>") for piece in pieces)


def test_a_link_to_no_cluster_is_a_sentence(at_full):
    for cluster in ("99999", "-1", "x", "<img src=x>", "9" * 40, "²"):
        assert "There is no cluster" in sentences(turned(at_full, "clusters", cluster=cluster)), cluster


def _with_status(run, status: str) -> str:
    row = run.table("features").query("status == @status").iloc[0]
    return f"{row['model']}:{row['latent']}"


def test_a_feature_shows_all_that_is_known(run, at_full):
    row = run.table("features").query("`class` == 'universal'").iloc[0]
    at = turned(at_full, "feature", feature=f"{row['model']}:{row['latent']}")
    assert not at.error
    assert not at.info
    shown = html(at)
    assert shown.count(CONTEXT) > 4
    assert f"level: {row['level']}" in shown
    assert "held-out r to its partner" in shown
    assert f"Cluster {row['cluster']}" in links(at)
    (near,) = [f.value for f in at.dataframe if {"kind", "rate"} <= set(f.value.columns)]
    assert near["id"].str.startswith(f"{row['model']}:").all()
    assert near["r"].is_monotonic_decreasing
    assert f"{row['model']}:{row['latent']}" not in near["id"].tolist()
    assert [f for f in at.dataframe if "auroc" in f.value.columns]


def test_a_specific_feature_says_why(run, at_full):
    row = run.table("features").query("`class` == 'specific' and status == 'alive'").iloc[0]
    at = turned(at_full, "feature", feature=f"{row['model']}:{row['latent']}")
    reasons = run.table("verdicts").query("model == @row.model and latent == @row.latent")
    assert len(reasons) == 2
    for verdict in reasons["verdict"]:
        assert escape(words.VERDICTS[verdict]) in html(at)


def test_an_untested_level_says_why_here_and_blames_no_missing_labels(run, at_full):
    rows = run.table("features").query("`class` == 'specific' and status == 'alive' and level == 'untested'")
    at = turned(at_full, "feature", feature=f"{rows.iloc[0]['model']}:{rows.iloc[0]['latent']}")
    assert "it has no partner in another model" in html(at)
    assert "labels" not in html(at).partition("level: untested")[0].rpartition("<span")[2]


def test_dead_and_rare_latents_say_so(run, at_full):
    at = turned(at_full, "feature", feature=_with_status(run, "dead"))
    assert "Dead: it never fires" in sentences(at)
    assert CONTEXT not in html(at)
    at = turned(at, "feature", feature=_with_status(run, "rare"))
    assert "Rare: it fires too seldom" in sentences(at)
    assert CONTEXT in html(at)
    assert not at.error


def test_the_box_the_buttons_and_the_tables_lead_to_features(run, at_full):
    at = turned(at_full, "feature", feature="m0:3")
    for typed, expected in (("m1:7", "m1:7"), ("12", "m1:12"), (" m2:0 ", "m2:0")):
        checked(at.text_input(key="go_to").set_value(typed).run())
        assert at.query_params["feature"] in (expected, [expected])
    assert at.button(key="latent_previous").disabled
    checked(at.button(key="latent_next").click().run())
    assert at.query_params["feature"] in ("m2:1", ["m2:1"])
    checked(at.button(key="feature_random").click().run())
    assert CONTEXT in html(at)


def test_the_box_reads_whatever_is_printed_and_lists_what_it_finds(run, at_full):
    at = turned(at_full, "feature")
    checked(at.text_input(key="go_to").set_value("7").run())
    assert at.query_params["feature"] in ("m0:7", ["m0:7"])
    checked(at.text_input(key="go_to").set_value("m1/3").run())
    assert at.query_params["feature"] in ("m1:3", ["m1:3"])
    at = turned(at, "feature", feature="m1/4")  # copied from the terminal
    checked(at.button(key="latent_next").click().run())
    assert at.query_params["feature"] in ("m1:5", ["m1:5"])
    features = run.table("features")
    domain = str(features["top_domain"].mode()[0])
    expected = features[features["top_domain"] == domain]
    checked(at.text_input(key="go_to").set_value(domain.upper()).run())
    assert "feature" not in at.query_params
    assert f"Found: {len(expected)} features, domain {domain}" in sentences(at).replace("\\", "")
    listed = at.session_state["sought_features_ids"]
    assert set(listed) >= set(expected["model"] + ":" + expected["latent"].astype(str))
    checked(at.text_input(key="go_to").set_value("no such text anywhere").run())
    assert "No feature, cluster, domain or label is called so" in sentences(at)


@pytest.mark.parametrize(("page", "key"), [("pairs", "find"), ("clusters", "member"), ("specific", "seek")])
def test_lists_are_searched_by_domain_and_say_what_was_found(run, at_full, page, key):
    features = run.table("features").query("status == 'alive'")
    domain = str(features["top_domain"].mode()[0])
    expected = features[features["top_domain"] == domain]
    names = set(expected["model"] + ":" + expected["latent"].astype(str))
    at = turned(at_full, page)
    checked(at.text_input(key=key).set_value(domain.title()).run())
    assert f"domain {domain}" in sentences(at).replace("\\", "")
    listed = at.session_state[f"{page}_table_ids"]
    if page == "pairs":
        pairs = run.table("pairs")
        sides = [set(pairs[f"model_{s}"] + ":" + pairs[f"latent_{s}"].astype(str)) & names for s in "ab"]
        assert set.union(*sides) <= {side for pair in listed for side in pair.split("-")}
    elif page == "clusters":
        assert set(expected["cluster"].astype(str)) <= set(listed)
    else:
        alone = expected[expected["class"] == "specific"]
        assert set(alone["model"] + ":" + alone["latent"].astype(str)) <= set(listed)
    checked(at.text_input(key=key).set_value(f"{expected['model'].iloc[0]}/{expected['latent'].iloc[0]}").run())
    assert "1 feature, by name" in sentences(at)


def test_the_graph_is_searched_and_narrowed_to_what_a_model_lacks(run, at_full):
    clusters = run.table("clusters").query("n_models > 1")
    member = clusters["members"].iloc[0].split(";")[0]
    at = turned(at_full, "graph")
    checked(at.text_input(key="node").set_value(member.replace(":", "/")).run())
    assert f"**1** of {len(clusters)} clusters" in sentences(at)
    checked(at.text_input(key="node").set_value("").run())
    checked(widget(at, "multiselect", "absent").set_value(["m1"]).run())
    lacking = (~clusters["members"].str.contains("m1:")).sum()
    assert 0 < lacking < len(clusters)
    assert f"**{lacking}** of {len(clusters)} clusters" in sentences(at)


def test_a_link_to_no_feature_says_what_a_feature_is(at_full):
    for feature in ("m0:999999", "m9:1", "<img src=x>", "m0:" + "9" * 30, "m0"):
        said = sentences(turned(at_full, "feature", feature=feature))
        assert "There is no feature" in said, feature
        assert "m0:12" in said
    assert "only serves as a control" in sentences(turned(at_full, "feature", feature="m0r:1"))


def test_a_run_without_candidates_says_which_command_computes_them(full, run, monkeypatch):
    from dashboards import data

    real = data.View.optional
    monkeypatch.setattr(data.View, "optional", lambda v, name: None if name == "candidates" else real(v, name))
    row = run.table("features").query("`class` == 'shared'").iloc[0]
    at = opened(full, monkeypatch, "feature", feature=f"{row['model']}:{row['latent']}")
    assert "made by an earlier version" in sentences(at)
    assert any("universality run synthetic" in code.value for code in at.code)
    assert "Why not in the other models" in sentences(at)  # the verdicts name what they are about themselves
    assert not at.error


def test_a_run_in_which_nothing_fires_is_a_sentence(tmp_path, monkeypatch):
    write_silent_run(str(tmp_path))
    at = opened(str(tmp_path), monkeypatch, "clusters")
    assert "there is no cluster" in sentences(at)
    at = turned(at, "feature", feature="m0:1")
    assert "Dead: it never fires" in sentences(at)
    assert at.button(key="feature_random").disabled


@pytest.mark.parametrize(
    ("steps", "told"),
    [(("comparison",), "is damaged"), (("latents",), "is damaged"), (("tokens",), "is damaged")],
)
def test_damage_is_told_on_both_pages(tmp_path, steps, told, monkeypatch):
    run = write_synthetic_run(str(tmp_path), **TINY)
    cluster = str(run.table("clusters")["cluster"].iloc[0])
    feature = run.table("clusters")["members"].iloc[0].split(";")[0]
    damage(str(tmp_path), *steps)
    for page, params in (("clusters", {"cluster": cluster}), ("feature", {"feature": feature})):
        at = opened(str(tmp_path), monkeypatch, page, **params)
        assert told in sentences(at), page
        assert CONTEXT not in html(at), page


def test_an_unfinished_run_says_that_steps_are_missing(tmp_path, monkeypatch):
    run = write_synthetic_run(str(tmp_path), unfinished=("evidence",), **TINY)
    row = run.table("clusters").iloc[0]
    at = opened(str(tmp_path), monkeypatch, "clusters", cluster=str(row["cluster"]))
    assert not at.error
    assert "no finished step of this run has made it" in sentences(at)
    at = turned(at, "feature", feature=row["members"].split(";")[0])
    assert not at.error
    assert "no finished step of this run has made it" in sentences(at)
