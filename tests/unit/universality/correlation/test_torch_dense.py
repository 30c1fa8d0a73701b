"""Similarities by way of a device against the CPU kernel's, byte for byte."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch
from random_latents import latents, zipf_sparse
from scipy import sparse
from torch._subclasses.fake_tensor import FakeTensorMode

from universality.correlation import correlate, correlate_dense, torch_blocks, torch_dense
from universality.correlation.operands import operands
from universality.correlation.torch_blocks import Sizes
from universality.correlation.torch_dense import correlate_on
from universality.errors import InputError

CPU, GPU = torch.device("cpu"), torch.device("cuda")
SMALL, FEW = Sizes(rows=97, latents=16), Sizes(rows=1999, latents=128)
# Rows, latents of a and b, density, top: neither rows nor latents are multiples of a block; top larger than d.
SHAPES = [(300, 20, 35, 0.1, 5), (60, 40, 30, 0.02, 7), (1500, 50, 61, 0.01, 20), (90, 10, 12, 0.5, 64)]


def random_pair(n, n_a, n_b, density):
    """Dead, constant, single-row latents, twins, and dense ones with mean / std 100."""
    rng = np.random.default_rng(n)
    x, y = latents(rng, n, n_a, density), latents(rng, n, n_b, density)
    y[:, 2] = 200.0 - 0.5 * x[:, 2] + 0.2 * rng.normal(size=n)
    y[:, 8] = -x[:, 8]  # negative values
    return sparse.csr_matrix(x), sparse.csr_matrix(y)


def ties(n=400, d=40):
    """Every latent has four equals, so that lists end in the middle of a tie."""
    x = latents(np.random.default_rng(0), n, d, 0.05)
    return sparse.csr_matrix(np.repeat(x, 4, axis=1)), sparse.csr_matrix(np.tile(x, (1, 4)))


WORLDS = {
    **{str(shape): (*random_pair(*shape[:4]), shape[4]) for shape in SHAPES},
    "ties": (*ties(), 6),
    "zipf": (zipf_sparse(900, 130, 8, 1), zipf_sparse(900, 90, 8, 2), 9),
    "float64": (*(m.astype(np.float64) for m in random_pair(200, 30, 30, 0.1)), 4),
    "one row": (sparse.csr_matrix(np.ones((1, 4))), sparse.csr_matrix(np.ones((1, 3))), 2),
    "no rows": (sparse.csr_matrix((0, 4)), sparse.csr_matrix((0, 3)), 2),
    "no latents": (sparse.csr_matrix((5, 0)), zipf_sparse(5, 4, 2, 1), 2),
    "nothing fires": (sparse.csr_matrix((5, 6)), zipf_sparse(5, 4, 2, 1), 2),
}


def assert_same_bytes(found, want):
    for name, value in want.to_arrays().items():
        assert found.to_arrays()[name].tobytes() == value.tobytes(), name


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("sizes", [SMALL, torch_blocks.DEFAULT_SIZES], ids=["small blocks", "one block"])
@pytest.mark.parametrize("world", WORLDS)
def test_bytes_are_those_of_the_cpu_kernel(world, sizes, dtype):
    x, y, top = WORLDS[world]
    found = correlate_on(x, y, top=top, device="cpu", threads=2, sizes=sizes, dtype=dtype)
    assert_same_bytes(found, correlate(x, y, top=top))


def test_correlate_takes_the_device():
    x, y, top = WORLDS["zipf"]
    assert_same_bytes(correlate(x, y, top=top, device="cpu"), correlate(x, y, top=top))


def test_one_dense_side_counts_as_sparse():
    x, y, top = WORLDS[str(SHAPES[0])]
    assert_same_bytes(correlate(x.toarray(), y, top=top, device="cpu"), correlate(x, y, top=top))


def test_bounds_settle_most_lists_and_only_the_rest_is_walked(monkeypatch):
    x, y = zipf_sparse(20_000, 400, 8, 3), zipf_sparse(20_000, 300, 8, 4)
    walked = []
    walk = torch_dense.exact_lists

    def counted(left, right, places, *rest):
        walked.append(places.size)
        return walk(left, right, places, *rest)

    monkeypatch.setattr(torch_dense, "exact_lists", counted)
    found = correlate_on(x, y, top=8, device="cpu", sizes=FEW)
    assert sum(walked) < 20
    assert_same_bytes(found, correlate(x, y, top=8))


@pytest.mark.parametrize("world", ["(300, 20, 35, 0.1, 5)", "(1500, 50, 61, 0.01, 20)", "ties", "zipf"])
def test_upper_bounds_are_above_every_similarity(world):
    x, y, _ = WORLDS[world]
    left, right = operands(x, y)
    a, b = (torch_blocks.SparseOperand(side, SMALL, CPU, torch.float32) for side in (left, right))
    kept, _ = torch_blocks.nominate(a, b, (b.n, a.n), SMALL, CPU)
    upper = np.zeros((a.n, b.n))
    np.put_along_axis(upper, kept.partner.numpy(), kept.upper.numpy(), axis=1)
    full = correlate(x, y, top=max(x.shape[1], y.shape[1]))
    exact = np.full((x.shape[1], y.shape[1]), np.nan)
    exact[full.indices_a, full.indices_b] = full.r
    exact = exact[np.ix_(left.ids, right.ids)]
    assert (upper >= exact).all()
    assert (upper - exact).max() < 1e-3


def test_a_device_that_rounds_worse_than_promised_is_not_believed(monkeypatch):
    exact = torch_blocks.SparseOperand.dense
    monkeypatch.setattr(
        torch_blocks.SparseOperand, "dense", lambda *given: exact(*given).to(torch.bfloat16).to(torch.float32)
    )
    x, y, top = WORLDS["zipf"]
    with pytest.warns(RuntimeWarning, match="less exact than its arithmetic promises"):
        found = correlate_on(x, y, top=top, device="cpu", sizes=SMALL)
    assert_same_bytes(found, correlate(x, y, top=top))


@pytest.mark.parametrize("shape", [(300, 20, 35, 5), (1001, 40, 33, 64), (50, 7, 9, 3)], ids=str)
def test_dense_inputs_agree_to_twelve_digits(shape):
    n, d_x, d_y, top = shape
    rng = np.random.default_rng(n)
    x, y = rng.normal(size=(n, d_x)).astype(np.float32), rng.normal(size=(n, d_y))
    x[:, 0], x[:, 1], y[:, 1], y[:, 2] = 0.0, 3.0, 100.0 + rng.normal(size=n), x[:, 2]
    found, want = correlate_on(x, y, top=top, device="cpu", sizes=SMALL), correlate_dense(x, y, top=top)
    for name in ("indices_a", "indices_b"):
        np.testing.assert_array_equal(getattr(found, name), getattr(want, name))
    for name in ("r", "cutoff_a", "cutoff_b"):
        np.testing.assert_allclose(getattr(found, name), getattr(want, name), atol=1e-12)


def test_dense_inputs_without_a_defined_correlation():
    found = correlate_on(np.ones((9, 4)), np.zeros((9, 3)), top=2, device="cpu")
    assert found.r.size == 0
    assert not found.cutoff_a.any()


@pytest.mark.parametrize("kind", ["sparse", "dense"])
def test_every_tensor_of_the_pass_stays_on_a_fake_gpu(kind, monkeypatch):
    x, y, _ = WORLDS["zipf"]
    left, right = operands(x, y)
    seen = []
    sizes = Sizes(rows=500, latents=70)

    def fake_put(array, device):
        held = torch.empty(array.shape, dtype=getattr(torch, array.dtype.name), device=device)
        seen.append(held.device.type)
        return held

    monkeypatch.setattr(torch_blocks, "put", fake_put)
    with FakeTensorMode(), torch.no_grad():
        if kind == "sparse":
            a, b = (torch_blocks.SparseOperand(side, sizes, GPU, torch.float32) for side in (left, right))
        else:
            arrays = x.toarray(), y.toarray()
            a, b = (torch_blocks.DenseOperand(m, torch_dense.dense_moments(m), sizes, GPU) for m in arrays)
        for kept in torch_blocks.nominate(a, b, (12, 11), sizes, GPU):
            assert {part.device.type for part in kept} == {"cuda"}
            assert kept.upper.dtype == torch.float64
    assert set(seen) == {"cuda"}


def test_tf32_is_off_inside_and_as_before_outside():
    held = torch.backends.mkldnn.matmul, torch.backends.cuda.matmul
    before = [switch.fp32_precision for switch in held]
    try:
        for switch in held:
            switch.fp32_precision = "tf32"
        with torch_blocks.full_precision(CPU):
            assert {switch.fp32_precision for switch in held} == {"ieee"}
            assert not torch.is_grad_enabled()
        assert {switch.fp32_precision for switch in held} == {"tf32"}
    finally:
        for switch, value in zip(held, before, strict=True):
            switch.fp32_precision = value


@pytest.mark.parametrize("device", ["gpu", "meta", "cuda:99", ""])
def test_a_device_that_is_not_there_is_refused(device):
    x, y, _ = WORLDS["zipf"]
    with pytest.raises(
        InputError, match=r"device of correlate must be 'cpu', or a CUDA device of this machine"
    ):
        correlate(x, y, device=device)


def test_different_rows_are_refused():
    with pytest.raises(InputError, match="number of rows of B must be 4"):
        correlate(sparse.csr_matrix((4, 2)), sparse.csr_matrix((5, 2)), device="cpu")


def test_torch_is_not_imported_without_a_device():
    code = """
import sys
from scipy import sparse
from universality.correlation import correlate
correlate(sparse.eye_array(4), sparse.eye_array(4))
assert "torch" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
@pytest.mark.parametrize("world", WORLDS)
def test_a_gpu_gives_the_bytes_of_the_cpu_kernel(world):
    x, y, top = WORLDS[world]
    assert_same_bytes(correlate(x, y, top=top, device="cuda"), correlate(x, y, top=top))
    found = correlate_on(x, y, top=top, device="cuda", sizes=SMALL)
    assert_same_bytes(found, correlate(x, y, top=top))
