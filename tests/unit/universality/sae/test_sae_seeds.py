"""Several seeds on the same batches: who diverges stops alone, and one batched step is the steps one by one."""
# pyright: reportMissingImports=false

from dataclasses import replace

import numpy as np
import pytest
import torch
from dense_architectures import LEAST
from dense_topk import planted_rows
from torch._subclasses.fake_tensor import FakeTensorMode

from universality.errors import InputError
from universality.sae import training_loop
from universality.sae.autograd_step import AutogradStep, Rates
from universality.sae.device_steps import DeviceSteps
from universality.sae.sae_config import SAETrainingConfig
from universality.sae.training import train_sae, train_saes
from universality.sae.training_state import Parameters, TrainingState

D_IN, D_SAE, K, SEEDS = 24, 70, 5, 3
ROWS = planted_rows(3000, D_IN, 50, 4, seed=0)


OWN = {
    "topk": {"k": K, "aux_coefficient": 0.5, "aux_k": 6},
    "batch_topk": {"k": K, "aux_coefficient": 0.5, "aux_k": 6},
    "matryoshka": {"k": K, "aux_coefficient": 0.5, "aux_k": 6},
    "relu": {"l1_coefficient": 1.0},
    "relu_2023": {"l1_coefficient": 1.0},
    "gated": {"l1_coefficient": 0.5},
    "jumprelu": {"target_l0": 4.0, "bandwidth": 0.3},
}
RATES = Rates(2e-3, 0.9, 0.99, 1e-6, 1)


def config(name, **changes):
    shared = {"d_sae": D_SAE, "tokens": 6400, "batch_rows": 128, "lr": 4e-3, "dead_after": 400}
    return SAETrainingConfig.model_validate({"architecture": name, **shared, **OWN[name], **changes})


def stacked(name, device="cpu"):
    rng = np.random.default_rng(1)
    W_dec = rng.standard_normal((SEEDS, D_SAE, D_IN))
    W_dec /= np.linalg.norm(W_dec, axis=-1, keepdims=True)
    held = {
        "W_enc_rows": W_dec + 0.1 * rng.standard_normal(W_dec.shape),
        "W_dec": W_dec,
        "b_enc": 0.1 * rng.standard_normal((SEEDS, D_SAE)),
        "b_dec": 0.1 * rng.standard_normal((SEEDS, D_IN)),
    }
    held |= {extra: -0.5 + 0.1 * rng.standard_normal((SEEDS, D_SAE)) for extra in LEAST.get(name, ())}
    return Parameters.of({k: torch.from_numpy(v.astype(np.float32)).to(device) for k, v in held.items()})


def stepper(name, p, **changes):
    own = config(name, **changes)
    return AutogradStep(own, TrainingState.fresh(p, own.kind.buffers), n_steps=100)


def batch(t):
    return torch.from_numpy(planted_rows(64, D_IN, 50, 4, seed=t))


def state(run):
    """Everything that a training would save, per seed."""
    return {name: value for name, value in run.state.named().items() if name != "silent"}


