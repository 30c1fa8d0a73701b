"""Files for Neuronpedia and SAEDashboard: the columns that these publish, and the run's own numbers in them."""

from __future__ import annotations

import gzip
import json

import numpy as np
import pandas as pd
import pytest
from synthetic_run import write_synthetic_run

from results.evaluation_text import AFTER, BEFORE
from results.interchange import export_run
from results.stored_comparison import StoredComparison
from storage import TableMissing
from universality.errors import InputError

SOURCE = ("it-m0", "0-main-m0")
# Of Neuronpedia's tables: columns without which a row is refused, and the others that it has, with their JSON types.
TEXT, NUMBER, FLAG, TEXTS, NUMBERS = str, (int, float), bool, [str], [(int, float)]
NEURON = (
    {"modelId": TEXT, "layer": TEXT, "index": TEXT},
    {"creatorId": TEXT, "sourceSetName": TEXT, "maxActApprox": NUMBER, "frac_nonzero": NUMBER, "hasVector": FLAG,
     "hookName": TEXT, "neg_str": TEXTS, "neg_values": NUMBERS, "pos_str": TEXTS, "pos_values": NUMBERS,
     "freq_hist_data_bar_heights": NUMBERS, "freq_hist_data_bar_values": NUMBERS},
)  # fmt: skip
ACTIVATION = (
    {"id": TEXT, "modelId": TEXT, "layer": TEXT, "index": TEXT, "tokens": TEXTS, "values": NUMBERS, "maxValue": NUMBER,
     "maxValueTokenIndex": int, "minValue": NUMBER, "creatorId": TEXT},
    {"dataSource": TEXT, "binMin": NUMBER, "binMax": NUMBER, "binContains": NUMBER, "qualifyingTokenIndex": int,
     "dfaValues": NUMBERS, "lossValues": NUMBERS},
)  # fmt: skip
EXPLANATION = (
    {"id": TEXT, "modelId": TEXT, "layer": TEXT, "index": TEXT, "description": TEXT, "authorId": TEXT},
    {"typeName": TEXT, "explanationModelName": TEXT, "scoreV1": NUMBER, "notes": TEXT, "scores": [dict]},
)
MODEL = (
    {"id": TEXT, "instruct": FLAG, "creatorId": TEXT, "owner": TEXT, "updatedAt": TEXT, "layers": int,
     "neuronsPerLayer": int, "displayName": TEXT, "displayNameShort": TEXT},
    {"dimension": int, "createdAt": TEXT, "inferenceEnabled": FLAG, "visibility": TEXT},
)  # fmt: skip
RELEASE = (
    {"name": TEXT, "description": TEXT, "creatorName": TEXT, "creatorId": TEXT},
    {"descriptionShort": TEXT, "createdAt": TEXT, "visibility": TEXT, "urls": TEXTS},
)
SET = (
    {"modelId": TEXT, "name": TEXT, "creatorId": TEXT, "creatorName": TEXT, "description": TEXT},
    {"releaseName": TEXT, "createdAt": TEXT, "type": TEXT, "hasDashboards": FLAG, "visibility": TEXT, "urls": TEXTS},
)
SOURCE_ROW = (
    {"id": TEXT, "modelId": TEXT, "setName": TEXT, "creatorId": TEXT},
    {"dataset": TEXT, "num_prompts": int, "num_tokens_in_prompt": int, "notes": TEXT, "createdAt": TEXT,
     "hasDashboards": FLAG, "inferenceEnabled": FLAG, "visibility": TEXT},
)  # fmt: skip
PER_FEATURE = {"features": NEURON, "activations": ACTIVATION, "explanations": EXPLANATION}
HEADS = {"model": MODEL, "release": RELEASE, "sourceset": SET, "source": SOURCE_ROW}
#: Of SAEDashboard's feature, beside its activations.
DASHBOARD = {
    "feature_index": int, "neuron_alignment_indices": NUMBERS, "neuron_alignment_values": NUMBERS,
    "neuron_alignment_l1": NUMBERS, "correlated_neurons_indices": NUMBERS, "correlated_neurons_l1": NUMBERS,
    "correlated_neurons_pearson": NUMBERS, "correlated_features_indices": NUMBERS, "correlated_features_l1": NUMBERS,
    "correlated_features_pearson": NUMBERS, "neg_str": TEXTS, "neg_values": NUMBERS, "pos_str": TEXTS,
    "pos_values": NUMBERS, "frac_nonzero": NUMBER, "freq_hist_data_bar_values": NUMBERS,
    "freq_hist_data_bar_heights": NUMBERS, "logits_hist_data_bar_heights": NUMBERS,
    "logits_hist_data_bar_values": NUMBERS, "n_prompts_total": int, "n_tokens_in_prompt": int, "dataset": TEXT,
    "activations": [dict], "decoder_weights_dist": NUMBERS,
}  # fmt: skip


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return write_synthetic_run(str(tmp_path_factory.mktemp("store")), "it", 2, 60, n_documents=40, n_ctx=32)


