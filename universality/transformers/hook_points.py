"""Names of hook points and the widths there, known without a model: a slip is found before anything is done."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass

#: Below ``blocks.<layer>.``; which of them a model has depends on its shape.
IN_BLOCKS = (
    "attn.hook_attn_in", "attn.hook_attn_scores", "attn.hook_hidden_states", "attn.hook_in", "attn.hook_k",
    "attn.hook_k_input", "attn.hook_out", "attn.hook_pattern", "attn.hook_q", "attn.hook_q_input",
    "attn.hook_result", "attn.hook_rot_k", "attn.hook_rot_q", "attn.hook_v", "attn.hook_v_input",
    "attn.hook_z", "attn.k.hook_in", "attn.k.hook_out", "attn.o.hook_in", "attn.o.hook_out",
    "attn.q.hook_in", "attn.q.hook_out", "attn.v.hook_in", "attn.v.hook_out", "hook_attn_in",
    "hook_attn_out", "hook_in", "hook_k_input", "hook_mlp_in", "hook_mlp_out", "hook_out", "hook_q_input",
    "hook_resid_mid", "hook_resid_post", "hook_resid_pre", "hook_v_input", "ln1.hook_in",
    "ln1.hook_normalized", "ln1.hook_out", "ln1.hook_scale", "ln2.hook_in", "ln2.hook_normalized",
    "ln2.hook_out", "ln2.hook_scale", "mlp.gate.hook_in", "mlp.gate.hook_out", "mlp.hook_in",
    "mlp.hook_out", "mlp.hook_post", "mlp.hook_pre", "mlp.hook_pre_linear", "mlp.in.hook_in",
    "mlp.in.hook_out", "mlp.ln.hook_in", "mlp.ln.hook_normalized", "mlp.ln.hook_out", "mlp.ln.hook_scale",
    "mlp.out.hook_in", "mlp.out.hook_out",
)  # fmt: skip
#: Of the whole model.
OUTSIDE = (
    "embed.hook_in", "embed.hook_out", "hook_embed", "hook_pos_embed", "hook_unembed", "ln_final.hook_in",
    "ln_final.hook_normalized", "ln_final.hook_out", "ln_final.hook_scale", "pos_embed.hook_in",
    "pos_embed.hook_out", "unembed.hook_in", "unembed.hook_out",
)  # fmt: skip


#: Below ``blocks.<layer>.``, points after which the block only adds: what its MLP puts out, and the stream behind it.
AFTER_MLP = (
    "hook_mlp_out", "hook_out", "hook_resid_post", "mlp.hook_out", "mlp.hook_post", "mlp.out.hook_in",
    "mlp.out.hook_out",
)  # fmt: skip


#: Sites of other widths than d_model, below ``blocks.<layer>.`` or of the whole model.
NEURONS = (
    "mlp.gate.hook_out", "mlp.hook_post", "mlp.hook_pre", "mlp.hook_pre_linear", "mlp.in.hook_out", "mlp.out.hook_in",
)  # fmt: skip
_HEADS = ("attn.hook_q", "attn.hook_rot_q", "attn.hook_z", "attn.o.hook_in", "attn.q.hook_out")
_KEYS = ("attn.hook_k", "attn.hook_rot_k", "attn.hook_v", "attn.k.hook_out", "attn.v.hook_out")
_TOKENS = ("hook_unembed", "unembed.hook_out")
#: Of models from elsewhere alone, as wide as the stream: norms of what attention and MLP add, and rotary positions.
ELSEWHERE = (
    "ln1_post.hook_in", "ln1_post.hook_normalized", "ln1_post.hook_out", "ln2_post.hook_in",
    "ln2_post.hook_normalized", "ln2_post.hook_out", "rotary_emb.hook_in",
)  # fmt: skip
#: Sites of attention between tokens: in no model rows.
BETWEEN = ("attn.hook_attn_scores", "attn.hook_pattern")
#: Sites whose activations are no rows of tokens, or that fire only after a switch that nothing here throws.
UNREADABLE = (
    "attn.hook_attn_in", "attn.hook_attn_scores", "attn.hook_k_input", "attn.hook_pattern", "attn.hook_q_input",
    "attn.hook_result", "attn.hook_v_input", "embed.hook_in", "hook_attn_in", "hook_k_input", "hook_mlp_in",
    "hook_q_input", "hook_v_input", "mlp.ln.hook_in", "mlp.ln.hook_normalized", "mlp.ln.hook_out", "mlp.ln.hook_scale",
    "pos_embed.hook_in",
)  # fmt: skip


@dataclass(frozen=True)
class Shape:
    """The widths of a model; None where they are not known without opening it.

    Attributes:
        n_layers: blocks.
        d_model: width of the stream.
        d_mlp: neurons of a block; None where it has experts.
        n_heads, n_key_value_heads, d_head: heads of a block and the width of one.
        d_vocab: token ids.
    """

    n_layers: int | None
    d_model: int | None
    d_mlp: int | None
    n_heads: int | None
    n_key_value_heads: int | None
    d_head: int | None
    d_vocab: int | None

    def width_at(self, hook_point: str) -> int | None:
        """Width ``d_in`` of the activations at a hook point that can be read, heads flattened; None if unknown."""
        site = re.sub(r"^blocks\.\d+\.", "", hook_point)
        if site.endswith("hook_scale"):
            return 1
        if site in _HEADS + _KEYS:
            heads = self.n_heads if site in _HEADS else self.n_key_value_heads
            return heads * self.d_head if heads and self.d_head else None
        if site in NEURONS + _TOKENS:
            return self.d_mlp if site in NEURONS else self.d_vocab
        return self.d_model if site in (*IN_BLOCKS, *OUTSIDE, *ELSEWHERE) else None


def slip_in(
    name: str, n_layers: int, in_blocks: Iterable[str] = IN_BLOCKS, outside: Iterable[str] = OUTSIDE
) -> str | None:
    """What is wrong with the name of a hook point, or None.

    Args:
        name: of a hook point.
        n_layers: blocks of the model.
        in_blocks, outside: the names that it has below ``blocks.<layer>.`` and beside; by default those of any native
            model. That one is right for a certain shape is known only once such a model is built.
    """
    match = re.fullmatch(r"blocks\.(\d+)\.(.+)", name)
    if match is not None and int(match[1]) >= n_layers:
        return f"must name one of the blocks 0 to {n_layers - 1}; got {name}"
    if match is not None and match[2] in BETWEEN:
        return f"must be one with a row of activations for each token; got {name}, which is between tokens"
    layer = match[1] if match is not None else "0"
    legal = [*(f"blocks.{layer}.{part}" for part in in_blocks), *outside]
    if name in legal:
        return None
    near = difflib.get_close_matches(name, legal, n=3, cutoff=0.4)
    remedy = f" Did you mean {' or '.join(near)}?" if near else ""
    return f"must be a hook point of the model; got {name}.{remedy}"
