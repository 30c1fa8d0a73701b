"""Next-token cross-entropy of a bridge, without the price of its hooks.

A bridge calls some forty hook points per block, materialises the attention pattern for them, and hands
out logits whose log-softmax is then stored once more. Training wants none of that. For models of
``boot_native`` a *twin*, the same native modules without hooks, shares the bridge's parameters (the
bridge stays the model; the twin owns nothing), attention goes through torch's fused kernel, and the
unembedding and the cross-entropy are one function that never keeps all logits.
"""

from __future__ import annotations

from typing import cast

import torch
from torch.nn import functional
from transformer_lens.model_bridge import TransformerBridge
from transformer_lens.model_bridge.sources.native import NativeAttention, NativeModel

CHUNK_ELEMENTS = 1 << 21
"""Logits held at one time by the fused loss: 8 MB of float32, inside a last-level cache."""


class UnembedCrossEntropy(torch.autograd.Function):
    """``mean(logsumexp(h W^T) - (h W^T)[target])`` with both gradients formed in the forward pass.

    Chunk by chunk the logits become probabilities, the loss and ``softmax - onehot``, so no
    ``(tokens, d_vocab)`` array exists.
    Source: ours, after the fused linear cross-entropy of Hsu et al. 2024 ("Liger Kernel").
    """

    @staticmethod
    def forward(ctx, hidden: torch.Tensor, weight: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:  # type: ignore[override]
        """Compute the loss, a float32 scalar; ``hidden`` (n, d_model), ``weight`` (d_vocab, d_model)."""
        n, d_vocab = hidden.shape[0], weight.shape[0]
        rows = min(n, max(1, CHUNK_ELEMENTS // d_vocab))
        logits = hidden.new_empty(rows, d_vocab)
        probabilities = torch.empty_like(logits)
        grad_hidden = torch.empty_like(hidden)
        grad_weight = torch.zeros_like(weight)
        total = torch.zeros((), dtype=torch.float64, device=hidden.device)
        for start in range(0, n, rows):
            chunk, target = hidden[start : start + rows], targets[start : start + rows, None]
            score, p = logits[: len(chunk)], probabilities[: len(chunk)]
            torch.mm(chunk, weight.T, out=score)
            torch.softmax(score, 1, out=p)
            # The largest probability is at least 1/d_vocab, so its logarithm is safe where that of a
            # rare target may underflow.
            log_normaliser = score.amax(1, keepdim=True) - p.amax(1, keepdim=True).log()
            total += (log_normaliser - score.gather(1, target)).sum(dtype=torch.float64)
            p.scatter_add_(1, target, -torch.ones_like(log_normaliser))
            torch.mm(p, weight, out=grad_hidden[start : start + rows])
            grad_weight.addmm_(p.T, chunk)
        ctx.save_for_backward(grad_hidden.div_(n), grad_weight.div_(n))
        return (total / n).float()

    @staticmethod
    def backward(ctx, grad: torch.Tensor):  # type: ignore[override]
        """Scale the stored gradients."""
        grad_hidden, grad_weight = ctx.saved_tensors
        return grad_hidden * grad, grad_weight * grad, None


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


class NextTokenLoss:
    """Mean next-token cross-entropy of a bridge, in nats; differentiable in the bridge's parameters.

    Models of ``boot_native`` take the fast way described above, other bridges their own forward pass.
    Both ways compute the same function (a test holds it to rounding).
    """

    def __init__(self, model: TransformerBridge):
        self.model = model
        self.twin = _twin(model) if isinstance(model.original_model, NativeModel) else None

    def __call__(self, tokens: torch.Tensor) -> torch.Tensor:
        """Loss of int64 ``(batch, n_ctx)`` tokens: position i predicts token i + 1 for i < n_ctx - 1."""
        if self.twin is None:
            logits = cast(torch.Tensor, self.model(tokens, return_type="logits"))[:, :-1]
            return functional.cross_entropy(logits.flatten(0, 1).float(), tokens[:, 1:].flatten())
        # Inputs end one token early: the last position predicts nothing, and attention is causal.
        hidden = _hidden(self.twin, tokens[:, :-1]).flatten(0, 1)
        targets = tokens[:, 1:].flatten()
        if self.twin.output_logits_soft_cap > 0:
            cap = self.twin.output_logits_soft_cap
            logits = cap * torch.tanh(self.twin.head(hidden) / cap)
            return functional.cross_entropy(logits, targets)
        return cast(torch.Tensor, UnembedCrossEntropy.apply(hidden, self.twin.head.weight, targets))


def _hidden(twin: NativeModel, tokens: torch.Tensor) -> torch.Tensor:
    """Output of the last normalisation, ``(batch, n_ctx, d_model)``."""
    hidden = twin.tok_embed(tokens)
    if twin.pos is not None:
        hidden = hidden + twin.pos.weight[: tokens.shape[1]]
    for block in twin.layers:
        (hidden,) = block(hidden)
    return twin.ln_out(hidden)


def _twin(model: TransformerBridge) -> NativeModel:
    """The native modules without hooks, holding the very same parameters as the bridge."""
    twin = NativeModel(model.cfg)
    own = {name.replace("._original_component", ""): p for name, p in model.original_model.named_parameters()}
    names = [name for name, _ in twin.named_parameters()]
    if sorted(names) != sorted(own):
        raise RuntimeError(f"TransformerLens renamed its native parameters: {sorted(set(names) ^ set(own))}")
    for name in names:
        module, _, leaf = name.rpartition(".")
        setattr(twin.get_submodule(module), leaf, own[name])
    for buffer_name, buffer in twin.named_buffers():
        module, _, leaf = buffer_name.rpartition(".")
        setattr(twin.get_submodule(module), leaf, buffer.to(next(iter(own.values())).device))
    for block in twin.layers:
        if block.attn.attn_scores_soft_cap <= 0:
            block.attn.__class__ = _FusedAttention
    return twin
