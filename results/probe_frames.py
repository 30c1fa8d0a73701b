"""Labels told from the text alone, and how much of them partners tell: one row per label."""

from __future__ import annotations

import pandas as pd

#: Kinds of partners, as columns of the summary.
KINDS = ("matched", "hard_exchange", "ceiling", "floor")


def probe_summary(probes: pd.DataFrame) -> pd.DataFrame:
    """One row per label, those that the best latents tell best first.

    Args:
        probes: the run's table ``probes``.

    Returns:
        label, n_rows; ``auc``, mean over compared models of their best latent's; by kind of partner the mean of
        transfer over pairs of dictionaries both ways (``matched``, …, missing where none has one), and ``low`` and
        ``high``, the lowest and highest of matched partners.
    """
    own, rows = probes[probes["kind"] == "matched"], []
    for label, of in probes.groupby("label", sort=False):
        mine = own[own["label"] == label]
        means = {kind: of.loc[of["kind"] == kind, "transfer"].mean() for kind in KINDS}
        auc = mine.drop_duplicates("model_a")["auc"].mean()
        spread = {"low": mine["transfer"].min(), "high": mine["transfer"].max()}
        row = {"label": str(label).replace("_", " "), "n_rows": of["n_rows"].iloc[0], "auc": auc}
        rows.append({**row, **means, **spread})
    frame = pd.DataFrame(rows, columns=pd.Index(["label", "n_rows", "auc", *KINDS, "low", "high"]))
    return frame.sort_values("auc", ascending=False, ignore_index=True)
