"""From null maxima to p and q."""

import numpy as np

from universality.errors import require

OUTSIDE = -1
#: Null values that a tail is fitted to.
_TAIL_LEAST, _TAIL_MOST = 50, 250


def strata(
    firings: np.ndarray,
    n_documents: np.ndarray,
    *,
    n_shifts: int,
    min_latents: int = 200,
    min_values: int = 2000,
) -> np.ndarray:
    """Group latents of like firing count and like spread over documents, so that their nulls can be pooled.

    Latents are binned by octaves of the documents they fire in, and within these by half octaves of firings.
    Bins that are too small join the next bin of firings first, and the next bin of documents only where a
    whole octave of documents is too small: at equal firings, latents confined to a few documents have far
    higher maxima than diffuse ones.

    Args:
        firings: (n,) rows in which each latent fires, on the rows of the null.
        n_documents: (n,) documents in which it fires.
        n_shifts: null values per latent.
        min_latents: least latents per stratum.
        min_values: least null values per stratum (latents times shifts).

    Returns:
        (n,) stratum number from 0; -1 for latents that never fire. All latents share one stratum if there are
        fewer than a stratum needs.

    Raises:
        InputError: lengths differ, or ``n_shifts < 1``.
    """
    firings, n_documents = np.asarray(firings), np.asarray(n_documents)
    fits = firings.shape == n_documents.shape and firings.ndim == 1 and n_shifts >= 1
    what, limit = "firings, n_documents and n_shifts", "two lists of equal length and a count >= 1"
    got = (firings.shape, n_documents.shape, n_shifts)
    require(fits, what, "strata", limit, got, "Count both on the rows of the null.")
    need = max(min_latents, -(-min_values // n_shifts))
    out = np.full(firings.size, OUTSIDE, dtype=np.int64)
    fires = np.flatnonzero(firings > 0)
    spread = np.floor(np.log2(np.maximum(n_documents[fires], 1))).astype(np.int64)
    count = np.floor(2 * np.log2(firings[fires])).astype(np.int64)
    number = 0
    for group in _pooled(spread, need):
        for cell in _pooled(count[group], need):
            out[fires[group[cell]]] = number
            number += 1
    return out


def _pooled(bins: np.ndarray, need: int) -> list[np.ndarray]:
    """Members of neighbouring bins, joined upwards until each pool holds ``need``; the rest joins the last."""
    pools: list[np.ndarray] = []
    pool = np.zeros(0, dtype=np.int64)
    for value in np.unique(bins):
        pool = np.concatenate([pool, np.flatnonzero(bins == value)])
        if pool.size >= need:
            pools.append(pool)
            pool = pool[:0]
    if pool.size:
        pools = [*pools[:-1], np.concatenate([*pools[-1:], pool])]
    return pools


def p_values(
    r: np.ndarray, stratum_of: np.ndarray, null: np.ndarray, strata: np.ndarray, *, needed: float = 0.0
) -> np.ndarray:
    r"""Share of null maxima in the same stratum that reach r.

    .. math:: p = \frac{1 + \#\{null \ge r\}}{1 + n}

    Where the least of these, ``1 / (1 + n)``, is above ``needed``, no r could ever be called. There a generalised
    Pareto tail over the largest null maxima tells the r apart that lie beyond all of them.

    Args:
        r: (n_pairs,) observed correlations.
        stratum_of: (n_pairs,) stratum of the latent each belongs to; -1 gives p = 1.
        null: (n_shifts, n_latents) maxima, ``max_a`` or ``max_b`` of a :class:`ShiftNull`.
        strata: (n_latents,) stratum of each latent of the null, from :func:`strata`.
        needed: p that must be within reach; by default that of the null alone is.

    Returns:
        (n_pairs,) in (0, 1]; 1 where the stratum has no null.

    Raises:
        InputError: lengths do not fit.

    Source: tail of permutation values as in Knijnenburg, Wessels, Reinders & Shmulevich 2009.
    """
    r, stratum_of, null, strata = (np.asarray(x) for x in (r, stratum_of, null, strata))
    fits = r.shape == stratum_of.shape and null.ndim == 2 and strata.shape == null.shape[1:]
    limit = "(n_pairs,), (n_pairs,), (n_shifts, n_latents), (n_latents,)"
    got = (r.shape, stratum_of.shape, null.shape, strata.shape)
    require(fits, "shapes", "p_values", limit, got, "Pass the null of the same side as the strata.")
    p = np.ones(r.shape)
    for stratum in np.unique(stratum_of[stratum_of >= 0]):
        here = stratum_of == stratum
        pool = np.sort(null[:, strata == stratum], axis=None)
        reached = pool.size - np.searchsorted(pool, r[here], side="left")
        p[here] = (1 + reached) / (1 + pool.size)
        if needed and 1 / (1 + pool.size) > needed and pool.size > 2 * _TAIL_LEAST:
            p[here] = np.where(reached == 0, np.minimum(_tail(pool, r[here]), p[here]), p[here])
    return p


def _tail(pool: np.ndarray, r: np.ndarray) -> np.ndarray:
    """(n,) P(null >= r) by a generalised Pareto tail over the largest values of ``pool``, rising.

    Its shape is never below 0: a tail that ends somewhere would give values beyond that end a p of 0, an exponential
    one does not. Parameters are probability-weighted moments (Hosking & Wallis 1987).
    """
    n = int(np.clip(pool.size // 10, _TAIL_LEAST, _TAIL_MOST))
    threshold = pool[-n - 1]
    excess = pool[-n:] - threshold
    mean = float(excess.mean())
    # a1 = E[x (1 - F(x))], by ranks
    weighted = float((excess * np.arange(n - 1, -1, -1)).sum() / (n * (n - 1)))
    shape = 2.0 - mean / (mean - 2.0 * weighted) if mean > 2.0 * weighted else 0.0
    shape, scale = (shape, mean * (1.0 - shape)) if 0 < shape < 1 else (0.0, mean)
    beyond = np.maximum(r - threshold, 0.0) / max(scale, 1e-12)
    survival = np.exp(-beyond) if shape == 0 else (1.0 + shape * beyond) ** (-1.0 / shape)
    return np.maximum(n / (pool.size + 1) * survival, np.finfo(float).tiny)


def benjamini_hochberg(p: np.ndarray, m: int | None = None) -> np.ndarray:
    r"""False discovery rate at which each hypothesis would be called.

    .. math:: q_{(i)} = \min_{j \ge i} \frac{m\, p_{(j)}}{j}

    Args:
        p: (n,) p-values in (0, 1].
        m: number of hypotheses in the family, >= n; those not listed count as p = 1. Default n.

    Returns:
        (n,) q-values in [0, 1], in the order given.

    Raises:
        InputError: ``m < n``.

    Source: Benjamini & Hochberg 1995.
    """
    p = np.asarray(p, dtype=np.float64)
    family = p.size if m is None else int(m)
    limit, remedy = f">= {p.size}, the p-values given", "Count every hypothesis."
    require(family >= p.size, "m", "benjamini_hochberg", limit, m, remedy)
    order = np.argsort(p, kind="stable")
    raised = family * p[order] / np.arange(1, p.size + 1)
    q = np.empty(p.size)
    q[order] = np.minimum(np.minimum.accumulate(raised[::-1])[::-1], 1.0)
    return q
