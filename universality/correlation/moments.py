"""All correlations of two small dictionaries at once, as a dense matrix."""

import numpy as np

from universality.correlation.inputs import Matrix, as_csr, check_same_rows, latent_moments


def correlation_matrix(A: Matrix, B: Matrix) -> np.ndarray:
    """Pearson correlation of every latent of A with every latent of B.

    Args:
        A: (n_rows, n_a) scipy sparse.
        B: (n_rows, n_b), the same rows in the same order.

    Returns:
        (n_a, n_b) float64 in [-1, 1]; 0 for latents that never vary. Memory grows with ``n_a * n_b``.

    Raises:
        InputError: different rows, or not finite.
    """
    n = max(check_same_rows(A, B), 1)
    a, b = (as_csr(matrix, where).astype(np.float64) for matrix, where in ((A, "A"), (B, "B")))
    totals, scales = [], []
    for matrix in (a, b):
        moments = latent_moments(matrix)
        square = np.where(moments.alive, moments.square, 0.0)
        # What is left of the square of a constant is rounding: that is no variance.
        varies = square > 1e-20 * moments.total**2 / n
        scales.append(np.where(varies, 1.0 / np.sqrt(np.where(varies, square, 1.0)), 0.0))
        totals.append(moments.total)
    centred = (a.T @ b).toarray() - np.outer(*totals) / n
    return np.clip(centred * np.outer(*scales), -1.0, 1.0)
