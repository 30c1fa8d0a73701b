"""Ablation fingerprints: equal to whole forward passes in float64, by the readout and by running again."""

import numpy as np
import pytest
import torch
from scipy import sparse
from torch.utils._python_dispatch import TorchDispatchMode

from universality.effects import predictions as module
from universality.effects.ablation import fingerprints
from universality.effects.predictions import TextRows, read_predictions
from universality.effects.readout import readout_of
from universality.effects.rerun import RerunPredictions
from universality.errors import InputError
from universality.transformers.native import build
from universality.transformers.transformer_config import TransformerConfig

BASE = {"n_layers": 1, "d_model": 12, "n_heads": 3, "d_mlp": 20, "d_vocab": 31, "n_ctx": 10}
N_LATENTS = 6


def scrambled(**changes):
    model = build(TransformerConfig(**{**BASE, **changes}), 3)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape, generator=generator))
    return model


def case(d_in, seed=0):
    """Rows of three contexts (all but their first), latents that fire in a third of them, directions, means."""
    rng = np.random.default_rng(seed)
    contexts = rng.integers(0, BASE["d_vocab"], (3, BASE["n_ctx"])).astype(np.int32)
    context, position = (part.ravel() for part in np.mgrid[:3, 1 : BASE["n_ctx"]])
    acts = sparse.csr_matrix(sparse.random(context.size, N_LATENTS, 0.3, random_state=1, dtype=np.float32))
    directions = rng.normal(size=(N_LATENTS, d_in)).astype(np.float32)
    return TextRows(contexts, context, position), acts, directions, np.asarray(acts.mean(axis=0)).ravel()


def read(*args, **kwargs):
    made = read_predictions(*args, **kwargs)
    assert made is not None
    return made


def by_brute_force(model, hook_point, text, acts, directions, means, horizon):
    """Loss changes and divergences of every entry, a forward pass of the whole model in float64 for each."""
    model = model.to(torch.float64)

    def predicted(context, change):
        def add(value, hook):
            for position, vector in change:
                value[0, position] += torch.from_numpy(vector).reshape(value.shape[2:])
            return value

        tokens = torch.from_numpy(text.contexts[context].astype(np.int64))[None]
        with torch.no_grad(), model.hooks(fwd_hooks=[(hook_point, add)]):
            return torch.log_softmax(model.forward(tokens)[0], dim=-1).numpy()

    loss, divergence = np.full(acts.shape, np.nan), np.full(acts.shape, np.nan)
    for row, latent in zip(*acts.nonzero(), strict=True):
        context, position = text.context[row], text.position[row]
        change = (means[latent] - acts[row, latent].astype(np.float64)) * directions[latent].astype(np.float64)
        old, new = predicted(context, []), predicted(context, [(position, change)])
        last = min(position + horizon, text.contexts.shape[1])
        divergence[row, latent] = (np.exp(old) * (old - new))[position:last].sum()
        places = np.arange(position, min(last, text.contexts.shape[1] - 1))
        if places.size:
            targets = text.contexts[context, places + 1]
            loss[row, latent] = (old - new)[places, targets].sum()
    return loss, divergence


def agree(made, acts, loss, divergence, atol):
    told = ~np.isnan(loss) & (acts.toarray() != 0)
    assert made.loss.nnz == told.sum()
    assert told.sum() > 30
    rows = np.repeat(np.arange(acts.shape[0]), np.diff(made.loss.indptr))
    places = rows, made.loss.indices
    assert told[places].all()
    np.testing.assert_allclose(made.loss.data, loss[places], rtol=1e-4, atol=atol)
    np.testing.assert_allclose(made.divergence.data, divergence[places], rtol=1e-4, atol=atol)
    assert np.abs(loss[told]).mean() > 0.05  # something was at stake


