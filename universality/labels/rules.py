"""Rules that foretell a latent from its text: learned on fit rows, chosen across their halves, tried on score rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy import sparse

from universality.brief_repr import brief_repr
from universality.correlation.threads import blocks, n_threads, over_blocks
from universality.errors import require
from universality.labels.kernels import learn
from universality.labels.views import FAMILIES, LEAST_R, TOLERANCE, View
from universality.rows import Rows, split_documents

_MOST = max(FAMILIES.values())
_BLOCK = 256


@brief_repr
@dataclass(frozen=True, eq=False)
class Rules:
    """The best rule of each of some latents.

    A rule foretells ``weights`` where a row is in one of ``parts`` of its view, and 0 elsewhere.

    Attributes:
        latents: which latents, rising.
        view: number of the view in the list that they were learned from.
        parts: numbers of the view's parts, those that explain most first; -1 behind the last.
        weights: mean activation there above that of all other rows, in units of the activation.
        r_crossed: Pearson's r of the rule with the activation, learned on one half of the fit rows and tried on the
            other: the mean of both ways. Rules are chosen by it.
        r: the same on the score rows, which chose nothing, learned on all fit rows.
    """

    latents: Int[np.ndarray, " n"]
    view: Int[np.ndarray, " n"]
    parts: Int[np.ndarray, "n most"]
    weights: Float[np.ndarray, "n most"]
    r_crossed: Float[np.ndarray, " n"]
    r: Float[np.ndarray, " n"]

    @property
    def explained(self) -> Bool[np.ndarray, " n"]:
        """Whether the rule foretells its latent at all: an ``r`` of :data:`LEAST_R` or more."""
        return self.r >= LEAST_R

    def table(self, which: Int[np.ndarray, " n_some"], n_parts: int) -> sparse.csr_matrix:
        """(n_some, n_parts) weights of some rules, which must be of one view, by its parts."""
        parts, n = self.parts[which], (self.parts[which] >= 0).sum(axis=1)
        return sparse.csr_matrix(
            (self.weights[which][parts >= 0], parts[parts >= 0], np.r_[0, np.cumsum(n)]), shape=(which.size, n_parts)
        )


def learn_rules(
    acts: sparse.spmatrix | sparse.sparray,
    rows: Rows,
    views: Sequence[View],
    *,
    min_firings: int,
    root_seed: int = 0,
    threads: int | None = None,
) -> Rules:
    r"""The rule of every alive latent that says most of it, or a plainer one that says nearly as much.

    In each view a rule is the parts that explain most of the latent's variance (as many as its family may have, each of
    them at least a hundredth of what those before it do), and foretells their mean activation, shrunk to the latent's
    by two rows. Which view it is, is chosen by r between the halves of the fit rows: the first family of
    :data:`FAMILIES` that comes within 0.02 of the best.

    Args:
        acts: (n_rows, d_sae) activations.
        rows: the rows, their fit half and sources.
        views: :func:`text_views` of them.
        min_firings: firings on fit and on score rows each that make a latent alive; the others get no rule.
        root_seed: deals the sources of the fit rows to their halves.
        threads: threads; default all cores. Results do not depend on it.

    Raises:
        InputError: activations of other rows.

    Source: ours. A simulation scored by its correlation with the activation is the measure of Bills et al. 2023.
    """
    matrix = sparse.csc_matrix(acts)
    shape = matrix.shape
    require(shape[0] == rows.n_rows, "activations", "labels", f"of {rows.n_rows} rows", shape[0], "Give all rows.")
    half_of = _halves(rows, root_seed)
    firings = np.stack([np.bincount(np.repeat(np.arange(shape[1]), np.diff(matrix.indptr))[on], minlength=shape[1])
                        for on in (rows.fit[matrix.indices], rows.score[matrix.indices])])  # fmt: skip
    latents = np.flatnonzero(firings.min(axis=0) >= max(min_firings, 1))
    stored = matrix.indptr.astype(np.int64), matrix.indices, matrix.data
    best = Rules(
        latents, np.full(latents.size, -1), np.full((latents.size, _MOST), -1), np.zeros((latents.size, _MOST)),
        np.full(latents.size, -np.inf), np.zeros(latents.size),
    )  # fmt: skip
    learned = [_learn(stored, latents, half_of, view, n_threads(threads)) for view in views]
    if not latents.size or not learned:
        return best
    crossed = np.stack([of[2] for of in learned])
    chosen = (crossed >= crossed.max(axis=0) - TOLERANCE).argmax(axis=0)
    for number, (parts, weights, r_crossed, r) in enumerate(learned):
        own = chosen == number
        best.view[own], best.r_crossed[own], best.r[own] = number, r_crossed[own], r[own]
        best.parts[own, : parts.shape[1]], best.weights[own, : parts.shape[1]] = parts[own], weights[own]
    return best


def _halves(rows: Rows, root_seed: int) -> Int[np.ndarray, " n_rows"]:
    """0 and 1: the halves that sources of fit rows are dealt to (one source: its documents, or rows); 2: score."""
    half_of = np.full(rows.n_rows, 2, np.int8)
    domains = None if rows.domains is None else rows.domains[rows.fit]
    for groups in (rows.groups[rows.fit], rows.documents[rows.fit], np.arange(rows.n_rows)[rows.fit]):
        if np.unique(groups).size > 1:
            half_of[rows.fit] = split_documents(groups, root_seed, domains)
            break
    return half_of


def _learn(stored: tuple, latents: np.ndarray, half_of: np.ndarray, view: View, threads: int) -> tuple:
    n_parts, n = len(view.keys), latents.size
    counted = half_of.astype(np.int64) * (n_parts + 1) + view.parts + 1
    counts = np.bincount(counted, minlength=3 * (n_parts + 1)).reshape(3, n_parts + 1)
    of_view = view.parts, counts[:, 1:].astype(np.float64), counts.sum(axis=1).astype(np.float64)
    most = FAMILIES[view.family]
    found = np.full((n, most), -1), np.zeros((n, most)), np.zeros(n), np.zeros(n)
    states = [
        (np.zeros((3, n_parts)), np.full(n_parts, -1), np.zeros(n_parts, np.int64))
        for _ in range(min(threads, max(n // _BLOCK, 1)))
    ]

    def work(scratch: tuple, first: int, last: int) -> None:
        learn(stored, latents[first:last], half_of, of_view, scratch, tuple(of[first:last] for of in found))

    over_blocks(work, blocks(n, _BLOCK), states)
    return found


def rule_r(
    rules: Rules,
    views: Sequence[View],
    acts: sparse.csr_matrix,
    on: Bool[np.ndarray, " n_rows"],
    which: Int[np.ndarray, " n"],
    latents: Int[np.ndarray, " n"],
) -> Float[np.ndarray, " n"]:
    """Pearson's r of rules with latents of any dictionary over some rows, pair by pair; 0 where one is constant.

    Args:
        rules: rules.
        views: what they were learned from.
        acts: CSR (n_rows, d_sae) of the dictionary.
        on: which rows count.
        which: place of each pair's rule in ``rules``.
        latents: latent of each pair.
    """
    moments = _Moments(acts, on)
    r = np.zeros(which.size)
    for number, view in enumerate(views):
        own = np.flatnonzero(rules.view[which] == number)
        if own.size:
            sums, counts = moments.of(view)
            table = rules.table(which[own], len(view.keys))
            products = np.asarray(table.multiply(sums.T.tocsr()[latents[own]]).sum(axis=1)).ravel()
            r[own] = moments.r(products, *_of_rule(table, counts), latents[own])
    return r


def nearest_latents(
    rules: Rules, views: Sequence[View], acts: sparse.csr_matrix, on: Bool[np.ndarray, " n_rows"]
) -> Int[np.ndarray, " n"]:
    """The latent of a dictionary that each rule foretells best (highest r) over some rows."""
    moments, best = _Moments(acts, on), np.zeros(rules.latents.size, np.int64)
    for number, view in enumerate(views):
        own = np.flatnonzero(rules.view == number)
        if own.size:
            sums, counts = moments.of(view)
            for first, last in blocks(own.size, _BLOCK):
                table = rules.table(own[first:last], len(view.keys))
                products = (table @ sums).toarray()
                rule, squares = _of_rule(table, counts)
                r = moments.r(products, rule[:, None], squares[:, None], slice(None))
                best[own[first:last]] = r.argmax(axis=1)
    return best


def _of_rule(table: sparse.csr_matrix, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sum and sum of squares of each rule over the rows."""
    return table @ counts, table.multiply(table) @ counts


