"""The general way: the model runs again from the hooked block on, once for every entry."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch.nn import functional
from transformer_lens.model_bridge import TransformerBridge

from universality.effects.predictions import TextRows
from universality.errors import require
from universality.transformers.harvest import check_editable, splice

#: Tokens from the changed one on over which a change is summed: attention carries it on.
HORIZON = 16
_BATCH = 32


def wide(values: torch.Tensor) -> torch.Tensor:
    """Numbers of which logarithms are taken: float64 as they are, all others as float32."""
    return values if values.dtype == torch.float64 else values.float()


class _Clean(NamedTuple):
    """One context as it is: tokens (1, n_ctx), what a pass starts from, in which block, log-probabilities."""

    tokens: torch.Tensor
    source: torch.Tensor
    layer: int | None
    #: (n_ctx, d_vocab)
    predicted: torch.Tensor


@dataclass(frozen=True, eq=False)
class RerunPredictions:
    """Predictions of any model at any hook point that can be edited, by a forward pass per entry.

    A change at one token reaches later predictions through attention, so changes are sums over ``horizon`` predictions,
    the first of them that of the changed token.

    Attributes:
        model: any bridge.
        text: contexts and rows.
        hook_point: where directions are added.
        horizon: predictions that are summed, at least 1; fewer where the context ends.

    Raises:
        InputError: an unknown hook point, one whose edit does not reach the stream, or a horizon below 1.
    """

    model: TransformerBridge
    text: TextRows
    hook_point: str
    horizon: int = HORIZON

    def __post_init__(self) -> None:
        check_editable(self.model, self.hook_point)
        require(self.horizon >= 1, "horizon", "effects", "at least 1", self.horizon, "16 is usual.")

    def changes(
        self, rows: np.ndarray, which: np.ndarray, amounts: np.ndarray, directions: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """See :meth:`universality.effects.predictions.Predictions.changes`; sums over the horizon."""
        loss, divergence = np.zeros(rows.size), np.zeros(rows.size)
        device = next(iter(self.model.parameters())).device
        vectors = torch.from_numpy(np.asarray(directions, np.float32)).to(device)
        order = np.lexsort((self.text.position[rows], self.text.context[rows]))
        for entries in np.split(order, np.flatnonzero(np.diff(self.text.context[rows][order])) + 1):
            if not entries.size:
                continue
            clean = self._clean(int(self.text.context[rows[entries[0]]]), device)
            for start in range(0, entries.size, _BATCH):
                batch = entries[start : start + _BATCH]
                scaled = torch.from_numpy(amounts[batch].astype(np.float32)).to(device)
                added = vectors[torch.from_numpy(which[batch].astype(np.int64)).to(device)] * scaled[:, None]
                changed = self._changed(clean, self.text.position[rows[batch]], added)
                loss[batch], divergence[batch] = changed
        return loss, divergence

    def losses(self, rows: np.ndarray, added: np.ndarray | None) -> np.ndarray:
        """See :meth:`universality.effects.predictions.Predictions.losses`; of the next token alone."""
        device = next(iter(self.model.parameters())).device
        losses, contexts = np.full(rows.size, np.nan), np.asarray(self.text.contexts)
        for context in np.unique(self.text.context[rows]):
            here = np.flatnonzero(self.text.context[rows] == context)
            position = self.text.position[rows[here]].astype(np.int64)
            tokens = torch.from_numpy(contexts[context : context + 1].astype(np.int64)).to(device)
            hooks = []
            if added is not None:
                change = torch.from_numpy(added[here]).to(device)
                at = torch.from_numpy(position).to(device)
                hooks = [(self.hook_point, splice(lambda x, change=change: x + change, at))]
            with torch.no_grad(), self.model.hooks(fwd_hooks=hooks):
                logits = self.model.forward(tokens, return_type="logits")[0, :-1]
            lost = functional.cross_entropy(wide(logits), tokens[0, 1:], reduction="none").double().cpu().numpy()
            told = position < contexts.shape[1] - 1
            losses[here[told]] = lost[position[told]]
        return losses

    def _clean(self, context: int, device: torch.device) -> _Clean:
        tokens = torch.from_numpy(np.asarray(self.text.contexts[context], np.int64))[None].to(device)
        match = re.match(r"blocks\.(\d+)\.", self.hook_point)
        layer = int(match[1]) if match else 0
        read: list[torch.Tensor] = []

        def keep(value: torch.Tensor, hook: object) -> None:
            read.append(value.detach())

        hooks = [(f"blocks.{layer}.hook_resid_pre", keep)] if layer else []
        with torch.no_grad(), self.model.hooks(fwd_hooks=hooks):
            logits = self.model.forward(tokens, return_type="logits")
        clean = _Clean(tokens, tokens, None, functional.log_softmax(wide(logits[0]), dim=-1))
        later = clean._replace(source=read[0], layer=layer) if layer else clean
        return later if later is clean or self._starts_there(later, logits) else clean

    def _starts_there(self, clean: _Clean, logits: torch.Tensor) -> bool:
        """Whether the blocks need nothing but the stream; some want masks or positions that only the tokens bring."""
        try:
            with torch.no_grad():
                again = self.model.forward(clean.source, return_type="logits", start_at_layer=clean.layer)
        except Exception:  # whatever a foreign block raises: it is then run from its tokens
            return False
        return bool(torch.allclose(again, logits, rtol=1e-4, atol=1e-4))

    def _changed(self, clean: _Clean, positions: np.ndarray, added: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
        n_ctx = clean.tokens.shape[1]
        source = clean.source[:, : min(n_ctx, int(positions.max()) + self.horizon)]
        batch, place = torch.arange(len(positions)), torch.from_numpy(positions.astype(np.int64))

        def add(value: torch.Tensor, hook: object) -> torch.Tensor:
            changed = value.clone()
            changed[batch, place] += added.reshape(-1, *value.shape[2:]).to(value)
            return changed

        with torch.no_grad(), self.model.hooks(fwd_hooks=[(self.hook_point, add)]):
            repeated = source.expand(len(positions), *source.shape[1:])
            logits = self.model.forward(repeated, return_type="logits", start_at_layer=clean.layer)
        return self._summed(clean, logits, place.to(logits.device))

    def _summed(self, clean: _Clean, logits: torch.Tensor, first: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
        """Changes from ``first`` (n_entries,) on; nothing is read back to the host until the whole batch is done."""
        n_ctx = clean.tokens.shape[1]
        at = first[:, None] + torch.arange(min(self.horizon, n_ctx), device=first.device)
        inside, told = at < n_ctx, at < n_ctx - 1
        old = clean.predicted[at.clamp(max=n_ctx - 1)]
        seen = at.clamp(max=logits.shape[1] - 1)
        new = functional.log_softmax(wide(logits[torch.arange(len(at), device=at.device)[:, None], seen]), dim=-1)
        targets = clean.tokens[0, (at + 1).clamp(max=n_ctx - 1), None]
        lost = (old.gather(2, targets) - new.gather(2, targets))[:, :, 0].double()
        away = (old.exp() * (old - new)).sum(dim=-1, dtype=torch.float64)
        loss = torch.where(told, lost, 0.0).sum(dim=1).masked_fill(~told[:, 0], torch.nan)
        divergence = torch.where(inside, away, 0.0).sum(dim=1).clamp(min=0.0)
        read = torch.stack([loss, divergence]).cpu().numpy()
        return read[0], read[1]
