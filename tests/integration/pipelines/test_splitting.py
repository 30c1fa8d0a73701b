"""Splitting through the command line: a study of several sizes and seeds has trees, and any other has none."""

from __future__ import annotations

import copy

import numpy as np
import pandas as pd
import pytest
import yaml
from program import universality
from stored_types import assert_files_hold_the_declared_types

from pipelines.plan import build_plan
from pipelines.recipe import load_recipe
from results.split_frames import split_sentence
from storage import open_run
from universality.compare.compare_config import CompareConfig

RECIPE = {
    "recipe": "sizes",
    "corpus": {
        "sources": [{"kind": "demo", "size": "small", "domains": ["python", "dna", "arabic"], "max_bytes": 60_000}],
        "max_document_bytes": 512,
    },
    "split": {"fit_tokens": 2500, "score_tokens": 2500, "validation_tokens": 500},
    "tokenizer": {"kind": "train", "vocab_size": 300},
    "n_ctx": 32,
    "models": {
        "kind": "native",
        "architecture": {"n_layers": 1, "d_model": 16, "n_heads": 2, "d_mlp": 24, "act_fn": "relu"},
        "training": {"tokens": 20_000},
        "model_seeds": [0, 1],
    },
    "studies": [
        {
            "id": "sizes",
            "hook_point": "blocks.0.mlp.hook_post",
            "sae": {"k": 4, "tokens": 12_000, "batch_rows": 64, "lr": 0.003},
            "sae_seeds": [0, 1, 2],
            "vary": {"d_sae": [16, 32]},
        }
    ],
    "compare": {"n_shifts": 10, "n_resamples": 20, "min_firings": 5},
}


def changed(**changes):
    made = copy.deepcopy(RECIPE)
    made["studies"][0] |= changes
    return made


def plan_of(place, **changes):
    file = place / "sizes.yaml"
    file.write_text(yaml.safe_dump(changed(**changes)))
    return build_plan(load_recipe(str(file)))


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sizes")
    (folder / "sizes.yaml").write_text(yaml.safe_dump(RECIPE))
    done = universality("run", "sizes.yaml", "--name", "sizes", "--store", "store", "--serial", cwd=folder)
    assert done.exit_code == 0, done.stderr
    (folder / "said.txt").write_text(done.stdout)
    return folder


@pytest.fixture(scope="module")
def run(place):
    return open_run("sizes", store=str(place / "store"))


@pytest.mark.parametrize("table", ["split_tree", "splits_by_size", "split_agreement"])
def test_files_hold_the_declared_types(run, table):
    assert_files_hold_the_declared_types(run, table)


def test_trees_are_of_every_model_and_every_two_dictionaries_of_different_seeds(run):
    tree, counts = run.table("split_tree"), run.table("splits_by_size")
    seeds = tree.groupby(["model", "sae_seed", "parent_sae_seed"]).ngroups
    assert seeds == 2 * 6
    assert (tree["sae_seed"] != tree["parent_sae_seed"]).all()
    orphan = tree["kind"] == "orphan"
    assert tree.loc[orphan, ["parent_latent", "r_held_out", "share"]].isna().all(axis=None)
    assert tree.loc[~orphan, ["parent_latent", "r_held_out", "inside", "r2"]].notna().all(axis=None)
    n = counts.set_index(["model", "kind"])["n"]
    assert n["m0", "orphan"] == (orphan & (tree["model"] == "m0")).sum()
    parents = counts[counts["kind"] != "orphan"].groupby("model")
    assert (parents["n"].sum() == parents["n_asked"].first()).all()
    assert np.allclose(parents["share"].sum(), 1.0)
    agreement = run.table("split_agreement")
    assert len(agreement) == 2 * 4


def test_tables_are_those_of_the_latents_that_the_run_stored(run):
    from scipy import sparse

    from pipelines.steps.step_rows import shared_rows
    from universality.compare.pair import Dictionary
    from universality.compare.statistics import latent_statistics
    from universality.studies.split_study import SplitStudy, TreeCell
    from universality.studies.split_trees import split_trees

    rows = shared_rows(run.artifact("tokens"))
    cells = {}
    for number, d_sae in enumerate((16, 32)):
        for seed in (0, 1, 2):
            name = f"m1s{seed}a-{number}"
            acts = sparse.csr_matrix(run.artifact(f"latents/sizes/{name}").csr("acts"))
            cells[TreeCell("m1", d_sae, seed)] = Dictionary(name, acts, rows, latent_statistics(acts, rows), 5)
    tree, counts = split_trees(SplitStudy(cells, CompareConfig(**RECIPE["compare"]), 0), "m1")
    for name, table in (("split_tree", tree), ("splits_by_size", counts)):
        stored = run.table(name)
        own = stored[stored["model"] == "m1"].drop(columns=["study_id", "point"]).reset_index(drop=True)
        pd.testing.assert_frame_equal(own, table, check_dtype=False)


def test_the_summary_tells_what_became_of_features(place, run):
    said = " ".join((place / "said.txt").read_text().split())
    assert " ".join(split_sentence(run.table("splits_by_size")).split()) in said


def test_other_settings_that_vary_have_trees_of_their_own_and_halves_have_none(tmp_path):
    plan = plan_of(tmp_path, vary={"d_sae": [16, 32], "k": [2, 4]}, halves=["a", "b"], floor=False)
    cells = next(node for node in plan if node.id == "splitting/sizes/m1").params["cells"]
    assert len(cells) == 12
    assert {cell["point"] for cell in cells.values()} == {"k 2", "k 4"}
    assert all("a-" in name for name in cells)
    both = next(node for node in plan if node.id == "split_agreement/sizes/m0-m1").params["cells"]
    assert len(both) == 24
    assert len(next(node for node in plan if node.id == "split_agreement/sizes/m1-m1").params["cells"]) == 12


@pytest.mark.parametrize("changes", [{"sae_seeds": [0]}, {"vary": {"k": [2, 4]}}, {"vary": {"d_sae": [16]}}])
def test_without_several_sizes_and_seeds_nothing_is_asked_of_splitting(tmp_path, changes):
    sae = RECIPE["studies"][0]["sae"] | {"d_sae": 16}
    assert not [node.id for node in plan_of(tmp_path, sae=sae, **changes) if "split" in node.step]
