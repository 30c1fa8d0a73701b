"""What a correlation is made of: parts along nested subspaces, which add up to r.

Two latents may fire together because of a domain, of a document, of a token or a place in the text, of a token within
a domain, of a pair of tokens or a token at a position, or for none of these reasons. Tested one at a time, a latent
that needs two of them passes every test. So they are taken off one after the other, each beside all that went before:

====  ====================  ==========================================================================================
step  name                  taken off
====  ====================  ==========================================================================================
0                           the mean
1     ``domain``            the mean of each domain
2     ``document``          the mean of each document (of one domain)
3     ``token``             least squares on documents, tokens and places together, additive: positions in the
                            context, and rows from the start and to the end of the document, up to eight
4     ``token_x_domain``    what is left of each token within each domain on the *fit* rows, shrunk
5     ``bigram``            what is then left of each token after each token and of each token at each position,
                            in turns, on the fit rows, shrunk likewise
====  ====================  ==========================================================================================

Steps 4 and 5 have about as many cells as rows: on the score rows themselves they would explain anything.

Source: ours (Frisch-Waugh-Lovell for several sets of dummies; shrinkage as of a random effect).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from scipy import linalg, sparse

from universality.correlation.conditional import dense, measured
from universality.correlation.nested_kernels import EXPLAINED, cell_means, moments
from universality.correlation.threads import blocks, n_threads, over_blocks
from universality.rows import Rows

#: What each step takes off, in order; whatever is left after the last is the ``rest``.
STEPS = ("domain", "document", "token", "token_x_domain", "bigram")
#: Of the scaled Gram matrix: dummies of several sets are linearly dependent, and what this adds to the directions that
#: none of them has moves no fitted value.
_RIDGE = 1e-11
_PAIRS = 64
#: Cells of all pairs of a block, which bounds its memory (8 bytes each, both sides, twice).
_CELLS = 4_000_000
#: Kinds of cells in the order in which they are fitted: those of one step in turns.
_ORDER = np.array([0, 1, 2, 1, 2])
#: Rows from either end of a document that have an effect of their own.
_ENDS = 8


@dataclass(frozen=True, eq=False)
class NestedParts:
    """One entry per pair; measured on score rows.

    Attributes:
        r: (n, 6) correlation left after 0 .. 5 of :data:`STEPS`; the first is Pearson's r. NaN where a step could not
            be taken for want of labels, 0 where it leaves a latent nothing that varies.
        parts: (n, 6) what each step takes off the covariance, then the rest, all over the product of the two full
            norms: they add up to r. NaN where a step could not be taken.
        draws: (n, n_resamples, 6) float32, r as above in each resample of the sources; effects stay.
        part_draws: (n, n_resamples, 6) float32, parts likewise.
        r_loo: (n,) lowest r when one source is left out; NaN with fewer than three.
        n_eff_sources: (n,) effective number of sources that make the covariance, ``(sum |c|)² / sum c²``.
        r_repeated: (n,) r over the rows of tokens that their document has twice or more, after the mean of each such
            token of each document is taken off: what a token that is special to a document makes is gone. NaN without
            labels, or where fewer than 20 of these rows have either latent.
        strongest: (n,) share of the covariance that the ten rows with the largest products have; may exceed 1.
    """

    r: np.ndarray
    parts: np.ndarray
    draws: np.ndarray
    part_draws: np.ndarray
    r_loo: np.ndarray
    n_eff_sources: np.ndarray
    r_repeated: np.ndarray
    strongest: np.ndarray


class _Half:
    """The dummies of the rows of one half, and least squares on documents, tokens and places together."""

    def __init__(self, labels: list[np.ndarray]) -> None:
        """Codes (n_rows,) of document within domain, token, and of any kinds of place."""
        codes = [np.unique(label, return_inverse=True)[1].ravel() for label in labels]
        sums = [sparse.csr_array((np.ones(code.size), (code, np.arange(code.size)))) for code in codes]
        sizes = [one.shape[0] for one in sums]
        #: Codes of each combination of places that occurs: together they have one effect.
        self.places, place = np.unique(np.stack(codes[2:], axis=1), axis=0, return_inverse=True)
        self.labels = [*codes[:2], place.ravel()]
        # The largest of documents and tokens is eliminated: its Gram matrix is diagonal. What remains is small.
        self.large = int(sizes[1] > sizes[0])
        self.sum_large, first = sums[self.large], sums[1 - self.large]
        self.sum_small = sparse.csr_array(sparse.vstack([first, *sums[2:]]))
        self.n_large = np.asarray(self.sum_large.sum(axis=1)).ravel()
        self.both = sparse.csr_array(self.sum_large @ self.sum_small.T)
        gram = (self.sum_small @ self.sum_small.T).toarray()
        gram -= (self.both.T @ (sparse.diags_array(1.0 / self.n_large) @ self.both)).toarray()
        self.scale = np.sqrt(np.asarray(self.sum_small.sum(axis=1)).ravel())
        gram /= self.scale[:, None] * self.scale[None, :]
        gram[np.diag_indices_from(gram)] += _RIDGE
        self.factor = linalg.cho_factor(gram, lower=True, check_finite=False)
        self.splits = np.cumsum([first.shape[0], *sizes[2:-1]])

    def explained(self, values: Any) -> tuple[np.ndarray, np.ndarray]:
        """What the labels explain of the products of m columns (n_rows, m), sparse or dense: ``sums.T @ effects``.

        Returns:
            Sums over the rows of each label (labels, m), and least-squares effects (labels, m): of documents or tokens,
            whichever are more, then of the other, then of each kind of place.
        """
        large, small = dense(self.sum_large @ values), dense(self.sum_small @ values)
        rest = small - self.both.T @ (large / self.n_large[:, None])
        scale = self.scale[:, None]
        of_small = linalg.cho_solve(self.factor, rest / scale, check_finite=False) / scale
        of_large = (large - self.both @ of_small) / self.n_large[:, None]
        return np.concatenate([large, small]), np.concatenate([of_large, of_small])

    def residual(self, values: Any) -> np.ndarray:
        """What the labels leave of m columns, (n_rows, m)."""
        large, small = np.split(self.explained(values)[1], [self.n_large.size])
        by_row = (sparse.csr_array(sums.T) for sums in (self.sum_large, self.sum_small))
        return dense(values) - (next(by_row) @ large + next(by_row) @ small)

    def effects(self, values: Any) -> list[np.ndarray]:
        """Effects (m, documents), (m, tokens), (m, places) of m columns (n_rows, m)."""
        large, small = np.split(self.explained(values)[1], [self.n_large.size])
        first, *kinds = np.split(small, self.splits)
        place = np.sum([kind[code] for kind, code in zip(kinds, self.places.T, strict=True)], axis=0)
        out = (first, large, place) if self.large else (large, first, place)
        return [np.ascontiguousarray(part.T) for part in out]


class NestedRows:
    """The rows of a comparison, prepared for :func:`nested_parts`; one serves all pairs.

    Args:
        rows: the rows. Without token ids nothing finer than documents is taken off; without domains, neither domains
            nor cells of them; where every document has one row, documents are not taken off either.
        shrinkage: rows of prior weight in a cell (token within domain, pair of tokens, token at a position).
    """

    def __init__(self, rows: Rows, shrinkage: float) -> None:
        self.shrinkage = shrinkage
        self.fit, self.score = np.flatnonzero(rows.fit), np.flatnonzero(rows.score)
        nothing = np.zeros(rows.n_rows, np.int64)
        domain = nothing if rows.domains is None else rows.domains.astype(np.int64)
        token = nothing if rows.tokens is None else rows.tokens.astype(np.int64)
        document = _cells(rows.documents, domain)
        position = nothing if rows.positions is None else rows.positions
        several = np.unique(document[self.score]).size < self.score.size
        document = document if several else domain
        self.group = np.unique(rows.groups[self.score], return_inverse=True)[1].ravel()
        self.n_groups = int(self.group.max(initial=-1)) + 1
        self.domain = np.unique(domain[self.score], return_inverse=True)[1].ravel()
        self.cells = _cells(token, domain), _cells(token, _before(rows)), _cells(token, position)
        # Without tokens no step takes places off, so that the parts still add up.
        self._labels = document, token, position, *(() if rows.tokens is None else _ends(rows.documents))
        has = rows.domains is not None, several, rows.tokens is not None
        #: Which steps can be taken.
        self.known = np.array([has[0], has[1], has[2], has[0] and has[2], has[2]])

    @cached_property
    def repeats(self) -> tuple[np.ndarray, np.ndarray]:
        """Score rows of tokens that their document has twice or more, by such cell, and where each cell starts."""
        if not (self.known[1] and self.known[2]):
            return np.zeros(0, np.int64), np.zeros(1, np.int64)
        cell = _cells(*(label[self.score] for label in self._labels[:2]))
        size = np.bincount(cell)
        order = np.argsort(cell, kind="stable")
        return order[size[cell[order]] > 1], np.concatenate([[0], np.cumsum(size[size > 1])])

    @cached_property
    def halves(self) -> tuple[_Half, _Half]:
        """Least squares on the fit rows, and on the score rows."""
        fit, score = (_Half([label[half] for label in self._labels]) for half in (self.fit, self.score))
        return fit, score

    def cell_effects(self, values: sparse.csc_array) -> tuple[np.ndarray, ...]:
        """Effects (m, cells) of latents (fit rows, m), shrunk, by kind of :attr:`cells`; 0 where unknown."""
        half = self.halves[0]
        cells = [cell[self.fit] for cell in self.cells]
        n_cells = [int(cell.max(initial=-1)) + 1 for cell in self.cells]
        weights = [np.bincount(cell, minlength=n) + self.shrinkage for cell, n in zip(cells, n_cells, strict=True)]
        out = tuple(np.zeros((values.shape[1], n)) for n in n_cells)
        if self.known[2]:
            cell_means(
                (values.indptr, values.indices, values.data), tuple(half.effects(values)), tuple(half.labels),
                tuple(cells), tuple(weights), _ORDER, 0 if self.known[3] else 1, np.zeros(self.fit.size), out,
            )  # fmt: skip
        return out


def _cells(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """(n,) one code per pair of labels."""
    return np.unique(np.stack([first, second], axis=1), axis=0, return_inverse=True)[1].ravel()


def _ends(documents: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(n_rows,) rows of its document before each row, and after it, up to eight."""
    order = np.argsort(documents, kind="stable")
    _, first, size = np.unique(documents[order], return_index=True, return_counts=True)
    before = np.empty(documents.size, np.int64)
    before[order] = np.arange(documents.size) - np.repeat(first, size)
    after = np.empty_like(before)
    after[order] = np.repeat(first + size - 1, size) - np.arange(documents.size)
    return np.minimum(before, _ENDS), np.minimum(after, _ENDS)


