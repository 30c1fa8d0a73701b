"""The answer of a comparison in a few plain sentences: what a terminal ends with.

What was compared, what stands above its floor, how many features have a partner, one pair to look at, how sure. Every
number stands beside its floor, or the sentence says that there is none; shares of few features are counts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from results.cautions import FEW_MODELS, Caution
from results.conclusions import FEW, LEADING, LEVEL_WORDS, Shares
from results.headline import split_comparisons
from results.unseen_frames import unseen_sentence
from results.words import NOT_KNOWN, called, counted, number, share

#: Tables that the answer is made from, beside those of the conclusions.
TABLES = ("models", "pairs", "baselines")
#: Names of models that are listed; of more their number is said.
_LISTED = 6
#: Resamples of a feature's class that must agree for it to count as settled.
_SETTLED = 0.9


def answer(
    tables: Mapping[str, pd.DataFrame], tau: float, n_sources: int | None = None, cautions: Sequence[Caution] = ()
) -> list[str]:
    """The sentences about one comparison; none where it has no table ``agreement`` (runs of before).

    Args:
        tables: those of :data:`TABLES` and of the conclusions, of one comparison; what is not there is not told.
        tau: threshold of the comparison on held-out r.
        n_sources: files, chapters or catalogues behind the rows that are scored; None where it is not known.
        cautions: what to keep in mind about it.
    """
    if not {"features", "agreement", "indices", "pairs"} <= tables.keys():
        return []
    agreement = tables["agreement"]
    overall = {row["kind"]: row for row in agreement[agreement["pair"] == "overall"].to_dict("records")}
    if "features" not in overall:
        return []
    unit = "dictionary" if _of_one_model(tables) else "model"
    sentences = [
        _compared(tables, overall, n_sources),
        unseen_sentence(tables.get("unseen_domains")),
        _floor(overall, tables.get("spaces"), unit),
        _partners(Shares(tables["indices"]), tau, unit),
        example(tables, tau)[0],
        _sure(tables, n_sources, cautions),
    ]
    return [sentence for sentence in sentences if sentence]


def study_answer(contrasts: pd.DataFrame, means: pd.DataFrame) -> list[str]:
    """One sentence for each study, with what its intervals rest on."""
    from results.study_frames import study_sentence

    own = dict(split_comparisons(contrasts))
    said = []
    for name, part in split_comparisons(means):
        n = int(part["n_models"].max())
        of = counted(n, "model")
        sure = f"intervals over {of} and sources" if part["low"].notna().any() else f"{of}, no interval over models"
        said.append(f"Study {name}: {study_sentence(own.get(name, contrasts[:0]), part)} How sure: {sure}.")
    return said


def _of_one_model(tables: Mapping[str, pd.DataFrame]) -> bool:
    """Whether several dictionaries of one model are compared."""
    models = tables.get("models")
    if models is None or "model_seed" not in models:
        return False
    primary = models[models["role"] == "primary"]
    return len(primary) > 1 and bool(primary["model_seed"].notna().all()) and primary["model_seed"].nunique() == 1


def _compared(tables: Mapping[str, pd.DataFrame], overall: Mapping[str, Any], n_sources: int | None) -> str:
    features = tables["features"]
    names = features["model"].drop_duplicates().astype(str).tolist()
    alive = int((features["status"] == "alive").sum())
    listed = f" ({', '.join(names)})" if len(names) <= _LISTED else ""
    what = f"{len(names)} dictionaries of one model" if _of_one_model(tables) else counted(len(names), "model")
    primary = tables["models"].query("role == 'primary'") if "models" in tables else pd.DataFrame()
    one_place = "hook_point" in primary and primary["hook_point"].nunique() == 1
    hooks = f" at {primary['hook_point'].iloc[0]}" if one_place and primary["hook_point"].iloc[0] != NOT_KNOWN else ""
    where = "" if n_sources is None else f", on held-out text of {counted(n_sources, 'source')}"
    floor = "untrained models (the floor)" if "untrained" in overall else "no untrained models, so without a floor"
    ceiling = ", two dictionaries of one model (the ceiling)" if "ceiling" in overall else ""
    return (
        f"Compared: {what}{listed} by {alive:,} of {len(features):,} SAE features that fire often enough{hooks}{where}"
        f"; beside them {floor}{ceiling}."
    )


def _floor(overall: Mapping[str, Any], spaces: pd.DataFrame | None, unit: str) -> str:
    """Whether agreement stands above untrained models and random directions, by r beyond all that can be taken away."""
    joint = pd.notna(overall["features"]["mean_r_joint"])
    column = "mean_r_joint" if joint else "mean_r"
    row, floor, ceiling = (overall.get(kind) for kind in ("features", "untrained", "ceiling"))
    assert row is not None
    where = "beyond domain, document, token and position, " if joint else ""
    where += f"features of one {unit} and their partners in another"
    of_ceiling = "" if ceiling is None else f", two dictionaries of one model at {number(ceiling[column])}"
    haar = _random_directions(spaces, "r_joint" if joint else "r_held_out")
    of_haar = "" if haar is None else f", as many random directions of the same activations at {number(haar['haar'])}"
    raw = ""
    if joint:
        raw_floor = "" if floor is None else f" ({number(floor['mean_r'])} between untrained models)"
        raw = f" As it is, r is {number(row['mean_r'])}{raw_floor}."
    said = f"{where} correlate at r = {number(row[column])} on average ({_between(row, column)})"
    if floor is None:
        return f"The floor is not known: {said}{of_haar}{of_ceiling}.{raw}"
    above, below = [], []
    is_above = row[f"{column}_low"] > floor[f"{column}_high"]
    (above if is_above else below).append("untrained models")
    if haar is not None:
        of_training = not haar["above_haar"] <= haar["floor"] - haar["haar_floor"]  # more than untrained models gain
        (above if haar["above_haar_low"] > 0 and of_training else below).append("random directions")
    verdict = " but ".join(
        part for part in (
            f"above {' and '.join(above)}" if above else "", f"not above {' and '.join(below)}" if below else "",
        ) if part
    )  # fmt: skip
    return f"Agreement is {verdict}: {said}, untrained models at {number(floor[column])}{of_haar}{of_ceiling}.{raw}"


def _random_directions(spaces: pd.DataFrame | None, measure: str) -> dict[Any, Any] | None:
    if spaces is None or spaces.empty:
        return None
    rows = spaces[(spaces["space"] == "features") & (spaces["measure"] == measure) & spaces["haar"].notna()]
    return rows.iloc[0].to_dict() if len(rows) else None


def _between(row: Mapping[Any, Any], column: str) -> str:
    """An interval, with a third digit where two would make its ends one."""
    low, high = row[f"{column}_low"], row[f"{column}_high"]
    if pd.isna(low):
        return "no interval"
    digits = 2 if number(low) != number(high) else 3
    return f"{number(low, digits)} to {number(high, digits)}"


def _partners(shares: Shares, tau: float, unit: str) -> str:
    """The share of features with a partner, of any level and of the finest that stands above its floor."""
    every = shares.of("shared_fraction")
    if pd.isna(every.value):
        return ""
    said = f"Partners: {every.words(' of features')} match one of another {unit} at r of at least {tau:g}"
    said += f" ({_controls(shares, 'shared_fraction')})"
    for level in LEADING:
        name = f"shared_fraction_{level}"
        matched, floor = shares.of(name), shares.floor(name)
        if matched.value > 0 and (not shares.has_floor or matched.low > floor.value):
            return f"{said}; {LEVEL_WORDS[level]} {matched.words()} ({_controls(shares, name)})."
    if shares.has_floor:
        return f"{said}; at no level more than between untrained models."
    return f"{said}."


def _controls(shares: Shares, name: str) -> str:
    floor = f"untrained models {shares.floor(name).words()}" if shares.has_floor else "floor not known"
    one = shares.of(name, "ceiling")
    return floor if pd.isna(one.value) else f"{floor}, a second dictionary of one model {one.words()}"


def example(tables: Mapping[str, pd.DataFrame], tau: float) -> tuple[str, str | None]:
    """The matched pair that agrees most when every token's mean is taken away, beside the best of untrained models.

    Args:
        tables, tau: as :func:`answer` takes them; the table ``pairs`` must be there.

    Returns:
        The sentence, and the pair as addresses name it ("m0:12-m1:7"); None where no pair matches.
    """
    pairs = tables["pairs"]
    edges = pairs[pairs["edge"].astype(bool) & ~pairs["few_sources"].astype(bool)]
    if edges.empty:
        return f"No pair of features matches at r of at least {tau:g} on text of several sources: none to show.", None
    by_token = bool(edges["r_token"].notna().any())
    column = "r_token" if by_token else "r_held_out"
    best = edges.iloc[int(np.nanargmax(edges[column].astype(float)))]
    token = f", {number(best['r_token'])} with token means taken away" if by_token else ""
    where = "one token's features" if best["level"] == "token" else f"level {called(best['level'])}"
    sentence = (
        f"Look at {_name(best, 'a')} and {_name(best, 'b')}{_fires_on(tables, best)}: r = {number(best['r_held_out'])}"
        f"{token} ({where}); the highest of {len(edges):,} matched pairs on text of several sources"
        f"{_best_untrained(tables, column)}."
    )
    return sentence, "-".join(_name(best, side).replace("/", ":") for side in "ab")


def _name(pair: pd.Series, side: str) -> str:
    return f"{pair[f'model_{side}']}/{int(pair[f'latent_{side}'])}"


def _fires_on(tables: Mapping[str, pd.DataFrame], pair: pd.Series) -> str:
    """What the first of a pair fires on: the domain where it does most, and its rule unless that spells bytes."""
    said = []
    for table, column, before in (("features", "top_domain", "mostly in "), ("labels", "label", "by rule ")):
        frame = tables.get(table)
        if frame is None or column not in frame:
            continue
        own = frame[(frame["model"] == pair["model_a"]) & (frame["latent"] == pair["latent_a"])]
        if "explained" in own:
            own = own[own["explained"].astype(bool)]
        said += [
            f"{before}{called(text) if column == 'top_domain' else text}"
            for text in own[column].dropna().astype(str)
            if "\\x" not in text
        ]
    return f" ({'; '.join(said)})" if said else ""


def _best_untrained(tables: Mapping[str, pd.DataFrame], column: str) -> str:
    baselines = tables.get("baselines")
    floor = pd.Series(dtype=float) if baselines is None else baselines.loc[baselines["kind"] == "untrained", column]
    if floor.notna().any():
        return f", where the highest of {len(floor):,} pairs of untrained models is {number(floor.max())}"
    return "; without untrained models there is no floor for it"


def _sure(tables: Mapping[str, pd.DataFrame], n_sources: int | None, cautions: Sequence[Caution]) -> str:
    features = tables["features"]
    n_models = features["model"].nunique()
    parts = []
    if n_sources is not None:
        parts.append(f"intervals resample {counted(n_sources, 'source')} of text, not models")
    alive = features[features["status"] == "alive"]
    if "class_probability" in alive and alive["class_probability"].notna().any():
        settled = alive["class_probability"] >= _SETTLED
        of = f"{settled.sum()} of {len(alive)}" if len(alive) < FEW else f"{share(settled.mean())} of"
        parts.append(f"{of} features keep their class in nine of ten other ways to halve the text")
    if _of_one_model(tables):
        parts.append("dictionaries of one model say nothing of others")
    elif n_models < FEW_MODELS:
        parts.append(f"{counted(n_models, 'model')} are few to speak of others")
    severe = [caution.title.lower() for caution in cautions if caution.severe]
    doubt = f" In doubt: {', '.join(severe)}." if severe else ""
    return f"How sure: {'; '.join(parts) or 'no interval was asked for'}.{doubt}"