@pytest.fixture(scope="module")
def folder(run, tmp_path_factory):
    out = tmp_path_factory.mktemp("neuronpedia")
    written = export_run(run, ["main"], out, "neuronpedia", creator="someone")
    assert written == [out / "it-m0" / "0-main-m0", out / "it-m1" / "0-main-m1"]
    return out


@pytest.fixture(scope="module")
def stored(run):
    return StoredComparison(run, "main")


def lines(place):
    data = place.read_bytes()
    data = gzip.decompress(data) if place.suffix == ".gz" else data
    return [json.loads(line) for line in data.decode().splitlines()]


def rows_of(folder, name):
    places = sorted((folder.joinpath(*SOURCE) / name).iterdir())
    return [row for place in places for row in lines(place)]


def check(row, required, others):
    assert required.keys() <= row.keys() <= required.keys() | others.keys()
    for name, kind in (required | others).items():
        if isinstance(kind, list):
            assert all(isinstance(each, kind[0]) for each in row[name]), name
        else:
            assert isinstance(row[name], kind), name


def test_rows_have_the_columns_of_their_tables(folder):
    for name, columns in PER_FEATURE.items():
        for row in rows_of(folder, name):
            check(row, *columns)
    for name, columns in HEADS.items():
        (row,) = lines(folder.joinpath(*SOURCE) / f"{name}.jsonl")
        check(row, *columns)
    (source,) = lines(folder.joinpath(*SOURCE) / "source.jsonl")
    assert (source["modelId"], source["id"], source["num_tokens_in_prompt"]) == (*SOURCE, 32)


def test_what_rows_point_at_is_there(folder):
    (model,), (release,), (group,), (source,) = (
        lines(folder.joinpath(*SOURCE) / f"{name}.jsonl") for name in ("model", "release", "sourceset", "source")
    )
    assert (model["id"], source["setName"], group["releaseName"]) == (SOURCE[0], group["name"], release["name"])
    names = {place.stem: {row["name"] for row in lines(place)} for place in (folder / "config").iterdir()}
    features = {row["index"] for row in rows_of(folder, "features")}
    ids = []
    for name in ("activations", "explanations"):
        for row in rows_of(folder, name):
            assert (row["modelId"], row["layer"]) == SOURCE
            assert row["index"] in features
            ids.append(row["id"])
    assert len(set(ids)) == len(ids)
    for row in rows_of(folder, "explanations"):
        assert row["typeName"] in names["explanation_type"]
        assert row["explanationModelName"] in names["explanation_model_type"]
        (score,) = row["scores"]
        assert score["explanationScoreTypeName"] in names["explanation_score_type"]
        assert score["explanationScoreModelName"] in names["explanation_score_model"]
    owners = [row.get("creatorId") or row["authorId"] for name in PER_FEATURE for row in rows_of(folder, name)]
    assert set(owners) == {"someone"}


