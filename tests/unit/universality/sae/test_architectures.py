"""What every trained architecture promises, and its loss against a plain dense reference in float64."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch._subclasses.fake_tensor import FakeTensorMode

from universality.sae import load_sae, save_sae
from universality.sae.architectures import folded, make_stepper
from universality.sae.config import SAETrainingConfig
from universality.sae.stepper import Parameters, Rates
from universality.sae.training import train_sae

sys.path.insert(0, str(Path(__file__).parents[3] / "support"))
from dense_topk import planted_directions, planted_rows

D_IN, D_SAE = 32, 80
ROWS, TRUTH = planted_rows(6000, D_IN, 64, 4, seed=0), planted_directions(D_IN, 64, seed=0)
OWN = {
    "topk": {"k": 4},
    "batch_topk": {"k": 4},
    "matryoshka": {"k": 4, "matryoshka_prefixes": (40, 80)},
    "relu": {"l1_coefficient": 3.0},
    "gated": {"l1_coefficient": 0.5},
    "jumprelu": {"target_l0": 4.0, "bandwidth": 0.3, "sparsity_warmup": 0.5},
}
# The planted directions have no levels, so that the small inner dictionary of matryoshka has to blend them.
RECOVERED = {"matryoshka": 0.8}
AUTOGRAD = [name for name in OWN if name != "topk"]
SHARED = {"d_sae": D_SAE, "batch_rows": 128, "lr": 4e-3, "dead_after": 3000}
EXTRA = {"gated": ("r_mag", "b_mag"), "jumprelu": ("log_threshold",)}


def config(name, tokens=120_000, **changes):
    return SAETrainingConfig(architecture=name, tokens=tokens, **{**SHARED, **OWN[name], **changes})


def tensors(result):
    return {**result.sae.to_tensors()[1], **result.history}


def assert_same(a, b):
    assert a.keys() == b.keys()
    for name in a:
        assert a[name].tobytes() == b[name].tobytes(), name


@pytest.fixture(scope="module", params=OWN)
def trained(request):
    return request.param, train_sae(ROWS, config(request.param), sae_seed=11)


class TestTrainedContract:
    def test_it_recovers_planted_directions_at_the_wanted_sparsity(self, trained):
        name, result = trained
        assert result.status == "ok"
        acts, W_dec = result.sae.encode_sparse(ROWS), result.sae.W_dec.numpy()
        np.testing.assert_allclose(np.linalg.norm(W_dec, axis=1), 1, rtol=1e-5)
        assert (W_dec @ TRUTH.T).max(axis=0).mean() > RECOVERED.get(name, 0.9)
        l0 = acts.nnz / len(ROWS)
        if name == "topk":
            assert (np.diff(acts.indptr) <= 4).all()
        if name in ("topk", "batch_topk", "matryoshka", "jumprelu"):
            assert l0 == pytest.approx(4, rel=0.2)
        assert 1 < l0 < 8

    def test_sparse_and_dense_agree_and_nothing_is_nan(self, trained):
        _, result = trained
        np.testing.assert_array_equal(
            result.sae.encode_sparse(ROWS[:200]).toarray(), result.sae.encode(ROWS[:200])
        )
        assert all(np.isfinite(held).all() for held in tensors(result).values())

    def test_it_survives_a_file(self, trained, tmp_path):
        _, result = trained
        save_sae(result.sae, tmp_path / "sae")
        again = load_sae(tmp_path / "sae")
        np.testing.assert_array_equal(again.reconstruct(ROWS[:50]), result.sae.reconstruct(ROWS[:50]))


@pytest.mark.parametrize("name", OWN)
def test_a_resumed_training_ends_in_the_same_bytes_and_seeds_differ(name):
    short, states = config(name, tokens=5000, dead_after=300), []
    whole = train_sae(ROWS, short, sae_seed=3, on_state=lambda *state: states.append(state), state_every=17)
    assert_same(tensors(whole), tensors(train_sae(ROWS, short, sae_seed=3, state=states[0])))
    other = train_sae(ROWS, short, sae_seed=4)
    assert not np.array_equal(whole.sae.W_dec.numpy(), other.sae.W_dec.numpy())


def parameters(name, dtype=torch.float64, device="cpu"):
    rng = np.random.default_rng(5)
    W_dec = rng.standard_normal((D_SAE, D_IN))
    W_dec *= (1 if name != "relu" else rng.uniform(0.2, 2, (D_SAE, 1))) / np.linalg.norm(
        W_dec, axis=1, keepdims=True
    )
    held = {"W_enc_rows": W_dec + 0.1 * rng.standard_normal(W_dec.shape), "W_dec": W_dec}
    held |= {"b_enc": 0.1 * rng.standard_normal(D_SAE), "b_dec": 0.1 * rng.standard_normal(D_IN)}
    held |= {extra: -0.5 + 0.1 * rng.standard_normal(D_SAE) for extra in EXTRA.get(name, ())}
    return Parameters.of({key: torch.from_numpy(value).to(dtype).to(device) for key, value in held.items()})


def stepper(name, p, **changes):
    silent = torch.zeros(D_SAE, dtype=torch.int64, device=p.b_enc.device)
    return make_stepper(config(name, **changes), p, p.zeros_like(), p.zeros_like(), silent, n_steps=100)


def dense(name, w, x):
    """Activations and loss of a batch, from the papers' formulas; thresholds by their stated gradients."""
    seen = x if name == "relu" else x - w["b_dec"]
    pre = seen @ w["W_enc_rows"].T + w["b_enc"]
    spread, n = (x - x.mean(0)).pow(2).sum(), len(x)
    if name in ("batch_topk", "matryoshka"):
        cut = pre.detach().flatten().sort().values[-4 * n]
        acts = pre * (pre >= cut) * (pre > 0)
        sizes = (80,) if name == "batch_topk" else (40, 80)
        errors = [(x - w["b_dec"] - acts[:, :p] @ w["W_dec"][:p]).pow(2).sum() / spread for p in sizes]
        return acts, sum(errors) / len(errors)
    if name == "relu":
        acts = pre.clamp_min(0)
        error = (x - acts @ w["W_dec"] - w["b_dec"]).pow(2).sum()
        return acts, (error + 3.0 * (acts * w["W_dec"].pow(2).sum(1).sqrt()).sum()) / n
    if name == "gated":
        acts = (pre > 0) * ((pre - w["b_enc"]) * w["r_mag"].exp() + w["b_mag"]).clamp_min(0)
        error = (x - acts @ w["W_dec"] - w["b_dec"]).pow(2).sum()
        by_gate = (x - pre.clamp_min(0) @ w["W_dec"].detach() - w["b_dec"].detach()).pow(2).sum()
        return acts, (error + 0.5 * pre.clamp_min(0).sum() + by_gate) / n
    threshold = w["log_threshold"].exp()
    fires = (pre > threshold).to(pre)
    near = ((pre - threshold).abs() < 0.15).to(pre).detach() / 0.3
    # A term of value 0 whose derivative is the straight-through one.
    moving = -near * (threshold - threshold.detach())
    acts = pre * fires + threshold.detach() * moving
    error = (x - acts @ w["W_dec"] - w["b_dec"]).pow(2).sum()
    return acts, error / n + ((fires + moving).sum() / n / 4.0 - 1).pow(2)


