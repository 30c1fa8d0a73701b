"""Crosscoders: one set of latents over the activations of several models, or of several places of one.

A canonical dictionary reads one row. Of a crosscoder that is either the rows of all its parts laid end to end, exact,
or one part: the decoder of that part is exact, and the encoder sees what that part contributes, with the others at
their mean where the file has it, else at 0. So the latents of one part are not the crosscoder's own; its metadata says
so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from universality.errors import refusal
from universality.sae.activations import Activation, JumpReLU, ReLU, TopK
from universality.sae.base import SparseAutoencoder
from universality.sae.formats.files import (
    Config,
    Tensors,
    check_sizes,
    read_json,
    read_pt,
    read_safetensors,
    read_yaml,
)


@dataclass(frozen=True)
class Heads:
    """A crosscoder of n parts that read raw activations.

    Attributes:
        W_enc: (n, d, d_sae).
        b_enc: (d_sae,), of the sum over parts.
        W_dec: (n, d_sae, d).
        b_dec: (n, d).
        activations: of each part; the first is that of all parts together.
        mean: (n, d) activations at which a part stands while only another is read, or None: 0.
        hook_points: of each part, where the file says it.
        gates: (n, d_sae), by which each part multiplies its pre-activations, and divides its latents again; or None.
    """

    W_enc: torch.Tensor
    b_enc: torch.Tensor
    W_dec: torch.Tensor
    b_dec: torch.Tensor
    activations: tuple[Activation, ...]
    mean: torch.Tensor | None = None
    hook_points: tuple[str | None, ...] = ()
    gates: torch.Tensor | None = None


def dictionary_of(heads: Heads, part: int | None, where: Path, metadata: Mapping[str, Any]) -> SparseAutoencoder:
    """All parts as one dictionary, or one of them.

    Raises:
        InputError: shapes that are no crosscoder's, or no such part.
    """
    n, d, d_sae = _shape(heads, where)
    if part is not None and not 0 <= part < n:
        raise refusal("part", str(where), f"a part of the crosscoder, 0 to {n - 1}", part, "Count from 0.")
    if part is None:
        return SparseAutoencoder(
            W_enc=heads.W_enc.reshape(n * d, d_sae),
            b_enc=heads.b_enc,
            W_dec=heads.W_dec.transpose(0, 1).reshape(d_sae, n * d).contiguous(),
            b_dec=heads.b_dec.reshape(n * d),
            activation=heads.activations[0],
            subtract_b_dec=False,
            metadata={**metadata, "crosscoder_parts": n},
        )
    b_enc = heads.b_enc
    if heads.mean is not None:
        others = torch.einsum("nd,ndf->nf", heads.mean, heads.W_enc)
        b_enc = b_enc + others.sum(dim=0) - others[part]
    W_enc, W_dec = heads.W_enc[part], heads.W_dec[part]
    if heads.gates is not None:
        gate = torch.where(heads.gates[part] > 0, heads.gates[part], torch.ones_like(b_enc))
        W_enc, b_enc, W_dec = W_enc * gate, b_enc * gate, W_dec / gate[:, None]
    hook_points = heads.hook_points or (metadata.get("hook_point"),) * n
    others_at = "at their mean" if heads.mean is not None else "at 0"
    said = [f"latents are those of part {part} of a crosscoder of {n}, the others held {others_at}: not its own"]
    return SparseAutoencoder(
        W_enc=W_enc.contiguous(),
        b_enc=b_enc,
        W_dec=W_dec.contiguous(),
        b_dec=heads.b_dec[part],
        activation=heads.activations[part],
        subtract_b_dec=False,
        metadata={
            **metadata,
            "crosscoder_parts": n,
            "crosscoder_part": part,
            "hook_point": hook_points[part],
            "warning": "; ".join([*said, *([metadata["warning"]] if "warning" in metadata else [])]),
        },
    )


def _shape(heads: Heads, where: Path) -> tuple[int, int, int]:
    if heads.W_enc.ndim != 3:
        got = tuple(heads.W_enc.shape)
        raise refusal("encoder", str(where), "of shape (parts, d, d_sae)", got, "It is no crosscoder of this format.")
    n, d, d_sae = heads.W_enc.shape
    for name, shape in (("b_enc", (d_sae,)), ("W_dec", (n, d_sae, d)), ("b_dec", (n, d))):
        if tuple(getattr(heads, name).shape) != shape:
            got = tuple(getattr(heads, name).shape)
            raise refusal(name, str(where), f"of shape {shape}, as the encoder has it", got, "Save it again.")
    return n, d, d_sae


def read_pair(folder: Path, part: int | None) -> SparseAutoencoder:
    """``cfg.json`` + ``cc_weights.pt``: two models, ReLU, of the replication of model diffing on Gemma 2 2B."""
    file = folder / "cc_weights.pt"
    config, tensors = read_json(folder / "cfg.json"), Tensors(read_pt(file), file)
    W_enc, b_enc, W_dec, b_dec = tensors.take("W_enc", "b_enc", "W_dec", "b_dec")
    tensors.finish("crosscoder")
    W_dec = W_dec.transpose(0, 1) if W_dec.ndim == 3 else W_dec
    heads = Heads(W_enc, b_enc, W_dec, b_dec, (ReLU(),) * len(W_enc))
    metadata = {
        "act_units": "unknown",
        "model": config.get("model_name"),
        "hook_point": config.get("hook_point"),
        "training_seed": config.get("seed"),
        "config": config.as_dict(),
        "warning": "its training scaled each model's activations to a mean norm of sqrt(d_in), and the file does not "
        "say by what, nor whether that was folded in",
    }
    sae = dictionary_of(heads, part, config.where, metadata)
    return check_sizes(sae, config, {"dict_size": sae.d_sae, "d_in": int(heads.W_enc.shape[1])})


def read_crosscode(folder: Path, part: int | None) -> SparseAutoencoder:
    """``model_cfg.yaml`` + ``model.pt`` of crosscode; parts are models by hook points, hook points fastest."""
    config, tensors = read_yaml(folder / "model_cfg.yaml"), Tensors(read_pt(folder / "model.pt"), folder / "model.pt")
    if "is_folded" not in tensors or not any(tensors.flags("is_folded")):
        legal = "true: the factors of its activations stand nowhere else"
        remedy = "Save it with with_folded_scaling_factors."
        raise refusal("is_folded", str(tensors.where), legal, "false", remedy)
    tensors.unused("folded_scaling_factors_in_Xi", "folded_scaling_factors_out_Xo")
    W_enc, W_dec = tensors.take("_W_enc_XiDiL", "_W_dec_LXoDo")
    b_enc, b_dec = tensors.maybe("b_enc_L"), tensors.maybe("_b_dec_XoDo")
    activation = _crosscode_activation(config.inner("activation_fn"), tensors)
    tensors.finish("crosscode")
    if W_enc.ndim != 4 or W_dec.ndim != 4 or W_enc.shape[:3] != W_dec.shape[1:]:
        got = f"{tuple(W_enc.shape)} and {tuple(W_dec.shape)}"
        legal = "(models, points, d, latents) and (latents, models, points, d)"
        raise refusal("encoder and decoder", str(tensors.where), legal, got, "Choose a crosscoder that is acausal.")
    n_models, n_points, d, d_sae = W_enc.shape
    n = n_models * n_points
    heads = Heads(
        W_enc=W_enc.reshape(n, d, d_sae),
        b_enc=W_enc.new_zeros(d_sae) if b_enc is None else b_enc,
        W_dec=W_dec.reshape(d_sae, n, d).transpose(0, 1),
        b_dec=W_enc.new_zeros((n, d)) if b_dec is None else b_dec.reshape(n, d),
        activations=(activation,) * n,
    )
    sae = dictionary_of(heads, part, tensors.where, {"act_units": "normalised", "config": config.as_dict()})
    return check_sizes(sae, config, {"d_model": d, "n_latents": d_sae, "n_models": n_models})


def _crosscode_activation(config: Config, tensors: Tensors) -> Activation:
    kind, settings = config.text("classname", ""), config.inner("cfg")
    k = settings.size("k")
    if kind == "ReLUActivation":
        return ReLU()
    if kind == "TopkActivation" and k is not None:
        return TopK(k)
    if kind == "AnthropicSTEJumpReLUActivation":
        return JumpReLU(tensors.one("activation_fn.log_threshold_L").exp())
    legal = "ReLUActivation, TopkActivation with k, or AnthropicSTEJumpReLUActivation: others let a batch decide"
    raise config.refusal("activation_fn", legal, kind)


def read_hub(folder: Path, part: int | None) -> SparseAutoencoder:
    """``config.json`` + ``model.safetensors``, as science-of-finetuning's dictionary_learning publishes crosscoders."""
    config, tensors = read_json(folder / "config.json"), read_safetensors(folder / "model.safetensors")
    sizes = {"dict_size": "d_sae", "activation_dim": "d"}
    return finetuning(tensors, config, part, {"config": config.as_dict()}, sizes)