def test_features_have_the_numbers_of_the_run(folder, stored):
    own = stored.table("features").query("model == 'm0'")
    rows = rows_of(folder, "features")
    assert [row["index"] for row in rows] == [str(latent) for latent in own["latent"]]
    for row, feature in zip(rows, own.to_dict("records"), strict=True):
        latent = int(row["index"])
        assert row["frac_nonzero"] == feature["firing_rate"]
        assert row["maxActApprox"] == pytest.approx(feature["max_activation"], rel=1e-5)
        bins = stored.of_latent("histograms", "m0", latent)
        assert row["freq_hist_data_bar_heights"] == bins["count"].tolist()
        np.testing.assert_allclose(row["freq_hist_data_bar_values"], bins[["left", "right"]].mean(axis=1), rtol=1e-5)
        logits = stored.of_latent("logits", "m0", latent)
        for side, key in (("top", "pos"), ("bottom", "neg")):
            of = logits[logits["side"] == side]
            np.testing.assert_allclose(row[f"{key}_values"], of["value"], rtol=1e-5)
            assert len(row[f"{key}_str"]) == len(of)
    dead = [row for row, status in zip(rows, own["status"], strict=True) if status == "dead"]
    assert dead
    assert all(row["maxActApprox"] == 0 and not row["freq_hist_data_bar_heights"] for row in dead)


def test_contexts_are_the_text_and_the_activations_of_the_run(folder, stored):
    text, acts = stored.text, stored.acts("m0").toarray()
    by_latent = {}
    for row in rows_of(folder, "activations"):
        by_latent.setdefault(int(row["index"]), []).append(row)
    hostile = ""
    for latent, rows in by_latent.items():
        table = stored.of_latent("contexts", "m0", latent).query("kind != 'random'")
        assert len(rows) == len(table)
        for row, place in zip(rows, table.to_dict("records"), strict=True):
            context, position = text.row_context[place["row"]], text.row_position[place["row"]]
            span = slice(max(position - BEFORE, 0), position + AFTER + 1)
            ids, numbers = text.contexts[context][span], text.row_of[context][span]
            raw = b"".join(text.special_text.get(int(i), "").encode() or text.token_bytes[i] for i in ids)
            joined = "".join(row["tokens"])
            assert joined.replace("\ufffd", "") == raw.decode("utf-8", "ignore").replace("\ufffd", "")
            np.testing.assert_allclose(row["values"], np.where(numbers >= 0, acts[numbers, latent], 0), rtol=1e-5)
            assert row["qualifyingTokenIndex"] == min(position, BEFORE)
            assert row["maxValue"] == max(row["values"]) > 0
            assert row["values"][row["maxValueTokenIndex"]] == row["maxValue"]
            hostile += joined
        top = [row for row, kind in zip(rows, table["kind"], strict=True) if kind == "top"]
        assert {(row["binMin"], row["binMax"], row["binContains"]) for row in top} == {(-1, top[0]["maxValue"], -1)}
        for (kind, _), group in table.assign(place=range(len(table))).groupby(["kind", "group"]):
            if kind == "quantile":
                (bounds,) = {(rows[i]["binMin"], rows[i]["binMax"]) for i in group["place"]}
                assert bounds == pytest.approx((group["value"].min(), group["value"].max()), 1e-5)
    assert len(by_latent) > 20
    for text_ in ("<script>alert(1)</script>", '=HYPERLINK("http://example.invalid","x")', "\u202eevil\u202c", "\x00"):
        assert text_ in hostile


def test_explanations_are_the_rules_that_explain(folder, stored):
    labels = stored.table("labels").query("model == 'm0' and explained").set_index("latent")
    rows = {int(row["index"]): row for row in rows_of(folder, "explanations")}
    assert set(rows) == set(labels.index)
    for latent, row in rows.items():
        assert (row["description"], row["scoreV1"]) == (labels.loc[latent, "label"], labels.loc[latent, "r"])
        assert row["scores"][0]["value"] == row["scoreV1"]
        assert json.loads(row["scores"][0]["jsonDetails"])["family"] == labels.loc[latent, "family"]
    assert 0 < len(rows) < (stored.table("features")["model"] == "m0").sum()


