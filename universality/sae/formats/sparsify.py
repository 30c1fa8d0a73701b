"""EleutherAI sparsify: ``cfg.json`` + ``sae.safetensors``; TopK or GroupMax, with transcoders and skips."""

import re
from pathlib import Path
from typing import Any

from universality.errors import refusal
from universality.sae.activations import AbsTopK, Activation, GroupMax, TopK
from universality.sae.base import SparseAutoencoder
from universality.sae.formats.files import read_json, read_safetensors, take

HOOK_POINTS = (
    (r"(?:layers|h)\.(\d+)", "blocks.{}.hook_resid_post"),
    (r"(?:layers|h)\.(\d+)\.mlp", "blocks.{}.hook_mlp_out"),
    (r"(?:layers|h)\.(\d+)\.(?:attn|attention|self_attn)", "blocks.{}.hook_attn_out"),
    (r"embed_tokens|embed_in|wte", "hook_embed"),
)


def read(folder: Path) -> SparseAutoencoder:
    """Read one hook point's folder.

    ``W_dec`` lies on disk as (d_sae, d_in) already; only the encoder is transposed. The encoder sees
    ``x - b_dec`` unless it is a transcoder.
    """
    config = read_json(folder / "cfg.json")
    tensors = read_safetensors(folder / "sae.safetensors")
    encoder, b_enc, W_dec, b_dec = take(
        tensors, ("encoder.weight", "encoder.bias", "W_dec", "b_dec"), folder / "sae.safetensors"
    )
    transcode = bool(config.get("transcode", False))
    skip = tensors.get("W_skip")
    if config.get("skip_connection") and skip is None:
        take(tensors, ["W_skip"], folder / "sae.safetensors")
    return SparseAutoencoder(
        W_enc=encoder.T.contiguous(),
        b_enc=b_enc,
        W_dec=W_dec,
        b_dec=b_dec,
        activation=_activation(config, folder),
        subtract_b_dec=not transcode,
        W_skip=None if skip is None else skip.T.contiguous(),
        metadata={
            "act_units": "raw",
            "module": folder.name,
            "hook_point": hook_point_of(folder.name),
            "transcoder": transcode,
            "config": config,
        },
    )


def hook_point_of(module: str) -> str | None:
    """The TransformerLens name of a module's output, where it has one; ``None`` for other folder names."""
    for pattern, name in HOOK_POINTS:
        match = re.fullmatch(pattern, module)
        if match:
            return name.format(*match.groups())
    return None


def _activation(config: dict[str, Any], folder: Path) -> Activation:
    k = int(config.get("k", 32))
    kind = config.get("activation", "topk")
    if kind == "topk":
        return AbsTopK(k) if config.get("signed") else TopK(k)
    if kind == "groupmax":
        return GroupMax(k)
    where = str(folder / "cfg.json")
    raise refusal("activation", where, "'topk' or 'groupmax'", repr(kind), "Convert it first.")