@pytest.mark.parametrize("name", AUTOGRAD)
def test_loss_and_gradients_are_those_of_the_dense_formula(name):
    p, x = parameters(name), torch.from_numpy(planted_rows(64, D_IN, 50, 4, seed=2)).double()
    leaves = [{key: t.clone().requires_grad_() for key, t in p.named().items()} for _ in range(2)]
    loss, *_ = stepper(name, p).losses(leaves[0], x, torch.zeros(0, dtype=torch.int64), t=100)
    _, wanted = dense(name, leaves[1], x)
    torch.testing.assert_close(loss, wanted, rtol=1e-12, atol=0)
    found, expected = (
        torch.autograd.grad(y, list(w.values())) for y, w in zip((loss, wanted), leaves, strict=True)
    )
    for key, a, b in zip(p.named(), found, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-11, msg=key)
        assert (a != 0).any(), key


@pytest.mark.parametrize("name", ["relu", "gated", "jumprelu"])
def test_folding_changes_no_value(name):
    p, x, scale = parameters(name), torch.from_numpy(planted_rows(64, D_IN, 50, 4, seed=2)).double(), 0.37
    sae = folded(config(name), p, stepper(name, p), scale)
    seen = x - sae.b_dec if sae.subtract_b_dec else x
    raw = sae.activation(seen @ sae.W_enc + sae.b_enc) @ sae.W_dec + sae.b_dec
    acts, _ = dense(name, p.named(), x * scale)
    torch.testing.assert_close(raw * scale, acts @ p.W_dec + p.b_dec, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name", AUTOGRAD)
def test_steps_stay_on_their_device(name):
    p = parameters(name, torch.float32, "meta")
    run, x = stepper(name, p), torch.empty(16, D_IN, device="meta")
    dead = torch.empty(4, dtype=torch.int64, device="meta")
    leaves = {key: value.detach().requires_grad_() for key, value in p.named().items()}
    loss, _, _, values = run.losses(leaves, x, dead)
    run.apply(
        dict(zip(leaves, torch.autograd.grad(loss, list(leaves.values())), strict=True)),
        Rates(1e-3, 0, 0.99, 1e-8, 1),
    )
    run.observe(values.detach())
    assert all(value.device.type == "meta" for value in p.named().values())
    with FakeTensorMode(), torch.no_grad():
        p = Parameters.of({key: torch.empty(t.shape, device="cuda") for key, t in p.named().items()})
        run = stepper(name, p)
        dead = torch.zeros(4, dtype=torch.int64, device="cuda")
        found = run.losses(p.named(), torch.empty(16, D_IN, device="cuda"), dead)
        assert {part.device.type for part in found} == {"cuda"}
        run.apply(p.zeros_like().named(), Rates(1e-3, 0.9, 0.99, 1e-8, 1))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"architecture": "relu", "k": 3}, "k must be absent from relu"),
        ({"architecture": "batch_topk"}, "k must be given for batch_topk"),
        ({"k": 3, "bandwidth": 0.1}, "bandwidth must be absent from topk"),
        ({"architecture": "gated"}, "l1_coefficient must be given"),
        ({"architecture": "jumprelu"}, "target_l0 or l0_coefficient must be given"),
        ({"architecture": "jumprelu", "target_l0": 99}, "target_l0 must be at most"),
        (
            {"architecture": "matryoshka", "k": 3, "matryoshka_prefixes": [8, 4]},
            "matryoshka_prefixes must be rising",
        ),
    ],
)
def test_numbers_of_another_architecture_are_refused(given, said):
    with pytest.raises(ValidationError, match=said):
        SAETrainingConfig(d_sae=16, tokens=10, **given)


def test_defaults_are_those_of_the_papers():
    assert config("jumprelu").betas == config("gated").betas == (0, 0.999)
    assert config("relu", lr=None).peak_lr == 5e-5
    assert config("matryoshka", matryoshka_prefixes=None).prefixes == (5, 10, 20, 40, 80)
