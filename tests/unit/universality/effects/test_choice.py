"""Which latents are ablated where not all can be: those that do most, and a draw that stands for the rest."""

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import sparse

from universality.effects.ablation import fingerprints
from universality.effects.attribution import attributed
from universality.effects.choice import choose_ablated, pair_weights
from universality.effects.predictions import TextRows
from universality.effects.rerun import RerunPredictions
from universality.transformers.native import build
from universality.transformers.transformer_config import TransformerConfig


def test_all_are_chosen_where_there_are_no_more_than_may_be():
    assert pair_weights(np.arange(5.0), ["a"] * 5, 5, np.random.default_rng(0)).tolist() == [1] * 5


def test_half_are_the_largest_and_the_rest_is_drawn_from_every_stratum_alike():
    size, strata = np.arange(100.0), np.array(["rare"] * 4 + ["common"] * 96)
    weights = pair_weights(size, strata, 20, np.random.default_rng(0))
    assert (weights[90:] == 1).all()
    drawn = np.flatnonzero(weights[:90])
    assert drawn.size == 10
    assert (drawn < 4).sum() == 4  # a stratum of fewer than its share gives all it has
    assert weights[:4].tolist() == [1] * 4
    assert np.allclose(weights[drawn[drawn >= 4]], 86 / 6)
    assert weights.sum() == pytest.approx(100)


def test_weighted_means_are_those_of_all_on_average():
    rng = np.random.default_rng(3)
    size, value = rng.exponential(size=300), rng.normal(size=300)
    value += np.log(size)  # what does most agrees best: the largest alone say too much
    strata = rng.choice(["context", "token", "domain"], 300, p=[0.1, 0.3, 0.6])
    made = [pair_weights(size, strata, 40, np.random.default_rng(seed)) for seed in range(400)]
    means = np.array([np.average(value, weights=weights) for weights in made])
    assert abs(means.mean() - value.mean()) < 3 * means.std() / np.sqrt(len(means)) + 1e-3
    largest = value[np.argsort(-size)[:40]].mean()
    assert largest - value.mean() > 10 * abs(means.mean() - value.mean())


def pairs_of(n, levels="token"):
    return pd.DataFrame({"latent_a": np.arange(n), "latent_b": np.arange(n)[::-1], "level": levels})


def test_no_dictionary_has_more_ablated_than_may_be_and_chosen_pairs_have_all_they_need():
    rng, n = np.random.default_rng(0), 200
    names = [("m0", "m1"), ("m0", "m2"), ("m1", "m2"), ("m0", "m0r")]
    pairs = {
        pair: (pairs_of(n), (np.arange(n)[::-1] + 1) % n if pair[1] != "m0r" else np.full(n, -1)) for pair in names
    }
    sizes = {name: rng.exponential(size=n) for name in ("m0", "m1", "m2", "m0r")}
    weights, ablated = choose_ablated(pairs, sizes, 60, 0)
    assert [int(chosen.sum()) for chosen in ablated.values()] == [60] * 4
    for pair, (matched, seconds) in pairs.items():
        chosen = weights[pair] > 0
        assert 5 <= chosen.sum() <= 60
        assert ablated[pair[0]][matched["latent_a"][chosen]].all()
        assert ablated[pair[1]][matched["latent_b"][chosen]].all()
        assert ablated[pair[1]][seconds[chosen & (seconds >= 0)]].all()
        assert weights[pair].sum() == pytest.approx(n)
    few, every = choose_ablated(pairs, sizes, n, 0)
    assert all(chosen.all() for chosen in every.values())
    assert all((of == 1).all() for of in few.values())


def test_a_wide_dictionary_beside_a_narrow_one_is_the_one_that_is_cut():
    narrow = {("m0", "m1"): (pairs_of(30), np.full(30, -1))}
    weights, ablated = choose_ablated(narrow, {"m0": np.ones(30), "m1": np.arange(100.0)}, 40, 0)
    assert ablated["m0"].all()
    assert ablated["m1"].sum() == 40
    assert (weights["m0", "m1"] > 0).sum() == 20


def test_a_planted_causal_pair_is_found_by_attribution_through_attention():
    """Of 120 latents that fire alike one writes where anything is read; it alone changes what comes later."""
    config = {"n_layers": 2, "d_model": 16, "n_heads": 2, "d_mlp": 16, "d_vocab": 23, "n_ctx": 12}
    model = build(TransformerConfig(**config, normalization_type=None), 5)  # pyright: ignore
    generator, unread = torch.Generator().manual_seed(1), slice(12, 16)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape, generator=generator))
        for name, parameter in model.named_parameters():  # nothing reads the last four dimensions of the stream
            if any(f".{part}." in name for part in ("q", "k", "v", "fc_in")) or name.startswith("head"):
                parameter[..., unread] = 0 if parameter.ndim == 2 else parameter[..., unread]
    rng, n_latents, planted = np.random.default_rng(0), 120, 77
    contexts = rng.integers(0, 23, (40, 12))
    context, position = (part.ravel() for part in np.mgrid[:40, 1:12])
    text = TextRows(contexts, context, position)
    sides = []
    for seed in (0, 1):  # the second dictionary has another order of its latents
        rng = np.random.default_rng(seed)
        order = np.arange(n_latents) if seed == 0 else rng.permutation(n_latents)
        fires = np.random.default_rng(7).random((context.size, n_latents)) < 0.2
        acts = sparse.csr_matrix((fires * rng.lognormal(0, 0.1, fires.shape)).astype(np.float32)[:, order])
        directions = np.zeros((n_latents, 16), np.float32)
        directions[:, unread] = rng.normal(size=(n_latents, 4))
        place = int(np.flatnonzero(order == planted)[0])
        directions[place] = np.r_[np.ones(12), np.zeros(4)] / 3
        means = np.asarray(acts.mean(axis=0)).ravel()
        (first,) = attributed(model, text, "blocks.0.hook_resid_post", acts, [directions], means)
        exact = fingerprints(RerunPredictions(model, text, "blocks.0.hook_resid_post", 4), acts, directions, means)
        sides.append((place, order, np.asarray(abs(first).sum(axis=0)).ravel(), exact.loss))
    matched = pd.DataFrame({"latent_a": np.arange(n_latents), "latent_b": np.argsort(sides[1][1]), "level": "token"})
    sizes = {"m0": sides[0][2], "m1": sides[1][2]}
    weights, ablated = choose_ablated({("m0", "m1"): (matched, np.full(n_latents, -1))}, sizes, 16, 0)
    own = weights["m0", "m1"]
    assert own[planted] == 1
    assert (own > 0).sum() == 8
    assert ablated["m0"][sides[0][0]]
    assert ablated["m1"][sides[1][0]]
    causal = [abs(side[3]).sum(axis=0).A1 for side in sides]
    assert [int(of.argmax()) for of in causal] == [side[0] for side in sides]
    assert all(np.delete(of, side[0]).max() < 1e-3 * of.max() for of, side in zip(causal, sides, strict=True))
    x, y = (side[3][:, [side[0]]].toarray().ravel() for side in sides)
    assert np.corrcoef(x, y)[0, 1] > 0.95