@pytest.mark.parametrize("site", ["mlp.hook_post", "hook_mlp_out", "hook_resid_post"])
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"n_layers": 2, "normalization_type": "RMS", "gated_mlp": True, "act_fn": "silu"},
        {"normalization_type": "LNPre", "final_rms": True},
        {"normalization_type": None},
    ],
)
def test_the_readout_gives_what_forward_passes_in_float64_give(changes, site):
    model = scrambled(**changes)
    hook_point = f"blocks.{model.cfg.n_layers - 1}.{site}"
    text, acts, directions, means = case(20 if site == "mlp.hook_post" else 12)
    predictions = read(model, text, hook_point, threads=2)
    assert predictions is not None
    made = fingerprints(predictions, acts, directions, means)
    exact = by_brute_force(model, hook_point, text, acts, directions, means, horizon=1)
    agree(made, acts, *exact, atol=3e-5)


@pytest.mark.parametrize(
    ("changes", "hook_point"),
    [
        ({}, "blocks.0.mlp.hook_post"),
        ({}, "blocks.0.attn.hook_z"),
        ({"n_layers": 2}, "blocks.0.mlp.hook_post"),
        ({"n_layers": 2}, "blocks.1.attn.hook_z"),
        ({"n_layers": 2}, "blocks.1.hook_attn_out"),
        ({"n_layers": 2}, "blocks.1.hook_resid_pre"),
        ({"n_layers": 2, "output_logits_soft_cap": 5.0}, "blocks.1.hook_resid_post"),
        ({"n_layers": 2, "positional_embedding_type": "rotary"}, "hook_embed"),
    ],
)
@pytest.mark.parametrize("horizon", [1, 4])
def test_running_again_gives_what_forward_passes_in_float64_give(changes, hook_point, horizon):
    model = scrambled(**changes)
    text, acts, directions, means = case(20 if "mlp" in hook_point else 12)
    made = fingerprints(RerunPredictions(model, text, hook_point, horizon), acts, directions, means)
    exact = by_brute_force(model, hook_point, text, acts, directions, means, horizon)
    agree(made, acts, *exact, atol=3e-5)


