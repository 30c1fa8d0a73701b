"""Maximum-weight bipartite matching on a sparse graph, by shortest augmenting paths, with its duals.

Every a may stay alone for weight 0, so a search always ends. Duals ``u >= 0`` (a) and ``v >= 0`` (b) stay
feasible, ``u_i + v_j >= w_ij``; matched pairs stay tight, and every b without partner keeps ``v = 0``: the
conditions under which the matching is optimal and the duals prove it.

Source: Jonker & Volgenant 1987 (augmenting row reduction, shortest augmenting paths), made sparse and
rectangular with a private "alone" option; the statement of the stopping rule is ours.
"""

import numpy as np

from universality.compiled import njit

ALONE = -2  # settled without a partner
OPEN = -1


@njit(nogil=True)
def _two_best(indptr, partner, weight, v, i):
    """Best and second-best of a's options, staying alone (0, partner ALONE) among them."""
    best, second, where = 0.0, -np.inf, ALONE
    for s in range(indptr[i], indptr[i + 1]):
        gain = weight[s] - v[partner[s]]
        if gain > best:
            best, second, where = gain, best, partner[s]
        elif gain > second:
            second = gain
    return best, second, where


@njit(nogil=True)
def bid(indptr, partner, weight, rows, passes, u, v, mate_a, mate_b):
    """Augmenting row reduction: each open a takes its best b and pays up to its second-best option.

    Args:
        indptr, partner, weight: the graph by a. rows: latents of a to settle.
        passes: bids allowed per row; what is left open goes to the path search.
        u, v, mate_a, mate_b: in and out.

    Returns:
        The rows still open.
    """
    queue = rows.copy()
    size, budget = rows.size, passes * rows.size
    later = np.empty(rows.size, rows.dtype)
    waiting, head = 0, 0
    while head < size:
        i = queue[head]
        head += 1
        # A displaced a bids again at once, depth first: its row is in the cache.
        while True:
            best, second, j = _two_best(indptr, partner, weight, v, i)
            if j == ALONE:
                u[i], mate_a[i] = 0.0, ALONE
                break
            if best <= second and mate_b[j] >= 0:  # a tie moves no price: leave it to the search
                u[i] = best
                later[waiting] = i
                waiting += 1
                break
            # a keeps the value of its second-best option and pays the rest: the pair is tight (u_i + v_j = w_ij), and
            # no other option of a is worth more than u_i. Prices of b only rise, so all other rows stay feasible.
            loser = mate_b[j]
            u[i] = max(second, 0.0)
            v[j] += best - u[i]
            mate_a[i], mate_b[j] = j, i
            if loser < 0:
                break
            mate_a[loser] = OPEN
            budget -= 1
            if budget <= 0:  # price wars end in steps of any smallness: the path search settles those exactly
                u[loser] = max(_two_best(indptr, partner, weight, v, loser)[0], 0.0)
                later[waiting] = loser
                waiting += 1
                break
            i = loser
    return later[:waiting]


@njit(nogil=True)
def _sift_up(heap, place, dist, k):
    """Move the b at ``heap[k]``, whose distance fell, towards the front; ``place[b]`` is where b stands."""
    j = heap[k]
    while k > 0:
        up = (k - 1) >> 1
        if dist[heap[up]] <= dist[j]:
            break
        heap[k] = heap[up]
        place[heap[k]] = k
        k = up
    heap[k] = j
    place[j] = k


@njit(nogil=True)
def _pop(heap, place, dist, size):
    """Take the nearest b off the heap of ``size`` entries; the caller counts down."""
    out = heap[0]
    last = heap[size - 1]
    size -= 1
    k = 0
    while True:
        down = 2 * k + 1
        if down >= size:
            break
        if down + 1 < size and dist[heap[down + 1]] < dist[heap[down]]:
            down += 1
        if dist[last] <= dist[heap[down]]:
            break
        heap[k] = heap[down]
        place[heap[k]] = k
        k = down
    heap[k] = last
    place[last] = k
    place[out] = -2  # settled: its distance is final
    return out


@njit(nogil=True)
def augment(indptr, partner, weight, rows, u, v, mate_a, mate_b, dist, via, heap, place, seen):
    """Settle each open a along the cheapest alternating path: to a free b, or to an a that goes alone.

    Args:
        indptr, partner, weight: the graph by a. rows: open latents of a, in the order to settle them.
        u, v, mate_a, mate_b: in and out; feasible duals, tight on matched pairs.
        dist (n_b, inf), via (n_b,), heap (n_b,), place (n_b, -1), seen (n_b,): scratch, left as found.
    """
    for start in rows:
        # Dijkstra from ``start`` over reduced costs u_i + v_j - w_ij >= 0 (0 on matched pairs): ``far`` is the distance
        # of the a in hand, ``dist[j]`` the least so far of each b, ``via[j]`` the a that b was reached from. It stops
        # when no b on the heap is nearer than the best end of a path met so far.
        size, n_seen = 0, 0
        i, far = start, 0.0
        end_length, end_free, end_alone = np.inf, -1, -1
        while True:
            # The path may end here: this a goes alone, which costs what it is worth now.
            if far + u[i] < end_length:
                end_length, end_free, end_alone = far + u[i], -1, i
            for s in range(indptr[i], indptr[i + 1]):
                j = partner[s]
                length = far + max(u[i] + v[j] - weight[s], 0.0)  # below 0 by rounding only
                if length >= end_length or length >= dist[j]:
                    continue
                if dist[j] == np.inf:
                    seen[n_seen] = j
                    n_seen += 1
                dist[j], via[j] = length, i
                if mate_b[j] < 0:  # a free b has price 0: the path may end there
                    end_length, end_free, end_alone = length, j, -1
                    continue
                if place[j] < 0:
                    place[j] = size
                    heap[size] = j
                    size += 1
                _sift_up(heap, place, dist, place[j])
            if size == 0 or dist[heap[0]] >= end_length:
                break
            j = _pop(heap, place, dist, size)
            size -= 1
            i, far = mate_b[j], dist[j]
        # What lies nearer than the end gives way by the difference: reduced costs stay >= 0, and are 0 along the path.
        u[start] -= end_length
        for k in range(n_seen):
            j = seen[k]
            if place[j] == -2:  # settled in the search: its price rises, its mate's falls
                v[j] += end_length - dist[j]
                u[mate_b[j]] -= end_length - dist[j]
        # Flip the path from its end back to ``start``: every a on it takes the b it was reached through.
        if end_alone >= 0:
            i = end_alone
            j = mate_a[i]
            mate_a[i] = ALONE
        else:
            i, j = -1, end_free
        while i != start and j >= 0:
            i = via[j]
            mate_b[j] = i
            following = mate_a[i]
            mate_a[i] = j
            j = following
        # Only what was touched is cleared: a search may meet a few of very many b.
        for k in range(n_seen):
            dist[seen[k]] = np.inf
            place[seen[k]] = -1
