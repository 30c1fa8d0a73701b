"""A cluster taken out of a typed text: what every model then predicts less well, token by token."""

from __future__ import annotations

import numpy as np
import pandas as pd

from results.text_lens import Lens


def without_cluster(lens: Lens, text: str, members: pd.DataFrame) -> pd.DataFrame:
    """Hold all members of a cluster at their means, each model's at once, and read the text again.

    Args:
        lens: the models, of :func:`results.text_lens.open_lens`.
        text: what is read.
        members: model and latent of the cluster's members.

    Returns:
        position (from 0; the token from which the next is predicted), model, change (nats: log-loss of the model's next
        token without the cluster minus that with it); one row per token but the last where a member of the model fires.
    """
    from universality.effects.predictions import TextRows
    from universality.effects.rerun import RerunPredictions

    parts, at = [], lens.rows(text).at
    for model, of_model in members.groupby("model", sort=False):
        opened, latents = lens.models[str(model)], of_model["latent"].to_numpy(np.int64)
        ids = opened.context(text)
        rows = TextRows(ids[None], np.zeros(ids.size, np.int64), np.arange(ids.size))
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
        position = at[str(model)][told - 1]
        parts.append(pd.DataFrame({"position": position, "model": model, "change": lost[told]})[position >= 0])
    columns = ["position", "model", "change"]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=columns)
