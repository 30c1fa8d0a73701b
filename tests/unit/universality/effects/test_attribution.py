"""Attribution: the derivative of the loss in float64, exact ablation in the small, and what attention carries."""

import numpy as np
import pytest
import torch
from scipy import sparse

from universality.effects import ablate, attribute
from universality.effects.ablation import fingerprints
from universality.effects.attribution import attributed, screen_agreement
from universality.effects.predictions import TextRows
from universality.effects.rerun import RerunPredictions
from universality.errors import InputError
from universality.sae import SparseAutoencoder
from universality.sae.activations import TopK
from universality.transformers.native import build
from universality.transformers.transformer_config import TransformerConfig

N_CTX, N_LATENTS = 10, 6
SITES = [
    (1, "blocks.0.mlp.hook_post", 20),
    (1, "blocks.0.attn.hook_z", 12),
    (2, "blocks.0.mlp.hook_post", 20),
    (2, "blocks.0.attn.hook_z", 12),
    (2, "blocks.1.hook_attn_out", 12),
    (2, "blocks.0.hook_resid_post", 12),
]


def scrambled(n_layers, **changes):
    shape = {"d_model": 12, "n_heads": 3, "d_mlp": 20, "d_vocab": 31, "n_ctx": N_CTX, **changes}
    model = build(TransformerConfig(n_layers=n_layers, **shape), 3)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape, generator=generator))
    return model


def case(d_in, size=1.0):
    """Rows of eleven contexts (all but their first; more than one backward pass), a third of latents firing."""
    rng = np.random.default_rng(0)
    contexts = rng.integers(0, 31, (11, N_CTX)).astype(np.int32)
    context, position = (part.ravel() for part in np.mgrid[:11, 1:N_CTX])
    shuffled = rng.permutation(context.size)  # rows in any order
    acts = size * sparse.csr_matrix(sparse.random(context.size, N_LATENTS, 0.3, random_state=1, dtype=np.float32))
    directions = rng.normal(size=(N_LATENTS, d_in)).astype(np.float32)
    return (
        TextRows(contexts, context[shuffled], position[shuffled]),
        acts,
        directions,
        np.asarray(acts.mean(axis=0)).ravel(),
    )


def loss_of(model, text, context, hook_point, position, vector):
    """Summed log-loss of a context in float64 with a vector added at one position."""

    def add(value, hook):
        value[0, position] += torch.from_numpy(vector).reshape(value.shape[2:])
        return value

    tokens = torch.from_numpy(text.contexts[context].astype(np.int64))[None]
    with torch.no_grad(), model.hooks(fwd_hooks=[(hook_point, add)]):
        predicted = torch.log_softmax(model.forward(tokens)[0, :-1], dim=-1)
    return -float(predicted.gather(1, tokens[0, 1:, None]).sum())


@pytest.mark.parametrize(("n_layers", "hook_point", "d_in"), SITES)
def test_it_is_the_derivative_of_the_loss_in_float64(n_layers, hook_point, d_in):
    model = scrambled(n_layers).to(torch.float64)
    text, acts, directions, means = case(d_in)
    scale = np.linspace(0.5, 2.0, text.n_rows)
    (made,) = attributed(model, text, hook_point, acts, [directions], means, scale=scale)
    told = 0
    assert made.nnz == (text.position[acts.nonzero()[0]] < N_CTX - 1).sum() > 100
    for row, latent in list(zip(*acts.nonzero(), strict=True))[::4]:
        context, position = int(text.context[row]), int(text.position[row])
        if position == N_CTX - 1:
            assert made[row, latent] == 0
            continue
        step = 1e-5 * directions[latent].astype(np.float64)
        up, down = (loss_of(model, text, context, hook_point, position, sign * step) for sign in (1, -1))
        amount = (means[latent] - acts.toarray()[row, latent]) * scale[row]
        assert made[row, latent] == pytest.approx(amount * (up - down) / 2e-5, rel=1e-5, abs=1e-7)
        told += 1
    assert told > 25
    assert np.abs(made.data).mean() > 0.05  # something was at stake


@pytest.mark.parametrize(("n_layers", "hook_point", "d_in"), SITES)
def test_small_activations_are_ablated_exactly_and_large_ones_are_not(n_layers, hook_point, d_in):
    model = scrambled(n_layers).to(torch.float64)
    shares = []
    for size in (1e-4, 5.0):
        text, acts, directions, means = case(d_in, size)
        exact = fingerprints(RerunPredictions(model, text, hook_point, N_CTX), acts, directions, means).loss
        (first,) = attributed(model, text, hook_point, acts, [directions], means)
        assert np.array_equal(exact.indptr, first.indptr)
        assert np.array_equal(exact.indices, first.indices)
        shares.append(np.linalg.norm(exact.data - first.data) / np.linalg.norm(exact.data))
    assert shares[0] < 0.01
    assert shares[1] > 0.1


def test_every_set_of_directions_has_its_own_and_weights_want_gradients_as_before():
    model = scrambled(2)
    text, acts, directions, means = case(20)
    other = directions[::-1].copy()
    one, two = attributed(model, text, "blocks.0.mlp.hook_post", acts, [directions, other], means)
    (again,) = attributed(model, text, "blocks.0.mlp.hook_post", acts, [other], means)
    np.testing.assert_allclose(two.data, again.data, rtol=1e-6)
    assert np.abs(one.data - two.data).max() > 0.01
    assert all(weight.requires_grad and weight.grad is None for weight in model.parameters())


