from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from scipy.optimize import nnls

from universality.correlation import correlate
from universality.matching import k_to_1, nonnegative
from universality.verdicts import (
    VERDICTS,
    VerdictEvidence,
    first_verdict,
    group_features,
    judge,
    probe_correlations,
)

LIMITS = {"tau": 0.5, "alpha": 0.05, "gain": 0.1, "probe_share": 0.8, "probe_floor": 0.2}


def _case(**changes: float | None) -> VerdictEvidence:
    nothing = {
        "replicate_r": 0.9, "best_r": 0.1, "best_high": 0.2, "best_is_insignificant": False, "assigned_q": 1.0,
        "split_r2": 0.0, "whole_r2": 0.0, "probe_own": 0.6, "probe_other": 0.1, "probe_untrained": 0.1,
    }  # fmt: skip
    values = {**nothing, **changes}
    return VerdictEvidence(**{name: None if value is None else np.array([value]) for name, value in values.items()})


def _verdict(**changes: float | None) -> str:
    return str(judge(_case(**changes), **LIMITS)[0][0])


def test_each_reason_is_found_alone() -> None:
    assert _verdict() == "absent"
    assert _verdict(replicate_r=0.4) == "unstable"
    assert _verdict(best_r=0.6, best_high=0.7) == "contested"
    assert _verdict(split_r2=0.3) == "split"
    assert _verdict(whole_r2=0.3) == "part_of"
    assert _verdict(probe_other=0.5) == "decodable"
    assert _verdict(best_r=0.45, best_high=0.52) == "near_threshold"
    assert _verdict(assigned_q=0.01) == "weak"


def test_the_first_reason_in_order_wins() -> None:
    held: dict[str, float] = {}
    found = []
    steps = (
        {"assigned_q": 0.01}, {"best_r": 0.3, "best_high": 0.55}, {"probe_other": 0.55}, {"whole_r2": 0.4},
        {"split_r2": 0.5}, {"best_r": 0.6, "best_high": 0.7, "split_r2": 0.9}, {"replicate_r": 0.1},
    )  # fmt: skip
    for step in steps:
        held |= step
        found.append(_verdict(**held))
    assert found == list(reversed(VERDICTS[:7]))


def test_a_split_must_improve_on_the_best_single_latent() -> None:
    assert _verdict(split_r2=0.28, best_r=0.45, best_high=0.48) == "absent"
    assert _verdict(split_r2=0.31, best_r=0.45, best_high=0.48) == "split"


def test_probes_must_beat_the_untrained_one_and_mean_something() -> None:
    assert _verdict(probe_other=0.5, probe_untrained=0.55) == "absent"
    assert _verdict(probe_own=0.1, probe_other=0.1, probe_untrained=0.0) == "absent"


def test_what_was_not_given_is_untested_and_never_absent() -> None:
    assert _verdict(replicate_r=None) == "untested"
    assert _verdict(probe_own=None) == "untested"
    assert _verdict(probe_other=0.5, probe_untrained=None) == "untested"
    # A probe that fails already says no, whatever the untrained one would have said.
    assert _verdict(probe_other=0.1, probe_untrained=None) == "absent"
    assert _verdict(replicate_r=None, split_r2=0.4) == "split"


def test_an_assigned_pair_within_chance_is_not_contested() -> None:
    assert _verdict(best_r=0.6, best_high=0.7, best_is_insignificant=True, assigned_q=0.3) == "near_threshold"


def test_the_statistic_belongs_to_the_verdict() -> None:
    assert judge(_case(split_r2=0.3), **LIMITS)[1][0] == 0.3
    assert judge(replace(_case(), probe_other=np.array([0.5])), **LIMITS)[1][0] == 0.5


def test_first_verdict_over_models() -> None:
    table = pd.DataFrame(
        {
            "model": ["m0", "m0", "m1"],
            "latent": [3, 3, 1],
            "other_model": ["m1", "m2", "m0"],
            "verdict": ["absent", "split", "weak"],
            "statistic": [0.0, 0.5, 0.1],
        }
    )
    assert first_verdict(table)["verdict"].tolist() == ["split", "weak"]


def test_nonnegative_least_squares_agrees_with_scipy() -> None:
    rng = np.random.default_rng(0)
    for k in (2, 5, 12):
        x, y = rng.standard_normal((200, k)) + 0.6 * rng.standard_normal((200, 1)), rng.standard_normal(200)
        x = x / np.linalg.norm(x, axis=0)
        y = y + x @ rng.standard_normal(k) * 3
        expected = nnls(x, y)[0]
        found = nonnegative((x.T @ x)[None], (x.T @ y)[None])[0]
        np.testing.assert_allclose(found, expected, atol=1e-6)


