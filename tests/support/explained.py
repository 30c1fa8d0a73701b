"""Explanations as ``universality explain`` keeps them, of chosen words and scores."""

from __future__ import annotations

from typing import Any

from results.explained import Explanation, Tally
from results.ids import FEATURE_ID


def explanation(name: str, words: str | None, **changed: Any) -> Explanation:
    """Of the feature ``name``; detection .75 (another's words .5), fuzzing .7 (.4), intruder .6 unless changed."""
    feature = FEATURE_ID.match(name)
    assert feature is not None
    tallies = {"detection": (8, 7), "fuzzing": (7, 7), "detection_other": (5, 5), "fuzzing_other": (4, 4)}
    said = {
        "run": "synthetic", "comparison_id": "main", "kind": "matched", "model": feature["model"],
        "latent": int(feature["latent"]), "language_model": "words-1", "host": "127.0.0.1", "seed": 0, "digest": "0",
        "prompts": {"explanation": "1", "other_explanation": "2"}, "other": "m0:1", "explanation": words,
        "other_explanation": "others", "intruder_right": 3, "n_intruder": 5, "failed": "", "n_requests": 7,
        "prompt_tokens": 700, "completion_tokens": 70,
        **{score: Tally(yes=10, yes_right=yes, no=10, no_right=no) for score, (yes, no) in tallies.items()},
    }  # fmt: skip
    return Explanation.model_validate({**said, **changed})
