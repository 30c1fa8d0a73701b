"""Next-token cross-entropy of a bridge, without the price of its hooks and without keeping all logits."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from typing import cast

import torch
from torch.nn import functional
from transformer_lens.model_bridge import TransformerBridge

from universality.gpu import compiled, device_memory, repeatable_kernels, repeatable_options
from universality.transformers.transformer_config import Precision
from universality.transformers.twin import after_embedding, twin_of

CHUNK_ELEMENTS = 1 << 19
"""Logits held at one time on the CPU: 2 MB of float32, inside a last-level cache."""
DEVICE_SHARE = 16
"""On a CUDA device the logits of a piece and their gradient take at most this part of its memory."""

Piece = Callable[[torch.Tensor, torch.Tensor, torch.Tensor], tuple[torch.Tensor, torch.Tensor, torch.Tensor]]


def logits_at_once(device: torch.device) -> int:
    """How many logits are held at one time."""
    if device.type != "cuda":
        return CHUNK_ELEMENTS
    return device_memory(device) // DEVICE_SHARE // 8  # two arrays of float32


def loss_and_gradients(
    hidden: torch.Tensor, weight: torch.Tensor, target: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Summed cross-entropy of some tokens and its gradients, few kernels where they are compiled.

    Args:
        hidden: (n, d_model). weight: (d_vocab, d_model). target: int64 (n, 1).

    Returns:
        The sum, a float64 scalar; gradients (n, d_model) and (d_vocab, d_model) in the precision of the products.
    """
    log_p = torch.log_softmax(hidden @ weight.T, 1, dtype=torch.float32)
    loss = -log_p.gather(1, target).sum(dtype=torch.float64)
    if torch.compiler.is_compiling():  # one pass over the logits with the exponential
        tokens = torch.arange(weight.shape[0], device=target.device)
        error = log_p.exp() - (tokens == target).to(log_p.dtype)
    else:
        error = log_p.exp_().scatter_add_(1, target, torch.full_like(target, -1, dtype=log_p.dtype))
    return loss, error @ weight, error.T @ hidden


class UnembedCrossEntropy(torch.autograd.Function):
    """``mean(logsumexp(h W^T) - (h W^T)[target])`` with both gradients formed in the forward pass.

    Chunk by chunk the logits become probabilities, the loss and ``softmax - onehot``, so no
    ``(tokens, d_vocab)`` array exists, unless it is a small part of a CUDA device's memory.
    Source: ours, after the fused linear cross-entropy of Hsu et al. 2024 ("Liger Kernel").
    """

    @staticmethod
    def forward(  # type: ignore[override]
        ctx, hidden: torch.Tensor, weight: torch.Tensor, targets: torch.Tensor, piece: Piece | None = None
    ) -> torch.Tensor:
        """Compute the loss, a float32 scalar; ``hidden`` (n, d_model), ``weight`` (d_vocab, d_model).

        With a ``piece``, as :func:`loss_and_gradients`, that computes each chunk; without, two arrays are filled
        again and again, which suits a CPU.
        """
        n = hidden.shape[0]
        if piece is None:
            total, *gradients = _by_chunks(hidden, weight, targets, any(ctx.needs_input_grad))
        else:
            total, *gradients = _by_pieces(hidden, weight, targets, piece)
        ctx.save_for_backward(*(gradient.div_(n) for gradient in gradients))
        return (total / n).float()

    @staticmethod
    def backward(ctx, grad: torch.Tensor):  # type: ignore[override]
        """Scale the stored gradients."""
        grad_hidden, grad_weight = ctx.saved_tensors
        return grad_hidden * grad, grad_weight * grad, None, None


