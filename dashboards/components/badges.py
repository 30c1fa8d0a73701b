"""Small labels for what a run says of features, pairs and clusters: one colour and one explanation for each."""

from typing import Any

import pandas as pd

from dashboards.components.markup import badge
from dashboards.data import View
from results import words
from results.colours import CLASS_COLOURS, GREY, LEVEL_COLOURS, VERDICT_COLOURS
from results.untested import untested_level

#: Kind of label -> colours and meanings of its values; what is not listed is grey and explains itself.
_KINDS: dict[str, tuple[dict[str, str], dict[str, str]]] = {
    "class": (CLASS_COLOURS, words.CLASSES),
    "level": (LEVEL_COLOURS, words.LEVELS),
    "verdict": (VERDICT_COLOURS, words.VERDICTS),
    "status": ({}, {}),
    "flag": ({}, words.FLAGS),
}


def badge_of(kind: str, value: Any, before: str = "", hint: str = "") -> str:
    """The label of one value.

    Args:
        kind: class, level, verdict, status or flag.
        value: as tables have it.
        before: words in front of it.
        hint: what it means here; default what it means anywhere.
    """
    colours, meanings = _KINDS[kind]
    before = before or ("level: " if kind == "level" else "")
    name = str(value)
    return badge(before + words.called(name), colours.get(name, GREY), hint=hint or meanings.get(name, ""))


def feature_badges(row: pd.Series) -> list[str]:
    """Class, verdict, status and flags of a row of the table ``features``."""
    present = [(kind, row[kind]) for kind in ("class", "verdict", "status") if pd.notna(row[kind])]
    return [badge_of(*one) for one in [*present, *(("flag", flag) for flag in words.flags(row["flags"]))]]


def cluster_badges(view: View, row: pd.Series) -> list[str]:
    """Class and level of a row of the table ``clusters``."""
    return [badge_of("class", row["class"]), level_badge(view, row)]


def level_badge(view: View, row: pd.Series) -> str:
    """Level of a row of the table ``pairs``, ``clusters`` or ``features``; of an untested one, why."""
    level = str(row["level"])
    return badge_of("level", level, hint=untested_level(view, row) if level == "untested" else "")
