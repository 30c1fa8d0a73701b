"""``universality compare`` on a planted world: from files to tables equal to the library's."""

import json

import networkx as nx
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from typer.testing import CliRunner

from pipelines.cli.main import app
from universality.compare import compare
from universality.planted import PlantConfig, plant

SMALL = PlantConfig(
    n_models=2, n_rows=12_000, n_documents=150, n_domains=3, d_vocab=200, n_universal=25, n_shared=0,
    n_specific=15, n_unstable=2, n_decodable=2, n_split=1, n_domain=2, n_token=3, n_position=1,
    min_rate=0.01, n_untrained=2,
)  # fmt: skip


@pytest.fixture(scope="module")
def world():
    return plant(SMALL, root_seed=3)


@pytest.fixture(scope="module")
def folder(world, tmp_path_factory):
    place = tmp_path_factory.mktemp("world")
    for name, acts in {**world.acts, **world.untrained}.items():
        sp.save_npz(place / f"{name}.npz", acts)
    for name, acts in world.replicates.items():
        np.save(place / f"{name}r.npy", acts.toarray())
    labels = np.array([f"domain {code}" for code in world.domains])
    rows = {
        "documents": world.documents,
        "sources": world.documents // 8,
        "domains": labels,
        "tokens": world.tokens,
    }
    for name, values in rows.items():
        np.save(place / f"{name}.npy", values)
    return place


def test_what_a_pair_does_and_neurons_come_from_dense_files(world, folder, tmp_path):
    rng = np.random.default_rng(0)
    dense = {
        "raw": world.raw,
        "weights": {m: rng.standard_normal((a.shape[1], SMALL.d_in)) for m, a in world.acts.items()},
        "logits": {m: rng.standard_normal((SMALL.d_in, SMALL.d_vocab)) for m in world.acts},
    }
    following = np.append(world.tokens[1:], -1)
    np.save(tmp_path / "next.npy", following)
    options = [
        "--documents",
        folder / "documents.npy",
        "--next-tokens",
        tmp_path / "next.npy",
        "--n-shifts",
        10,
    ]
    for kind, matrices in dense.items():
        for name, matrix in matrices.items():
            np.save(tmp_path / f"{kind}-{name}.npy", matrix)
            options += [f"--{kind}", f"{name}={tmp_path / f'{kind}-{name}.npy'}"]
    code, _, err = call(*(folder / f"{m}.npz" for m in world.acts), "--out", tmp_path / "out", *options)
    assert code == 0, err
    expected = compare(world.acts, documents=world.documents, next_tokens=following, n_shifts=10, **dense).pairs
    written = pd.read_parquet(tmp_path / "out" / "pairs.parquet")
    columns = ["cos_procrustes", "r_logits", "r_attribution"]
    assert written[columns].notna().all().all()
    pd.testing.assert_frame_equal(written[columns], expected[columns])
    assert "neurons" in set(pd.read_parquet(tmp_path / "out" / "headline.parquet")["quantity"])


def call(*arguments):
    result = CliRunner().invoke(app, ["compare", *map(str, arguments)])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout, result.stderr


def test_files_give_the_tables_of_the_library(world, folder, tmp_path):
    out = tmp_path / "out"
    options = [
        part for name in ("documents", "sources", "domains", "tokens") for part in (f"--{name}", folder / f"{name}.npy")
    ]
    options += [part for name in world.replicates for part in ("--replicate", f"{name}={folder / name}r.npy")]
    options += [part for name in world.untrained for part in ("--untrained", f"{name}={folder / name}.npz")]
    models = [folder / f"{name}.npz" for name in world.acts]
    code, text, err = call(*models, "--out", out, *options, "--seed", 5, "--n-shifts", 10)
    assert code == 0, err
    expected = compare(
        world.acts,
        documents=world.documents,
        sources=world.documents // 8,
        domains=np.array([f"domain {code}" for code in world.domains]),
        tokens=world.tokens,
        replicates=world.replicates,
        untrained=world.untrained,
        root_seed=5,
        n_shifts=10,
    )
    for name in ("features", "pairs", "headline", "domains", "clusters", "verdicts"):
        written = pd.read_parquet(out / f"{name}.parquet")
        getattr(expected, name).to_parquet(tmp_path / "expected.parquet", index=False)
        pd.testing.assert_frame_equal(written, pd.read_parquet(tmp_path / "expected.parquet"))
        assert len(pd.read_csv(out / f"{name}.csv")) == len(written)
    assert nx.read_graphml(out / "graph.graphml").number_of_edges() == expected.graph.number_of_edges()
    summary = json.loads((out / "summary.json").read_text())
    assert summary["counts"]["class"]["universal"] == (expected.features["class"] == "universal").sum() > 0
    assert summary["headline"]["ceiling"]["overall"] is not None
    for name in ("correlation", "classes", "domains"):
        assert (out / "figures" / f"{name}.pdf").read_bytes().startswith(b"%PDF")
        assert len(pd.read_csv(out / "figures" / f"{name}.csv")) > 0
    assert "\\toprule" in (out / "tables" / "headline.tex").read_text()
    assert "partnered" in text
    assert "domain 0" in text
    assert "few sources" in text
    assert "No --sources" not in err
    assert max(map(len, text.splitlines())) <= 100


