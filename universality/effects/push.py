"""What steering adds to the activations at a hook point: a direction, and how much of it strength 1 is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from universality.brief_repr import brief_repr
from universality.errors import refusal, require
from universality.seeds import generator

if TYPE_CHECKING:
    import torch

    from universality.sae import SparseAutoencoder

#: Of the activations where a latent fires: what strength 1 stands for.
UNIT_QUANTILE = 0.95
#: A direction shorter than this points nowhere in float32.
SHORTEST = 1e-12
#: What is added must be shorter: beyond it normalisations of the model overflow, and give zeros as if all were well.
LONGEST = 1e18


@brief_repr
@dataclass(frozen=True, eq=False)
class Push:
    """What is added at strength 1.

    Attributes:
        hook_point: where.
        vector: (d_in,) float64, finite and of positive norm.
        row_scale: maps activations (n, d_in) to (n, 1), the scale that a dictionary with normalised rows gives back to
            its reconstruction; None for all others.
    """

    hook_point: str
    vector: Float[np.ndarray, " d_in"]
    row_scale: Callable[[torch.Tensor], torch.Tensor] | None = None

    @property
    def norm(self) -> float:
        """Length of the vector."""
        return float(np.linalg.norm(self.vector))

    def edit(self, strength: float) -> Callable[[torch.Tensor], torch.Tensor]:
        """Activations float32 ``(n, d_in)`` to what they are with ``strength`` times the vector added.

        Raises:
            InputError: a strength that is no finite number, or one that adds a norm of :data:`LONGEST`; of the
                returned function: activations of another width.
        """
        import torch

        vector = _at_strength(self.vector, strength)

        def push(rows: torch.Tensor) -> torch.Tensor:
            if rows.shape[1] != len(vector):
                remedy = "Take the hook point that the dictionary reads."
                raise refusal("width", self.hook_point, f"that of the direction ({len(vector)})", rows.shape[1], remedy)
            added = torch.from_numpy(vector).to(rows)
            return rows + (added if self.row_scale is None else added * self.row_scale(rows))

        return push


def _at_strength(vector: np.ndarray, strength: float) -> np.ndarray:
    """``strength`` times the vector, float32."""
    remedy = "Take a number such as 2."
    require(np.isfinite(strength), "strength", "steering", "a finite number", strength, remedy)
    norm = abs(float(strength)) * float(np.linalg.norm(vector))
    legal = f"one with which the direction adds a norm below {LONGEST:g}, whose square float32 still holds"
    require(norm < LONGEST, "strength", "steering", legal, strength, "Take a smaller one.")
    return (strength * vector).astype(np.float32)


def push_along(hook_point: str, direction: Any, norm: float, row_scale: Any = None) -> Push:
    """A push of a given norm along a direction.

    Args:
        hook_point: where.
        direction: (d_in,) of any length.
        norm: length at strength 1, in the unit of the activations.
        row_scale: as of :class:`Push`.

    Raises:
        InputError: values that are not finite, or nothing to point along.
    """
    vector = np.asarray(direction, dtype=np.float64)
    where, remedy = f"the direction at {hook_point}", "Take another latent."
    require(vector.ndim == 1, "axes", where, "one", vector.ndim, "Pass (d_in,) values.")
    n_bad = int((~np.isfinite(vector)).sum())
    require(n_bad == 0, "every value", where, "finite", f"{n_bad} NaN or infinite values", remedy)
    length = float(np.linalg.norm(vector))
    require(length > SHORTEST, "norm", where, f"above {SHORTEST:g}", length, remedy)
    require(np.isfinite(norm) and norm > 0, "norm of the push", where, "positive and finite", norm, remedy)
    return Push(hook_point, vector * (norm / length), row_scale)


def latent_push(sae: SparseAutoencoder, latent: int, hook_point: str, activations: Any) -> Push:
    """The push of one latent: strength 1 adds what it writes at the 95th percentile of its activations.

    Args:
        sae: any dictionary that reads and writes the activations of ``hook_point``.
        latent: number of the latent.
        hook_point: where the dictionary reads.
        activations: its activations on any text; those above 0 count.

    Raises:
        InputError: no such latent, one that never fires (there is no unit to steer by), a direction that is not finite
            or has no length, or a transcoder, whose directions live elsewhere.

    Source: the decoder row as direction: Templeton et al. 2024; the unit: ours.
    """
    where = f"the dictionary at {hook_point}"
    remedy = f"Take one of 0 to {sae.d_sae - 1}."
    require(0 <= latent < sae.d_sae, "latent", where, f"below {sae.d_sae}", latent, remedy)
    wide = int(sae.W_dec.shape[1])
    remedy = "Steer with a dictionary that writes where it reads."
    require(wide == sae.d_in, "width that is written", where, f"that which is read ({sae.d_in})", wide, remedy)
    values = np.asarray(activations, dtype=np.float64)
    firing = values[values > 0]
    remedy = "A latent that is dead on this text has no unit to steer by: take one that fires."
    require(firing.size > 0, f"activations of latent {latent}", where, "above 0 somewhere", "none that is", remedy)
    row = sae.W_dec[latent].detach().cpu().numpy().astype(np.float64)
    unit = float(np.quantile(firing, UNIT_QUANTILE))
    scale = None if sae.normalisation == "none" else sae.row_scale
    return push_along(hook_point, row, unit * float(np.linalg.norm(row)), scale)


def random_push(push: Push, seed: int) -> Push:
    """A push of equal norm along a random direction (a normal draw), the control of another one."""
    direction = generator(seed, "random-push", push.hook_point).standard_normal(len(push.vector))
    return replace(push, vector=direction * (push.norm / np.linalg.norm(direction)))
