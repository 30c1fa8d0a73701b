"""The shift null: how similar the best pair looks when nothing is aligned.

One side's rows are rolled against the other's, source by source. Every latent keeps its firing rate, its
values and its runs within documents and sources; only what happens at the same token is taken away. For each
latent the *maximum* over the other side is recorded, because a maximum over thousands of candidates is never
near zero by itself.
"""

from dataclasses import dataclass

import numpy as np

from universality.arguments import SEEDED, checked, instance, whole
from universality.brief_repr import brief_repr
from universality.correlation.sparse_pairwise import correlation_maxima
from universality.errors import require
from universality.matrices import Matrix, aligned


@brief_repr
@dataclass(frozen=True)
class ShiftNull:
    """Maxima under shifts.

    Attributes:
        max_a: (n_shifts, n_a) each latent's highest r over all of the other side; 0 where dead or constant.
        max_b: (n_shifts, n_b) the same for b.
        offsets: (n_shifts, n_groups) int64 rows each group was rolled by; one group without domains, else one
            per domain in rising order of its label. 0 only for a domain with a single row.
    """

    max_a: np.ndarray
    max_b: np.ndarray
    offsets: np.ndarray


@checked(n_shifts=whole(1), generator=instance(np.random.Generator, remedy=SEEDED), n_ctx=whole(1), threads=whole(1))
def shift_null(
    A: Matrix,
    B: Matrix,
    documents: np.ndarray,
    *,
    n_shifts: int,
    generator: np.random.Generator,
    n_ctx: int | None = None,
    sources: np.ndarray | None = None,
    domains: np.ndarray | None = None,
    threads: int | None = None,
) -> ShiftNull:
    """Maximum correlations after rolling the rows of B against those of A.

    Rows are taken source by source, and document by document within a source (in order of first appearance).
    An offset is legal when no row meets a row of its own source: longer than the longest source both ways
    round. So what keeps the rows of one source alike (its names, its subject, its writer) stays in each
    latent, and never helps two of them to meet. Where one source is too long for as many such offsets as
    there are shifts, rows keep away from their own document only: two pieces of one source may then meet,
    which leaves maxima too high rather than too low. Offsets that are multiples
    of ``n_ctx`` or of ``n_ctx - 1`` (rows per context without its first token) are left out, since they put
    like positions on each other.

    With ``domains``, the rows of each domain are rolled among themselves by their own offsets, so that what
    two latents owe to sharing a domain stays in the null. A domain too short for either is rolled as far as it
    allows, by a quarter to three quarters of its rows: rows may then meet rows of their own
    document. That errs on the safe side. What cannot be told apart from "same document, same domain" stays
    in the null, so maxima come out too high and fewer pairs are called more than their domain. A domain of
    one row cannot be rolled and stays aligned, for the same reason and with the same direction of error.

    Args:
        A: (n_rows, n_a), scipy sparse or dense.
        B: (n_rows, n_b), the same rows in the same order.
        documents: (n_rows,) document of each row.
        sources: (n_rows,) source of each row; default its document.
        n_shifts: number of shifts, >= 1; at least 10 for p-values.
        generator: source of the offsets.
        n_ctx: context length in tokens, if rows come from contexts.
        domains: (n_rows,) domain of each row.
        threads: threads to use; no byte of the result depends on it.

    Returns:
        A :class:`ShiftNull`.

    Raises:
        InputError: labels of another length, or fewer legal offsets than shifts (without domains): give more
            rows, split the longest document, or ask for fewer shifts.

    Source: ours; a maximum-statistic null as in Westfall & Young 1993.
    """
    A, B, n = aligned(A, B)
    kinds, order = _in_order(documents, sources, n)
    if domains is None:
        groups, offsets = [order], _legal_offsets(kinds, n_shifts, n_ctx, generator)[:, None]
    else:
        domains = _labels(domains, n, "domains")
        groups = [order[domains[order] == d] for d in range(int(domains.max(initial=-1)) + 1)]
        columns = [_best_offsets([labels[rows] for labels in kinds], n_shifts, n_ctx, generator) for rows in groups]
        offsets = np.stack(columns, axis=1) if columns else np.zeros((n_shifts, 0), dtype=np.int64)
    maxima = correlation_maxima(A, B, threads=threads)
    pairs = [maxima(_meeting(groups, row, n)) for row in offsets]
    max_a, max_b = (np.stack(side) for side in zip(*pairs, strict=True))
    return ShiftNull(max_a, max_b, offsets)


