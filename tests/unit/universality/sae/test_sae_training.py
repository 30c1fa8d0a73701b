"""Training: what it reaches, that it resumes to the same bytes, and what it refuses."""

import numpy as np
import pytest
import torch
from dense_topk import DenseTopK, planted_rows

from universality.errors import InputError
from universality.sae.sae_config import SAETrainingConfig
from universality.sae.training import train_sae
from universality.sae.training_loop import schedule

D_IN, D_SAE, K = 32, 128, 4
ROWS = planted_rows(6000, D_IN, 64, 4, seed=0)
CONFIG = SAETrainingConfig(d_sae=D_SAE, k=K, tokens=40_000, batch_rows=128, lr=4e-3, dead_after=3000)


@pytest.fixture(scope="module")
def trained():
    return train_sae(ROWS, CONFIG, sae_seed=11)


def tensors(result):
    return {**result.sae.to_tensors()[1], **result.history, "init_cosine": result.init_cosine}


def assert_same(a, b):
    assert a.keys() == b.keys()
    for name in a:
        assert a[name].tobytes() == b[name].tobytes(), name


def test_it_explains_planted_directions(trained):
    assert trained.status == "ok"
    assert trained.fvu < 0.15
    assert trained.l0 == pytest.approx(K, abs=0.2)
    assert trained.tokens == 313 * 128
    recon = trained.sae.reconstruct(ROWS)
    spread = ((ROWS - ROWS.mean(0)) ** 2).sum()
    assert ((ROWS - recon) ** 2).sum() / spread == pytest.approx(trained.fvu, abs=0.03)


def test_decoder_rows_are_unit_and_starts_are_reported(trained):
    norms = trained.sae.W_dec.norm(dim=1)
    torch.testing.assert_close(norms, torch.ones(D_SAE), rtol=0, atol=1e-5)
    assert trained.init_cosine.shape == (D_SAE,)
    assert (np.abs(trained.init_cosine) <= 1 + 1e-6).all()
    still = train_sae(ROWS, CONFIG.model_copy(update={"lr": 1e-12, "tokens": 512}), sae_seed=11)
    np.testing.assert_allclose(still.init_cosine, 1, atol=1e-5)
    assert trained.init_cosine.mean() < 0.9


def test_equal_seeds_equal_bytes_other_seeds_other_starts(trained):
    assert_same(tensors(trained), tensors(train_sae(ROWS, CONFIG, sae_seed=11)))
    short = CONFIG.model_copy(update={"tokens": 256, "lr": 1e-12})
    a, b = (train_sae(ROWS, short, sae_seed=seed).sae.W_dec for seed in (1, 2))
    assert float((a * b).sum(1).abs().mean()) < 0.3


@pytest.mark.parametrize("stop", [7, 60])
def test_resumed_training_ends_with_the_same_bytes(trained, stop):
    states = []
    train_sae(ROWS, CONFIG, sae_seed=11, on_state=lambda *state: states.append(state), state_every=stop)
    assert states[0][1]["step"] == stop
    resumed = train_sae(ROWS, CONFIG, sae_seed=11, state=states[0])
    assert_same(tensors(trained), tensors(resumed))


def test_dead_latents_reach_the_auxiliary_loss_and_states_carry_them():
    # Few rows per step and an early deadline: the auxiliary loss is at work when the state is taken.
    config = CONFIG.model_copy(update={"tokens": 8000, "dead_after": 300, "aux_coefficient": 0.5})
    states, dead = [], []
    whole = train_sae(
        ROWS,
        config,
        sae_seed=3,
        on_state=lambda *state: states.append(state),
        state_every=11,
        progress=lambda done, total, **facts: dead.append(facts["dead"]),
    )
    assert max(dead) > 0
    assert_same(tensors(whole), tensors(train_sae(ROWS, config, sae_seed=3, state=states[1])))
    without = train_sae(ROWS, config.model_copy(update={"aux_k": 0}), sae_seed=3)
    assert whole.history["loss"][-1] != without.history["loss"][-1]


def test_it_is_as_good_as_the_dense_reference(trained):
    dense = DenseTopK(D_IN, D_SAE, K, seed=1)
    scale = D_IN**0.5 / np.linalg.norm(ROWS, axis=1).mean()
    rows = torch.from_numpy(ROWS * np.float32(scale))
    with torch.no_grad():
        dense.b_dec.copy_(rows.median(0).values)
    optimizer = torch.optim.Adam(dense.parameters(), lr=4e-3, eps=CONFIG.eps)
    order = torch.Generator().manual_seed(0)
    for step in range(313):
        optimizer.param_groups[0]["lr"] = 4e-3 * schedule(step, 313, CONFIG)
        dense.step(rows[torch.randint(0, len(rows), (128,), generator=order)], optimizer)
    left = ((ROWS - trained.sae.reconstruct(ROWS)) ** 2).sum() / ((ROWS - ROWS.mean(0)) ** 2).sum()
    assert left <= float(dense.loss(rows).detach()) * 1.1


