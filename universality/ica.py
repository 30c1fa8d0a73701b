"""Independent components: the directions of a space along which its rows look least like a Gaussian."""

from __future__ import annotations

import numpy as np

_TOLERANCE, _STEPS = 1e-4, 100


def principal_components(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Directions of largest variance of rows (n, d), falling: (d, rank) unit columns and (rank,) variances.

    Directions of less than 1e-12 of the largest variance are left out: what they hold is rounding.
    """
    centred = x - x.mean(axis=0)
    variance, vectors = np.linalg.eigh(centred.T @ centred / max(len(x), 1))
    kept = variance > 1e-12 * max(float(variance[-1]), 1e-300)
    return vectors[:, kept][:, ::-1], variance[kept][::-1]


def independent_components(x: np.ndarray, n: int, generator: np.random.Generator) -> np.ndarray:
    """Unmixing directions (d, n or fewer) of rows (n_rows, d): symmetric FastICA on the first n principal components.

    ``x @ directions`` has unit variance and no correlation over the rows given. Non-Gaussianity is that of
    ``log cosh``. Signs and order mean nothing. Gaussian sources have no such directions: what is returned after 100
    steps then is a rotation of the principal components like any other.

    Args:
        x: float64 rows. n: components at most; there are no more than the rows have dimensions.
        generator: source of the start.

    Source: Hyvarinen and Oja 2000.
    """
    vectors, variance = principal_components(x)
    whitening = vectors[:, :n] / np.sqrt(variance[:n])
    # Single precision: directions converge to 1e-4, and everything is measured in double precision on other rows.
    white = ((x - x.mean(axis=0)) @ whitening).T.astype(np.float32)
    unmixing = _orthogonal(generator.standard_normal((len(white), len(white))).astype(np.float32))
    for _ in range(_STEPS):
        bent = np.tanh(unmixing @ white)
        slope = 1.0 - np.einsum("ij,ij->i", bent, bent) / max(white.shape[1], 1)
        moved = _orthogonal(bent @ white.T / np.float32(max(white.shape[1], 1)) - slope[:, None] * unmixing)
        still = np.abs(np.einsum("ij,ij->i", moved, unmixing))
        unmixing = moved
        if still.min(initial=1.0) > 1.0 - _TOLERANCE:
            break
    return whitening @ unmixing.T.astype(np.float64)


def _orthogonal(matrix: np.ndarray) -> np.ndarray:
    """The orthogonal matrix nearest to a square one."""
    left, _, right = np.linalg.svd(matrix)
    return left @ right
