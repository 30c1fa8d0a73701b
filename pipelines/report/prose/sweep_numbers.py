"""Macros of sweeps: dictionaries of many settings on one model."""

import pandas as pd

from pipelines.report.prose.macros import Macros, Value, code, count, series, span, words
from pipelines.report.prose.material import Material
from pipelines.sweep_config import SweepConfig
from results.headline import split_comparisons


def scope(sweep: str) -> str:
    """What macros of a sweep carry, however many sweeps there are: ``\\ufNumPointsInSweepSize``."""
    return f"sweep-{sweep}"


def add_sweep_numbers(macros: Macros, m: Material) -> None:
    """Add the numbers of every sweep."""
    tables = dict(split_comparisons(m.tables["sweeps"])) if "sweeps" in m.tables else {}
    for config in m.recipe.sweeps if m.recipe else ():
        macros.scoped(scope(config.id))
        macros.add("HookPoint", code(config.hook_point), "hook_point of the sweep")
        macros.add("SweepModel", code(config.model), "model of the sweep")
        meaning = "points of the sweep: combinations of settings"
        macros.add("NumPoints", count(len(config.settings())), meaning)
        macros.add("NumSeeds", count(config.n_seeds), "dictionaries per point, n_seeds of the sweep")
        macros.add("Varied", _varied(config), "settings that the sweep varies, with their values")
        if config.id in tables:
            _outcome(macros, tables[config.id])
    macros.scoped(None)


def _outcome(macros: Macros, table: pd.DataFrame) -> None:
    where, good = "table sweeps", table[table["status"] == "ok"]
    best = table.loc[table["frontier"], "point"].drop_duplicates()
    macros.add("NumTrained", count(len(table)), f"dictionaries of the sweep; {where}")
    macros.add("NumGood", count(len(good)), f"dictionaries with status ok; {where}")
    macros.add("Fvu", span(good["fvu"], 3), f"fvu of these; {where}")
    macros.add("ActivePerToken", span(good["l0"], 1), f"l0 of these; {where}")
    macros.add("NumFrontier", count(len(best)), f"points that no other beats; {where}")
    macros.add("Frontier", series(words(str(point)) for point in best), f"these points; {where}")


def _varied(config: SweepConfig) -> Value | None:
    """Settings with the values that they take: ``k`` (8, 16 and 32)."""
    values = {key: list(given) for key, given in config.vary.items()}
    for point in config.points:
        for key, value in point.items():
            given = values.setdefault(key, [])
            given += [] if value in given else [value]
    shown = []
    for key, given in values.items():
        listed, name = series(words(str(value)) for value in given), code(key)
        if listed is not None and name is not None:
            shown.append(Value(f"{name.tex} ({listed.tex})", f"{name.text} ({listed.text})"))
    return series(shown)
