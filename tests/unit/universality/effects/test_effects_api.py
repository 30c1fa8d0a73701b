"""Ablation and substitution in one call, on any bridge with any dictionary."""

import numpy as np
import pytest
import torch

from universality.effects import ablate, substitute
from universality.errors import InputError
from universality.sae import SparseAutoencoder
from universality.sae.activations import TopK
from universality.sae.base import Normalisation
from universality.transformers.native import build
from universality.transformers.transformer_config import TransformerConfig

ZERO = np.zeros(1, int)
CONTEXTS = np.random.default_rng(0).integers(0, 31, (6, 10))


def opened(normalisation: Normalisation = "none", n_layers=1):
    shape: dict = {"n_layers": n_layers, "d_model": 12, "n_heads": 3, "d_mlp": 20, "d_vocab": 31, "n_ctx": 10}
    model = build(TransformerConfig(**shape), 3)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape, generator=generator))
    w = torch.randn(20, 16, generator=generator)
    dictionary = SparseAutoencoder(
        W_enc=w, b_enc=torch.zeros(16), W_dec=w.T.contiguous(), b_dec=torch.zeros(20), activation=TopK(k=3),
        normalisation=normalisation,
    )  # fmt: skip
    return model, dictionary


@pytest.mark.parametrize("normalisation", ["none", "layer_norm", "constant_norm"])
def test_ablation_is_the_reconstruction_with_the_latent_at_its_mean(normalisation):
    model, dictionary = opened(normalisation)
    made = ablate(model, dictionary, CONTEXTS, "blocks.0.mlp.hook_post")
    loss = made.fingerprints.loss
    row = int(np.flatnonzero(np.diff(loss.indptr))[7])
    latent = int(loss.indices[loss.indptr[row]])
    context, position = int(made.text.context[row]), int(made.text.position[row])
    tokens = torch.from_numpy(CONTEXTS[context : context + 1])

    def change(value, hook):
        x = value[0, position][None]
        acts = dictionary.encode(x)
        held = acts.clone()
        held[0, latent] = float(made.means[latent])
        scale = dictionary.row_scale(x)
        value[0, position] += ((held - acts) @ dictionary.W_dec * scale)[0]
        return value

    with torch.no_grad():
        clean = torch.log_softmax(model.forward(tokens)[0, position], -1)
        with model.hooks(fwd_hooks=[("blocks.0.mlp.hook_post", change)]):
            moved = torch.log_softmax(model.forward(tokens)[0, position], -1)
    target = int(CONTEXTS[context, position + 1])
    assert loss[row, latent] == pytest.approx(float(clean[target] - moved[target]), abs=2e-5)


def test_chosen_latents_are_ablated_and_no_others():
    model, dictionary = opened(n_layers=2)
    every = ablate(model, dictionary, CONTEXTS, "blocks.0.mlp.hook_post", horizon=2)
    some = ablate(model, dictionary, CONTEXTS, "blocks.0.mlp.hook_post", horizon=2, latents=np.array([4]))
    assert set(some.fingerprints.loss.indices) == {4}
    whole, part = (made.fingerprints.loss[:, [4]].toarray() for made in (every, some))
    np.testing.assert_allclose(part, whole, atol=1e-6)


def test_a_latent_in_its_own_place_costs_nothing_and_a_silent_one_all_but_its_mean():
    model, dictionary = opened()
    acts = ablate(model, dictionary, CONTEXTS, "blocks.0.mlp.hook_post").acts
    fires = np.bincount(acts.indices, minlength=16)
    latent = int(fires.argmax())
    silent, at = acts.copy(), np.array([latent])
    silent.data[silent.indices == latent] = 0.0
    own = substitute(model, dictionary, CONTEXTS, "blocks.0.mlp.hook_post", acts, at, at)
    assert own.substituted.shape == (1, 3)
    assert np.abs(own.substituted).max() < 1e-5
    gone = substitute(model, dictionary, CONTEXTS, "blocks.0.mlp.hook_post", silent, at, at)
    np.testing.assert_allclose(gone.ablated, own.ablated)
    assert np.abs(gone.substituted).sum() > 1e-3


@pytest.mark.parametrize(
    ("contexts", "hook_point", "constraint"),
    [
        (CONTEXTS[0], "blocks.0.mlp.hook_post", "token ids"),
        (CONTEXTS.astype(float), "blocks.0.mlp.hook_post", "token ids"),
        (CONTEXTS, "blocks.0.hook_resid_mid", "reaches the stream"),
        (CONTEXTS, "blocks.7.mlp.hook_post", "one of its hook points"),
        # 45 rows of 12 would be 27 of the dictionary's 20.
        (CONTEXTS[:5], "blocks.0.hook_mlp_out", "12, the width of blocks.0.hook_mlp_out; got 20"),
    ],
)
def test_what_cannot_be_ablated_is_refused(contexts, hook_point, constraint):
    model, dictionary = opened()
    with pytest.raises(InputError, match=constraint):
        ablate(model, dictionary, contexts, hook_point)


def test_partners_on_other_rows_are_refused():
    model, dictionary = opened()
    with pytest.raises(InputError, match="one per position but the first"):
        substitute(model, dictionary, CONTEXTS, "blocks.0.mlp.hook_post", np.zeros((3, 4)), ZERO, ZERO)
    with pytest.raises(InputError, match="in \\[0, 16\\)"):
        ablate(model, dictionary, CONTEXTS, "blocks.0.mlp.hook_post", latents=np.array([16]))
