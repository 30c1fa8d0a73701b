"""Gemma Scope: ``params.npz`` alone (Gemma 2), or ``config.json`` + ``params.safetensors`` (Gemma 3)."""

import re
from pathlib import Path
from typing import Any

import torch

from universality.errors import refusal
from universality.sae.activations import JumpReLU
from universality.sae.base import SparseAutoencoder
from universality.sae.formats.files import read_json, read_npz, read_safetensors, take

NAMES = ("w_enc", "b_enc", "w_dec", "b_dec", "threshold")


def read(folder: Path) -> SparseAutoencoder:
    """Read Gemma Scope 1. There is no config: layer, width and l0 are read off the path where it says them."""
    tensors = {name.lower(): value for name, value in read_npz(folder / "params.npz").items()}
    return _build(tensors, folder / "params.npz", _from_path(folder))


def read_second(folder: Path) -> SparseAutoencoder:
    """Read Gemma Scope 2, whose transcoders may have an affine skip connection."""
    config = read_json(folder / "config.json")
    if config.get("architecture", "jump_relu") != "jump_relu":
        kind = repr(config.get("architecture"))
        where = str(folder / "config.json")
        raise refusal("architecture", where, "'jump_relu'", kind, "Choose a JumpReLU dictionary.")
    tensors = {name.lower(): value for name, value in read_safetensors(folder / "params.safetensors").items()}
    read_at, written_at = config.get("hf_hook_point_in"), config.get("hf_hook_point_out")
    facts = {"module": read_at, "transcoder": read_at != written_at, "config": config}
    return _build(tensors, folder / "params.safetensors", facts)


def _build(tensors: dict[str, torch.Tensor], where: Path, facts: dict[str, Any]) -> SparseAutoencoder:
    """The encoder sees raw x, ``b_dec`` not subtracted; thresholds are in units of raw pre-activations."""
    W_enc, b_enc, W_dec, b_dec, threshold = take(tensors, NAMES, where)
    return SparseAutoencoder(
        W_enc=W_enc,
        b_enc=b_enc,
        W_dec=W_dec,
        b_dec=b_dec,
        activation=JumpReLU(threshold),
        subtract_b_dec=False,
        W_skip=tensors.get("affine_skip_connection"),
        metadata={"act_units": "raw", **facts},
    )


def _from_path(folder: Path) -> dict[str, Any]:
    text = "/".join(folder.absolute().parts[-3:])
    facts: dict[str, Any] = {}
    for name, pattern in (
        ("layer", r"layer_(\d+)"),
        ("width", r"width_(\w+?)(?:/|$)"),
        ("l0", r"average_l0_(\d+)"),
    ):
        match = re.search(pattern, text)
        if match:
            facts[name] = int(match[1]) if match[1].isdigit() else match[1]
    return facts
