"""What models lack of domains that they never saw: one row per such domain and model, and one sentence."""

from __future__ import annotations

import numpy as np
import pandas as pd

from results.words import share
from universality.studies.unseen import missing_counts

COLUMNS = (
    "domain", "model", "loss", "loss_seen", "n_features", "n_missing", "n_rearranged", "n_partnered", "n_unstable",
    "r", "r_seen", "did", "did_low", "did_high",
)  # fmt: skip


def unseen_summary(table: pd.DataFrame) -> pd.DataFrame:
    """One row per domain and model that never saw it.

    Args:
        table: ``unseen_domains`` of one comparison.

    Returns:
        :data:`COLUMNS`; ``loss_seen`` and ``r_seen`` are means over the models that saw the domain (of r over all
        features that were asked for there); the rest is the table's.
    """
    rows = []
    for row in table[~table["seen"]].to_dict("records"):
        saw = table[(table["domain"] == row["domain"]) & table["seen"]]
        asked = saw[saw["n_features"] > 0]
        r_seen = np.average(asked["r"], weights=asked["n_features"]) if len(asked) else np.nan
        rows.append({**row, "loss_seen": saw["loss"].mean(), "r_seen": r_seen})
    return pd.DataFrame(rows, columns=pd.Index(COLUMNS))


def unseen_sentence(table: pd.DataFrame | None) -> str:
    """What ``missing`` says of domains that a model never saw, in one sentence; "" where all saw everything."""
    if table is None or table["seen"].all():
        return ""
    n = missing_counts(table)
    if not n["asked"]:
        return ""
    asked, seen, wrongly = n["asked"], max(n["asked_seen"], 1), n["missing"] - n["rightly"]
    partnered, rightly = (f"{n[name]} ({share(n[name] / asked)})" for name in ("partnered", "rightly"))
    return (
        f"Of {asked} stable features of a domain, asked for in a model that never saw it, {partnered} have a partner "
        f"there and {rightly} come out as missing; of {n['asked_seen']:,} asked for in models that saw the domain "
        f"{share(n['partnered_seen'] / seen)} have a partner and {share(wrongly / seen)} come out as missing."
    )
