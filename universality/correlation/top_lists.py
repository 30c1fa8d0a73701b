"""Bounded lists of best partners, filled by kernels in any order.

An entry is appended if it can be among the best; a full list is cut back to its best ``top`` by selection.
The order is total (falling r, then rising index), so what remains does not depend on the order of arrival.

numba keeps compiled code by the file of the caller: after a change here, touch ``kernels.py`` too.
"""

from typing import NamedTuple

import numpy as np

from universality.compiled import njit


class Lists(NamedTuple):
    """Lists of ``n`` latents, with room for more than the ``top`` entries that will be kept."""

    partner: np.ndarray  # (n, room) int32, -1 where empty
    r: np.ndarray  # (n, room)
    length: np.ndarray  # (n,) int32
    worst: np.ndarray  # (n padded,) what an entry must reach; -inf at first, +inf in the padding
    top: int


def empty_lists(n: int, top: int, pad: int = 0) -> Lists:
    """Lists with nothing in them; ``pad`` latents more in ``worst`` only, which refuse everything."""
    room = 2 * top + 8
    worst = np.concatenate([np.full(n, -np.inf), np.full(pad, np.inf)])
    return Lists(np.full((n, room), -1, np.int32), np.zeros((n, room)), np.zeros(n, np.int32), worst, top)


def refusing_lists(n: int, pad: int = 0) -> Lists:
    """Lists that take no entry, for a kernel call in which only the lists of the other side are wanted."""
    return Lists(np.zeros((n, 1), np.int32), np.zeros((n, 1)), np.zeros(n, np.int32), np.full(n + pad, np.inf), 1)


def bytes_per_latent(top: int) -> int:
    """Memory of one list of :func:`empty_lists`."""
    return 12 * (2 * top + 8) + 12


@njit(nogil=True, inline="always")
def _better(r, i, other_r, other_i):
    return r > other_r or (r == other_r and i < other_i)


@njit(nogil=True)
def cut(lists, at):
    """Keep the best ``top`` entries of list ``at`` (quickselect), and require their worst from now on."""
    r, partner, top = lists.r[at], lists.partner[at], lists.top
    # Hoare's partition, narrowed to the side that holds place top - 1; what is left of it are the best.
    low, high = 0, lists.length[at] - 1
    while low < high:
        middle = (low + high) >> 1
        pivot_r, pivot_i = r[middle], partner[middle]
        i, j = low, high
        while i <= j:
            while _better(r[i], partner[i], pivot_r, pivot_i):
                i += 1
            while _better(pivot_r, pivot_i, r[j], partner[j]):
                j -= 1
            if i <= j:
                r[i], r[j] = r[j], r[i]
                partner[i], partner[j] = partner[j], partner[i]
                i += 1
                j -= 1
        if top - 1 <= j:
            high = j
        elif top - 1 >= i:
            low = i
        else:
            break
    lists.length[at] = top
    lists.worst[at] = r[top - 1]  # only now known: below it nothing can enter any more


@njit(nogil=True, inline="always")
def offer(lists, at, partner, r):
    """Append a partner to list ``at``; call it only if ``r >= worst[at]``."""
    size = lists.length[at]
    lists.r[at, size], lists.partner[at, size] = r, partner
    lists.length[at] = size + 1
    if size + 1 == lists.r.shape[1]:
        cut(lists, at)


@njit(nogil=True)
def finish(lists):
    """Cut every list to ``top`` entries, the slots behind them empty."""
    for at in range(lists.length.size):
        if lists.length[at] >= lists.top:
            cut(lists, at)
        lists.partner[at, lists.length[at] :] = -1
        lists.r[at, lists.length[at] :] = 0.0


@njit(nogil=True)
def merge(into, other):
    """Offer every entry of ``other`` to ``into`` (lists over the same latents)."""
    for at in range(other.length.size):
        for k in range(other.length[at]):
            if other.r[at, k] >= into.worst[at]:
                offer(into, at, other.partner[at, k], other.r[at, k])


@njit(nogil=True)
def offer_dense(r, first_a, alive_a, alive_b, lists_a, lists_b):
    """Offer a dense block of similarities, rows ``first_a..``, to the lists of both sides."""
    for a in alive_a:
        for b in alive_b:
            x = r[a - first_a, b]
            if x >= lists_a.worst[a]:
                offer(lists_a, a, b, x)
            if x >= lists_b.worst[b]:
                offer(lists_b, b, a, x)