def test_scale_of_the_data_changes_nothing_but_units():
    config = CONFIG.model_copy(update={"tokens": 5120})
    small, large = (train_sae(ROWS * factor, config, sae_seed=5) for factor in (np.float32(1), np.float32(64)))
    assert large.fvu == pytest.approx(small.fvu, rel=1e-3)
    np.testing.assert_allclose(
        large.sae.encode(ROWS[:50] * 64).max(), 64 * small.sae.encode(ROWS[:50]).max(), rtol=1e-2
    )


def test_several_passes_and_short_data():
    result = train_sae(ROWS[:100], CONFIG.model_copy(update={"tokens": 2000}), sae_seed=1)
    assert result.status == "ok"
    assert result.tokens == 2048


def test_float16_and_read_only_maps_are_taken(tmp_path):
    np.save(tmp_path / "rows.npy", ROWS[:1000].astype(np.float16))
    mapped = np.load(tmp_path / "rows.npy", mmap_mode="r")
    config = CONFIG.model_copy(update={"tokens": 1000})
    assert_same(
        tensors(train_sae(mapped, config, sae_seed=2)),
        tensors(train_sae(np.asarray(mapped), config, sae_seed=2)),
    )


def test_divergence_is_a_status():
    rows = ROWS.copy()
    rows[:, :] *= 1e20
    result = train_sae(rows, CONFIG.model_copy(update={"normalise": False, "tokens": 2000}), sae_seed=1)
    assert result.status == "diverged"
    assert result.tokens == 0
    assert torch.isfinite(result.sae.W_dec).all()


def test_a_dictionary_that_never_fires_is_a_status():
    config = CONFIG.model_copy(update={"tokens": 1000, "dead_after": 256, "lr": 1e-12})
    flat = np.zeros((500, D_IN), np.float32)
    result = train_sae(flat, config, sae_seed=1)
    assert result.status == "dead"
    assert result.dead_fraction == 1.0


def test_misuse_is_refused(trained):
    with pytest.raises(InputError, match="activations of train_sae must be a two-dimensional array"):
        train_sae(ROWS[0], CONFIG, sae_seed=1)
    with pytest.raises(InputError, match="finite"):
        train_sae(np.full((20, 4), np.nan, np.float32), CONFIG, sae_seed=1)
    states = []
    short = CONFIG.model_copy(update={"tokens": 2000})
    train_sae(ROWS, short, sae_seed=1, on_state=lambda *state: states.append(state), state_every=3)
    for change in ({"sae_seed": 2}, {"config": CONFIG}):
        arguments = {"config": short, "sae_seed": 1, **change}
        with pytest.raises(InputError, match="same training"):
            train_sae(ROWS, arguments["config"], sae_seed=arguments["sae_seed"], state=states[0])
    with pytest.raises(ValueError, match="at most d_sae"):
        SAETrainingConfig(d_sae=8, k=9, tokens=10)


def test_schedule_rises_holds_and_falls():
    rates = [schedule(step, 100, CONFIG) for step in range(100)]
    assert rates[0] == pytest.approx(0.2)
    assert rates[4:80] == [1.0] * 76
    assert rates[-1] == pytest.approx(1 / 20)
    assert rates[80:] == sorted(rates[80:], reverse=True)


def test_default_rate_follows_the_size():
    assert SAETrainingConfig(d_sae=16384, k=1, tokens=1).peak_lr == pytest.approx(2e-4)
    assert SAETrainingConfig(d_sae=1024, k=1, tokens=1).peak_lr == pytest.approx(8e-4)


#: Held-out fvu after 300 steps on the rows below, as ``tests/benchmarks/quality.py`` measured it (eai-sparsify 1.3.3,
#: dictionary-learning 0.1.0; Adam, one rate and batch size for all).
PUBLIC_TRAINERS = {"sparsify": 0.2970, "dictionary_learning": 0.2767}


def test_short_trainings_end_below_those_of_public_trainers():
    rows = planted_rows(24_000, 32, 192, 4, seed=3)
    train, held_out = rows[:-4000], rows[-4000:]
    config = SAETrainingConfig(d_sae=256, k=5, tokens=300 * 128, batch_rows=128, lr=3e-3)
    left = ((held_out - train_sae(train, config, sae_seed=1).sae.reconstruct(held_out)) ** 2).sum()
    assert left / ((held_out - held_out.mean(0)) ** 2).sum() < 0.95 * min(PUBLIC_TRAINERS.values())