def test_blocks_change_no_digit(monkeypatch):
    model = scrambled(2)
    text, acts, directions, means = case(20)
    (one,) = attributed(model, text, "blocks.0.mlp.hook_post", acts, [directions], means)
    monkeypatch.setattr("universality.effects.attribution._CONTEXTS", 3)
    monkeypatch.setattr("universality.effects.attribution._GATHERED", 60)
    (two,) = attributed(model, text, "blocks.0.mlp.hook_post", acts, [directions], means)
    np.testing.assert_allclose(one.data, two.data, rtol=1e-4, atol=1e-6)


def test_a_planted_latent_acts_through_attention_of_the_next_layer_alone():
    """The second layer's heads carry what the first wrote: cut off, nothing of a later token's loss is left."""
    model = scrambled(2).to(torch.float64)
    text, acts, directions, means = case(20)
    where = "blocks.0.mlp.hook_post"
    (before,) = attributed(model, text, where, acts, [directions], means)
    with torch.no_grad():
        model.blocks[1].attn.o.weight.zero_()
    (after,) = attributed(model, text, where, acts, [directions], means)
    rows = np.repeat(np.arange(text.n_rows), np.diff(after.indptr))
    short = fingerprints(RerunPredictions(model, text, where, 1), acts * 1e-5, directions, means * 1e-5).loss
    np.testing.assert_allclose(after.data, 1e5 * short.data, rtol=1e-2, atol=1e-3)
    moved = np.abs(before.data - after.data)
    assert moved[text.position[rows] < 4].mean() > 0.05


def test_the_screen_is_held_against_exact_ablation_latent_by_latent():
    rng = np.random.default_rng(0)
    first = sparse.csr_matrix(sparse.random(400, 3, 0.5, random_state=2))
    first.data[:] = rng.normal(size=first.nnz)
    exact = first.copy()
    exact.data = np.where(exact.indices == 0, 2 * exact.data + 1, rng.normal(size=exact.nnz))
    kept = exact.tocsr()
    kept.data[(kept.indices == 2) & (np.arange(kept.nnz) > 60)] = 0  # of the third, few are known exactly
    kept.eliminate_zeros()
    r, n = screen_agreement(first, kept)
    assert r[0] == pytest.approx(1)
    x, y = (m[:, [1]].toarray().ravel() for m in (first, kept))
    at = (x != 0) & (y != 0)
    assert r[1] == pytest.approx(np.corrcoef(x[at], y[at])[0, 1])
    assert n.tolist() == [int((kept.indices == latent).sum()) for latent in range(3)]
    few, _ = screen_agreement(first[:20], kept[:20])
    assert np.isnan(few).all()


def dictionary(d_in=20):
    weights = torch.randn(d_in, 16, generator=torch.Generator().manual_seed(1))
    return SparseAutoencoder(
        W_enc=weights, b_enc=torch.zeros(16), W_dec=0.05 * weights.T.contiguous(), b_dec=torch.zeros(d_in),
        activation=TopK(k=3), normalisation="layer_norm",
    )  # fmt: skip


@pytest.mark.parametrize(("n_layers", "hook_point", "d_in"), [SITES[0], SITES[3]])
def test_one_call_attributes_what_one_call_ablates(n_layers, hook_point, d_in):
    model, contexts = scrambled(n_layers), np.random.default_rng(0).integers(0, 31, (12, N_CTX))
    sae = dictionary(d_in)
    first = attribute(model, sae, contexts, hook_point)
    exact = ablate(model, sae, contexts, hook_point, horizon=N_CTX)
    np.testing.assert_array_equal(first.acts.toarray(), exact.acts.toarray())
    assert np.array_equal(first.loss.indices, exact.fingerprints.loss.indices)
    assert np.corrcoef(first.loss.data, exact.fingerprints.loss.data)[0, 1] > 0.8
    some = attribute(model, sae, contexts, hook_point, latents=np.array([4]))
    assert set(some.loss.indices) == {4}
    np.testing.assert_allclose(some.loss[:, [4]].toarray(), first.loss[:, [4]].toarray(), rtol=1e-5)


def test_what_cannot_be_attributed_is_refused():
    model = scrambled(1)
    text, acts, directions, means = case(20)
    with pytest.raises(InputError, match="of 6 latents over 99 rows"):
        attributed(model, text, "blocks.0.mlp.hook_post", acts, [directions[:3]], means)
    with pytest.raises(InputError, match="reaches the stream"):
        attributed(model, text, "blocks.0.hook_resid_mid", acts, [directions], means)
    with torch.no_grad():
        model.blocks[0].attn.o.weight.zero_()
    assert not attributed(model, text, "blocks.0.attn.hook_z", acts[:, :], [directions[:, :12]], means)[0].data.any()
    with torch.no_grad():
        next(iter(model.parameters())).fill_(torch.inf)
    with pytest.raises(InputError, match="must be finite"):
        attributed(model, text, "blocks.0.mlp.hook_post", acts, [directions], means)
