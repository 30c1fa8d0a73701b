"""SAELens, 6 and older: ``cfg.json`` + ``sae_weights.safetensors``, inference saves and checkpoints."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch

from universality.errors import InputError, refusal
from universality.sae.activations import AbsTopK, Activation, Gated, JumpReLU, ReLU, TopK
from universality.sae.base import Normalisation, SparseAutoencoder
from universality.sae.formats.files import read_json, read_safetensors, take

PLAIN = {"standard", "topk", "abstopk", "jumprelu", "gated", "batchtopk", "matryoshka_batchtopk"}
TRANSCODERS = {"transcoder", "skip_transcoder", "jumprelu_transcoder", "jumprelu_skip_transcoder"}
NORMALISATIONS = {
    "none": "none",
    "expected_average_only_in": "none",
    "covariance_whitening": "none",
    "layer_norm": "layer_norm",
    "constant_norm_rescale": "constant_norm",
}


@dataclass(frozen=True)
class _Config:
    """What both generations of ``cfg.json`` say."""

    architecture: str
    subtract_b_dec: bool
    normalisation: str
    k: int | None
    rescale: bool
    metadata: dict[str, Any]


def read(folder: Path) -> SparseAutoencoder:
    """Read a folder of ``save_model`` or of a checkpoint.

    A checkpoint holds weights of the scaled training space and decoder norms apart; both are folded in the order in
    which SAELens folds them, so that latents equal those of its own inference save.
    """
    raw = read_json(folder / "cfg.json")
    where = folder / "sae_weights.safetensors"
    config = _newer(raw) if isinstance(raw.get("metadata"), dict) else _older(raw)
    if config.architecture not in PLAIN | TRANSCODERS:
        raise _refuse("architecture", folder, f"one of {sorted(PLAIN | TRANSCODERS)}", config.architecture)
    if config.normalisation not in NORMALISATIONS:
        raise _refuse("normalize_activations", folder, f"one of {sorted(NORMALISATIONS)}", config.normalisation)
    if config.architecture in TRANSCODERS and config.normalisation in ("layer_norm", "constant_norm_rescale"):
        raise _refuse("normalize_activations", folder, "'none' for a transcoder", config.normalisation)
    tensors = _unscaled_columns(read_safetensors(where))
    if "log_threshold" in tensors:
        tensors["threshold"] = tensors.pop("log_threshold").exp()
    if config.architecture == "gated":
        tensors["b_enc"] = torch.zeros_like(take(tensors, ["b_gate"], where)[0])
    take(tensors, ("W_enc", "b_enc", "W_dec", "b_dec"), where)
    if config.normalisation == "expected_average_only_in":
        tensors = _fold_scale(tensors, config, folder)
    if config.normalisation == "covariance_whitening":
        tensors = _fold_whitening(tensors, config, folder)
    if config.rescale:
        tensors = _fold_decoder_norms(tensors)
    return SparseAutoencoder(
        **{name: tensors[name] for name in ("W_enc", "b_enc", "W_dec", "b_dec")},
        activation=_activation(config, tensors, where),
        subtract_b_dec=config.subtract_b_dec and config.architecture not in TRANSCODERS,
        normalisation=cast(Normalisation, NORMALISATIONS[config.normalisation]),
        W_skip=take(tensors, ["W_skip"], where)[0].T.contiguous() if "skip" in config.architecture else None,
        metadata={"act_units": _units(config), **config.metadata},
    )


def _units(config: _Config) -> str:
    """Units of the latents; a save whose scale was folded before says "none" like one that never had a scale."""
    if config.normalisation == "none":
        return "unknown"
    folded_with_norms = config.rescale and config.normalisation == "expected_average_only_in"
    return "raw" if folded_with_norms else "normalised"


def _newer(raw: dict[str, Any]) -> _Config:
    said = raw["metadata"]
    return _Config(
        architecture=str(raw.get("architecture", "standard")),
        subtract_b_dec=bool(raw.get("apply_b_dec_to_input", True)),
        normalisation=str(raw.get("normalize_activations", "none")),
        k=raw.get("k"),
        rescale=bool(raw.get("rescale_acts_by_decoder_norm", False)),
        metadata={
            "model": said.get("model_name"),
            "hook_point": said.get("hook_name"),
            "training_architecture": said.get("training_architecture"),
            "config": raw,
        },
    )


def _older(raw: dict[str, Any]) -> _Config:
    """Before version 6 the config was flat, and TopK an activation function of the standard architecture."""
    architecture = str(raw.get("architecture", "standard"))
    function = raw.get("activation_fn_str", raw.get("activation_fn", "relu"))
    if function == "topk":
        architecture = "topk"
    elif function != "relu":
        architecture = f"{architecture} with activation {function}"
    normalisation = raw.get("normalize_activations") or "none"
    return _Config(
        architecture=architecture,
        subtract_b_dec=bool(raw.get("apply_b_dec_to_input", True)),
        normalisation="expected_average_only_in" if normalisation is True else str(normalisation),
        k=(raw.get("activation_fn_kwargs") or {}).get("k"),
        rescale=False,
        metadata={
            "model": raw.get("model_name"),
            "hook_point": raw.get("hook_name", raw.get("hook_point")),
            "config": raw,
        },
    )


def _activation(config: _Config, tensors: dict[str, torch.Tensor], where: Path) -> Activation:
    kind = config.architecture
    if kind in ("topk", "abstopk"):
        if config.k is None:
            raise _refuse("k", where.parent, "given for a TopK dictionary", "nothing")
        return TopK(int(config.k)) if kind == "topk" else AbsTopK(int(config.k))
    if kind == "gated":
        b_gate, b_mag, r_mag = take(tensors, ("b_gate", "b_mag", "r_mag"), where)
        return Gated(b_gate=b_gate, b_mag=b_mag, r_mag=r_mag)
    if kind.startswith("jumprelu"):
        return JumpReLU(take(tensors, ["threshold"], where)[0])
    if kind.endswith("batchtopk"):
        return JumpReLU(take(tensors, ["topk_threshold"], where)[0])
    return ReLU()


def _unscaled_columns(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Old fine-tuned dictionaries multiply activations by a factor per latent before decoding."""
    factor = tensors.pop("scaling_factor", None)
    if factor is not None:
        tensors["W_dec"] = tensors["W_dec"] * factor[:, None]
    return tensors


