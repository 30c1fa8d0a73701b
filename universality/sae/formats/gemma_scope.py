"""Gemma Scope: ``params.npz`` alone (Gemma 2), or ``config.json`` + ``params.safetensors`` (Gemma 3)."""

import re
from pathlib import Path
from typing import Any

from universality.errors import refusal
from universality.sae.activations import JumpReLU
from universality.sae.base import SparseAutoencoder
from universality.sae.formats.files import Config, Tensors, check_sizes, read_json, read_npz, read_safetensors

NAMES = ("w_enc", "b_enc", "w_dec", "b_dec", "threshold")


def read(folder: Path) -> SparseAutoencoder:
    """Read Gemma Scope 1. There is no config: layer, width and l0 are read off the path where it says them."""
    tensors = read_npz(folder / "params.npz").lower_case()
    facts = _from_path(folder)
    return check_sizes(_build(tensors, facts, skip=False), Config({}, tensors.where), {})


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
    facts = {
        "model": config.get("model_name"),
        "module": read_at,
        "hook_point": _hook_point(read_at),
        "transcoder": skip or read_at != written_at,
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
    """The TransformerLens name of what comes out of a block; None for other modules."""
    match = re.fullmatch(r"model\.layers\.(\d+)\.output", str(module))
    return f"blocks.{match[1]}.hook_resid_post" if match else None


def _from_path(folder: Path) -> dict[str, Any]:
    """What the folders are called; those of transcoders say so in the name of the repository."""
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
    return facts