def _split_world(seed: int) -> tuple[sparse.csr_matrix, sparse.csr_matrix]:
    """One whole on the left; its five pieces and ten strangers on the right."""
    rng = np.random.default_rng(seed)
    n = 4000
    whole = (rng.random(n) < 0.05) * rng.uniform(0.5, 1.5, n)
    piece = rng.integers(5, size=n)
    right = [whole * (piece == k) * np.exp(0.2 * rng.standard_normal(n)) for k in range(5)]
    right += [(rng.random(n) < 0.02) * rng.uniform(0.5, 1.5, n) for _ in range(10)]
    stranger = (rng.random(n) < 0.03) * 1.0
    return sparse.csr_matrix(np.stack([whole, stranger], axis=1)), sparse.csr_matrix(np.stack(right, axis=1))


def test_a_split_whole_is_put_together_from_its_pieces() -> None:
    (left_fit, right_fit), (left, right) = _split_world(0), _split_world(1)
    similarity = correlate(left_fit, right_fit, top=12)
    found = k_to_1(left_fit, left, right_fit, right, similarity, n_candidates=12, n_pieces=5, piece_share=0.05)
    assert set(found.pieces[0].tolist()) == {0, 1, 2, 3, 4}
    np.testing.assert_allclose(found.shares[0].sum(), 1.0)
    dense_left, dense_right = left.toarray()[:, 0], right.toarray()
    direct = nnls(right_fit.toarray()[:, :5] - right_fit.toarray()[:, :5].mean(0),
                  left_fit.toarray()[:, 0] - left_fit.toarray()[:, 0].mean())[0]  # fmt: skip
    residual = dense_left - dense_right[:, :5] @ direct
    np.testing.assert_allclose(found.r2[0], 1 - residual.var() / dense_left.var(), atol=0.01)
    assert found.r2[0] > 0.8
    assert found.r2[1] < 0.05


def test_large_dictionaries_take_only_listed_pairs_and_find_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    (left_fit, right_fit), (left, right) = _split_world(0), _split_world(1)
    similarity = correlate(left_fit, right_fit, top=12)
    limits = {"n_candidates": 12, "n_pieces": 5, "piece_share": 0.05}
    whole = k_to_1(left_fit, left, right_fit, right, similarity, **limits)
    monkeypatch.setattr("universality.matching.pieces._DENSE_LATENTS", 0)
    listed = k_to_1(left_fit, left, right_fit, right, similarity, **limits)
    np.testing.assert_array_equal(whole.pieces, listed.pieces)
    np.testing.assert_allclose(whole.r2, listed.r2, atol=1e-9)


def test_pieces_of_a_split_are_at_most_as_many_as_asked_for() -> None:
    (left_fit, right_fit), (left, right) = _split_world(0), _split_world(1)
    similarity = correlate(left_fit, right_fit, top=12)
    found = k_to_1(left_fit, left, right_fit, right, similarity, n_candidates=12, n_pieces=3, piece_share=0.05)
    assert (found.pieces[0] >= 0).sum() == 3
    assert 0.3 < found.r2[0] < 0.8


def test_probes_agree_with_explicit_ridge_regression() -> None:
    rng = np.random.default_rng(0)
    n, d = 3000, 12
    x = rng.standard_normal((n, d)) + 5.0
    targets = np.maximum(x[:, :3] - 5.0 + 0.5 * rng.standard_normal((n, 3)) - 1.0, 0.0)
    targets = np.concatenate([targets, np.zeros((n, 1))], axis=1)
    fit = rng.random(n) < 0.5
    found = probe_correlations(sparse.csr_matrix(targets), x, fit, 1e-3)
    centred = x[fit] - x[fit].mean(axis=0)
    gram = centred.T @ centred
    ridge = 1e-3 * np.trace(gram) / d * np.eye(d)
    weights = np.linalg.solve(gram + ridge, centred.T @ (targets[fit] - targets[fit].mean(axis=0)))
    predicted = x[~fit] @ weights
    expected = [np.corrcoef(predicted[:, j], targets[~fit, j])[0, 1] for j in range(3)]
    np.testing.assert_allclose(found[:3], expected, atol=1e-9)
    assert found[3] == 0.0


def test_only_a_stable_feature_that_every_other_model_lacks_is_missing() -> None:
    of = {
        "partnered": ("absent",),  # in one of two other models
        "missing": ("weak", "absent"),
        "rearranged": ("absent", "split"),
        "unstable": ("contested", "unstable"),
        "untested": ("absent", "near_threshold"),
    }
    rows = [("m0", latent, verdict) for latent, names in enumerate(of.values()) for verdict in names]
    verdicts = pd.DataFrame(rows, columns=["model", "latent", "verdict"])
    index = pd.MultiIndex.from_product([["m0"], range(len(of))], names=["model", "latent"])
    n_models = pd.Series([2, 1, 1, 1, 1], index=index)
    nothing = np.zeros(len(of), bool)
    assert group_features(n_models, verdicts, nothing).tolist() == list(of)
    nothing_lacks = group_features(n_models.iloc[:1], verdicts.iloc[:0], nothing[:1])
    assert nothing_lacks.tolist() == ["partnered"]
    assert group_features(n_models.iloc[:1], verdicts.iloc[:0], ~nothing[:1]).tolist() == ["rearranged"]
