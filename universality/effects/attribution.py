"""Gradient times activation: what ablating each latent would do to the loss to first order, for all of them at once.

One backward pass per context gives the effect of every latent that fires in it, where an exact ablation is a forward
pass for each. It is a screen: exact for small changes, and compared with exact ablation wherever both are known.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import pandas as pd
import torch
from scipy import sparse
from torch.nn import functional
from transformer_lens.model_bridge import TransformerBridge

from universality.effects.agreement import MIN_BOTH
from universality.effects.predictions import TextRows
from universality.effects.rerun import wide
from universality.errors import require
from universality.transformers.harvest import USABLE, check_editable, hooked

#: Contexts of one backward pass, and numbers that are gathered at one time.
_CONTEXTS, _GATHERED = 8, 1 << 24


def attributed(
    model: TransformerBridge,
    text: TextRows,
    hook_point: str,
    acts: sparse.csr_matrix,
    directions: Sequence[np.ndarray],
    means: np.ndarray,
    *,
    scale: np.ndarray | None = None,
) -> list[sparse.csr_matrix]:
    """First-order change of the loss where one latent is held at its mean, row by row.

    ``(mean - a) <direction, gradient>``, with the gradient of the summed log-loss of *all later tokens of the context*:
    a horizon would take a backward pass for every row, and what is far away adds little but noise.

    Args:
        model: any bridge.
        text: contexts, and where the rows of ``acts`` stand in them.
        hook_point: where directions are added.
        acts: CSR (n_rows, d_sae).
        directions: rows of the decoder (d_sae, d_in), and others to put in their place.
        means: (d_sae,) mean activations, zeros included.
        scale: (n_rows,) by which the dictionary scales what it adds at each row; 1 by default.

    Returns:
        For each of ``directions`` a CSR float32 (n_rows, d_sae), nats: positive where the latent helps; on rows where
        it fires and a token follows, exact zeros kept.

    Raises:
        InputError: an unknown hook point or one that cannot be edited, shapes that do not belong together, gradients
            that are not finite.

    Source: attribution patching (Nanda 2023; Syed et al. 2023), on latents as in Marks et al. 2024.
    """
    for given in directions:
        fits = np.shape(given)[0] == np.size(means) == acts.shape[1] and acts.shape[0] == text.n_rows
        got = f"{np.shape(given)[0]} directions, {np.size(means)} means, {text.n_rows} rows"
        constraint = f"of {acts.shape[1]} latents over {acts.shape[0]} rows"
        require(fits, "shapes", "attribution", constraint, got, "Use one dictionary and its rows.")
    rows, latents, amounts = _entries(text, acts, means, scale)
    device = next(iter(model.parameters())).device
    vectors = [torch.from_numpy(np.asarray(given, np.float32)).to(device) for given in directions]
    out = np.zeros((len(vectors), rows.size))
    order = np.argsort(text.context[rows], kind="stable")
    context = text.context[rows][order]
    used = np.unique(context)
    for start, gradient in loss_gradients(model, np.asarray(text.contexts)[used], hook_point):
        low, high = np.searchsorted(context, [used[start], used[min(start + len(gradient), used.size) - 1] + 1])
        entries = order[low:high]
        at = np.searchsorted(used, text.context[rows[entries]]) - start, text.position[rows[entries]]
        place = torch.from_numpy(at[0] * gradient.shape[1] + at[1]).to(device)
        latent = torch.from_numpy(latents[entries].astype(np.int64)).to(device)
        out[:, entries] = _products(gradient.flatten(0, 1), place, latent, vectors).cpu().numpy()
    require(bool(np.isfinite(out).all()), "gradients", hook_point, "finite", "NaN or infinity", "Load it in float32.")
    indptr = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=acts.shape[0]))])
    return [sparse.csr_matrix(((amounts * part).astype(np.float32), latents, indptr), shape=acts.shape) for part in out]


def _entries(
    text: TextRows, acts: sparse.csr_matrix, means: np.ndarray, scale: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Row, latent and amount that ablation adds, of every firing that a token follows."""
    rows = np.repeat(np.arange(acts.shape[0]), np.diff(acts.indptr))
    told = np.flatnonzero((acts.data != 0) & (text.next_tokens[rows] >= 0))
    rows, latents = rows[told], acts.indices[told]
    amounts = means[latents] - acts.data[told].astype(np.float64)
    return rows, latents, amounts if scale is None else amounts * scale[rows]


