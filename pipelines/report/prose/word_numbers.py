"""Macros of features in the words of language models: how many, and what their words are worth."""

import pandas as pd

from pipelines.report.prose.macros import Macros, count, real

#: Column of the table ``explained`` by the macro of its mean.
MEANS = {
    "WordsDetection": "detection",
    "WordsDetectionOther": "detection_other",
    "WordsFuzzing": "fuzzing",
    "WordsFuzzingOther": "fuzzing_other",
    "WordsIntruder": "intruder",
}


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