@pytest.mark.parametrize("n_dead", [(0, 0, 0), (3, 0, 20), (6, 70, 7)])
@pytest.mark.parametrize("name", OWN)
def test_a_batched_step_is_the_steps_of_the_seeds(name, n_dead):
    p = stacked(name)
    run, singles = stepper(name, p), []
    dead = torch.zeros((SEEDS, D_SAE), dtype=torch.bool)
    for i, count in enumerate(n_dead):
        dead[i, torch.from_numpy(np.random.default_rng(i).permutation(D_SAE)[:count])] = True
        own = Parameters.of({key: value[i].clone() for key, value in p.named().items()})
        singles.append(stepper(name, own))
    for t in range(1, 7):
        x, rates = batch(t), replace(RATES, t=t)
        for i, (found, single) in enumerate(zip(run.steps(x, dead, rates), singles, strict=True)):
            alone = single.step(x, torch.nonzero(dead[i]).flatten(), rates)
            assert found.loss == pytest.approx(alone.loss, rel=1e-4)
            assert found.fvu == pytest.approx(alone.fvu, rel=1e-4)
            assert found.l0 == pytest.approx(alone.l0, rel=1e-2)
        if name == "relu_2023" and t == 3:
            # One seed starts afresh, one has as many dead latents and waits, one has none.
            run.state.silent[:2, :9] = singles[0].state.silent[:9] = singles[1].state.silent[:9] = 1000
            for i in (1, 2):
                counts = [
                    one.config.kind.resample(one, batch(50 + i), 500, t, np.random.default_rng(i))
                    for one in (run.of_seed(i), singles[i])
                ]
                assert counts == ([9, 9] if i == 1 else [0, 0])
            assert run.state.silent[:, :9].max(dim=1).values.tolist()[:2] == [1000, 0]
    for i, single in enumerate(singles):
        for key, value in state(single).items():
            torch.testing.assert_close(state(run)[key][i], value, rtol=1e-3, atol=2e-4, msg=key)
        assert float((run.state.silent[i] == single.state.silent).float().mean()) > 0.95


@pytest.mark.parametrize("name", OWN)
def test_a_seed_whose_loss_is_not_finite_keeps_a_batched_step_from_changing_any(name):
    run = stepper(name, stacked(name))
    run.state.p.b_dec[1, 0] = float("nan")
    before = {key: value.clone() for key, value in state(run).items()}
    outcomes = run.steps(batch(1), torch.zeros((SEEDS, D_SAE), dtype=torch.bool), RATES)
    assert [bool(np.isfinite(outcome.loss)) for outcome in outcomes] == [True, False, True]
    for key, value in state(run).items():
        torch.testing.assert_close(value, before[key], rtol=0, atol=0, equal_nan=True)
    assert (run.state.silent == 0).all()


def test_the_gradient_of_each_seed_is_cut_by_its_own_norm():
    run = stepper("relu", stacked("relu"))
    grads = run.state.p.zeros_like().named()
    grads["b_enc"][0, 0], grads["b_dec"][1, :2] = 50.0, torch.tensor([0.3, 0.4])
    run.apply(grads, RATES)
    norms = [torch.stack([m[i].norm() for m in run.state.m.named().values()]).norm() / 0.1 for i in range(SEEDS)]
    assert [float(norm) for norm in norms] == pytest.approx([1.0, 0.5, 0.0], rel=1e-5)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("name", OWN)
def test_batched_steps_stay_on_their_device(name, precision):
    p = stacked(name, "meta")
    run, dead = (
        stepper(name, p, precision=precision),
        torch.ones((SEEDS, D_SAE), dtype=torch.bool, device="meta"),
    )
    leaves = {key: value.detach().requires_grad_() for key, value in p.named().items()}
    found = run.losses(leaves, torch.empty((16, D_IN), device="meta"), dead)
    grads = torch.autograd.grad(found.loss.sum(), list(leaves.values()))
    run.apply(dict(zip(leaves, grads, strict=True)), RATES)
    run.observe(found.values.detach())
    assert found.loss.shape == found.fvu.shape == (SEEDS,)
    assert found.fired.shape == (SEEDS, D_SAE)
    assert {value.device.type for value in state(run).values()} == {"meta"}
    with FakeTensorMode(), torch.no_grad():
        p = Parameters.of({key: torch.empty(t.shape, device="cuda") for key, t in p.named().items()})
        run, dead = (
            stepper(name, p, precision=precision),
            torch.ones((SEEDS, D_SAE), dtype=torch.bool, device="cuda"),
        )
        found = run.losses(p.named(), torch.empty((16, D_IN), device="cuda"), dead)
        assert {part.device.type for part in found} == {"cuda"}
        run.apply(p.zeros_like().named(), RATES)
        assert {value.device.type for value in state(run).values()} == {"cuda"}


