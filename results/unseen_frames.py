"""What models lack of domains that they never saw: one row per such domain and model, and one sentence."""

from __future__ import annotations

import numpy as np
import pandas as pd

from results.words import share

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


def missing_counts(table: pd.DataFrame) -> dict[str, int]:
    """Of the table ``unseen_domains``: what ``missing`` says of features whose domain a model never saw.

    Returns:
        ``asked``: stable features of domains, asked for in a model that never saw the domain; ``rightly``: those of
        them that come out as missing; ``missing``: all that do, wherever they are asked for; ``partnered``: those that
        have a partner there all the same; ``asked_seen``, ``partnered_seen``: asked for in models that did see it.
        Recall is ``rightly / asked``, precision ``rightly / missing``.
    """
    seen, stable = table["seen"].to_numpy(bool), (table["n_features"] - table["n_unstable"]).to_numpy()
    return {
        "asked": int(stable[~seen].sum()),
        "asked_seen": int(stable[seen].sum()),
        "rightly": int(table["n_missing"].to_numpy()[~seen].sum()),
        "missing": int(table["n_missing"].sum()),
        "partnered": int(table["n_partnered"].to_numpy()[~seen].sum()),
        "partnered_seen": int(table["n_partnered"].to_numpy()[seen].sum()),
    }
