"""Exact r of candidate pairs over a stream of rows: codes are looked at shard by shard, and forgotten."""

from collections.abc import Iterable, Mapping
from typing import Self

import numpy as np
from scipy import sparse

from universality.arguments import checked, whole
from universality.compiled import njit
from universality.correlation.inputs import like_blocks
from universality.correlation.kernels import ask_ahead
from universality.correlation.operands import operands
from universality.correlation.pairs import check_pairs
from universality.correlation.sparse_pairwise import correlate
from universality.correlation.threads import blocks, n_threads, over_blocks
from universality.errors import require
from universality.matrices import Matrix, aligned, as_csr

_PAIRS_AT_ONCE = 1 << 20
# Of a constant's square rounding is left, far less than this share of its raw one: that is no variance.
_ROUNDING = 1e-20
_MOMENTS = ("means", "squares")


class PairSums:
    """What r of given pairs is made of: added up shard by shard, merged, and asked for r at any time.

    For each latent its mean and centred sum of squares, for each pair the centred sum of products: shards are joined
    by the parallel update of Chan et al. 1983, so nothing large cancels however far a latent lies from 0. Memory is
    16 bytes a latent and 16 a pair, whatever the number of rows.

    Bytes depend on which shards were added in which order, not on threads: workers that each take a share of the
    shards, merged in the order of the shares, give the same bytes wherever they run. Other shares give another order
    of sums, and r that agrees to about 1e-14.

    Attributes:
        n_rows: rows so far.
        indices_a, indices_b: (n_pairs,) int32 the pairs, sorted by (a, b), each once.
    """

    @checked(n_a=whole(1), n_b=whole(1))
    def __init__(self, n_a: int, n_b: int, indices_a: np.ndarray, indices_b: np.ndarray) -> None:
        """No rows yet.

        Args:
            n_a: latents of side a. n_b: latents of side b.
            indices_a, indices_b: (n_pairs,) the pairs, in any order; repeated ones count once.

        Raises:
            InputError: indices out of range, or not one of each side per pair.
        """
        ia, ib = check_pairs(indices_a, indices_b, n_a, n_b)
        key = ia * n_b + ib
        if not (key[1:] > key[:-1]).all():
            key = np.unique(key)
        self.n_rows = 0
        self.indices_a, self.indices_b = (key // n_b).astype(np.int32), (key % n_b).astype(np.int32)
        # (n,) means and centred sums of squares of sides a and b.
        self._means, self._squares = [np.zeros(n_a), np.zeros(n_b)], [np.zeros(n_a), np.zeros(n_b)]
        self._products = np.zeros(key.size)  # centred

    @checked(threads=whole(1))
    def add(self, A: Matrix, B: Matrix, *, threads: int | None = None) -> None:
        """Add a shard of rows.

        Args:
            A: (n_rows, n_a), scipy sparse or dense. B: (n_rows, n_b), the same rows in the same order.
            threads: threads to use, all cores by default; no byte of the result depends on it.

        Time grows as in :func:`correlate` with the sum over rows of ``k_a * k_b``, plus the number of pairs: shards in
        which a latent fires a few times each are worth their overhead.

        Raises:
            InputError: other widths, different rows, or not finite.
        """
        A, B, n = aligned(A, B)
        for side, matrix, mean in zip("AB", (A, B), self._means, strict=True):
            remedy = "Encode every shard with the dictionaries of the first."
            require(matrix.shape[1] == mean.size, "latents", side, f"{mean.size}", matrix.shape[1], remedy)
        left, right = operands(A, B, n_threads(threads))
        if n == 0:
            return
        self._join(n, (left.mean, right.mean), (left.square, right.square))
        place = np.full(right.n_latents, -1, np.int32)
        place[right.ids] = np.arange(right.ids.size)
        totals = np.zeros(left.n_latents), np.zeros(right.n_latents)
        totals[0][left.ids], totals[1][right.ids] = left.total, right.total
        starts = np.searchsorted(self.indices_a, np.arange(left.n_latents + 1))
        most = int(np.diff(starts).max())
        cols, rows = left.by_latent, right.by_row
        states = [(np.zeros(right.ids.size, np.int32), np.empty(most + 1)) for _ in range(n_threads(threads))]

        def work(state: tuple[np.ndarray, np.ndarray], first: int, last: int) -> None:
            _add_products(
                cols, rows, left.alive, place, starts, self.indices_b, totals, n, first, last, *state, self._products
            )

        over_blocks(work, like_blocks(cols.indptr, len(states)), states)

    def merge(self, later: Self) -> None:
        """Add what was added to another one, whose rows come after these.

        Raises:
            InputError: sums of other pairs.
        """
        same = [m.size for m in self._means] == [m.size for m in later._means]
        same = same and np.array_equal(self.indices_a, later.indices_a)
        same = same and np.array_equal(self.indices_b, later.indices_b)
        got = f"{later.indices_a.size} pairs, against {self.indices_a.size}"
        require(
            same, "the pairs", "sums to merge", "the same on both sides", got, "Start all from the same candidates."
        )
        if later.n_rows:
            self._join(later.n_rows, later._means, later._squares)
            self._products += later._products

    def _join(self, n: int, means: Iterable[np.ndarray], squares: Iterable[np.ndarray]) -> None:
        """Join the moments of n more rows; products get what the means' own distance adds, not those of the rows."""
        total = self.n_rows + n
        moves = []
        for side, (mean, square) in enumerate(zip(means, squares, strict=True)):
            moves.append(mean - self._means[side])
            self._squares[side] += square + moves[side] ** 2 * (self.n_rows * n / total)
            self._means[side] += moves[side] * (n / total)
        if self.n_rows:
            moves[0] *= self.n_rows * n / total
            for first, last in blocks(self.indices_a.size, _PAIRS_AT_ONCE):
                ia, ib = self.indices_a[first:last], self.indices_b[first:last]
                self._products[first:last] += moves[0][ia] * moves[1][ib]
        self.n_rows = total

    def r(self) -> np.ndarray:
        """(n_pairs,) float64 r over all rows so far, in [-1, 1]; 0 where either latent is dead or constant."""
        scales = []
        for mean, square in zip(self._means, self._squares, strict=True):
            varies = square > _ROUNDING * self.n_rows * mean**2
            scales.append(np.where(varies, 1.0 / np.sqrt(np.where(varies, square, 1.0)), 0.0))
        r = self._products.copy()
        for first, last in blocks(r.size, _PAIRS_AT_ONCE):
            r[first:last] *= scales[0][self.indices_a[first:last]] * scales[1][self.indices_b[first:last]]
        return np.clip(r, -1.0, 1.0, out=r)

    def to_arrays(self) -> dict[str, np.ndarray]:
        """All content as named arrays: for a worker to hand over, or to go on from later."""
        sides = {f"{name}_{side}": getattr(self, f"_{name}")[at] for name in _MOMENTS for at, side in enumerate("ab")}
        pairs = {"indices_a": self.indices_a, "indices_b": self.indices_b, "products": self._products}
        return {"n_rows": np.array(self.n_rows), **pairs, **sides}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> Self:
        """The inverse of :meth:`to_arrays`; the arrays are copied."""
        n_a, n_b = (arrays[f"means_{side}"].size for side in "ab")
        out = cls(n_a, n_b, arrays["indices_a"], arrays["indices_b"])
        out.n_rows, out._products = int(arrays["n_rows"]), np.array(arrays["products"], np.float64)
        for name in _MOMENTS:
            setattr(out, f"_{name}", [np.array(arrays[f"{name}_{side}"], np.float64) for side in "ab"])
        return out


@checked(candidate_rows=whole(2), top=whole(1), threads=whole(1))
def correlate_stream(
    shards: Iterable[tuple[Matrix, Matrix]],
    *,
    candidate_rows: int = 10_000_000,
    top: int = 64,
    threads: int | None = None,
) -> PairSums:
    """Candidate pairs from the first rows of a stream, and their exact r over all of it.

    Shards may be encoded as they are asked for: none is kept but the first ones, until candidates are chosen.

    Args:
        shards: ``(A (n_rows, n_a), B (n_rows, n_b))`` of the same rows, one after the other; scipy sparse or dense.
        candidate_rows: whole shards are taken until they have so many rows, and :func:`correlate` chooses on these.
        top: candidates of each latent, both ways.
        threads: threads to use, all cores by default; no byte of the result depends on it.

    Returns:
        The candidates' sums over all rows, see :class:`PairSums`: ``.indices_a``, ``.indices_b``, ``.r()``. r of the
        candidates is exact; a pair that was among the best ``top`` of neither latent on the first rows is not there.

    Raises:
        InputError: no shards, different rows, other widths, or not finite.

    Source: ours.
    """
    stream, first = iter(shards), []
    for shard in stream:
        A, B, _ = aligned(*shard)
        first.append((as_csr(A, "A", n_threads(threads)), as_csr(B, "B", n_threads(threads))))
        if sum(a.shape[0] for a, _ in first) >= candidate_rows:
            break
    require(first, "shards", "the stream", "at least one", "none", "Give pairs of matrices over the same rows.")
    widths = {(a.shape[1], b.shape[1]) for a, b in first}
    remedy = "Encode every shard with the same two dictionaries."
    require(len(widths) == 1, "latents", "the shards", "the same in all", sorted(widths), remedy)
    if len(first) == 1:
        A, B = first[0]
    else:
        A, B = (sparse.vstack(side, format="csr") for side in zip(*first, strict=True))
    first.clear()
    found = correlate(A, B, top=top, threads=threads)
    sums = PairSums(found.n_a, found.n_b, found.indices_a, found.indices_b)
    sums.add(A, B, threads=threads)
    del A, B, found
    for shard_a, shard_b in stream:
        sums.add(shard_a, shard_b, threads=threads)
    return sums


@njit(nogil=True)
def _add_products(left, right, alive, place, starts, partners, totals, n_rows, first, last, slot, sums, out):
    """Add a shard's centred products to those of the pairs of latents ``first..last`` of a.

    Args:
        left: side a of the shard. right: side b. alive: (n_a,) which latents of a vary in the shard.
        place: (n_b,) places in ``right``, -1 for latents that do not vary.
        starts: (n_a + 1,), partners: (n_pairs,): pairs of latent a are ``partners[starts[a] : starts[a + 1]]``.
        totals: (n_a,), (n_b,) sums over the shard, 0 for latents that do not vary.
        slot: (n_b places,) zeros; scratch. sums: (most pairs of a latent + 1,) scratch. out: (n_pairs,) in and out.
    """
    spans, entries, as_values = right.spans, right.entries, right.as_values
    for a in range(first, last):
        begin, n_partners = starts[a], starts[a + 1] - starts[a]
        if n_partners == 0 or not alive[a]:
            continue
        for k in range(n_partners):
            sums[k + 1] = 0.0
            at = place[partners[begin + k]]
            if at >= 0:
                slot[at] = k + 1
        # As in the kernel of all pairs, but only partners are added up.
        end = left.indptr[a + 1]
        for t in range(left.indptr[a], end):
            ask_ahead(left.rows, t, end, spans, entries)
            row, x = 2 * left.rows[t], np.float64(left.values[t])
            for s in range(spans[row], spans[row + 1], 2):
                k = slot[entries[s]]
                if k:
                    sums[k] += x * as_values[s + 1]
        total = totals[0][a] / n_rows
        for k in range(n_partners):
            b = partners[begin + k]
            out[begin + k] += sums[k + 1] - total * totals[1][b]
            if place[b] >= 0:
                slot[place[b]] = 0
