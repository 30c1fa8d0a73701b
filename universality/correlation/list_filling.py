"""Lists of best partners: :func:`~universality.correlation.top_kernels.top_block` at work on many threads."""

from threading import Lock

import numpy as np

from universality.correlation import top_lists as lists
from universality.correlation.kernels import BLOCK, ByLatent, ByRow
from universality.correlation.operands import KernelOperand, padding, scratch, work_ranges
from universality.correlation.threads import blocks, over_blocks
from universality.correlation.top_kernels import top_block

_HITS = 1 << 17
_PARTS = 64
_LISTS = 1024
#: (n, top) ids of partners, -1 where there is none; (n, top) their r.
Best = tuple[np.ndarray, np.ndarray]


class _Walker:
    """What one thread needs of its own: accumulators, and hits for lists of b that it has not delivered."""

    def __init__(self, n_b: int) -> None:
        self.products, self.touched = scratch(n_b)
        self.place = np.zeros(self.products.size, np.int32)
        room = self.products.size + BLOCK
        self.near = np.empty(room, np.int32), np.empty(room)
        self.hits, self.sorted = (lists.empty_hits(room + _HITS) for _ in range(2))
        self.size = 0

    def walk(
        self, cols: ByLatent, rows: ByRow, first: int, last: int, best: Best, worst_b: np.ndarray
    ) -> tuple[int, int]:
        return top_block(
            cols, rows, first, last, self.products, self.touched, self.place, *self.near, *best, worst_b,
            self.hits, self.size,
        )  # fmt: skip


def best_lists(left: KernelOperand, right: KernelOperand, top: int, threads: int) -> tuple[Best, Best]:
    """Exact lists of the best partners of every latent of both sides.

    A latent of a belongs to one thread, which finds its list. Any thread may meet a latent of b: it writes such pairs
    down and offers many at a time, part by part of b, so that a part has one writer. The order of entries is total:
    the lists do not depend on who met whom first, nor on how early a thread hears of what is refused by now.
    """
    if not (left.ids.size and right.ids.size):
        return lists.no_partners(left.n_latents, top), lists.no_partners(right.n_latents, top)
    best_a, best_b, n_b = _room(left, top), _room(right, top), right.ids.size
    lists_b = lists.empty_lists(n_b, top, padding(n_b))
    cols, rows = left.by_latent, right.by_row
    shift = max(0, (n_b // _PARTS).bit_length())
    locks = [Lock() for _ in range(threads)]

    def deliver(walker: _Walker) -> None:
        starts = np.empty((n_b >> shift) + 2, np.int64)
        lists.sort_hits(walker.hits, walker.size, walker.sorted, shift, starts)
        edges = starts[np.linspace(0, starts.size - 1, threads + 1).astype(np.int64)]
        for part, lock in enumerate(locks):
            with lock:
                lists.offer_hits(walker.sorted, edges[part], edges[part + 1], lists_b)
        walker.size = 0

    def walk(walker: _Walker, first: int, last: int) -> None:
        while first < last:
            last, walker.size = walker.walk(cols, rows, first, last, best_a, lists_b.worst)
            if first < last:
                deliver(walker)

    walkers = [_Walker(n_b) for _ in range(threads)]
    over_blocks(walk, work_ranges(cols)[::-1], walkers)
    over_blocks(lambda _, at, __: deliver(walkers[at]), blocks(threads, 1), [None] * threads)

    def finish(_: None, first: int, last: int) -> None:
        lists.finish(lists_b, first, last, right.ids, *best_b)

    over_blocks(finish, blocks(n_b, _LISTS), [None] * threads)
    # Lists of b were offered co-firing pairs only. One whose worst entry a pair that never co-fires might beat is
    # made again with b as the walked side.
    short = np.flatnonzero(lists_b.worst[:n_b] <= right.without_cofiring(left))
    if short.size:
        del lists_b
        _walk_again(right, left, short, best_b, threads)
    return best_a, best_b


def _walk_again(left: KernelOperand, right: KernelOperand, places: np.ndarray, best: Best, threads: int) -> None:
    """Exact lists of a few latents: their best partners may never co-fire with them."""
    cols, rows, n_b = left.subset(places), right.by_row, right.ids.size
    refused = np.full(n_b + padding(n_b), np.inf)

    def walk(walker: _Walker, first: int, last: int) -> None:
        walker.walk(cols, rows, first, last, best, refused)

    over_blocks(walk, work_ranges(cols)[::-1], [_Walker(n_b) for _ in range(threads)])


def _room(side: KernelOperand, top: int) -> Best:
    """Lists for the latents of the caller, those of dead ones empty, the others to be written."""
    best = np.empty((side.n_latents, top), np.int32), np.empty((side.n_latents, top))
    best[0][~side.alive], best[1][~side.alive] = -1, 0.0
    return best
