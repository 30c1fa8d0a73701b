"""Bounded lists of best partners, filled by kernels in any order.

An entry is appended if it can be among the best; a full list is cut back to its best ``top`` by selection.
The order is total (falling r, then rising index), so what remains does not depend on the order of arrival.

numba keeps compiled code by the file of the caller: after a change here, touch ``top_kernels.py`` too.
"""

from typing import NamedTuple

import numpy as np

from universality.compiled import njit, prefetch

_HALVINGS, _AHEAD = 24, 16


class Lists(NamedTuple):
    """Lists of ``n`` latents, with room for more than the ``top`` entries that will be kept."""

    partner: np.ndarray  # (n, room) int32, -1 where empty
    r: np.ndarray  # (n, room)
    length: np.ndarray  # (n,) int32
    worst: np.ndarray  # (n padded,) what an entry must reach; -inf at first, +inf in the padding
    top: int


class Hits(NamedTuple):
    """Pairs that a thread has found for lists of b, not offered to them yet."""

    b: np.ndarray  # (room,) int32 places of lists
    a: np.ndarray  # (room,) int32 partners
    r: np.ndarray  # (room,)


def empty_lists(n: int, top: int, pad: int = 0) -> Lists:
    """Lists with nothing in them; ``pad`` latents more in ``worst`` only, which refuse everything."""
    room = 2 * top + 8
    worst = np.concatenate([np.full(n, -np.inf), np.full(pad, np.inf)])
    return Lists(np.empty((n, room), np.int32), np.empty((n, room)), np.zeros(n, np.int32), worst, top)


def no_partners(n: int, top: int) -> tuple[np.ndarray, np.ndarray]:
    """Finished lists of latents that have none: (n, top) ids, all -1, and (n, top) r, all 0."""
    return np.full((n, top), -1, np.int32), np.zeros((n, top))


def empty_hits(room: int) -> Hits:
    """Room for hits."""
    return Hits(np.empty(room, np.int32), np.empty(room, np.int32), np.empty(room))


@njit(nogil=True, inline="always")
def _better(r, i, other_r, other_i):
    return r > other_r or (r == other_r and i < other_i)


@njit(nogil=True, inline="always")
def count(values, size, floor):
    """How many values reach a floor."""
    n = 0
    for k in range(size):
        n += values[k] >= floor
    return n


@njit(nogil=True)
def floor_of(values, size, top, slack, low):
    """A value that at least ``top`` of some values reach, and if it is soon found at most ``top + slack``.

    Counting is a few vector instructions, where moving values as a selection does is a guess for each of them.

    Args:
        values: (size,) at least ``top`` of them not below ``low``. low: finite, where to start.
    """
    high = low
    for k in range(size):
        high = max(high, values[k])
    for _ in range(_HALVINGS):
        middle = 0.5 * (low + high)
        n = count(values, size, middle)
        if n < top:
            high = middle
        else:
            low = middle
            if n <= top + slack:
                break
    return low


@njit(nogil=True, inline="always")
def keep_above(r, partner, length, floor):
    """Move the entries with ``r >= floor`` to the front, in their order; returns how many there are."""
    kept = 0
    for k in range(length):
        # Written always, counted if it stays: a branch would be guessed wrongly.
        x, other = r[k], partner[k]
        r[kept], partner[kept] = x, other
        kept += x >= floor
    return kept


@njit(nogil=True)
def cut_to_best(r, partner, length, top):
    """Move the best ``top`` of ``length`` entries to the front (quickselect).

    Returns:
        How many are left, and what an entry must reach from now on: -inf while the list is not full.
    """
    if length < top:
        return length, -np.inf
    # Hoare's partition, narrowed to the side that holds place top - 1; what is left of it are the best.
    low, high = 0, length - 1
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
    return top, r[top - 1]


@njit(nogil=True, inline="always")
def offer(lists, at, partner, r):
    """Append a partner to list ``at``; call it only if ``r >= worst[at]``."""
    size = lists.length[at]
    lists.r[at, size], lists.partner[at, size] = r, partner
    lists.length[at] = size + 1
    if size + 1 == lists.r.shape[1]:
        _shorten(lists, at)


@njit(nogil=True)
def _shorten(lists, at):
    """Make room in a full list: drop what is surely not among the best, or more slowly all but those."""
    r, partner, size, top = lists.r[at], lists.partner[at], lists.length[at], lists.top
    floor = floor_of(r, size, top, (size - top) // 4, max(lists.worst[at], -1.5))
    kept = keep_above(r, partner, size, floor)
    if kept > top + (size - top) // 2:
        kept, floor = cut_to_best(r, partner, kept, top)
    lists.length[at], lists.worst[at] = kept, floor


@njit(nogil=True)
def finish(lists, first, last, ids, partners, r):
    """Write the best ``top`` of lists ``first..last`` to rows ``ids`` of (n, top) arrays, -1 and 0 behind them."""
    for at in range(first, last):
        n, lists.worst[at] = cut_to_best(lists.r[at], lists.partner[at], lists.length[at], lists.top)
        partners[ids[at], :n], r[ids[at], :n] = lists.partner[at, :n], lists.r[at, :n]
        partners[ids[at], n:], r[ids[at], n:] = -1, 0.0


@njit(nogil=True)
def sort_hits(hits, size, into, shift, starts):
    """Sort hits by ``b >> shift`` (counting sort): those of part p stand in ``into[starts[p] : starts[p + 1]]``."""
    starts[:] = 0
    for s in range(size):
        starts[(hits.b[s] >> shift) + 1] += 1
    starts[:] = np.cumsum(starts)
    at = starts[:-1].copy()
    for s in range(size):
        part = hits.b[s] >> shift
        t = at[part]
        into.b[t], into.a[t], into.r[t] = hits.b[s], hits.a[s], hits.r[s]
        at[part] = t + 1


@njit(nogil=True)
def offer_hits(hits, first, last, lists):
    """Offer hits ``first..last`` to their lists."""
    room = lists.r.shape[1]
    for s in range(first, last):
        if s + _AHEAD < last:
            b = np.int64(hits.b[s + _AHEAD])
            end = b * room + lists.length[b]
            prefetch(lists.r, end)  # pyright: ignore[reportCallIssue]
            prefetch(lists.partner, end)  # pyright: ignore[reportCallIssue]
        if hits.r[s] >= lists.worst[hits.b[s]]:
            offer(lists, hits.b[s], hits.a[s], hits.r[s])


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
