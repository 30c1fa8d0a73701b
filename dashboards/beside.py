"""Two comparisons beside each other: what was asked for differently, and what came out differently."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from results.headline import QUANTITIES

#: Columns of the table ``models`` that tell how good a dictionary and its transformer are, and their names.
QUALITY: dict[str, str] = {
    "fvu": "FVU",
    "l0": "L0",
    "ce_recovered": "CE recovered",
    "kl_recovered": "KL recovered",
    "dead_fraction": "dead share",
    "n_alive": "alive latents",
    "d_sae": "latents",
    "sae_tokens": "SAE tokens",
    "heldout_loss": "loss of the transformer",
}


def headlines(a: pd.DataFrame, b: pd.DataFrame) -> pd.DataFrame:
    """The overall numbers of two tables ``headline``.

    Returns:
        quantity (its name), value_a, low_a, high_a, value_b, low_b, high_b, difference (b - a), apart (whether the two
        intervals have no value in common; missing where one has none); quantities that neither has are left out.
    """
    sides = []
    for side, table in (("a", a), ("b", b)):
        overall = table[table["pair"] == "overall"].drop_duplicates("quantity").set_index("quantity")
        sides.append(overall[["value", "low", "high"]].astype(float).add_suffix(f"_{side}"))
    frame = sides[0].join(sides[1], how="outer").reindex(list(QUANTITIES))
    frame = frame[frame[["value_a", "value_b"]].notna().any(axis=1)]
    both = frame[["low_a", "high_a", "low_b", "high_b"]].notna().all(axis=1)
    apart = (frame["low_a"] > frame["high_b"]) | (frame["low_b"] > frame["high_a"])
    frame = frame.assign(
        difference=frame["value_b"] - frame["value_a"], apart=apart.astype("boolean").where(both)
    )
    frame.insert(0, "quantity", [QUANTITIES[str(name)].title for name in frame.index])
    return frame.reset_index(drop=True)


def quality(a: pd.DataFrame, b: pd.DataFrame) -> pd.DataFrame:
    """Median, smallest and largest value over the compared models (tables ``models``).

    Returns:
        measure, a, low_a, high_a, b, low_b, high_b, difference (b - a); measures that neither has are left out.
    """
    rows = []
    for column, name in QUALITY.items():
        values = [_numbers(table, column) for table in (a, b)]
        if any(len(numbers) for numbers in values):
            row: dict[str, Any] = {"measure": name}
            for side, numbers in zip("ab", values, strict=True):
                three = (np.median(numbers), numbers.min(), numbers.max()) if len(numbers) else [np.nan] * 3
                row |= dict(zip((side, f"low_{side}", f"high_{side}"), map(float, three), strict=True))
            rows.append({**row, "difference": row["b"] - row["a"]})
    columns = ["measure", "a", "low_a", "high_a", "b", "low_b", "high_b", "difference"]
    return pd.DataFrame(rows, columns=columns)


def _numbers(models: pd.DataFrame, column: str) -> np.ndarray:
    if column not in models.columns:
        return np.zeros(0)
    primary = models.loc[models["role"] == "primary", column]
    return pd.to_numeric(primary, errors="coerce").dropna().to_numpy(float)
