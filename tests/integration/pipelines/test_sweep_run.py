"""A sweep alone, through the command line: its table is what the artifacts say, and everyone can read it."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest
import yaml
from program import universality
from visits import opened

from pipelines.recipe import load_recipe
from pipelines.steps.dictionary_steps import open_sae
from storage import open_run
from universality.sae import load_sae
from universality.sae.evaluation import frontier

HOOK = "blocks.0.mlp.hook_post"
SWEEP = {
    "id": "kinds",
    "hook_point": HOOK,
    "sae": {"d_sae": 96, "tokens": 12_800, "batch_rows": 128, "lr": 0.003},
    "points": [
        {"k": 4},
        {"k": 12},
        {"architecture": "batch_topk", "k": 8},
        {"architecture": "relu", "l1_coefficient": 2.0},
        {"k": 8, "lr": 1e30},
    ],
    "n_seeds": 2,
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("sweep")
    recipe = load_recipe("tiny").model_dump(mode="json", exclude={"comparisons", "sweeps"})
    recipe["models"] |= {"model_seeds": [0], "n_untrained": 0}
    (place / "kinds.yaml").write_text(yaml.safe_dump({**recipe, "sweeps": [SWEEP]}))
    done = universality("run", "kinds.yaml", "--name", "kinds", "--serial", "--store", "store", cwd=place)
    assert done.exit_code == 0, done.stderr
    return place


@pytest.fixture(scope="module")
def run(folder):
    return open_run("kinds", store=str(folder / "store"))


def test_every_dictionary_has_a_row_and_one_that_diverges_ends_nothing(run):
    table = run.table("sweeps")
    assert list(table["sweep"].unique()) == ["kinds"]
    assert table.groupby("point", sort=False)["seed"].apply(list).tolist() == [[0, 1]] * 5
    assert table["architecture"].drop_duplicates().tolist() == ["topk", "batch_topk", "relu"]
    assert table["sparsity"].drop_duplicates().tolist() == ["k 4", "k 12", "k 8", "l1_coefficient 2"]
    assert (table["status"] == "diverged").tolist() == [False] * 8 + [True] * 2
    good = table["status"] == "ok"
    assert table.loc[good, "seed_cosine"].between(-1, 1).all()
    assert table.loc[~good, ["l0", "fvu", "n_dense", "ce_recovered", "seed_cosine"]].isna().all(axis=None)
    good = table[table["status"] == "ok"].groupby("point", sort=False)[["l0", "fvu"]].mean()
    wanted = dict(zip(good.index, frontier(*good.to_numpy().T), strict=True))
    assert table["frontier"].tolist() == [wanted.get(point, False) for point in table["point"]]


def test_its_dictionaries_are_exported_with_what_they_are(run, folder):
    done = universality("export-saes", "kinds", "--store", "store", "--out", "export", cwd=folder)
    assert done.exit_code == 0, done.stderr
    names = {path.name for path in (folder / "export/kinds").iterdir()}
    assert names == {f"{point}-seed{seed}" for point in range(4) for seed in (0, 1)}, "nothing of what diverged"
    row = run.table("sweeps").query("point == 'architecture batch_topk, k 8' and seed == 1").iloc[0]
    text = (folder / "export/kinds/2-seed1/README.md").read_text()
    assert "batch_topk, stored as jumprelu" in text
    assert f"| FVU | {row['fvu']:.4f} |" in text
    sae = open_sae(run.artifact("sweep_sae/kinds/2"), "1")
    x = np.random.default_rng(0).standard_normal((20, sae.d_in)).astype(np.float32)
    np.testing.assert_array_equal(load_sae(folder / "export/kinds/2-seed1").encode(x), sae.encode(x))


def test_quality_is_that_of_the_raw_artifacts(run):
    row = run.table("sweeps").query("point == 'architecture batch_topk, k 8' and seed == 1").iloc[0]
    score = ~np.asarray(run.artifact("tokens").array("row_fit"))
    x = np.asarray(run.artifact("activations/m0/eval").array(HOOK), dtype=np.float64)[score]
    sae = open_sae(run.artifact("sweep_sae/kinds/2"), "1")
    acts = sae.encode(x.astype(np.float32))
    error = x - sae.decode(acts)
    assert row["fvu"] == pytest.approx((error**2).sum() / ((x - x.mean(0)) ** 2).sum(), rel=1e-5)
    assert row["l0"] == pytest.approx((acts > 0).sum(1).mean())
    assert row["dead_fraction"] == (acts <= 0).all(0).mean()


def test_points_share_their_seeds_and_seeds_differ(run):
    starts = [open_sae(run.artifact("sweep_sae/kinds/0"), name).W_dec.numpy() for name in "01"]
    firsts = [open_sae(run.artifact(f"sweep_sae/kinds/{point}"), "0").W_dec.numpy() for point in (0, 1)]
    # From one start they stay near each other; dictionaries of different starts do not.
    near, far = (np.abs((a * b).sum(1)).mean() for a, b in (firsts, starts))
    assert near > far + 0.1


def test_points_are_trained_side_by_side_to_the_bytes_of_one_alone(folder, run, tmp_path):
    """They are one task; the second point alone, in a store that has all but it, ends in the same artifact."""
    told = [(event["event"], event["node"]) for event in run.events() if event.get("node", "").startswith("sweep_sae")]
    assert [kind for kind, _ in told if kind in ("started", "done")] == ["started"] * 5 + ["done"] * 5
    recipe, store, node = str(folder / "kinds.yaml"), str(tmp_path / "store"), "sweep_sae/kinds/1"
    shutil.copytree(folder / "store", store)
    shutil.rmtree(tmp_path / "store" / "artifacts" / run.record["nodes"][node]["key"])
    done = universality("run", recipe, "--name", "kinds", "--serial", "--store", store)
    assert "1 step computed" in done.stderr
    alone = open_run("kinds", store=store).artifact(node)
    assert alone.key == run.artifact(node).key
    assert alone.manifest["files"] == run.artifact(node).manifest["files"]


def test_a_second_run_computes_nothing_and_the_table_is_shown(folder, run):
    again = universality("run", "kinds.yaml", "--name", "kinds", "--serial", "--store", "store", cwd=folder)
    assert again.exit_code == 0, again.stderr
    assert "0 steps" in again.stderr or "nothing" in again.stderr.lower()
    shown = universality("show", "kinds", "--store", "store", cwd=folder)
    assert "Sweep kinds" in shown.stdout
    assert "batch_topk" in shown.stdout
    assert "No results yet" not in shown.stdout
    found = json.loads(universality("show", "kinds", "--store", "store", "--json", cwd=folder).stdout)
    points = found["sweeps"]["kinds"]
    assert [point["n_seeds"] for point in points] == [2, 2, 2, 2, 0]
    assert points[-1]["fvu"] is None
    table = run.table("sweeps")
    assert points[0]["fvu"] == pytest.approx(table.loc[table["point"] == "k 4", "fvu"].mean())


def test_the_report_has_the_frontier_and_misses_nothing(folder, run):
    done = universality("report", "kinds", "--store", "store", "--out", "report", cwd=folder)
    assert done.exit_code == 0, done.stderr
    names = {path.relative_to(folder / "report").as_posix() for path in (folder / "report").rglob("*.*")}
    assert {"figures/frontier.pdf", "figures/frontier.csv", "tables/sweeps.tex", "tables/sweeps.csv"} <= names
    assert "Missing" not in (folder / "report" / "README.md").read_text()
    dictionary = (folder / "report" / "DATA_DICTIONARY.md").read_text()
    assert "### `figures/frontier.csv`" in dictionary
    assert "|  |" not in dictionary
    stored = pd.read_parquet(folder / "report" / "tables" / "sweeps.parquet")
    pd.testing.assert_frame_equal(stored, run.table("sweeps"), check_dtype=False)


@pytest.mark.parametrize("page", ["sweeps", "overview", "pairs", "runs", "specific"])
def test_no_screen_stumbles_over_a_run_without_comparison(folder, run, monkeypatch, page):
    shown = opened(str(folder / "store"), monkeypatch, page)
    if page == "sweeps":
        assert "Sweeps" in shown.title[0].value
        assert len(shown.dataframe[0].value) == 5
        assert "2 of 10 dictionaries diverged" in shown.warning[0].value