def shifted_rows(
    documents: np.ndarray,
    *,
    generator: np.random.Generator,
    n_ctx: int | None = None,
    sources: np.ndarray | None = None,
) -> np.ndarray:
    """(n_rows,) row that meets each row under one shift of :func:`shift_null`, for anything that chance is asked of.

    Args, errors: as there, without domains.
    """
    kinds, order = _in_order(documents, sources, np.asarray(documents).size)
    return _meeting([order], _legal_offsets(kinds, 1, n_ctx, generator), order.size)


def _in_order(documents: np.ndarray, sources: np.ndarray | None, n: int) -> tuple[list[np.ndarray], np.ndarray]:
    """Labels (n_rows,) that rows keep away from, and the rows source by source, document by document."""
    kinds = [_labels(documents, n, "documents")]
    if sources is not None:
        kinds.insert(0, _labels(sources, n, "sources"))
    return kinds, np.lexsort([_first_appearance(labels) for labels in reversed(kinds)])


def _labels(labels: np.ndarray, n: int, name: str) -> np.ndarray:
    labels = np.asarray(labels)
    require(labels.shape == (n,), "shape", name, f"({n},)", labels.shape, "Give one label per row.")
    return np.unique(labels, return_inverse=True)[1].ravel()


def _first_appearance(labels: np.ndarray) -> np.ndarray:
    """(n,) the first row that has each row's label."""
    _, first, code = np.unique(labels, return_index=True, return_inverse=True)
    return first[code.ravel()]


def _meeting(groups: list[np.ndarray], offsets: np.ndarray, n: int) -> np.ndarray:
    """(n,) row of b that meets each row of a, every group rolled by its offset."""
    meets = np.arange(n)
    for rows, offset in zip(groups, offsets, strict=True):
        meets[rows] = np.roll(rows, -int(offset))
    return meets


def _between(low: int, high: int, n_ctx: int | None) -> np.ndarray:
    """Offsets ``low..high``, without those that align positions (all of them if nothing else is left)."""
    every = np.arange(low, high + 1)
    if n_ctx is None or n_ctx < 3:
        return every
    return every[(every % n_ctx != 0) & (every % (n_ctx - 1) != 0)]


def _apart(labels: np.ndarray, n_ctx: int | None) -> np.ndarray:
    """Offsets at which no row meets one of its own label; labels are contiguous once rows are in order."""
    longest = _longest(labels)
    return _between(longest + 1, labels.size - longest - 1, n_ctx)


def _longest(labels: np.ndarray) -> int:
    return int(np.bincount(labels).max(initial=0))


def _legal_offsets(
    kinds: list[np.ndarray], n_shifts: int, n_ctx: int | None, generator: np.random.Generator
) -> np.ndarray:
    """Different offsets that keep rows from their own source, or else from their own document."""
    legal = next((few for few in (_apart(labels, n_ctx) for labels in kinds) if few.size >= n_shifts), None)
    if legal is None:
        legal = _apart(kinds[-1], n_ctx)
    n, longest = kinds[-1].size, _longest(kinds[-1])
    limit = f"in [1, {legal.size}], the number of legal offsets of {n} rows whose longest document has {longest}"
    remedy = "Give more rows, split the longest document, or ask for fewer shifts."
    require(1 <= n_shifts <= legal.size, "n_shifts", "shift_null", limit, n_shifts, remedy)
    return np.sort(generator.choice(legal, size=n_shifts, replace=False))


def _best_offsets(
    kinds: list[np.ndarray], n_shifts: int, n_ctx: int | None, generator: np.random.Generator
) -> np.ndarray:
    n = kinds[-1].size
    if n < 2:
        return np.zeros(n_shifts, dtype=np.int64)
    legal = next((some for some in (_apart(labels, n_ctx) for labels in kinds) if some.size), None)
    if legal is None:
        nearest = max(1, n // 4)
        legal = np.arange(nearest, n - nearest + 1)
    return generator.choice(legal, size=n_shifts, replace=legal.size < n_shifts)
