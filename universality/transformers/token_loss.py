"""The log-loss of every token of a text."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from transformer_lens.model_bridge import TransformerBridge


def token_losses(model: TransformerBridge, contexts: np.ndarray, *, batch_contexts: int = 32) -> np.ndarray:
    """What each token costs, given those before it.

    Args:
        model: any bridge.
        contexts: int (n_contexts, n_ctx) token ids.
        batch_contexts: contexts per forward pass.

    Returns:
        float32 (n_contexts, n_ctx): at a position the log-loss of the token that follows, in nats; NaN at the last.
    """
    import torch
    from torch.nn import functional

    device = next(iter(model.parameters())).device
    losses = np.full(np.shape(contexts), np.nan, np.float32)
    for start in range(0, len(contexts), batch_contexts):
        tokens = torch.from_numpy(np.asarray(contexts[start : start + batch_contexts], np.int64)).to(device)
        with torch.no_grad():
            logits = model.forward(tokens, return_type="logits")[:, :-1].flatten(0, 1).float()
        loss = functional.cross_entropy(logits, tokens[:, 1:].flatten(), reduction="none")
        losses[start : start + len(tokens), :-1] = loss.reshape(len(tokens), -1).cpu().numpy()
    return losses