def _fold_scale(tensors: dict[str, torch.Tensor], config: _Config, folder: Path) -> dict[str, torch.Tensor]:
    """Weights for x instead of s*x."""
    file = folder / "activation_scaler.json"
    factor = read_json(file).get("scaling_factor") if file.is_file() else None
    if factor is None:
        raise _refuse(
            "normalize_activations", folder, "folded into the weights, or beside an activation_scaler.json",
            "expected_average_only_in without its factor",
        )  # fmt: skip
    s = float(factor)
    moved = {"W_enc": tensors["W_enc"] * s, "W_dec": tensors["W_dec"] / s, "b_dec": tensors["b_dec"] / s}
    if config.rescale and "topk_threshold" in tensors:
        moved["topk_threshold"] = tensors["topk_threshold"] / s
    return {**tensors, **moved}


def _fold_whitening(tensors: dict[str, torch.Tensor], config: _Config, folder: Path) -> dict[str, torch.Tensor]:
    """Weights for x instead of (x - mean) @ matrix."""
    file = folder / "activation_whitening.safetensors"
    if not file.is_file():
        raise _refuse(
            "normalize_activations", folder, "folded into the weights, or beside an activation_whitening.safetensors",
            "covariance_whitening without its matrix",
        )  # fmt: skip
    mean, matrix, inverse = take(read_safetensors(file), ("mean", "matrix", "inverse_matrix"), file)
    W_enc = matrix @ tensors["W_enc"]
    b_enc = tensors["b_enc"] if config.subtract_b_dec else tensors["b_enc"] - mean @ W_enc
    return {
        **tensors,
        "W_enc": W_enc,
        "b_enc": b_enc,
        "W_dec": tensors["W_dec"] @ inverse,
        "b_dec": tensors["b_dec"] @ inverse + mean,
    }


def _fold_decoder_norms(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Unit decoder rows; activations grow by the norms. Inference saves have norms of 1 already."""
    norms = tensors["W_dec"].norm(dim=1)
    safe = torch.where(norms > 0, norms, torch.ones_like(norms))
    return {
        **tensors,
        "W_enc": tensors["W_enc"] * norms,
        "b_enc": tensors["b_enc"] * norms,
        "W_dec": tensors["W_dec"] / safe[:, None],
    }


def _refuse(what: str, folder: Path, constraint: str, got: str) -> InputError:
    remedy = "Convert the dictionary with SAELens's own save_inference_model, or choose another."
    return refusal(what, str(folder / "cfg.json"), constraint, repr(got), remedy)
