"""The contract of every dictionary, in the canonical form of the architecture guide."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import torch
from scipy import sparse

from universality.errors import InputError, must_be
from universality.sae import kernels

Rows = TypeVar("Rows", np.ndarray, torch.Tensor)
TENSORS = ("W_enc", "b_enc", "W_dec", "b_dec")


@dataclass(frozen=True, eq=False)
class SparseAutoencoder:
    """A TopK dictionary: ``pre = (x - b_dec) @ W_enc + b_enc``, the k largest of ``relu(pre)``, ``acts @ W_dec + b_dec``.

    Attributes:
        W_enc: float32 (d_in, d_sae). b_enc: (d_sae,). W_dec: (d_sae, d_in). b_dec: (d_in,). On one device.
        k: latents that may fire per row; zeros never count, ties go to the lower index on the CPU.

    Source: Gao et al. 2024, section 2.3.
    """

    W_enc: torch.Tensor
    b_enc: torch.Tensor
    W_dec: torch.Tensor
    b_dec: torch.Tensor
    k: int

    def __post_init__(self) -> None:
        shapes = {name: tuple(getattr(self, name).shape) for name in TENSORS}
        d_in, d_sae = shapes["W_enc"]
        wanted = {"W_enc": (d_in, d_sae), "b_enc": (d_sae,), "W_dec": (d_sae, d_in), "b_dec": (d_in,)}
        for name, shape in shapes.items():
            if shape != wanted[name]:
                raise InputError(must_be(name, "SparseAutoencoder", f"of shape {wanted[name]}", shape, "Transpose it?"))
        if not 1 <= self.k <= d_sae:
            raise InputError(must_be("k", "SparseAutoencoder", f"in 1..{d_sae}", self.k, "Check its config."))

    @property
    def d_in(self) -> int:
        """Width of the activations."""
        return int(self.W_enc.shape[0])

    @property
    def d_sae(self) -> int:
        """Number of latents."""
        return int(self.W_enc.shape[1])

    def encode_top(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Indices (n, k) and values (n, k) of the active latents; free slots have value 0 and index -1 or any."""
        pre = torch.addmm(self.b_enc, x - self.b_dec, self.W_enc)
        if pre.device.type != "cpu":
            values, indices = torch.relu(pre).topk(self.k, dim=-1)
            return indices, values
        indices = np.empty((len(pre), self.k), dtype=np.int32)
        values = np.empty((len(pre), self.k), dtype=np.float32)
        kernels.select_top(pre.numpy(), self.k, np.int32(0), indices, values)
        return torch.from_numpy(indices), torch.from_numpy(values)

    def encode(self, x: Rows) -> Rows:
        """Latent activations (n, d_sae), dense, >= 0, at most k per row; the kind of array that came in."""
        rows = self._rows(x)
        indices, values = self.encode_top(rows)
        acts = torch.zeros((len(rows), self.d_sae), device=rows.device)
        acts.scatter_add_(1, indices.long().clamp_min(0), values)
        return self._like(x, acts)

    def encode_sparse(self, x: Rows) -> sparse.csr_matrix:
        """Latent activations as CSR (n, d_sae): int32 indices rising in each row, float32 values > 0."""
        indices, values = (t.cpu().numpy() for t in self.encode_top(self._rows(x)))
        filled = values > 0
        pointer = np.concatenate([[0], np.cumsum(filled.sum(axis=1))])
        acts = sparse.csr_matrix(
            (values[filled], indices[filled].astype(np.int32), pointer), shape=(len(values), self.d_sae)
        )
        acts.sort_indices()
        return acts

    def decode(self, acts: Any) -> Any:
        """Reconstruction (n, d_in) of dense or CSR activations; CSR and numpy give numpy."""
        if sparse.issparse(acts):
            return np.asarray(acts @ self.W_dec.cpu().numpy()) + self.b_dec.cpu().numpy()
        rows = acts if isinstance(acts, torch.Tensor) else torch.from_numpy(np.asarray(acts, dtype=np.float32))
        return self._like(acts, torch.addmm(self.b_dec, rows.to(self.b_dec), self.W_dec))

    def reconstruct(self, x: Rows) -> Rows:
        """``decode(encode(x))`` without a dense (n, d_sae) array of activations."""
        rows = self._rows(x)
        indices, values = self.encode_top(rows)
        if rows.device.type == "cpu":
            recon = np.empty((len(rows), self.d_in), dtype=np.float32)
            kernels.decode_rows(indices.numpy(), values.numpy(), self.W_dec.numpy(), self.b_dec.numpy(), recon)
            return self._like(x, torch.from_numpy(recon))
        summed = torch.nn.functional.embedding_bag(indices, self.W_dec, per_sample_weights=values, mode="sum")
        return self._like(x, summed + self.b_dec)

    def to_tensors(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """Config (JSON values) and weights, for storage."""
        config = {"architecture": "topk", "k": self.k, "d_in": self.d_in, "d_sae": self.d_sae, "dtype": "float32"}
        return config, {name: getattr(self, name).detach().cpu().numpy() for name in TENSORS}

    @classmethod
    def from_tensors(
        cls, config: Mapping[str, Any], tensors: Mapping[str, np.ndarray], device: str = "cpu"
    ) -> SparseAutoencoder:
        """The inverse of :meth:`to_tensors`.

        Raises:
            InputError: another architecture than ``topk``, or tensors that are missing or of a wrong shape.
        """
        if config.get("architecture") != "topk":
            kind = config.get("architecture")
            raise InputError(must_be("architecture", "the dictionary", "'topk'", repr(kind), "Train a TopK one."))
        missing = [name for name in TENSORS if name not in tensors]
        if missing:
            raise InputError(must_be("tensors", "the dictionary", f"{TENSORS}", f"none named {missing}", "Save it again."))
        held = {
            name: torch.from_numpy(np.array(tensors[name], dtype=np.float32, order="C")).to(device) for name in TENSORS
        }
        return cls(**held, k=int(config["k"]))

    def _rows(self, x: np.ndarray | torch.Tensor) -> torch.Tensor:
        rows = x if isinstance(x, torch.Tensor) else torch.from_numpy(np.asarray(x, dtype=np.float32))
        if rows.ndim != 2 or rows.shape[1] != self.d_in:
            shape = tuple(rows.shape)
            raise InputError(must_be("shape", "x", f"(n, d_in={self.d_in})", shape, "Flatten contexts into rows."))
        return rows.to(device=self.W_enc.device, dtype=torch.float32)

    @staticmethod
    def _like(x: Any, result: torch.Tensor) -> Any:
        return result if isinstance(x, torch.Tensor) else result.cpu().numpy()
