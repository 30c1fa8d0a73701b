"""Macros of labels: how far rules of the text go, how many features a language model has words for, and their worth."""

import pandas as pd

from pipelines.report.prose.macros import Macros, count, letters, percent, real, setting
from results.label_frames import NO_RULE, label_summary
from universality.labels.views import LEAST_R, TOLERANCE

#: Column of the table ``explained`` by the macro of its mean.
MEANS = {
    "WordsDetection": "detection",
    "WordsDetectionOther": "detection_other",
    "WordsFuzzing": "fuzzing",
    "WordsFuzzingOther": "fuzzing_other",
    "WordsIntruder": "intruder",
}


def add_labels(macros: Macros, labels: pd.DataFrame | None, features: pd.DataFrame | None) -> None:
    """How much of features the rules of their labels say, over all and by what the rules look at, beside the floor."""
    if labels is None or features is None:
        return
    macros.add("LabelTolerance", setting(TOLERANCE), "how much more r a less plain rule must have to be preferred")
    macros.add("LabelLeast", setting(LEAST_R), "r from which on a rule is said to explain a feature")
    for row in label_summary(labels, set(features["model"])).to_dict("records"):
        name = {"all": "", NO_RULE: "None"}.get(row["kind"], letters(row["kind"].replace(" ", "_")))
        where = f"of features whose rule looks at: {row['kind']}; table labels"
        macros.add(f"NumLabel{name}", count(row["n"]), f"number {where}")
        for macro, column in (("PercentLabel", "share"), ("PercentFloorLabel", "share_floor")):
            macros.add(f"{macro}{name}", percent(row[column]), f"share ({column}) {where}")
        for macro, column in (("RLabel", "r"), ("RUntrainedLabel", "r_untrained"), ("RFloorLabel", "r_floor")):
            macros.add(f"{macro}{name}", real(row[column]), f"median of {column} {where}")


def add_words(macros: Macros, explained: pd.DataFrame) -> None:
    """Count and mean accuracies, of compared models' features, over all language models."""
    some = explained[(explained["kind"] == "matched").to_numpy()]
    where = "of features in words of language models; table explained"
    macros.add("NumWords", count(int(some["explanation"].notna().sum())), f"number {where}")
    for name, column in MEANS.items():
        mean = some[column].mean()
        macros.add(name, None if pd.isna(mean) else real(mean), f"mean of {column} {where}")


def has_words(explained: pd.DataFrame | None) -> bool:
    """Whether there is something of every kind to tell."""
    if explained is None:
        return False
    some = explained.loc[(explained["kind"] == "matched").to_numpy(), list(MEANS.values())]
    return bool(some.notna().any().all())
