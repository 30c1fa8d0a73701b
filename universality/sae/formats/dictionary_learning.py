"""dictionary_learning: ``config.json`` + ``ae.pt``, seven classes told apart by ``trainer.dict_class``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from universality.errors import InputError, must_be
from universality.sae.activations import Activation, Gated, JumpReLU, ReLU
from universality.sae.base import SparseAutoencoder
from universality.sae.formats.files import read_json, read_pt, take
from universality.sae.topk import TopK

Tensors = dict[str, torch.Tensor]


def read(folder: Path) -> SparseAutoencoder:
    """Read one trainer's folder.

    Linear layers lie on disk transposed. Biases were brought to raw units when the file was saved, so latents are
    in raw units; a backup of a running training was not, and needs its ``norm_factor``.
    """
    trainer = read_json(folder / "config.json").get("trainer", {})
    kind = str(trainer.get("dict_class"))
    build = CLASSES.get(kind)
    where = folder / "ae.pt"
    if build is None:
        config = str(folder / "config.json")
        raise InputError(
            must_be(
                "trainer.dict_class", config, f"one of {sorted(CLASSES)}", repr(kind), "Convert it first."
            )
        )
    held = read_pt(where)
    if "ae" in held:
        held = _rescaled(held["ae"], held.get("norm_factor"), where)
    layer = trainer.get("layer")
    metadata = {
        "act_units": "raw",
        "model": trainer.get("lm_name"),
        "layer": layer,
        "module": trainer.get("submodule_name"),
        "training_seed": trainer.get("seed"),
        "config": trainer,
    }
    return build(held, where, metadata)


def _sae(
    tensors: list[torch.Tensor],
    activation: Activation,
    metadata: dict[str, Any],
    *,
    subtract: bool,
    linear: bool,
) -> SparseAutoencoder:
    W_enc, b_enc, W_dec, b_dec = tensors
    return SparseAutoencoder(
        W_enc=W_enc.T.contiguous() if linear else W_enc,
        b_enc=b_enc,
        W_dec=W_dec.T.contiguous() if linear else W_dec,
        b_dec=b_dec,
        activation=activation,
        subtract_b_dec=subtract,
        metadata=metadata,
    )


def _relu(held: Tensors, where: Path, metadata: dict[str, Any]) -> SparseAutoencoder:
    names = ("encoder.weight", "encoder.bias", "decoder.weight", "bias")
    return _sae(take(held, names, where), ReLU(), metadata, subtract=True, linear=True)


def _relu_new(held: Tensors, where: Path, metadata: dict[str, Any]) -> SparseAutoencoder:
    names = ("encoder.weight", "encoder.bias", "decoder.weight", "decoder.bias")
    return _sae(take(held, names, where), ReLU(), metadata, subtract=False, linear=True)


def _gated(held: Tensors, where: Path, metadata: dict[str, Any]) -> SparseAutoencoder:
    W_enc, W_dec, b_dec = take(held, ("encoder.weight", "decoder.weight", "decoder_bias"), where)
    b_gate, b_mag, r_mag = take(held, ("gate_bias", "mag_bias", "r_mag"), where)
    activation = Gated(b_gate=b_gate, b_mag=b_mag, r_mag=r_mag)
    tensors = [W_enc, torch.zeros_like(b_gate), W_dec, b_dec]
    return _sae(tensors, activation, metadata, subtract=True, linear=True)


def _jumprelu(held: Tensors, where: Path, metadata: dict[str, Any]) -> SparseAutoencoder:
    *tensors, threshold = take(held, ("W_enc", "b_enc", "W_dec", "b_dec", "threshold"), where)
    return _sae(tensors, JumpReLU(threshold), metadata, subtract=False, linear=False)


def _topk(held: Tensors, where: Path, metadata: dict[str, Any]) -> SparseAutoencoder:
    names = ("encoder.weight", "encoder.bias", "decoder.weight", "b_dec")
    (k,) = take(held, ["k"], where)
    return _sae(take(held, names, where), TopK(int(k)), metadata, subtract=True, linear=True)


def _batch_topk(held: Tensors, where: Path, metadata: dict[str, Any]) -> SparseAutoencoder:
    names = ("encoder.weight", "encoder.bias", "decoder.weight", "b_dec")
    activation = _thresholded(held, where, metadata)
    return _sae(take(held, names, where), activation, metadata, subtract=True, linear=True)


def _matryoshka(held: Tensors, where: Path, metadata: dict[str, Any]) -> SparseAutoencoder:
    if "group_sizes" in held:
        metadata["group_sizes"] = [int(size) for size in held["group_sizes"]]
    activation = _thresholded(held, where, metadata)
    tensors = take(held, ("W_enc", "b_enc", "W_dec", "b_dec"), where)
    return _sae(tensors, activation, metadata, subtract=True, linear=False)


def _thresholded(held: Tensors, where: Path, metadata: dict[str, Any]) -> JumpReLU:
    """BatchTopK at inference: one threshold; -1 is "never estimated" and lets every positive value through."""
    (threshold,) = take(held, ["threshold"], where)
    if float(threshold) < 0:
        metadata["warning"] = "the threshold was never estimated: every positive pre-activation fires"
    return JumpReLU(threshold)


CLASSES: dict[str, Callable[[Tensors, Path, dict[str, Any]], SparseAutoencoder]] = {
    "AutoEncoder": _relu,
    "AutoEncoderNew": _relu_new,
    "GatedAutoEncoder": _gated,
    "JumpReluAutoEncoder": _jumprelu,
    "AutoEncoderTopK": _topk,
    "BatchTopKSAE": _batch_topk,
    "MatryoshkaBatchTopKSAE": _matryoshka,
}

SCALED = ("bias", "encoder.bias", "decoder.bias", "b_enc", "b_dec", "decoder_bias", "gate_bias", "mag_bias")


def _rescaled(held: dict[str, Any], norm_factor: Any, where: Path) -> Tensors:
    """A backup holds weights for ``x / norm_factor``; biases and thresholds move to raw units, as a final save does."""
    if norm_factor is None:
        remedy = "Let the training finish, or add the factor it printed."
        raise InputError(must_be("norm_factor", str(where), "given in a backup", "nothing", remedy))
    factor = float(norm_factor)
    moved = {name: value.float() * factor for name, value in held.items() if name in SCALED}
    if "threshold" in held:
        threshold = held["threshold"].float()
        moved["threshold"] = torch.where(threshold >= 0, threshold * factor, threshold)
    return {**held, **moved}
