"""Studies through the command line: what is shared, what is computed anew, and what is refused."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import yaml
from program import universality
from stored_types import assert_files_hold_the_declared_types

from pipelines.engine.plan import Plan
from pipelines.plan import build_plan
from pipelines.recipe import load_recipe, study_design
from pipelines.report.exhibit_writer import ReportOptions
from pipelines.report.report_writer import write_report
from results.layer_frames import layer_means
from results.stored_comparison import comparisons_of
from results.study_frames import contrast_rows, curve_rows, study_sentence, training_shares
from storage import open_run, open_store
from universality.errors import InputError

HOOK, AFTER = "blocks.0.mlp.hook_post", "blocks.0.hook_resid_post"
RECIPE = {
    "recipe": "study",
    "corpus": {
        "sources": [{"kind": "demo", "size": "small", "domains": ["python", "dna", "arabic"], "max_bytes": 60_000}],
        "max_document_bytes": 512,
    },
    "split": {"fit_tokens": 2500, "score_tokens": 2500, "validation_tokens": 500},
    "tokenizer": {"kind": "train", "vocab_size": 300},
    "mixes": {"no-dna": {"without": ["dna"]}},
    "n_ctx": 32,
    "models": {
        "kind": "native",
        "architecture": {"n_layers": 1, "d_model": 16, "n_heads": 2, "d_mlp": 24, "act_fn": "relu"},
        "training": {"tokens": 20_000},
        "model_seeds": [0, 1, 0, 1],
        "data": [None, None, "no-dna", "no-dna"],
        "n_untrained": 2,
    },
    "studies": [
        {"id": "data", "hook_point": HOOK, "sae_seeds": [0, 1],
         "sae": {"d_sae": 24, "k": 4, "tokens": 12_000, "batch_rows": 64, "lr": 0.003}},
        {"id": "layers", "hook_points": [HOOK, AFTER], "sae_seeds": [0, 1], "models": ["m0", "m1"],
         "sae": {"d_sae": 24, "k": 4, "tokens": 12_000, "batch_rows": 64, "lr": 0.003}},
    ],
    "compare": {"n_shifts": 10, "n_resamples": 20, "min_firings": 5},
}  # fmt: skip


def recipe(**changes):
    """The recipe with settings of its study, or of its models (``models__data=…``), changed."""
    made = copy.deepcopy(RECIPE)
    for name, value in changes.items():
        part, _, key = name.rpartition("__")
        (made[part] if part else made["studies"][0])[key or name] = value
    return made


def loaded(place, made):
    file = place / "study.yaml"
    file.write_text(yaml.safe_dump(made))
    return load_recipe(str(file))


def ran(place, made, name, *options):
    (place / "study.yaml").write_text(yaml.safe_dump(made))
    done = universality("run", "study.yaml", "--name", name, "--store", "store", *options, cwd=place)
    assert done.exit_code == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("studies")
    (folder / "said.txt").write_text(ran(folder, RECIPE, "data", "--serial"))
    return folder


@pytest.fixture(scope="module")
def run(place):
    return open_run("data", store=str(place / "store"))


def of_data(run, table):
    return run.table(table).query("study_id == 'data'")


@pytest.mark.parametrize(
    "table",
    ["study", "study_cells", "study_means", "study_contrasts", "study_layers", "study_domains", "study_partners"],
)
def test_files_hold_the_declared_types(run, table):
    assert_files_hold_the_declared_types(run, table)


def test_a_study_is_no_comparison(run):
    assert comparisons_of(run.record) == ["main"]


def test_cells_are_crossed_and_every_contrast_is_there(run):
    cells, contrasts = of_data(run, "study_cells"), of_data(run, "study_contrasts")
    assert (~cells["untrained"]).sum() == 8
    assert cells["untrained"].sum() == 2
    assert set(cells.loc[~cells["untrained"], "data"]) == {"all", "no-dna"}
    assert list(dict.fromkeys(contrasts["contrast"])) == [
        "sae_seed", "model", "data", "data at one initialisation", "model x data",
    ]  # fmt: skip
    means = of_data(run, "study_means")
    assert means.loc[means["relation"] == "untrained", "n_pairs"].unique().tolist() == [1]
    assert means.loc[means["measure"] == "shared", "chance"].notna().all()


def test_other_data_are_told_by_domain(run):
    told = of_data(run, "study_domains").set_index("domain")
    assert (told["first"] == "all").all()
    assert (told["second"] == "no-dna").all()
    assert told.loc["dna", "seen_by"] == "first only"
    assert set(told.loc[["python", "arabic"], "seen_by"]) == {"both"}
    both = told[(told.index == "(all)") & (told["seen_by"] == "both")]
    assert both["did"].tolist() == [0.0], "it is what the others are held against"


def test_a_contrast_is_the_difference_of_means_of_pairs(run):
    pairs = of_data(run, "study").query("measure == 'r'").groupby("relation")["value"].mean()
    told = of_data(run, "study_contrasts").query("measure == 'r'").set_index("contrast")["value"]
    assert told["sae_seed"] == pytest.approx(1 - pairs["sae_seed"])
    assert told["data"] == pytest.approx(pairs["sae_seed + model"] - pairs["sae_seed + model + data"])


def test_the_summary_says_what_differs_and_what_untrained_models_share(place, run):
    said = " ".join((place / "said.txt").read_text().split())
    sentence = study_sentence(of_data(run, "study_contrasts"), of_data(run, "study_means"))
    assert " ".join(sentence.split()) in said
    assert "of untrained models" in sentence
    assert "what each factor takes away" in said
    rows = contrast_rows(of_data(run, "study_contrasts"), of_data(run, "study_means"))
    assert rows.loc[rows["part"] == "agreement", "name"].iloc[-1] == "untrained"


def test_dask_gives_the_same_bytes(place, run):
    other = place / "other"
    other.mkdir()
    ran(other, RECIPE, "data", "--workers", "2")
    theirs = open_run("data", store=str(other / "store"))
    for node in run.nodes():
        files = [one.artifact(node).manifest["files"] for one in (run, theirs)]
        assert {path: file["digest"] for path, file in files[0].items()} == {
            path: file["digest"] for path, file in files[1].items()
        }, node


def test_more_cells_compute_only_what_is_new(place, run, tmp_path):
    """Two more dictionaries of one model: theirs, their pairs and the tables, and nothing else."""
    store = open_store(str(place / "store"))
    grown = loaded(tmp_path, recipe(sae_seeds=[0, 1, 2]))
    keys = build_plan(grown).keys()
    new = [node for node in keys if not store.has(keys[node])]
    assert {node.split("/")[0] for node in new} == {"sae", "latents", "study_pair", "study"}
    assert all("s2" in node for node in new if node != "study/data")
    seeds, data = [0, 1, 0, 1, 2, 2], [None, None, "no-dna", "no-dna", None, "no-dna"]
    keys = build_plan(loaded(tmp_path, recipe(models__model_seeds=seeds, models__data=data))).keys()
    new = [node for node in keys if not store.has(keys[node])]
    assert all("m4" in node or "m5" in node or node == "study/data" for node in new)


def test_dictionaries_of_a_study_are_those_of_a_comparison_with_the_same_seeds(tmp_path):
    made = recipe()
    same = {
        "id": "main",
        "hook_point": HOOK,
        "sae": made["studies"][0]["sae"],
        "sae_seeds": [0, 1],
        "replicates": False,
    }
    keys = build_plan(loaded(tmp_path, made | {"comparisons": [same], "effects": None})).keys()
    assert keys["sae/data/m1s1a"] == keys["sae/main/m1s1"]
    assert keys["latents/data/m1s1a"] == keys["latents/main/m1s1"]


def test_hook_points_are_read_in_one_pass_and_every_two_are_compared(place, run):
    plan = build_plan(load_recipe(str(place / "study.yaml")))
    read = {node.id: node.params["hook_points"] for node in plan if node.step == "activations"}
    assert set(map(tuple, read.values())) == {(AFTER, HOOK)}, "the points of both studies, in one activations node"
    keys = plan.keys()
    assert keys["sae/layers/m1h0s1a"] == keys["sae/data/m1s1a"], "the dictionary of a study of that point alone"
    cells, layers = run.table("study_cells"), run.table("study_layers")
    assert set(cells.loc[cells["study_id"] == "layers", "point"]) == {f"hook_point {HOOK}", f"hook_point {AFTER}"}
    between = layers[(layers["kind"] == "models") & (layers["measure"] == "r")]
    assert set(zip(between["group_a"], between["group_b"], strict=True)) == {("m0", "m1")}
    pairs = run.table("study").query("study_id == 'layers' and measure == 'r'")
    for row in between.to_dict("records"):
        a, b = (f"m{i}h{[HOOK, AFTER].index(row[f'hook_point_{side}'])}" for i, side in enumerate("ab"))
        asked = pairs[pairs["cell_a"].str.startswith(a) & pairs["cell_b"].str.startswith(b)]
        assert len(asked) == row["n_pairs"] == 4
        assert row["value"] == pytest.approx(asked["value"].mean())


def test_the_report_says_what_layers_share_with_macros(run, tmp_path):
    write_report(run, tmp_path, ReportOptions(formats=()))
    text, macros = ((tmp_path / name).read_text() for name in ("methods.md", "macros.tex"))
    means = layer_means(run.table("study_layers"))
    assert f"two models {100 * means.loc[('models', 'other'), 'shared']:.1f}% (" in text
    assert f"at `{HOOK}` and `{AFTER}` of 2 transformers" in text
    assert "Where SAE seed and model seed differ" in text, "no pair of one point differs in its hook point"
    assert "SamePlaceUntrainedJointInStudyLayers" in macros


def test_models_may_be_read_at_points_of_their_own(tmp_path):
    made = recipe(
        hook_point=None, hook_points={"m0": [HOOK], "m1": [AFTER]}, models=["m0", "m1"], models__data=None,
        models__model_seeds=[0, 1],
    )  # fmt: skip
    del made["studies"][1]
    plan = build_plan(loaded(tmp_path, made))
    read = {node.id.split("/")[1]: node.params["hook_points"] for node in plan if node.step == "activations"}
    assert read == {"m0": [HOOK], "m1": [AFTER], "u0": [HOOK], "u1": [AFTER]}
    pairs = {node.id for node in plan if node.step == "study_pair"}
    assert "study_pair/data/m0h0s0a-m1h1s1a" in pairs
    assert "study_pair/data/u0h0s0a-u1h1s0a" in pairs, "the floor reads where the models of their numbers are read"


def test_settings_and_sizes_make_points_with_a_floor_each(tmp_path):
    grown = recipe(
        vary={"k": [2, 4]}, models__data=None, models__model_seeds=[0, 1, 0, 1],
        models__changes=[{}, {}, {"d_mlp": 32}, {"d_mlp": 32}], models__n_untrained=4,
    )  # fmt: skip
    plan: Plan = build_plan(loaded(tmp_path, grown))
    widths = {node.id: node.params["architecture"]["d_mlp"] for node in plan if node.step == "transformer"}
    assert widths == {f"transformer/{m}{i}": 24 if i < 2 else 32 for m in "mu" for i in range(4)}
    ids = {node.id for node in plan}
    assert "study_pair/data/u2s0a-0-u3s0a-0" in ids
    assert "study_pair/data/m0s0a-0-m0s1a-1" in ids


def test_settings_that_belong_together_are_points_of_a_study(tmp_path):
    kinds = [{"architecture": "batch_topk"}, {"architecture": "relu", "k": None, "l1_coefficient": 2.0}]
    study = loaded(tmp_path, recipe(points=kinds)).studies[0]
    design = study_design(loaded(tmp_path, recipe(points=kinds)), study)
    assert design.settings == ("architecture", "k", "l1_coefficient")
    assert len([cell for cell in design.cells if not cell.untrained]) == 16
    assert {cell.levels["architecture"] for cell in design.cells} == {"batch_topk", "relu"}


def kept(**changes):
    """The recipe with models of two seeds at three places of their trainings, read by one study."""
    of_models = {"data": None, "model_seeds": [0, 1], "checkpoints": [0, 0.2, 1], "n_untrained": 0}
    made = recipe(**{f"models__{name}": value for name, value in of_models.items()} | changes)
    del made["studies"][1], made["mixes"]
    return made


def test_checkpoints_are_models_of_one_training(tmp_path):
    plan = build_plan(loaded(tmp_path, kept(checkpoints=True)))
    made = {node.id.split("/")[1]: node.step for node in plan if node.id.startswith("transformer/")}
    assert made == {
        "m0": "transformer", "m0c0": "checkpoint", "m0c1": "checkpoint",
        "m1": "transformer", "m1c0": "checkpoint", "m1c1": "checkpoint",
    }  # fmt: skip
    pairs = [node.id.split("/")[2] for node in plan if node.step == "study_pair"]
    assert "m0c1s0a-m1c1s1a" in pairs
    assert "m0c0s0a-m0s1a" in pairs, "a model before, and at the end"
    assert not [pair for pair in pairs if pair.startswith("m0c0s0a-m1c1") or pair.startswith("m0c0s0a-m0c1")]
    design = study_design(loaded(tmp_path, kept(checkpoints=True)), loaded(tmp_path, kept(checkpoints=True)).studies[0])
    assert design.curves == ("checkpoint",)
    assert [contrast.name for contrast in design.contrasts] == ["sae_seed", "model"]
    assert [cell.levels["checkpoint"] for cell in design.cells[::2]] == ["0", "4000", "20000"] * 2


def test_one_model_is_studied_over_its_own_training(tmp_path):
    made = kept(models=["m0"], checkpoints=True)
    pairs = [node.id.split("/")[2] for node in build_plan(loaded(tmp_path, made)) if node.step == "study_pair"]
    assert "m0c0s0a-m0c0s1a" in pairs
    assert "m0c1s1a-m0s0a" in pairs
    assert not [pair for pair in pairs if pair.startswith("m0c0") and "-m0c1" in pair]


def test_models_that_keep_nothing_stand_at_the_end_of_their_training(tmp_path):
    made = kept(checkpoints=True)
    others = {**made["models"], "model_seeds": [2, 3]}
    del others["checkpoints"]
    made["models"] = [made["models"], others]
    study = loaded(tmp_path, made).studies[0]
    cells = study_design(loaded(tmp_path, made), study).cells
    assert {cell.transformer: cell.levels["checkpoint"] for cell in cells} == {
        "m0c0": "0", "m0c1": "4000", "m0": "20000", "m1c0": "0", "m1c1": "4000", "m1": "20000", "m2": "20000",
        "m3": "20000",
    }  # fmt: skip


def test_revisions_of_a_family_are_places_of_its_trainings(tmp_path):
    family = [{"name": f"x/family-{seed}", "revision": f"step{step}"} for seed in "ab" for step in (0, 1000, 143000)]
    made = recipe() | {
        "models": {"kind": "pretrained", "models": family, "n_untrained": 0},
        "tokenizer": {"kind": "hub", "name": "x/family-a"},
    }
    del made["mixes"], made["studies"][1]
    design = study_design(loaded(tmp_path, made), loaded(tmp_path, made).studies[0])
    assert design.curves == ("revision",)
    assert {pair.relation for pair in design.pairs} == {"sae_seed", "sae_seed + model", "sae_seed + revision"}
    for pair in design.pairs:
        steps = [cell.levels["revision"] for cell in (pair.a, pair.b)]
        assert (steps[0] == steps[1]) == (pair.relation != "sae_seed + revision")
        assert pair.relation != "sae_seed + revision" or steps[1] == "143000"


def test_a_training_keeps_its_key_where_nothing_is_kept_and_named_checkpoints_are_all_that_is_made(tmp_path):
    plain = kept()
    del plain["models"]["checkpoints"]
    before = build_plan(loaded(tmp_path, plain)).keys()
    assert build_plan(loaded(tmp_path, kept(models__checkpoints=[1]))).keys() == before
    plan = build_plan(loaded(tmp_path, kept(models=["m0c1", "m1c1"])))
    assert plan.keys()["transformer/m0"] != before["transformer/m0"]
    assert [node.id for node in plan if node.step == "checkpoint"] == ["transformer/m0c1", "transformer/m1c1"]
    assert "activations/m0/eval" not in {node.id for node in plan}
    assert [node.params["checkpoints"] for node in plan if node.step == "transformer"] == [[0.0, 0.2]] * 2


def test_the_last_checkpoint_is_that_of_a_training_without_and_the_first_its_random_weights(tmp_path):
    ran(tmp_path, kept(checkpoints=True, sae_seeds=[0]), "kept", "--serial")
    told = open_run("kept", store=str(tmp_path / "store"))
    plain = kept(sae_seeds=[0])
    del plain["models"]["checkpoints"]
    ran(tmp_path, plain, "plain", "--serial")
    alone = open_run("plain", store=str(tmp_path / "store"))

    def weights(run, model):
        stored = run.artifact(f"transformer/{model}").tensors("weights")
        return {name: np.asarray(values).tobytes() for name, values in stored.items()}

    assert weights(told, "m1") == weights(alone, "m1")
    assert len({str(weights(told, model)) for model in ("m1c0", "m1c1", "m1")}) == 3
    losses = [told.artifact(f"transformer/{model}").json("training") for model in ("m1c0", "m1c1", "m1")]
    assert [loss["tokens"] for loss in losses] == [0, 4096, 20480]
    assert losses[0]["heldout_loss"] > losses[1]["heldout_loss"] > losses[2]["heldout_loss"]
    curve = curve_rows(told.table("study_means"), "r").query("relation == 'sae_seed + model'")
    assert curve["x"].tolist() == [0.0, 4000.0, 20000.0]
    write_report(told, tmp_path / "report", ReportOptions(formats=()))
    shares = 100 * training_shares(told.table("study_means"))["shared"]
    said = (tmp_path / "report/methods.md").read_text()
    assert f"At the first checkpoint {shares.iloc[0]:.1f}% of the latents of two models have a partner" in said
    assert f"at the last {shares.iloc[-1]:.1f}%" in said


REFUSED = {
    "one model per level": (
        {"models__model_seeds": [0, 1, 2], "models__data": [None, None, "no-dna"]},
        "at least two model seeds with each data; got one with data no-dna",
    ),
    "a contrast of nothing": (
        {"sae_seeds": [0], "contrasts": ["half"]},
        "contrasts of study 'data' must be among those that its pairs can estimate (data",
    ),
    "one dictionary": (
        {"models__model_seeds": [0], "models__data": None, "sae_seeds": [0]},
        "must have two dictionaries that differ in seed, half or model; got",
    ),
    "too many": ({"sae_seeds": list(range(200))}, "must have at most 200 dictionaries; got 802"),
    "no place": ({"hook_point": None}, "must have either hook_point or hook_points; got neither"),
    "places twice over": ({"hook_points": [HOOK, AFTER]}, "must have either hook_point or hook_points; got both"),
    "one of several places": (
        {"hook_point": None, "hook_points": [HOOK]},
        "hook_points must be two at least; got one. Say hook_point instead",
    ),
    "a place twice": (
        {"hook_point": None, "hook_points": [HOOK, HOOK, AFTER]},
        f"hook_points must differ; got ['{HOOK}', '{HOOK}', '{AFTER}']",
    ),
    "a place that no model has": (
        {"hook_point": None, "hook_points": [HOOK, "blocks.1.hook_resid_post"]},
        "hook_point of 'data' must name one of the blocks 0 to 0; got blocks.1.hook_resid_post",
    ),
    "places of a model that is not there": (
        {"hook_point": None, "hook_points": {"m0": [HOOK], "m9": [AFTER]}},
        "hook_points of study 'data' must name its models (m0, m1, m2, m3); got m0, m9",
    ),
    "places of no training": (
        {"checkpoints": True},
        "checkpoints of study 'data' must be kept by its models; got none",
    ),
    "falling checkpoints": ({"models__checkpoints": [0.5, 0.1]}, "checkpoints must rise; got [0.5, 0.1]"),
    "checkpoints at one step": (
        {"models__checkpoints": [0, 0.01]},
        "checkpoints must be at different steps of the 40 of m0; got [0.0, 0.01], at steps [0, 0]",
    ),
    "an unknown model": ({"models": ["m9"]}, "must be among m0, m1, m2, m3; got 'm9'"),
    "an unknown setting": ({"vary": {"d_sea": [1]}}, "'d_sea' is no setting of a dictionary. Did you mean 'd_sae'?"),
    "settings twice": ({"vary": {"k": [4, 4]}}, "settings of vary and points must differ; got the same twice"),
    "a seed twice": ({"sae_seeds": [1, 1]}, "sae_seeds must differ; got [1, 1]"),
    "the same model twice": ({"models__data": None}, "model_seeds must differ where data and changes are the same"),
    "a change of nothing": (
        {"models__changes": [{"d_modle": 8}, {}, {}, {}]},
        "changes must be settings of architecture or of training",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_bad_designs_are_refused_with_the_reason(tmp_path, case):
    changes, words = REFUSED[case]
    with pytest.raises(InputError) as refused:
        loaded(tmp_path, recipe(**changes))
    assert words in " ".join(str(refused.value).split())
