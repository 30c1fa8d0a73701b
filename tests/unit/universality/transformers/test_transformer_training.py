"""Training transformers: learning, exact resumption, seeds, statuses."""

import math

import numpy as np
import pytest
import torch

from universality.denormals import denormals_are_flushed
from universality.errors import InputError
from universality.transformers.batches import Batches, schedule
from universality.transformers.native import build, weights
from universality.transformers.training import heldout_loss, train
from universality.transformers.transformer_config import TrainingConfig, TransformerConfig

SHAPE = TransformerConfig(n_layers=1, d_model=16, n_heads=2, d_mlp=24, d_vocab=20, n_ctx=12)
CONFIG = TrainingConfig(tokens=12 * 4 * 60, batch_contexts=4, lr=1e-2)
N_STEPS = 60


def cyclic_contexts(n, seed):
    """Counting from a random start: predictable text."""
    start = np.random.default_rng(seed).integers(0, 20, (n, 1))
    return ((start + np.arange(12)) % 20).astype(np.int32)


TRAIN, VALIDATION = cyclic_contexts(50, 0), cyclic_contexts(9, 1)


def run(model_seed=1, data_seed=2, config=CONFIG, contexts=TRAIN, **more):
    model = build(SHAPE, model_seed)
    return model, train(model, contexts, VALIDATION, config, data_seed=data_seed, **more)


def bytes_of(model):
    return {name: value.tobytes() for name, value in weights(model).items()}


def test_it_learns_what_can_be_learnt():
    model, result = run()
    assert result.status == "ok"
    assert result.tokens == 12 * 4 * N_STEPS
    assert len(result.losses) == N_STEPS
    assert result.losses[0] > 2
    assert result.heldout_loss < 0.5
    assert result.heldout_loss == pytest.approx(heldout_loss(model, VALIDATION, batch_contexts=2), rel=1e-5)
    logits = model(torch.from_numpy(VALIDATION.astype(np.int64)), return_type="logits")
    assert (logits[:, :-1].argmax(-1).numpy() == VALIDATION[:, 1:]).mean() > 0.9
    assert not model.training


@pytest.mark.parametrize("stop", [1, 17, 59])
def test_resumed_training_ends_with_the_same_bytes(stop):
    whole, expected = run()
    states = []
    run(on_state=lambda *state: states.append(state), state_every=stop)
    arrays, meta = states[0]
    assert meta["step"] == stop
    resumed = build(SHAPE, 77)
    result = train(resumed, TRAIN, VALIDATION, CONFIG, data_seed=2, state=(arrays, meta))
    assert bytes_of(resumed) == bytes_of(whole)
    assert result.losses.tobytes() == expected.losses.tobytes()
    assert result.heldout_loss == expected.heldout_loss


def test_states_are_copies_and_cost_nothing():
    states = []
    watched, _ = run(on_state=lambda *state: states.append(state), state_every=20)
    assert [meta["step"] for _, meta in states] == [20, 40]
    assert not np.array_equal(states[0][0]["weight/embed.weight"], states[1][0]["weight/embed.weight"])
    assert bytes_of(watched) == bytes_of(run()[0])


def test_checkpoints_are_the_weights_after_their_steps_and_cost_nothing():
    states = []
    run(on_state=lambda *state: states.append(state), state_every=17)
    model, result = run(checkpoints=[0, 17, 60])
    plain, expected = run()
    assert bytes_of(model) == bytes_of(plain)
    assert result.losses.tobytes() == expected.losses.tobytes()
    assert not expected.checkpoints
    kept = {step: {name: value.tobytes() for name, value in of.items()} for step, of in result.checkpoints.items()}
    after_17 = {name.removeprefix("weight/"): a.tobytes() for name, a in states[0][0].items() if "weight/" in name}
    assert kept == {0: bytes_of(build(SHAPE, 1)), 17: after_17, 60: bytes_of(plain)}


