"""What a comparison found, in a few sentences that a reviewer would let pass: no share without its floor.

One wording for the terminal, the overview and the report's first page.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from results import words
from results.effect_frames import effect_rows
from results.label_frames import label_sentence
from results.same_index_frames import same_index_sentence
from results.unseen_frames import unseen_sentence
from results.words import LEVELS

#: Tables that sentences are made from; the last five are empty, or not there, where raw activations or effects were not
#: compared, where all models saw the same text, in runs of before there were labels, and where nobody asked for
#: latents of equal number.
TABLES = ("features", "agreement", "indices", "k_of_m", "spaces", "effect_agreement", "unseen_domains", "labels",
          "same_index")  # fmt: skip
#: Levels that a sentence may lead with, the finest first.
LEADING = tuple(level for level in LEVELS if level != "untested")
#: Features below which a share is said as a count: one more or less would be another share.
FEW = 20
LEVEL_WORDS = {
    "context": "beyond domain, document, token, position, pairs of tokens and tokens at a position (level context)",
    "bigram": "at the level of pairs of tokens, or of a token at a position",
    "token_x_domain": "at the level of tokens within a domain or document",
    "token": "at the level of tokens and positions",
    "document": "at the level of documents",
    "domain": "at the level of domains",
}
_ONE = {"have": "has", "are": "is"}
_PARTS = (
    (("from_domain", "from_document"), "domain and document"),
    (("from_token",), "token and position"),
    (("from_token_x_domain", "from_bigram"), "tokens in a domain, pairs of tokens and tokens at a position"),
    (("from_rest",), "none of these"),
)


def conclusions(tables: Mapping[str, pd.DataFrame]) -> list[str]:
    """Sentences about one comparison, what beats its floor first; plain text.

    Args:
        tables: those of :data:`TABLES` of the comparison; without the second, as of runs made before there was one,
            there are no sentences.
    """
    if not {"features", "agreement", "indices"} <= tables.keys():
        return []
    agreement = tables["agreement"]
    overall: _Overall = {row["kind"]: row for row in agreement[agreement["pair"] == "overall"].to_dict("records")}
    if "features" not in overall:
        return []
    shares = Shares(tables["indices"])
    k_of_m = tables.get("k_of_m")
    sentences = [
        unseen_sentence(tables.get("unseen_domains")),
        _leading(shares), _beyond(overall), _effects(tables.get("effect_agreement")), _made_of(overall), _raw(overall),
        _space(tables.get("spaces")),
        same_index_sentence(tables.get("same_index")),
        _grouped(tables["features"], shares, k_of_m if k_of_m is None or "fraction_low" in k_of_m else None),
        label_sentence(tables.get("labels"), set(tables["features"]["model"])),
    ]  # fmt: skip
    return [sentence for sentence in sentences if sentence]


#: The rows "overall" of the table ``agreement``, by kind.
_Overall = dict[str, dict[Any, Any]]


class Share(NamedTuple):
    """A share with its chance level, its interval over sources, and that over models where there are enough.

    Behind it are ``hits`` of ``n`` features; ``n_features`` of them differ, as one counts for each other model.
    """

    value: float
    chance: float
    low: float
    high: float
    low_models: float
    high_models: float
    hits: int
    n: int
    n_features: int

    @property
    def is_few(self) -> bool:
        """Whether so few features are behind it that it is said as a count."""
        return 0 < self.n_features < FEW

    def words(self, of: str = "") -> str:
        """In percent ``of`` something, or as a count of so few features."""
        if not self.is_few:
            return f"{words.share(self.value)}{of}"
        each = "" if self.n == self.n_features else ", each counted for every other model"
        return f"{self.hits} of {self.n} features{each}"


class Shares:
    """Shares of the table ``indices`` over all pairs of a kind."""

    def __init__(self, indices: pd.DataFrame) -> None:
        self._indices = indices
        self.has_floor = not np.isnan(self.of("shared_fraction", "untrained").value)

    def of(self, name: str, kind: str = "features") -> Share:
        """NaN where there is no such index. In runs of before, and within one model, means over pairs, ends too."""
        rows = self._indices[(self._indices["kind"] == kind) & (self._indices["name"] == name)]
        of_pairs = rows["pair"].str.contains("-")
        together, pairs = rows[~of_pairs], rows[of_pairs]
        values = (together if len(together) else rows)[[*Share._fields[:6]]].astype(float).mean()
        counted = pairs if len(pairs) else together
        hits = int((counted["value"] * counted["n"]).round().sum())
        # Features of a model meet every other model: they are counted once for each, and are so many.
        n_features = counted.groupby(counted["pair"].str.partition("-")[0])["n"].max().sum() if len(counted) else 0
        return Share._make([*values, hits, int(counted["n"].sum()), int(n_features)])

    def floor(self, name: str) -> Share:
        """Of untrained models; 0 where these have nothing of the kind, NaN without such models."""
        share = self.of(name, "untrained")
        return share._replace(value=0.0) if self.has_floor and np.isnan(share.value) else share


def _leading(shares: Shares) -> str:
    """Of features that a second dictionary has at the finest level that beats its floor, how many another model has."""
    if all(np.isnan(shares.of(f"shared_fraction_{level}").value) for level in LEADING):
        return "No level could be tested, so what matches here may share no more than a token or a kind of text."
    for level in LEADING:
        floor, matched = shares.floor(f"shared_fraction_{level}").value, shares.of(f"shared_fraction_{level}")
        if not matched.value > 0 or (shares.has_floor and not matched.low > floor):
            continue
        reproduced, where = shares.of(f"reproduced_{level}"), LEVEL_WORDS[level]
        of_all = f"{matched.words(' of all features')}{_controls(shares, level)}"
        if np.isnan(reproduced.value):
            return f"A partner in another model {where} have {of_all}."
        return (
            f"Of the features that a second dictionary of the same model also has {where}, another model has "
            f"{reproduced.words()} ({_intervals(reproduced)}{_reproduced_floor(shares, level)}). "
            f"That is {of_all}."
        )
    if shares.has_floor:
        return "At no level do more features match between models than between untrained models."
    return ""


def _controls(shares: Shares, level: str) -> str:
    """What a share of all features at a level stands beside: one model, untrained models, chance."""
    name = f"shared_fraction_{level}"
    one, chance = shares.of(name, "ceiling"), shares.of(name).chance
    floor = (
        f"{shares.floor(name).words()} between untrained models" if shares.has_floor
        else "no untrained models, so the floor is not known"
    )  # fmt: skip
    parts = [f"{one.words()} in a second dictionary of the same model"] if not np.isnan(one.value) else []
    return f"; beside it stand {', '.join([*parts, floor])} and {words.share(chance)} by chance"


def _intervals(share: Share) -> str:
    text = f"interval over sources {words.share(share.low)} to {words.share(share.high)}"
    if np.isnan(share.low_models):
        return text
    return f"{text}, over models {words.share(share.low_models)} to {words.share(share.high_models)}"


def _reproduced_floor(shares: Shares, level: str) -> str:
    """The same share of untrained models, where these have second dictionaries."""
    if np.isnan(shares.of("reproduced", "untrained").value):
        return ""
    floor = shares.of(f"reproduced_{level}", "untrained")
    return f"; of untrained models {'none has such a feature' if np.isnan(floor.value) else floor.words()}"


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


def _effects(effects: pd.DataFrame | None) -> str:
    """Whether matched features do the same to the predictions, with every control beside it."""
    if effects is None or effects.empty:
        return ""
    rows: _Overall = {row["kind"]: row for row in effect_rows(effects).to_dict("records")}
    if "matched" not in rows or pd.isna(rows["matched"]["r_effect"]):
        return ""
    matched = rows["matched"]
    names = {
        "ceiling": "two dictionaries of one model", "runner_up": "with the next best candidate",
        "hard_exchange": "with another feature of the domain",
        "random_direction": "with a random direction in its place",
        "floor": "untrained models",
    }  # fmt: skip
    known = {kind: name for kind, name in names.items() if kind in rows}
    beside = "; ".join(f"{name} {words.number(rows[kind]['r_effect'])}" for kind, name in known.items())
    text = (
        "What matched features do: the changes in the loss that ablating either makes correlate over the same text at "
        f"r = {words.number(matched['r_effect'])} ({words.number(matched['r_effect_low'])} to "
        f"{words.number(matched['r_effect_high'])}; {beside})."
    )
    if pd.isna(matched["same_effect"]):
        return text
    shares = "; ".join(f"{name} {words.share(rows[kind]['same_effect'])}" for kind, name in known.items())
    n, n_all = int(matched["n"]), int(matched["n_all"])
    some = f" ({n_all - n:,} more were not measured; the shares are of all)" if n < n_all else ""
    said = [matched[name] for name in ("same_effect", "other_effect")]
    same, other = (f"{round(share * n)}" if n == n_all < FEW else words.share(share) for share in said)
    return (
        f"{text} Judged where both fire, {same} of {n:,} matched pairs{some} do the same ({shares}) and {other} do "
        "something else."
    )


def _space(spaces: pd.DataFrame | None) -> str:
    """Whether features beat as many random directions of their space, and which other coordinates come nearest."""
    if spaces is None or spaces.empty or spaces["haar"].isna().all():
        return ""
    by_measure: dict[str, dict[str, dict[Any, Any]]] = {}
    for row in spaces.to_dict("records"):
        by_measure.setdefault(row["measure"], {})[row["space"]] = row
    measure = "r_joint" if "r_joint" in by_measure else "r_held_out"
    features, raw = by_measure[measure]["features"], by_measure["r_held_out"]["features"]
    floor, raw_floor = (row["floor"] - row["haar_floor"] for row in (features, raw))
    beats = features["above_haar_low"] > 0 and not features["above_haar"] <= floor
    others = {name: row for name, row in by_measure[measure].items() if not name.startswith(("features", "haar"))}
    nearest = max(others, key=lambda name: others[name]["above_haar"])
    number = {name: words.number(features[name]) for name in ("value", *(n for n in features if "haar" in n))}
    best = others[nearest]
    beside = "the floor is not known" if np.isnan(floor) else f"between untrained models {words.number(floor)}"
    where = " beyond domain, document, token and position" if measure == "r_joint" else ""
    nearer = (
        f"Of other coordinates {best['n']:,} {words.SPACES[nearest]} gain most "
        f"({words.number(best['value'])}, as many random directions {words.number(best['haar'])})."
        if best["above_haar"] > 0 else "No other coordinates agree better than as many random directions."
    )  # fmt: skip
    text = (
        f"The SAE {'beats' if beats else 'does not beat'} its space:{where} features of two models correlate at r = "
        f"{number['value']}, as many random directions of the same activations at r = {number['haar']} (difference "
        f"{number['above_haar']}, interval {number['above_haar_low']} to {number['above_haar_high']}; {beside})."
    )
    text = f"{text} {nearer}"
    if measure == "r_held_out" or np.isnan(raw_floor):
        return text
    difference = f"As it is, the difference of r is {words.number(raw['above_haar'])}"
    return f"{text} {difference}, and between untrained models {words.number(raw_floor)}."


def _grouped(features: pd.DataFrame, shares: Shares, k_of_m: pd.DataFrame | None) -> str:
    """How many features are in each group, the floor beside the one that has one."""
    groups = features["group"].dropna() if "group" in features else pd.Series(dtype=object)
    if groups.empty:
        return ""
    resplit = "" if k_of_m is None or k_of_m["fraction_low"].isna().all() else _elsewhere(k_of_m)
    floor = ""
    if shares.has_floor:
        pair, untrained = shares.of("shared_fraction"), shares.floor("shared_fraction")
        floor = f"in one other model {pair.words()}, between untrained models {untrained.words()}"
    beside = "; ".join(part for part in (resplit, floor) if part)
    said = {
        "partnered": "have a partner in some other model at some level" + (f" ({beside})" if beside else ""),
        "rearranged": "are there, but not as one latent",
        "unstable": "are not stable in their own model",
        "missing": "are stable and in no other model",
        "untested": "cannot be judged",
    }
    parts = [
        f"{words.share((groups == name).mean())} {text}" if len(groups) >= FEW else _counted(groups == name, text)
        for name, text in said.items()
        if (groups == name).mean() >= 0.005
    ]
    return f"Of {len(groups):,} features {', '.join(parts)}."


def _counted(are: pd.Series, text: str) -> str:
    """How many are something, where a share of them would say more than is known."""
    n = int(are.sum())
    return f"{n} {re.sub('^(have|are)', lambda verb: _ONE[verb[0]], text) if n == 1 else text}"


def _elsewhere(k_of_m: pd.DataFrame) -> str:
    """The interval of the share of features with a partner, where partners are chosen anew in other halves."""
    alone = k_of_m[k_of_m["k"] == 1].iloc[0]
    low, high = (words.share(1 - alone[f"fraction_{end}"]) for end in ("high", "low"))
    return f"interval {low} to {high}, partners chosen anew"


def _beside(overall: _Overall, column: str) -> str:
    names = {"ceiling": "two dictionaries of one model", "untrained": "untrained models"}
    measured = {kind: overall[kind][column] for kind in names if kind in overall and pd.notna(overall[kind][column])}
    parts = [f"{names[kind]} {words.number(value)}" for kind, value in measured.items()]
    return f" ({'; '.join(parts)})" if parts else ""
