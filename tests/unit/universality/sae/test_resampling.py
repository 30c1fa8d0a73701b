"""Dead latents that start afresh: by whose definition, from which rows, and to what good."""

import numpy as np
import pytest
import torch
from dense_topk import planted_directions, planted_rows

from universality.sae.architectures.relu_2023 import start_afresh
from universality.sae.autograd_step import AutogradStep
from universality.sae.sae_config import SAETrainingConfig
from universality.sae.stream import rows_to_measure
from universality.sae.training import train_sae
from universality.sae.training_state import Parameters, TrainingState

D_IN, D_SAE, KILLED = 32, 80, 50
ROWS, TRUTH = planted_rows(6000, D_IN, 64, 4, seed=0), planted_directions(D_IN, 64, seed=0)


def weights(d_sae=6, d_in=4):
    rng = np.random.default_rng(0)

    def tensor(*shape):
        return torch.from_numpy(rng.standard_normal(shape))

    return Parameters(tensor(d_sae, d_in), tensor(d_sae, d_in), tensor(d_sae), tensor(d_in))


def training(p, m, v):
    return TrainingState(p, m, v, torch.zeros(len(p.b_enc), dtype=torch.int64))


def copy(p):
    return Parameters.of({name: value.clone() for name, value in p.named().items()})


def test_new_weights_are_those_of_the_paper_and_the_living_keep_theirs():
    p, m, v = weights(), weights(), weights()
    before, dead = copy(p), torch.tensor([1, 4])
    rows = torch.from_numpy(np.random.default_rng(1).standard_normal((9, 4)))
    losses = torch.zeros(9).double()
    losses[[2, 7]] = 1.0  # the only rows that can be drawn
    changed = start_afresh(training(p, m, v), dead, rows, losses, np.random.default_rng(2))
    assert changed.tolist() == [1, 4]
    wanted = rows[[2, 7]] - p.b_dec
    wanted /= wanted.norm(dim=1, keepdim=True)
    found = p.W_dec[dead]
    torch.testing.assert_close(found[found[:, 0].argsort()], wanted[wanted[:, 0].argsort()])
    living = [0, 2, 3, 5]
    size = 0.2 * before.W_enc_rows[living].norm(dim=1).mean()
    torch.testing.assert_close(p.W_enc_rows[dead], size * p.W_dec[dead])
    assert (p.b_enc[dead] == 0).all()
    torch.testing.assert_close(p.b_dec, before.b_dec)
    for name in ("W_enc_rows", "W_dec", "b_enc"):
        torch.testing.assert_close(getattr(p, name)[living], getattr(before, name)[living])
        for moment in (m, v):
            assert (getattr(moment, name)[dead] == 0).all()
            assert (getattr(moment, name)[living] != 0).all()
    assert (m.b_dec != 0).all()


def test_rows_are_drawn_by_their_squared_loss():
    rows, drawn = torch.eye(4).double(), np.zeros(4)
    losses = torch.tensor([0.0, 1.0, 2.0, 3.0]).double()
    rng = np.random.default_rng(0)
    for _ in range(2000):
        p = weights()
        p.b_dec.zero_()
        start_afresh(training(p, weights(), weights()), torch.tensor([0]), rows, losses, rng)
        drawn[int(p.W_dec[0].argmax())] += 1
    np.testing.assert_allclose(drawn / 2000, np.array([0, 1, 4, 9]) / 14, atol=0.04)


def test_more_dead_latents_than_rows_none_dead_and_all_dead():
    rows, losses = torch.eye(4).double(), torch.tensor([0.0, 1.0, 2.0, 3.0]).double()
    p = weights()
    state = training(p, weights(), weights())
    assert start_afresh(state, torch.arange(6), rows, losses, np.random.default_rng(0)).tolist() == [0, 1, 2]
    assert torch.isfinite(p.W_enc_rows).all()
    assert not len(start_afresh(state, torch.arange(0), rows, losses, np.random.default_rng(0)))
    assert not len(start_afresh(state, torch.arange(6), rows, 0 * losses, np.random.default_rng(0)))
    assert rows_to_measure(64) == 65_536
    assert rows_to_measure(4096) == 8192


def test_dead_are_those_silent_for_as_long_and_their_count_starts_anew():
    p, rows = weights(), torch.from_numpy(np.random.default_rng(1).standard_normal((9, 4)))
    silent, before = torch.tensor([0, 99, 100, 5, 101, 0]), copy(p)
    config = SAETrainingConfig(architecture="relu_2023", d_sae=6, tokens=100, l1_coefficient=1.0, sparsity_warmup=0)
    run = AutogradStep(config, TrainingState(p, weights(), weights(), silent), n_steps=100)
    assert config.kind.resample(run, rows, 100, 5, np.random.default_rng(0)) == 2
    assert silent.tolist() == [0, 99, 0, 5, 0, 0]
    moved = (p.W_dec != before.W_dec).any(dim=1)
    assert torch.nonzero(moved).flatten().tolist() == [2, 4]


@pytest.fixture(scope="module")
def killed():
    """A training at step 60 of 400, with most of its latents shut for good."""
    states = []
    train_sae(ROWS, recipe(), sae_seed=2, on_state=lambda *state: states.append(state), state_every=60)
    arrays, meta = states[0]
    arrays["weight/b_enc"][:KILLED] = -100
    arrays["silent"][:KILLED] = 60 * 128
    return arrays, meta


def recipe(shares=()):
    shared = {"d_sae": D_SAE, "tokens": 400 * 128, "batch_rows": 128, "lr": 1e-2, "dead_after": 3000}
    return SAETrainingConfig(architecture="relu_2023", l1_coefficient=3.0, resample_at=shares, **shared)


def resumed(killed, shares):
    arrays, meta = killed
    config = recipe(shares)
    state = (arrays, {**meta, "config": config.model_dump(mode="json")})
    result = train_sae(ROWS, config, sae_seed=2, state=state)
    return result, (result.sae.W_dec.numpy() @ TRUTH.T).max(axis=0).mean()


def test_latents_that_died_find_directions_again(killed):
    without, cosine_without = resumed(killed, ())
    assert without.dead_fraction >= KILLED / D_SAE
    result, cosine = resumed(killed, (0.3, 0.5))
    assert result.dead_fraction < 0.1
    assert cosine > 0.93
    assert cosine_without < 0.8
    assert result.fvu < 0.8 * without.fvu
    again, _ = resumed(killed, (0.3, 0.5))
    assert again.sae.W_dec.numpy().tobytes() == result.sae.W_dec.numpy().tobytes()
