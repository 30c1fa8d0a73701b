"""Llama Scope and its library (lm-saes, now llamascopium): dictionaries, transcoders and crosscoders.

``hyperparams.json`` + ``checkpoints/final.safetensors`` (the first release), ``config.json`` +
``sae_weights.safetensors`` (since).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import torch

from universality.errors import InputError, refusal
from universality.sae.activations import Activation, JumpReLU, ReLU, TopK
from universality.sae.base import Normalisation, SparseAutoencoder
from universality.sae.formats.crosscoders import Heads, dictionary_of
from universality.sae.formats.files import Config, Tensors, check_sizes, no_parts, read_json, read_safetensors

#: How the library calls its own weights, and called them before.
NAMES = {
    "W_E": "encoder.weight", "b_E": "encoder.bias", "W_D": "decoder.weight", "b_D": "decoder.bias",
}  # fmt: skip
_NORM = "dataset_average_activation_norm."


def read_first(folder: Path) -> SparseAutoencoder:
    """Read one folder of the first release: JumpReLU with one threshold, in units of raw activations."""
    config = read_json(folder / "hyperparams.json")
    tensors = read_safetensors(folder / "checkpoints" / "final.safetensors")
    if config.text("act_fn", "jumprelu") != "jumprelu":
        raise _refusal(config, "act_fn", "'jumprelu'", config["act_fn"])
    if config.flag("use_glu_encoder", False) or config.flag("apply_decoder_bias_to_pre_encoder", False):
        raise _refusal(config, "use_glu_encoder and apply_decoder_bias_to_pre_encoder", "false", True)
    threshold = config.number("jump_relu_threshold")
    if threshold is None:
        raise _refusal(config, "jump_relu_threshold", "a number", config.get("jump_relu_threshold"))
    W_E, b_E, W_D, b_D = _weights(tensors)
    tensors.finish("jumprelu")
    read_at, written_at = config.get("hook_point_in"), config.get("hook_point_out")
    norms = config.inner("dataset_average_activation_norm")
    scale = [_scale(config, norms.number(side), W_E.shape[0]) for side in ("in", "out")]
    sae = SparseAutoencoder(
        W_enc=W_E,
        b_enc=b_E / scale[0],
        W_dec=W_D * (scale[0] / scale[1]),
        b_dec=b_D / scale[1],
        activation=JumpReLU(torch.tensor(threshold)),
        subtract_b_dec=False,
        metadata={
            "act_units": "raw",
            "model": config.get("model_name"),
            "hook_point": read_at,
            "hook_point_out": written_at,
            "transcoder": read_at != written_at,
            "config": config.as_dict(),
        },
    )
    return check_sizes(sae, config, {"d_model": sae.d_in, "d_sae": sae.d_sae})


def read(folder: Path, part: int | None) -> SparseAutoencoder:
    """Read a folder of ``save_pretrained``.

    Latents are gated by their size times the norm of their decoder row; that is folded in, so latents are as large as
    what they add. Activations scaled to a mean norm of sqrt(d_model) are brought to raw units by the norms beside the
    weights.

    Raises:
        InputError: names what cannot be held: batches that decide together, gated linear encoders, other models.
    """
    config, tensors = read_json(folder / "config.json"), read_safetensors(folder / "sae_weights.safetensors")
    kind = config.text("sae_type", "sae")
    if kind not in ("sae", "crosscoder"):
        raise _refusal(config, "sae_type", "'sae' or 'crosscoder'", kind)
    if config.flag("use_glu_encoder", False):
        raise _refusal(config, "use_glu_encoder", "false: a gated linear encoder has no place here", True)
    mode = config.text("norm_activation", "dataset-wise")
    if mode not in ("inference", "dataset-wise", "token-wise") or (kind == "crosscoder" and mode == "token-wise"):
        legal = "inference or dataset-wise (of a sae also token-wise): a batch's mean is no property of a row"
        raise _refusal(config, "norm_activation", legal, mode)
    norms = {name.removeprefix(_NORM): name for name in tensors.names() if name.startswith(_NORM)}
    tensors.unused(*norms.values())
    W_E, b_E, W_D, b_D = _weights(tensors)
    activation = _activation(config, tensors)
    tensors.finish(kind)
    hook_points = _hook_points(config, kind)

    def scales(names: list[str], width: int) -> torch.Tensor:
        if mode != "dataset-wise":
            return torch.ones(len(names))
        found = [tensors.one(norms[name]).reshape(()).item() if name in norms else None for name in names]
        return torch.tensor([_scale(config, norm, width) for norm in found])

    metadata = {
        "act_units": "normalised" if mode == "token-wise" else "raw",
        "model": config.get("model_name"),
        "config": config.as_dict(),
    }
    if kind == "crosscoder":
        return _crosscoder(config, (W_E, b_E, W_D, b_D), activation, hook_points, scales, metadata, part)
    no_parts(part, folder)
    scale_in, scale_out = scales(hook_points, W_E.shape[0]).tolist()
    return _sae(config, (W_E, b_E, W_D, b_D), activation, hook_points, (scale_in, scale_out), mode, metadata)


def _sae(
    config: Config,
    weights: tuple[torch.Tensor, ...],
    activation: Activation,
    hook_points: list[str],
    scales: tuple[float, float],
    mode: str,
    metadata: dict[str, Any],
) -> SparseAutoencoder:
    W_E, b_E, W_D, b_D = weights
    scale_in, scale_out = scales
    read_at, written_at = hook_points
    if mode == "token-wise" and read_at != written_at:
        raise _refusal(config, "norm_activation", "inference or dataset-wise for a transcoder", mode)
    norms = _norms(W_D) if config.flag("sparsity_include_decoder_norm", True) else torch.ones(len(W_D))
    sae = SparseAutoencoder(
        W_enc=W_E * norms,
        b_enc=b_E * norms / scale_in,
        W_dec=W_D / norms[:, None] * (scale_in / scale_out),
        b_dec=b_D / scale_out,
        activation=_scaled(activation, scale_in),
        subtract_b_dec=False,
        normalisation=cast(Normalisation, "constant_norm" if mode == "token-wise" else "none"),
        metadata={
            "hook_point": read_at, "hook_point_out": written_at, "transcoder": read_at != written_at, **metadata,
        },
    )  # fmt: skip
    return check_sizes(sae, config, {"d_model": sae.d_in})


def _crosscoder(
    config: Config,
    weights: tuple[torch.Tensor, ...],
    activation: Activation,
    hook_points: list[str],
    scales: Any,
    metadata: dict[str, Any],
    part: int | None,
) -> SparseAutoencoder:
    """Every head gates the common pre-activation by the norm of its own decoder row."""
    W_E, b_E, W_D, b_D = weights
    if W_E.ndim != 3 or W_D.ndim != 3 or not len(W_E) == len(W_D) == len(hook_points):
        got = f"{tuple(W_E.shape)} and {tuple(W_D.shape)}"
        raise _refusal(config, "W_E and W_D", f"of a first axis of {len(hook_points)} hook points", got)
    if part is None and not isinstance(activation, ReLU):
        raise _refusal(config, "act_fn", "'relu' to read all heads as one dictionary: each gates alone", "another")
    scale = scales(hook_points, W_E.shape[1])[:, None]
    heads = Heads(
        W_enc=W_E * scale[:, :, None],
        b_enc=b_E.sum(dim=0),
        W_dec=W_D / scale[:, :, None],
        b_dec=b_D / scale,
        activations=tuple(activation for _ in hook_points),
        hook_points=tuple(hook_points),
        gates=None if isinstance(activation, ReLU) else W_D.norm(dim=2),
    )
    sae = dictionary_of(heads, part, config.where, metadata | {"act_units": "normalised"})
    return check_sizes(sae, config, {})


def _weights(tensors: Tensors) -> tuple[torch.Tensor, ...]:
    """W_E (…, d_model, d_sae), b_E, W_D (…, d_sae, d_model), b_D; zeros where there is no bias of the decoder."""
    older = "encoder.weight" in tensors
    W_E, b_E, W_D = tensors.take(*(NAMES[name] if older else name for name in ("W_E", "b_E", "W_D")))
    b_D = tensors.maybe(NAMES["b_D"] if older else "b_D")
    if older:
        W_E, W_D = W_E.T.contiguous(), W_D.T.contiguous()
    if W_D.ndim < 2:
        raise refusal("W_D", str(tensors.where), "a matrix", tuple(W_D.shape), "Save it again.")
    return W_E, b_E, W_D, W_D.new_zeros((*W_D.shape[:-2], W_D.shape[-1])) if b_D is None else b_D


def _activation(config: Config, tensors: Tensors) -> Activation:
    kind = config.text("act_fn", "relu")
    names = [name for name in tensors.names() if name.endswith("log_jumprelu_threshold")]
    if kind == "jumprelu" and names:
        return JumpReLU(tensors.one(names[0]).exp())
    tensors.unused(*names)
    k = config.size("top_k")
    if kind == "topk" and k is not None:
        return TopK(k)
    if kind != "relu":
        legal = "relu, topk with top_k, or jumprelu with its thresholds: batchtopk lets a batch decide"
        raise _refusal(config, "act_fn", legal, kind)
    return ReLU()


def _scaled(activation: Activation, scale: float) -> Activation:
    """The same activation for pre-activations in raw units."""
    return JumpReLU(activation.threshold / scale) if isinstance(activation, JumpReLU) else activation


def _hook_points(config: Config, kind: str) -> list[str]:
    if kind == "crosscoder":
        said = config.get("hook_points")
        if not isinstance(said, list) or not said or not all(isinstance(name, str) for name in said):
            raise _refusal(config, "hook_points", "a list of names", said)
        return said
    return [config.text("hook_point_in", ""), config.text("hook_point_out", config.text("hook_point_in", ""))]


def _norms(W_D: torch.Tensor) -> torch.Tensor:
    """Norms of decoder rows; 1 for a row of zeros, which adds nothing whatever its latent is."""
    norms = W_D.norm(dim=1)
    return torch.where(norms > 0, norms, torch.ones_like(norms))


def _scale(config: Config, norm: float | None, width: int) -> float:
    if norm is None or not 0 < norm < float("inf"):
        legal = "the mean norm of activations at each hook point, above 0, beside weights of scaled activations"
        raise _refusal(config, "dataset_average_activation_norm", legal, norm)
    return float(width**0.5 / norm)


def _refusal(config: Config, key: str, legal: str, got: object) -> InputError:
    remedy = "Save it with fold_activation_scale, or choose another dictionary."
    return refusal(key, str(config.where), legal, repr(got), remedy)
