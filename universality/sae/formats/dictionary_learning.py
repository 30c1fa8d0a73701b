"""dictionary_learning: ``config.json`` + ``ae.pt``, seven classes told apart by ``trainer.dict_class``."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from universality.errors import refusal
from universality.sae.activations import Activation, Gated, JumpReLU, ReLU, TopK
from universality.sae.base import SparseAutoencoder
from universality.sae.formats import crosscoders
from universality.sae.formats.files import Config, Tensors, check_sizes, no_parts, read_json, read_pt

_SITES = {"resid_post": "hook_resid_post", "mlp_out": "hook_mlp_out", "attn_out": "hook_attn_out"}


def read(folder: Path, part: int | None = None) -> SparseAutoencoder:
    """Read one trainer's folder; ``part`` of a crosscoder, which science-of-finetuning's version trains.

    Linear layers lie on disk transposed. Biases were brought to raw units when the file was saved, so latents are
    in raw units; a backup of a running training was not, and needs its ``norm_factor``.
    """
    trainer = read_json(folder / "config.json").inner("trainer")
    kind = trainer.get("dict_class")
    if kind in ("CrossCoder", "BatchTopKCrossCoder"):
        return _crosscoder(trainer, folder / "ae.pt", part)
    no_parts(part, folder)
    stored = CLASSES.get(kind) if isinstance(kind, str) else None
    where = folder / "ae.pt"
    if stored is None:
        config = str(folder / "config.json")
        legal = f"one of {sorted([*CLASSES, 'CrossCoder', 'BatchTopKCrossCoder'])}"
        raise refusal("trainer.dict_class", config, legal, repr(kind), "Convert it first.")
    values = read_pt(where)
    if "ae" in values:
        values = _rescaled(values["ae"], values.get("norm_factor"), where)
    tensors = Tensors(values, where)
    metadata = {"act_units": "raw", **_said(trainer)}
    W_enc, W_dec, b_dec = tensors.take(stored.encoder, stored.decoder, stored.b_dec)
    W_enc, W_dec = (
        matrix.T.contiguous() if name.endswith("weight") else matrix
        for name, matrix in ((stored.encoder, W_enc), (stored.decoder, W_dec))
    )
    b_enc = tensors.one(stored.b_enc) if stored.b_enc else torch.zeros(W_enc.shape[1:])
    activation = stored.activation(tensors, trainer, metadata)
    tensors.finish(str(kind))
    sae = SparseAutoencoder(W_enc, b_enc, W_dec, b_dec, activation, stored.subtract, metadata=metadata)
    return check_sizes(sae, trainer, {"activation_dim": sae.d_in, "dict_size": sae.d_sae})


def _said(trainer: Config) -> dict[str, Any]:
    return {
        "model": trainer.get("lm_name"),
        "hook_point": _hook_point(trainer.get("submodule_name")),
        "layer": trainer.get("layer"),
        "module": trainer.get("submodule_name"),
        "training_seed": trainer.get("seed"),
        "config": trainer.as_dict(),
    }


def _crosscoder(trainer: Config, file: Path, part: int | None) -> SparseAutoencoder:
    """A compiled module's tensors have its mark in front of their names."""
    values = {name.removeprefix("_orig_mod."): value for name, value in read_pt(file).items()}
    sizes = {"dict_size": "d_sae", "activation_dim": "d"}
    return crosscoders.finetuning(Tensors(values, file), trainer, part, _said(trainer), sizes)


@dataclass(frozen=True)
class _Class:
    """What one class of the library stores.

    Attributes:
        encoder, b_enc, decoder, b_dec: names of its tensors; ``b_enc`` None for none. Linear layers, whose names end
            in ``weight``, lie on disk transposed.
        activation: made of the tensors, the trainer's config and the metadata, which it may add to.
        subtract: whether the encoder sees ``x - b_dec``.
    """

    encoder: str
    b_enc: str | None
    decoder: str
    b_dec: str
    activation: Callable[[Tensors, Config, dict[str, Any]], Activation]
    subtract: bool = True


def _hook_point(module: Any) -> str | None:
    """The TransformerLens name of the usual names of its scripts; None for other names."""
    match = re.fullmatch(r"(resid_post|mlp_out|attn_out)_layer_(\d+)", str(module))
    return f"blocks.{match[2]}.{_SITES[match[1]]}" if match else None


