"""A cluster taken out of a typed text: what every model then predicts less well, token by token."""

from __future__ import annotations

import numpy as np
import pandas as pd

from results.evaluation_text import EvaluationText
from results.text_lens import Lens


def without_cluster(lens: Lens, evaluation: EvaluationText, text: str, members: pd.DataFrame) -> pd.DataFrame:
    """Hold all members of a cluster at their means, each model's at once, and read the text again.

    Args:
        lens: the models, of :func:`results.text_lens.open_lens`.
        evaluation: the text that the run evaluated on, for means and the start of a context.
        text: what is read.
        members: model and latent of the cluster's members.

    Returns:
        position (from 0; the token from which the next is predicted), model, change (nats: log-loss of the next token
        without the cluster minus that with it); one row per token but the last where a member of the model fires.
    """
    from universality.effects.predictions import TextRows
    from universality.effects.rerun import RerunPredictions

    ids = lens.context(evaluation, text)
    rows = TextRows(ids[None], np.zeros(ids.size, np.int64), np.arange(ids.size))
    parts = []
    for model, of_model in members.groupby("model", sort=False):
        opened, latents = lens.models[str(model)], of_model["latent"].to_numpy(np.int64)
        with lens.lock:
            raw = opened.activations(ids)
            acts = opened.dictionary.encode_sparse(raw)[:, latents].toarray()
            changed = np.where(acts != 0, opened.means(latents) - acts, 0.0)
            # A context starts with a token that is no row of any dictionary.
            changed[0] = 0.0
            decoder = opened.dictionary.W_dec.detach().cpu().numpy()[latents]
            added = (changed @ decoder).astype(np.float32) * opened.scale(raw)
            predictions = RerunPredictions(opened.transformer, rows, opened.hook_point)
            everywhere = np.arange(ids.size)
            lost = predictions.losses(everywhere, added) - predictions.losses(everywhere, None)
        told = np.flatnonzero((changed != 0).any(axis=1) & ~np.isnan(lost))
        parts.append(pd.DataFrame({"position": told - 1, "model": model, "change": lost[told]}))
    columns = ["position", "model", "change"]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=columns)
