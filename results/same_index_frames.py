"""Latents of equal number in two dictionaries: how well they agree, and how often they are assigned; one sentence."""

from __future__ import annotations

import numpy as np
import pandas as pd

from results.words import counted, number, share

COLUMNS = ("kind", "n", "r", "r_rolled", "r_partner", "share", "share_rolled")


def same_index_summary(table: pd.DataFrame) -> pd.DataFrame:
    """One row per kind of pairs, over all latents of all its pairs.

    Args:
        table: ``same_index`` of one comparison.

    Returns:
        :data:`COLUMNS`: ``n`` latents alive in both dictionaries, counted once per pair; ``r`` the median held-out r
        of equal numbers, ``r_rolled`` of rolled ones, ``r_partner`` of the assigned partners of those that have one;
        ``share`` of the latents whose partner has their own number, ``share_rolled`` that has the rolled one. NaN
        where there is nothing to take it of.
    """
    rows = []
    for kind, part in table.groupby("kind", sort=False):
        partner = part["partner"].to_numpy(np.float64, na_value=np.nan)
        rolled = part["rolled"].to_numpy(np.float64, na_value=np.nan)
        medians = {
            name: part[of].median() for name, of in zip(COLUMNS[2:5], ("r_held_out", *COLUMNS[3:5]), strict=True)
        }
        own, by_chance = partner == part["latent"].to_numpy(), (partner == rolled)[~np.isnan(rolled)]
        chance = by_chance.mean() if by_chance.size else np.nan
        rows.append({"kind": kind, "n": len(part), **medians, "share": own.mean(), "share_rolled": chance})
    return pd.DataFrame(rows, columns=pd.Index(COLUMNS))


def same_index_sentence(table: pd.DataFrame | None) -> str:
    """How well equal numbers agree, beside chance and floor; "" where nobody asked, or nothing is alive in both."""
    if table is None or table.empty:
        return ""
    rows = same_index_summary(table).set_index("kind").to_dict("index")
    if "features" not in rows:
        return ""
    own, floor = rows["features"], rows.get("untrained")
    beside_r = f"rolled {number(own['r_rolled'])}" + (f", untrained {number(floor['r'])}" if floor else "")
    beside = f"rolled {share(own['share_rolled'])}" + (f", untrained {share(floor['share'])}" if floor else "")
    alive = counted(own["n"], "latent that is alive in both", "latents that are alive in both")
    return (
        f"Latents of equal number in two dictionaries correlate at r = {number(own['r'])} (median of {alive}; "
        f"{beside_r}); {share(own['share'])} of them were assigned the latent of their own number ({beside}), and the "
        f"median with whatever was assigned is {number(own['r_partner'])}."
    )