@pytest.mark.parametrize("stop", [5, 17, 40])
def test_a_resumed_training_has_the_checkpoints_of_before(stop):
    _, whole = run(checkpoints=[0, 17, 50])
    states = []
    run(checkpoints=[0, 17, 50], on_state=lambda *state: states.append(state), state_every=stop)
    resumed = build(SHAPE, 77)
    result = train(resumed, TRAIN, VALIDATION, CONFIG, data_seed=2, state=states[0], checkpoints=[0, 17, 50])
    assert result.checkpoints.keys() == whole.checkpoints.keys()
    for step, of in whole.checkpoints.items():
        assert {name: value.tobytes() for name, value in of.items()} == {
            name: value.tobytes() for name, value in result.checkpoints[step].items()
        }
    with pytest.raises(InputError, match="same training"):
        run(state=states[0], checkpoints=[3])


def test_fractions_of_the_tokens_are_steps():
    assert CONFIG.n_steps(12) == N_STEPS
    assert CONFIG.steps_at([0, 0.01, 0.1, 1], 12) == [0, 1, 6, 60]


def test_each_seed_moves_its_own_stream_only():
    start = bytes_of(build(SHAPE, 1))
    assert start == bytes_of(build(SHAPE, 1))
    assert bytes_of(run(data_seed=2)[0]) == bytes_of(run(data_seed=2)[0])
    a, b = run(data_seed=2)[1].losses, run(data_seed=3)[1].losses
    assert a[0] != b[0]
    c, d = run(model_seed=1)[1].losses, run(model_seed=4)[1].losses
    assert c[0] != d[0]


def test_every_pass_reads_every_context_once():
    order = Batches(np.zeros((10, 12)), 4, data_seed=5)
    stream = np.concatenate([order.rows(4 * step, 4) for step in range(10)])
    for number in range(4):
        assert sorted(stream[10 * number : 10 * number + 10]) == list(range(10))
    assert list(stream[:10]) != list(stream[10:20])
    np.testing.assert_array_equal(Batches(np.zeros((10, 12)), 4, data_seed=5).rows(20, 4), stream[20:24])


def test_divergence_is_a_status_and_the_weights_stay_finite():
    model, result = run(config=CONFIG.model_copy(update={"lr": 1e30, "gradient_clip": 0.0}))
    assert result.status == "diverged"
    assert result.heldout_loss == math.inf
    assert 0 < len(result.losses) < N_STEPS
    assert all(np.isfinite(value).all() for value in weights(model).values())


def test_the_tail_of_the_schedule():
    config = TrainingConfig(warmup=0.1, decay="linear", final_lr=0.2)
    rates = [schedule(step, 100, config) for step in range(100)]
    assert rates[0] == pytest.approx(0.1)
    assert rates[9] == pytest.approx(1.0)
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert rates[-1] == pytest.approx(0.2, abs=0.01)
    cosine = TrainingConfig(warmup=0.0, decay="cosine", final_lr=0.0)
    assert schedule(50, 100, cosine) == pytest.approx(0.5)
    assert schedule(99, 100, TrainingConfig(warmup=0.0, decay="none")) == 1.0


def test_progress_counts_tokens():
    seen = []
    run(progress=lambda done, total, **facts: seen.append((done, total, facts["loss"])))
    assert [done for done, _, _ in seen] == [960, 1920, 2880]
    assert all(total == 2880 for _, total, _ in seen)


def test_no_validation_contexts_no_loss():
    model = build(SHAPE, 1)
    assert heldout_loss(model, VALIDATION[:0]) == 0.0


def test_the_denormal_mode_of_the_caller_returns():
    for mode in (True, False):
        torch.set_flush_denormal(mode)
        run(config=CONFIG.model_copy(update={"tokens": 48}))
        assert denormals_are_flushed() is mode


def test_misuse_is_refused():
    with pytest.raises(InputError, match="shape of contexts"):
        run(contexts=TRAIN[0])
    with pytest.raises(InputError, match="shape of contexts"):
        run(contexts=np.zeros((3, 13), np.int32))
    with pytest.raises(InputError, match=r"token ids of contexts must be in \[0, 20\)"):
        run(contexts=TRAIN + 1)
    states = []
    run(on_state=lambda *state: states.append(state), state_every=20)
    with pytest.raises(InputError, match="same training"):
        run(data_seed=3, state=states[0])
    with pytest.raises(InputError, match="same training"):
        run(config=CONFIG.model_copy(update={"lr": 1.0}), state=states[0])
