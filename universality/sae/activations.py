"""Activation functions of saved dictionaries, whatever they were trained as.

Each maps ``pre`` (n, d_sae) to ``acts`` (n, d_sae). :data:`ACTIVATIONS` has them by the name that a saved config has
under ``architecture``; that is the form of the dictionary, not the SAE architecture of its training
(:mod:`universality.sae.architectures`).
"""

import operator
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar, Self

import torch

from universality.errors import refusal
from universality.sae.topk import top_k


@dataclass(frozen=True, eq=False)
class Activation:
    """What a dictionary asks of its activation function; its fields are numbers, and tensors (d_sae,) or scalars."""

    name: ClassVar[str]

    def __call__(self, pre: torch.Tensor) -> torch.Tensor:
        """Dense activations (n, d_sae)."""
        raise NotImplementedError

    def to(self, device: torch.device | str) -> Self:
        """The same on another device."""
        return replace(self, **{name: value.to(device) for name, value in self.tensors().items()})

    def config(self) -> dict[str, Any]:
        """The numbers, to store as JSON."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: value for name, value in values.items() if not isinstance(value, torch.Tensor)}

    def tensors(self) -> dict[str, torch.Tensor]:
        """The arrays, to store beside."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: value for name, value in values.items() if isinstance(value, torch.Tensor)}


@dataclass(frozen=True)
class TopK(Activation):
    """``acts = pre`` at the k largest of ``relu(pre)``, 0 elsewhere; zeros never count.

    Source: Gao et al. 2024, section 2.3.
    """

    k: int
    name = "topk"

    def __post_init__(self) -> None:
        object.__setattr__(self, "k", _whole(self.k, self.name))

    def __call__(self, pre: torch.Tensor) -> torch.Tensor:
        """Dense activations (n, d_sae); differentiable."""
        indices, values = top_k(pre, min(self.k, pre.shape[1]))
        return torch.zeros_like(pre).scatter_add(1, indices.long().clamp_min(0), values)


@dataclass(frozen=True, eq=False)
class ReLU(Activation):
    """``relu(pre)``."""

    name = "relu"

    def __call__(self, pre: torch.Tensor) -> torch.Tensor:
        """Dense activations (n, d_sae)."""
        return torch.relu(pre)


@dataclass(frozen=True, eq=False)
class JumpReLU(Activation):
    """``relu(pre) * (pre > threshold)``, strictly; threshold (d_sae,) or a scalar, also negative ones.

    Source: Rajamanoharan et al. 2024. BatchTopK dictionaries take this form, with one threshold, at inference.
    """

    threshold: torch.Tensor
    name = "jumprelu"

    def __call__(self, pre: torch.Tensor) -> torch.Tensor:
        """Dense activations (n, d_sae)."""
        return torch.relu(pre) * (pre > self.threshold)


@dataclass(frozen=True, eq=False)
class AbsTopK(Activation):
    """The k largest of ``|pre|``, with their sign; no ReLU."""

    k: int
    name = "abstopk"

    def __post_init__(self) -> None:
        object.__setattr__(self, "k", _whole(self.k, self.name))

    def __call__(self, pre: torch.Tensor) -> torch.Tensor:
        """Dense activations (n, d_sae), of either sign."""
        indices = pre.abs().topk(self.k, dim=-1, sorted=False).indices
        return torch.zeros_like(pre).scatter(1, indices, pre.gather(1, indices))


@dataclass(frozen=True, eq=False)
class GroupMax(Activation):
    """The largest of ``relu(pre)`` in each of k contiguous groups of latents."""

    k: int
    name = "groupmax"

    def __post_init__(self) -> None:
        object.__setattr__(self, "k", _whole(self.k, self.name))

    def __call__(self, pre: torch.Tensor) -> torch.Tensor:
        """Dense activations (n, d_sae)."""
        groups = torch.relu(pre).unflatten(-1, (self.k, -1))
        values, indices = groups.max(dim=-1, keepdim=True)
        return torch.zeros_like(groups).scatter(-1, indices, values).flatten(-2)


@dataclass(frozen=True, eq=False)
class Gated(Activation):
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


def _whole(k: Any, name: str) -> int:
    """A number of latents as Python's, whatever library counted it."""
    try:
        whole = operator.index(k)
    except TypeError:
        whole = 0
    if whole < 1 or isinstance(k, bool):
        raise refusal("k", f"a {name} dictionary", "a whole number, at least 1", k, "Check the dictionary's config.")
    return whole


ACTIVATIONS: dict[str, type[Activation]] = {
    kind.name: kind for kind in (TopK, ReLU, JumpReLU, AbsTopK, GroupMax, Gated)
}


def activation_of(config: Mapping[str, Any], tensors: Mapping[str, torch.Tensor]) -> Activation:
    """Build the activation that a stored config and its tensors describe.

    Raises:
        InputError: an unknown architecture, or one of its numbers or tensors is missing.
    """
    name = config.get("architecture")
    kind = ACTIVATIONS.get(str(name))
    if kind is None:
        legal = f"one of {sorted(ACTIVATIONS)}"
        raise refusal("architecture", "the dictionary", legal, repr(name), "Convert it to one of these.")
    stored = {**config, **tensors}
    missing = [field.name for field in fields(kind) if field.name not in stored]
    if missing:
        remedy = "Save the dictionary again."
        raise refusal(f"{missing}", f"a {kind.name} dictionary", "given", "nothing", remedy)
    return kind(**{field.name: stored[field.name] for field in fields(kind)})
