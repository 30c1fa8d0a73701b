"""Ablation, attribution and substitution on any bridge with any dictionary, in one call."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse
from transformer_lens.model_bridge import TransformerBridge

from universality.arguments import checked, instance, text, vector, whole
from universality.brief_repr import brief_repr
from universality.correlation.pairs import check_pairs
from universality.effects.ablation import Fingerprints, fingerprints
from universality.effects.attribution import attributed
from universality.effects.predictions import Predictions, TextRows, read_predictions
from universality.effects.rerun import HORIZON, RerunPredictions
from universality.effects.substitution import SubstitutedLosses, scaling_factors, substituted_losses
from universality.errors import require
from universality.matrices import Matrix, as_csr
from universality.sae import SparseAutoencoder
from universality.transformers.harvest import check_editable, harvest, hook_dimension

#: What a dictionary and a model must be, and counts.
_RULES = {
    "model": instance(TransformerBridge, remedy="Build or load one with transformer_lens."),
    "dictionary": instance(SparseAutoencoder, remedy="Load or train one."),
    "hook_point": text,
    "horizon": whole(1),
    "threads": whole(1),
}


@brief_repr
@dataclass(frozen=True, eq=False)
class Ablation:
    """What ablating each latent does to a model's predictions on a text.

    Attributes:
        text: the rows: every position of the contexts but the first, context after context.
        acts: CSR (n_rows, d_sae) activations of the latents.
        means: (d_sae,) their means, which took their place.
        fingerprints: change of the loss and divergence of the prediction, row by row.
    """

    text: TextRows
    acts: sparse.csr_matrix
    means: np.ndarray
    fingerprints: Fingerprints


@brief_repr
@dataclass(frozen=True, eq=False)
class Attribution:
    """What ablating each latent would do to the loss of a text, to first order.

    Attributes:
        text: the rows: every position of the contexts but the first, context after context.
        acts: CSR (n_rows, d_sae) activations of the latents.
        means: (d_sae,) their means, in whose place ablation would put them.
        loss: CSR float32 (n_rows, d_sae), nats, first-order change of the summed loss of all later tokens of the
            context, on rows where the latent fires and a token follows; positive where it helps.
    """

    text: TextRows
    acts: sparse.csr_matrix
    means: np.ndarray
    loss: sparse.csr_matrix


@checked(**_RULES, latents=vector("iu"))
def ablate(
    model: TransformerBridge,
    dictionary: SparseAutoencoder,
    contexts: np.ndarray,
    hook_point: str,
    *,
    latents: np.ndarray | None = None,
    horizon: int = HORIZON,
    threads: int | None = None,
) -> Ablation:
    """Hold every latent at its mean, one at a time, on every row where it fires.

    Args:
        model: any bridge.
        dictionary: any dictionary of the hook point.
        contexts: int (n_contexts, n_ctx) token ids.
        hook_point: where the dictionary reads.
        latents: numbers of the latents to ablate; all by default.
        horizon: predictions over which a change is summed, where the model must run again for every firing.
        threads: threads of the readout; no byte of the result depends on it.

    Returns:
        :class:`Ablation`. At the end of the last block it is exact and takes a pass over the vocabulary per firing;
        elsewhere a forward pass.

    Raises:
        InputError: an unknown hook point or one that cannot be edited, contexts that are not, latents out of range.
    """
    rows, acts, scale = _opened(model, dictionary, contexts, hook_point)
    means, predictions = np.asarray(acts.mean(axis=0)).ravel(), _predicted(model, rows, hook_point, horizon, threads)
    made = fingerprints(predictions, _of(acts, latents), _decoder(dictionary), means, scale=scale)
    return Ablation(rows, acts, means, made)


@checked(**_RULES, latents=vector("iu"))
def attribute(
    model: TransformerBridge,
    dictionary: SparseAutoencoder,
    contexts: np.ndarray,
    hook_point: str,
    *,
    latents: np.ndarray | None = None,
) -> Attribution:
    """Say of every firing, to first order, what ablating it would do: gradient times activation.

    One backward pass per context tells all latents, where :func:`ablate` may run the model for every firing: look at
    everything so, and ablate what stands out.

    Args:
        model, dictionary, contexts, hook_point: as in :func:`ablate`.
        latents: numbers of the latents wanted; all by default.

    Returns:
        :class:`Attribution`. It is exact for small activations; nothing is cut off at a horizon.

    Raises:
        InputError: as :func:`ablate`; gradients that are not finite.
    """
    rows, acts, scale = _opened(model, dictionary, contexts, hook_point)
    means, wanted = np.asarray(acts.mean(axis=0)).ravel(), _of(acts, latents)
    (loss,) = attributed(model, rows, hook_point, wanted, [_decoder(dictionary)], means, scale=scale)
    return Attribution(rows, acts, means, loss)


@checked(**_RULES, latents=vector("iu"), partner_latents=vector("iu"))
def substitute(
    model: TransformerBridge,
    dictionary: SparseAutoencoder,
    contexts: np.ndarray,
    hook_point: str,
    partners: Matrix,
    latents: np.ndarray,
    partner_latents: np.ndarray,
    *,
    horizon: int = HORIZON,
    threads: int | None = None,
) -> SubstitutedLosses:
    """Put latents of another dictionary in the place of a model's own, one pair at a time.

    Args:
        model, dictionary, contexts, hook_point, horizon, threads: as in :func:`ablate`.
        partners: (n_rows, m), activations of the other dictionary on the same rows: every position of the contexts but
            the first, context after context; of another model, on the same tokens.
        latents, partner_latents: (n_pairs,) latents and who takes their place.

    Returns:
        :class:`SubstitutedLosses` by context, of the second half of the contexts: the first half fits the factor that
        brings a partner nearest to its latent. ``.recovered()`` is the share of the ablation's loss that it makes good.

    Raises:
        InputError: as :func:`ablate`; rows that do not fit; a single context.
    """
    rows, acts, scale = _opened(model, dictionary, contexts, hook_point)
    predictions = _predicted(model, rows, hook_point, horizon, threads)
    others = as_csr(partners, "partners")
    fits, got = others.shape[0] == acts.shape[0], others.shape[0]
    remedy = "Leave out the first position of every context, and nothing else."
    require(fits, "rows", "partners", f"{acts.shape[0]}, one per position but the first", got, remedy)
    n_contexts = len(np.asarray(contexts))
    require(n_contexts >= 2, "contexts", "substitution", "at least 2", n_contexts, "One half fits, the other measures.")
    ia, ib = check_pairs(latents, partner_latents, acts.shape[1], others.shape[1])
    fit = rows.context < n_contexts // 2
    factors = scaling_factors(acts[fit], others[fit], ia, ib)
    means = np.asarray(acts[fit].mean(axis=0)).ravel()
    own, other = (_where(matrix, ~fit) for matrix in (acts, others))
    loss = fingerprints(predictions, _columns(own, ia), _decoder(dictionary), means, scale=scale).loss
    lost = substituted_losses(
        predictions, own, other, loss, _decoder(dictionary), ia, ib, factors, rows.context, scale=scale
    )
    measured = np.arange(n_contexts) >= n_contexts // 2
    return SubstitutedLosses(lost.substituted[:, measured], lost.ablated[:, measured])


def _opened(
    model: TransformerBridge, dictionary: SparseAutoencoder, contexts: np.ndarray, hook_point: str
) -> tuple[TextRows, sparse.csr_matrix, np.ndarray | None]:
    """Rows, activations and scales."""
    check_editable(model, hook_point)
    tokens = np.asarray(contexts)
    shape = tokens.shape
    legal = tokens.ndim == 2 and min(shape) >= 1 and shape[1] >= 2 and tokens.dtype.kind in "iu"
    constraint, got = "(n_contexts, n_ctx >= 2) token ids", f"{shape} of {tokens.dtype}"
    require(legal, "contexts", "ablation", constraint, got, "Cut the text into contexts of one length.")
    places = (part.ravel() for part in np.mgrid[: shape[0], 1 : shape[1]])
    rows = TextRows(tokens, *places)
    width, remedy = hook_dimension(model, hook_point), "Take a dictionary of this hook point."
    constraint = f"{width}, the width of {hook_point}"
    require(dictionary.d_in == width, "d_in", "the dictionary", constraint, dictionary.d_in, remedy)
    harvested = harvest(model, tokens, [hook_point])
    x = np.concatenate([batch[hook_point][:, 1:].reshape(-1, dictionary.d_in) for batch in harvested])
    scale = None
    if dictionary.normalisation != "none":
        import torch

        scale = dictionary.row_scale(torch.from_numpy(x)).numpy().ravel()
    return rows, dictionary.encode_sparse(x), scale


def _predicted(
    model: TransformerBridge, rows: TextRows, hook_point: str, horizon: int, threads: int | None
) -> Predictions:
    read = read_predictions(model, rows, hook_point, threads=threads)
    return read or RerunPredictions(model, rows, hook_point, horizon)


def _decoder(dictionary: SparseAutoencoder) -> np.ndarray:
    return dictionary.W_dec.detach().cpu().numpy()


def _of(acts: sparse.csr_matrix, latents: np.ndarray | None) -> sparse.csr_matrix:
    """The activations with latents that are not asked for silent."""
    if latents is None:
        return acts
    return _columns(acts, check_pairs(latents, latents, acts.shape[1], acts.shape[1])[0])


def _where(matrix: sparse.csr_matrix, rows: np.ndarray) -> sparse.csr_matrix:
    """The matrix with other rows silent."""
    return sparse.csr_matrix(sparse.diags(rows.astype(matrix.dtype)) @ matrix)


def _columns(matrix: sparse.csr_matrix, latents: np.ndarray) -> sparse.csr_matrix:
    """The matrix with other latents silent."""
    return sparse.csr_matrix(matrix.multiply(np.isin(np.arange(matrix.shape[1]), latents)[None, :]))
