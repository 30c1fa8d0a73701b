"""The verdict on a matched pair, by hand and over a whole run."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from synthetic_run import write_synthetic_run

from results import words
from results.conclusions import LEVEL_WORDS
from results.pair_lists import listed_pairs
from results.pair_verdict import pair_verdict
from results.stored_comparison import StoredComparison

PAIR: dict[str, Any] = {
    "model_a": "m0", "latent_a": 1, "model_b": "m1", "latent_b": 7, "r": 0.8, "r_held_out": 0.81, "r_token": 0.6,
    "r_loo": 0.7, "q": 1e-4, "q_domain": 0.2, "edge": True, "level": "context", "level_probability": 0.9,
    "margin_a": 0.3, "margin_b": 0.1, "effect_class": "same_effect", "r_effect_both": 0.7, "r_effect_both_low": 0.6,
    "r_effect_both_high": 0.8,
}  # fmt: skip
SIDES = ["model_a", "latent_a", "model_b", "latent_b", "rank", "r"]
TABLES: dict[str, pd.DataFrame] = {
    # A pair of four reaches 0.81 as it is, none of them 0.6 beyond the token.
    "baselines": pd.DataFrame(
        {"kind": ["untrained"] * 4 + ["ceiling"], "r_held_out": [0.9, 0.1, 0.2, 0.3, 1], "r_token": [0.1] * 4 + [0.9]}
    ),
    "candidates": pd.DataFrame([("m0", 1, "m1", 7, 0, 0.8), ("m0", 1, "m1", 9, 1, 0.5)], columns=SIDES),
    "verdicts": pd.DataFrame({"model": ["m0"], "latent": [4], "verdict": ["contested"], "about": ["m1:7"]}),
}  # fmt: skip


def verdict(tables: Any = TABLES, **changed: Any) -> tuple[str, dict[str, tuple[bool | None, str]]]:
    stored: Any = SimpleNamespace(
        optional=tables.get, table=tables.get, models=lambda role: ["m0r"], tau=0.5, alpha=0.05
    )
    said = pair_verdict(stored, pd.Series({**PAIR, **changed}))
    return said.sentence, {one.name: (one.holds, one.sentence) for one in said.reasons}


def test_a_match_that_beats_everything_is_said_in_one_sentence() -> None:
    sentence, reasons = verdict({**TABLES, "verdicts": TABLES["verdicts"][:0]})
    assert sentence == (
        f"m0:1 and m1:7 count as one feature, {LEVEL_WORDS['context']}; the match beats chance, untrained models and "
        "the runner-up; ablating either changes the same predictions alike."
    )
    assert all(holds for holds, _ in reasons.values())
    assert words.LEVELS["context"] in reasons["more than tokens"][1]
    assert (
        "0 of 4 matched pairs of untrained models (0 %) reach its r beyond the token of 0.60"
        in (reasons["untrained models"][1])
    )
    assert reasons["runner-up"][1] == (
        "not contested: for m0:1 m1:9 is 0.30 behind in fit r; for m1:7 the next is 0.10 behind in fit r"
    )
    assert "shifts within its domain may make it (q 0.2)" in reasons["chance"][1]


def test_what_it_does_not_beat_is_said_too() -> None:
    sentence, reasons = verdict(level="token", margin_b=-0.2, effect_class="other_effect")
    assert sentence == (
        "m0:1 and m1:7 count as one feature, at the level of tokens and positions; the match beats chance, not "
        "untrained models or the runner-up; ablating either changes other predictions."
    )
    assert reasons["more than tokens"][0] is False
    # At the level of tokens r itself is held against that of untrained models.
    assert reasons["untrained models"] == (
        False, "1 of 4 matched pairs of untrained models (25 %) reach its held-out r of 0.81; their mean is 0.38"
    )  # fmt: skip
    assert "for m1:7 the next is 0.20 ahead in fit r; m0:4 is contested for m1:7" in reasons["runner-up"][1]
    assert reasons["same effect"][0] is False


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"r_held_out": 0.497}, "held-out r 0.497 is below 0.50"),
        ({"q": 0.2}, "q 0.2 is within chance"),
        ({"q": np.nan}, "q – is within chance"),
        ({"r": 0.3}, "r 0.30 on the text that matched them is below 0.40"),
        ({"r_loo": 0.1}, "without one source r is 0.10, below 0.40"),
    ],
)
def test_why_a_pair_is_no_feature(changed: dict[str, float], why: str) -> None:
    sentence, _ = verdict(TABLES, **changed, edge=False, effect_class=None)
    assert sentence.startswith(f"m0:1 and m1:7 do not count as one feature ({why}); the match ")


def test_what_a_run_has_not_measured_is_not_decided() -> None:
    none = dict.fromkeys(("margin_a", "margin_b", "r_effect_both", "effect_class", "level_probability"), np.nan)
    sentence, reasons = verdict({}, **none, q_domain=np.nan)
    assert sentence.endswith("; the match beats chance.")
    assert {name for name, (holds, _) in reasons.items() if holds is None} == {
        "untrained models", "runner-up", "same effect",
    }  # fmt: skip
    assert "nan" not in str(reasons)


def test_every_pair_of_a_run_is_refused_for_what_makes_it_no_edge(tmp_path: Path) -> None:
    stored = StoredComparison(write_synthetic_run(str(tmp_path / "store"), n_latents=60, n_documents=96), "main")
    pairs = listed_pairs(stored)
    assert 0 < pairs["edge"].sum() < len(pairs)
    for _, row in pairs.iterrows():
        said = pair_verdict(stored, row)
        assert ("do not count as one feature (" in said.sentence) == (not row["edge"])
        assert "()" not in said.sentence
        assert len(said.reasons) == 5
