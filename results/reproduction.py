"""What papers measured beside what a run measures: their numbers, ours by the same definition, and a verdict.

The papers' numbers are data, each with its source (``reproductions.toml``).
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from universality.errors import refusal

if TYPE_CHECKING:
    import pandas as pd

Verdict = Literal["pass", "fail", "not comparable"]
SCALES = ("laptop", "gpu")
#: Tables of a run that measures are read from.
TABLES = ("indices", "domains")
#: By the name of a paper; see the head of the file.
PAPERS: dict[str, dict[str, Any]] = tomllib.loads((files("results") / "reproductions.toml").read_text(encoding="utf-8"))


@dataclass(frozen=True)
class Reproduced:
    """One quantity of a paper beside ours.

    Attributes:
        quantity, on, source: what the paper measured, on what, and where it says so.
        paper: its value, NaN where it states no number; claim: what it states then.
        ours: the same of the run, NaN where the run does not have it.
        low, high: its interval, or the range over pairs of dictionaries (over models); NaN where there is one alone.
        chance, floor: what unrelated dictionaries and untrained models give; NaN where the run does not have them.
        within: lowest and highest value that passes; None where the two are not comparable.
        verdict: ``pass`` or ``fail`` as ours lies within; ``not comparable`` without a range or without ours.
        why: the reason for the range, or for there being none.
    """

    quantity: str
    on: str
    source: str
    paper: float
    claim: str
    ours: float
    low: float
    high: float
    chance: float
    floor: float
    within: tuple[float, float] | None
    verdict: Verdict
    why: str

    @property
    def floor_passes(self) -> bool:
        """Whether untrained models pass as well, so that a pass says nothing of training."""
        return self.within is not None and self.within[0] <= self.floor <= self.within[1]


def paper_of(name: str) -> dict[str, Any]:
    """What ``reproductions.toml`` says of a paper.

    Raises:
        InputError: no such paper; the message lists those that there are.
    """
    if name not in PAPERS:
        raise refusal("NAME", "reproduce", f"one of {', '.join(PAPERS)}", name, "Choose one of these papers.")
    return PAPERS[name]


def reproduced(name: str, scale: str, tables: Mapping[str, pd.DataFrame]) -> list[Reproduced]:
    """Every quantity of a paper beside the same of a run.

    Args:
        name: of the paper.
        scale: ``laptop`` or ``gpu``.
        tables: those of :data:`TABLES` that the run has.
    """
    return [_beside(quantity, quantity[scale], tables) for quantity in paper_of(name)["quantities"]]


class _Measured(NamedTuple):
    """As in :class:`Reproduced`."""

    ours: float = math.nan
    low: float = math.nan
    high: float = math.nan
    chance: float = math.nan
    floor: float = math.nan


def _beside(quantity: Mapping[str, Any], at: Mapping[str, Any], tables: Mapping[str, pd.DataFrame]) -> Reproduced:
    measure = {**quantity["measure"], **{key: at[key] for key in ("comparison", "minus_comparison") if key in at}}
    measured = _domain(measure, tables) if "domain" in measure else _index(measure, tables)
    within, why = at.get("within"), at["why"]
    if within is None:
        verdict = "not comparable"
    elif math.isnan(measured.ours):
        verdict, why = "not comparable", "the run has no such measure: its recipe leaves out what it is made of"
    else:
        verdict = "pass" if within[0] <= measured.ours <= within[1] else "fail"
    said = (quantity["quantity"], quantity["on"], quantity["source"])
    paper = (quantity.get("value", math.nan), quantity.get("claim", ""))
    return Reproduced(*said, *paper, *measured, tuple(within) if within else None, verdict, why)


def _domain(measure: Mapping[str, Any], tables: Mapping[str, pd.DataFrame]) -> _Measured:
    """Median over models of a column of the table ``domains``, and the range over them."""
    if "domains" not in tables:
        return _Measured()
    rows = tables["domains"][tables["domains"]["domain"] == measure["domain"]]
    value = rows[measure["column"]]
    floor = float(rows["untrained_r"].median()) if measure["column"] == "r" else math.nan
    return _Measured(float(value.median()), float(value.min()), float(value.max()), floor=floor)


def _index(measure: Mapping[str, Any], tables: Mapping[str, pd.DataFrame]) -> _Measured:
    """An index over all models where there is one, else its mean and range over pairs; or a difference of two."""
    if "indices" not in tables:
        return _Measured()
    kinds = ("features", "untrained", "untrained_ceiling")
    ours, floor, one_untrained = (_of_kind(measure, tables["indices"], kind) for kind in kinds)
    floor = one_untrained if floor.empty else floor  # two models have no weights in common
    if ours.empty:
        return _Measured()
    ends = ours["value"].min(), ours["value"].max()
    if len(ours) == 1:
        ends = ours["low"].iloc[0], ours["high"].iloc[0]
    means = ours["value"].mean(), *ends, ours["chance"].mean(), floor["value"].mean()
    return _Measured(*(float(of) for of in means))


def _of_kind(measure: Mapping[str, Any], indices: pd.DataFrame, kind: str) -> pd.DataFrame:
    """value, chance, low, high of an index: one row for each pair, or of all pairs together where that is stored."""
    rows = indices[indices["kind"] == kind]

    def of(name: str, comparison: str | None) -> pd.DataFrame:
        chosen = rows[(rows["name"] == name) & ((comparison is None) | (rows["comparison_id"] == comparison))]
        together = chosen[~chosen["pair"].str.contains("-")]
        return together if len(together) else chosen

    name, comparison = measure["index"], measure.get("comparison")
    ours = of(name, comparison)
    if "minus" not in measure and "minus_comparison" not in measure:
        return ours
    other = of(measure.get("minus", name), measure.get("minus_comparison", comparison))
    on = ["pair"] if "minus_comparison" in measure else ["comparison_id", "pair"]
    both = ours.merge(other, on=on, suffixes=("", "_other"))
    parts = {key: both[key] - both[f"{key}_other"] for key in ("value", "chance")}
    return both.assign(**parts, low=math.nan, high=math.nan)
