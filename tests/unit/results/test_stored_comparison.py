"""One comparison of one run, whoever reads it; and who may spell the names of its nodes."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from synthetic_run import write_synthetic_run

from results import stored_comparison
from results.model_sources import Source, model_sources
from results.older_runs import as_of_now
from results.stored_comparison import StoredComparison, comparisons_of, dictionary_node, latents_node
from storage import ArtifactMissing, TableMissing, open_store

ROOT = Path(__file__).resolve().parents[3]
SMALL = {"n_models": 2, "n_latents": 60, "n_documents": 30, "n_ctx": 32, "n_untrained": 0}
STEPS = (
    "transformer|activations|sae|latents|similarity|null|matching|coordinates|spaces|comparison|layout|evidence|sweep|"
    "sweep_sae|sweep_quality|quality"
)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    url = str(tmp_path_factory.mktemp("store"))
    return write_synthetic_run(url, comparisons=("first", "second"), **SMALL)


@pytest.fixture(scope="module")
def stored(run):
    return StoredComparison(run, "second")


def test_tables_hold_this_comparison_only_and_are_read_once(run, stored):
    whole, table = run.table("pairs"), stored.table("pairs")
    assert 0 < len(table) == (whole["comparison_id"] == "second").sum() < len(whole)
    assert "comparison_id" not in table
    assert stored.table("pairs") is table
    assert stored.optional("no_such_table") is None
    with pytest.raises(TableMissing):
        stored.table("no_such_table")


def test_settings_and_models_are_those_of_the_recipe(run, stored):
    assert stored.name == run.name
    assert (stored.tau, stored.alpha) == (run.record["recipe"]["compare"]["tau"], stored.settings["alpha"])
    assert StoredComparison(run, "first", {}).tau == 0.5
    assert stored.models() == ["m0", "m1"]
    assert stored.models("replicate") == ["m0r", "m1r"]
    assert stored.status == "done"


def test_latents_fire_where_their_rows_say(stored):
    by_column, by_row = stored.acts("m1"), stored.acts_by_row("m1")
    assert (by_column != by_row.tocsc()).nnz == 0
    latent = int(np.diff(by_column.indptr).argmax())
    firing = stored.firing("m1", latent)
    assert firing.n_rows == stored.text.n_rows == len(stored.score_rows)
    assert np.array_equal(firing.at(np.arange(firing.n_rows)), by_row[:, [latent]].toarray()[:, 0])
    with pytest.raises(LookupError):
        stored.firing("m1", 10_000)


@pytest.mark.parametrize("most_rows", [0, 1_000_000])
def test_evidence_of_a_latent_is_the_same_from_memory_and_from_the_file(run, monkeypatch, most_rows):
    monkeypatch.setattr(stored_comparison, "MAX_ROWS_IN_MEMORY", most_rows)
    contexts = run.artifact(dictionary_node("evidence", "first", "m0")).table("contexts")
    latent = int(contexts["latent"].iloc[-1])
    rows = StoredComparison(run, "first").of_latent("contexts", "m0", np.int64(latent))
    assert rows["row"].tolist() == contexts.loc[contexts["latent"] == latent, "row"].tolist()


def test_strongest_rows_are_those_of_all_models(run, stored):
    top = stored.top_rows()
    contexts = run.table("contexts").query("comparison_id == 'second' and kind == 'top'")
    assert len(top) == len(contexts)
    assert set(top["model"]) == {"m0", "m1"}


def test_the_graph_has_the_alive_features(stored):
    assert stored.has_graph()
    assert stored.graph().number_of_nodes() == (stored.table("features")["status"] == "alive").sum()


def test_a_dictionary_finds_the_transformer_of_its_model(tmp_path):
    store = open_store(str(tmp_path))
    with store.create("1" * 32, step="transformer", version=1, params={}, inputs={}) as out:
        out.json("pretrained", {"name": "gpt2"})
    with store.create("2" * 32, step="latents", version=1, params={}, inputs={"transformer": "1" * 32}) as out:
        out.table("models", pd.DataFrame({"model": ["m0s3"], "role": "primary"}))
    nodes = {latents_node("main", "m0s3"): {"step": "latents", "key": "2" * 32, "status": "done"}}
    run = store.create_run("seeds", recipe_name="seeds", recipe={}, nodes=nodes)
    stored = StoredComparison(run, "main")
    stored.memory = {
        StoredComparison.table.__wrapped__: lambda name: pd.DataFrame({"model": ["m0s3"], "role": "primary"})
    }
    assert model_sources(stored) == [
        Source("m0s3", "the folder gpt2", "m0s3 was read from the folder gpt2, which is not here any more.")
    ]


def test_what_has_not_been_computed_is_said(tmp_path):
    run = write_synthetic_run(str(tmp_path), unfinished=("evidence", "comparison"), **SMALL)
    stored = StoredComparison(run, "main")
    assert stored.status == "planned"
    with pytest.raises(TableMissing):
        stored.top_rows()
    with pytest.raises(ArtifactMissing):
        stored.of_latent("contexts", "m0", 0)


def test_comparisons_come_in_the_order_of_the_recipe():
    nodes = {"tokens": {}, "latents/late/m0": {}, "comparison/main": {}}
    assert comparisons_of({"recipe": {"comparisons": [{"id": "main"}]}, "nodes": nodes}) == ["main", "late"]
    assert comparisons_of({}) == ["main"]


def _spelled(path: Path) -> list[str]:
    """Places where a file puts together or spells the id of a node."""
    texts = [node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if _starts_as_id(node)]
    return [f"{path.relative_to(ROOT)}:{node.lineno}" for node in texts]


def _starts_as_id(node: ast.AST) -> bool:
    match node:
        case ast.JoinedStr(values=[ast.Constant(value=str(start)), *_]):
            return re.match(rf"({STEPS})/", start) is not None
        case ast.JoinedStr(values=[ast.FormattedValue(value=ast.Name(id="step")), ast.Constant(value=str(after)), *_]):
            return after.startswith("/")
        case ast.Constant(value=str(text)):
            return re.fullmatch(rf"({STEPS})/\w*(/\w+(-\w+)?)?", text) is not None
        case ast.Call(func=ast.Attribute(attr="artifact"), args=[ast.Constant(value=str())]):
            return True
    return False


def test_only_one_file_spells_the_names_of_nodes():
    product = [path for room in ("results", "pipelines", "dashboards", "tools") for path in (ROOT / room).rglob("*.py")]
    spelled = {path.relative_to(ROOT).as_posix(): _spelled(path) for path in product}
    own = spelled.pop("results/stored_comparison.py")
    assert len(own) >= 8, "the search must see what it looks for"
    assert not [place for places in spelled.values() for place in places]


def test_tables_of_runs_of_before_get_the_columns_that_readers_ask_for() -> None:
    features = pd.DataFrame({"status": ["alive", "dead"]})
    assert as_of_now("features", features, {})["group"].fillna("").tolist() == ["untested", ""]
    pairs = pd.DataFrame({"q": [0.01, 0.01, 0.2], "r_held_out": [0.7, 0.55, 0.9]})
    record = {"recipe": {"compare": {"tau": 0.6}}}
    assert as_of_now("pairs", pairs, record)["edge"].tolist() == [True, False, False]
    tables = {"features": features.assign(group="missing"), "pairs": pairs.assign(edge=True), "k_of_m": pairs}
    assert all(as_of_now(name, table, record) is table for name, table in tables.items())