def test_without_documents_blocks_of_rows_stand_for_them(world, folder, tmp_path):
    models = [folder / f"{name}.npz" for name in world.acts]
    code, text, err = call(*models, "--out", tmp_path, "--json", "--block", 100, "--n-shifts", 10)
    assert code == 0
    assert "every 100 rows" in err
    assert "give the file or chapter" in err
    assert json.loads(text)["counts"]["status"]["alive"] > 0
    assert (tmp_path / "figures" / "classes.pdf").exists()
    assert "Not made: `figures/domains` (needs domains)" in err


def test_misuse_exits_2_in_words(world, folder, tmp_path):
    models = [folder / f"{name}.npz" for name in world.acts]
    for arguments, words in (
        ([models[0], "--out", tmp_path], "at least two"),
        ([*models, "--out", tmp_path, "--raw", f"m0={folder / 'documents.npy'}"], "two-dimensional"),
        ([*models, "--out", tmp_path, "--logits", f"m9={folder / 'm0r.npy'}"], "m9"),
        ([*models, "--out", tmp_path, "--replicate", "nonsense"], "NAME=FILE"),
        ([*models, "--out", tmp_path, "--documents", folder / "m0.npz"], "documents"),
        ([*models, "--out", tmp_path, "--tau", "0"], "tau"),
        ([models[0], folder / "m0r.npy", "--out", tmp_path, "--names", "a,a"], "different"),
    ):
        code, out, err = call(*arguments)
        assert code == 2, err
        assert out == ""
        assert words in err


def test_documents_of_one_row_each_are_refused_and_scattered_ones_told(world, folder, tmp_path):
    models = [folder / f"{name}.npz" for name in world.acts]
    n = world.documents.size
    np.save(tmp_path / "single.npy", np.arange(n))
    code, _, err = call(*models, "--out", tmp_path, "--documents", tmp_path / "single.npy")
    assert code == 2
    assert "documents of rows must be of several rows" in err
    np.save(tmp_path / "scattered.npy", np.arange(n) % 90)
    code, _, err = call(*models, "--out", tmp_path, "--documents", tmp_path / "scattered.npy", "--n-shifts", 10)
    assert code == 0
    assert "Warning: The rows of 90 documents lie in" in err


def test_files_of_other_people_are_not_written_over(folder, tmp_path):
    (tmp_path / "pairs.csv").write_text("mine")
    (tmp_path / "summary.json").write_text('{"mine": 1}')
    files = [folder / "m0.npz", folder / "m1.npz", "--documents", folder / "documents.npy"]
    code, _, err = call(*files, "--out", tmp_path)
    assert code == 2
    assert "pairs.csv" in err
    assert "Give another --out" in err
    assert (tmp_path / "pairs.csv").read_text() == "mine"
    (tmp_path / "file").write_text("")
    code, _, err = call(*files, "--out", tmp_path / "file")
    assert code == 2
    assert "a folder that can be written" in err


def test_an_earlier_result_is_replaced(folder, tmp_path):
    files = [folder / "m0.npz", folder / "m1.npz", "--documents", folder / "documents.npy", "--n-shifts", 10]
    assert call(*files, "--out", tmp_path)[0] == 0
    assert call(*files, "--out", tmp_path)[0] == 0
