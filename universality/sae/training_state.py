"""What a training changes from step to step: weights, Adam's moments and counters, of one dictionary or of several."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch

SHARED = ("W_enc_rows", "W_dec", "b_enc", "b_dec")


@dataclass(frozen=True, eq=False)
class Parameters:
    """Weights with a latent's row together: ``W_enc_rows`` and ``W_dec`` (d_sae, d_in), ``b_enc``, ``b_dec``.

    ``extra`` holds what only one architecture has, by name, (d_sae,) each. All may have a leading axis of seeds.
    """

    W_enc_rows: torch.Tensor
    W_dec: torch.Tensor
    b_enc: torch.Tensor
    b_dec: torch.Tensor
    extra: Mapping[str, torch.Tensor] = field(default_factory=dict)

    def named(self) -> dict[str, torch.Tensor]:
        """The tensors by name, in a fixed order."""
        return {name: getattr(self, name) for name in SHARED} | dict(self.extra)

    @classmethod
    def of(cls, tensors: Mapping[str, torch.Tensor]) -> Parameters:
        """The inverse of :meth:`named`."""
        extra = {name: tensors[name] for name in tensors if name not in SHARED}
        return cls(**{name: tensors[name] for name in SHARED}, extra=extra)

    def zeros_like(self) -> Parameters:
        """Zeros of the same shapes, for a moment of Adam."""
        return Parameters.of({name: torch.zeros_like(value) for name, value in self.named().items()})

    def of_seed(self, number: int) -> Parameters:
        """One seed's part, as views, of weights with a leading axis of seeds."""
        return Parameters.of({name: value[number] for name, value in self.named().items()})


@dataclass(frozen=True, eq=False)
class TrainingState:
    """All tensors of a training, which its steps change in place.

    Attributes:
        p, m, v: weights and Adam's two moments of them.
        silent: int64 (..., d_sae), rows since a latent last fired.
        buffers: what one architecture keeps besides, by name.
    """

    p: Parameters
    m: Parameters
    v: Parameters
    silent: torch.Tensor
    buffers: Mapping[str, torch.Tensor] = field(default_factory=dict)

    @classmethod
    def fresh(cls, p: Parameters, buffers: Mapping[str, tuple[int, ...]]) -> TrainingState:
        """The state before the first step, beside weights to start from.

        Args:
            p: the weights; they are not copied.
            buffers: shapes as :attr:`SAEArchitecture.buffers` has them.
        """
        lead, device = p.b_enc.shape[:-1], p.b_enc.device
        silent = torch.zeros(p.b_enc.shape, dtype=torch.int64, device=device)
        zeros = {name: torch.zeros((*lead, *shape), device=device) for name, shape in buffers.items()}
        return cls(p, p.zeros_like(), p.zeros_like(), silent, zeros)

    def of_seed(self, number: int) -> TrainingState:
        """One seed's part, as views, of a state with a leading axis of seeds."""
        p, m, v = (part.of_seed(number) for part in (self.p, self.m, self.v))
        buffers = {name: value[number] for name, value in self.buffers.items()}
        return TrainingState(p, m, v, self.silent[number], buffers)

    def named(self) -> dict[str, torch.Tensor]:
        """All tensors under the names that checkpoints have."""
        groups = {"weight": self.p.named(), "m": self.m.named(), "v": self.v.named(), "extra": self.buffers}
        tensors = {f"{group}/{name}": value for group, part in groups.items() for name, value in part.items()}
        return {"silent": self.silent, **tensors}