def _by_chunks(
    hidden: torch.Tensor, weight: torch.Tensor, targets: torch.Tensor, learns: bool
) -> tuple[torch.Tensor, ...]:
    """Summed loss, float64, and where it ``learns`` both gradients of the sum."""
    n, d_vocab = hidden.shape[0], weight.shape[0]
    rows = min(n, max(1, logits_at_once(hidden.device) // d_vocab))
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
        if learns:
            p.scatter_add_(1, target, -torch.ones_like(log_normaliser))
            torch.mm(p, weight, out=grad_hidden[start : start + rows])
            grad_weight.addmm_(p.T, chunk)
    return (total, grad_hidden, grad_weight) if learns else (total,)


def _by_pieces(
    hidden: torch.Tensor, weight: torch.Tensor, targets: torch.Tensor, piece: Piece
) -> tuple[torch.Tensor, ...]:
    """The same by a function of a piece, in as few pieces as the device's memory allows."""
    n = hidden.shape[0]
    pieces = -(-n // max(1, logits_at_once(hidden.device) // weight.shape[0]))
    rows = -(-n // pieces)
    grad_hidden = torch.empty_like(hidden)
    grad_weight = torch.zeros_like(weight)
    total = torch.zeros((), dtype=torch.float64, device=hidden.device)
    for start in range(0, n, rows):
        here = slice(start, start + rows)
        loss, of_hidden, of_weight = piece(hidden[here], weight, targets[here, None])
        total += loss
        grad_hidden[here] = of_hidden
        grad_weight += of_weight
    return total, grad_hidden, grad_weight


class NextTokenLoss:
    """Mean next-token cross-entropy of a bridge, in nats; differentiable in the bridge's parameters.

    Models of ``boot_native`` go through their hookless twin, other bridges through their own forward pass.
    Both ways compute the same function (a test holds it to rounding).

    Args:
        model: the bridge.
        precision: bfloat16 rounds the factors of matrix products as autocast does; the others round as torch is set.
        in_pieces: whether the loss of the twin is computed in few large pieces, as suits a GPU that is trained.
        compile_: whether the twin behind its embedding and those pieces are compiled.

    Attributes:
        kernels: what gradients are taken in, for the twin goes forward in it: there torch chooses the kernels of
            attention, and a compiler the mode in which alone its backward pass runs. Foreign models may hold
            operations of which no repeatable kernel is known.
    """

    def __init__(
        self,
        model: TransformerBridge,
        precision: Precision = "float32",
        *,
        in_pieces: bool = False,
        compile_: bool = False,
    ):
        self.model = model
        self.twin = twin_of(model)
        self.kernels = repeatable_kernels if in_pieces and self.twin is not None else nullcontext
        self._autocast = precision == "bfloat16"
        self._after_embedding, self._piece = after_embedding, loss_and_gradients if in_pieces else None
        if compile_:
            options = repeatable_options()
            self._after_embedding = compiled(after_embedding, **options)
            self._piece = compiled(loss_and_gradients, **options)

    def __call__(self, tokens: torch.Tensor) -> torch.Tensor:
        """Loss of int64 ``(batch, n_ctx)`` tokens: position i predicts token i + 1 for i < n_ctx - 1."""
        # A weight's bfloat16 copy is made where it is used: kept copies would outlive the graph they were made in.
        kind = tokens.device.type
        with torch.autocast(kind, torch.bfloat16, cache_enabled=False) if self._autocast else nullcontext():
            return self._loss(tokens)

    def _loss(self, tokens: torch.Tensor) -> torch.Tensor:
        targets = tokens[:, 1:].flatten()
        if self.twin is None:
            logits = cast(torch.Tensor, self.model(tokens, return_type="logits"))[:, :-1]
            return functional.cross_entropy(logits.flatten(0, 1).float(), targets)
        # Inputs end one token early: the last position predicts nothing, and attention is causal.
        # The embedding is never compiled: what a compiler makes of its gradient adds in any order.
        with self.kernels():
            hidden = self._after_embedding(self.twin, self.twin.tok_embed(tokens[:, :-1])).flatten(0, 1)
        cap = self.twin.output_logits_soft_cap
        if cap > 0:
            return functional.cross_entropy(cap * torch.tanh(self.twin.head(hidden) / cap), targets)
        return cast(torch.Tensor, UnembedCrossEntropy.apply(hidden, self.twin.head.weight, targets, self._piece))
