"""What latents share by their domain, document, token, position or a few loud rows is never called context."""

from __future__ import annotations

from functools import cache

import pandas as pd
import pytest

from universality.compare import CompareConfig, compare
from universality.planted import PlantConfig, plant
from universality.planted.calibration import matched, prepare
from universality.planted.judging import decoy_table, judge
from universality.planted.kinds import DECOYS

WORLD = PlantConfig(
    n_rows=24_000, n_documents=192, n_domains=4, d_vocab=100, n_ctx=32, n_untrained=0, d_in=2, min_rate=0.006,
    n_universal=20, n_heavy=10, n_shared=0, n_specific=10, n_unstable=0, n_decodable=0, n_split=0, n_domain=4,
    n_token=4, n_position=2, n_document=4, document_density=0.9, n_token_in_domain=8, n_token_in_documents=8,
    n_token_or_documents=6, n_token_x_position=6, n_bigram=8, n_end_of_document=4, n_outlier_rows=6, n_sink_rows=4,
)  # fmt: skip
SEEDS = (0, 1, 2)


@cache
def judged(seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    planted = plant(WORLD, root_seed=seed)
    stages = matched(prepare(planted, CompareConfig(n_resamples=40, n_resplits=0), seed, threads=1), "assignment")
    return decoy_table(planted, stages).set_index("kind"), judge(planted, stages).set_index("class")


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("kind", DECOYS)
def test_decoys_are_never_context(kind: str, seed: int) -> None:
    row = judged(seed)[0].loc[kind]
    assert row["n"] >= 6
    if kind not in ("domain", "outlier_rows"):  # too faint for edges, or in one document alone
        assert row["n_edges"] >= 6
    assert row[["context", "n_context"]].tolist() == [0, 0]


@pytest.mark.parametrize("seed", SEEDS)
def test_features_beyond_all_that_are_context(seed: int) -> None:
    by = judged(seed)[1]
    assert by.loc["level_context", "precision"] == 1.0
    assert by.loc["universal", "precision"] == 1.0
    assert by.loc["level_context", "recall"] >= 0.97
    # Of 30 features ten are heavy-tailed: those that one document carries have no edge, by rule.
    assert by.loc["universal", "recall"] >= 0.93


@pytest.mark.parametrize("seed", SEEDS)
def test_features_that_share_three_rows_of_one_document_have_no_edge(seed: int) -> None:
    row = judged(seed)[0].loc["outlier_rows"]
    assert row["n"] == 18
    assert row["n_edges"] == 0


@cache
def levels_with(n_models: int, seed: int) -> float:
    """Share at the level context of the universal features that are called universal, where r is not far from tau."""
    planted = plant(
        root_seed=seed, n_rows=16_000, n_documents=128, n_domains=4, n_ctx=32, n_untrained=0, d_in=2, min_rate=0.006,
        n_universal=30, n_shared=0, n_specific=0, n_unstable=0, n_decodable=0, n_split=0, n_domain=0, n_token=0,
        n_position=0, noise=0.5, miss=0.2, spurious=0.2, n_models=n_models,
    )  # fmt: skip
    rows = {name: getattr(planted, name) for name in ("documents", "domains", "tokens", "positions")}
    config = CompareConfig(n_resamples=40, n_resplits=0, taus=(0.5,))
    features = compare(planted.acts, **rows, n_ctx=32, root_seed=seed, config=config, threads=1).features
    called = features[features["class"] == "universal"]
    assert len(called) >= 8 * n_models
    return float((called["level"] == "context").mean())


@pytest.mark.parametrize("seed", SEEDS[:2])
def test_levels_do_not_vanish_as_models_are_added(seed: int) -> None:
    assert levels_with(5, seed) >= levels_with(2, seed) - 0.05


GROUPS = PlantConfig(
    n_rows=24_000, n_documents=192, n_domains=4, n_ctx=32, n_untrained=2, d_in=48, min_rate=0.006, n_shared=0,
    n_unstable=6, n_decodable=6, n_domain=0, n_token=0, n_position=0,
)  # fmt: skip


def groups_of(seed: int, **changes: int) -> pd.DataFrame:
    planted = plant(GROUPS, root_seed=seed, **changes)
    stages = prepare(planted, CompareConfig(n_resamples=20, n_resplits=0), seed, threads=1, replicates=True)
    return judge(planted, matched(stages, "assignment")).set_index("class")


@pytest.mark.parametrize("seed", SEEDS[:2])
def test_what_one_model_alone_has_is_missing_and_no_more(seed: int) -> None:
    by = groups_of(seed, n_universal=30, n_specific=15, n_split=3)
    for group in ("group_missing", "group_partnered", "group_unstable", "group_rearranged"):
        assert by.loc[group, ["precision", "recall"]].min() >= 0.95, group


@pytest.mark.parametrize("seed", SEEDS[:1])
def test_copies_absorption_and_dominant_pieces_are_nowhere_missing(seed: int) -> None:
    by = groups_of(seed, n_universal=10, n_specific=0, n_split=0, n_copied=9, n_absorbed=6, n_dominant=9, n_family=4)
    assert "group_missing" not in by.index
    # Recall is no matter here: copies that find a copy of another model are partnered, and rightly so.
    assert by.loc["group_rearranged", "precision"] >= 0.95


@pytest.mark.parametrize("seed", SEEDS)
def test_a_whole_whose_partner_is_the_largest_of_its_pieces_is_rearranged(seed: int) -> None:
    by = groups_of(seed, n_universal=10, n_specific=0, n_split=0, n_dominant=9)
    assert by.loc[["group_rearranged", "group_partnered"], "precision"].min() >= 0.95
    assert by.loc["group_rearranged", "recall"] >= 0.9
