"""Is a match real? One sentence on an assigned pair, and the reasons that it rests on."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from results import words
from results.conclusions import LEVEL_WORDS
from results.feature_lists import candidates_of
from results.ids import feature_id, feature_ids
from results.stored_comparison import StoredComparison
from results.untested import untested_level
from universality.compare.compare_config import EDGE_SLACK, FAMILY_MARGIN

#: Levels at which a match is held against untrained models by what its tokens and positions leave of r.
_BEYOND_TOKEN = ("context", "bigram", "token_x_domain")
#: What is asked of the level.
_LEVEL = "more than tokens"
#: Share of pairs of untrained models that may reach a match which is said to beat them.
_FLOOR = 0.05
_EFFECTS = {
    "same_effect": (True, "ablating either changes the same predictions alike"),
    "other_effect": (False, "ablating either changes other predictions"),
    "undecided": (None, "whether they do the same is undecided"),
}


@dataclass(frozen=True)
class PairReason:
    """One thing that was asked of a match.

    Attributes:
        name: what was asked: more than tokens, chance, untrained models, runner-up, same effect.
        holds: whether it speaks for the match; None where that cannot be told.
        sentence: what was found, with its numbers.
    """

    name: str
    holds: bool | None
    sentence: str


@dataclass(frozen=True)
class PairVerdict:
    """What is to be thought of a match.

    Attributes:
        sentence: whether the two count as one feature, at which level, what that beats, and what they do.
        reasons: what the sentence rests on, in its order.
    """

    sentence: str
    reasons: tuple[PairReason, ...]


def pair_verdict(stored: StoredComparison, row: pd.Series) -> PairVerdict:
    """The verdict on an assigned pair.

    Args:
        stored: the comparison.
        row: of :func:`results.pair_lists.listed_pairs`; what a run has not measured may be missing.
    """
    reasons = (
        _level(stored, row), _chance(stored, row), _floor(stored, row), _runner_up(stored, row), _effect(row),
    )  # fmt: skip
    a, b = _names(row)
    level = LEVEL_WORDS.get(str(row["level"]), "at a level that could not be told")
    counts = f"{a} and {b} count as one feature, {level}"
    if not row["edge"]:
        counts = f"{a} and {b} do not count as one feature ({'; '.join(_against(stored, row))})"
    parts = [counts, _beats(reasons[1:4]), _EFFECTS.get(str(row.get("effect_class")), (None, ""))[1]]
    return PairVerdict(f"{'; '.join(part for part in parts if part)}.", reasons)


def _names(row: pd.Series) -> tuple[str, str]:
    return feature_id(row["model_a"], row["latent_a"]), feature_id(row["model_b"], row["latent_b"])


def _against(stored: StoredComparison, row: pd.Series) -> list[str]:
    """What an edge needs and the pair lacks, as :func:`universality.compare.levels.is_edge` asks it."""
    tau, nearly = stored.tau, stored.tau - EDGE_SLACK
    alone = float(row.get("r_loo", float("nan")))
    lacks = {
        f"q {words.probability(row['q'])} is within chance": not row["q"] < stored.alpha,
        f"held-out r {_near(row['r_held_out'], tau)} is below {tau:.2f}": row["r_held_out"] < tau,
        f"r {_near(row['r'], nearly)} on the text that matched them is below {nearly:.2f}": row["r"] < nearly,
        f"without one source r is {_near(alone, nearly)}, below {nearly:.2f}": alone < nearly,
    }  # fmt: skip
    return [text for text, holds in lacks.items() if holds]


def _near(value: float, bound: float) -> str:
    """A number, with a further digit where two would say that it is the bound."""
    return words.number(value, 3 if abs(value - bound) < 0.01 else 2)


def _beats(reasons: tuple[PairReason, ...]) -> str:
    """What the match beats, and what it does not."""
    beaten, others = ([one.name for one in reasons if one.holds is holds] for holds in (True, False))
    if not beaten:
        return f"the match does not beat {_listed(others, 'or')}" if others else ""
    return f"the match beats {_listed(beaten, 'and')}" + (f", not {_listed(others, 'or')}" if others else "")


def _listed(names: list[str], last: str) -> str:
    names = [f"the {name}" if name == "runner-up" else name for name in names]
    return f" {last} ".join([*([", ".join(names[:-1])] if names[1:] else []), names[-1]])


def _level(stored: StoredComparison, row: pd.Series) -> PairReason:
    level = str(row["level"])
    if level == "untested":
        return PairReason(_LEVEL, None, untested_level(stored, row))
    sure = row.get("level_probability")
    often = "" if pd.isna(sure) else f"; so in {words.share(sure)} of resamples of the sources"
    return PairReason(_LEVEL, level in _BEYOND_TOKEN, f"{words.called(level)}: {words.LEVELS[level]}{often}")


def _chance(stored: StoredComparison, row: pd.Series) -> PairReason:
    if pd.isna(row["q"]):
        return PairReason("chance", None, "not tested")
    beyond = bool(row["q"] < stored.alpha)
    text = f"{'beyond' if beyond else 'within'} chance: q {words.probability(row['q'])} (below {stored.alpha:g} counts)"
    inside = row.get("q_domain")
    if pd.notna(inside):
        text += f"; shifts within its domain {'do not make' if inside < stored.alpha else 'may make'} it"
        text += f" (q {words.probability(inside)})"
    return PairReason("chance", beyond, text)


def _floor(stored: StoredComparison, row: pd.Series) -> PairReason:
    """The share of untrained models' pairs that reach the r of this one: beyond tokens where its level is finer."""
    baselines = stored.optional("baselines")
    finer = str(row["level"]) in _BEYOND_TOKEN
    column, what = ("r_token", "r beyond the token") if finer else ("r_held_out", "held-out r")
    floor = None if baselines is None else baselines.loc[(baselines["kind"] == "untrained").to_numpy(), column].dropna()
    if floor is None or floor.empty or pd.isna(row[column]):
        return PairReason("untrained models", None, "no untrained models were compared, so the floor is not known")
    reach = int((floor >= row[column]).sum())
    text = (
        f"{reach:,} of {len(floor):,} matched pairs of untrained models ({words.share(reach / len(floor))}) reach its "
        f"{what} of {words.number(row[column])}; their mean is {words.number(floor.mean())}"
    )
    return PairReason("untrained models", reach < _FLOOR * len(floor), text)


