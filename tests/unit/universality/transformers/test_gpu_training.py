"""Transformers trained on a CUDA device: as on the CPU, captured as one by one, and to the same bytes again."""

import numpy as np
import pytest
import torch

from universality.transformers import objective as objectives
from universality.transformers import steps as steps_module
from universality.transformers.native import build, weights
from universality.transformers.training import train
from universality.transformers.transformer_config import TrainingConfig, TransformerConfig

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA"),
]

# Contexts long enough for kernels that split attention over several blocks, which may add in any order.
SHAPE = TransformerConfig(n_layers=2, d_model=64, n_heads=4, d_vocab=500, n_ctx=520)
N_STEPS = 130
CONFIG = TrainingConfig(tokens=520 * 8 * N_STEPS, batch_contexts=8, lr=3e-3)


def markov_contexts(n):
    rng = np.random.default_rng(0)
    follows = rng.integers(0, 500, (500, 3))
    contexts = np.zeros((n, 520), np.int32)
    for place in range(1, 520):
        contexts[:, place] = follows[contexts[:, place - 1], rng.integers(0, 3, n)]
    return contexts


CONTEXTS = markov_contexts(200)


def run(device="cuda", precision="float32", shape=SHAPE, steps=N_STEPS, **options):
    model = build(shape, 1, device=device)
    config = CONFIG.model_copy(update={"precision": precision, "tokens": 520 * 8 * steps})
    result = train(model, CONTEXTS, CONTEXTS[:20], config, data_seed=2, **options)
    assert result.status == "ok"
    assert not result.warnings
    return model, result


def bytes_of(model):
    return {name: value.tobytes() for name, value in weights(model).items()}


@pytest.fixture(scope="module")
def captured_run():
    return run(compile=False)


OTHERS = [
    {"positional_embedding_type": "rotary", "normalization_type": "RMS", "gated_mlp": True, "act_fn": "silu"},
    {"n_key_value_heads": 2, "normalization_type": "LNPre"},
    {"output_logits_soft_cap": 30.0, "attn_scores_soft_cap": 50.0},
    {"attn_only": True},
]


@pytest.mark.parametrize("changes", [{}, *OTHERS])
def test_it_is_the_training_of_the_cpu(changes):
    shape = SHAPE.model_copy(update=changes)
    ours, theirs = (run(device, shape=shape, steps=8)[1] for device in ("cuda", "cpu"))
    np.testing.assert_allclose(ours.losses, theirs.losses, rtol=2e-3)
    assert ours.heldout_loss == pytest.approx(theirs.heldout_loss, rel=2e-3)


def test_a_graph_is_the_steps_one_by_one(captured_run, monkeypatch):
    def uncaptured(work, warm_ups=3):
        for _ in range(warm_ups):
            work()
        return work

    monkeypatch.setattr(steps_module, "captured", uncaptured)
    model, result = run(compile=False)
    assert bytes_of(model) == bytes_of(captured_run[0])
    assert result.losses.tobytes() == captured_run[1].losses.tobytes()


@pytest.mark.parametrize("precision", ["float32", "tf32", "bfloat16"])
@pytest.mark.parametrize("compile_", [False, True])
def test_resumed_it_ends_with_the_same_bytes(precision, compile_):
    states = []
    whole, expected = run(
        precision=precision, compile=compile_, state_every=60, on_state=lambda *state: states.append(state)
    )
    assert states[0][1]["step"] == 60
    resumed, result = run(precision=precision, compile=compile_, state=states[0])
    assert bytes_of(resumed) == bytes_of(whole)
    assert result.losses.tobytes() == expected.losses.tobytes()


@pytest.mark.parametrize(
    ("precision", "compile_", "rel"),
    [("float32", True, 0.01), ("tf32", False, 0.02), ("bfloat16", False, 0.03), ("bfloat16", True, 0.03)],
)
def test_all_ways_learn_the_same(captured_run, precision, compile_, rel):
    _, exact = captured_run
    _, result = run(precision=precision, compile=compile_)
    assert exact.losses[-1] < 0.8 * exact.losses[0]
    assert result.losses[0] == pytest.approx(exact.losses[0], rel=2e-3)
    assert result.heldout_loss == pytest.approx(exact.heldout_loss, rel=rel)


def test_many_pieces_are_one(monkeypatch):
    _, whole = run(compile=False, steps=10)
    monkeypatch.setattr(objectives, "device_memory", lambda device: 16 * 8 * 500 * 600)
    _, result = run(compile=False, steps=10)
    np.testing.assert_allclose(result.losses, whole.losses, rtol=2e-3)


def test_divergence_stops_at_the_step_before():
    model = build(SHAPE, 1, device="cuda")
    config = CONFIG.model_copy(update={"lr": 1e30, "gradient_clip": 0.0})
    states = []
    result = train(model, CONTEXTS, CONTEXTS[:5], config, data_seed=2, on_state=lambda *s: states.append(s))
    assert result.status == "diverged"
    assert 0 < len(result.losses) < 50
    assert not states
    assert all(np.isfinite(value).all() for value in weights(model).values())
