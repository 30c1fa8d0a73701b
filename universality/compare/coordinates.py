"""Ways to take coordinates of a model's raw activations: what a dictionary of features has to beat.

====================  =================================================================================================
name                  coordinates of a row x
====================  =================================================================================================
``neurons``           x itself
``pca``               principal components: the singular vectors of the centred rows
``ica``               independent components (FastICA) of the 64 largest of these
``haar``              random rotations of x, as many directions as the dictionary has latents: what the space shows
                      from any side
``random_sae``        codes of a dictionary of random directions: per row the largest positive ones, as many as fire in
                      the dictionary itself
``initial_sae``       the same measured from the middle of the rows, as a dictionary starts its training
====================  =================================================================================================

All parameters come from fit rows. Coordinates that take both signs are as good as their negatives, and are matched by
the size of r.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse

from universality.blas import on_one_blas_thread
from universality.brief_repr import brief_repr
from universality.compare.pair import Dictionary
from universality.correlation.threads import blocks
from universality.ica import independent_components, principal_components
from universality.indices import MAX_ROWS, MAX_WIDTH, random_rotation
from universality.sae.stream import geometric_median
from universality.seeds import generator

#: Independent components, at most: their cost grows with the square.
MAX_ICA = 64
#: Random directions, and random latents, that are compared at most: a matrix of all correlations is made of them.
MAX_DIRECTIONS = 2048
#: Kinds that are directions of the space, and kinds that are sparse codes.
DIRECTIONS = ("pca", "ica", "haar")
CODES = ("random_sae", "initial_sae")
_ROWS, _CENTRE_ROWS = 4096, 8192
_BLOCK_BYTES = 1 << 28


@brief_repr
@dataclass(frozen=True, eq=False)
class Coordinates:
    """Coordinates of one model's raw activations.

    Attributes:
        directions: by name, float64 (d, n): coordinates are ``x @ directions``. Neurons need none; spaces of more than
            :data:`MAX_WIDTH` neurons have none.
        codes: by name, CSR (n_rows, n): latents of random dictionaries that fire as often as a feature must.
    """

    directions: Mapping[str, np.ndarray]
    codes: Mapping[str, sparse.csr_matrix]


@on_one_blas_thread
def model_coordinates(x: Any, dictionary: Dictionary, root_seed: int) -> Coordinates:
    """Make them.

    Args:
        x: (n_rows, d) raw activations: an array, memory map, or anything that takes integer-array indices.
        dictionary: of the same rows; it says how many latents there are, how many of them fire in a row, and when one
            counts as alive.
        root_seed: seed of the comparison; what is random depends on it and on the dictionary's name.
    """
    fit, name, d = np.flatnonzero(dictionary.rows.fit), dictionary.name, x.shape[1]
    sample = np.asarray(x[fit[:: -(-fit.size // MAX_ROWS)]], np.float64)
    directions = {}
    if d <= MAX_WIDTH:
        turn, n = generator(root_seed, "haar", name), min(max(d, dictionary.d_sae), MAX_DIRECTIONS)
        directions = {
            "pca": principal_components(sample)[0],
            "ica": independent_components(sample, MAX_ICA, generator(root_seed, "ica", name)),
            "haar": np.hstack([random_rotation(d, turn) for _ in range(-(-n // d))])[:, :n],
        }
    centre = geometric_median(sample[:: -(-len(sample) // _CENTRE_ROWS)])
    random = generator(root_seed, "random-sae", name).standard_normal((d, dictionary.d_sae))
    return Coordinates(directions, _random_codes(x, random / np.linalg.norm(random, axis=0), centre, dictionary))


def _random_codes(
    x: Any, directions: np.ndarray, centre: np.ndarray, dictionary: Dictionary
) -> dict[str, sparse.csr_matrix]:
    """The largest positive of ``x @ directions`` and of ``(x - centre) @ directions`` in each row."""
    active = max(1, round(dictionary.acts.nnz / dictionary.acts.shape[0]))
    offsets = dict(zip(CODES, (np.float32(0.0), (centre @ directions).astype(np.float32)), strict=True))
    weights = directions.astype(np.float32)
    parts: dict[str, list[sparse.csr_matrix]] = {name: [] for name in offsets}
    # Wide dictionaries in fewer rows at once: a few dense blocks of (rows, d_sae) are held.
    for first, last in blocks(x.shape[0], max(64, min(_ROWS, _BLOCK_BYTES // (4 * dictionary.d_sae)))):
        product = np.asarray(x[first:last], np.float32) @ weights
        for name, offset in offsets.items():
            parts[name].append(_largest(product - offset, active))
    fit = dictionary.rows.fit
    codes = {}
    for name, of_rows in parts.items():
        acts = sparse.csr_matrix(sparse.vstack(of_rows))
        firings = [np.bincount(acts[np.flatnonzero(half)].indices, minlength=acts.shape[1]) for half in (fit, ~fit)]
        alive = np.flatnonzero(np.minimum(*firings) >= dictionary.min_firings)[:MAX_DIRECTIONS]
        codes[name] = sparse.csr_matrix(acts[:, alive])
    return codes


def _largest(code: np.ndarray, active: int) -> sparse.csr_matrix:
    """The ``active`` largest positive values of each row of code (n, d_sae) float32, and all that equal the least."""
    import torch  # selects many times faster than numpy

    from universality.sae.topk import top_k

    if active >= code.shape[1]:
        return sparse.csr_matrix(np.maximum(code, 0.0))
    # One more than asked: where that equals the least, more may, and the row is looked at once more.
    columns, values = (part.numpy() for part in top_k(torch.from_numpy(code), active + 1))
    beyond, least = np.partition(values, 1, axis=1)[:, :2].T
    tied = np.flatnonzero((beyond == least) & (least > 0))
    keep = (values >= least[:, None]) & (values > 0)
    keep[tied] = False
    (row, slot), (tied_row, tied_column) = np.nonzero(keep), np.nonzero(code[tied] >= least[tied, None])
    rows, places = np.concatenate([row, tied[tied_row]]), np.concatenate([columns[row, slot], tied_column])
    return sparse.csr_matrix((code[rows, places], (rows, places)), shape=code.shape)