def _runner_up(stored: StoredComparison, row: pd.Series) -> PairReason:
    """Who else each side could have had, and who would have this one."""
    margins = [float(row.get(f"margin_{side}", float("nan"))) for side in "ab"]
    if any(pd.isna(margin) for margin in margins):
        return PairReason("runner-up", None, "alternatives were not measured")
    table, names = stored.optional("candidates"), _names(row)
    texts = []
    for side, other, name, margin in zip("ab", "ba", names, margins, strict=True):
        near = None
        if table is not None:
            there = str(row[f"model_{other}"])
            near = candidates_of(table, str(row[f"model_{side}"]), int(row[f"latent_{side}"]), there)
            near = near[near["latent"] != row[f"latent_{other}"]]
        who = "the next" if near is None or near.empty else str(feature_ids(near).iloc[0])
        gap = f"{_near(abs(margin), FAMILY_MARGIN)} {'behind' if margin >= 0 else 'ahead'}"
        texts.append(f"for {name} {who} is {gap} in fit r")
    claims = [f"{who} is contested for {what}" for what in names for who in _claims(stored, what, names)]
    least = min(margins)
    contested = "contested" if least < FAMILY_MARGIN or claims else "not contested"
    return PairReason("runner-up", least >= FAMILY_MARGIN, f"{contested}: {'; '.join([*texts, *claims])}")


def _claims(stored: StoredComparison, latent: str, names: tuple[str, str]) -> list[str]:
    """Features without a partner whose verdict is that this latent matches another one better."""
    verdicts = stored.optional("verdicts")
    if verdicts is None or "about" not in verdicts:
        return []
    about = (verdicts["verdict"] == "contested").to_numpy() & (verdicts["about"] == latent).fillna(False).to_numpy(bool)
    return [str(name) for name in feature_ids(verdicts[about]) if name not in names]


def _effect(row: pd.Series) -> PairReason:
    kind, measured = str(row.get("effect_class")), [row.get(f"r_effect_both{end}") for end in ("", "_low", "_high")]
    if pd.isna(measured[0]):
        return PairReason("same effect", None, "not measured")
    r, low, high = map(words.number, measured)
    said = words.EFFECT_CLASSES.get(kind, "not judged, as the two do not count as one feature")
    text = f"{said} (where both fire, r of their effects {r}, interval {low} to {high})"
    return PairReason("same effect", _EFFECTS.get(kind, (None,))[0], text)
