"""What ``config.json`` tells of a model from elsewhere before it is opened: its widths, and its hook points."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from results.public.checkpoints import text_config
from universality.transformers.hook_points import ELSEWHERE, IN_BLOCKS, NEURONS, OUTSIDE, UNREADABLE, Shape, slip_in

_GATED = {"mlp.gate.hook_in", "mlp.gate.hook_out", "mlp.hook_pre_linear"}
_ROTATED = {"attn.hook_rot_q", "attn.hook_rot_k"}
_JOINT = {"attn.hook_hidden_states"}
_TABLE = {"hook_pos_embed", "pos_embed.hook_out"}
_MID = {"hook_resid_mid"}
_POST = {name for name in ELSEWHERE if "_post." in name} | {"ln1_post.hook_scale", "ln2_post.hook_scale"}
_LLAMA = _GATED | _ROTATED | _MID | {"rotary_emb.hook_in"}
#: By ``model_type``, what some models have and others lack. Of other types no name is refused before they are opened.
_OWN: dict[str, set[str]] = {
    "gpt2": _JOINT | _TABLE | _MID,
    "gpt_neox": _JOINT | {"rotary_emb.hook_in"},
    **dict.fromkeys(("llama", "mistral", "qwen2", "qwen3"), _LLAMA),
    **dict.fromkeys(("gemma2", "gemma3_text"), _LLAMA | _POST),
}
_BESIDE = {*OUTSIDE, "rotary_emb.hook_in"}
_USUAL = {*IN_BLOCKS, *OUTSIDE} - set().union(*_OWN.values()) - set(UNREADABLE)
#: Where a head that is not said to have another width has ``d_model / n_heads``; elsewhere it is not guessed.
_HEADS_SHARE = ("gpt2", "gpt_neox", "llama", "mistral", "qwen2")
_EXPERTS = ("num_local_experts", "num_experts", "n_routed_experts", "moe_num_experts")
#: What says that some layers have a common MLP all the same.
_PARTLY = (
    "mlp_only_layers",
    "first_k_dense_replace",
    "decoder_sparse_step",
    "moe_layer_freq",
    "interleave_moe_layer_step",
)


def shape_of(config: Mapping[str, Any]) -> Shape:
    """The widths that a ``config.json`` says."""
    text = text_config(config)

    def said(*keys: str) -> int | None:
        return next((text[key] for key in keys if type(text.get(key)) is int and text[key] > 0), None)

    d_model, n_heads = said("hidden_size", "n_embd"), said("num_attention_heads", "n_head")
    kind, d_head, d_mlp = str(text.get("model_type")), said("head_dim"), said("intermediate_size", "n_inner")
    if d_head is None and d_model and n_heads and kind in _HEADS_SHARE:
        d_head = d_model // n_heads
    if d_mlp is None and d_model and kind == "gpt2":
        d_mlp = 4 * d_model
    n_layers = said("num_hidden_layers", "n_layer", "num_layers")
    d_mlp = None if said(*_EXPERTS) else d_mlp
    return Shape(n_layers, d_model, d_mlp, n_heads, said("num_key_value_heads") or n_heads, d_head, said("vocab_size"))


def slip_at(hook_point: str, config: Mapping[str, Any]) -> str | None:
    """What is wrong with a hook point for the model of a ``config.json``; None where nothing is, or cannot be known."""
    text, n_layers = text_config(config), shape_of(config).n_layers
    site = hook_point.split(".", 2)[-1]
    mixed = any(text.get(key) not in (None, 0, 1, []) for key in _PARTLY)
    if site in NEURONS and not mixed and any(text.get(key) for key in _EXPERTS):
        return f"must be one of neurons that all tokens share; got {hook_point}, of experts. Take hook_mlp_out."
    own = _OWN.get(str(text.get("model_type")))
    if n_layers is None:
        return None
    if own is None:
        return slip_in(hook_point, n_layers, [site], [hook_point])
    names = _USUAL | own | (_MID if text.get("use_parallel_residual") is False else set())
    return slip_in(hook_point, n_layers, sorted(names - _BESIDE), sorted(names & _BESIDE))
