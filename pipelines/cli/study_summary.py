"""What a study found, as text a person reads at a terminal."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from pipelines.cli.terminal import plain_table, titled
from results.words import number

if TYPE_CHECKING:
    import pandas as pd
    from rich.console import Console

#: Tables that a study is told from.
STUDY_TABLES = ("study_contrasts", "study_means")


def study_values(contrasts: pd.DataFrame, means: pd.DataFrame) -> dict[str, list[dict[str, Any]]]:
    """What factors do and what relations agree, as JSON values by the id of the study."""
    import json

    from results.headline import split_comparisons
    from results.study_frames import contrast_rows

    own = dict(split_comparisons(contrasts))
    rows = {name: contrast_rows(own.get(name, contrasts[:0]), part) for name, part in split_comparisons(means)}
    return {name: json.loads(table.to_json(orient="records", double_precision=15)) for name, table in rows.items()}


def print_studies(console: Console, contrasts: pd.DataFrame, means: pd.DataFrame) -> None:
    """Print of every study one sentence, what each factor does, and what relations agree with floor and chance."""
    from results.headline import split_comparisons
    from results.study_frames import contrast_rows, study_sentence, training_sentence

    own = dict(split_comparisons(contrasts))
    for name, part in split_comparisons(means):
        theirs = own.get(name, contrasts[:0])
        console.print(study_sentence(theirs, part), markup=False)
        if sentence := training_sentence(part):
            console.print(sentence, markup=False)
        rows = contrast_rows(theirs, part)
        for title, group in rows.groupby("part", sort=False):
            agreement = title == "agreement"
            table = plain_table(
                "where these differ" if agreement else "what differs", "at", ">shared", "95 % interval",
                ">r", "95 % interval", ">r joint", ">chance", ">pairs", ">models",
            )  # fmt: skip
            for row in group.to_dict("records"):
                table.add_row(
                    row["label"],
                    row["point"],
                    number(row["shared"], 3),
                    _interval(row, "shared"),
                    number(row["r"], 3),
                    _interval(row, "r"),
                    number(row["r_joint"], 3),
                    number(row["chance"], 3) if agreement else "",
                    f"{row['n_pairs']:,}",
                    f"{row['n_models']:,}",
                )
            words = "mean agreement of pairs of dictionaries" if agreement else "what each factor takes away"
            console.print(titled(f"Study {name}: {words}", table))


def layer_values(layers: pd.DataFrame) -> dict[str, list[dict[str, Any]]]:
    """What dictionaries at every two hook points share, as JSON values by the id of the study."""
    import json

    from results.headline import split_comparisons
    from results.layer_frames import layer_table

    rows = {name: layer_table(part) for name, part in split_comparisons(layers)}
    return {name: json.loads(table.to_json(orient="records", double_precision=15)) for name, table in rows.items()}


def print_layers(console: Console, layers: pd.DataFrame) -> None:
    """Print of every study with several hook points one sentence, and the matrices of what is shared."""
    from results.headline import split_comparisons
    from results.layer_frames import layer_sentence, layer_table

    for name, part in split_comparisons(layers):
        console.print(layer_sentence(part), markup=False)
        for panel, rows in layer_table(part).groupby("panel", sort=False):
            across = list(dict.fromkeys(rows["b"]))
            table = plain_table("", *(f">{place}" for place in across))
            for place, cells in rows.groupby("a", sort=False):
                pairs = zip(cells["value"], cells["joint"], strict=True)
                told = dict(zip(cells["b"], (f"{number(one)} ({number(two)})" for one, two in pairs), strict=True))
                table.add_row(str(place), *(told.get(place, "") for place in across))
            title = f"Study {name}, {panel}: share with a partner (mean r beyond domain, document, token and place)"
            console.print(titled(title, table))


def print_splits(console: Console, splits: pd.DataFrame) -> None:
    """Print of every study one sentence on splitting, and shares by model and sizes with their controls."""
    from results.headline import split_comparisons
    from results.split_frames import ORPHAN, SPLIT_KINDS, split_rows, split_sentence

    for name, part in split_comparisons(splits):
        console.print(split_sentence(part), markup=False)
        table = plain_table("model", "sizes", *(f">{kind}" for kind in (*SPLIT_KINDS, ORPHAN)))
        for (series, sizes), rows in split_rows(part).groupby(["series", "sizes"], sort=False):
            told = [f"{number(row['share'])} ({number(row['control'])})" for row in rows.to_dict("records")]
            table.add_row(str(series), str(sizes), *told)
        console.print(titled(f"Study {name}: what becomes of features in larger dictionaries (control)", table))


def _interval(row: dict[Any, Any], measure: str) -> str:
    low, high = row[f"{measure}_low"], row[f"{measure}_high"]
    return "" if math.isnan(low) else f"{number(low, 3)} to {number(high, 3)}"