class _Moments:
    """Sums of a dictionary's latents over some rows, by parts of a view."""

    def __init__(self, acts: sparse.csr_matrix, on: np.ndarray) -> None:
        self._on, self._acts = on, sparse.csr_matrix(acts[on]).astype(np.float64)
        self._total = np.asarray(self._acts.sum(axis=0)).ravel()
        self._squares = np.asarray(self._acts.multiply(self._acts).sum(axis=0)).ravel()

    def of(self, view: View) -> tuple[sparse.csr_matrix, np.ndarray]:
        """(n_parts, d_sae) sums, and rows of each part."""
        parts, n_parts = view.parts[self._on], len(view.keys)
        inside = parts >= 0
        place = sparse.csr_matrix(
            (np.ones(inside.sum()), (parts[inside], np.flatnonzero(inside))), shape=(n_parts, parts.size)
        )
        return sparse.csr_matrix(place @ self._acts), np.bincount(parts[inside], minlength=n_parts).astype(np.float64)

    def r(self, products, rule, rule_squares, latents):
        """Pearson's r of sums over products of rules and latents."""
        n, total = self._acts.shape[0], self._total[latents]
        spread = (n * self._squares[latents] - total**2) * (n * rule_squares - rule**2)
        above = n * products - total * rule
        return np.divide(above, np.sqrt(np.maximum(spread, 0)), out=np.zeros_like(above), where=spread > 0)
