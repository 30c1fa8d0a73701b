"""The contract of every dictionary, in one canonical form.

``x_n = norm(x)``, ``pre = (x_n - a * b_dec) @ W_enc + b_enc``, ``acts = phi(pre)``,
``recon = denorm(acts @ W_dec + b_dec) [+ x @ W_skip]``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeVar, cast, get_args

import numpy as np
import torch
from scipy import sparse

from universality.brief_repr import brief_repr
from universality.errors import refusal
from universality.matrices import as_dense, is_dense
from universality.sae import kernels
from universality.sae.activations import Activation, GroupMax, TopK, activation_of
from universality.sae.topk import runs_kernels, top_k

Rows = TypeVar("Rows", np.ndarray, torch.Tensor)
Normalisation = Literal["none", "layer_norm", "constant_norm", "centred"]

TENSORS = ("W_enc", "b_enc", "W_dec", "b_dec")
BLOCK_BYTES = 1 << 25
"""Pre-activations own at one time by the sparse ways through a dictionary."""


@brief_repr
@dataclass(frozen=True, eq=False)
class SparseAutoencoder:
    """A dictionary: overcomplete directions of an activation space and the rule by which few of them fire.

    Numpy arrays and torch tensors are accepted, and what comes in decides what comes out: an array, or a tensor on
    the device of the one given. Latents do not depend on the other rows they are encoded with.

    Attributes:
        W_enc: float32 (d_in, d_sae).
        b_enc: (d_sae,).
        W_dec: (d_sae, d_out), d_out = d_in except for transcoders.
        b_dec: (d_out,).
        activation: phi.
        subtract_b_dec: a = 1 (else 0): whether the encoder sees ``x_n - b_dec``.
        normalisation: per-row norm: ``none``; ``layer_norm`` ``(x - mean) / (std + 1e-5)``, standard deviation
            with d_in - 1; ``constant_norm`` ``x * sqrt(d_in) / ||x||``; ``centred`` ``x - mean``. Mean and scale come
            back on the reconstruction.
        W_skip: (d_in, d_out) or None; its part is added to the reconstruction, of the raw x.
        metadata: where the dictionary comes from; JSON values.

    Source: Bricken et al. 2023; Gao et al. 2024.
    """

    W_enc: torch.Tensor
    b_enc: torch.Tensor
    W_dec: torch.Tensor
    b_dec: torch.Tensor
    activation: Activation
    subtract_b_dec: bool = True
    normalisation: Normalisation = "none"
    W_skip: torch.Tensor | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not isinstance(self.activation, Activation):
            got = type(self.activation).__name__
            raise refusal("activation", "the dictionary", "an Activation", got, "See sae/activations.py.")
        for name, value in self.every_tensor().items():
            if not isinstance(value, torch.Tensor):
                raise refusal(name, "the dictionary", "a torch tensor", type(value).__name__, "torch.from_numpy(…)")
            if not value.is_floating_point():
                raise refusal(name, "the dictionary", "of floating point", value.dtype, "Convert the weights first.")
        for name, n_axes in (("W_enc", 2), ("b_dec", 1)):
            value = getattr(self, name)
            if value.ndim != n_axes or 0 in value.shape:
                got = tuple(value.shape)
                raise refusal(name, "the dictionary", f"of {n_axes} axes, not empty", got, "Save it again.")
        (d_in, d_sae), d_out = self.W_enc.shape, self.b_dec.shape[0]
        vectors = {name: value for name, value in self.activation.tensors().items() if value.ndim}
        expected: dict[str, tuple[torch.Tensor, tuple[int, ...]]]
        expected = {name: (value, (d_sae,)) for name, value in {"b_enc": self.b_enc, **vectors}.items()}
        expected["W_dec"] = self.W_dec, (d_sae, d_out)
        if self.W_skip is not None:
            expected["W_skip"] = self.W_skip, (d_in, d_out)
        for name, (value, shape) in expected.items():
            if tuple(value.shape) != shape:
                got = tuple(value.shape)
                raise refusal(name, "the dictionary", f"of shape {shape}", got, "Transpose it?")
        if self.subtract_b_dec and d_out != d_in:
            remedy = "Its b_dec lives in another space than x."
            raise refusal("subtract_b_dec", "a transcoder", "False", True, remedy)
        k = getattr(self.activation, "k", 1)
        if not 1 <= k <= d_sae:
            raise refusal("k", "the dictionary", f"in 1..{d_sae}", k, "Check its config.")
        if isinstance(self.activation, GroupMax) and d_sae % k:
            constraint = f"a divisor of d_sae ({d_sae}): groups are of one size"
            raise refusal("k", "a groupmax dictionary", constraint, k, "Check its config.")
        if self.normalisation not in (legal := get_args(Normalisation)):
            got = repr(self.normalisation)
            raise refusal("normalisation", "the dictionary", f"one of {legal}", got, "Fold it.")

    def every_tensor(self) -> dict[str, torch.Tensor]:
        """All weights by name, those of the activation and of a skip connection among them."""
        own = {name: getattr(self, name) for name in TENSORS} | self.activation.tensors()
        return own if self.W_skip is None else {**own, "W_skip": self.W_skip}

    @property
    def d_in(self) -> int:
        """Width of the activations."""
        return int(self.W_enc.shape[0])

    @property
    def d_sae(self) -> int:
        """Number of latents."""
        return int(self.W_enc.shape[1])

    @property
    def device(self) -> torch.device:
        """Where the weights lie."""
        return self.W_enc.device

    def to(self, device: torch.device | str) -> SparseAutoencoder:
        """The same dictionary on another device."""
        moved = {name: getattr(self, name).to(device) for name in TENSORS}
        skip = None if self.W_skip is None else self.W_skip.to(device)
        return replace(self, **moved, W_skip=skip, activation=self.activation.to(device))

    def encode(self, x: Rows) -> Rows:
        """Latent activations (n, d_sae), dense; the kind of array that came in.

        Raises:
            InputError: x is not (n, d_in).
        """
        rows = self._rows(x)
        return _like(x, self.activation(self._pre(self._normalise(rows)[0])))

    def encode_sparse(self, x: np.ndarray | torch.Tensor) -> sparse.csr_matrix:
        """Latent activations as CSR (n, d_sae): int32 indices rising in each row, float32 values, no zeros.

        Raises:
            InputError: x is not (n, d_in).
        """
        parts = [self._encode_block(block) for block in self._blocks(x)]
        if not parts:
            return sparse.csr_matrix(np.zeros((0, self.d_sae), dtype=np.float32))
        counts = np.concatenate([count for count, _, _ in parts])
        pointer = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64 if counts.sum() >= 2**31 else np.int32)
        indices = np.concatenate([part for _, part, _ in parts])
        values = np.concatenate([part for _, _, part in parts])
        acts = sparse.csr_matrix((values, indices, pointer), shape=(len(counts), self.d_sae))
        acts.has_sorted_indices = True
        return acts

    def decode(self, acts: Any) -> Any:
        """Reconstruction (n, d_out) of dense or CSR activations in the space that ``W_dec`` writes to.

        Per-row normalisation and a skip connection need x: :meth:`restore` and :meth:`reconstruct` apply them. CSR
        and numpy give numpy.
        """
        acts = _checked_rows(acts, "acts", "d_sae", self.d_sae)
        if sparse.issparse(acts):
            return np.asarray(acts @ self.W_dec.cpu().numpy()) + self.b_dec.cpu().numpy()
        rows = acts if isinstance(acts, torch.Tensor) else _tensor(acts)
        return _like(acts, torch.addmm(self.b_dec, rows.to(self.b_dec), self.W_dec))

    def restore(self, recon: Rows, x: Rows) -> Rows:
        """What :meth:`decode` gave (n, d_out), in the space of x: each row's mean and scale, and a skip connection."""
        if self.normalisation == "none" and self.W_skip is None:
            return recon
        rows = self._rows(x)
        _, mean, scale = self._normalise(rows)
        decoded = recon if isinstance(recon, torch.Tensor) else _tensor(recon)
        return _like(recon, self._with_rows(decoded.to(rows), rows, mean, scale))

    def reconstruct(self, x: Rows) -> Rows:
        """Reconstruction (n, d_out) of x, without a dense (n, d_sae) array where few latents fire."""
        parts = [self._reconstruct_block(block) for block in self._blocks(x)]
        return _like(x, torch.cat(parts) if parts else self.b_dec.new_zeros((0, len(self.b_dec))))

    def row_scale(self, x: torch.Tensor) -> torch.Tensor:
        """By how much each row's latents are larger in x than in the decoder's space: (n, 1); 1 without normalisation.

        A latent adds ``acts * row_scale(x) * W_dec[latent]`` to the reconstruction.
        """
        rows = self._rows(x)
        return (rows.new_ones((len(rows), 1)) * self._normalise(rows)[2]).to(x)

    def to_tensors(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """Config (JSON values) and weights, for storage; inverse of :meth:`from_tensors`."""
        config = {
            "architecture": self.activation.name,
            "d_in": self.d_in,
            "d_sae": self.d_sae,
            "dtype": "float32",
            "subtract_b_dec": self.subtract_b_dec,
            "normalisation": self.normalisation,
            **self.activation.config(),
            "metadata": dict(self.metadata),
        }
        return config, {name: value.detach().cpu().numpy() for name, value in self.every_tensor().items()}

    @classmethod
    def from_tensors(
        cls, config: Mapping[str, Any], tensors: Mapping[str, np.ndarray], device: str = "cpu"
    ) -> SparseAutoencoder:
        """Build a dictionary from what :meth:`to_tensors` returned.

        Raises:
            InputError: an unknown architecture, or tensors that are missing or of a wrong shape.
        """
        missing = [name for name in TENSORS if name not in tensors]
        if missing:
            raise refusal("tensors", "the dictionary", f"{TENSORS}", f"none named {missing}", "Save it again.")
        own = {name: _tensor(value, copy=True).to(device) for name, value in tensors.items()}
        four, W_skip = {name: own.pop(name) for name in TENSORS}, own.pop("W_skip", None)
        activation = activation_of(config, own)
        unknown = sorted(set(own) - set(activation.tensors()))
        if unknown:
            constraint, got = f"known to the architecture {activation.name!r}", "tensors that nothing reads"
            raise refusal(f"tensors {unknown}", "the dictionary", constraint, got, "Save it again.")
        return cls(
            **four,
            W_skip=W_skip,
            activation=activation,
            subtract_b_dec=bool(config.get("subtract_b_dec", True)),
            normalisation=cast(Normalisation, config.get("normalisation", "none")),
            metadata=dict(config.get("metadata", {})),
        )

    def _pre(self, rows: torch.Tensor) -> torch.Tensor:
        seen = rows - self.b_dec if self.subtract_b_dec else rows
        return torch.addmm(self.b_enc, seen, self.W_enc)

    def _encode_block(self, rows: torch.Tensor) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Entries per row, and all indices and values, rows after rows and indices rising."""
        pre = self._pre(self._normalise(rows)[0])
        if isinstance(self.activation, TopK) and runs_kernels(pre):
            indices, values = (part.numpy() for part in top_k(pre, self.activation.k))
            filled = indices >= 0
            return filled.sum(axis=1), indices[filled], values[filled]
        if pre.device.type == "cpu":
            acts = self.activation(pre).numpy()
            row, column = np.nonzero(acts)
            return np.bincount(row, minlength=len(acts)), column.astype(np.int32), acts[row, column]
        return sparse_block(self.activation, pre)

    def _reconstruct_block(self, rows: torch.Tensor) -> torch.Tensor:
        seen, mean, scale = self._normalise(rows)
        pre = self._pre(seen)
        if isinstance(self.activation, TopK):
            recon = self._decode_top(*top_k(pre, self.activation.k))
        else:
            recon = torch.addmm(self.b_dec, self.activation(pre), self.W_dec)
        return self._with_rows(recon, rows, mean, scale)

    def _with_rows(self, recon: torch.Tensor, rows: torch.Tensor, mean: Any, scale: Any) -> torch.Tensor:
        recon = recon * scale + mean if self.normalisation != "none" else recon
        return recon if self.W_skip is None else recon + rows @ self.W_skip

    def _decode_top(self, indices: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
        if runs_kernels(values) and indices.dtype == torch.int32:
            recon = np.empty((len(values), len(self.b_dec)), dtype=np.float32)
            weights = (self.W_dec.detach().numpy(), self.b_dec.detach().numpy())
            kernels.decode_rows(indices.numpy(), values.numpy(), *weights, recon)
            return torch.from_numpy(recon)
        summed = torch.nn.functional.embedding_bag(indices, self.W_dec, per_sample_weights=values, mode="sum")
        return summed + self.b_dec

    def _normalise(self, rows: torch.Tensor) -> tuple[torch.Tensor, Any, Any]:
        """Rows as the encoder's space wants them, and the mean and scale that lead back."""
        if self.normalisation == "layer_norm":
            mean = rows.mean(dim=1, keepdim=True)
            scale = ((rows - mean).square().sum(dim=1, keepdim=True) / (self.d_in - 1)).sqrt()
            return (rows - mean) / (scale + 1e-5), mean, scale
        if self.normalisation == "constant_norm":
            scale = rows.norm(dim=1, keepdim=True) / self.d_in**0.5
            scale = torch.where(scale > 0, scale, torch.ones_like(scale))
            return rows / scale, 0.0, scale
        if self.normalisation == "centred":
            mean = rows.mean(dim=1, keepdim=True)
            return rows - mean, mean, 1.0
        return rows, 0.0, 1.0

    def _blocks(self, x: np.ndarray | torch.Tensor) -> Iterator[torch.Tensor]:
        """x in blocks of rows whose pre-activations stay small."""
        x = _checked_rows(x, "x", "d_in", self.d_in)
        size = max(64, BLOCK_BYTES // (4 * self.d_sae))
        if isinstance(x, torch.Tensor):
            yield from (self._rows(block) for block in x.split(size) if len(block))
        else:
            yield from (self._rows(x[start : start + size]) for start in range(0, len(x), size))

    def _rows(self, x: np.ndarray | torch.Tensor) -> torch.Tensor:
        x = _checked_rows(x, "x", "d_in", self.d_in)
        rows = x if isinstance(x, torch.Tensor) else _tensor(x)
        return rows.to(device=self.device, dtype=torch.float32)


def sparse_block(activation: Activation, pre: torch.Tensor) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Entries per row, all indices and all values, of pre-activations elsewhere: only what fires comes to the host."""
    if isinstance(activation, TopK):
        indices, values = top_k(pre, activation.k)
        indices, order = indices.sort(dim=-1)
        values = values.gather(-1, order)
        columns, held = (part.cpu().numpy() for part in (indices, values))
        filled = held > 0
        return filled.sum(axis=1), columns[filled].astype(np.int32), held[filled]
    acts = activation(pre)
    row, column = acts.nonzero(as_tuple=True)
    counts = np.bincount(row.cpu().numpy(), minlength=len(acts))
    return counts, column.cpu().numpy().astype(np.int32), acts[row, column].cpu().numpy()


def _checked_rows(rows: Any, name: str, axis: str, width: int) -> Any:
    """Rows of real numbers once they have the width, lists as an array; sparse ones for ``acts`` alone."""
    if isinstance(rows, torch.Tensor):
        is_real = not rows.is_complex() and rows.layout == torch.strided
        if not is_real:
            raise refusal("values", name, "dense real numbers", f"{rows.dtype}, {rows.layout}", "Convert them.")
    elif name != "acts" or is_dense(rows):
        if not is_dense(rows):
            raise refusal("values", name, "dense", type(rows).__name__, "Convert them with .toarray().")
        rows = as_dense(rows, name)
    shape = tuple(rows.shape)
    if len(shape) != 2 or shape[1] != width:
        raise refusal("shape", name, f"(n, {axis}={width})", shape, "Flatten contexts into rows.")
    return rows


def _tensor(x: Any, *, copy: bool = False) -> torch.Tensor:
    """Float32 tensor of an array; memory maps are copied, for torch knows no read-only memory."""
    array = np.asarray(x, dtype=np.float32)
    return torch.from_numpy(np.array(array, order="C") if copy or not array.flags.writeable else array)


def _like(x: Any, result: torch.Tensor) -> Any:
    """The result as x came: a tensor on its device, or an array."""
    return result.to(x.device) if isinstance(x, torch.Tensor) else result.detach().cpu().numpy()
