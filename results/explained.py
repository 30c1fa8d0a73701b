"""Features in the words of a language model: a file beside the store, one line a feature, and how well the words hold.

``universality explain`` writes the file; screens, the search and reports read it. What a language model wrote is data:
one line of limited length in which everything can be seen, to be escaped wherever it is shown.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd
from pydantic import ConfigDict, Field

from results.beside_store import beside_store, read_lines
from results.ids import feature_id
from results.words import number
from universality.config import Frozen

if TYPE_CHECKING:
    from results.stored_comparison import StoredComparison

#: Most characters of an explanation.
MAX_EXPLANATION = 300
#: No control character, whoever wrote the file.
_PLAIN = r"^[^\x00-\x1f\x7f-\x9f]*$"
#: What words are scored by, and what is right by guessing.
SCORES = {"detection": 0.5, "fuzzing": 0.5, "intruder": 0.2}


class Tally(Frozen):
    """Judgements of texts of two kinds: those of which yes is right, and those of which no is."""

    yes: int = Field(ge=1, description="texts of which yes is right")
    yes_right: int = Field(ge=0)
    no: int = Field(ge=1, description="texts of which no is right")
    no_right: int = Field(ge=0)

    @property
    def balanced_accuracy(self) -> float:
        """Mean of the shares of both kinds that are judged right, 0 to 1; 0.5 by guessing."""
        return (self.yes_right / self.yes + self.no_right / self.no) / 2


class Explanation(Frozen):
    """What a language model said of one feature, and what it made of its words and of another feature's."""

    model_config = ConfigDict(serialize_by_alias=True, validate_by_name=True)

    schema_version: Literal[1] = Field(default=1, alias="schema")
    run: str
    comparison_id: str
    kind: Literal["matched", "untrained"]
    model: str
    latent: int = Field(ge=0)
    language_model: str = Field(min_length=1, max_length=200, pattern=_PLAIN)
    host: str = Field(pattern=_PLAIN)
    seed: int
    digest: str = Field(description="blake2b of everything that was to be asked, before anything was answered")
    prompts: dict[str, str] = Field(description="blake2b of every prompt as it was sent")
    other: str = Field(description="the feature whose words are the control")
    explanation: str | None = Field(max_length=MAX_EXPLANATION, pattern=_PLAIN)
    other_explanation: str | None = Field(max_length=MAX_EXPLANATION, pattern=_PLAIN)
    detection: Tally | None
    fuzzing: Tally | None
    detection_other: Tally | None
    fuzzing_other: Tally | None
    intruder_right: int | None = Field(ge=0)
    n_intruder: int = Field(ge=1)
    failed: str = Field(description="what was not answered as asked, and why; empty for nothing")
    n_requests: int = Field(ge=0)
    prompt_tokens: int = Field(ge=0)
    completion_tokens: int = Field(ge=0)

    @property
    def id(self) -> str:
        """Id of the feature."""
        return feature_id(self.model, self.latent)

    @property
    def key(self) -> tuple[str, str, str]:
        """What a later line replaces: one feature of one comparison by one language model."""
        return self.comparison_id, self.id, self.language_model

    @property
    def rank(self) -> float:
        """Balanced accuracy of detection; below all others where it was not answered."""
        return -1.0 if self.detection is None else self.detection.balanced_accuracy

    def score(self, name: str, whose: Literal["own", "other"] = "own") -> float:
        """Accuracy of one of :data:`SCORES`, balanced but for ``intruder``; NaN where it was not answered."""
        if name == "intruder":
            known = self.intruder_right is not None and whose == "own"
            return self.intruder_right / self.n_intruder if known else math.nan  # pyright: ignore[reportOptionalOperand]
        tally = getattr(self, name if whose == "own" else f"{name}_other")
        return math.nan if tally is None else tally.balanced_accuracy


def explanations_file(store_url: str, run: str) -> Path | None:
    """Where explanations of a run are kept: beside a store on this machine; None for a store elsewhere."""
    return beside_store(store_url, "explanations", run)