def _before(rows: Rows) -> np.ndarray:
    """(n_rows,) token of the row before, -1 where it is not the row before in the text."""
    before = np.full(rows.n_rows, -1, np.int64)
    if rows.tokens is None:
        return before
    follows = rows.documents[1:] == rows.documents[:-1]
    if rows.positions is not None:
        follows &= rows.positions[1:] == rows.positions[:-1] + 1
    before[1:][follows] = rows.tokens[:-1][follows]
    return before


def nested_parts(
    fit: tuple[sparse.csr_matrix, sparse.csr_matrix],
    score: tuple[sparse.csr_matrix, sparse.csr_matrix],
    indices_a: np.ndarray,
    indices_b: np.ndarray,
    nested: NestedRows,
    weights: np.ndarray,
    *,
    threads: int | None = None,
) -> NestedParts:
    """Take r of given pairs apart.

    Args:
        fit, score: CSR of both sides on the fit rows, and on the score rows.
        indices_a, indices_b: (n_pairs,) latents of either side.
        nested: the rows, prepared.
        weights: (n_resamples, n_groups) how often each group of score rows is drawn.
        threads: threads to use; no byte of the result depends on it.
    """
    n, n_resamples = indices_a.size, weights.shape[0]
    out = NestedParts(
        np.zeros((n, 6)), np.zeros((n, 6)), np.zeros((n, n_resamples, 6), np.float32),
        np.zeros((n, n_resamples, 6), np.float32), np.full(n, np.nan), np.zeros(n),
        np.full(n, np.nan), np.zeros(n),
    )  # fmt: skip
    # Latents that hardly rest are measured from a pivot: dummies absorb it, and sums keep their digits.
    columns = [[measured(side).tocsc() for side in sides] for sides in (fit, score)]
    half = nested.halves[1]
    n_rows = np.bincount(nested.group, minlength=nested.n_groups).astype(np.float64)
    drawn = weights.astype(np.float64)
    unknown = ~nested.known
    codes = (nested.domain, *half.labels, *(cell[nested.score] for cell in nested.cells))

    def work(_: object, first: int, last: int) -> None:
        sides, chosen = [], (indices_a[first:last], indices_b[first:last])
        for side in range(2):
            values = sparse.csc_array(columns[1][side][:, chosen[side]])
            means = np.asarray(values.sum(axis=0)).ravel() / max(nested.score.size, 1)
            effects = [_means(values, nested.domain), _means(values, half.labels[0]), *half.effects(values)]
            cells = nested.cell_effects(sparse.csc_array(columns[0][side][:, chosen[side]]))
            sides.append((values.indptr, values.indices, values.data, means, *effects, *cells))
        sums = np.zeros((last - first, nested.n_groups, 6, 5))
        column_a, column_b = np.zeros(nested.score.size), np.zeros(nested.score.size)
        found = out.r_repeated[first:last], out.strongest[first:last]
        moments(sides[0], sides[1], codes, nested.group, nested.repeats, column_a, column_b, sums, *found)
        whole = sums.sum(axis=1, keepdims=True)
        r, parts = _reduce(whole, n_rows.sum()[None])
        draws, part_draws = _reduce(np.einsum("dg,pgsm->pdsm", drawn, sums, optimize=True), drawn @ n_rows)
        for target, values in ((r, parts), (draws, part_draws)):
            target[..., 1:][..., unknown] = np.nan
            values[..., :5][..., unknown] = np.nan
        out.r[first:last], out.parts[first:last] = r[:, 0], parts[:, 0]
        out.draws[first:last], out.part_draws[first:last] = draws, part_draws
        plain = sums[:, :, :1]
        if nested.n_groups >= 3:
            loo, _ = _reduce(whole[:, :, :1] - plain, n_rows.sum() - n_rows)
            out.r_loo[first:last] = loo[..., 0].min(axis=1)
        made = np.abs(plain[:, :, 0, 4])
        out.n_eff_sources[first:last] = made.sum(axis=1) ** 2 / np.maximum((made**2).sum(axis=1), 1e-300)

    size = max(1, min(_PAIRS, _CELLS // (1 + max(int(cell.max(initial=0)) for cell in nested.cells))))
    ranges = blocks(n, size)
    over_blocks(work, ranges, [None] * max(1, min(n_threads(threads), len(ranges))))
    return out


def _means(values: sparse.csc_array, code: np.ndarray) -> np.ndarray:
    """(m, n_labels) mean of each latent (n_rows, m) over the rows of each label."""
    gather = sparse.csr_array((np.ones(code.size), (code, np.arange(code.size))))
    return np.ascontiguousarray(((gather @ values).toarray() / np.bincount(code)[:, None]).T)


def _reduce(sums: np.ndarray, n: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Correlations and parts (pairs, k, steps) from moments (pairs, k, steps, 5) over (k,) rows."""
    x, y, xx, yy, xy = np.moveaxis(sums, -1, 0)
    n = np.maximum(n, 1.0)[:, None]
    var_x, var_y, cov = xx - x * x / n, yy - y * y / n, xy - x * y / n
    full = np.sqrt(np.maximum(var_x[..., :1], 0.0) * np.maximum(var_y[..., :1], 0.0))
    defined = (var_x > EXPLAINED * xx[..., :1]) & (var_y > EXPLAINED * yy[..., :1])
    r = np.where(defined, cov / np.sqrt(np.where(defined, var_x * var_y, 1.0)), 0.0)
    alive = full > 0
    cov = np.where(alive, cov / np.where(alive, full, 1.0), 0.0)
    return np.clip(r, -1.0, 1.0), np.concatenate([-np.diff(cov, axis=-1), cov[..., -1:]], axis=-1)