#: ``code_normalization_id``: by what pre-activations are multiplied before they are held against the threshold.
CODE_NORMS = {
    1: lambda W_dec: W_dec.norm(dim=2).sum(dim=0),
    2: lambda W_dec: W_dec.norm(dim=(0, 2)),
    4: lambda W_dec: W_dec.new_ones(W_dec.shape[1]),
}


def finetuning(
    tensors: Tensors, config: Config, part: int | None, metadata: Mapping[str, Any], sizes: Mapping[str, str]
) -> SparseAutoencoder:
    """CrossCoder and BatchTopKCrossCoder of science-of-finetuning, activations brought to raw units.

    A BatchTopK crosscoder holds ``relu(pre)`` times a norm of the decoder against its threshold: that is a threshold
    for each latent.
    """
    W_enc, b_enc, W_dec, b_dec = tensors.take("encoder.weight", "encoder.bias", "decoder.weight", "decoder.bias")
    if W_enc.ndim != 3 or W_dec.ndim != 3:
        got = f"{tuple(W_enc.shape)} and {tuple(W_dec.shape)}"
        raise refusal("encoder and decoder", str(tensors.where), "of three axes", got, "It is no crosscoder.")
    tensors.unused("target_rms", "k")
    number = tensors.integers("code_normalization_id")[0] if "code_normalization_id" in tensors else 1
    if number not in CODE_NORMS:
        legal = "1 (crosscoder), 2 (sae) or 4 (none): the others gate each part alone, or need what no file holds"
        raise refusal("code_normalization_id", str(tensors.where), legal, number, "Choose another crosscoder.")
    activation, extra = _finetuning_activation(tensors, CODE_NORMS[number](W_dec))
    heads = Heads(W_enc, b_enc, W_dec, b_dec, (activation,) * len(W_enc))
    heads = _in_raw_units(heads, tensors)
    tensors.finish("crosscoder")
    units = {"act_units": "normalised" if heads.mean is not None else "raw"}
    sae = dictionary_of(heads, part, tensors.where, {**units, **metadata, **extra})
    known = {"d_sae": sae.d_sae, "d": int(W_enc.shape[1])}
    return check_sizes(sae, config, {key: known[size] for key, size in sizes.items()})


