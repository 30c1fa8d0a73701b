"""The hookless twin of a native bridge: the same modules and the very same parameters, faster.

A bridge calls some forty hook points per block and materialises the attention pattern for them. Training
and most harvesting want neither. The twin owns nothing: the bridge stays the model, and whatever the twin's
gradients change is changed in the bridge.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from copy import copy
from typing import Any

import torch
from torch import nn
from torch.nn import functional
from transformer_lens.model_bridge import TransformerBridge
from transformer_lens.model_bridge.sources.native import NativeAttention, NativeModel


class _FusedAttention(NativeAttention):
    """The native attention with torch's fused kernel; the pattern is never formed."""

    def forward(self, hidden_states, attention_mask=None, position_ids=None, pattern_fn=None, **kwargs):
        batch, n_ctx, _ = hidden_states.shape
        heads = (batch, n_ctx, -1, self.d_head)
        weight = torch.cat([self.q.weight, self.k.weight, self.v.weight])
        bias = torch.cat([self.q.bias, self.k.bias, self.v.bias])
        sizes = [self.n_heads * self.d_head, self.n_kv_heads * self.d_head, self.n_kv_heads * self.d_head]
        q, k, v = functional.linear(hidden_states, weight, bias).split(sizes, dim=-1)
        q, k, v = (part.view(heads).transpose(1, 2) for part in (q, k, v))
        if self.rotary is not None:
            q, k = self.rotary.apply_rope(q, k, position_ids=position_ids)
        if self.kv_repeats > 1:
            k, v = (part.repeat_interleave(self.kv_repeats, dim=1) for part in (k, v))
        mixed = functional.scaled_dot_product_attention(q, k, v, is_causal=self.causal, scale=1 / self.scale)
        return self.o(mixed.transpose(1, 2).reshape(batch, n_ctx, -1)), None


def twin_of(model: TransformerBridge) -> NativeModel | None:
    """The twin of a bridge made by ``boot_native``; ``None`` for bridges around other models."""
    if not isinstance(model.original_model, NativeModel):
        return None
    twin = _unwrapped(model.original_model)
    for block in twin.layers:
        if block.attn.attn_scores_soft_cap <= 0:
            block.attn.__class__ = _FusedAttention
    return twin


def _unwrapped(module: nn.Module) -> Any:
    """A shallow copy of a module and, in place of the bridge's wrappers, of what they wrap.

    The copies hold the very dictionaries of parameters and buffers of the originals, but hooks of their own.
    """
    copied = copy(getattr(module, "original_component", None) or module)
    copied._modules = {name: _unwrapped(child) for name, child in copied._modules.items() if child is not None}
    copied._forward_hooks, copied._forward_pre_hooks = OrderedDict(), OrderedDict()
    return copied


def hidden_states(twin: NativeModel, tokens: torch.Tensor) -> torch.Tensor:
    """Output of the last normalisation, ``(batch, n_ctx, d_model)``, for int64 ``(batch, n_ctx)`` tokens."""
    return after_embedding(twin, twin.tok_embed(tokens))


def after_embedding(twin: NativeModel, hidden: torch.Tensor) -> torch.Tensor:
    """The same from embedded tokens ``(batch, n_ctx, d_model)`` on."""
    if twin.pos is not None:
        hidden = hidden + twin.pos.weight[: hidden.shape[1]]
    for block in twin.layers:
        (hidden,) = block(hidden)
    return twin.ln_out(hidden)


class _Enough(Exception):
    """Ends a forward pass once all activations that were asked for are captured."""


def site_of(twin: NativeModel, hook_point: str) -> tuple[nn.Module, bool] | None:
    """The module whose input (False) or output (True) a hook point names; ``None`` where the twin cannot tell."""
    if hook_point == "hook_embed":
        return twin.tok_embed, True
    layer, _, site = hook_point.removeprefix("blocks.").partition(".")
    if not hook_point.startswith("blocks.") or not layer.isdigit():
        return None
    block = twin.layers[int(layer)]
    sites: dict[str, tuple[Any, bool]] = {
        "hook_resid_pre": (block, False),
        "hook_attn_out": (block.attn, True),
        "attn.hook_z": (block.attn.o, False),
        "hook_resid_post": (block, True),
    }
    if not twin.cfg.attn_only:
        last = block.mlp.out if twin.cfg.gated_mlp else block.mlp.fc_out
        sites |= {
            "hook_resid_mid": (block.ln2, False),
            "mlp.hook_post": (last, False),
            "hook_mlp_out": (block.mlp, True),
        }
    return sites.get(site)


def capture(
    twin: NativeModel, tokens: torch.Tensor, sites: dict[str, tuple[nn.Module, bool]]
) -> dict[str, torch.Tensor]:
    """Activations at some sites; the forward pass ends at the last of them."""
    captured: dict[str, torch.Tensor] = {}

    def keeper(name: str) -> Callable[..., None]:
        def keep(_: nn.Module, args: tuple, output: Any = None) -> None:
            value = args if output is None else output
            captured[name] = value[0] if isinstance(value, tuple) else value
            if len(captured) == len(sites):
                raise _Enough

        return keep

    handles = [
        module.register_forward_hook(keeper(name)) if output else module.register_forward_pre_hook(keeper(name))
        for name, (module, output) in sites.items()
    ]
    try:
        with torch.no_grad():
            hidden_states(twin, tokens)
    except _Enough:
        pass
    finally:
        for handle in handles:
            handle.remove()
    return captured
