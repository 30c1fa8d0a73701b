"""Dictionaries that began at the same weights look alike for that reason alone: find them, and say so.

With equal initialisation 98.8 % of the decoder columns of two dictionaries on rotated copies matched above
cosine 0.5, with different ones 0.4 % (our trial). Two traces betray it without knowing any seed: decoder rows
of equal number point the same way although the models' bases have nothing to do with each other; and, between
dictionaries of one model, latents are paired with the latent of their own number. Between models with bases of
their own equal weights read different things, so there only the weights tell.
"""

from __future__ import annotations

import numpy as np
from scipy.special import pdtrc

from universality.indices import Index

#: Odds below which equal numbers are no accident, and standard errors that say the same of cosines.
_UNLIKELY = 1e-6
_STANDARD_ERRORS = 6.0
#: A trace that is certain but this small does no harm.
_LEAST_FRACTION, _LEAST_COSINE = 0.01, 0.02


def shared_initialisation(
    indices_a: np.ndarray,
    indices_b: np.ndarray,
    n_latents: tuple[int, int],
    decoders: tuple[np.ndarray, np.ndarray] | None,
    generator: np.random.Generator,
) -> list[Index]:
    """Traces of a shared initialisation between two dictionaries.

    ``same_index_fraction``: share of assigned pairs in which both latents have the same number; chance is
    1 / (latents of the larger dictionary). ``aligned_decoder_cos``: mean cosine of decoder rows of equal number;
    chance is that of shuffled numbers. ``shared_init``: 1 if either trace is beyond doubt, else 0.

    A dictionary that is compared with itself, number by number, is flagged as well: rightly so.

    Args:
        indices_a, indices_b: (n_pairs,) assigned latents.
        n_latents: latents of both dictionaries.
        decoders: ``W_dec`` of both, (n_latents, d_in), where given, of one width.
        generator: source of the shuffle.

    Source: ours.
    """
    n, expected = indices_a.size, indices_a.size / max(n_latents)
    same = int((indices_a == indices_b).sum())
    traces = [Index("same_index_fraction", same / max(n, 1), 1 / max(n_latents), n)]
    # P(a Poisson count reaches ``same``); equal numbers of unrelated latents are nearly Poisson.
    flagged = same > 0 and pdtrc(same - 1, expected) < _UNLIKELY and same >= _LEAST_FRACTION * n
    if decoders is not None and decoders[0].shape == decoders[1].shape:
        left, right = (_units(side) for side in decoders)
        shuffled = _cosines(left, right[generator.permutation(right.shape[0])])
        aligned = _cosines(left, right)
        chance, error = float(shuffled.mean()), float(shuffled.std() / np.sqrt(shuffled.size))
        value = float(aligned.mean())
        traces.append(Index("aligned_decoder_cos", value, chance, shuffled.size))
        flagged |= value - chance > max(_STANDARD_ERRORS * error, _LEAST_COSINE)
    return [*traces, Index("shared_init", float(flagged), 0.0, n)]


def _units(rows: np.ndarray) -> np.ndarray:
    rows = np.asarray(rows, np.float64)
    norm = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / np.where(norm > 0, norm, 1.0)


def _cosines(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Cosine row by row."""
    return np.einsum("ij,ij->i", left, right)
