"""The border of matrices: whatever is wrong with what comes in, the numbers are scipy's or there is one sentence."""

from __future__ import annotations

import io

import numpy as np
import pytest
from borders import at_length, outcome, quick
from hypothesis import given
from hypothesis import strategies as st
from random_latents import pearson, varies
from scipy import sparse

from pipelines.cli.arrays import load_matrix, load_rows
from universality.correlation import correlate
from universality.matrices import as_csr

VALUES = st.one_of(
    st.floats(width=32), st.integers(-3, 3), st.sampled_from([1e-160, 1e-31, 1e31, 1e155, -0.0, 5e-324, 1.7e308])
)
KINDS = ["f4", "f8", "i1", "i8", "u2", "?", "f2", ">f8", "c8"]


@st.composite
def damaged(draw):
    """A sparse matrix as its arrays say, with some numbers of them replaced."""
    n_rows, n = draw(st.integers(1, 8)), draw(st.integers(1, 6))
    format_ = draw(st.sampled_from(["csr", "csc", "coo"]))
    dense = np.array(
        draw(st.lists(st.lists(st.integers(0, 2), min_size=n, max_size=n), min_size=n_rows, max_size=n_rows))
    )
    made = sparse.csr_array(dense.astype(float)).asformat(format_)
    made.data = np.array([draw(VALUES) for _ in made.data], dtype=float)
    with np.errstate(all="ignore"):
        made.data = made.data.astype(draw(st.sampled_from(KINDS)))
    parts = [made.indptr, made.indices] if format_ != "coo" else list(made.coords)
    for part in parts:
        for _ in range(draw(st.integers(0, 2))):
            if part.size:
                part[draw(st.integers(0, part.size - 1))] += draw(st.integers(-3, 3))
    if draw(st.booleans()):
        made._shape = draw(st.tuples(st.integers(1, 9), st.integers(1, 7)))
    return made


def reference(made):
    """Dense float64 values, added up one by one; None where the arrays of a matrix contradict each other."""
    if made.format == "coo":
        places = list(zip(*made.coords, made.data, strict=True))
    else:
        n_major = made.shape[made.format == "csc"]
        if len(made.indptr) != n_major + 1 or made.indptr[0] or made.indptr[-1] != made.data.size:
            return None
        if (np.diff(made.indptr) < 0).any():
            return None
        major = np.repeat(np.arange(n_major), np.diff(made.indptr))
        index = (made.indices, major) if made.format == "csc" else (major, made.indices)
        places = list(zip(*index, made.data, strict=True))
    dense = np.zeros(made.shape)
    for row, column, value in places:
        if not (0 <= row < made.shape[0] and 0 <= column < made.shape[1]):
            return None
        with np.errstate(all="ignore"):
            dense[row, column] += value
    return dense


def check_understood_or_refused(made):
    found, sentence = outcome(lambda: as_csr(made, "A"))
    if sentence is not None:
        assert " must be " in sentence
        truth = None if made.dtype.kind == "c" else reference(made)
        if truth is not None and np.isfinite(made.data.astype(float)).all():
            peak = np.abs(truth).max(axis=0)
            assert ((peak != 0) & ((peak > 1e30) | (peak < 1e-30))).any(), "refused without a reason"
        return
    truth = reference(made)
    assert truth is not None, "indices that point nowhere were accepted"
    assert np.isfinite(truth).all()
    np.testing.assert_allclose(found.toarray(), truth, rtol=1e-6, atol=1e-44)
    assert found.has_canonical_format
    assert found.data.all()
    result = correlate(made, truth, top=8, threads=1)
    expected = pearson(truth, truth)
    alive = varies(truth)
    for a, b, r in zip(result.indices_a, result.indices_b, result.r, strict=True):
        if alive[a] and alive[b]:
            assert r == pytest.approx(expected[a, b], abs=1e-6)


@quick
@given(damaged())
def test_sparse_matrices_are_understood_exactly_or_refused(made):
    check_understood_or_refused(made)


@pytest.mark.slow
@at_length(2)
@given(damaged())
def test_sparse_matrices_are_understood_exactly_or_refused_at_length(made):
    check_understood_or_refused(made)


@st.composite
def damaged_files(draw):
    """Bytes of an array file, some of them replaced or left out."""
    buffer = io.BytesIO()
    kind = draw(st.sampled_from(["npy", "npz", "sparse"]))
    array = np.arange(12.0).reshape(4, 3)
    if kind == "npy":
        np.save(buffer, array)
    elif kind == "npz":
        np.savez(buffer, documents=np.array([0, 0, 1, 1]))
    else:
        sparse.save_npz(buffer, sparse.csr_array(array))
    content = bytearray(buffer.getvalue())
    for _ in range(draw(st.integers(0, 4))):
        content[draw(st.integers(0, len(content) - 1))] = draw(st.integers(0, 255))
    return bytes(content[: draw(st.sampled_from([len(content), draw(st.integers(0, len(content)))]))])


def check_file(content, folder):
    path = folder / "given.npz"
    path.write_bytes(content)
    for load in (load_matrix, lambda path: load_rows(path, "documents")):
        _, sentence = outcome(lambda load=load: load(path))
        assert sentence is None or "given.npz" in sentence


@quick
@given(damaged_files())
def test_damaged_files_are_read_or_refused(tmp_path_factory, content):
    check_file(content, tmp_path_factory.getbasetemp())


@pytest.mark.slow
@at_length(2)
@given(damaged_files())
def test_damaged_files_are_read_or_refused_at_length(tmp_path_factory, content):
    check_file(content, tmp_path_factory.getbasetemp())
