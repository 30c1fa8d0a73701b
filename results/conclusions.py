"""What a comparison found, in a few sentences that a reviewer would let pass: no share without its floor.

One wording for the terminal, the overview and the report's first page.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from results import words
from results.words import LEVELS

#: Levels that a sentence may lead with, the finest first.
_LEADING = tuple(level for level in LEVELS if level != "untested")
_LEVEL_WORDS = {
    "context": "beyond domain, document, token, position, pairs of tokens and tokens at a position (level context)",
    "bigram": "at the level of pairs of tokens, or of a token at a position",
    "token_x_domain": "at the level of tokens within a domain or document",
    "token": "at the level of tokens and positions",
    "document": "at the level of documents",
    "domain": "at the level of domains",
}
_PARTS = (
    (("from_domain", "from_document"), "domain and document"),
    (("from_token",), "token and position"),
    (("from_token_x_domain", "from_bigram"), "tokens in a domain, pairs of tokens and tokens at a position"),
    (("from_rest",), "none of these"),
)


def conclusions(tables: Mapping[str, pd.DataFrame]) -> list[str]:
    """Sentences about one comparison, what beats its floor first; plain text.

    Args:
        tables: ``features``, ``agreement`` and ``indices`` of the comparison; without the second, as of runs made
            before there was one, there are no sentences.
    """
    if not {"features", "agreement", "indices"} <= tables.keys():
        return []
    agreement = tables["agreement"]
    overall: _Overall = {row["kind"]: row for row in agreement[agreement["pair"] == "overall"].to_dict("records")}
    if "features" not in overall:
        return []
    shares = _Shares(tables["indices"], tables["features"]["model"].drop_duplicates().astype(str).tolist())
    sentences = [
        _leading(shares), _beyond(overall), _made_of(overall), _raw(overall), _grouped(tables["features"], shares),
    ]  # fmt: skip
    return [sentence for sentence in sentences if sentence]


#: The rows "overall" of the table ``agreement``, by kind.
_Overall = dict[str, dict[Any, Any]]


class _Shares:
    """Shares of the table ``indices``, means over pairs of models; of ends of intervals too, which is no narrower."""

    def __init__(self, indices: pd.DataFrame, models: Sequence[str]) -> None:
        self._indices = indices
        between = indices["pair"].isin([f"{a}-{b}" for a in models for b in models])
        own = indices["pair"].str.startswith(tuple(f"{model}-{model}r" for model in models))
        self._of = {"models": between, "untrained": ~between & ~own & (indices["pair"] != "overall")}
        self.has_floor = bool((self._of["untrained"] & (indices["name"] == "shared_fraction")).any())

    def of(self, name: str, kind: str = "models") -> tuple[float, float, float]:
        """Value and interval; NaN where there is no such index."""
        rows = self._indices[self._of[kind] & (self._indices["name"] == name)]
        value, low, high = (float(rows[column].mean()) for column in ("value", "low", "high"))
        return value, low, high

    def floor(self, name: str) -> float:
        """Of untrained models; 0 where these have nothing of the kind, NaN without such models."""
        value = self.of(name, "untrained")[0]
        return 0.0 if self.has_floor and np.isnan(value) else value


def _leading(shares: _Shares) -> str:
    """Of features that a second dictionary has at the finest level that beats its floor, how many another model has."""
    measured = shares.has_floor
    if all(np.isnan(shares.of(f"shared_fraction_{level}")[0]) for level in _LEADING):
        return "No level could be tested, so what matches here may share no more than a token or a kind of text."
    for level in _LEADING:
        floor, matched = shares.floor(f"shared_fraction_{level}"), shares.of(f"shared_fraction_{level}")
        if not matched[0] > 0 or (measured and not matched[1] > floor):
            continue
        reproduced = shares.of(f"reproduced_{level}")
        where = _LEVEL_WORDS[level]
        beside = (
            f"of untrained models' features {words.share(floor)} match at that level"
            if measured
            else "no untrained models were compared, so the floor is not known"
        )
        if not np.isnan(reproduced[0]):
            return (
                f"Of the features that a second dictionary of the same model also has {where}, another model has "
                f"{words.share(reproduced[0])} (interval {words.share(max(reproduced[1], 0))} to "
                f"{words.share(reproduced[2])}); that is {words.share(matched[0])} of all features, and {beside}."
            )
        return f"{words.share(matched[0])} of features have a partner in another model {where}; {beside}."
    if measured:
        return "At no level do more features match between models than between untrained models."
    return ""


def _beyond(overall: _Overall) -> str:
    r = overall["features"]["mean_r_joint"]
    if pd.isna(r):
        return ""
    return (
        "With domain, document, token and position taken away together, assigned features of two models correlate at "
        f"r = {words.number(r)} on average{_beside(overall, 'mean_r_joint')}."
    )


def _made_of(overall: _Overall) -> str:
    def shares(kind: str) -> str:
        row = overall[kind]
        return ", ".join(f"{words.share(sum(row[column] for column in columns))} {name}" for columns, name in _PARTS)

    known = {
        kind: row for kind, row in overall.items()
        if not any(pd.isna(row[column]) for columns, _ in _PARTS for column in columns)
    }  # fmt: skip
    if "features" not in known:
        return ""
    text = f"What matched features agree by is {shares('features')}"
    return f"{text}; of untrained models: {shares('untrained')}." if "untrained" in known else f"{text}."


def _raw(overall: _Overall) -> str:
    value = words.number(overall["features"]["mean_r"])
    return f"As it is, r of assigned features is {value} on average{_beside(overall, 'mean_r')}."


def _grouped(features: pd.DataFrame, shares: _Shares) -> str:
    """How many features are in each group, the floor beside the one that has one."""
    groups = features["group"].dropna() if "group" in features else pd.Series(dtype=object)
    if groups.empty:
        return ""
    floor = ""
    if shares.has_floor:
        pair, untrained = (words.share(of) for of in (shares.of("shared_fraction")[0], shares.floor("shared_fraction")))
        floor = f" (in one other model {pair}, between untrained models {untrained})"
    said = {
        "partnered": f"have a partner in some other model at some level{floor}",
        "rearranged": "are there, but not as one latent",
        "unstable": "are not stable in their own model",
        "missing": "are stable and in no other model",
        "untested": "cannot be judged",
    }
    parts = [f"{words.share((groups == name).mean())} {text}" for name, text in said.items() if (groups == name).any()]
    return f"Of {len(groups):,} features {', '.join(parts)}."


def _beside(overall: _Overall, column: str) -> str:
    names = {"ceiling": "two dictionaries of one model", "untrained": "untrained models"}
    measured = {kind: overall[kind][column] for kind in names if kind in overall and pd.notna(overall[kind][column])}
    parts = [f"{names[kind]} {words.number(value)}" for kind, value in measured.items()]
    return f" ({'; '.join(parts)})" if parts else ""
