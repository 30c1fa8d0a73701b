from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import sparse

from universality import evidence
from universality.evidence import contexts_table, histogram_table, latent_domain_table, logit_table

N_CONTEXTS, N_CTX, N_LATENTS = 300, 16, 5


@pytest.fixture
def acts() -> sparse.csc_matrix:
    rng = np.random.default_rng(0)
    shape = (N_CONTEXTS * N_CTX, N_LATENTS)
    dense = rng.gamma(2.0, 1.0, shape) * (rng.random(shape) < 0.05)
    dense[:, 3] = 0.0
    dense[:, 4] = 0.0
    dense[[7, 40], 4] = 2.5
    return sparse.csc_matrix(dense.astype(np.float32))


CONTEXTS = np.repeat(np.arange(N_CONTEXTS), N_CTX)


def test_top_contexts_are_the_highest_peaks_and_each_context_stands_once(acts: sparse.csc_matrix) -> None:
    table = contexts_table(acts, CONTEXTS, np.random.default_rng(1))
    dense = acts.toarray()
    for latent in range(3):
        part = table[table["latent"] == latent]
        peaks = dense[:, latent].reshape(N_CONTEXTS, N_CTX).max(axis=1)
        top = part[part["kind"] == "top"]
        np.testing.assert_array_equal(top["value"], np.sort(peaks)[::-1][:20])
        assert top["rank"].tolist() == list(range(20))
        assert CONTEXTS[part["row"]].size == np.unique(CONTEXTS[part["row"]]).size
        np.testing.assert_array_equal(part["value"], dense[part["row"], latent])
        shown = part[part["kind"] != "random"]
        np.testing.assert_array_equal(shown["value"], peaks[CONTEXTS[shown["row"]]])


def test_quantile_groups_rise_and_have_five_contexts_each(acts: sparse.csc_matrix) -> None:
    part = contexts_table(acts, CONTEXTS, np.random.default_rng(1))
    part = part[(part["latent"] == 0) & (part["kind"] == "quantile")]
    assert part.groupby("group").size().to_dict() == dict.fromkeys(range(10), 5)
    bounds = part.groupby("group")["value"].agg(["min", "max"])
    assert (bounds["min"].to_numpy()[1:] >= bounds["max"].to_numpy()[:-1]).all()


def test_silent_latents_have_no_contexts_and_rare_ones_few(acts: sparse.csc_matrix) -> None:
    table = contexts_table(acts, CONTEXTS, np.random.default_rng(1))
    assert 3 not in set(table["latent"])
    rare = table[table["latent"] == 4]
    assert (rare["kind"] == "top").sum() == 2
    assert (rare["kind"] == "quantile").sum() == 0
    assert (rare["kind"] == "random").sum() == 5


def test_contexts_with_equal_text_are_shown_once(acts: sparse.csc_matrix) -> None:
    same = CONTEXTS // 2
    part = contexts_table(acts, CONTEXTS, np.random.default_rng(1), same=same)
    part = part[part["latent"] == 0]
    assert np.unique(same[part["row"]]).size == len(part)


def test_context_samples_depend_on_the_generator_only(acts: sparse.csc_matrix) -> None:
    one, two = (contexts_table(acts, CONTEXTS, np.random.default_rng(5)) for _ in range(2))
    assert one.equals(two)


def test_histograms_count_every_positive_value_once_in_half_open_bins() -> None:
    column = np.array([0.0, 0.1, 0.25, 0.5, 0.500001, 0.75, 1.0, 1.0, -3.0])
    table = histogram_table(sparse.csc_matrix(np.stack([column, np.zeros(9)], axis=1)), n_bins=4)
    assert set(table["latent"]) == {0}
    assert table["count"].tolist() == [2, 1, 2, 2]
    assert table["right"].iloc[-1] == 1.0


def test_histograms_agree_with_their_own_edges(acts: sparse.csc_matrix) -> None:
    table = histogram_table(acts)
    dense = acts.toarray().astype(np.float64)
    for latent, part in table.groupby("latent"):
        values = dense[:, latent][dense[:, latent] > 0]
        assert part["count"].sum() == values.size
        expected = [int(((values > a) & (values <= b)).sum()) for a, b in zip(part["left"], part["right"], strict=True)]
        assert part["count"].tolist() == expected
        assert (part["left"].to_numpy()[1:] == part["right"].to_numpy()[:-1]).all()


def test_domain_shares_sum_to_one(acts: sparse.csc_matrix) -> None:
    domains = np.random.default_rng(3).integers(3, size=acts.shape[0])
    table = latent_domain_table(acts, domains, ["a", "b", "c"])
    assert set(table["latent"]) == {0, 1, 2, 4}
    np.testing.assert_allclose(table.groupby("latent")["share"].sum(), 1.0)
    one = table[(table["latent"] == 1) & (table["domain"] == "b")].iloc[0]
    dense = acts.toarray()[:, 1]
    np.testing.assert_allclose(one["share"], dense[domains == 1].sum() / dense.sum(), rtol=1e-6)


def test_logit_tables_name_what_the_decoder_promotes() -> None:
    w_logits = np.eye(6)[:4]
    w_dec = np.array([[0.0, 3.0, -1.0, 1.0], [1.0, 0.0, 0.0, 0.0]])
    table = logit_table(w_dec, w_logits, np.array([0, 1]), n_tokens=2, block=1)
    first = table[table["latent"] == 0]
    assert first[first["side"] == "top"]["token"].tolist() == [1, 3]
    assert first[first["side"] == "bottom"]["token"].tolist() == [2, 0]
    np.testing.assert_allclose(first[first["side"] == "top"]["value"].iloc[0], 3.0 - 0.5)


@pytest.mark.parametrize("n", [0, 1, 10, 40])
def test_the_smallest_are_those_of_a_stable_sort_with_ties(n):
    rng = np.random.default_rng(0)
    values = np.concatenate([rng.integers(0, 6, (30, 40)).astype(float), rng.standard_normal((30, 40))])
    values[0], values[1, ::2] = 0.0, -0.0
    expected = np.argsort(values, axis=1, kind="stable")[:, :n]
    for held in (values, torch.from_numpy(values)):
        places, smallest = evidence._smallest(held, n)
        assert places.tolist() == expected.tolist()
        assert smallest.tolist() == np.take_along_axis(values, expected, axis=1).tolist()


def test_logits_of_a_device_are_those_of_the_cpu() -> None:
    rng = np.random.default_rng(3)
    w_dec, w_logits = rng.normal(size=(30, 8)).astype(np.float32), rng.normal(size=(8, 200)).astype(np.float32)
    w_logits[:, 7] = w_logits[:, 11]  # two tokens that are promoted alike
    here, there = (logit_table(w_dec, w_logits, np.arange(30), block=7, device=device) for device in ("cpu", "cpu:0"))
    pd.testing.assert_frame_equal(here.drop(columns="value"), there.drop(columns="value"))
    np.testing.assert_allclose(here["value"], there["value"], rtol=1e-12)
