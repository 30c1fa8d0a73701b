"""Files that people bring to ``universality compare``."""

import json

import networkx as nx
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from pipelines.cli import compare
from universality.errors import InputError

MATRIX = sp.csr_array(np.array([[0.0, 2.0], [1.0, 0.0], [0.0, 0.5]]))


@pytest.mark.parametrize("kind", ["csr", "csc", "coo", "npy", "npz"])
def test_every_way_to_save_a_matrix_is_read(tmp_path, kind):
    path = tmp_path / f"m.{'npy' if kind == 'npy' else 'npz'}"
    if kind == "npy":
        np.save(path, MATRIX.toarray())
    elif kind == "npz":
        np.savez(path, acts=MATRIX.toarray())
    else:
        sp.save_npz(path, MATRIX.asformat(kind))
    found = compare.load_matrix(path)
    assert isinstance(found, sp.csr_array)
    np.testing.assert_array_equal(found.toarray(), MATRIX.toarray())


def test_what_cannot_be_a_matrix_is_refused_in_words(tmp_path):
    with pytest.raises(InputError, match="Check the path"):
        compare.load_matrix(tmp_path / "none.npz")
    (tmp_path / "text.npy").write_text("hello")
    with pytest.raises(InputError, match="without pickles"):
        compare.load_matrix(tmp_path / "text.npy")
    np.save(tmp_path / "flat.npy", np.ones(3))
    with pytest.raises(InputError, match="two-dimensional"):
        compare.load_matrix(tmp_path / "flat.npy")
    np.savez(tmp_path / "two.npz", a=np.ones((2, 2)), b=np.ones((2, 2)))
    with pytest.raises(InputError, match="those of scipy"):
        compare.load_matrix(tmp_path / "two.npz")


@pytest.mark.parametrize("kind", [np.float16, ">f8", np.int8, bool])
def test_numbers_of_every_width_and_order_are_the_numbers(tmp_path, kind):
    np.save(tmp_path / "m.npy", MATRIX.toarray().astype(kind))
    found = compare.load_matrix(tmp_path / "m.npy")
    np.testing.assert_array_equal(found.toarray(), MATRIX.toarray().astype(kind).astype(float))


@pytest.mark.parametrize(
    "load", [compare.load_matrix, compare.load_dense, lambda path: compare.load_rows(path, "tokens")]
)
def test_a_file_cut_anywhere_is_refused_by_its_name(tmp_path, load):
    np.save(tmp_path / "a.npy", np.arange(40.0).reshape(8, 5))
    sp.save_npz(tmp_path / "a.npz", MATRIX)
    for name in ("a.npy", "a.npz"):
        whole = (tmp_path / name).read_bytes()
        for size in range(0, len(whole), 7):
            (tmp_path / f"cut-{name}").write_bytes(whole[:size])
            with pytest.raises(InputError, match=f"cut-{name} must be a whole"):
                load(tmp_path / f"cut-{name}")


def test_indices_outside_the_shape_are_refused_by_the_file(tmp_path):
    made = sp.csr_array(np.eye(4))
    made.indices += 1
    sp.save_npz(tmp_path / "onebased.npz", made)
    with pytest.raises(InputError, match=r"column index of onebased.npz must be below 4.* got 4"):
        compare.load_matrix(tmp_path / "onebased.npz")


def test_one_archive_may_hold_every_row_array(tmp_path):
    path = tmp_path / "rows.npz"
    np.savez(path, tokens=np.array([7, 8, 9]), documents=np.array([0, 0, 1]))
    np.testing.assert_array_equal(compare.load_rows(path, "documents"), [0, 0, 1])
    np.testing.assert_array_equal(compare.load_rows(path, "tokens"), [7, 8, 9])
    with pytest.raises(InputError, match="one called 'sources'"):
        compare.load_rows(path, "sources")
    np.savez(path, tokens=np.array([7, 8, 9]))
    with pytest.raises(InputError, match="one called 'documents'"):
        compare.load_rows(path, "documents")
    np.savez(path, np.array([4, 4, 5]))
    np.testing.assert_array_equal(compare.load_rows(path, "documents"), [4, 4, 5])


@pytest.mark.parametrize("suffix", ["npy", "npz"])
def test_pickles_are_never_opened(tmp_path, suffix):
    class Evil:
        def __reduce__(self):
            return (pytest.fail, ("a pickle was loaded",))

    path = tmp_path / f"evil.{suffix}"
    array = np.array([Evil()], dtype=object)
    np.save(path, array, allow_pickle=True) if suffix == "npy" else np.savez(path, a=array)
    with pytest.raises(InputError):
        compare.load_matrix(path)
    with pytest.raises(InputError):
        compare.load_rows(path, "documents")


def test_rows_may_be_text(tmp_path):
    np.save(tmp_path / "d.npy", np.array(["law", "dna", "law"]))
    np.testing.assert_array_equal(compare.load_rows(tmp_path / "d.npy", "documents"), [1, 0, 1])
    assert compare.load_rows(tmp_path / "d.npy", "domains").tolist() == ["law", "dna", "law"], "labels are shown"
    np.save(tmp_path / "n.npy", np.array([5, 3]))
    np.testing.assert_array_equal(compare.load_rows(tmp_path / "n.npy", "documents"), [5, 3])
    np.save(tmp_path / "s.npy", np.ones((2, 2)))
    with pytest.raises(InputError, match="one value for each row"):
        compare.load_rows(tmp_path / "s.npy", "tokens")


def test_names_are_file_names_or_given(tmp_path):
    files = [tmp_path / "a.npz", tmp_path / "b.npz"]
    assert compare.model_names(files, None) == ["a", "b"]
    assert compare.model_names(files, "x, y") == ["x", "y"]
    for bad in (["one"], [*files, tmp_path / "sub" / "a.npz"]):
        with pytest.raises(InputError):
            compare.model_names([tmp_path / str(name) for name in bad], None)
    with pytest.raises(InputError, match="2 different ones"):
        compare.model_names(files, "x")


def test_graph_survives_both_formats(tmp_path):
    graph = nx.Graph()
    graph.add_node(("m0", 3), cluster=np.int64(1), level=None, rate=np.float64(0.5))
    graph.add_node(("m1", 4), cluster=np.int64(1))
    graph.add_edge(("m0", 3), ("m1", 4), weight=np.float32(0.75), r_token=float("nan"))
    compare._write_graph(graph, tmp_path)
    for found in (
        nx.read_graphml(tmp_path / "graph.graphml"),
        nx.node_link_graph(json.loads((tmp_path / "graph.json").read_text()), edges="edges"),
    ):
        assert set(found) == {"m0/3", "m1/4"}
        assert found.nodes["m0/3"] == {"model": "m0", "latent": 3, "cluster": 1, "rate": 0.5}
        assert found.edges["m0/3", "m1/4"] == {"weight": 0.75}


def test_tables_are_written_twice(tmp_path):
    table = pd.DataFrame({"a": [1, 2], "b": ["x", None]})
    parquet, csv = compare._write_table(table, tmp_path / "t")
    pd.testing.assert_frame_equal(pd.read_parquet(parquet), table)
    assert csv.read_text().splitlines()[0] == "a,b"
