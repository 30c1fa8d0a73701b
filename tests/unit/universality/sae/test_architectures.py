"""Losses and gradients of the trained architectures against dense formulas in float64; folding; devices; configs."""

import numpy as np
import pytest
import torch
from dense_architectures import LEAST, dense
from dense_topk import planted_rows
from torch._subclasses.fake_tensor import FakeTensorMode

from universality.errors import InputError
from universality.sae.architectures.batch_topk import running_threshold
from universality.sae.autograd_step import AutogradStep, Rates, observation_decay
from universality.sae.sae_config import SAETrainingConfig
from universality.sae.seed_training import folded
from universality.sae.training_state import Parameters, TrainingState

D_IN, D_SAE = 32, 80
OWN = {
    "batch_topk": {"k": 4},
    "matryoshka": {"k": 4, "matryoshka_prefixes": (40, 80)},
    "relu": {"l1_coefficient": 3.0},
    "relu_2023": {"l1_coefficient": 3.0},
    "gated": {"l1_coefficient": 0.5},
    "jumprelu": {"target_l0": 4.0, "bandwidth": 0.3},
}


def config(name, **changes):
    return SAETrainingConfig(architecture=name, d_sae=D_SAE, tokens=12_800, **{**OWN[name], **changes})


def parameters(name, dtype=torch.float64, device="cpu"):
    rng = np.random.default_rng(5)
    W_dec = rng.standard_normal((D_SAE, D_IN))
    sizes = rng.uniform(0.2, 2, (D_SAE, 1)) if name == "relu" else 1
    W_dec *= sizes / np.linalg.norm(W_dec, axis=1, keepdims=True)
    held = {"W_enc_rows": W_dec + 0.1 * rng.standard_normal(W_dec.shape), "W_dec": W_dec}
    held |= {"b_enc": 0.1 * rng.standard_normal(D_SAE), "b_dec": 0.1 * rng.standard_normal(D_IN)}
    held |= {extra: -0.5 + 0.1 * rng.standard_normal(D_SAE) for extra in LEAST.get(name, ())}
    return Parameters.of({key: torch.from_numpy(value).to(dtype).to(device) for key, value in held.items()})


def stepper(name, p, **changes):
    own = config(name, **changes)
    return AutogradStep(own, TrainingState.fresh(p, own.kind.buffers), n_steps=100)


@pytest.mark.parametrize("t", [2, 100])
@pytest.mark.parametrize("name", OWN)
def test_loss_and_gradients_are_those_of_the_dense_formula(name, t):
    p, x = parameters(name), torch.from_numpy(planted_rows(64, D_IN, 50, 4, seed=2)).double()
    leaves = [{key: value.clone().requires_grad_() for key, value in p.named().items()} for _ in range(2)]
    papers = {"loss": "fvu"} if "k" in OWN[name] else {}
    loss, fvu, _, values = stepper(name, p, **papers).losses(leaves[0], x, None, t=t)
    acts, wanted = dense(name, leaves[1], x, OWN[name], weight=min(1, t / 5))
    torch.testing.assert_close(loss, wanted, rtol=1e-12, atol=0)
    assert int((values > 0).sum()) == int((acts > 0).sum())
    error = (x - p.b_dec - acts @ p.W_dec).square().sum()
    torch.testing.assert_close(fvu, error / (x - x.mean(0)).square().sum())
    found, expected = (torch.autograd.grad(y, list(w.values())) for y, w in zip((loss, wanted), leaves, strict=True))
    for key, a, b in zip(p.named(), found, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-11, msg=key)
        assert (a != 0).any(), key


@pytest.mark.parametrize("name", ["batch_topk", "matryoshka"])
def test_dead_latents_explain_the_residual_and_nothing_else_learns_from_that(name):
    p, x = parameters(name), torch.from_numpy(planted_rows(64, D_IN, 50, 4, seed=2)).double()
    leaves = [{key: value.clone().requires_grad_() for key, value in p.named().items()} for _ in range(2)]
    dead, run = torch.tensor([3, 50, 51, 52]), stepper(name, p, aux_k=4)
    with_aux = run.losses(leaves[0], x, torch.zeros(D_SAE, dtype=torch.bool).index_fill(0, dead, True)).loss
    without = run.losses(leaves[1], x, None).loss
    acts, _ = dense(name, p.named(), x, OWN[name])
    error = x - p.b_dec - acts @ p.W_dec
    pre = ((x - p.b_dec) @ p.W_enc_rows[dead].T + p.b_enc[dead]).clamp_min(0)
    rest = (error - pre @ p.W_dec[dead]).square().sum() / error.square().sum()
    torch.testing.assert_close(with_aux.detach(), (without + rest / 32).detach())
    a, b = (torch.autograd.grad(y, w["W_dec"])[0] for y, w in zip((with_aux, without), leaves, strict=True))
    changed = torch.nonzero((a - b).abs().sum(1) > 1e-15).flatten()
    assert set(changed.tolist()) <= set(dead.tolist())
    assert len(changed)


@pytest.mark.parametrize("name", ["relu", "relu_2023", "gated", "jumprelu"])
def test_folding_changes_no_value(name):
    p, x, scale = parameters(name), torch.from_numpy(planted_rows(64, D_IN, 50, 4, seed=2)).double(), 0.37
    sae = folded(config(name), stepper(name, p).state, scale)
    seen = x - sae.b_dec if sae.subtract_b_dec else x
    raw = sae.activation(seen @ sae.W_enc + sae.b_enc) @ sae.W_dec + sae.b_dec
    acts, _ = dense(name, p.named(), x * scale, OWN[name])
    torch.testing.assert_close(raw * scale, acts @ p.W_dec + p.b_dec, rtol=1e-10, atol=1e-12)