def test_saedashboard_says_the_same_in_its_own_words(run, folder, tmp_path):
    written = export_run(run, ["main"], tmp_path, "saedashboard", models=["m0"])
    assert written == [tmp_path / "main" / "m0"]
    features, activations = rows_of(folder, "features"), iter(rows_of(folder, "activations"))
    batches = [json.loads(place.read_text("utf-8")) for place in sorted(written[0].iterdir())]
    assert {(b["model_id"], b["layer"], b["sae_set"]) for b in batches} == {("it-m0", 0, "main-m0")}
    both = [name for name in DASHBOARD if name in NEURON[1]]
    for row, feature in zip((row for b in batches for row in b["features"]), features, strict=True):
        check(row, DASHBOARD, {})
        assert {name: row[name] for name in both} == {name: feature[name] for name in both}
        assert str(row["feature_index"]) == feature["index"]
        for own in row["activations"]:
            other = next(activations)
            assert set(own) == {"bin_min", "bin_max", "bin_contains", "tokens", "values", "qualifying_token_index"}
            assert (own["tokens"], own["values"]) == (other["tokens"], other["values"])
            bins = (other["binMin"], other["binMax"], other["binContains"], other["qualifyingTokenIndex"])
            assert (own["bin_min"], own["bin_max"], own["bin_contains"], own["qualifying_token_index"]) == bins
    assert next(activations, None) is None


def test_the_same_run_gives_the_same_bytes(run, folder, tmp_path):
    export_run(run, ["main"], tmp_path, "neuronpedia", creator="someone")
    contents = [
        {str(p.relative_to(home)): p.read_bytes() for p in home.rglob("*") if p.is_file()}
        for home in (folder, tmp_path)
    ]
    assert contents[0] == contents[1]
    assert not any(".unfinished" in name for name in contents[0])


def test_batches_follow_each_other(run, folder, tmp_path, monkeypatch):
    monkeypatch.setattr("results.neuronpedia.BATCH", 25)
    export_run(run, ["main"], tmp_path, "neuronpedia", models=["m0"], creator="someone")
    places = sorted((tmp_path.joinpath(*SOURCE) / "features").iterdir())
    assert [place.name for place in places] == [f"batch-{n}.jsonl.gz" for n in range(3)]
    assert [len(lines(place)) for place in places] == [25, 25, 10]
    assert rows_of(tmp_path, "activations") == rows_of(folder, "activations")


def test_what_cannot_be_written_is_refused_first(run, folder, tmp_path, monkeypatch):
    with pytest.raises(InputError, match="m0, m1"):
        export_run(run, ["main"], tmp_path, "neuronpedia", models=["m0", "u0"])
    with pytest.raises(InputError, match="remove that first"):
        export_run(run, ["main"], folder, "neuronpedia", models=["m1"])
    table = StoredComparison.table

    def elsewhere(self, name):
        found = table(self, name)
        return found.assign(hook_point="hook_embed") if name == "models" else found

    monkeypatch.setattr(StoredComparison, "table", elsewhere)
    with pytest.raises(InputError, match="hook_embed"):
        export_run(run, ["main"], tmp_path, "saedashboard")
    assert not list(tmp_path.iterdir())


def test_a_run_without_contexts_says_so(run, tmp_path):
    record = {**run.record, "nodes": {n: f for n, f in run.record["nodes"].items() if not n.startswith("evidence/")}}
    cut = run.store.create_run("cut", recipe_name="it", nodes=record["nodes"], recipe=record["recipe"], environment={})
    with pytest.raises(TableMissing, match="gathers contexts"):
        export_run(cut, ["main"], tmp_path, "neuronpedia")


def test_an_interrupted_export_leaves_nothing_under_its_name(run, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("results.neuronpedia._feature", full)
    with pytest.raises(OSError, match="space"):
        export_run(run, ["main"], tmp_path, "neuronpedia")
    assert not [place for place in tmp_path.rglob("*") if place.is_file()]


def test_pandas_reads_them(folder):
    frame = pd.read_json(
        folder.joinpath(*SOURCE) / "explanations" / "batch-0.jsonl.gz", lines=True, dtype={"index": str}
    )
    assert {"description", "scoreV1"} <= set(frame.columns)
