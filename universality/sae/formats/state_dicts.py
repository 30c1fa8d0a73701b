"""Single files of ``torch.save``, told apart by their tensors: OpenAI, Goodfire, Qwen-Scope.

None has a config beside it. What the weights do not say (k, model, layer) is read off the path, which keeps the names
of the repository; where it does not, and it must be known, the file is refused.
"""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from universality.errors import refusal
from universality.sae.activations import ReLU, TopK
from universality.sae.base import SparseAutoencoder
from universality.sae.formats.files import Config, Tensors, check_sizes, read_pt

OPENAI_SITES = {
    "mlp_post_act": "mlp.hook_post",
    "resid_delta_mlp": "hook_mlp_out",
    "resid_delta_attn": "hook_attn_out",
    "resid_post_attn": "hook_resid_mid",
    "resid_post_mlp": "hook_resid_post",
}


def read(file: Path) -> SparseAutoencoder:
    """Read one file.

    Raises:
        InputError: tensors of none of the three, or a path that does not say what a format needs.
    """
    values = read_pt(file)
    for mark, reader in READERS.items():
        if mark in values:
            sae = reader(values, file)
            return check_sizes(sae, Config({}, file), {})
    legal = "; ".join(f"{reader.__name__.strip('_')}: {mark}" for mark, reader in READERS.items())
    remedy = "Convert it to SAELens's format first, or load the folder that its project's own code wrote."
    raise refusal("tensors", str(file), f"those of a known file ({legal})", sorted(map(str, values))[:12], remedy)


def _openai(values: dict[str, Any], file: Path) -> SparseAutoencoder:
    """Gao et al. 2024: TopK on layer-normed rows; before them ReLU on raw ones. The name of the activation tells."""
    state = values.get("activation_state_dict") or {}
    kind = values.get("activation", "ReLU")
    after = state.get("postact_fn", "ReLU") if isinstance(state, dict) else None
    k = state.get("k") if isinstance(state, dict) else None
    if kind not in ("ReLU", "TopK") or after != "ReLU" or (kind == "TopK" and (type(k) is not int or k < 1)):
        legal = "ReLU, or TopK with a whole k and postact_fn ReLU"
        raise refusal("activation", str(file), legal, f"{kind}, {state}", "Convert it first.")
    named = ("activation", "activation_state_dict", "activation.k", "activation.postact_fn")
    tensors = Tensors({name: value for name, value in values.items() if name not in named}, file)
    tensors.unused("stats_last_nonzero", "latents_activation_frequency", "latents_mean_square")
    encoder, b_enc, decoder, b_dec = tensors.take("encoder.weight", "latent_bias", "decoder.weight", "pre_bias")
    tensors.finish("openai")
    match = re.search(rf"({'|'.join(OPENAI_SITES)})\w*/(?:.*/)?(\d+)\.pt$", file.absolute().as_posix())
    return SparseAutoencoder(
        W_enc=encoder.T.contiguous(),
        b_enc=b_enc,
        W_dec=decoder.T.contiguous(),
        b_dec=b_dec,
        activation=ReLU() if k is None else TopK(k),
        normalisation="layer_norm" if kind == "TopK" else "none",
        metadata={
            "source_format": "openai",
            "act_units": "normalised" if kind == "TopK" else "raw",
            **({"hook_point": f"blocks.{match[2]}.{OPENAI_SITES[match[1]]}", "model": "gpt2"} if match else {}),
            # As its README opens the model.
            "model_from_pretrained_kwargs": {"center_writing_weights": False},
        },
    )


def _goodfire(values: dict[str, Any], file: Path) -> SparseAutoencoder:
    tensors = Tensors(values, file)
    encoder, b_enc, decoder, b_dec = tensors.take(*(f"{side}_linear.{name}" for side in SIDES for name in PARTS))
    tensors.finish("goodfire")
    match = re.search(r"(Llama-[\d.]+-\d+B-Instruct)-SAE-l(\d+)", file.absolute().as_posix())
    said = {"model": f"meta-llama/{match[1]}", "hook_point": f"blocks.{match[2]}.hook_resid_post"} if match else {}
    return SparseAutoencoder(
        W_enc=encoder.T.contiguous(),
        b_enc=b_enc,
        W_dec=decoder.T.contiguous(),
        b_dec=b_dec,
        activation=ReLU(),
        subtract_b_dec=False,
        metadata={"source_format": "goodfire", "act_units": "raw", **said},
    )


def _qwen_scope(values: dict[str, Any], file: Path) -> SparseAutoencoder:
    """Both matrices lie transposed; k stands in the repository's name alone."""
    tensors = Tensors(values, file)
    W_enc, b_enc, W_dec, b_dec = tensors.take("W_enc", "b_enc", "W_dec", "b_dec")
    tensors.finish("qwen_scope")
    path = file.absolute().as_posix()
    said, layer = re.search(r"SAE-Res-([\w.-]+?)-W\d+K-L0_(\d+)", path), re.search(r"layer(\d+)\.sae\.pt$", path)
    if said is None:
        legal = "that of the repository, SAE-Res-<model>-W<width>K-L0_<k>: k stands nowhere else"
        remedy = "Keep the repository's name as a folder of the path."
        raise refusal("path", "a Qwen-Scope dictionary", legal, str(file), remedy)
    return SparseAutoencoder(
        W_enc=W_enc.T.contiguous(),
        b_enc=b_enc,
        W_dec=W_dec.T.contiguous(),
        b_dec=b_dec,
        activation=TopK(int(said[2])),
        subtract_b_dec=False,
        metadata={
            "source_format": "qwen_scope",
            "act_units": "raw",
            "model": f"Qwen/{said[1]}",
            **({"hook_point": f"blocks.{layer[1]}.hook_resid_post"} if layer else {}),
        },
    )


SIDES, PARTS = ("encoder", "decoder"), ("weight", "bias")
READERS: dict[str, Callable[[dict[str, Any], Path], SparseAutoencoder]] = {
    "latent_bias": _openai,
    "encoder_linear.weight": _goodfire,
    "W_enc": _qwen_scope,
}