def _products(
    gradient: torch.Tensor, place: torch.Tensor, latent: torch.Tensor, vectors: Sequence[torch.Tensor]
) -> torch.Tensor:
    """(len(vectors), n_entries) products of directions with gradients, in the gradients' kind of number."""
    step = max(1, _GATHERED // gradient.shape[1])
    parts = [
        torch.stack([(gradient[at] * given[which].to(gradient)).sum(dim=-1) for given in vectors])
        for at, which in zip(place.split(step), latent.split(step), strict=True)
    ]
    return torch.cat(parts, dim=1).double()


def loss_gradients(
    model: TransformerBridge, contexts: np.ndarray, hook_point: str
) -> Iterator[tuple[int, torch.Tensor]]:
    """Gradient of the log-loss of each context, summed over its tokens, at every position of a hook point.

    What comes before a position cannot depend on it, so there it is the gradient of all later losses.

    Args:
        model: any bridge; no gradient of its weights is made.
        contexts: int (n_contexts, n_ctx) token ids.
        hook_point: one that can be edited.

    Yields:
        Number of the first context, and (batch, n_ctx, d_in) on the model's device, in its kind of number, at least
        float32; head axes are flattened.

    Raises:
        InputError: an unknown hook point, one that cannot be edited or does not reach the predictions.
    """
    check_editable(model, hook_point)
    device = next(iter(model.parameters())).device
    for start in range(0, len(contexts), _CONTEXTS):
        batch = np.asarray(contexts[start : start + _CONTEXTS], np.int64)
        tokens = torch.from_numpy(batch).to(device)
        leaves: list[torch.Tensor] = []

        def cut(value: torch.Tensor, hook: object, leaves: list[torch.Tensor] = leaves) -> torch.Tensor:
            leaves.append(value.detach().requires_grad_())
            return leaves[-1]

        with _frozen(model), torch.enable_grad(), hooked(model, [(hook_point, cut)]):
            logits = model.forward(tokens, return_type="logits")[:, :-1].flatten(0, 1)
            loss = functional.cross_entropy(wide(logits), tokens[:, 1:].flatten(), reduction="sum")
            reaches = len(leaves) == 1 and loss.requires_grad
            got = f"{len(leaves)} firings of it" if len(leaves) != 1 else "none of them depends on it"
            require(reaches, "hook_point", hook_point, "one that fires once and predictions depend on", got, USABLE)
            gradient = torch.autograd.grad(loss, leaves[0])[0].flatten(2)
        yield start, wide(gradient)


@contextmanager
def _frozen(model: TransformerBridge) -> Iterator[None]:
    """Weights that want no gradient, for the time being: it would cost as much again."""
    wanting = [weight for weight in model.parameters() if weight.requires_grad]
    for weight in wanting:
        weight.requires_grad_(False)
    try:
        yield
    finally:
        for weight in wanting:
            weight.requires_grad_(True)


def latent_attribution(
    first_order: sparse.csr_matrix, common: sparse.csr_matrix, exact: sparse.csr_matrix
) -> pd.DataFrame:
    """The table ``latent_attribution``.

    Args:
        first_order: CSR (n_rows, d_sae), one of :func:`attributed`.
        common: of it the rows that ``exact`` has.
        exact: CSR (n_common_rows, d_sae), fingerprints of exact ablation, not of all firings perhaps.
    """
    n = np.bincount(first_order.indices, minlength=first_order.shape[1])
    total = np.bincount(first_order.indices, first_order.data, minlength=n.size)
    r, n_exact = screen_agreement(common, exact)
    columns = {"n_rows": n, "loss_change": total / np.where(n > 0, n, np.nan), "r_exact": r, "n_exact": n_exact}
    return pd.DataFrame({"latent": np.arange(n.size), **columns})


def screen_agreement(first_order: sparse.csr_matrix, exact: sparse.csr_matrix) -> tuple[np.ndarray, np.ndarray]:
    """How well first-order changes foretell exact ones: Pearson r of each latent over the rows where both are known.

    Args:
        first_order: CSR (n_rows, d_sae), one of :func:`attributed`.
        exact: CSR (n_rows, d_sae), :attr:`universality.effects.ablation.Fingerprints.loss` of the same rows.

    Returns:
        r (d_sae,) in [-1, 1], NaN with fewer than 20 such rows or without spread; and their number (d_sae,) int64.
    """
    d_sae = exact.shape[1]
    keys = [
        np.repeat(np.arange(m.shape[0], dtype=np.int64), np.diff(m.indptr)) * d_sae + m.indices
        for m in (first_order, exact)
    ]
    _, at_one, at_two = np.intersect1d(*keys, assume_unique=True, return_indices=True)
    x, y = first_order.data[at_one].astype(np.float64), exact.data[at_two].astype(np.float64)
    latents = exact.indices[at_two]
    n = np.bincount(latents, minlength=d_sae)
    sums = [np.bincount(latents, v, minlength=d_sae) / np.maximum(n, 1) for v in (x, y)]
    x, y = x - sums[0][latents], y - sums[1][latents]
    xx, yy, xy = (np.bincount(latents, v, minlength=d_sae) for v in (x * x, y * y, x * y))
    defined = (n >= MIN_BOTH) & (xx > 0) & (yy > 0)
    r = np.clip(xy / np.sqrt(np.where(defined, xx * yy, 1.0)), -1.0, 1.0)
    return np.where(defined, r, np.nan), n
