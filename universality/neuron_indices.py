"""Published indices of neurons: do the raw coordinates of two models agree better than their spaces do?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from universality.arguments import SEEDED, checked, instance, matrix, number, several, vector, whole
from universality.indices import (
    MAX_WIDTH,
    Covariances,
    Index,
    covariances,
    linear_cka,
    random_rotation,
    representational,
    svcca,
)

#: Excess correlation above which a neuron is called universal.
UNIVERSAL_EXCESS = 0.5
_GENERATOR = instance(np.random.Generator, remedy=SEEDED)
_COVARIANCES = instance(Covariances, remedy="Make them with covariances(x, y).")


@dataclass(frozen=True, eq=False)
class NeuronMaxima:
    """The highest r that each neuron of x has with any neuron of y, and what chance and a rotated basis give.

    Attributes:
        highest: (d_x,) over the neurons of y; 0 where the neuron never varies.
        unrelated: (d_x,) the same with y's rows rolled by half of them: chance.
        rotated: (n_rotations, d_x) the same in Haar-random rotations of y's basis.
        alive: (d_x,) bool, which neurons of x vary.
    """

    highest: np.ndarray
    unrelated: np.ndarray
    rotated: np.ndarray
    alive: np.ndarray

    @property
    def excess(self) -> np.ndarray:
        """(d_x,) highest r minus its mean over the rotations; 0 where the neuron never varies."""
        return self.highest - self.rotated.mean(axis=0)


@checked(c=_COVARIANCES, generator=_GENERATOR, n_rotations=whole(1))
def neuron_maxima(c: Covariances, generator: np.random.Generator, n_rotations: int) -> NeuronMaxima:
    """Each neuron's best partner, by r over the rows of ``c``; see :class:`NeuronMaxima`."""
    scale, variance = np.sqrt(np.maximum(np.diag(c.xx), 0.0)), np.diag(c.yy)
    alive, d = scale > 0, c.yy.shape[0]
    out = np.zeros((2 + n_rotations, scale.size))
    if alive.any():
        for row, cross in enumerate((c.xy, c.unrelated)):
            out[row, alive] = _highest(cross[alive], scale[alive], variance)
        for row in range(2, 2 + n_rotations):
            q = random_rotation(d, generator)
            out[row, alive] = _highest(c.xy[alive] @ q, scale[alive], np.einsum("ij,ij->j", q, c.yy @ q))
    return NeuronMaxima(out[0], out[1], out[2:], alive)


def _highest(cross: np.ndarray, scale_x: np.ndarray, variance_y: np.ndarray) -> np.ndarray:
    alive = variance_y > 1e-12 * max(float(variance_y.max(initial=0.0)), 1e-300)
    r = cross[:, alive] / np.multiply.outer(scale_x, np.sqrt(variance_y[alive]))
    return r.max(axis=1, initial=0.0)


@checked(maxima=instance(NeuronMaxima, remedy="Make them with neuron_maxima(…)."), threshold=number())
def excess_correlation(maxima: NeuronMaxima, threshold: float = UNIVERSAL_EXCESS) -> list[Index]:
    """Gurnee's excess correlation of two models: how much better a neuron's best partner is than in a rotated basis.

    ``neuron_excess`` is the mean excess over the neurons that vary, ``neuron_universal_fraction`` the share above
    ``threshold``; the chance of either is 0 by construction, low and high are the range over the single rotations.
    ``neuron_bricken_median`` is the median of the highest r itself; its chance is over rows that do not belong
    together. Where no neuron of x varies there are no indices.

    Source: Gurnee et al. 2024, "Universal neurons in GPT2 language models"; Bricken et al. 2023.
    """
    alive = maxima.alive
    if not alive.any():
        return []
    excess, middle = (maxima.highest - maxima.rotated)[:, alive], maxima.excess[alive]
    mean, share, n = excess.mean(axis=1), (excess > threshold).mean(axis=1), int(alive.sum())
    universal = float((middle > threshold).mean())
    median, chance = (float(np.median(values[alive])) for values in (maxima.highest, maxima.unrelated))
    return [
        Index("neuron_excess", float(middle.mean()), 0.0, n, float(mean.min()), float(mean.max())),
        Index("neuron_universal_fraction", universal, 0.0, n, float(share.min()), float(share.max())),
        Index("neuron_bricken_median", median, chance, n),
    ]


@checked(excess=several(several(vector())), threshold=number())
def universal_neurons(excess: Sequence[Sequence[np.ndarray]], threshold: float = UNIVERSAL_EXCESS) -> Index | None:
    """Share of all neurons of several models whose excess, averaged over the other models, is above ``threshold``.

    Args:
        excess: of each model, its neurons' excess (d,) with each of the other models.
        threshold: 0.5 in the paper.

    Returns:
        The share over the neurons of all models, silent ones included; low and high are the lowest and the highest
        of a single model. None without neurons.

    Source: Gurnee et al. 2024.
    """
    universal = [np.mean(of_model, axis=0) > threshold for of_model in excess if len(of_model)]
    together = np.concatenate(universal) if universal else np.zeros(0, bool)
    if not together.size:
        return None
    shares = [float(of_model.mean()) for of_model in universal]
    return Index("neuron_universal_fraction", float(together.mean()), 0.0, together.size, min(shares), max(shares))


@dataclass(frozen=True, eq=False)
class RawIndices:
    """Indices of the raw activations x and y of two models.

    Attributes:
        both: those without a direction.
        ways: those of x against y, and of y against x.
        excess: excess correlation of the neurons of x (d_x,) and of y (d_y,); empty where the spaces are
            too wide for covariances.
    """

    both: list[Index]
    ways: tuple[list[Index], list[Index]]
    excess: tuple[np.ndarray, np.ndarray]


@checked(x=matrix, y=matrix, generator=_GENERATOR, n_rotations=whole(1))
def raw_indices(x: np.ndarray, y: np.ndarray, generator: np.random.Generator, n_rotations: int) -> RawIndices:
    """Every index of raw activations on given rows; those of covariances up to ``MAX_WIDTH`` coordinates."""
    both = representational(x, y, generator)
    if max(x.shape[1], y.shape[1]) > MAX_WIDTH:
        return RawIndices(both, ([], []), (np.zeros(0), np.zeros(0)))
    c = covariances(x, y)
    back = Covariances(c.yy, c.xx, c.xy.T, c.unrelated.T, c.n_rows)
    of_x, of_y = (neuron_maxima(way, generator, n_rotations) for way in (c, back))
    ways = excess_correlation(of_x), excess_correlation(of_y)
    return RawIndices([linear_cka(c), svcca(c), *both], ways, (of_x.excess, of_y.excess))
