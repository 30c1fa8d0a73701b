"""Activation functions of public dictionaries other than plain TopK.

Each maps ``pre`` (n, d_sae) to ``acts`` (n, d_sae) and says what it needs stored: ``config()`` numbers and
``tensors()`` arrays. :data:`ACTIVATIONS` finds a class by the architecture's name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Protocol

import torch

from universality.errors import InputError, must_be
from universality.sae.topk import TopK


class Activation(Protocol):
    """What a dictionary asks of its activation function."""

    @property
    def name(self) -> str:
        """Name of the architecture in configs."""
        ...

    def __call__(self, pre: torch.Tensor) -> torch.Tensor:
        """Dense activations (n, d_sae)."""
        ...

    def to(self, device: torch.device | str) -> Activation:
        """The same on another device."""
        ...

    def config(self) -> dict[str, Any]:
        """JSON values to store."""
        ...

    def tensors(self) -> dict[str, torch.Tensor]:
        """Arrays to store."""
        ...


@dataclass(frozen=True, eq=False)
class _Stored:
    """Numbers go to the config, tensors to the tensor file and from device to device."""

    def _tensor_names(self) -> list[str]:
        return [field.name for field in fields(self) if isinstance(getattr(self, field.name), torch.Tensor)]

    def to(self, device: torch.device | str) -> Any:
        """The same on another device."""
        return replace(self, **{name: getattr(self, name).to(device) for name in self._tensor_names()})

    def config(self) -> dict[str, Any]:
        """JSON values to store."""
        held = self._tensor_names()
        return {field.name: getattr(self, field.name) for field in fields(self) if field.name not in held}

    def tensors(self) -> dict[str, torch.Tensor]:
        """Arrays to store."""
        return {name: getattr(self, name) for name in self._tensor_names()}


@dataclass(frozen=True, eq=False)
class ReLU(_Stored):
    """``relu(pre)``."""

    name = "relu"

    def __call__(self, pre: torch.Tensor) -> torch.Tensor:
        """Dense activations (n, d_sae)."""
        return torch.relu(pre)


@dataclass(frozen=True, eq=False)
class JumpReLU(_Stored):
    """``relu(pre) * (pre > threshold)``, strictly; threshold (d_sae,) or a scalar, also negative ones.

    Source: Rajamanoharan et al. 2024. BatchTopK dictionaries take this form, with one threshold, at inference.
    """

    threshold: torch.Tensor
    name = "jumprelu"

    def __call__(self, pre: torch.Tensor) -> torch.Tensor:
        """Dense activations (n, d_sae)."""
        return torch.relu(pre) * (pre > self.threshold)


@dataclass(frozen=True, eq=False)
class AbsTopK(_Stored):
    """The k largest of ``|pre|``, with their sign; no ReLU."""

    k: int
    name = "abstopk"

    def __call__(self, pre: torch.Tensor) -> torch.Tensor:
        """Dense activations (n, d_sae), of either sign."""
        indices = pre.abs().topk(self.k, dim=-1, sorted=False).indices
        return torch.zeros_like(pre).scatter(1, indices, pre.gather(1, indices))


@dataclass(frozen=True, eq=False)
class GroupMax(_Stored):
    """The largest of ``relu(pre)`` in each of k contiguous groups of latents."""

    k: int
    name = "groupmax"

    def __call__(self, pre: torch.Tensor) -> torch.Tensor:
        """Dense activations (n, d_sae)."""
        groups = torch.relu(pre).unflatten(-1, (self.k, -1))
        values, indices = groups.max(dim=-1, keepdim=True)
        return torch.zeros_like(groups).scatter(-1, indices, values).flatten(-2)


@dataclass(frozen=True, eq=False)
class Gated(_Stored):
    """``(pre + b_gate > 0) * relu(pre * exp(r_mag) + b_mag)``, all (d_sae,); the encoder bias is 0.

    Source: Rajamanoharan et al. 2024 ("Improving Dictionary Learning with Gated Sparse Autoencoders").
    """

    b_gate: torch.Tensor
    b_mag: torch.Tensor
    r_mag: torch.Tensor
    name = "gated"

    def __call__(self, pre: torch.Tensor) -> torch.Tensor:
        """Dense activations (n, d_sae)."""
        return (pre + self.b_gate > 0) * torch.relu(pre * self.r_mag.exp() + self.b_mag)


ACTIVATIONS: dict[str, type] = {kind.name: kind for kind in (TopK, ReLU, JumpReLU, AbsTopK, GroupMax, Gated)}


def activation_of(config: Mapping[str, Any], tensors: Mapping[str, torch.Tensor]) -> Activation:
    """Build the activation that a stored config and its tensors describe.

    Raises:
        InputError: an unknown architecture, or one of its numbers or tensors is missing.
    """
    kind = ACTIVATIONS.get(str(config.get("architecture")))
    if kind is None:
        raise InputError(
            must_be(
                "architecture",
                "the dictionary",
                f"one of {sorted(ACTIVATIONS)}",
                repr(config.get("architecture")),
                "Convert it to one of these.",
            )
        )
    given = {**config, **tensors}
    missing = [field.name for field in fields(kind) if field.name not in given]
    if missing:
        raise InputError(
            must_be(
                f"{missing}", f"a {kind.name} dictionary", "given", "nothing", "Save the dictionary again."
            )
        )
    return kind(**{field.name: given[field.name] for field in fields(kind)})
