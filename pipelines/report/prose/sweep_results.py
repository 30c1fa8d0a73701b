"""Macros and template text of sweeps: dictionaries of many settings on one model."""

from __future__ import annotations

from pipelines.cli.summary import split_comparisons
from pipelines.report.prose.dictionary_methods import ARCHITECTURES
from pipelines.report.prose.macros import Macros, Value, code, count, series, span, words
from pipelines.report.prose.material import Material
from pipelines.report.prose.template import Section
from pipelines.sweep_config import SweepConfig


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
        macros.add(
            "NumPoints", count(len(config.settings())), "points of the sweep: combinations of settings"
        )
        macros.add("NumSeeds", count(config.n_seeds), "dictionaries per point, n_seeds of the sweep")
        macros.add("Varied", _varied(config), "settings that the sweep varies, with their values")
        table = tables.get(config.id)
        if table is not None:
            good = table[table["status"] == "ok"]
            macros.add("NumTrained", count(len(table)), "dictionaries of the sweep; table sweeps")
            macros.add("NumGood", count(len(good)), "dictionaries with status ok; table sweeps")
            macros.add("Fvu", span(good["fvu"], 3), "fvu of these; table sweeps")
            macros.add("ActivePerToken", span(good["l0"], 1), "l0 of these; table sweeps")
            best = table.loc[table["frontier"], "point"].drop_duplicates()
            macros.add("NumFrontier", count(len(best)), "points that no other beats; table sweeps")
            macros.add("Frontier", series(words(str(point)) for point in best), "these points; table sweeps")
    macros.scoped(None)


def _varied(config: SweepConfig) -> Value | None:
    values: dict[str, list[object]] = {key: list(found) for key, found in config.vary.items()}
    for point in config.points:
        for key, value in point.items():
            known = values.setdefault(key, [])
            known += [] if value in known else [value]
    shown = []
    for key, found in values.items():
        listed = series(words(str(value)) for value in found)
        name = code(key)
        if listed is not None and name is not None:
            shown.append(Value(f"{name.tex} ({listed.tex})", f"{name.text} ({listed.text})"))
    return series(shown)


def sweep_sections(m: Material) -> list[Section]:
    """A section per sweep."""
    table, sections = m.tables.get("sweeps"), []
    for config in m.recipe.sweeps if m.recipe else ():
        kinds = list(dict.fromkeys(sae.architecture for _, sae in config.settings()))
        cite = "; ".join(f"@{ARCHITECTURES[kind][1]}" for kind in kinds)
        names = ", ".join(ARCHITECTURES[kind][0] for kind in kinds)
        settings = "settings vary: {Varied}" if config.vary or config.points else "nothing varies"
        found = [
            f"On activations of model {{SweepModel}} at {{HookPoint}}, dictionaries ({names}) [{cite}] were trained at "
            f"{{NumPoints}} points with {{NumSeeds}} SAE seeds each; all see the same batches, and {settings}.",
            "On the score rows, the {NumGood} of {NumTrained} dictionaries whose training ended well have "
            "{ActivePerToken} active latents per token and leave a fraction of {Fvu} of the variance unexplained.",
        ]
        if table is None or table.loc[table["sweep"] == config.id, "frontier"].any():
            found.append(
                "Points that none beats in both sparsity and unexplained variance: {Frontier} ({NumFrontier} in all)."
            )
        sections.append(Section(f"Sweep {config.id}", [found], scope(config.id)))
    return sections
