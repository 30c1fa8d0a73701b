"""EleutherAI sparsify: ``cfg.json`` + ``sae.safetensors``; TopK or GroupMax, with transcoders and skips."""

import re
from pathlib import Path

from universality.errors import refusal
from universality.sae.activations import AbsTopK, Activation, GroupMax, TopK
from universality.sae.base import SparseAutoencoder
from universality.sae.formats.files import Config, check_sizes, read_json, read_safetensors

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
    encoder, b_enc, W_dec, b_dec = tensors.take("encoder.weight", "encoder.bias", "W_dec", "b_dec")
    transcode = config.flag("transcode", False)
    skip = tensors.one("W_skip") if config.flag("skip_connection", False) else None
    tensors.finish("without a skip connection" if skip is None else "with a skip connection")
    sae = SparseAutoencoder(
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
            **_hook_points(folder.name, transcode),
            "transcoder": transcode or skip is not None,
            "config": config.as_dict(),
        },
    )
    return check_sizes(sae, config, {"d_in": sae.d_in, "num_latents": sae.d_sae})


def _hook_points(module: str, transcode: bool) -> dict[str, str | None]:
    """A transcoder reads what its module reads and writes what it writes."""
    written_at = hook_point_of(module)
    if not transcode:
        return {"hook_point": written_at}
    match = re.fullmatch(r"(?:layers|h)\.(\d+)\.mlp", module)
    return {"hook_point": f"blocks.{match[1]}.mlp.hook_in" if match else None, "hook_point_out": written_at}


def hook_point_of(module: str) -> str | None:
    """The TransformerLens name of a module's output, where it has one; ``None`` for other folder names."""
    for pattern, name in HOOK_POINTS:
        match = re.fullmatch(pattern, module)
        if match:
            return name.format(*match.groups())
    return None


def _activation(config: Config, folder: Path) -> Activation:
    k = config.size("k") or 32  # the library's default
    kind = config.text("activation", "topk")
    if kind == "topk":
        return AbsTopK(k) if config.flag("signed", False) else TopK(k)
    if kind == "groupmax":
        return GroupMax(k)
    where = str(folder / "cfg.json")
    raise refusal("activation", where, "'topk' or 'groupmax'", repr(kind), "Convert it first.")
