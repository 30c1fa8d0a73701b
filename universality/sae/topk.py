"""TopK: the k largest positive pre-activations of a row, on the CPU by a kernel of ours."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from universality.errors import InputError, must_be
from universality.sae import selection

LANES_PER_SLOT = 8
"""Lanes that bound the k-th largest entry, per slot: the measured optimum from k 16 to 256 is flat here."""


def runs_kernels(tensor: torch.Tensor) -> bool:
    """Whether our kernels may read this tensor: plain float32 memory of the CPU, no gradient wanted.

    Fake and meta tensors, other devices and other precisions take torch operations instead.
    """
    plain = type(tensor) in (torch.Tensor, torch.nn.Parameter)
    wanted = tensor.requires_grad and torch.is_grad_enabled()
    return plain and tensor.device.type == "cpu" and tensor.dtype == torch.float32 and not wanted


def lane_maxima(pre: torch.Tensor, k: int) -> torch.Tensor:
    """Maxima over strided lanes of each row, as :func:`selection.select_top` wants them; no lanes for short rows."""
    n, d_sae = pre.shape
    lanes = min(LANES_PER_SLOT * k, d_sae // 2)
    if lanes < k:
        return pre.new_empty((n, 0))
    return pre[:, : d_sae - d_sae % lanes].view(n, d_sae // lanes, lanes).amax(1)


def top_k(pre: torch.Tensor, k: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Indices and values of the k largest positive entries of every row.

    Args:
        pre: (n, d_sae) pre-activations.
        k: most entries per row.

    Returns:
        indices (n, k) and values (n, k) >= 0; a slot of value 0 is free. On the CPU indices are int32 in
        rising order, free slots come last with index -1, and ties go to the lower index; elsewhere they are
        int64 in falling order of value, free slots name some latent, and torch breaks ties.
    """
    if not runs_kernels(pre):
        values, indices = torch.relu(pre).topk(k, dim=-1, sorted=False)
        return indices, values
    pre = pre.detach().contiguous()
    indices = np.empty((len(pre), k), dtype=np.int32)
    values = np.empty((len(pre), k), dtype=np.float32)
    selection.select_top(pre.numpy(), lane_maxima(pre, k).numpy(), k, indices, values)
    return torch.from_numpy(indices), torch.from_numpy(values)


@dataclass(frozen=True)
class TopK:
    """``acts = pre`` at the k largest of ``relu(pre)``, 0 elsewhere; zeros never count.

    Source: Gao et al. 2024, section 2.3.
    """

    k: int
    name = "topk"

    def __post_init__(self) -> None:
        if self.k < 1:
            raise InputError(must_be("k", "TopK", "at least 1", self.k, "Check the dictionary's config."))

    def __call__(self, pre: torch.Tensor) -> torch.Tensor:
        """Dense activations (n, d_sae); differentiable."""
        indices, values = top_k(pre, min(self.k, pre.shape[1]))
        return torch.zeros_like(pre).scatter_add(1, indices.long().clamp_min(0), values)

    def to(self, device: torch.device | str) -> TopK:
        """Itself: nothing lies on a device."""
        return self

    def config(self) -> dict[str, int]:
        """What belongs into a JSON config."""
        return {"k": self.k}

    def tensors(self) -> dict[str, torch.Tensor]:
        """What belongs into a tensor file: nothing."""
        return {}
