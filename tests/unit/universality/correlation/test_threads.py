"""No phase of a correlation that grows with its input is left to one thread."""

from __future__ import annotations

import threading
from collections import Counter

import numpy as np
import pytest
from numba.core.registry import CPUDispatcher
from random_latents import zipf_sparse  # pyright: ignore[reportMissingImports]
from scipy import sparse

from universality import matrices
from universality.correlation import correlate, inputs, kernels, list_filling, list_union, operands, top_lists
from universality.correlation import sparse_pairwise as pairwise
from universality.correlation.sparse_pairwise import correlation_maxima, pairs_above

MODULES = (inputs, kernels, list_filling, list_union, operands, top_lists, pairwise)


@pytest.fixture
def world():
    """Enough latents and entries for every phase to be cut into pieces; a constant latent, as layouts drop those."""
    x, y = zipf_sparse(12_000, 2500, 24, 1), zipf_sparse(12_000, 2300, 24, 2)
    return x, sparse.hstack([y, np.ones((12_000, 1), np.float32)]).tocsr()  # pyright: ignore


@pytest.fixture
def calls(monkeypatch):
    """(kernel, whether the calling thread ran it) of every call of compiled code from Python."""
    counted: Counter[tuple[str, bool]] = Counter()

    def counting(name, kernel):
        def call(*args):
            counted[name, threading.current_thread() is threading.main_thread()] += 1
            return kernel(*args)

        return call

    def start():
        for module in MODULES:
            for name, kernel in list(vars(module).items()):
                if isinstance(kernel, CPUDispatcher):
                    monkeypatch.setattr(module, name, counting(name, kernel))
        return counted

    return start


@pytest.mark.parametrize(
    "work",
    [
        lambda x, y: correlate(x, y, top=6, threads=3),
        lambda x, y: correlation_maxima(x, y, threads=3)(None),
        lambda x, y: pairs_above(x, y, threads=3)(np.full(x.shape[1], 0.2), np.full(y.shape[1], 0.2)),
    ],
    ids=["correlate", "maxima", "search"],
)
def test_every_kernel_runs_in_pieces_on_threads_beside_the_caller(world, calls, work):
    work(*world)  # compiled before the calls are counted: compiled code calls compiled code
    counted = calls()
    work(*world)
    assert {"_count_columns", "_turn", "_column_sums", "_interleave"} <= {name for name, _ in counted}
    assert not {name for name, by_caller in counted if by_caller}
    assert min(counted.values()) > 1, counted


def test_every_entry_of_an_input_is_looked_at_on_threads(world, monkeypatch):
    seen: Counter[bool] = Counter()
    real = matrices.over_blocks

    def counting(work, ranges, states):
        def call(state, first, last):
            seen[threading.current_thread() is threading.main_thread()] += 1
            work(state, first, last)

        real(call, ranges, states)

    monkeypatch.setattr(matrices, "over_blocks", counting)
    x, _ = world
    assert x.nnz > matrices._ENTRIES, "one piece is no test"
    matrices.as_csr(x, "A", threads=2)
    assert seen[False] == 3 * -(-x.nnz // matrices._ENTRIES)  # indices, their order, values
    assert not seen[True]
