"""Rows computed as they are read: those of a harvest, each context once a buffer, the same bytes after a stop."""

import numpy as np
import pytest

from universality.errors import InputError
from universality.sae.outliers import InlierRows
from universality.sae.sae_config import SAETrainingConfig
from universality.sae.stream import RowStream
from universality.sae.training import train_sae
from universality.transformers import live
from universality.transformers.harvest import harvest
from universality.transformers.live import LiveRows
from universality.transformers.native import build
from universality.transformers.transformer_config import TransformerConfig

HOOK = "blocks.1.hook_resid_post"
SHAPE = {"n_layers": 2, "d_model": 16, "n_heads": 2, "d_mlp": 24, "d_vocab": 40, "n_ctx": 12}
CONTEXTS = np.random.default_rng(0).integers(0, 40, (150, 12)).astype(np.int32)
CONTEXTS[[7, 8, 149], 1:] = 3  # contexts without a row
CONFIG = SAETrainingConfig(d_sae=32, k=4, tokens=6000, batch_rows=64, lr=3e-3)


def counts(contexts):
    kept = contexts != 3
    kept[:, 0] = False
    return kept


@pytest.fixture(scope="module")
def model():
    return build(TransformerConfig(**SHAPE), 3)


@pytest.fixture(scope="module")
def stored(model):
    blocks = harvest(model, CONTEXTS, [HOOK], batch_contexts=32)
    return np.concatenate([block[HOOK] for block in blocks])[counts(CONTEXTS)]


def rows(model, **more):
    return LiveRows(model, CONTEXTS, HOOK, counts, **more)


@pytest.mark.parametrize("batch_contexts", [1, 32, 1000])
def test_they_are_the_stored_rows_in_their_order(model, stored, batch_contexts):
    found = rows(model, batch_contexts=batch_contexts)
    assert found.shape == stored.shape
    assert len(found) == len(stored)
    np.testing.assert_allclose(found[:], stored, rtol=0, atol=1e-5)
    np.testing.assert_allclose(found[5:700:3], stored[5:700:3], rtol=0, atol=1e-5)
    picked = np.array([900, 3, 3, 411, 0, len(stored) - 1])
    np.testing.assert_allclose(found[picked], stored[picked], rtol=0, atol=1e-5)
    assert found[picked].tobytes() == found[picked].tobytes()
    assert found[picked[:0]].shape == (0, 16)
    for wrong in (-1, len(stored)):
        with pytest.raises(IndexError, match="out of range"):
            found[np.array([wrong])]


def test_an_unknown_hook_point_is_refused(model):
    with pytest.raises(InputError, match="Did you mean"):
        LiveRows(model, CONTEXTS, "blocks.1.hook_resid_pots", counts)


def test_a_pass_computes_every_context_once(model, monkeypatch):
    computed = []

    def spied(model, contexts, *arguments, **named):
        computed.append(contexts)
        return harvest(model, contexts, *arguments, **named)

    monkeypatch.setattr(live, "harvest", spied)
    source = rows(model)
    stream = RowStream(source, 64, seed=1, buffer_bytes=4 * 16 * 300)
    for start in range(0, len(source), 64):
        stream.batch(start, min(64, len(source) - start))
    assert len(computed) > 3, "several buffers"
    assert sum(map(len, computed)) == len(CONTEXTS)


@pytest.fixture
def _small_buffer(monkeypatch):
    monkeypatch.setitem(RowStream.__init__.__kwdefaults__, "buffer_bytes", 4 * 16 * 300)


def tensors(result):
    return {**result.sae.to_tensors()[1], **result.history}


def test_where_all_rows_fit_the_buffer_a_dictionary_is_that_of_stored_rows(model, stored):
    expected, found = (tensors(train_sae(source, CONFIG, sae_seed=1)) for source in (stored, rows(model)))
    for name in expected:
        np.testing.assert_allclose(found[name], expected[name], rtol=0, atol=1e-3, err_msg=name)


@pytest.mark.usefixtures("_small_buffer")
def test_a_dictionary_of_live_rows_is_as_good_as_one_of_stored_rows(model, stored):
    expected, found = (train_sae(source, CONFIG, sae_seed=1).fvu for source in (stored, rows(model)))
    assert expected < 0.6
    assert found == pytest.approx(expected, abs=0.02)


@pytest.mark.usefixtures("_small_buffer")
@pytest.mark.parametrize("max_norm", [None, 1.2])
@pytest.mark.parametrize("stop", [3, 50])
def test_a_resumed_training_ends_with_the_same_bytes(model, stop, max_norm):
    def source():
        return rows(model) if max_norm is None else InlierRows(rows(model), max_norm)

    states = []
    whole = train_sae(source(), CONFIG, sae_seed=2, on_state=lambda *state: states.append(state), state_every=stop)
    assert states[0][1]["step"] == stop
    resumed = tensors(train_sae(source(), CONFIG, sae_seed=2, state=states[0]))
    for name, value in tensors(whole).items():
        assert value.tobytes() == resumed[name].tobytes(), name
