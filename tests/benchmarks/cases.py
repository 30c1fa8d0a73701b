"""What the benchmarks time, each against the plain way of doing it.

``python cases.py '{"case": "correlate", …}'`` runs one case in a process of its own and prints its figures as JSON:
peaks of memory do not leak from one case into the next. Inputs are made by another process and read from files,
so a peak holds the inputs and the work, not their making. Code is compiled before a clock starts.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from contextlib import nullcontext
from pathlib import Path

import numpy as np
from scipy import sparse
from threadpoolctl import threadpool_limits

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1] / "support")]
from random_latents import zipf_sparse

K, TOP, SHARED, KEPT = 32, 64, 0.3, 0.7
SLICE, BLOCK, FLOPS = 1024, 2048, 2e11
NAMES = ("data", "indices", "indptr")


def planted_pair(d: int, rows: int):
    """Two dictionaries that share three latents in ten, of these seven firings in ten.

    Up to K active latents per row (repeated draws are one), rates falling like 1 / rank.
    """
    rng = np.random.default_rng(0)
    a, noise = zipf_sparse(rows, d, K, 1).tocoo(), zipf_sparse(rows, d, K, 2).tocoo()
    kept = (rng.random(a.nnz) < KEPT) & (rng.random(d) < SHARED)[a.col]
    added = rng.random(noise.nnz) < 1 - KEPT * SHARED
    columns = np.concatenate([rng.permutation(d)[a.col[kept]], noise.col[added]])
    at = np.concatenate([a.row[kept], noise.row[added]])
    values = np.concatenate([a.data[kept], noise.data[added]])
    return a.tocsr(), sparse.coo_array((values, (at, columns)), shape=(rows, d)).tocsr()


def prepare(folder: str, d: int, rows: int) -> dict:
    """Write a pair of dictionaries."""
    pair = planted_pair(d, rows)
    for side, matrix in zip("ab", pair, strict=True):
        for name in NAMES:
            np.save(Path(folder) / f"{side}_{name}.npy", getattr(matrix, name))
    return {"active": [matrix.nnz / rows for matrix in pair]}


def _read(folder: str, d: int, rows: int):
    return [
        sparse.csr_array(tuple(np.load(Path(folder) / f"{side}_{name}.npy") for name in NAMES), (rows, d))
        for side in "ab"
    ]


class Clock:
    """Wall and processor seconds of a ``with`` block, and the peak of the process at its end."""

    def __enter__(self):
        self._start = time.perf_counter(), time.process_time()
        return self

    def __exit__(self, *_):
        self.wall = time.perf_counter() - self._start[0]
        self.cpu = time.process_time() - self._start[1]
        self.peak_gb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9

    def figures(self) -> dict:
        return {"wall": self.wall, "cpu": self.cpu, "peak_gb": self.peak_gb}


def correlate(folder: str, d: int, rows: int, threads: int) -> dict:
    """The best 64 both ways."""
    from universality.correlation import correlate as work

    a, b = _read(folder, d, rows)
    work(a[:64], b[:64], top=TOP, threads=threads)
    with Clock() as clock:
        found = work(a, b, top=TOP, threads=threads)
    return {**clock.figures(), "pairs": int(found.r.size)}


def beside_rival(folder: str, d: int, rows: int, threads: int, rounds: int = 3) -> dict:
    """correlate and the public ``sparse_dot_topn`` in turn, in one process: medians of processor seconds.

    The rival does less: products of both directions without centring or scaling, the best 64 of each. Its transposes
    are timed, as ours are.
    """
    from sparse_dot_topn import sp_matmul_topn  # pyright: ignore[reportMissingImports]

    from universality.correlation import correlate as work

    a, b = _read(folder, d, rows)
    rows_a, rows_b = sparse.csr_matrix(a), sparse.csr_matrix(b)

    def rival() -> None:
        for left, right in ((rows_a, rows_b), (rows_b, rows_a)):
            sp_matmul_topn(left.T.tocsr(), right, TOP, n_threads=threads)

    work(a[:64], b[:64], top=TOP, threads=threads)
    seconds: dict[str, list[float]] = {"correlate": [], "rival": []}
    for _ in range(rounds):
        for name, call in (("correlate", lambda: work(a, b, top=TOP, threads=threads)), ("rival", rival)):
            with Clock() as clock:
                call()
            seconds[name].append(clock.cpu)
    return {name: float(np.median(times)) for name, times in seconds.items()}


def scaling(folder: str, d: int, rows: int) -> dict:
    """What one thread, two and sixteen need, and how much of it the calling thread does (with one: all).

    ``allowed`` is how many times faster sixteen cores can be by this: the processor seconds of sixteen threads, divided
    by sixteen but for those of the calling thread. What threads take from each other's memory it does not know.
    """
    from universality.correlation import correlate as work

    a, b = _read(folder, d, rows)
    figures: dict = {}
    for threads in (1, 2, 16):
        work(a[:64], b[:64], top=TOP, threads=threads)
        before = time.thread_time()
        with Clock() as clock:
            work(a, b, top=TOP, threads=threads)
        figures[str(threads)] = {"wall": clock.wall, "cpu": clock.cpu, "alone": time.thread_time() - before}
    alone, cpu = figures["16"]["alone"], figures["16"]["cpu"]
    return {**figures, "allowed": figures["1"]["cpu"] / (alone + (cpu - alone) / 16)}


def maxima(folder: str, d: int, rows: int, threads: int) -> dict:
    """One shift of the null: sides laid out before, as for many shifts."""
    from universality.correlation.sparse_pairwise import correlation_maxima

    a, b = _read(folder, d, rows)
    correlation_maxima(a[:64], b[:64], threads=threads)(None)
    shift = np.roll(np.arange(rows), rows // 3)
    shifted = correlation_maxima(a, b, threads=threads)
    shifted(shift[::-1].copy())  # lays out what is made once
    with Clock() as clock:
        shifted(shift)
    return clock.figures()


def dense_product(folder: str, d: int, rows: int, threads: int) -> dict:
    """The plain way: a float32 product of densified rows, timed on a slice and taken as linear.

    It is favoured: neither making rows dense, nor adding up or keeping the d x d result, nor its lists are timed.
    """
    a, b = (m[:SLICE].toarray() for m in _read(folder, d, rows))
    columns = min(d, BLOCK * max(1, int(FLOPS / (2 * SLICE * d * BLOCK))))
    out = np.empty((min(BLOCK, d), d), np.float32)

    def product() -> None:
        for first in range(0, columns, BLOCK):
            block = a[:, first : min(first + BLOCK, columns)]
            np.dot(block.T, b, out=out[: block.shape[1]])

    product()
    timed = []
    for _ in range(3):
        with Clock() as clock:
            product()
        timed.append(clock.figures())
    best = min(timed, key=lambda figures: figures["cpu"])
    scale = rows / SLICE * d / columns
    return {
        "wall": best["wall"] * scale,
        "cpu": best["cpu"] * scale,
        "peak_gb": best["peak_gb"],
        "timed_wall": best["wall"],
        "gflops_per_cpu_s": 2e-9 * SLICE * columns * d / best["cpu"],
    }


def assign(folder: str, d: int, rows: int, threads: int, exact: bool = True) -> dict:
    """On the candidates of top 64, then over all pairs (with its passes over the activations)."""
    from universality.correlation import correlate as similar
    from universality.correlation.sparse_pairwise import pairs_above
    from universality.matching import match

    a, b = _read(folder, d, rows)
    few = a[:64], b[:64]
    match(similar(*few, top=TOP, threads=threads), search=pairs_above(*few, threads=threads), threads=threads)
    similarity = similar(a, b, top=TOP, threads=threads)
    with Clock() as clock:
        found = match(similarity, threads=threads)
    out = {"candidates": {**clock.figures(), "objective": found.objective, "certificate": found.certificate}}
    if exact:
        with Clock() as clock:
            found = match(similarity, search=pairs_above(a, b, threads=threads), threads=threads)
        out["exact"] = {**clock.figures(), "objective": found.objective, "certificate": found.certificate}
    return out


def scipy_dense(folder: str, d: int, rows: int, threads: int) -> dict:
    """scipy's dense solver on the full matrix of max(r, 0); making the matrix is not timed."""
    from scipy.optimize import linear_sum_assignment

    from universality.correlation.sparse_pairwise import pairs_above

    a, b = _read(folder, d, rows)
    weight = np.zeros((d, d))
    ia, ib, r = pairs_above(a, b, threads=threads)(np.zeros(d), np.zeros(d))
    weight[ia, ib] = r
    filled, (a, b, ia, ib, r) = r.size, (None,) * 5
    with Clock() as clock:
        at = linear_sum_assignment(weight, maximize=True)
    return {**clock.figures(), "objective": float(weight[at].sum()), "filled": filled / d**2}


