"""Answers of people in blind games: a file beside the store, one line per answer, and how often they are right."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import pandas as pd
from pydantic import ConfigDict, Field

from results.beside_store import beside_store, read_lines
from results.games import N_OPTIONS, R_STRATA, Question
from results.words import LEVELS
from universality.config import Frozen

#: Right answers by guessing.
CHANCE = 1 / N_OPTIONS
#: Of questions about untrained models.
FLOOR = "untrained models"


class Answer(Frozen):
    """What somebody chose."""

    model_config = ConfigDict(serialize_by_alias=True, validate_by_name=True)

    schema_version: Literal[1] = Field(default=1, alias="schema")
    run: str
    comparison_id: str
    game: Literal["intruder", "partner"]
    player: str = Field(min_length=1, max_length=40)
    number: int = Field(ge=0)
    kind: Literal["matched", "untrained"]
    model_a: str
    latent_a: int = Field(ge=0)
    model_b: str
    latent_b: int = Field(ge=0)
    r: float = Field(ge=-1, le=1)
    level: str
    right: int = Field(ge=0, lt=N_OPTIONS)
    chosen: int | None = Field(ge=0, lt=N_OPTIONS, description="null: passed on")
    seconds: float = Field(ge=0)

    @classmethod
    def to(cls, question: Question, chosen: int | None, seconds: float, **who: str) -> Answer:
        """The answer to a question; ``who`` are run, comparison_id and player."""
        asked = {name: value for name, value in vars(question).items() if name in cls.model_fields}
        return cls.model_validate({**asked, **who, "chosen": chosen, "seconds": round(seconds, 1)})


def answers_file(store_url: str, run: str) -> Path | None:
    """Where answers about a run are kept: beside a store on this machine; None for a store elsewhere."""
    return beside_store(store_url, "answers", run)


def read_answers(path: Path, run: str) -> list[Answer]:
    """The answers of a file, the first one where a question was answered twice.

    Raises:
        InputError: as :func:`results.beside_store.read_lines`.
    """
    found: dict[tuple[str, str, str, int], Answer] = {}
    for answer in read_lines(path, run, Answer, "answer", "the dashboard's page Games"):
        found.setdefault((answer.comparison_id, answer.game, answer.player, answer.number), answer)
    return list(found.values())


def answers_table(answers: list[Answer]) -> pd.DataFrame:
    """One row per answer: the fields of :class:`Answer` but schema and run, and ``correct`` (missing: passed on)."""
    names = [name for name in Answer.model_fields if name not in ("schema_version", "run")]
    frame = pd.DataFrame([answer.model_dump(include=set(names)) for answer in answers], columns=pd.Index(names))
    frame["chosen"] = frame["chosen"].astype("Int64")
    return frame.assign(correct=(frame["chosen"] == frame["right"]).astype("boolean"))


def game_summary(answers: pd.DataFrame) -> pd.DataFrame:
    """How often answers are right, by game: over all pairs, by stratum of r, by level; then of untrained models.

    Args:
        answers: :func:`answers_table` of one comparison.

    Returns:
        game, of (``all``, "r 0.5 to 0.8", "level context", :data:`FLOOR`), n answers, n_players, n_passed, accuracy,
        low and high (95 %, Wilson, as if answers were independent), p (one-sided, of so many right by guessing).
    """
    rows = []
    for game, of_game in answers.groupby("game", sort=True):
        for name, some in _parts(of_game).items():
            given = some[some["correct"].notna()]
            n, right = len(given), int(given["correct"].sum())
            row = {"game": game, "of": name, "n": n, "n_players": given["player"].nunique()}
            rows.append({**row, "n_passed": len(some) - n, **_accuracy(right, n)})
    names = ["game", "of", "n", "n_players", "n_passed", "accuracy", "low", "high", "p"]
    return pd.DataFrame(rows, columns=pd.Index(names))


def _parts(answers: pd.DataFrame) -> Mapping[str, pd.DataFrame]:
    own, floor = (answers[answers["kind"] == kind] for kind in ("matched", "untrained"))
    parts = {"all": own}
    for low, high in zip(R_STRATA, (*R_STRATA[1:], None), strict=True):
        some = own[(own["r"] >= low) & ((own["r"] < high) if high is not None else True)]
        words = f"r {low:g} to {high:g}" if high is not None else f"r {low:g} and more"
        parts[words if low > -1 else f"r below {high:g}"] = some
    parts |= {f"level {level}": own[own["level"] == level] for level in LEVELS}
    return {name: some for name, some in {**parts, FLOOR: floor}.items() if len(some)}


def _accuracy(right: int, n: int) -> dict[str, float]:
    if not n:
        return dict.fromkeys(("accuracy", "low", "high", "p"), float("nan"))
    from scipy.stats import binomtest

    interval = binomtest(right, n).proportion_ci(0.95, method="wilson")
    p = binomtest(right, n, CHANCE, alternative="greater").pvalue
    return {"accuracy": right / n, "low": interval.low, "high": interval.high, "p": p}