def test_both_ways_agree_whatever_the_horizon_where_only_the_readout_follows():
    model = scrambled(n_layers=2)
    text, acts, directions, means = case(20)
    once = fingerprints(read(model, text, "blocks.1.mlp.hook_post"), acts, directions, means)
    again = fingerprints(RerunPredictions(model, text, "blocks.1.mlp.hook_post"), acts, directions, means)
    np.testing.assert_allclose(once.loss.toarray(), again.loss.toarray(), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(once.divergence.toarray(), again.divergence.toarray(), rtol=1e-4, atol=1e-5)


def test_a_batch_of_entries_is_read_back_once(monkeypatch):
    model, hook_point = scrambled(n_layers=2), "blocks.1.attn.hook_z"
    text, acts, directions, _ = case(12)
    predictions, (rows, latents) = RerunPredictions(model, text, hook_point, 4), acts.nonzero()
    entries = np.flatnonzero(text.context[rows] == 1)[:10]
    monkeypatch.setattr("universality.effects.rerun._BATCH", 4)
    reads: list[str] = []

    class Counted(TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            if func.name() in ("aten::_local_scalar_dense", "aten::nonzero", "aten::equal"):
                reads.append(func.name())
            return func(*args, **(kwargs or {}))

    def told(cpu=torch.Tensor.cpu):
        return lambda tensor: reads.append("cpu") or cpu(tensor)

    monkeypatch.setattr(torch.Tensor, "cpu", told())
    with Counted():
        clean = predictions._clean(1, torch.device("cpu"))
        reads.clear()  # a context is looked at once, whatever its entries
        monkeypatch.setattr(RerunPredictions, "_clean", lambda self, context, device: clean)
        predictions.changes(rows[entries], latents[entries], np.ones(entries.size), directions)
    assert reads == ["cpu"] * 3


@pytest.mark.parametrize(
    ("changes", "site"),
    [
        ({}, "attn.hook_z"),
        ({}, "hook_resid_mid"),
        ({"output_logits_soft_cap": 5.0}, "hook_mlp_out"),
        ({}, "mlp.hook_pre"),
    ],
)
def test_a_way_that_is_not_linear_has_no_readout(changes, site):
    assert readout_of(scrambled(**changes), f"blocks.0.{site}") is None


def test_a_change_that_leaves_nothing_of_a_prediction_is_still_exact():
    model = scrambled(normalization_type=None)
    text, acts, directions, means = case(12)
    predictions = read(model, text, "blocks.0.hook_mlp_out")
    made = fingerprints(predictions, acts * 200, directions, means)
    exact = by_brute_force(model, "blocks.0.hook_mlp_out", text, acts * 200, directions, means, 1)
    told = made.loss.toarray()
    assert np.abs(told).max() > 500
    np.testing.assert_allclose(told[~np.isnan(exact[0])], exact[0][~np.isnan(exact[0])], rtol=1e-4, atol=1e-3)


def test_a_latent_that_fires_only_where_nothing_follows_has_no_fingerprint():
    model, last = scrambled(), BASE["n_ctx"] - 1
    text, acts, directions, means = case(12)
    only_last = acts.multiply((text.position == last)[:, None]).tocsr()
    predictions = read(model, text, "blocks.0.hook_mlp_out")
    summary = fingerprints(predictions, only_last, directions, means).summary()
    assert (summary["n_rows"] == 0).all()
    assert np.isnan(summary["loss_change"]).all()


def test_no_byte_depends_on_threads_and_no_digit_on_blocks(monkeypatch):
    text, acts, directions, means = case(12)
    model = scrambled()
    one = fingerprints(read(model, text, "blocks.0.hook_mlp_out", threads=1), acts, directions, means)
    two = fingerprints(read(model, text, "blocks.0.hook_mlp_out", threads=3), acts, directions, means)
    np.testing.assert_array_equal(one.loss.data, two.loss.data)
    monkeypatch.setattr(module, "_TABLE_BYTES", 4 * 31 * 2)
    blocks = fingerprints(read(model, text, "blocks.0.hook_mlp_out", threads=1), acts, directions, means)
    np.testing.assert_allclose(one.loss.data, blocks.loss.data, rtol=1e-5, atol=1e-6)


def test_values_that_are_not_finite_are_refused():
    text, acts, directions, means = case(12)
    predictions = read(scrambled(), text, "blocks.0.hook_mlp_out")
    with pytest.raises(InputError, match="must be finite"):
        fingerprints(predictions, acts, directions * np.nan, means)
    with pytest.raises(InputError, match="one per latent"):
        fingerprints(predictions, acts, directions[:2], means)


def test_directions_that_vanish_change_nothing_and_streams_that_vanish_stay_finite():
    model = scrambled(n_layers=2)
    text, acts, directions, means = case(12)
    directions[2] = 0
    hook_point = "blocks.1.hook_resid_post"
    predictions = read(model, text, hook_point)
    for ways in (predictions, RerunPredictions(model, text, hook_point, 2)):
        made = fingerprints(ways, acts, directions, means)
        assert np.abs(made.loss[:, [2]].data).max(initial=0.0) < 1e-6
        assert np.isfinite(made.loss.data).all()
        assert (made.divergence.data >= 0).all()
    predictions.stream[:5] = 0
    made = fingerprints(predictions, acts, directions, means)
    assert np.isfinite(made.loss.data).all()
    assert np.isfinite(made.divergence.data).all()


def test_where_models_run_again_a_latent_that_fires_only_where_nothing_follows_has_no_fingerprint():
    model, last = scrambled(n_layers=2), BASE["n_ctx"] - 1
    text, acts, directions, means = case(12)
    only_last = acts.multiply((text.position == last)[:, None]).tocsr()
    made = fingerprints(RerunPredictions(model, text, "blocks.0.hook_resid_post", 4), only_last, directions, means)
    assert made.loss.nnz == 0
    assert np.isnan(made.summary()["loss_change"]).all()
