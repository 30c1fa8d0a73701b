"""Why something is untested: never a reason that the run itself contradicts."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from results.untested import untested_group, untested_level

PARTS = {"from_domain": 0.1, "from_document": 0.1, "from_token": 0.1}


def stored(*, replicates: bool = True, verdicts: tuple[str, ...] = (), **parts: float) -> Any:
    tables = {"pairs": pd.DataFrame([PARTS | parts]), "verdicts": pd.DataFrame({"verdict": verdicts}, dtype=object)}
    models = {"replicate": ["m0r"] if replicates else []}
    return SimpleNamespace(table=tables.__getitem__, models=models.__getitem__, tau=0.5)


def level(row: dict[str, Any], of: Any) -> str:
    return untested_level(of, pd.Series(row))


def test_a_pair_below_the_threshold_lacks_no_labels() -> None:
    assert "below the threshold" in level({"r_held_out": 0.4}, stored())
    assert "below the threshold" in level({"r_held_out": 0.4}, stored(from_domain=np.nan))


def test_what_was_not_given_is_named_and_nothing_else() -> None:
    assert level({"r_held_out": 0.7}, stored(from_domain=np.nan)) == "no level: domain labels were not given"
    said = level({"r_held_out": 0.7}, stored(from_domain=np.nan, from_token=np.nan))
    assert said == "no level: domain labels and token ids and positions were not given"
    assert "sources" in level({"r_held_out": 0.7}, stored())
    assert "sources" in level({"n_models": 2}, stored())
    assert "domain labels" in level({"n_models": 3}, stored(from_domain=np.nan))


def test_a_feature_without_a_partner_has_nothing_to_explain() -> None:
    assert "none to explain in a second dictionary" in level({"n_models": 1}, stored())
    assert "no second dictionary" in level({"n_models": 1}, stored(replicates=False))


@pytest.mark.parametrize(
    ("verdicts", "replicates", "said", "unsaid"),
    [
        (("near_threshold", "weak"), True, "an interval reaches the threshold", "dictionary"),
        (("untested",), True, "no linear probe", "dictionary"),
        (("untested",), False, "no second dictionary", "probe"),
        (("near_threshold", "untested"), False, "threshold or there is no second", "probe"),
    ],
)
def test_features_of_no_group(verdicts: tuple[str, ...], replicates: bool, said: str, unsaid: str) -> None:
    sentence = untested_group(stored(verdicts=verdicts, replicates=replicates))
    assert said in sentence
    assert unsaid not in sentence