def sae(d_in: int, d_sae: int, k: int, threads: int, rounds: int = 10) -> dict:
    """Rows per second of one training step, of the plain dense step, and of the encoder's product alone."""
    import torch
    from bench_sae import BATCH, RATES, rows, sparse_step
    from dense_topk import DenseTopK

    torch.set_num_threads(threads)
    x = rows(d_in)
    step, dense = sparse_step(d_in, d_sae, k), DenseTopK(d_in, d_sae, k)
    optimizer = torch.optim.Adam(dense.parameters(), lr=1e-4)
    weight, out = torch.randn(d_sae, d_in), torch.empty(BATCH, d_sae)
    nobody = torch.empty(0, dtype=torch.int64)
    works = {
        "step": lambda: step.step(x, nobody, RATES),
        "encoder": lambda: torch.mm(x, weight.T, out=out),
        "dense": lambda: dense.step(x, optimizer),
    }
    figures = {}
    for name, work in works.items():
        work()
        walls = []
        for _ in range(rounds if name != "dense" else 3):
            with Clock() as clock:
                work()
            walls.append(clock.wall)
        figures[name] = BATCH / min(walls)
    step.close()
    return {**figures, "peak_gb": clock.peak_gb}


CASES = {
    f.__name__: f for f in (prepare, correlate, beside_rival, scaling, maxima, dense_product, assign, scipy_dense, sae)
}

if __name__ == "__main__":
    arguments = json.loads(sys.argv[1])
    case = CASES[arguments.pop("case")]
    limits = threadpool_limits(arguments["threads"]) if "threads" in arguments else nullcontext()
    with limits:
        sys.stdout.write(json.dumps(case(**arguments)) + "\n")
