"""Gemma Scope: ``params.npz`` alone (Gemma 2), or ``config.json`` + ``params.safetensors`` (Gemma 3)."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

from universality.errors import refusal
from universality.sae.activations import JumpReLU
from universality.sae.base import SparseAutoencoder
from universality.sae.formats.files import Config, Tensors, check_sizes, read_json, read_npz, read_safetensors

NAMES = ("w_enc", "b_enc", "w_dec", "b_dec", "threshold")


def read(folder: Path) -> SparseAutoencoder:
    """Read Gemma Scope 1. There is no config: model, place, width and l0 are read off the path where it says them."""
    tensors = read_npz(folder / "params.npz").lower_case()
    sae = _build(tensors, _from_path(folder), skip=False)
    if "embedding" in folder.absolute().parts:
        # Trained on embeddings as they are stored; the models multiply them by sqrt(d) before anything reads them.
        scale = sae.d_in**0.5
        sae = replace(sae, W_enc=sae.W_enc / scale, W_dec=sae.W_dec * scale, b_dec=sae.b_dec * scale)
    return check_sizes(sae, Config({}, tensors.where), {})


def read_second(folder: Path) -> SparseAutoencoder:
    """Read Gemma Scope 2, whose transcoders may have an affine skip connection."""
    config = read_json(folder / "config.json")
    kind = config.text("architecture", "jump_relu")
    if kind != "jump_relu":
        where = str(folder / "config.json")
        raise refusal("architecture", where, "'jump_relu'", repr(kind), "Choose a JumpReLU dictionary.")
    tensors = read_safetensors(folder / "params.safetensors").lower_case()
    skip = config.flag("affine_connection", "affine_skip_connection" in tensors)
    read_at, written_at = config.get("hf_hook_point_in"), config.get("hf_hook_point_out")
    is_transcoder = skip or written_at not in (None, read_at)
    facts = {
        "model": _model(config.get("model_name")),
        "module": read_at,
        "hook_point": _hook_point(read_at),
        **({"hook_point_out": _hook_point(written_at)} if is_transcoder else {}),
        "transcoder": is_transcoder,
        "config": config.as_dict(),
    }
    sae = _build(tensors, facts, skip=skip)
    return check_sizes(sae, config, {"width": sae.d_sae} if type(config.get("width")) is int else {})


def _build(tensors: Tensors, facts: dict[str, Any], *, skip: bool) -> SparseAutoencoder:
    """The encoder sees raw x, ``b_dec`` not subtracted; thresholds are in units of raw pre-activations."""
    W_enc, b_enc, W_dec, b_dec, threshold = tensors.take(*NAMES)
    W_skip = tensors.one("affine_skip_connection") if skip else None
    tensors.finish("jump_relu")
    return SparseAutoencoder(
        W_enc=W_enc,
        b_enc=b_enc,
        W_dec=W_dec,
        b_dec=b_dec,
        activation=JumpReLU(threshold),
        subtract_b_dec=False,
        W_skip=W_skip,
        metadata={"act_units": "raw", **facts},
    )


def _hook_point(module: Any) -> str | None:
    """The TransformerLens name of a module's input or output; None for other modules."""
    match = re.fullmatch(r"model\.layers\.(\d+)\.(.+)", str(module))
    name = MODULES.get(match[2]) if match else None
    return f"blocks.{match[1]}.{name}" if match and name else None


def _model(name: Any) -> str | None:
    """Its hub id: configs say ``gemma-v3-1b-pt`` or ``google/gemma-3-1b-it``; the smallest has no ``-pt``."""
    if not isinstance(name, str):
        return None
    name = "google/" + name.removeprefix("google/").replace("-v3-", "-3-")
    return name.removesuffix("-pt") if "270m" in name else name


#: Sites of Gemma Scope 1 by the last word of its repositories; transcoders read one place and write another.
SITES = {
    "res": ("hook_resid_post", None),
    "mlp": ("hook_mlp_out", None),
    "att": ("attn.hook_z", None),
    "transcoders": ("ln2.hook_normalized", "hook_mlp_out"),
}
#: Places that Gemma Scope 2 reads and writes, below ``model.layers.<layer>.``.
MODULES = {
    "output": "hook_resid_post",
    "self_attn.o_proj.input": "attn.hook_z",
    "pre_feedforward_layernorm.output": "mlp.hook_in",
    "post_feedforward_layernorm.output": "hook_mlp_out",
}


def _from_path(folder: Path) -> dict[str, Any]:
    """What the folders are called; the repository's name says model and site."""
    parts = folder.absolute().parts
    text = "/".join(parts[-3:])
    facts: dict[str, Any] = {"transcoder": True} if any("transcoder" in part.lower() for part in parts) else {}
    for name, pattern in (
        ("layer", r"layer_(\d+)"),
        ("width", r"width_(\w+?)(?:/|$)"),
        ("l0", r"average_l0_(\d+)"),
    ):
        match = re.search(pattern, text)
        if match:
            facts[name] = int(match[1]) if match[1].isdigit() else match[1]
    repository = re.search(r"gemma-scope-(\d+b)-(pt|it)-(res|mlp|att|transcoders)\b", "/".join(parts))
    if repository is not None:
        size, tuned, site = repository.groups()
        facts["model"] = f"google/gemma-2-{size}" + ("-it" if tuned == "it" else "")
        read_at, written_at = SITES[site]
        if "embedding" in parts:
            facts["hook_point"] = "hook_embed"
        elif "layer" in facts:
            facts["hook_point"] = f"blocks.{facts['layer']}.{read_at}"
            facts |= {"hook_point_out": f"blocks.{facts['layer']}.{written_at}"} if written_at else {}
    return facts