def test_the_threshold_is_the_running_mean_of_the_smallest_active_value():
    p = parameters("batch_topk")
    run, lowest = stepper("batch_topk", p), []
    for seed in range(3):
        x = torch.from_numpy(planted_rows(64, D_IN, 50, 4, seed=seed)).double()
        lowest.append(float(run.losses(p.named(), x, None).values.min()))
        run.observe(torch.tensor([lowest[-1], 9.0, 0.0]))
    run.observe(torch.zeros(3))  # a batch in which nothing fires
    decay = observation_decay(100)
    assert decay == observation_decay(500) == 0.9
    assert observation_decay(10**6) == 0.99
    weights = np.array([decay**2, decay, 1])
    assert float(running_threshold(run.state)) == pytest.approx(np.average(lowest, weights=weights), rel=1e-6)
    sae = folded(config("batch_topk"), run.state, 0.5)
    assert float(sae.activation.threshold) == pytest.approx(2 * float(running_threshold(run.state)))


def test_only_the_free_decoder_has_its_gradient_cut_and_only_a_free_decoder_grows():
    for name, norm in (("relu", 1.0), ("relu_2023", 50.0)):
        p = parameters(name)
        run, grads = stepper(name, p), p.zeros_like().named()
        grads["b_enc"][0] = 50.0
        run.apply({**grads, "W_dec": 0.1 * p.W_dec}, Rates(1e-2, 0.9, 0.999, 1e-8, 1))
        found = torch.stack([moment.norm() for moment in run.state.m.named().values()]).norm() / 0.1
        assert float(found) == pytest.approx(norm, rel=1e-6)
        unit = torch.ones(D_SAE, dtype=torch.float64)
        assert torch.allclose(p.W_dec.norm(dim=1), unit, atol=1e-12) == (name == "relu_2023")


@pytest.mark.parametrize("name", OWN)
def test_steps_stay_on_their_device(name):
    p = parameters(name, torch.float32, "meta")
    run, x = stepper(name, p), torch.empty(16, D_IN, device="meta")
    dead = torch.ones(D_SAE, dtype=torch.bool, device="meta")
    leaves = {key: value.detach().requires_grad_() for key, value in p.named().items()}
    loss, _, _, values = run.losses(leaves, x, dead)
    grads = torch.autograd.grad(loss, list(leaves.values()))
    run.apply(dict(zip(leaves, grads, strict=True)), Rates(1e-3, 0, 0.99, 1e-8, 1))
    run.observe(values.detach())
    assert all(value.device.type == "meta" for value in p.named().values())
    with FakeTensorMode(), torch.no_grad():
        p = Parameters.of({key: torch.empty(t.shape, device="cuda") for key, t in p.named().items()})
        run = stepper(name, p)
        dead = torch.ones(D_SAE, dtype=torch.bool, device="cuda")
        found = run.losses(p.named(), torch.empty(16, D_IN, device="cuda"), dead)
        assert {part.device.type for part in found} == {"cuda"}
        run.apply(p.zeros_like().named(), Rates(1e-3, 0.9, 0.99, 1e-8, 1))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"architecture": "relu", "k": 3}, "k must be absent from relu"),
        ({"architecture": "batch_topk"}, "k must be given for batch_topk"),
        ({"k": 3, "bandwidth": 0.1}, "bandwidth must be absent from topk"),
        ({"k": 3, "sparsity_warmup": 0.1}, "sparsity_warmup must be absent from topk"),
        ({"architecture": "gated"}, "l1_coefficient must be given"),
        ({"architecture": "jumprelu"}, "target_l0 or l0_coefficient must be given"),
        ({"architecture": "jumprelu", "target_l0": 99}, "target_l0 must be at most"),
        ({"architecture": "relu_2023", "resample_at": [0.5, 0.5]}, "resample_at must be rising"),
        ({"architecture": "relu_2023", "resample_at": [0.5, 1]}, "resample_at must be rising"),
        (
            {"architecture": "matryoshka", "k": 3, "matryoshka_prefixes": [8, 4]},
            "matryoshka_prefixes must be rising",
        ),
    ],
)
def test_numbers_of_another_architecture_are_refused(given, said):
    with pytest.raises(InputError, match=said):
        SAETrainingConfig(d_sae=16, tokens=10, **given)


def test_defaults_follow_the_architecture():
    assert config("jumprelu").betas == config("gated").betas == (0, 0.999)
    assert config("jumprelu").eps == config("relu").eps == 1e-8
    assert config("batch_topk").eps == 6.25e-10
    assert config("relu", lr=None).peak_lr == 5e-5
    nested = config("matryoshka", matryoshka_prefixes=None)
    assert nested.kind.prefixes(nested) == (5, 10, 20, 40, 80)
    assert config("relu_2023").resampling(100) == {20: 10 * 1024, 40: 10 * 1024, 60: 10 * 1024}
    assert config("relu_2023", resample_at=()).resampling(100) == {}


@pytest.mark.parametrize("name", OWN)
def test_configs_are_written_without_the_numbers_of_others_and_read_again(name):
    written = config(name).model_dump(mode="json")
    assert SAETrainingConfig(**written) == config(name)
    assert ("k" in written) == (name in ("batch_topk", "matryoshka"))
    assert ("bandwidth" in written) == (name == "jumprelu")


def test_the_default_architecture_is_written_without_the_settings_of_others():
    written = SAETrainingConfig(d_sae=16, k=3, tokens=10).model_dump(mode="json")
    optimiser = {"lr", "betas", "eps", "warmup", "decay"}
    assert set(written) == optimiser | {"d_sae", "k", "tokens", "batch_rows", "aux_k", "aux_coefficient"} | {
        "dead_after", "normalise", "encoder_norm", "loss",
    }  # fmt: skip
