"""Next-token cross-entropy of a bridge, without the price of its hooks and without keeping all logits."""

from __future__ import annotations

from typing import cast

import torch
from torch.nn import functional
from transformer_lens.model_bridge import TransformerBridge

from universality.transformers.twin import hidden_states, twin_of

CHUNK_ELEMENTS = 1 << 19
"""Logits held at one time by the fused loss: 2 MB of float32, inside a last-level cache."""


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
        learns = any(ctx.needs_input_grad)
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
            if learns:
                p.scatter_add_(1, target, -torch.ones_like(log_normaliser))
                torch.mm(p, weight, out=grad_hidden[start : start + rows])
                grad_weight.addmm_(p.T, chunk)
        if learns:
            ctx.save_for_backward(grad_hidden.div_(n), grad_weight.div_(n))
        return (total / n).float()

    @staticmethod
    def backward(ctx, grad: torch.Tensor):  # type: ignore[override]
        """Scale the stored gradients."""
        grad_hidden, grad_weight = ctx.saved_tensors
        return grad_hidden * grad, grad_weight * grad, None


class NextTokenLoss:
    """Mean next-token cross-entropy of a bridge, in nats; differentiable in the bridge's parameters.

    Models of ``boot_native`` go through their hookless twin, other bridges through their own forward pass.
    Both ways compute the same function (a test holds it to rounding).
    """

    def __init__(self, model: TransformerBridge):
        self.model = model
        self.twin = twin_of(model)

    def __call__(self, tokens: torch.Tensor) -> torch.Tensor:
        """Loss of int64 ``(batch, n_ctx)`` tokens: position i predicts token i + 1 for i < n_ctx - 1."""
        targets = tokens[:, 1:].flatten()
        if self.twin is None:
            logits = cast(torch.Tensor, self.model(tokens, return_type="logits"))[:, :-1]
            return functional.cross_entropy(logits.flatten(0, 1).float(), targets)
        # Inputs end one token early: the last position predicts nothing, and attention is causal.
        hidden = hidden_states(self.twin, tokens[:, :-1]).flatten(0, 1)
        cap = self.twin.output_logits_soft_cap
        if cap > 0:
            return functional.cross_entropy(cap * torch.tanh(self.twin.head(hidden) / cap), targets)
        return cast(torch.Tensor, UnembedCrossEntropy.apply(hidden, self.twin.head.weight, targets))
