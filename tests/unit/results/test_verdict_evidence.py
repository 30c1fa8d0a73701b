"""What a verdict is about, and who has what it is about, by hand."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest

from results.feature_lists import missing_in
from results.older_runs import as_of_now
from results.verdict_evidence import Reason, reasons_of

FEATURES = pd.DataFrame(
    [("m0", 1, 4), ("m0", 2, 5), ("m1", 7, 5), ("m1", 8, 6), ("m1", 9, pd.NA)], columns=["model", "latent", "cluster"]
).astype({"cluster": "Int64"})
PAIRS = pd.DataFrame(
    [("m0", 2, "m1", 7, 0.81, True), ("m0", 1, "m1", 8, 0.62, False)],
    columns=["model_a", "latent_a", "model_b", "latent_b", "r_held_out", "edge"],
)
CANDIDATES = pd.DataFrame(
    [("m0", 1, "m1", 8, 0, 0.7), ("m0", 1, "m1", 9, 1, 0.6)],
    columns=["model_a", "latent_a", "model_b", "latent_b", "rank", "r"],
)


def _stored(verdict: str, about: str | None, statistic: float = 0.62, **tables: pd.DataFrame | None) -> Any:
    verdicts = pd.DataFrame(
        {"model": ["m0"], "latent": [1], "other_model": ["m1"], "verdict": [verdict], "statistic": [statistic]}
    ).assign(about=about)
    every = {"verdicts": verdicts, "features": FEATURES, "pairs": PAIRS, "candidates": CANDIDATES, **tables}
    return SimpleNamespace(table=every.__getitem__, optional=every.get, tau=0.5)


def _reason(verdict: str, about: str | None, statistic: float = 0.62, **tables: pd.DataFrame | None) -> Reason:
    (reason,) = reasons_of(_stored(verdict, about, statistic, **tables), "m0", 1)
    return reason


def test_a_contested_verdict_names_the_latent_and_the_feature_that_has_it() -> None:
    reason = _reason("contested", "m1:7")
    assert reason.features == ("m1:7", "m0:2")
    assert reason.cluster == 5
    assert reason.sentence == "m1:7 has r 0.62 with it, but was assigned to m0:2, r 0.81"


def test_what_was_assigned_to_the_feature_itself_says_why_that_does_not_count() -> None:
    refused = _reason("contested", "m1:8")
    assert refused.features == ("m1:8",)
    assert "one half of the text or one source makes that r" in refused.sentence
    held = _reason("contested", "m1:8", pairs=PAIRS.assign(edge=True))
    assert held.sentence.endswith("and was assigned to it, but cluster 6 agrees too little with it as a whole")
    full = FEATURES.assign(cluster=FEATURES["cluster"].replace({5: 6}))
    taken = _reason("contested", "m1:8", pairs=PAIRS.assign(edge=True), features=full)
    assert taken.sentence.endswith("but cluster 6 has m0:2 of this model")
    assert taken.features == ("m1:8", "m0:2")
    assert "assigned to no feature" in _reason("contested", "m1:9").sentence


def test_every_verdict_names_what_it_is_about() -> None:
    assert _reason("split", "m1:7;m1:9").features == ("m1:7", "m1:9")
    assert _reason("split", "m1:7;m1:9").sentence == "m1:7 + m1:9 together make it up, R² 0.62"
    assert "pieces that make up m1:7" in _reason("part_of", "m1:7").sentence
    unstable = _reason("unstable", "m0r:3", 0.2)
    assert unstable.cluster is None
    assert "m0r:3, r 0.20, below 0.50" in unstable.sentence
    assert _reason("absent", None, candidates=None).sentence == "no latent there comes near it"


@pytest.mark.parametrize(("r", "said"), [(0.497, "0.497"), (0.41, "0.41")])
def test_an_r_just_below_the_threshold_is_not_rounded_up_to_it(r: float, said: str) -> None:
    assert _reason("weak", "m1:9", r).sentence == f"nearest is m1:9, r {said}"


def test_runs_that_name_no_latents_show_the_nearest_by_fit_r_and_say_so() -> None:
    stored = _stored("contested", None)
    verdicts = as_of_now("verdicts", stored.table("verdicts").drop(columns="about"), {})
    reason = _reason("contested", None, verdicts=verdicts)
    assert (reason.about, reason.fit_r) == (("m1:8",), 0.7)
    assert "does not name" in reason.sentence


def test_features_that_a_model_lacks_have_the_verdict_that_they_have_there() -> None:
    verdicts = pd.DataFrame(
        [("m0", 1, "m1", "split"), ("m0", 1, "m2", "weak"), ("m1", 7, "m2", "absent")],
        columns=["model", "latent", "other_model", "verdict"],
    )
    stored = _stored("split", None, verdicts=verdicts)
    features = FEATURES.assign(verdict="unstable")
    found = missing_in(stored, features.iloc[::-1], "m2")
    assert found[["model", "latent", "verdict"]].to_numpy().tolist() == [["m1", 7, "absent"], ["m0", 1, "weak"]]
    assert missing_in(stored, features, "m1")["verdict"].tolist() == ["split"]
