"""Directions from another model: found where both models are one up to a rotation, and at chance where they are not."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from universality.effects import measure_transfer, push_along, random_push, ridge_map
from universality.errors import InputError
from universality.transformers.harvest import harvest
from universality.transformers.native import build
from universality.transformers.transformer_config import TransformerConfig

D, D_VOCAB, HOOK = 32, 120, "blocks.0.hook_resid_post"
RNG = np.random.default_rng(0)
ROTATION = np.linalg.qr(RNG.standard_normal((D, D)))[0]


@pytest.fixture(scope="module")
def model():
    shape = {"n_layers": 1, "d_model": D, "n_heads": 2, "d_mlp": 48, "d_vocab": D_VOCAB, "n_ctx": 24}
    built = build(TransformerConfig(**shape), 3)
    with torch.no_grad():
        for weight in built.parameters():
            weight.add_(0.1 * torch.randn(weight.shape, generator=torch.Generator().manual_seed(weight.numel())))
    return built


@pytest.fixture(scope="module")
def contexts():
    return RNG.integers(1, D_VOCAB, (40, 24))


@pytest.fixture(scope="module")
def raw(model, contexts):
    (values,) = harvest(model, contexts, [HOOK], batch_contexts=64)
    return values[HOOK][:, 1:].reshape(-1, D).astype(np.float64)


def mapped(raw, other):
    return ridge_map(other[:600], raw[:600], other[600:], raw[600:])


def test_a_rotated_copy_is_mapped_back(raw):
    fitted = mapped(raw, raw @ ROTATION + 3.0)
    assert fitted.r2 > 0.999
    row = RNG.standard_normal(D)
    assert fitted.direction(row @ ROTATION) @ row / np.linalg.norm(row) > 0.999
    noisy = mapped(raw, raw @ ROTATION + raw.std() * RNG.standard_normal(raw.shape))
    assert 0.2 < noisy.r2 < 0.9
    # By hand: the normal equations of the fit rows with the penalty that was chosen.
    b, a = (raw @ ROTATION)[:600], raw[:600]
    b, a = b - b.mean(0), a - a.mean(0)
    gram = b.T @ b
    by_hand = np.linalg.solve(gram + fitted.penalty * np.trace(gram) / D * np.eye(D), b.T @ a)
    np.testing.assert_allclose(fitted.weights, by_hand, atol=1e-8)


def test_unrelated_activations_explain_nothing_held_out(raw):
    assert mapped(raw, RNG.standard_normal(raw.shape)).r2 < 0.05
    still = mapped(raw, np.ones(raw.shape))
    assert still.r2 <= 0
    with pytest.raises(InputError, match="one that the ridge map keeps"):
        still.direction(np.ones(D))


def test_a_partner_does_what_the_own_direction_does_and_others_do_not(model, contexts, raw):
    own = push_along(HOOK, RNG.standard_normal(D), 2.0)
    fitted = mapped(raw, raw @ ROTATION)
    partner = push_along(HOOK, fitted.direction(own.vector @ ROTATION), own.norm)
    arms = {"partner": partner, **{f"random {i}": random_push(own, i) for i in range(8)}}
    found = measure_transfer(model, own, arms, contexts[:20], contexts[20:])
    assert [(one.arm, one.beta) for one in found[:4]] == [("own", 1), ("own", 2), ("own", 4), ("partner", 1)]
    of_own = {one.beta: one for one in found if one.arm == "own"}
    for one in found:
        if one.arm == "partner":
            assert one.cosine > 0.99
            assert one.ratio == pytest.approx(1, abs=0.1)
            assert one.matched_strength == pytest.approx(one.beta, rel=0.05)
        if np.isfinite(one.matched_strength):
            assert one.matched_kl == pytest.approx(of_own[one.beta].kl, rel=0.15)
    others = [one for one in found if one.arm.startswith("random")]
    assert abs(np.mean([one.cosine for one in others])) < 0.3
    assert np.nanmean([one.ratio for one in others]) < 0.6


def test_a_push_that_does_nothing_has_no_equal_divergence(model, contexts):
    own = push_along(HOOK, RNG.standard_normal(D), 2.0)
    nothing = push_along(HOOK, np.ones(D), 1e-30)  # below what float32 adds
    found = measure_transfer(model, own, {"nothing": nothing}, contexts[:4], contexts[4:8], betas=(1.0,))
    assert found[1].cosine == 0
    assert np.isnan([found[1].matched_strength, found[1].matched_kl, found[1].ratio]).all()


@pytest.mark.parametrize(
    ("rows", "message"), [(5, "at least 10 to fit"), (None, "finite")],
)  # fmt: skip
def test_maps_of_too_little_or_broken_text_are_refused(raw, rows, message):
    other = raw.copy()
    if rows is None:
        other[0, 0] = np.nan
    with pytest.raises(InputError, match=message):
        ridge_map(other[:rows], raw[:rows], other[600:], raw[600:])
