"""Which rows to show for a pair, and how its two features fire together: arrays in, tidy frames out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from universality.brief_repr import brief_repr
from universality.errors import InputError

if TYPE_CHECKING:
    import scipy.sparse as sp

#: Cells per side of the joint histogram, the cell of exact zeros not counted.
N_BINS = 24


class LatentMissing(InputError, LookupError):
    """A dictionary has no latent of that number."""


@brief_repr
@dataclass(frozen=True)
class Firing:
    """Where one latent fires.

    Attributes:
        rows: evaluation rows with a positive activation, ascending.
        values: the activations there, ``> 0``.
        n_rows: number of evaluation rows altogether.
    """

    rows: Int[np.ndarray, " n_firings"]
    values: Float[np.ndarray, " n_firings"]
    n_rows: int

    @property
    def maximum(self) -> float:
        """Largest activation; 0 for a latent that never fires."""
        return float(self.values.max()) if len(self.values) else 0.0

    @property
    def rate(self) -> float:
        """Share of rows on which the latent fires."""
        return len(self.rows) / self.n_rows if self.n_rows else 0.0

    def at(self, rows: Iterable[int] | np.ndarray) -> np.ndarray:
        """Activation on each of the given rows; 0 where it does not fire, and for row -1 (no row)."""
        asked = np.asarray(rows, dtype=np.int64)
        if not len(self.rows):
            return np.zeros(len(asked))
        place = np.minimum(np.searchsorted(self.rows, asked), len(self.rows) - 1)
        return np.where(self.rows[place] == asked, self.values[place], 0.0)


def firing(acts: sp.csc_array | sp.csc_matrix, latent: int) -> Firing:
    """The column of one latent, read from memory-mapped activations without touching the others.

    Raises:
        LatentMissing: the matrix has no such latent.
    """
    n_rows, n_latents = acts.shape  # pyright: ignore[reportGeneralTypeIssues]
    if not 0 <= latent < n_latents:
        remedy = "Latents are numbered from 0."
        raise LatentMissing.worded("latent", "the dictionary", f"in 0..{n_latents - 1}", latent, remedy)
    start, stop = int(acts.indptr[latent]), int(acts.indptr[latent + 1])
    rows, values = np.array(acts.indices[start:stop]), np.array(acts.data[start:stop], dtype=np.float64)
    order, positive = np.argsort(rows, kind="stable"), values > 0
    order = order[positive[order]]
    return Firing(rows[order], values[order], int(n_rows))


def rows_of_choice(choice: str, a: Firing, b: Firing) -> Int[np.ndarray, " n"]:
    """All rows of a kind, the most telling first.

    Args:
        choice: ``top_a`` and ``top_b`` (that side's strongest), ``both`` (both fire; by the weaker side's
            share of its maximum), ``a_only`` and ``b_only`` (that side fires and the other is silent).
        a: side a.
        b: side b.
    """
    if choice in ("top_a", "top_b"):
        side = a if choice == "top_a" else b
        return side.rows[np.argsort(-side.values, kind="stable")]
    if choice == "both":
        rows = np.intersect1d(a.rows, b.rows, assume_unique=True)
        strength = np.minimum(a.at(rows) / (a.maximum or 1.0), b.at(rows) / (b.maximum or 1.0))
        return rows[np.argsort(-strength, kind="stable")]
    if choice in ("a_only", "b_only"):
        this, other = (a, b) if choice == "a_only" else (b, a)
        rows = np.setdiff1d(this.rows, other.rows, assume_unique=True)
        return rows[np.argsort(-this.at(rows), kind="stable")]
    raise ValueError(f"choice must be top_a, top_b, both, a_only or b_only; got {choice!r}")


def consensus_rows(firings: Sequence[Firing]) -> tuple[Int[np.ndarray, " n"], Float[np.ndarray, " n"]]:
    """Rows where at least one latent fires, by the mean of all activations relative to each one's maximum.

    Args:
        firings: the members of a cluster; those that never fire count as 0 everywhere.

    Returns:
        Rows, the highest mean first (ties: the earlier row), and the means, 0..1. A mean near 1 needs every member
        near its own maximum.
    """
    rows = np.concatenate([f.rows for f in firings] or [np.zeros(0, np.int64)])
    shares = np.concatenate([f.values / (f.maximum or 1.0) for f in firings] or [np.zeros(0)])
    distinct_rows, place = np.unique(rows, return_inverse=True)
    means = np.bincount(place, shares, minlength=len(distinct_rows)) / max(len(firings), 1)
    order = np.argsort(-means, kind="stable")
    return distinct_rows[order], means[order]


def correlations(firings: Sequence[Firing], rows: np.ndarray) -> Float[np.ndarray, "n n"]:
    """Pearson r of a few latents with each other over some of the rows; NaN where one of them is silent there.

    Args:
        firings: the latents.
        rows: (n_rows,) bool, the rows that count: the score rows give the held-out r.
    """
    columns = np.zeros((len(firings), int(np.count_nonzero(rows))))
    place = np.cumsum(rows) - 1
    for number, side in enumerate(firings):
        counting = rows[side.rows]
        columns[number, place[side.rows[counting]]] = side.values[counting]
    columns -= columns.sum(axis=1, keepdims=True) / max(columns.shape[1], 1)
    norms = np.linalg.norm(columns, axis=1)
    scale = np.where(norms > 0, norms, np.nan)
    return np.clip((columns @ columns.T) / np.outer(scale, scale), -1.0, 1.0)


def distinct(rows: Iterable[int], context_of: Callable[[int], bytes], limit: int) -> list[int]:
    """The first rows whose contexts differ.

    Args:
        rows: candidates, best first.
        context_of: what must differ, for example the bytes of a context's token ids.
        limit: most rows to return.
    """
    seen: set[bytes] = set()
    chosen: list[int] = []
    for row in rows:
        context = context_of(int(row))
        if context not in seen:
            seen.add(context)
            chosen.append(int(row))
            if len(chosen) == limit:
                break
    return chosen


def joint_histogram(a: Firing, b: Firing, n_bins: int = N_BINS) -> pd.DataFrame:
    """How often two latents fire together at which strengths, over the rows where either fires.

    Args:
        a: side a, on the horizontal axis.
        b: side b.
        n_bins: bins per side over (0, 1], activations being relative to each latent's maximum; exact zeros
            have a bin of their own at index -1.

    Returns:
        One row per filled cell: ``bin_a``, ``bin_b`` (-1..n_bins-1) and ``count`` (>= 1). The counts sum to
        the number of rows where either fires.
    """
    rows = np.union1d(a.rows, b.rows)
    cells = [
        np.where(shares > 0, np.minimum((shares * n_bins).astype(np.int64), n_bins - 1), -1)
        for shares in (side.at(rows) / (side.maximum or 1.0) for side in (a, b))
    ]
    frame = pd.DataFrame({"bin_a": cells[0], "bin_b": cells[1]})
    return frame.groupby(["bin_a", "bin_b"], as_index=False).size().rename(columns={"size": "count"})