def _gated(tensors: Tensors, trainer: Config, metadata: dict[str, Any]) -> Gated:
    b_gate, b_mag, r_mag = tensors.take("gate_bias", "mag_bias", "r_mag")
    return Gated(b_gate=b_gate, b_mag=b_mag, r_mag=r_mag)


def _jump_relu(tensors: Tensors, trainer: Config, metadata: dict[str, Any]) -> JumpReLU:
    return JumpReLU(tensors.one("threshold"))


def _topk(tensors: Tensors, trainer: Config, metadata: dict[str, Any]) -> TopK:
    """k is a buffer of the file; before it was one, it stood in the config alone. The threshold is for another mode."""
    tensors.unused("threshold")
    said, stored = trainer.size("k"), tensors.integers("k") if "k" in tensors else None
    if stored is None and said is None:
        raise trainer.refusal("trainer.k", "given, where the file holds no k", trainer.get("k"))
    if stored is not None and (len(stored) != 1 or said not in (None, stored[0])):
        raise trainer.refusal("trainer.k", f"{stored}, as in ae.pt", said)
    return TopK(stored[0] if stored is not None else int(said or 0))


def _thresholded(tensors: Tensors, trainer: Config, metadata: dict[str, Any]) -> JumpReLU:
    """BatchTopK at inference: one threshold; -1 is "never estimated" and lets every positive value through."""
    tensors.unused("k")
    if "group_sizes" in tensors:  # of the nested form
        metadata["group_sizes"] = tensors.integers("group_sizes")
    threshold = tensors.one("threshold")
    if threshold.numel() != 1:
        got = tuple(threshold.shape)
        raise refusal("threshold", str(tensors.where), "one number", got, "Choose a JumpReLU class for several.")
    if float(threshold) < 0:
        metadata["warning"] = "the threshold was never estimated: every positive pre-activation fires"
    return JumpReLU(threshold.reshape(()))


LINEAR = ("encoder.weight", "encoder.bias", "decoder.weight")
PLAIN = ("W_enc", "b_enc", "W_dec", "b_dec")
CLASSES = {
    "AutoEncoder": _Class(*LINEAR, "bias", lambda *_: ReLU()),
    "AutoEncoderNew": _Class(*LINEAR, "decoder.bias", lambda *_: ReLU(), subtract=False),
    "GatedAutoEncoder": _Class("encoder.weight", None, "decoder.weight", "decoder_bias", _gated),
    "JumpReluAutoEncoder": _Class(*PLAIN, _jump_relu, subtract=False),
    "AutoEncoderTopK": _Class(*LINEAR, "b_dec", _topk),
    "BatchTopKSAE": _Class(*LINEAR, "b_dec", _thresholded),
    "MatryoshkaBatchTopKSAE": _Class(*PLAIN, _thresholded),
}

SCALED = ("bias", "encoder.bias", "decoder.bias", "b_enc", "b_dec", "decoder_bias", "gate_bias", "mag_bias")


def _rescaled(values: Any, norm_factor: Any, where: Path) -> dict[str, Any]:
    """A backup holds weights for ``x / norm_factor``; biases and thresholds move to raw units, as a final save does."""
    if not isinstance(values, dict):
        raise refusal("ae", str(where), "a state dict", type(values).__name__, "Save the state_dict() alone.")
    factor = _number(norm_factor)
    if factor is None:
        remedy = "Let the training finish, or add the factor it printed."
        raise refusal("norm_factor", str(where), "given in a backup, finite and above 0", repr(norm_factor), remedy)
    tensors = Tensors(values, where)
    moved = {name: tensors.one(name) * factor for name in SCALED if name in tensors}
    threshold = tensors.maybe("threshold")
    if threshold is not None:
        moved["threshold"] = torch.where(threshold >= 0, threshold * factor, threshold)
    return {**values, **moved}


def _number(value: Any) -> float | None:
    """A finite number above 0, of Python or torch; None for anything else."""
    if isinstance(value, torch.Tensor) and value.numel() == 1 and not value.is_complex():
        value = value.item()
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value < float("inf")
    return float(value) if is_number else None