def _finetuning_activation(tensors: Tensors, norms: torch.Tensor) -> tuple[Activation, dict[str, Any]]:
    if "threshold" not in tensors:
        return ReLU(), {}
    threshold = tensors.one("threshold")
    if threshold.numel() != 1:
        got = tuple(threshold.shape)
        raise refusal("threshold", str(tensors.where), "one number", got, "Decoupled crosscoders gate each part alone.")
    if float(threshold) < 0:
        return ReLU(), {"warning": "the threshold was never estimated: every positive pre-activation fires"}
    never = torch.finfo(norms.dtype).max  # a latent that writes nothing has a gate of 0 and never fires
    return JumpReLU(torch.where(norms > 0, threshold.reshape(()) / norms, torch.full_like(norms, never))), {}


def _in_raw_units(heads: Heads, tensors: Tensors) -> Heads:
    """Weights for x instead of (x - mean) * scale. NaN in mean or deviation means that there is no such step."""
    names = ("activation_mean", "activation_std", "activation_global_scale")
    if not all(name in tensors for name in names) or any(tensors.has_nan(name) for name in names[:2]):
        tensors.unused(*names)
        return heads
    mean, deviation, scale = tensors.take(*names)
    # A scale of 1 throughout is that of a save without one: each dimension is divided by its own deviation.
    per_dimension = bool((scale == 1).all())
    factor = 1 / (deviation + 1e-8) if per_dimension else scale[:, None].expand_as(mean)
    W_enc = heads.W_enc * factor[:, :, None]
    back = 1 / factor if per_dimension else 1 / (factor + 1e-8)
    return replace(
        heads,
        W_enc=W_enc,
        b_enc=heads.b_enc - torch.einsum("nd,ndf->f", mean, W_enc),
        W_dec=heads.W_dec * back[:, None, :],
        b_dec=heads.b_dec * back + mean,
        mean=mean,
    )