def read_explanations(path: Path, run: str) -> list[Explanation]:
    """The explanations of a file, the last one of each feature and language model.

    Raises:
        InputError: as :func:`results.beside_store.read_lines`.
    """
    lines = read_lines(path, run, Explanation, "explanation", "universality explain")
    return list({one.key: one for one in lines}.values())


def explanations_of(stored: StoredComparison) -> Mapping[str, list[Explanation]]:
    """Explanations of a comparison beside its store, by feature; looked at anew whenever the file changes.

    Raises:
        InputError: as :func:`read_explanations`.
    """
    path = explanations_file(stored.run.store.url, stored.name)
    if path is None or not path.exists():
        return {}
    state = path.stat()
    return _by_feature(path, stored.name, stored.comparison, state.st_mtime_ns, state.st_size)


@lru_cache(16)
def _by_feature(path: Path, run: str, comparison: str, *_state: int) -> Mapping[str, list[Explanation]]:
    by_feature: dict[str, list[Explanation]] = {}
    for explanation in read_explanations(path, run):
        if explanation.comparison_id == comparison and explanation.explanation is not None:
            by_feature.setdefault(explanation.id, []).append(explanation)
    return by_feature


def explanation_sentence(explanation: Explanation) -> str:
    """Who said it and how well it holds, beside another feature's words; plain text."""
    scores = []
    for name, chance in SCORES.items():
        own, other = explanation.score(name), explanation.score(name, "other")
        beside = f"guessing {number(chance)}" if name == "intruder" else f"another feature's words {number(other)}"
        scores += [] if math.isnan(own) else [f"{name} {number(own)} ({beside})"]
    return f"in words by {explanation.language_model}: {', '.join(scores) or 'no scores'}"


def explained_table(explanations: Iterable[Explanation]) -> pd.DataFrame:
    """One row per explanation: the columns of the table ``explained``; scores that were not answered are missing."""
    rows = [
        {
            **one.model_dump(include={"comparison_id", "language_model", "kind", "model", "latent", "explanation"}),
            **{name: one.score(name) for name in SCORES}, "other": one.other,
            **{f"{name}_other": one.score(name, "other") for name in ("detection", "fuzzing")}, "failed": one.failed,
        }
        for one in explanations
    ]  # fmt: skip
    scores = ["detection", "fuzzing", "intruder", "other", "detection_other", "fuzzing_other"]
    names = ["comparison_id", "language_model", "kind", "model", "latent", "explanation", *scores, "failed"]
    return pd.DataFrame(rows, columns=pd.Index(names))


def words_summary(explained: pd.DataFrame) -> pd.DataFrame:
    """How well words hold, by language model, kind of feature and score.

    Args:
        explained: :func:`explained_table` of one comparison.

    Returns:
        language_model, kind (``matched``, ``untrained``), score (of :data:`SCORES`), n features, mean accuracy with
        low and high (95 %, Student's t over features; missing below two), the same of another feature's words as
        n_other, mean_other, low_other, high_other (missing for intruder), and chance.
    """
    rows = []
    for (language_model, kind), some in explained.groupby(["language_model", "kind"], sort=True):  # pyright: ignore[reportGeneralTypeIssues]
        for score, chance in SCORES.items():
            row = {"language_model": language_model, "kind": kind, "score": score, "chance": chance}
            other = _mean(some[f"{score}_other"] if score != "intruder" else some[score].iloc[:0])
            rows.append({**row, **_mean(some[score]), **{f"{name}_other": value for name, value in other.items()}})
    measured = ("n", "mean", "low", "high")
    names = ["language_model", "kind", "score", *measured, *(f"{name}_other" for name in measured), "chance"]
    return pd.DataFrame(rows, columns=pd.Index(names))


def _mean(values: pd.Series) -> dict[str, float]:
    known = values.dropna().to_numpy(np.float64)
    mean, half = float(known.mean()) if known.size else math.nan, math.nan
    if known.size > 1:
        from scipy.stats import t

        half = float(t.ppf(0.975, known.size - 1) * known.std(ddof=1) / math.sqrt(known.size))
    return {"n": known.size, "mean": mean, "low": max(mean - half, 0.0), "high": min(mean + half, 1.0)}
