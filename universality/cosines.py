"""Cosines of two sets of directions: the best of every direction both ways, block by block, never all at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import product
from typing import NamedTuple

import numpy as np

from universality.blas import on_one_blas_thread
from universality.compiled import njit
from universality.correlation.list_union import from_lists
from universality.correlation.threads import blocks, n_threads, over_blocks
from universality.correlation.top import TopSimilarity
from universality.errors import require
from universality.matching.candidates import Candidates, missing_excess

#: Cosines in memory at one time and thread: 2 MB, which stay near the processor while they are looked through.
_ROWS, _COLUMNS = 512, 1024


class Best(NamedTuple):
    """Lists of best partners, (n, top) int32, and their float32 cosines: heaps, the worst entry first."""

    partner: np.ndarray
    cosine: np.ndarray

    @classmethod
    def empty(cls, n: int, top: int) -> Best:
        """Lists that any pair may enter."""
        return cls(np.full((n, top), np.iinfo(np.int32).max, np.int32), np.full((n, top), -np.inf, np.float32))


class Cosines:
    """All cosines of two sets of directions, of which a block is computed when it is looked at.

    Blocks are products of float32, which only say which pairs are listed; what is listed is computed again in float64,
    and cut-offs are raised by what float32 can be wrong by.

    Attributes:
        rows: (n_a, d) and (n_b, d), as given.
        norms: (n_a,) and (n_b,) float64 lengths.
        alive: (n_a,) and (n_b,) bool: which have a length.
        error: upper bound of what rounding to and in float32 adds to a cosine.
    """

    def __init__(self, a: np.ndarray, b: np.ndarray, threads: int | None = 1) -> None:
        remedy = "Only directions of one space have a cosine."
        require(a.shape[1] == b.shape[1], "width", "b", f"{a.shape[1]}, as of a", b.shape[1], remedy)
        self.rows = np.ascontiguousarray(a), np.ascontiguousarray(b)
        self.norms = _norms(self.rows[0]), _norms(self.rows[1])
        self.alive = self.norms[0] > 0, self.norms[1] > 0
        # Two roundings of each factor and d of the sum, relative to the sum of |x_i y_i| <= |x| |y| = 1 (Higham 2002).
        steps = (a.shape[1] + 5) * 2.0**-24
        self.error = steps / (1 - steps)
        self.threads = n_threads(threads)

    @on_one_blas_thread
    def lists(self, top: int) -> tuple[TopSimilarity, TopSimilarity]:
        """The ``top`` best partners of every direction of either side: by cosine, and by ``|cos|``.

        Every block is computed once for both and for both sides. Entries have a total order (falling cosine, rising
        number), so that no byte depends on who met whom first, nor on the number of threads.
        """
        ids = [np.flatnonzero(alive) for alive in self.alive]
        x, y = (self._units(side, at).astype(np.float32) for side, at in enumerate(ids))
        widths = min(top, len(y)), min(top, len(x))
        of_b = [Best.empty(len(y), widths[1]) for _ in range(2)]
        # A thread owns the columns in its hand; of the rows each thread has lists of its own.
        of_a = [[Best.empty(len(x), widths[0]) for _ in range(2)] for _ in range(self.threads)]

        def walk(own: list[Best], first: int, last: int) -> None:
            part = [Best(best.partner[first:last], best.cosine[first:last]) for best in of_b]
            for start, stop in blocks(len(x), _ROWS):
                _offer(x[start:stop] @ y[first:last].T, start, first, *own[0], *part[0], *own[1], *part[1])

        if len(x) and len(y):
            over_blocks(walk, blocks(len(y), _COLUMNS), of_a)
        for (mine, theirs), sign in product(((of_a[0], own) for own in of_a[1:]), range(2)):
            _join(*mine[sign], *theirs[sign])
        del x, y
        return self._listed(of_a[0][0], of_b[0], ids, top, False), self._listed(of_a[0][1], of_b[1], ids, top, True)

    def _listed(self, of_a: Best, of_b: Best, ids: list[np.ndarray], top: int, absolute: bool) -> TopSimilarity:
        full = []
        for side, best in enumerate((of_a, of_b)):
            shape = len(self.alive[side]), best.partner.shape[1]
            full.append((np.full(shape, -1, np.int32), np.zeros(shape, np.float32)))
            if best.partner.size:
                full[side][0][ids[side]], full[side][1][ids[side]] = ids[1 - side][best.partner], best.cosine
        listed = from_lists(full[0], full[1], *self.alive, self.rows[0].shape[1], top, self.threads)
        r = self.of(listed.indices_a, listed.indices_b)
        r = np.abs(r) if absolute else r
        # A list of all that there are leaves nothing out.
        ends = [
            cutoff if best.partner.shape[1] == len(others) else cutoff + self.error
            for cutoff, best, others in ((listed.cutoff_a, of_a, ids[1]), (listed.cutoff_b, of_b, ids[0]))
        ]
        return replace(listed, r=r, cutoff_a=ends[0], cutoff_b=ends[1])

    def of(self, at_a: np.ndarray, at_b: np.ndarray) -> np.ndarray:
        """(n_pairs,) float64 cosines of chosen pairs, with the same digits anywhere; 0 where one has no length."""
        out = np.empty(len(at_a))

        def work(_: None, first: int, last: int) -> None:
            _cosines(*self.rows, *self.norms, at_a[first:last], at_b[first:last], out[first:last])

        over_blocks(work, blocks(out.size, 1 << 16), [None] * self.threads)
        return out

    def search(
        self, similarity: TopSimilarity, absolute: bool
    ) -> Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """The ``search`` of :func:`~universality.matching.match`: every pair above the sum of two floors.

        A pair that no list holds is at most as good as the cut-offs of both. So only directions whose cut-off lies
        above their floors are looked at again: mostly none, or a few.

        Args:
            similarity: from :meth:`lists`.
            absolute: whether it is that of ``|cos|``.
        """
        none, n_a, n_b = np.zeros(0), similarity.n_a, similarity.n_b
        left = Candidates(n_a, n_b, similarity.top, none, none, none, similarity.cutoff_a, similarity.cutoff_b, 0.0)
        right = replace(left, n_a=n_b, n_b=n_a, ceiling_a=left.ceiling_b, ceiling_b=left.ceiling_a)

        @on_one_blas_thread
        def above(floor_a: np.ndarray, floor_b: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
            rows = np.flatnonzero((missing_excess(left, floor_a, floor_b) > 0) & self.alive[0])
            columns = np.flatnonzero((missing_excess(right, floor_b, floor_a) > 0) & self.alive[1])
            found = [(rows[:0], columns[:0], none)]
            for (first, last), (start, stop) in product(blocks(rows.size, _ROWS), blocks(columns.size, _COLUMNS)):
                i, j = rows[first:last], columns[start:stop]
                cosine = self._units(0, i) @ self._units(1, j).T
                cosine = np.abs(cosine) if absolute else cosine
                at = np.nonzero(cosine > floor_a[i][:, None] + floor_b[j])
                found.append((i[at[0]], j[at[1]], np.minimum(cosine[at], 1.0)))
            return tuple(np.concatenate(part) for part in zip(*found, strict=True))  # pyright: ignore[reportReturnType]

        return above

    def _units(self, side: int, at: np.ndarray) -> np.ndarray:
        """(m, d) float64 rows of norm 1."""
        return self.rows[side][at].astype(np.float64) / self.norms[side][at][:, None]


def _norms(rows: np.ndarray) -> np.ndarray:
    """(n,) float64, without a copy of the rows."""
    parts = [np.linalg.norm(rows[first:last].astype(np.float64), axis=1) for first, last in blocks(len(rows), _ROWS)]
    return np.concatenate(parts)


@njit(nogil=True)
def _cosines(a, b, norms_a, norms_b, at_a, at_b, out):
    """Sums in float64, in four strands that do not wait for each other."""
    d = a.shape[1]
    for s in range(out.size):
        x, y = a[at_a[s]], b[at_b[s]]
        s0, s1, s2, s3 = 0.0, 0.0, 0.0, 0.0
        for k in range(0, d - d % 4, 4):
            s0 += np.float64(x[k]) * np.float64(y[k])
            s1 += np.float64(x[k + 1]) * np.float64(y[k + 1])
            s2 += np.float64(x[k + 2]) * np.float64(y[k + 2])
            s3 += np.float64(x[k + 3]) * np.float64(y[k + 3])
        for k in range(d - d % 4, d):
            s0 += np.float64(x[k]) * np.float64(y[k])
        scale = norms_a[at_a[s]] * norms_b[at_b[s]]
        out[s] = min(max((s0 + s1 + s2 + s3) / scale, -1.0), 1.0) if scale > 0.0 else 0.0


@njit(nogil=True)
def _insert(partner, cosine, c, j):
    """Take a pair into a list unless the list is better without; worse is a smaller cosine, then a larger number."""
    if c < cosine[0] or (c == cosine[0] and j > partner[0]):
        return
    at, size = 0, cosine.size
    while True:
        down = 2 * at + 1
        if down >= size:
            break
        right = down + 1
        if right < size and (
            cosine[right] < cosine[down] or (cosine[right] == cosine[down] and partner[right] > partner[down])
        ):
            down = right
        if cosine[down] > c or (cosine[down] == c and partner[down] < j):
            break
        cosine[at], partner[at] = cosine[down], partner[down]
        at = down
    cosine[at], partner[at] = c, j


@njit(nogil=True)
def _offer(
    block, row0, column0,
    row_who, row_cos, column_who, column_cos, row_who_abs, row_cos_abs, column_who_abs, column_cos_abs,
):  # fmt: skip
    """Offer every cosine of a block to the lists of its row and of its column, as it is and without its sign."""
    n = block.shape[1]
    worst, worst_abs = column_cos[:, 0].copy(), column_cos_abs[:, 0].copy()
    may_enter = np.empty(n, np.bool_)
    for i in range(block.shape[0]):
        row, cosines = row0 + i, block[i]
        low, low_abs = row_cos[row, 0], row_cos_abs[row, 0]
        for j in range(n):  # without branches, so that it takes many at a time: few pass once lists are full
            c = cosines[j]
            may_enter[j] = (c >= low) | (c >= worst[j]) | (-c >= low_abs) | (-c >= worst_abs[j])
        for j in range(n):
            if may_enter[j]:
                c = cosines[j]
                size = abs(c)
                if c >= row_cos[row, 0]:
                    _insert(row_who[row], row_cos[row], c, column0 + j)
                if c >= worst[j]:
                    _insert(column_who[j], column_cos[j], c, row)
                if size >= row_cos_abs[row, 0]:
                    _insert(row_who_abs[row], row_cos_abs[row], size, column0 + j)
                if size >= worst_abs[j]:
                    _insert(column_who_abs[j], column_cos_abs[j], size, row)
                worst[j], worst_abs[j] = column_cos[j, 0], column_cos_abs[j, 0]


@njit(nogil=True)
def _join(partner, cosine, other_partner, other_cosine):
    """Offer the lists of another thread."""
    for i in range(cosine.shape[0]):
        for k in range(other_cosine.shape[1]):
            if other_cosine[i, k] > -np.inf:
                _insert(partner[i], cosine[i], other_cosine[i, k], other_partner[i, k])
