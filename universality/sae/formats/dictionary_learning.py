"""dictionary_learning: ``config.json`` + ``ae.pt``, seven classes told apart by ``trainer.dict_class``."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from universality.errors import refusal
from universality.sae.activations import Activation, Gated, JumpReLU, ReLU, TopK
from universality.sae.base import SparseAutoencoder
from universality.sae.formats.files import read_json, read_pt, take

Tensors = dict[str, torch.Tensor]


def read(folder: Path) -> SparseAutoencoder:
    """Read one trainer's folder.

    Linear layers lie on disk transposed. Biases were brought to raw units when the file was saved, so latents are
    in raw units; a backup of a running training was not, and needs its ``norm_factor``.
    """
    trainer = read_json(folder / "config.json").get("trainer", {})
    kind = str(trainer.get("dict_class"))
    stored = CLASSES.get(kind)
    where = folder / "ae.pt"
    if stored is None:
        config = str(folder / "config.json")
        legal = f"one of {sorted(CLASSES)}"
        raise refusal("trainer.dict_class", config, legal, repr(kind), "Convert it first.")
    tensors = read_pt(where)
    if "ae" in tensors:
        tensors = _rescaled(tensors["ae"], tensors.get("norm_factor"), where)
    metadata = {
        "act_units": "raw",
        "model": trainer.get("lm_name"),
        "layer": trainer.get("layer"),
        "module": trainer.get("submodule_name"),
        "training_seed": trainer.get("seed"),
        "config": trainer,
    }
    names = [stored.encoder, stored.decoder, stored.b_dec, *([stored.b_enc] if stored.b_enc else [])]
    take(tensors, names, where)
    W_enc, W_dec = (
        tensors[name].T.contiguous() if name.endswith("weight") else tensors[name]
        for name in (stored.encoder, stored.decoder)
    )
    return SparseAutoencoder(
        W_enc=W_enc,
        b_enc=tensors[stored.b_enc] if stored.b_enc else torch.zeros(W_enc.shape[1]),
        W_dec=W_dec,
        b_dec=tensors[stored.b_dec],
        activation=stored.activation(tensors, where, metadata),
        subtract_b_dec=stored.subtract,
        metadata=metadata,
    )


@dataclass(frozen=True)
class _Class:
    """What one class of the library stores.

    Attributes:
        encoder, b_enc, decoder, b_dec: names of its tensors; ``b_enc`` None for none. Linear layers, whose names end
            in ``weight``, lie on disk transposed.
        activation: made of the tensors, the file that they are of and the metadata, which it may add to.
        subtract: whether the encoder sees ``x - b_dec``.
    """

    encoder: str
    b_enc: str | None
    decoder: str
    b_dec: str
    activation: Callable[[Tensors, Path, dict[str, Any]], Activation]
    subtract: bool = True


def _gated(tensors: Tensors, where: Path, metadata: dict[str, Any]) -> Gated:
    b_gate, b_mag, r_mag = take(tensors, ("gate_bias", "mag_bias", "r_mag"), where)
    return Gated(b_gate=b_gate, b_mag=b_mag, r_mag=r_mag)


def _thresholded(tensors: Tensors, where: Path, metadata: dict[str, Any]) -> JumpReLU:
    """BatchTopK at inference: one threshold; -1 is "never estimated" and lets every positive value through."""
    if "group_sizes" in tensors:  # of the nested form
        metadata["group_sizes"] = [int(size) for size in tensors["group_sizes"]]
    (threshold,) = take(tensors, ["threshold"], where)
    if float(threshold) < 0:
        metadata["warning"] = "the threshold was never estimated: every positive pre-activation fires"
    return JumpReLU(threshold)


LINEAR = ("encoder.weight", "encoder.bias", "decoder.weight")
PLAIN = ("W_enc", "b_enc", "W_dec", "b_dec")
CLASSES = {
    "AutoEncoder": _Class(*LINEAR, "bias", lambda *_: ReLU()),
    "AutoEncoderNew": _Class(*LINEAR, "decoder.bias", lambda *_: ReLU(), subtract=False),
    "GatedAutoEncoder": _Class("encoder.weight", None, "decoder.weight", "decoder_bias", _gated),
    "JumpReluAutoEncoder": _Class(
        *PLAIN, lambda tensors, where, _: JumpReLU(*take(tensors, ["threshold"], where)), subtract=False
    ),
    "AutoEncoderTopK": _Class(*LINEAR, "b_dec", lambda tensors, where, _: TopK(int(*take(tensors, ["k"], where)))),
    "BatchTopKSAE": _Class(*LINEAR, "b_dec", _thresholded),
    "MatryoshkaBatchTopKSAE": _Class(*PLAIN, _thresholded),
}

SCALED = ("bias", "encoder.bias", "decoder.bias", "b_enc", "b_dec", "decoder_bias", "gate_bias", "mag_bias")


def _rescaled(tensors: dict[str, Any], norm_factor: Any, where: Path) -> Tensors:
    """A backup holds weights for ``x / norm_factor``; biases and thresholds move to raw units, as a final save does."""
    if norm_factor is None:
        remedy = "Let the training finish, or add the factor it printed."
        raise refusal("norm_factor", str(where), "given in a backup", "nothing", remedy)
    factor = float(norm_factor)
    moved = {name: value.float() * factor for name, value in tensors.items() if name in SCALED}
    if "threshold" in tensors:
        threshold = tensors["threshold"].float()
        moved["threshold"] = torch.where(threshold >= 0, threshold * factor, threshold)
    return {**tensors, **moved}
