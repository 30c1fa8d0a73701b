"""What partners know: labels told from the text alone, one row per label, and what explanations of features say."""

from __future__ import annotations

import pandas as pd

from results.words import EFFECT_PARTNERS, LEVELS, called

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
        row = {"label": called(str(label)), "n_rows": of["n_rows"].iloc[0], "auc": auc}
        rows.append({**row, **means, **spread})
    frame = pd.DataFrame(rows, columns=pd.Index(["label", "n_rows", "auc", *KINDS, "low", "high"]))
    return frame.sort_values("auc", ascending=False, ignore_index=True)


def explanation_summary(explanation_transfer: pd.DataFrame) -> pd.DataFrame:
    """How far explanations hold: over edges by kind of partner, then of matched partners by level, context first.

    Args:
        explanation_transfer: the run's table.

    Returns:
        ``partner`` (in words), ``kind``, ``level``, and the columns of the table.
    """
    edges = explanation_transfer[explanation_transfer["level"] == "edges"]
    own = explanation_transfer[explanation_transfer["kind"] == "matched"]
    parts = [edges[edges["kind"] == kind].assign(partner=EFFECT_PARTNERS[kind]) for kind in KINDS]
    parts += [own[own["level"] == level].assign(partner=f"matched, level {called(level)}") for level in LEVELS]
    return pd.concat(parts, ignore_index=True)
