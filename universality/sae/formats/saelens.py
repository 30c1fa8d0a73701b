"""SAELens, 6 and older: ``cfg.json`` + ``sae_weights.safetensors``, inference saves and checkpoints."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch

from universality.errors import InputError, refusal
from universality.sae.activations import AbsTopK, Activation, Gated, JumpReLU, ReLU, TopK
from universality.sae.base import Normalisation, SparseAutoencoder
from universality.sae.formats.files import Config, Tensors, check_sizes, read_json, read_safetensors

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
    config = _newer(raw) if _is_newer(raw) else _older(raw)
    if config.architecture not in PLAIN | TRANSCODERS:
        raise _refuse("architecture", folder, f"one of {sorted(PLAIN | TRANSCODERS)}", config.architecture)
    if config.normalisation not in NORMALISATIONS:
        raise _refuse("normalize_activations", folder, f"one of {sorted(NORMALISATIONS)}", config.normalisation)
    if config.architecture in TRANSCODERS and config.normalisation in ("layer_norm", "constant_norm_rescale"):
        raise _refuse("normalize_activations", folder, "'none' for a transcoder", config.normalisation)
    tensors = _tensors(config, read_safetensors(folder / "sae_weights.safetensors"), raw)
    if config.normalisation == "expected_average_only_in":
        tensors = _fold_scale(tensors, config, folder)
    if config.normalisation == "covariance_whitening":
        tensors = _fold_whitening(tensors, config, folder)
    if config.rescale:
        tensors = _fold_decoder_norms(tensors)
    sae = SparseAutoencoder(
        **{name: tensors[name] for name in ("W_enc", "b_enc", "W_dec", "b_dec")},
        activation=_activation(config, tensors, folder),
        subtract_b_dec=config.subtract_b_dec and config.architecture not in TRANSCODERS,
        normalisation=cast(Normalisation, NORMALISATIONS[config.normalisation]),
        W_skip=tensors["W_skip"].T.contiguous() if "W_skip" in tensors else None,
        metadata={"act_units": _units(config), **config.metadata},
    )
    return check_sizes(sae, raw, {"d_in": sae.d_in, "d_sae": sae.d_sae, "d_out": sae.W_dec.shape[1]})


def _units(config: _Config) -> str:
    """Units of the latents; a save whose scale was folded before says "none" like one that never had a scale."""
    if config.normalisation == "none":
        return "unknown"
    folded_with_norms = config.rescale and config.normalisation == "expected_average_only_in"
    return "raw" if folded_with_norms else "normalised"


def _is_newer(raw: Config) -> bool:
    """Whether the version that wrote a config is 6 or newer: it decides, as in SAELens, whatever else stands there."""
    version = raw.inner("metadata").get("sae_lens_version") or raw.get("sae_lens_version")
    if version is None:
        return False
    match = re.match(r"(\d+)\.\d+", version) if isinstance(version, str) else None
    if match is None:
        raise raw.refusal("sae_lens_version", "a version such as '6.12.0'", version)
    return int(match[1]) >= 6


def _newer(raw: Config) -> _Config:
    said = raw.inner("metadata")
    architecture = raw.text("architecture", "standard")
    read_at, written_at = said.get("hook_name"), said.get("hook_name_out")
    return _Config(
        architecture=architecture,
        subtract_b_dec=raw.flag("apply_b_dec_to_input", True),
        normalisation=raw.text("normalize_activations", "none"),
        k=raw.size("k"),
        rescale=raw.flag("rescale_acts_by_decoder_norm", False),
        metadata={
            "model": said.get("model_name"),
            "hook_point": read_at,
            "hook_point_out": written_at,
            "training_architecture": said.get("training_architecture"),
            **_opening(said),
            "transcoder": architecture in TRANSCODERS or written_at not in (None, read_at),
            "config": raw.as_dict(),
        },
    )


def _older(raw: Config) -> _Config:
    """Before version 6 the config was flat, and TopK an activation function of the standard architecture."""
    architecture = raw.text("architecture", "standard")
    function = raw.text("activation_fn_str", raw.text("activation_fn", "relu"))
    if function == "topk":
        architecture = "topk"
    elif function != "relu":
        architecture = f"{architecture} with activation {function}"
    normalisation = raw.get("normalize_activations") or "none"
    return _Config(
        architecture=architecture,
        subtract_b_dec=raw.flag("apply_b_dec_to_input", True),
        normalisation="expected_average_only_in" if normalisation is True else str(normalisation),
        k=raw.inner("activation_fn_kwargs").size("k"),
        rescale=False,
        metadata={
            "model": raw.get("model_name"),
            "hook_point": raw.get("hook_name", raw.get("hook_point")),
            "transcoder": architecture in TRANSCODERS,
            **_opening(raw),
            "opening_unsaid": "model_from_pretrained_kwargs" not in raw,
            "config": raw.as_dict(),
        },
    )


def _opening(said: Config) -> dict[str, Any]:
    """How its training opened the model and laid out contexts."""
    head = said.get("hook_head_index", said.get("hook_point_head_index"))
    return {
        "model_from_pretrained_kwargs": said.inner("model_from_pretrained_kwargs").as_dict(),
        "prepend_bos": said.get("prepend_bos"),
        "context_size": said.get("context_size"),
        "hook_head_index": head,
    }


def _tensors(config: _Config, stored: Tensors, raw: Config) -> dict[str, torch.Tensor]:
    """Exactly the tensors that an architecture has, under the names of an inference save."""
    kind = config.architecture
    gated, thresholded = kind == "gated", kind.startswith("jumprelu")
    names = ["W_enc", "W_dec", "b_dec", *(("b_gate", "b_mag", "r_mag") if gated else ("b_enc",))]
    names += ["W_skip"] if "skip" in kind else []
    names += ["topk_threshold"] if kind.endswith("batchtopk") else []
    if thresholded and "log_threshold" not in stored:
        names.append("threshold")
    tensors = dict(zip(names, stored.take(*names), strict=True))
    if thresholded and "log_threshold" in stored:
        tensors["threshold"] = stored.one("log_threshold").exp()
    if gated:
        tensors["b_enc"] = torch.zeros_like(tensors["b_gate"])
    # Old fine-tuned dictionaries multiply activations by a factor per latent before decoding.
    factor = stored.maybe("scaling_factor")
    if factor is None and raw.flag("finetuning_scaling_factor", False):
        stored.take("scaling_factor")
    if factor is not None and factor.shape != tensors["W_dec"].shape[:1]:
        remedy = "Save the dictionary again."
        raise refusal("scaling_factor", str(stored.where), "one for each latent", tuple(factor.shape), remedy)
    stored.finish(kind)
    return tensors if factor is None else {**tensors, "W_dec": tensors["W_dec"] * factor[:, None]}


def _activation(config: _Config, tensors: dict[str, torch.Tensor], folder: Path) -> Activation:
    kind = config.architecture
    if kind in ("topk", "abstopk"):
        if config.k is None:
            raise _refuse("k", folder, "given for a TopK dictionary, where the config's version has it", "nothing")
        return TopK(config.k) if kind == "topk" else AbsTopK(config.k)
    if kind == "gated":
        return Gated(b_gate=tensors["b_gate"], b_mag=tensors["b_mag"], r_mag=tensors["r_mag"])
    if kind.startswith("jumprelu"):
        return JumpReLU(tensors["threshold"])
    if kind.endswith("batchtopk"):
        return JumpReLU(tensors["topk_threshold"])
    return ReLU()


def _fold_scale(tensors: dict[str, torch.Tensor], config: _Config, folder: Path) -> dict[str, torch.Tensor]:
    """Weights for x instead of s*x."""
    file = folder / "activation_scaler.json"
    said = read_json(file) if file.is_file() else None
    factor = None if said is None else said.get("scaling_factor")
    if said is None or factor is None:
        raise _refuse(
            "normalize_activations", folder, "folded into the weights, or beside an activation_scaler.json",
            "expected_average_only_in without its factor",
        )  # fmt: skip
    if isinstance(factor, bool) or not isinstance(factor, (int, float)) or not 0 < factor < float("inf"):
        raise said.refusal("scaling_factor", "a finite number above 0", factor)
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
    d_in = len(tensors["W_enc"])
    mean, matrix, inverse = read_safetensors(file).take("mean", "matrix", "inverse_matrix")
    for name, value, shape in (
        ("mean", mean, (d_in,)),
        ("matrix", matrix, (d_in,) * 2),
        ("inverse_matrix", inverse, (d_in,) * 2),
    ):
        if tuple(value.shape) != shape:
            remedy = "Take the file that was saved with these weights."
            raise refusal(f"tensor {name!r}", str(file), f"of shape {shape}", tuple(value.shape), remedy)
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
