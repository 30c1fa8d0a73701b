"""Every screen over full, tiny, unfinished, empty and damaged stores: a sentence instead of an exception."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from html import escape
from pathlib import Path
from urllib.parse import unquote

import pandas as pd
import pyarrow as pa
import pytest
from streamlit.testing.v1 import AppTest
from synthetic_run import write_synthetic_run
from visits import APP, CONTEXT, TINY, checked, damage, html, opened, sentences, turned, visitor

from dashboards.components.links import literal
from pipelines.cli.status import status_document
from results.conclusions import TABLES, conclusions
from results.pair_lists import find_pair
from results.pair_verdict import pair_verdict
from results.stored_comparison import StoredComparison
from storage import open_run, open_store

PAGES = ["overview", "pairs", "clusters", "specific", "feature", "lens", "map", "graph", "runs"]


@pytest.fixture(scope="module")
def full(tmp_path_factory) -> str:
    url = str(tmp_path_factory.mktemp("full") / "store")
    write_synthetic_run(url, n_latents=60, n_documents=100, comparisons=("main", "late"))
    return url


@pytest.fixture(scope="module")
def tiny(tmp_path_factory) -> str:
    url = str(tmp_path_factory.mktemp("tiny") / "store")
    write_synthetic_run(url, **TINY)
    return url


@pytest.fixture
def at_full(full, monkeypatch) -> AppTest:
    return visitor(full, monkeypatch)


def tour(at: AppTest, **params: dict[str, str]):
    """Every page after each other, with the parameters given for it."""
    yield "overview", at
    for page in PAGES[1:]:
        yield page, turned(at, page, **params.get(page, {}))


def test_overview_tells_the_headline_of_the_tables(full, at_full):
    at = checked(at_full.run())
    headline = open_run(None, full).table("headline")
    headline = headline[(headline["pair"] == "overall") & (headline["comparison_id"] == "main")]
    expected = headline.set_index("quantity")["value"]["features"]
    assert at.metric[0].label == "Features"
    assert float(at.metric[0].value) == pytest.approx(expected, abs=0.005)
    run = open_run(None, full)
    made = [name for name in TABLES if name in run.tables()]
    tables = {name: run.table(name).query("comparison_id == 'main'") for name in made}
    first, *others = conclusions(tables)
    assert f"<b>{escape(first)}</b>" in html(at)
    assert all(escape(sentence) in html(at) for sentence in others)


def test_the_comparison_in_the_address_is_the_one_shown(full, monkeypatch):
    at = opened(full, monkeypatch, "pairs", comparison="late")
    pairs = open_run(None, full).table("pairs")
    assert f"**{(pairs['comparison_id'] == 'late').sum():,}** of" in sentences(at)


def _best_pair(url: str):
    pairs = open_run(None, url).table("pairs")
    pairs = pairs[(pairs["comparison_id"] == "main") & (pairs["r_held_out"] < 0.99)]
    return pairs.loc[pairs["r_held_out"].idxmax()]


def _id(row) -> str:
    return f"{row['model_a']}:{row['latent_a']}-{row['model_b']}:{row['latent_b']}"


def test_a_link_to_a_pair_shows_its_evidence(full, at_full):
    row = _best_pair(full)
    at = turned(at_full, "pairs", pair=_id(row))
    shown = html(at)
    assert f'<div class="uv-value">{row["r_held_out"]:.2f}</div>' in shown
    assert f"level: {row['level']}" in shown
    assert shown.count(CONTEXT) > 4
    assert "hidden by the filters" not in sentences(at)


def test_a_link_to_a_pair_that_the_filters_hide_says_so_and_shows_it(full, at_full):
    row = _best_pair(full)
    at = turned(at_full, "pairs", pair=_id(row))
    low = at.slider(key="r").set_value((-1.0, 0.1)).run()
    assert not low.exception
    assert "hidden by the filters" in sentences(low)
    assert f'<div class="uv-value">{row["r_held_out"]:.2f}</div>' in html(low)


def test_a_filter_never_moves_the_selection_to_another_pair(full, at_full):
    at = turned(at_full, "pairs")
    ids = list(at.session_state["pairs_table_ids"])
    pair = ids[len(ids) // 2]
    at.query_params["pair"] = pair
    at.run()
    at.selectbox(key="order").set_value("Weakest (held-out r)").run()
    for couple in (
        at.selectbox(key="models").options[0],
        "-".join(part.split(":")[0] for part in pair.split("-")),
    ):
        checked(at.selectbox(key="models").set_value(couple).run())
        assert at.query_params["pair"] == pair
        (position,) = at.session_state["pairs_table"]["selection"]["rows"]
        assert position > 0
        assert at.session_state["pairs_table_ids"][position] == pair


def test_next_and_previous_follow_the_order_of_the_table(full, at_full):
    at = turned(at_full, "pairs")
    ids = list(at.session_state["pairs_table_ids"])
    at.query_params["pair"] = ids[3]
    at.run()
    at.button(key="pair_next").click().run()
    assert at.query_params["pair"] == ids[4]
    at.button(key="pair_previous").click().run()
    assert at.query_params["pair"] == ids[3]


def test_a_pair_is_decided_before_its_evidence_and_named_by_its_models(full, at_full):
    row = _best_pair(full)
    at = turned(at_full, "pairs", pair=_id(row))
    parts = [at.markdown[i].value for i in range(len(at.markdown))]
    assert [p for p in parts if p.startswith("##### ")] == [
        f"##### {name}" for name in ("Activation", "Text", "What they do", "Alternatives", "Provenance")
    ]
    shown, names = html(at), _id(row).split("-")
    stored = StoredComparison(open_run(None, full), "main")
    pair = find_pair(stored, _id(row))
    assert pair is not None
    said = pair_verdict(stored, pair)
    assert shown.index(escape(said.sentence)) < shown.index("held-out r</div>")
    assert all(escape(one.sentence) in shown for one in said.reasons)
    options = at.segmented_control(key="pair_contexts").options
    assert options[:2] == [f"Top of {literal(name)}" for name in names]
    assert options[3:5] == [f"Only {literal(name)}" for name in names]
    assert not re.search(r"\b(of|only|margin of) [AB]\b", shown)


def test_the_sides_of_a_pair_may_be_named_in_either_order(full, at_full):
    a, b = _id(_best_pair(full)).split("-")
    assert CONTEXT in html(turned(at_full, "pairs", pair=f"{b}-{a}"))


def test_a_link_to_no_pair_is_a_sentence(at_full):
    for pair in ("m0:999999-m1:0", "nonsense", "m0:1-m9:1", "<script>-x:1", "m0:-1-m1:2"):
        assert "There is no pair" in sentences(turned(at_full, "pairs", pair=pair)), pair


def test_every_choice_of_contexts_is_drawn(full, at_full):
    at = turned(at_full, "pairs", pair=_id(_best_pair(full)))
    for choice in ("top_b", "both", "a_only", "b_only", "quantiles", "random"):
        checked(at.segmented_control(key="pair_contexts").set_value(choice).run())
        assert not at.error, choice
        assert CONTEXT in html(at) or "No such row." in sentences(at), choice


def test_search_finds_a_latent_by_number_and_by_text(full, at_full):
    row = _best_pair(full)
    at = turned(at_full, "pairs")
    at.text_input(key="find").set_value(f"{row['model_a']}:{row['latent_a']}").run()
    ids = at.session_state["pairs_table_ids"]
    assert _id(row) in ids
    assert all(f"{row['model_a']}:{row['latent_a']}" in i.split("-") for i in ids)
    for text in ("9" * 30, "²", ".*", "m0:" + "9" * 30):
        checked(at.text_input(key="find").set_value(text).run())
    at.text_input(key="find").set_value("no such text anywhere").run()
    assert "No pair passes these filters" in sentences(at)


def test_search_by_text_finds_the_features_that_peak_on_it(full, at_full):
    run, row = open_run(None, full), _best_pair(full)
    contexts = run.sql(
        f"select row from contexts where comparison_id = 'main' and kind = 'top' and model = '{row['model_a']}' "
        f"and latent = {row['latent_a']} order by rank limit 1"
    )
    tokens = run.artifact("tokens")
    context, position = (tokens.array(f"row_{name}")[int(contexts["row"][0])] for name in ("context", "position"))
    vocabulary = run.table("vocabulary").set_index("token")["bytes"]
    beside = tokens.array("eval_contexts")[context, position - 1 : position + 2]
    text = b"".join(bytes.fromhex(vocabulary[int(token)]) for token in beside if token).decode("utf-8", "ignore")
    at = turned(at_full, "pairs")
    checked(at.text_input(key="find").set_value(f'"{text}"').run())
    assert _id(row) in at.session_state["pairs_table_ids"]


def test_filters_keep_exactly_what_they_say(full, at_full):
    run = open_run(None, full)
    pairs = run.table("pairs").query("comparison_id == 'main'")
    classes = run.table("features").query("comparison_id == 'main'").set_index(["model", "latent"])["class"]
    sides = [[classes[m, n] for m, n in zip(pairs[f"model_{s}"], pairs[f"latent_{s}"], strict=True)] for s in "ab"]
    level = pairs["level"].mode()[0]
    couple = pairs["model_a"].iloc[0], pairs["model_b"].iloc[0]
    expected = {
        "r": pairs["r_held_out"].between(0.3, 0.8),
        "chance": pairs["q"] < 0.05,
        "level": pairs["level"] == level,
        "class": [("universal" in both) for both in zip(*sides, strict=True)],
        "models": (pairs["model_a"] == couple[0]) & (pairs["model_b"] == couple[1]),
    }
    at = turned(at_full, "pairs")
    settings = {
        "r": ((0.3, 0.8), (-1.0, 1.0)),
        "chance": ("Beyond chance", "Any"),
        "level": ([level], []),
        "class": (["universal"], []),
        "models": ("-".join(couple), "All pairs of models"),
    }

    def set_to(key: str, value: object) -> None:
        widgets = [*at.slider, *at.selectbox, *at.multiselect]
        checked(next(widget for widget in widgets if widget.key == key).set_value(value).run())

    for key, keep in expected.items():
        set_to(key, settings[key][0])
        rows = pairs[list(keep) if isinstance(keep, list) else keep]
        assert sorted(at.session_state["pairs_table_ids"]) == sorted(_id(row) for _, row in rows.iterrows()), key
        assert 0 < len(rows) < len(pairs), key
        set_to(key, settings[key][1])


def test_a_domain_leads_to_its_pair(full, at_full):
    (example,) = checked(at_full.run()).get("page_link")
    at_full.session_state["domains_table"] = {"selection": {"rows": [0], "columns": [], "cells": []}}
    checked(at_full.run())
    first, link = at_full.get("page_link")
    assert first.proto.label == example.proto.label
    pair = link.proto.label.replace("\\", "").removeprefix("Open ")
    shown = turned(at_full, "pairs", pair=pair)
    assert CONTEXT in html(shown)


def test_the_overview_leads_to_the_pair_that_the_terminal_names(full, at_full):
    (link,) = checked(at_full.run()).get("page_link")
    pair = link.proto.label.replace("\\", "").removeprefix("Open ")
    one, other = pair.replace(":", "/").split("-")
    assert f"Look at {one} and {other}" in html(at_full)
    pairs = open_run(None, full).table("pairs").query("comparison_id == 'main' and edge and not few_sources")
    best = pairs.loc[pairs["r_token"].idxmax()]
    assert one == f"{best['model_a']}/{best['latent_a']}"
    assert CONTEXT in html(turned(at_full, "pairs", pair=pair))


def test_a_specific_feature_shows_its_verdicts_and_text(full, at_full, monkeypatch):
    features = open_run(None, full).table("features")
    features = features[(features["comparison_id"] == "main") & (features["class"] == "specific")]
    row = features[features["status"] == "alive"].iloc[0]
    at = turned(at_full, "specific", feature=f"{row['model']}:{row['latent']}")
    assert not at.error
    assert CONTEXT in html(at)
    rows = open_run(None, full).table("verdicts").query("comparison_id == 'main'")
    rows = rows[(rows["model"] == row["model"]) & (rows["latent"] == row["latent"])]
    about = [name for names in rows["about"].dropna() for name in names.split(";")]
    assert {name for name in about if "r:" not in name} <= {
        link.proto.label.replace("\\", "") for link in at.get("page_link")
    }
    offered = at.selectbox(key=f"beside_{row['model']}_{row['latent']}").options
    assert {option.partition(" ")[0] for option in offered} >= set(about)
    others = {name.partition(":")[0] for name in about if "r:" not in name}
    for other in others:  # the list narrowed to what a model lacks, its own latent is drawn first
        there = opened(full, monkeypatch, "specific", feature=f"{row['model']}:{row['latent']}", missing=other)
        assert there.selectbox(key=f"beside_{row['model']}_{row['latent']}").options[0].startswith(f"{other}:")
    at.segmented_control(key="feature_contexts").set_value("random").run()
    assert not at.exception


def test_a_link_to_no_feature_is_a_sentence(at_full):
    for feature in ("m0:999999", "m9:1", "<img src=x>", "m0:" + "9" * 30):
        assert "There is no feature" in sentences(turned(at_full, "specific", feature=feature)), feature


def _chart(at: AppTest) -> dict:
    (chart,) = at.get("echarts_chart")
    return json.loads(chart.proto.spec)


def _points(at: AppTest) -> pd.DataFrame:
    """The points of the map that are sent to the browser."""
    (chart,) = at.get("echarts_chart")
    return pd.concat([pa.ipc.open_stream(part.data.data).read_pandas() for part in chart.proto.datasets])


def _axes(at: AppTest) -> list[dict]:
    return [_chart(at)[axis] for axis in ("xAxis", "yAxis")]


def _links(at: AppTest) -> list[str]:
    return [f"{link.proto.page}?{link.proto.query_string}" for link in at.get("page_link")]


def test_the_map_has_every_alive_feature_and_filters_keep_what_they_say(full, at_full):
    features = open_run(None, full).table("features").query("comparison_id == 'main' and status == 'alive'")
    features = features.assign(id=features["model"] + ":" + features["latent"].astype(str))
    at = turned(at_full, "map")
    assert sorted(_points(at)["id"]) == sorted(features["id"])
    axes, (pale, names, _) = _axes(at), _chart(at)["series"][-3:]
    assert pale["data"] == []
    assert {name["name"] for name in names["data"]} & set(features["top_domain"])
    checked(at.multiselect(key="model").set_value(["m1"]).run())
    checked(at.multiselect(key="class").set_value(["universal"]).run())
    kept = features[(features["model"] == "m1") & (features["class"] == "universal")]
    assert 0 < len(kept) < len(features)
    assert sorted(_points(at)["id"]) == sorted(kept["id"])
    assert f"**{len(kept):,}** of {len(features):,} features" in sentences(at)
    pale, still_named, _ = _chart(at)["series"][-3:]
    assert len(pale["data"]) == len(features) - len(kept), "what fails the filters stays where it is, faded"
    assert (_axes(at), still_named) == (axes, names)
    checked(at.toggle(key="names").set_value(False).run())
    assert _chart(at)["series"][-2]["data"] == []
    checked(at.text_input(key="near").set_value("no such text anywhere").run())
    assert "No feature passes these filters" in sentences(at)
    assert not at.get("echarts_chart")


def test_the_map_has_every_colouring_with_its_legend(full, at_full):
    at = turned(at_full, "map")
    everything = len(_points(at))
    for by in ("Level", "Model", "Domain", "Firing rate", "Class"):
        checked(at.segmented_control(key="colour").set_value(by).run())
        legend = next(part for part in reversed(at.get("html")) if '"uv-legend"' in part.proto.body).proto.body
        assert sum(int(n.replace(",", "")) for n in re.findall(r"\(([\d,]+)\)", legend)) == everything, by


def test_a_link_to_a_feature_of_the_map_leads_on_to_its_pair(full, at_full):
    row = _best_pair(full)
    feature = f"{row['model_a']}:{row['latent_a']}"
    at = turned(at_full, "map", feature=feature)
    (ring,) = _chart(at)["series"][-1]["data"]
    here = _points(at).set_index("id").loc[feature]
    assert ring == pytest.approx([here["x"], here["y"]])
    assert any(feature in link and link.startswith("pairs?pair=") for link in map(unquote, _links(at)))
    assert any(link.startswith("graph?cluster=") for link in _links(at))
    assert "hides it" not in sentences(at)
    other = next(model for model in ("m0", "m1", "m2") if not feature.startswith(model))
    checked(at.multiselect(key="model").set_value([other]).run())
    assert "hides it" in sentences(at)
    assert f"{feature}</span>" in html(at)


def test_a_link_to_no_place_is_a_sentence(full, at_full):
    for feature in ("m0:999999", "m9:1", "<img src=x>", "m0:" + "9" * 30):
        assert "There is no feature" in sentences(turned(at_full, "map", feature=feature)), feature
    features = open_run(None, full).table("features")
    row = features[features["status"] != "alive"].iloc[0]
    at = turned(at_full, "map", feature=f"{row['model']}:{row['latent']}")
    assert "has no place on the map" in sentences(at)
    for cluster in ("999999", "-1", "<b>", "9" * 30):
        assert "There is no cluster" in sentences(turned(at_full, "graph", cluster=cluster))


def test_the_graph_has_every_cluster_of_two_models_and_filters_keep_what_they_say(full, at_full):
    run = open_run(None, full)
    clusters = run.table("clusters").query("comparison_id == 'main' and n_models > 1")
    links = run.table("cluster_links").query("comparison_id == 'main'")
    at = turned(at_full, "graph")
    graph, *_ = _chart(at)["series"]
    assert len(graph["data"]) == len(clusters)
    assert len(graph["links"]) == (links["r"] >= 0.5).sum()
    checked(at.slider(key="link").set_value(0.8).run())
    assert len(_chart(at)["series"][0]["links"]) == (links["r"] >= 0.8).sum() < (links["r"] >= 0.5).sum()
    settings = {
        "class": (["shared"], clusters["class"] == "shared"),
        "reach": (["3"], clusters["n_models"] == 3),
        "model": (
            ["m0", "m1"],
            clusters["members"].str.contains("m0:") & clusters["members"].str.contains("m1:"),
        ),
    }
    for key, (value, keep) in settings.items():
        checked(at.multiselect(key=key).set_value(value).run())
        assert len(_chart(at)["series"][0]["data"]) == keep.sum(), key
        assert 0 < keep.sum() < len(clusters), key
        checked(at.multiselect(key=key).set_value([]).run())


def test_a_link_to_a_cluster_shows_it_and_leads_to_its_members(full, at_full):
    cluster = open_run(None, full).table("clusters").query("comparison_id == 'main' and n_models > 1").iloc[0]
    at = turned(at_full, "graph", cluster=str(cluster["cluster"]))
    assert f"Cluster {cluster['cluster']}</span>" in html(at)
    assert len(_chart(at)["series"][-1]["data"]) == 1
    wanted = {f"map?feature={member}" for member in cluster["members"].split(";")}
    assert wanted <= set(map(unquote, _links(at)))


def test_the_graph_of_features_can_be_downloaded(full):
    from dashboards.data import get_view
    from results.map_points import graph_file

    run = open_run(None, full)
    view = get_view(full, run)
    n_alive = (view.table("features")["status"] == "alive").sum()
    assert graph_file(view, "graphml").count(b"<node ") == n_alive
    assert len(json.loads(graph_file(view, "json"))["nodes"]) == n_alive


def test_a_run_without_positions_says_which_command_makes_them(tmp_path, monkeypatch):
    write_synthetic_run(str(tmp_path), "old", unfinished=("layout",), **TINY)
    at = visitor(str(tmp_path), monkeypatch)
    for page in ("map", "graph"):
        turned(at, page)
        assert "has no positions" in sentences(at), page
        assert any(f"--name old --store {tmp_path}" in code.value for code in at.code), page
        assert not at.get("echarts_chart")


@pytest.mark.parametrize("url", ["nonsense://somewhere", "s3://", "/dev/null/x"])
def test_a_store_that_cannot_be_opened_is_a_sentence(url, monkeypatch):
    at = opened(url, monkeypatch)
    assert "cannot be opened" in sentences(at) or "holds no run yet" in sentences(at)


@pytest.mark.parametrize("unfinished", [("",), ("comparison", "evidence"), ("evidence",)])
def test_an_unfinished_run_shows_what_there_is(tmp_path, unfinished, monkeypatch):
    write_synthetic_run(str(tmp_path), unfinished=unfinished, **TINY)
    pair = _id(_best_pair(str(tmp_path))) if unfinished == ("evidence",) else "m0:1-m1:1"
    for page, at in tour(opened(str(tmp_path), monkeypatch), pairs={"pair": pair}):
        assert not at.error, page
        if page == "runs":
            assert "Partly done" in sentences(at)
        elif page == "pairs" or unfinished != ("evidence",):
            assert any(words in sentences(at) for words in ("has not finished", "no finished step")), page
            assert len(at.info) <= 3, page


@pytest.mark.parametrize("steps", [("comparison",), ("evidence", "latents"), ("tokens", "tokenizer"), ("layout",)])
def test_damage_is_told_and_never_drawn(tmp_path, steps, monkeypatch):
    write_synthetic_run(str(tmp_path), **TINY)
    pair = _id(_best_pair(str(tmp_path)))
    damage(str(tmp_path), *steps)
    told = ""
    params = {"pairs": {"pair": pair}, "specific": {"feature": pair.split("-")[0]}}
    for page, at in tour(opened(str(tmp_path), monkeypatch), **params):
        told += sentences(at)
        assert CONTEXT not in html(at) or steps == ("layout",), page
        assert not at.get("echarts_chart") or steps not in (("comparison",), ("layout",)), page
        assert not (at.metric and steps == ("comparison",)), page
    assert "is damaged" in told
    assert "universality verify" in told


def test_a_damaged_manifest_and_a_damaged_record_are_told(tmp_path, monkeypatch):
    run = write_synthetic_run(str(tmp_path), "good", **TINY)
    write_synthetic_run(str(tmp_path), "bad", root_seed=1, **TINY)
    (tmp_path / "runs" / "bad" / "run.json").write_text("{ cut")
    manifest = next((tmp_path / "artifacts" / run.record["nodes"]["comparison/main"]["key"]).rglob("manifest.json"))
    manifest.chmod(0o644)
    manifest.write_text("{ cut")
    at = opened(str(tmp_path), monkeypatch)
    assert "is damaged" in sentences(at)
    assert at.selectbox(key="run").options == ["good"]
    turned(at, "runs")
    assert "Some runs cannot be read" in sentences(at)
    assert "bad" in [code.value for code in at.code]


def test_a_running_run_shows_its_progress_and_command(tmp_path, monkeypatch):
    run = open_store(str(tmp_path)).create_run(
        "live",
        recipe_name="quickstart",
        recipe={},
        nodes={"corpus": {"step": "corpus", "key": "0" * 32}, "tokens": {"step": "tokens", "key": "1" * 32}},
    )
    with run.lock():
        run.update(status="running", nodes={**run.record["nodes"]})
        run.append_event({"event": "run_started"})
        run.append_event({"event": "started", "node": "tokens"})
        run.append_event({"event": "progress", "node": "tokens", "done": 1, "total": 4})
        at = opened(str(tmp_path), monkeypatch, "runs")
        running = [frame.value for frame in at.dataframe if "share" in frame.value.columns]
        assert running[0]["share"].tolist() == [25.0]
    assert any(f"universality run quickstart --name live --store {tmp_path}" in code.value for code in at.code)
    at = opened(str(tmp_path), monkeypatch, "runs")
    assert "Interrupted" in sentences(at)


def test_the_runs_screen_and_status_tell_the_same_progress(tmp_path, monkeypatch):
    nodes = {name: {"step": "corpus", "key": digit * 32} for name, digit in (("a", "0"), ("b", "1"), ("c", "2"))}
    run = open_store(str(tmp_path)).create_run("live", recipe_name="quickstart", recipe={}, nodes=nodes)
    with run.lock():
        run.update(status="running")
        run.append_event({"event": "run_started", "todo": {"a": 20.0, "b": 50.0, "c": 30.0}})
        run.append_event({"event": "done", "node": "a"})
        run.append_event({"event": "failed", "node": "b", "error": "no"})
        run.append_event({"event": "skipped", "node": "c", "because": "b"})
        (bar,) = opened(str(tmp_path), monkeypatch, "runs").get("progress")
        assert bar.proto.value == 100 * status_document(run, time.time())["fraction"] == 20


def test_the_window_writes_nothing_into_the_store(tiny, monkeypatch):
    def state() -> dict[Path, int]:
        return {path: path.stat().st_mtime_ns for path in Path(tiny).rglob("*")}

    before = state()
    assert len(list(tour(opened(tiny, monkeypatch)))) == len(PAGES)
    assert state() == before


def test_no_screen_imports_torch(tiny):
    code = f"""
import sys
sys.argv = ["app.py", "--store", {tiny!r}]
from streamlit.testing.v1 import AppTest
at = AppTest.from_file({str(APP)!r}, default_timeout=60).run()
for page in {PAGES[1:]!r}:
    at.switch_page(f"app_pages/{{page}}.py").run()
    assert not at.exception
pair = at.switch_page("app_pages/pairs.py").run().session_state["pairs_table_ids"][0]
at.query_params["pair"] = pair
at.run()
heavy = [name for name in ("torch", "transformer_lens", "dask", "distributed", "numba") if name in sys.modules]
assert not heavy, heavy
assert not any(name.split(".")[0] == "pipelines" for name in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
