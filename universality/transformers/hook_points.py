"""Names of hook points of native models, known without building one: a slip is found before anything is trained."""

from __future__ import annotations

import difflib
import re

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


def slip_in(name: str, n_layers: int) -> str | None:
    """What is wrong with the name of a hook point, or None: no native model of so many layers has it.

    That it is right for a certain shape is known only once the model is built.
    """
    match = re.fullmatch(r"blocks\.(\d+)\.(.+)", name)
    if match is not None and int(match[1]) >= n_layers:
        return f"must name one of the blocks 0 to {n_layers - 1}; got {name}"
    if (match is not None and match[2] in IN_BLOCKS) or name in OUTSIDE:
        return None
    layer = match[1] if match is not None else "0"
    legal = [*(f"blocks.{layer}.{part}" for part in IN_BLOCKS), *OUTSIDE]
    near = difflib.get_close_matches(name, legal, n=3, cutoff=0.4)
    remedy = f" Did you mean {' or '.join(near)}?" if near else ""
    return f"must be a hook point of the model; got {name}.{remedy}"
