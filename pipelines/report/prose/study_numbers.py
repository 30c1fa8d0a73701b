"""Macros of studies: their designs, what each factor takes away, and what is left."""

from typing import Any

import pandas as pd

from pipelines.recipe import StudyConfig, study_design
from pipelines.report.prose.macros import Macros, code, count, joined, letters, percent, real, series, span, words
from pipelines.report.prose.material import Material
from results.headline import split_comparisons
from results.layer_frames import KIND_WORDS, layer_means
from results.study_frames import all_differ, contrast_rows, factor_words, training_shares
from universality.studies.design import INTERACTION, SAME_INIT, UNTRAINED

_NO_LAYERS = pd.DataFrame(index=pd.MultiIndex.from_arrays([[], []], names=["kind", "where"]))
_WHERE = {"same": "at one hook point", "other": "at two hook points"}


def study_scope(study: str) -> str:
    """What macros of a study carry, however many there are: ``\\ufNumCellsInStudyData``."""
    return f"study-{study}"


def add_study_numbers(macros: Macros, m: Material) -> None:
    """Add the numbers of every study."""
    for config in m.recipe.studies if m.recipe else ():
        macros.scoped(study_scope(config.id))
        _design(macros, m, config)
        rows = _rows(m, config)
        if rows is not None:
            _outcome(macros, *rows)
        for row in _layers(m, config).reset_index().to_dict("records"):
            name = f"{row['where'].title()}Place{letters(row['kind'])}"
            of = f"{KIND_WORDS[row['kind']]}, {_WHERE[row['where']]}; table study_layers"
            macros.add(name, percent(row["shared"]), f"latents with a partner, per cent: {of}")
            macros.add(f"{name}Joint", real(row["r_joint"]), f"mean r beyond domain, document, token and place: {of}")
        ends = zip((("AtFirst", "AtFirstJoint"), ("AtLast", "AtLastJoint")), _ends(m, config), strict=False)
        for (of_shared, of_joint), row in ends:
            of = f"two models at checkpoint {row['x']:,.0f} ({row['over']}); table study_means"
            macros.add(of_shared, percent(row["shared"]), f"latents with a partner, per cent: {of}")
            macros.add(of_joint, real(row["r_joint"]), f"mean r beyond domain, document, token and place: {of}")
    macros.scoped(None)


def study_facts(m: Material, config: StudyConfig) -> dict[str, Any]:
    """What ``study.md.j2`` is given beside the study: its contrasts as words and letters, and what is left."""
    rows = _rows(m, config)
    if rows is None:  # names that no macro has are told as such
        return {
            "contrasts": [],
            "same_init": "",
            "interaction": "",
            "left": "all of these",
            "floor": config.floor,
            "ends": False,
            "layers": {},
        }
    told, everything = rows
    layers = _layers(m, config)
    labels = told[told["part"] == "what differs"].set_index("name")["label"]
    relations = set(told.loc[told["part"] == "agreement", "name"])
    plain = [name for name in labels.index if name not in (SAME_INIT, INTERACTION)]
    return {
        "contrasts": [(str(labels[name]), letters(name)) for name in plain],
        "same_init": letters(SAME_INIT) if SAME_INIT in labels.index else "",
        "interaction": letters(INTERACTION) if INTERACTION in labels.index else "",
        "left": _left_words(m, config, everything) if everything in relations else "",
        "floor": UNTRAINED in relations,
        "ends": bool(_ends(m, config)),
        "layers": {
            where: [(KIND_WORDS[kind], letters(kind)) for kind, place in layers.index if place == where]
            for where in _WHERE
            if where in layers.index.get_level_values("where")
        },
    }


def _rows(m: Material, config: StudyConfig) -> tuple[pd.DataFrame, str] | None:
    """What the study found, and the relation in which all factors differ; None where it is not finished."""
    tables = [
        dict(split_comparisons(m.tables[name])) for name in ("study_contrasts", "study_means") if name in m.tables
    ]
    if len(tables) < 2 or config.id not in tables[1]:
        return None
    contrasts, means = tables[0].get(config.id, m.tables["study_contrasts"][:0]), tables[1][config.id]
    return contrast_rows(contrasts, means), all_differ(means)


def _left_words(m: Material, config: StudyConfig, everything: str) -> str:
    """What differs where most does: all factors, or those of ``everything`` by name."""
    assert m.recipe is not None
    names = everything.split(" + ")
    every = {*study_design(m.recipe, config).factors} <= {*names}
    return "all of these" if every else joined([*map(factor_words, names)])


def _layers(m: Material, config: StudyConfig) -> pd.DataFrame:
    """Means by kind over cells of one hook point and of two; empty for a study of one."""
    tables = dict(split_comparisons(m.tables["study_layers"])) if "study_layers" in m.tables else {}
    return layer_means(tables[config.id]) if config.id in tables else _NO_LAYERS


def _ends(m: Material, config: StudyConfig) -> list[dict[Any, Any]]:
    """What two models share at the first and the last checkpoint; nothing without checkpoints."""
    means = dict(split_comparisons(m.tables["study_means"])) if "study_means" in m.tables else {}
    rows = training_shares(means[config.id]) if config.id in means else pd.DataFrame()
    return rows.iloc[[0, -1]].to_dict("records") if len(rows) else []


def _design(macros: Macros, m: Material, config: StudyConfig) -> None:
    assert m.recipe is not None
    design, where = study_design(m.recipe, config), "of the study"
    trained = [cell for cell in design.cells if not cell.untrained]
    macros.add("HookPoint", series(map(code, config.places)), f"where the dictionaries {where} read")
    macros.add("NumCells", count(len(trained)), f"dictionaries {where}, those of untrained models left out")
    macros.add("NumPairs", count(len(design.pairs)), f"pairs of dictionaries {where} that are compared")
    macros.add("NumTransformers", count(len({cell.transformer for cell in trained})), f"trained transformers {where}")
    macros.add(
        "Factors", series(words(factor_words(name)) for name in design.factors), f"what varies in the cells {where}"
    )


def _outcome(macros: Macros, rows: pd.DataFrame, everything: str) -> None:
    for row in rows[rows["part"] == "what differs"].to_dict("records"):
        name, where = letters(str(row["name"])), f"where {row['label']} differs, all else alike; table study_contrasts"
        macros.add(f"Taken{name}", percent(row["shared"]), f"of 100 latents, those that lose their partner {where}")
        ends = [100 * row[f"shared_{end}"] for end in ("low", "high")]
        macros.add(f"Taken{name}Interval", span(ends, 1), f"95 % interval of that, {where}")
        macros.add(f"TakenR{name}", real(row["r"]), f"what mean held-out r loses {where}")
        macros.add(f"TakenR{name}Interval", span([row["r_low"], row["r_high"]], 2), f"95 % interval of that, {where}")
    means = rows[rows["part"] == "agreement"].groupby("name")[["shared", "r"]].mean().to_dict("index")
    kinds = (
        ("Left", "LeftR", everything, "where all factors differ"),
        ("Floor", "FloorR", UNTRAINED, "of untrained models"),
    )
    for of_shared, of_r, relation, words_of in kinds:
        if relation in means:
            of_relation = means[relation]
            where = f"{words_of}; table study_means"
            macros.add(of_shared, percent(of_relation["shared"]), f"latents with a partner, per cent, {where}")
            macros.add(of_r, real(of_relation["r"]), f"mean held-out r, 0 without a partner, {where}")
