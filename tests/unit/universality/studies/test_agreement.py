"""The fast way says of a pair what the whole comparison says of it."""

from __future__ import annotations

from functools import cache

import numpy as np
import pandas as pd
import pytest

from universality.compare import (
    CompareConfig,
    Dictionary,
    DictionaryPair,
    latent_statistics,
    pair_matching,
    pair_null,
    pair_similarity,
)
from universality.compare.levels import LEVELS
from universality.compare.shares import held_in_draws
from universality.planted import plant
from universality.rows import Rows, split_documents
from universality.studies.agreement import MEASURES, pair_agreement
from universality.studies.unseen import domain_of_latents

CONFIG = CompareConfig(n_shifts=10, n_resamples=30, min_firings=10)


@cache
def pair() -> DictionaryPair:
    w = plant(
        n_models=2, n_rows=8_000, n_documents=100, n_universal=12, n_shared=4, n_specific=8, n_domain=2, n_token=2,
        n_position=1, n_domains=2, d_vocab=120, n_ctx=16, min_rate=0.01,
    )  # fmt: skip
    fit = split_documents(w.documents, 0, w.domains)
    rows = Rows(w.documents, fit, w.domains, tokens=w.tokens, positions=w.positions, n_ctx=w.n_ctx)
    a, b = (Dictionary(name, w.acts[name], rows, latent_statistics(w.acts[name], rows), 10) for name in ("m0", "m1"))
    return DictionaryPair(a, b, CONFIG, 0)


def test_agreement_is_that_of_the_edges_of_the_whole_comparison():
    both = pair()
    matching = pair_matching(both, pair_similarity(both), pair_null(both))
    pairs, n = matching.pairs, min(both.a.n_alive, both.b.n_alive)
    found = dict(zip(MEASURES, pair_agreement(both)[0], strict=True))
    edges = pairs["edge"].to_numpy(bool)
    assert 0 < edges.sum() < len(pairs)
    assert found["shared"][0] == pytest.approx(edges.sum() / n)
    for level in LEVELS:
        assert found[f"shared_{level}"][0] == pytest.approx((edges & (pairs["level"] == level)).sum() / n)
    assert found["r"][0] == pytest.approx(pairs["r_held_out"].sum() / n)
    assert found["r_joint"][0] == pytest.approx(pairs["r_joint"].sum() / n)
    np.testing.assert_allclose(found["r"][1:], matching.resampled.sum(axis=0) / n, atol=1e-6)
    np.testing.assert_allclose(found["r_joint"][1:], matching.resampled_joint.sum(axis=0) / n, atol=1e-6)
    # Of pairs that nothing but chance or luck could rule out, all hold in a resample where r reaches tau there.
    never_lucky = (pairs["r"] >= 0.4) & ~(pairs["r_loo"] < 0.4)
    held = held_in_draws(matching, "all", CONFIG.tau) & never_lucky.to_numpy()[:, None]
    np.testing.assert_allclose(found["shared"][1:], held.sum(axis=0) / n)


def test_levels_add_up_to_what_is_shared():
    found = pair_agreement(pair())[0]
    np.testing.assert_allclose(found[1 : 1 + len(LEVELS)].sum(axis=0), found[0])


def test_which_dictionary_is_a_changes_no_bit():
    one, other = pair_agreement(pair()), pair_agreement(pair().swapped())
    np.testing.assert_array_equal(one.measures, other.measures)
    np.testing.assert_array_equal(one.by_domain, other.by_domain)
    pd.testing.assert_frame_equal(one.partners, other.partners)


def test_partners_are_the_pairs_of_the_whole_comparison():
    both = pair()
    pairs = pair_matching(both, pair_similarity(both), pair_null(both)).pairs
    found = pair_agreement(both).partners
    columns = ["model_a", "latent_a", "model_b", "latent_b", "level", "edge"]
    key = ["latent_a", "latent_b"]
    found, pairs = (of.sort_values(key, ignore_index=True) for of in (found, pairs))
    pd.testing.assert_frame_equal(found[columns], pairs[columns], check_dtype=False)
    for name in ("r", "r_held_out", "r_joint"):
        np.testing.assert_allclose(found[name], pairs[name])


def test_r_by_domain_is_that_of_the_latents_of_the_domain_on_both_sides():
    both = pair()
    matched = pair_matching(both, pair_similarity(both), pair_null(both)).pairs
    by_domain = pair_agreement(both)[1]
    assert by_domain.shape == (2, 31)
    for code in range(2):
        asked = []
        for side, dictionary in (("a", both.a), ("b", both.b)):
            r = np.zeros(dictionary.d_sae)
            r[matched[f"latent_{side}"]] = matched["r_held_out"]
            asked.append(r[dictionary.alive & (domain_of_latents(dictionary.acts, both.rows) == code)])
        assert np.concatenate(asked).size > 3
        assert by_domain[code, 0] == pytest.approx(np.concatenate(asked).mean())
