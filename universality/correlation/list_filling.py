"""The kernel :func:`~universality.correlation.kernels.top_block` at work on many threads: lists of best partners."""

import numpy as np

from universality.correlation import kernels
from universality.correlation import top_lists as lists
from universality.correlation.operands import KernelOperand, padding, scratch, work_ranges
from universality.correlation.threads import over_blocks
from universality.correlation.top_lists import Lists

_LIST_BYTES = 1 << 31  # private lists of all threads together


def fill_lists(left: KernelOperand, right: KernelOperand, lists_a: Lists, lists_b: Lists, threads: int) -> None:
    """Offer every co-firing pair to both sides' lists.

    A latent of a belongs to one thread, so its list is shared; any thread may meet a latent of b, so each has lists
    of b of its own, merged at the end. The order of entries is total: the merged lists do not depend on who met whom.
    """
    n_b, top = lists_b.length.size, lists_b.top
    threads = max(1, min(threads, _LIST_BYTES // max(1, n_b * lists.bytes_per_latent(top))))
    private = [lists_b, *(lists.empty_lists(n_b, top, padding(n_b)) for _ in range(threads - 1))]
    cols, rows = left.by_latent, right.by_row

    def work(state: tuple[np.ndarray, np.ndarray, Lists], first: int, last: int) -> None:
        kernels.top_block(cols, rows, first, last, state[0], state[1], lists_a, state[2])

    over_blocks(work, work_ranges(cols)[::-1], [(*scratch(n_b), own_lists) for own_lists in private])
    for other in private[1:]:
        lists.merge(lists_b, other)
    lists.finish(lists_a)
    lists.finish(lists_b)


def exact_lists(left: KernelOperand, right: KernelOperand, places: np.ndarray, top: int, threads: int) -> Lists:
    """Exact lists of a few latents: their best partners may never co-fire with them."""
    n_b = right.ids.size
    cols, rows = left.subset(places), right.by_row
    exact, unwanted = lists.empty_lists(places.size, top), lists.refusing_lists(n_b, padding(n_b))

    def work(state: tuple[np.ndarray, np.ndarray], first: int, last: int) -> None:
        kernels.top_block(cols, rows, first, last, state[0], state[1], exact, unwanted)

    over_blocks(work, work_ranges(cols)[::-1], [scratch(n_b) for _ in range(threads)])
    lists.finish(exact)
    return exact
