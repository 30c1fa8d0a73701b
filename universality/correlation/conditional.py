"""Correlation of what token identity and position do not explain."""

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy import sparse

from universality.arguments import checked, whole
from universality.correlation.inputs import latent_moments, pivots, shifted
from universality.correlation.pairs import check_pairs, pair_products
from universality.correlation.threads import blocks
from universality.errors import require
from universality.matrices import Matrix, aligned, as_csr, is_dense

# A latent of whose variance less than this is left is explained completely: what remains is rounding.
_EXPLAINED = 1e-9
_ROWS, _PAIRS = 8192, 1024


class _Groups:
    """The projection onto token and position means, in the form ``<Pa, Pb> = <Sa, Sb> + <Ga, Gb>``.

    With the dummies' sums ``t`` (tokens) and ``p`` (positions) of a latent, ``D`` and ``E`` their counts and
    ``N`` the table of both: ``S = D^-1/2 t`` is the part of the tokens; ``h = p - N' D^-1 t`` is what the
    positions see of the rest, and ``G = L h`` with ``L'L = (E - N' D^-1 N)^+`` (Schur complement).
    """

    def __init__(self, n_rows: int, tokens: np.ndarray, positions: np.ndarray | None) -> None:
        self.token_of, counts = _dummies(tokens, n_rows, "tokens")
        self.whiten = 1.0 / np.sqrt(counts)
        if positions is None:
            positions = np.zeros(n_rows, dtype=np.int8)
        self.position_of, positions_count = _dummies(positions, n_rows, "positions")
        # Sparse (tokens, positions): the counts of both, tokens already whitened.
        self.both = sparse.diags_array(self.whiten) @ (self.token_of @ self.position_of.T)
        # (positions, positions): small, since contexts are short; tokens, of which there are many, are never squared.
        schur = np.diag(positions_count) - dense(self.both.T @ self.both)
        value, vector = np.linalg.eigh(schur)
        # Its rank is at most positions - 1: the dummies of both sum to 1. What is left of the rest is rounding.
        keep = value > 1e-10 * max(float(positions_count.max(initial=1.0)), 1.0)
        self.root = vector[:, keep].T / np.sqrt(value[keep])[:, None]

    def parts(self, values):
        """S (tokens, m) and G (rank, m) of m latents; S is sparse if the values are."""
        token_part = sparse.diags_array(self.whiten) @ (self.token_of @ values)
        rest = self.position_of @ values - self.both.T @ token_part
        return token_part, self.root @ dense(rest)

    def effects(self, values) -> tuple[np.ndarray, np.ndarray]:
        """Additive effects (m, tokens) and (m, positions) whose sum is the projection of m latents."""
        token_part, position_part = self.parts(values)
        of_positions = self.root.T @ position_part
        rest = dense(token_part) - self.both @ of_positions
        return np.ascontiguousarray((self.whiten[:, None] * rest).T), np.ascontiguousarray(of_positions.T)


def dense(values: Any) -> np.ndarray:
    """A dense array of what may be sparse."""
    return values if isinstance(values, np.ndarray) else values.toarray()


def _dummies(labels: np.ndarray, n_rows: int, name: str) -> tuple[sparse.csr_array, np.ndarray]:
    labels = np.asarray(labels)
    require(labels.shape == (n_rows,), "shape", name, f"({n_rows},)", labels.shape, "Give one label per row.")
    _, code, counts = np.unique(labels, return_inverse=True, return_counts=True)
    rows = np.arange(n_rows)
    ones = np.ones(n_rows)
    return sparse.csr_array((ones, (code.ravel(), rows)), shape=(counts.size, n_rows)), counts.astype(np.float64)


def additive_effects(
    tokens: np.ndarray, positions: np.ndarray | None = None
) -> Callable[[sparse.csc_array | sparse.csc_matrix], tuple[np.ndarray, np.ndarray]]:
    """The least-squares effects of token ids and positions on latents, for the residuals themselves.

    Args:
        tokens: (n_rows,) token id of each row.
        positions: (n_rows,) position of each row, or None.

    Returns:
        A function of m latents (n_rows, m): effects (m, n_tokens) and (m, n_positions), in rising order of the
        labels that occur; row i is explained as the sum of the effects of its two labels.
    """
    return _Groups(len(tokens), tokens, positions).effects


