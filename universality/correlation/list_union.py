"""Both sides' lists of best partners as one list of pairs, sorted and without repetitions."""

from itertools import pairwise

import numpy as np

from universality.compiled import njit
from universality.correlation.threads import blocks, over_blocks
from universality.correlation.top import TopSimilarity

_LATENTS = 1024


def from_lists(
    lists_a: tuple[np.ndarray, np.ndarray],
    lists_b: tuple[np.ndarray, np.ndarray],
    alive_a: np.ndarray,
    alive_b: np.ndarray,
    n_rows: int,
    top: int,
    threads: int = 1,
) -> TopSimilarity:
    """Join the lists of both sides into one similarity.

    Args:
        lists_a: ``(partners (n_a, top) int32 padded with -1, r (n_a, top))``, in any order within a row.
        lists_b: the same for side b; of a pair that is in both lists, r is the same.
        alive_a: (n_a,) which latents of a have a defined correlation.
        alive_b: (n_b,) the same for b.
        n_rows: rows behind the similarities.
        top: length asked for.
        threads: threads to use; no byte of the result depends on it.

    Returns:
        The union of both lists.
    """
    n_a, n_b, everywhere = alive_a.size, alive_b.size, [None] * threads
    # Lists of b, turned round: counted per range of b and latent of a, so that every range knows where its pairs go,
    # and rising in b by themselves.
    edges = np.linspace(0, n_b, threads + 1).astype(np.int64)
    counts = np.zeros((threads + 1, n_a + 1), np.int64)

    def count(_: None, part: int, __: int) -> None:
        _count_partners(lists_b[0], edges[part], edges[part + 1], counts[part + 1])

    over_blocks(count, pairwise(range(threads + 1)), everywhere)
    starts = np.concatenate([[0], np.cumsum(counts[:, :n_a].sum(axis=0))])
    counts[0] = starts
    at = np.cumsum(counts, axis=0)
    of_b, r_of_b = np.empty(starts[-1], np.int32), np.empty(starts[-1])

    def turn(_: None, part: int, __: int) -> None:
        _turn_round(*lists_b, edges[part], edges[part + 1], at[part], of_b, r_of_b)

    over_blocks(turn, pairwise(range(threads + 1)), everywhere)
    sizes, marks = np.zeros(n_a + 1, np.int64), [np.full(n_b, -1, np.int32) for _ in range(threads)]

    def measure(mark: np.ndarray, first: int, last: int) -> None:
        _union_sizes(lists_a[0], starts, of_b, first, last, mark, sizes)

    over_blocks(measure, blocks(n_a, _LATENTS), marks)
    ends = np.cumsum(sizes)
    indices_a, indices_b, r = np.empty(ends[-1], np.int32), np.empty(ends[-1], np.int32), np.empty(ends[-1])

    def join(_: None, first: int, last: int) -> None:
        _unite(*lists_a, starts, of_b, r_of_b, first, last, ends, indices_a, indices_b, r)

    over_blocks(join, blocks(n_a, _LATENTS), everywhere)
    return TopSimilarity(
        n_a=n_a, n_b=n_b, n_rows=n_rows, indices_a=indices_a, indices_b=indices_b, r=r,
        cutoff_a=_cutoffs(lists_a, alive_a, alive_b, threads), cutoff_b=_cutoffs(lists_b, alive_b, alive_a, threads),
        top=top,
    )  # fmt: skip


@njit(nogil=True)
def _count_partners(partners, first, last, counts):
    for b in range(first, last):
        for k in range(partners.shape[1]):
            if partners[b, k] >= 0:
                counts[partners[b, k]] += 1


@njit(nogil=True)
def _turn_round(partners, r, first, last, at, of_b, r_of_b):
    for b in range(first, last):
        for k in range(partners.shape[1]):
            a = partners[b, k]
            if a >= 0:
                of_b[at[a]], r_of_b[at[a]] = b, r[b, k]
                at[a] += 1


@njit(nogil=True)
def _union_sizes(partners, starts, of_b, first, last, mark, sizes):
    for a in range(first, last):
        n = starts[a + 1] - starts[a]
        for s in range(starts[a], starts[a + 1]):
            mark[of_b[s]] = a
        for b in partners[a]:
            n += b >= 0 and mark[b] != a
        sizes[a + 1] = n


@njit(nogil=True)
def _unite(partners, r, starts, of_b, r_of_b, first, last, ends, out_a, out_b, out_r):
    for a in range(first, last):
        at, s, stop, row = ends[a], starts[a], starts[a + 1], partners[a]
        out_a[at : ends[a + 1]] = a
        for k in np.argsort(row):
            b = row[k]
            if b < 0:
                continue
            while s < stop and of_b[s] < b:
                out_b[at], out_r[at] = of_b[s], min(max(r_of_b[s], -1.0), 1.0)
                s, at = s + 1, at + 1
            s += s < stop and of_b[s] == b
            out_b[at], out_r[at] = b, min(max(r[a, k], -1.0), 1.0)
            at += 1
        for rest in range(s, stop):
            out_b[at], out_r[at] = of_b[rest], min(max(r_of_b[rest], -1.0), 1.0)
            at += 1


@njit(nogil=True)
def _lowest(partners, r, first, last, listed, lowest):
    for at in range(first, last):
        for k in range(partners.shape[1]):
            if partners[at, k] >= 0:
                listed[at] += 1
                lowest[at] = min(lowest[at], r[at, k])


def _cutoffs(lists: tuple[np.ndarray, np.ndarray], alive: np.ndarray, others: np.ndarray, threads: int) -> np.ndarray:
    """Upper bound of each latent's similarity with everything outside its own list."""
    listed, lowest = np.zeros(alive.size, np.int64), np.ones(alive.size)

    def work(_: None, first: int, last: int) -> None:
        _lowest(*lists, first, last, listed, lowest)

    over_blocks(work, blocks(alive.size, _LATENTS), [None] * threads)
    # Undefined similarities are 0 and never listed; with none of them, nothing is left out of a full list.
    rest = 0.0 if not others.all() else -1.0
    return np.where(alive, np.where(listed >= others.sum(), rest, np.maximum(lowest, rest)), 0.0)