def test_seeds_take_their_steps_as_one_wherever_they_are_not_on_the_cpu():
    for name in OWN:
        assert not training_loop.runs_batched(config(name), torch.device("cpu"))
        assert training_loop.runs_batched(config(name), torch.device("cuda"))


@pytest.mark.parametrize("name", OWN)
def test_batched_training_ends_where_the_seeds_end_alone(monkeypatch, name):
    monkeypatch.setattr(training_loop, "runs_batched", lambda config, device: True)
    steps, step = [], DeviceSteps.step
    monkeypatch.setattr(DeviceSteps, "step", lambda self: steps.append(1) or step(self))
    own = config(name, **({"resample_at": [0.4]} if name == "relu_2023" else {}))
    together = train_saes(ROWS, own, sae_seeds=[5, 6, 7], order_seed=2)
    assert len(steps) >= 50
    for seed, result in zip((5, 6, 7), together, strict=True):
        alone = train_sae(ROWS, own, sae_seed=seed, order_seed=2)
        assert result.fvu == pytest.approx(alone.fvu, rel=0.02)
        assert result.l0 == pytest.approx(alone.l0, rel=0.02)
        assert result.tokens == alone.tokens
        # The first steps differ by rounding only.
        np.testing.assert_allclose(result.history["loss"][:5], alone.history["loss"][:5], rtol=1e-4)
        for key, value in result.sae.activation.tensors().items():
            np.testing.assert_allclose(value, alone.sae.activation.tensors()[key], rtol=0.2, atol=0.02)


@pytest.mark.parametrize(
    ("name", "as_one"), [("topk", False), *((name, True) for name in ("topk", "batch_topk", "relu"))]
)
def test_who_diverges_stops_alone(monkeypatch, name, as_one):
    monkeypatch.setattr(training_loop, "runs_batched", lambda config, device: as_one)
    seeds, states = [5, 6, 7], []
    options, own = {"sae_seeds": seeds, "order_seed": 2}, config(name)
    whole = train_saes(ROWS, own, **options, on_state=lambda *state: states.append(state), state_every=20)
    arrays, meta = states[0]
    arrays = {**arrays, "1/weight/b_dec": np.full_like(arrays["1/weight/b_dec"], np.nan)}
    again = []
    broken = train_saes(
        ROWS,
        own,
        **options,
        state=(arrays, meta),
        on_state=lambda *state: again.append(state),
        state_every=10,
    )
    assert [result.status for result in broken] == ["ok", "diverged", "ok"]
    assert broken[1].tokens == 20 * 128
    for i in (0, 2):
        if not as_one:
            assert broken[i].sae.W_dec.numpy().tobytes() == whole[i].sae.W_dec.numpy().tobytes()
        assert broken[i].fvu == pytest.approx(whole[i].fvu, rel=0.02)
    # And it stays so over another interruption.
    resumed = train_saes(ROWS, own, **options, state=again[-1])
    assert [result.status for result in resumed] == ["ok", "diverged", "ok"]
    for i in range(3):
        assert resumed[i].sae.W_dec.numpy().tobytes() == broken[i].sae.W_dec.numpy().tobytes()


@pytest.mark.parametrize("seeds", [[], [3, 3]])
def test_equal_seeds_are_refused(seeds):
    with pytest.raises(InputError, match="sae_seeds of train_saes must be at least one, all different"):
        train_saes(ROWS, config("topk"), sae_seeds=seeds, order_seed=0)


def test_states_of_other_seeds_are_refused():
    states = []
    options = {"on_state": lambda *state: states.append(state), "state_every": 20}
    train_saes(ROWS, config("topk"), sae_seeds=[1, 2], order_seed=0, **options)
    for given in ({"sae_seeds": [2, 1], "order_seed": 0}, {"sae_seeds": [1, 2], "order_seed": 1}):
        with pytest.raises(InputError, match="of the same training"):
            train_saes(ROWS, config("topk"), **given, state=states[0])
