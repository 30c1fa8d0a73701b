"""Several seeds on the same batches: who diverges stops alone, and one batched step is the steps one by one."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from universality.errors import InputError
from universality.sae import training
from universality.sae.batched import BatchedTopKStep
from universality.sae.config import SAETrainingConfig
from universality.sae.step import TorchStep
from universality.sae.stepper import Parameters, Rates
from universality.sae.training import train_sae, train_saes

sys.path.insert(0, str(Path(__file__).parents[3] / "support"))
from dense_topk import planted_rows

D_IN, D_SAE, K, SEEDS = 24, 70, 5, 3
ROWS = planted_rows(3000, D_IN, 50, 4, seed=0)
CONFIG = SAETrainingConfig.model_validate(
    {"d_sae": D_SAE, "k": K, "tokens": 6400, "batch_rows": 128, "lr": 4e-3, "dead_after": 400}
)


def stacked(device="cpu"):
    rng = np.random.default_rng(1)
    W_dec = rng.standard_normal((SEEDS, D_SAE, D_IN)).astype(np.float32)
    W_dec /= np.linalg.norm(W_dec, axis=-1, keepdims=True)
    held = {
        "W_enc_rows": W_dec + 0.1 * rng.standard_normal(W_dec.shape),
        "W_dec": W_dec,
        "b_enc": 0.1 * rng.standard_normal((SEEDS, D_SAE)),
        "b_dec": 0.1 * rng.standard_normal((SEEDS, D_IN)),
    }
    return Parameters.of({k: torch.from_numpy(v.astype(np.float32)).to(device) for k, v in held.items()})


def batched(p, aux_k=6, coefficient=0.5):
    silent = torch.zeros((SEEDS, D_SAE), dtype=torch.int64, device=p.b_enc.device)
    return BatchedTopKStep(
        p, p.zeros_like(), p.zeros_like(), silent, k=K, aux_k=aux_k, aux_coefficient=coefficient
    )


@pytest.mark.parametrize("n_dead", [(0, 0, 0), (3, 0, 20), (6, 70, 7)])
def test_a_batched_step_is_the_steps_of_the_seeds(n_dead):
    p = stacked()
    run = batched(p)
    dead = torch.zeros((SEEDS, D_SAE), dtype=torch.bool)
    singles = []
    for i, count in enumerate(n_dead):
        dead[i, torch.from_numpy(np.random.default_rng(i).permutation(D_SAE)[:count])] = True
        own = Parameters.of({name: value[i].clone() for name, value in p.named().items()})
        silent = torch.zeros(D_SAE, dtype=torch.int64)
        held = (own, own.zeros_like(), own.zeros_like(), silent)
        singles.append(TorchStep(*held, k=K, aux_k=6, aux_coefficient=0.5))
    for t in range(1, 6):
        x = torch.from_numpy(planted_rows(64, D_IN, 50, 4, seed=t))
        rates = Rates(2e-3, 0.9, 0.99, 1e-8, t)
        outcomes = run.step(x, dead, rates)
        for i, single in enumerate(singles):
            alone = single.step(x, torch.nonzero(dead[i]).flatten(), rates)
            assert outcomes[i].loss == pytest.approx(alone.loss, rel=1e-4)
            assert outcomes[i].fvu == pytest.approx(alone.fvu, rel=1e-4)
            assert outcomes[i].l0 == pytest.approx(alone.l0, rel=1e-2)
    for i, single in enumerate(singles):
        for name, value in single.p.named().items():
            torch.testing.assert_close(p.named()[name][i], value, rtol=1e-3, atol=2e-4, msg=name)
        assert float((run.silent[i] == single.silent).float().mean()) > 0.95


def test_a_seed_whose_loss_is_not_finite_keeps_a_batched_step_from_changing_any():
    p = stacked()
    p.b_dec[1, 0] = float("nan")
    before = {name: value.clone() for name, value in p.named().items()}
    x = torch.from_numpy(planted_rows(64, D_IN, 50, 4, seed=1))
    dead = torch.zeros((SEEDS, D_SAE), dtype=torch.bool)
    outcomes = batched(p).step(x, dead, Rates(1e-3, 0.9, 0.99, 1e-8, 1))
    assert [bool(np.isfinite(outcome.loss)) for outcome in outcomes] == [True, False, True]
    for name, value in p.named().items():
        torch.testing.assert_close(value, before[name], rtol=0, atol=0, equal_nan=True)


def test_batched_steps_stay_on_their_device():
    p = stacked("meta")
    run, dead = batched(p), torch.zeros((SEEDS, D_SAE), dtype=torch.bool, device="meta")
    leaves = {name: value.detach().requires_grad_() for name, value in p.named().items()}
    losses, *_ = run.losses(leaves, torch.empty((16, D_IN), device="meta"), dead)
    run.apply(losses, leaves, Rates(1e-3, 0.9, 0.99, 1e-8, 1))
    assert losses.shape == (SEEDS,)
    assert all(value.device.type == "meta" for value in p.named().values())
    with FakeTensorMode(), torch.no_grad():
        p = Parameters.of({name: torch.empty(t.shape, device="cuda") for name, t in p.named().items()})
        dead = torch.zeros((SEEDS, D_SAE), dtype=torch.bool, device="cuda")
        found = batched(p).losses(p.named(), torch.empty((16, D_IN), device="cuda"), dead)
        assert {part.device.type for part in found} == {"cuda"}


def test_batched_training_ends_where_the_seeds_end_alone(monkeypatch):
    monkeypatch.setattr(training, "runs_batched", lambda config, device: True)
    steps = []
    step = BatchedTopKStep.step
    monkeypatch.setattr(BatchedTopKStep, "step", lambda self, *given: steps.append(1) or step(self, *given))
    together = train_saes(ROWS, CONFIG, sae_seeds=[5, 6, 7], order_seed=2)
    assert len(steps) == 50
    for seed, result in zip((5, 6, 7), together, strict=True):
        alone = train_sae(ROWS, CONFIG, sae_seed=seed, order_seed=2)
        assert result.fvu == pytest.approx(alone.fvu, rel=0.02)
        assert result.tokens == alone.tokens
        # The first steps differ by rounding only.
        np.testing.assert_allclose(result.history["loss"][:5], alone.history["loss"][:5], rtol=1e-4)


@pytest.mark.parametrize("as_one", [False, True])
def test_who_diverges_stops_alone(monkeypatch, as_one):
    monkeypatch.setattr(training, "runs_batched", lambda config, device: as_one)
    seeds, states = [5, 6, 7], []
    options = {"sae_seeds": seeds, "order_seed": 2}
    whole = train_saes(ROWS, CONFIG, **options, on_state=lambda *state: states.append(state), state_every=20)
    arrays, meta = states[0]
    arrays = {**arrays, "1/weight/b_dec": np.full_like(arrays["1/weight/b_dec"], np.nan)}
    again = []
    broken = train_saes(
        ROWS,
        CONFIG,
        **options,
        state=(arrays, meta),
        on_state=lambda *state: again.append(state),
        state_every=10,
    )
    assert [result.status for result in broken] == ["ok", "diverged", "ok"]
    assert broken[1].tokens == 20 * 128
    if not as_one:
        for i in (0, 2):
            assert broken[i].sae.W_dec.numpy().tobytes() == whole[i].sae.W_dec.numpy().tobytes()
    # And it stays so over another interruption.
    resumed = train_saes(ROWS, CONFIG, **options, state=again[-1])
    assert [result.status for result in resumed] == ["ok", "diverged", "ok"]
    for i in range(3):
        assert resumed[i].sae.W_dec.numpy().tobytes() == broken[i].sae.W_dec.numpy().tobytes()


@pytest.mark.parametrize("seeds", [[], [3, 3]])
def test_equal_seeds_are_refused(seeds):
    with pytest.raises(InputError, match="sae_seeds of train_saes must be at least one, all different"):
        train_saes(ROWS, CONFIG, sae_seeds=seeds, order_seed=0)


def test_states_of_other_seeds_are_refused():
    states = []
    options = {"on_state": lambda *state: states.append(state), "state_every": 20}
    train_saes(ROWS, CONFIG, sae_seeds=[1, 2], order_seed=0, **options)
    for given in ({"sae_seeds": [2, 1], "order_seed": 0}, {"sae_seeds": [1, 2], "order_seed": 1}):
        with pytest.raises(InputError, match="of the same training"):
            train_saes(ROWS, CONFIG, **given, state=states[0])
