"""What matched latents do, against plain float64; and dictionaries that began at the same weights."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from dense_topk import planted_rows
from scipy import sparse

from universality.compare import CompareConfig, SharedInitialisation, compare, flagged_pairs
from universality.compare.shared_init import shared_initialisation
from universality.errors import InputError
from universality.sae.sae_config import SAETrainingConfig
from universality.sae.training import train_sae
from universality.seeds import generator

CONFIG = CompareConfig(n_shifts=10, n_resamples=20, n_resplits=0, taus=(0.5,), n_rotations=1, min_firings=5)
N, D_IN, D_SAE, VOCAB = 3000, 12, 20, 30
RNG = np.random.default_rng(0)
DOCUMENTS = np.arange(N) // 50
NEXT = np.where(np.arange(N) % 50 == 49, -1, RNG.integers(VOCAB, size=N))


def rotation(seed: int) -> np.ndarray:
    return np.linalg.qr(np.random.default_rng(seed).standard_normal((D_IN, D_IN)))[0]


def models() -> dict:
    """m1 is m0 in another basis with its latents in another order, seen through some noise."""
    acts = RNG.gamma(1.0, size=(N, D_SAE)) * (RNG.random((N, D_SAE)) < 0.1)
    order = RNG.permutation(D_SAE)
    seen = acts[:, order] * np.exp(0.2 * RNG.standard_normal(acts.shape))
    W_dec, turn, logits = RNG.standard_normal((D_SAE, D_IN)), rotation(1), RNG.standard_normal((D_IN, VOCAB))
    raw = acts @ W_dec
    weights = {"m0": W_dec, "m1": W_dec[order] @ turn}
    return {
        "acts": {"m0": sparse.csr_matrix(acts), "m1": sparse.csr_matrix(seen)},
        "raw": {"m0": raw.astype(np.float32), "m1": (raw @ turn).astype(np.float32)},
        "weights": weights,
        # The second model reads its features out with some noise of its own.
        "logits": {"m0": logits, "m1": turn.T @ logits + 0.5 * RNG.standard_normal((D_IN, VOCAB))},
        "documents": DOCUMENTS,
        "next_tokens": NEXT,
    }


@pytest.fixture(scope="module")
def given():
    return models()


@pytest.fixture(scope="module")
def comparison(given):
    return compare(**given, config=CONFIG)


def test_columns_equal_their_definitions(given, comparison):
    pairs = comparison.pairs
    assert len(pairs) == D_SAE
    fit = _fit_rows()
    effects = [given["weights"][m] @ given["logits"][m] for m in ("m0", "m1")]
    effects = [e - e.mean(axis=1, keepdims=True) for e in effects]
    following = np.where(NEXT < 0, 0, NEXT)
    attributions = [
        given["acts"][m].toarray() * e[:, following].T * (NEXT >= 0)[:, None]
        for m, e in zip(("m0", "m1"), effects, strict=True)
    ]
    for row in pairs.itertuples():
        a, b = row.latent_a, row.latent_b
        assert row.r_logits == pytest.approx(np.corrcoef(effects[0][a], effects[1][b])[0, 1], abs=1e-6)
        left, right = attributions[0][~fit, a], attributions[1][~fit, b]
        assert row.r_attribution == pytest.approx(np.corrcoef(left, right)[0, 1], abs=1e-6)
    assert (pairs["cos_procrustes"] > 0.999).all()


def _fit_rows() -> np.ndarray:
    from universality.rows import split_documents

    return split_documents(DOCUMENTS, 0)


def test_each_column_stands_beside_its_chance(comparison):
    indices = comparison.indices.set_index("name")
    for name in ("matched_cos_procrustes", "matched_r_logits", "matched_r_attribution", "raw_procrustes_r"):
        assert indices.loc[name, "value"] > 0.6, name
        assert abs(indices.loc[name, "chance"]) < 0.3, name
    column = comparison.pairs["r_logits"]
    assert indices.loc["matched_r_logits", "value"] == pytest.approx(column.median())


def test_without_inputs_they_are_missing_not_guessed(given):
    bare = {name: given[name] for name in ("acts", "documents")}
    pairs = compare(**bare, config=CONFIG).pairs
    assert pairs[["cos_procrustes", "r_logits", "r_attribution"]].isna().all().all()
    no_next = {name: value for name, value in given.items() if name not in ("next_tokens", "raw")}
    pairs = compare(**no_next, config=CONFIG).pairs
    assert pairs["r_logits"].notna().all()
    assert pairs[["cos_procrustes", "r_attribution"]].isna().all().all()


def test_blocks_do_not_matter(given, comparison, monkeypatch):
    monkeypatch.setattr("universality.compare.effects._BLOCK", 3 * VOCAB)
    again = compare(**given, config=CONFIG).pairs
    for name in ("r_logits", "r_attribution"):
        np.testing.assert_allclose(again[name], comparison.pairs[name], atol=1e-6)


def test_the_order_of_models_does_not_matter(given, comparison):
    turned = given | {"acts": dict(reversed(given["acts"].items()))}
    again = compare(**turned, config=CONFIG)
    pairs = again.pairs.sort_values("latent_b")
    for name in ("cos_procrustes", "r_logits", "r_attribution"):
        np.testing.assert_array_equal(pairs[name], comparison.pairs.sort_values("latent_a")[name])
    one, two = (table.indices.set_index("name") for table in (comparison, again))
    matched = [name for name in one.index if name.startswith("matched_")]
    for name in (*matched, "raw_procrustes_r", "aligned_decoder_cos", "same_index_fraction", "shared_init"):
        assert one.loc[name, ["value", "chance"]].tolist() == two.loc[name, ["value", "chance"]].tolist(), name


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"logits": {"m7": np.ones((D_IN, VOCAB))}}, "names of logits"),
        ({"logits": {"m0": np.ones(VOCAB)}}, "shape of logits"),
        ({"logits": {"m0": np.ones((D_IN, 30)), "m1": np.ones((D_IN, 31))}}, "d_vocab of logits"),
        ({"next_tokens": np.full(N, VOCAB)}, "next_tokens of rows"),
        ({"next_tokens": NEXT[1:]}, "next_tokens of rows"),
    ],
)
def test_what_does_not_fit_is_refused(given, change, words):
    with pytest.raises(InputError, match=words):
        compare(**(given | change), config=CONFIG)


# --- shared initialisation -----------------------------------------------------------------------------------

DICTIONARY = SAETrainingConfig(d_sae=64, k=4, tokens=15_000, batch_rows=128, lr=2e-3, dead_after=3000)


def dictionary(turn: np.ndarray, sae_seed: int):
    rows = (planted_rows(6000, D_IN, 40, 3, seed=0) @ turn).astype(np.float32)
    sae = train_sae(rows, DICTIONARY, sae_seed=sae_seed).sae
    return sae.encode_sparse(rows), sae.W_dec.detach().numpy()


@pytest.fixture(scope="module")
def dictionaries():
    """Trained on the same rows in three bases; the first two from equal weights."""
    made = {
        "m0": dictionary(np.eye(D_IN), 1),
        "m1": dictionary(rotation(2), 1),
        "m2": dictionary(rotation(3), 2),
    }
    return {m: v[0] for m, v in made.items()}, {m: v[1] for m, v in made.items()}


def test_dictionaries_of_equal_start_are_marked_by_their_weights(dictionaries):
    acts, weights = dictionaries
    with pytest.warns(SharedInitialisation, match="m0-m1: both dictionaries seem to start from the same"):
        found = compare(acts, documents=np.arange(6000) // 50, config=CONFIG, weights=weights)
    assert flagged_pairs(found.indices) == ["m0-m1"]


def test_within_one_model_their_numbers_are_enough():
    rows = planted_rows(6000, D_IN, 40, 3, seed=0)
    # The second sees half of the rows, as a replicate does.
    saes = [train_sae(part, DICTIONARY, sae_seed=1).sae for part in (rows, rows[::2].copy())]
    acts = {f"m{number}": sae.encode_sparse(rows) for number, sae in enumerate(saes)}
    with pytest.warns(SharedInitialisation):
        found = compare(acts, documents=np.arange(6000) // 50, config=CONFIG)
    assert flagged_pairs(found.indices) == ["m0-m1"]


def test_a_permuted_copy_is_no_shared_start(dictionaries):
    acts, weights = dictionaries
    order = np.random.default_rng(0).permutation(64)
    pair = {"m0": acts["m0"], "copy": acts["m0"][:, order]}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        compare(
            pair,
            documents=np.arange(6000) // 50,
            config=CONFIG,
            weights={"m0": weights["m0"], "copy": weights["m0"][order]},
        )


def test_unrelated_dictionaries_are_hardly_ever_marked():
    rng = np.random.default_rng(5)
    marked = 0
    for number in range(200):
        decoders = rng.standard_normal((64, 16)), rng.standard_normal((64, 16))
        pairs = np.arange(50), rng.permutation(64)[:50]
        marked += shared_initialisation(*pairs, (64, 64), decoders, generator(number, "x"))[-1].value
    assert marked == 0