@checked(threads=whole(1))
def conditional_correlation(
    A: Matrix,
    B: Matrix,
    indices_a: np.ndarray,
    indices_b: np.ndarray,
    *,
    tokens: np.ndarray,
    positions: np.ndarray | None = None,
    threads: int | None = None,
) -> np.ndarray:
    r"""Correlation of pairs after removing each token id's and each position's mean, exactly.

    .. math:: r = \frac{\langle Ma, Mb\rangle}{\|Ma\|\,\|Mb\|},\quad M = I - P

    where P projects onto the dummies of token ids and positions together (two-way additive, unbalanced).
    ``<Ma, Mb> = <a, b> - <Pa, Pb>``, and ``<Pa, Pb>`` needs only sums per token and per position, with the
    tokens eliminated by their Schur complement: nothing is made dense but (positions, latents) blocks.

    Args:
        A: (n_rows, n_a), scipy sparse or dense.
        B: (n_rows, n_b), the same rows in the same order.
        indices_a: (n_pairs,) latents of A.
        indices_b: (n_pairs,) latents of B.
        tokens: (n_rows,) token id of each row.
        positions: (n_rows,) position of each row in its context; without it only tokens are removed.
        threads: threads to use; no byte of the result depends on it.

    Returns:
        (n_pairs,) float64 in [-1, 1]; 0 where token and position explain a latent completely, or it is dead.

    Raises:
        InputError: different rows, labels of another length, or indices out of range.

    Source: ours (Frisch–Waugh–Lovell for two sets of dummies).
    """
    A, B, n = aligned(A, B)
    ia, ib = check_pairs(indices_a, indices_b, A.shape[1], B.shape[1])
    groups = _Groups(n, tokens, positions)
    if is_dense(A) and is_dense(B):
        return _dense(np.asarray(A), np.asarray(B), ia, ib, groups)
    a, b = measured(as_csr(A, "A")), measured(as_csr(B, "B"))
    both, _ = pair_products(a, b, ia, ib, threads)
    explained, own_a, own_b = np.zeros(ia.size), np.zeros(ia.size), np.zeros(ia.size)
    a, b = a.tocsc(), b.tocsc()
    for first, last in blocks(ia.size, _PAIRS):
        (sa, ga), (sb, gb) = groups.parts(a[:, ia[first:last]]), groups.parts(b[:, ib[first:last]])
        explained[first:last] = sa.multiply(sb).sum(axis=0) + (ga * gb).sum(axis=0)
        own_a[first:last] = sa.multiply(sa).sum(axis=0) + (ga * ga).sum(axis=0)
        own_b[first:last] = sb.multiply(sb).sum(axis=0) + (gb * gb).sum(axis=0)
    # <Ma, Mb> = <a, b> - <Pa, Pb>, and the same for both norms.
    square_a, square_b = (np.asarray(m.multiply(m).sum(axis=0)).ravel() for m in (a, b))
    return _ratio(both - explained, square_a[ia], own_a, square_b[ib], own_b)


def measured(csr: sparse.csr_array | sparse.csr_matrix) -> sparse.csr_array:
    """Float64 values, measured from a pivot where that saves digits (dummies absorb it)."""
    moments = latent_moments(csr)
    return shifted(csr.astype(np.float64), pivots(csr, moments))


def _ratio(
    both: np.ndarray, square_a: np.ndarray, own_a: np.ndarray, square_b: np.ndarray, own_b: np.ndarray
) -> np.ndarray:
    left_a, left_b = square_a - own_a, square_b - own_b
    defined = (left_a > _EXPLAINED * square_a) & (left_b > _EXPLAINED * square_b)
    scale = np.sqrt(np.where(defined, left_a * left_b, 1.0))
    return np.clip(np.where(defined, both / scale, 0.0), -1.0, 1.0)


def _dense(x: np.ndarray, y: np.ndarray, ia: np.ndarray, ib: np.ndarray, groups: _Groups) -> np.ndarray:
    from universality.correlation.neurons import dense_moments

    mean_x, mean_y = dense_moments(x, "A").mean, dense_moments(y, "B").mean
    out = np.zeros(ia.size)
    for first, last in blocks(ia.size, 128):
        u = x[:, ia[first:last]].astype(np.float64) - mean_x[ia[first:last]]
        v = y[:, ib[first:last]].astype(np.float64) - mean_y[ib[first:last]]
        (su, gu), (sv, gv) = groups.parts(u), groups.parts(v)
        own_u, own_v = ((s * s).sum(axis=0) + (g * g).sum(axis=0) for s, g in ((su, gu), (sv, gv)))
        both = (u * v).sum(axis=0) - (su * sv).sum(axis=0) - (gu * gv).sum(axis=0)
        out[first:last] = _ratio(both, (u * u).sum(axis=0), own_u, (v * v).sum(axis=0), own_v)
    return out
