from __future__ import annotations

import numpy as np
import pandas as pd
from scipy import sparse
from sklearn.metrics import matthews_corrcoef, roc_auc_score

from universality.domains import auroc, best_latents, domain_counts, domain_table, nearest_neurons
from universality.rows import Rows


def _world(seed: int = 0, n: int = 900) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    domains = rng.integers(3, size=n)
    dense = np.round(rng.standard_normal((n, 6)) * (rng.random((n, 6)) < 0.3), 1)
    dense[:, 0] = (domains == 1) * (rng.random(n) < 0.6) * rng.integers(1, 4, n)
    dense[:, 5] = 0.0
    return dense, domains


def test_auroc_is_exact_with_ties_and_negative_values() -> None:
    dense, domains = _world()
    area = auroc(sparse.csc_matrix(dense), domains, 3)
    for latent in range(6):
        for domain in range(3):
            expected = roc_auc_score(domains == domain, dense[:, latent])
            np.testing.assert_allclose(area[latent, domain], expected, atol=1e-12)


def test_auroc_of_a_domain_without_rows_is_a_coin() -> None:
    dense, domains = _world()
    area = auroc(sparse.csc_matrix(dense), domains, 4)
    assert (area[:, 3] == 0.5).all()
    assert auroc(sparse.csc_matrix((5, 2)), np.zeros(5, int), 1).tolist() == [[0.5], [0.5]]


def test_counts_give_matthews_sensitivity_and_specificity() -> None:
    dense, domains = _world()
    counts = domain_counts(sparse.csr_matrix(dense), domains, 3)
    for latent in range(5):
        for domain in range(3):
            fires, label = dense[:, latent] != 0, domains == domain
            np.testing.assert_allclose(counts.matthews()[latent, domain], matthews_corrcoef(label, fires), atol=1e-12)
            np.testing.assert_allclose(counts.sensitivity()[latent, domain], fires[label].mean())
            np.testing.assert_allclose(counts.specificity()[latent, domain], (~fires[~label]).mean())
    assert (counts.matthews()[5] == 0).all()


def _rows(n: int, domains: np.ndarray, tokens: np.ndarray | None = None) -> Rows:
    documents = np.arange(n) // 10
    return Rows(documents, documents % 2 == 0, domains, ("a", "b", "c"), tokens=tokens)


def test_the_best_latent_is_chosen_on_fit_rows_and_described_on_score_rows() -> None:
    dense, domains = _world()
    rows = _rows(len(domains), domains)
    best = best_latents(sparse.csr_matrix(dense), rows, np.ones(6, bool))
    row = best.loc[best["domain"] == "b"].iloc[0]
    assert row["latent"] == 0
    score = rows.score
    np.testing.assert_allclose(row["mcc"], matthews_corrcoef(domains[score] == 1, dense[score, 0] != 0))
    np.testing.assert_allclose(row["auroc"], roc_auc_score(domains[score] == 1, dense[score, 0]))
    assert row["n_rows"] == (domains[score] == 1).sum()
    assert row["n_sources"] == np.unique(rows.documents[score & (domains == 1)]).size
    one = Rows(rows.documents, rows.fit, domains, ("a", "b", "c"), sources=rows.documents % 2)
    found = best_latents(sparse.csr_matrix(dense), one, np.ones(6, bool))
    assert found["n_sources"].tolist() == [1, 1, 1]
    assert pd.isna(row["proxy_r"])
    alive = np.ones(6, bool)
    alive[0] = False
    assert best_latents(sparse.csr_matrix(dense), rows, alive).set_index("domain").loc["b", "latent"] != 0


def test_the_token_proxy_is_high_where_tokens_tell_the_domain() -> None:
    dense, domains = _world()
    tokens = np.where(domains == 1, 100, 0) + np.random.default_rng(0).integers(5, size=domains.size)
    best = best_latents(sparse.csr_matrix(dense), _rows(domains.size, domains, tokens), np.ones(6, bool))
    assert best.set_index("domain").loc["b", "proxy_r"] > 0.4


def test_without_labels_there_is_no_table() -> None:
    dense, domains = _world()
    documents = np.arange(domains.size) // 10
    assert best_latents(sparse.csr_matrix(dense), Rows(documents, documents % 2 == 0), np.ones(6, bool)).empty


def test_the_nearest_neuron_is_found_and_scored_held_out() -> None:
    dense, domains = _world()
    rng = np.random.default_rng(1)
    raw = rng.standard_normal((domains.size, 4)).astype(np.float32)
    raw[:, 2] += 2 * dense[:, 0]
    rows = _rows(domains.size, domains)
    neuron, r = nearest_neurons(sparse.csr_matrix(dense), raw, rows, np.array([0, 5]), block=128)
    assert neuron[0] == 2
    np.testing.assert_allclose(r[0], np.corrcoef(dense[rows.score, 0], raw[rows.score, 2])[0, 1], atol=1e-6)
    assert r[1] == 0.0


def test_the_table_joins_partners_neurons_and_the_floor() -> None:
    best = pd.DataFrame({"domain": ["a", "b"], "latent": [3, 4], "n_rows": [10, 20], "n_sources": [5, 6]})
    best = best.assign(mcc=0.5, sensitivity=0.5, specificity=0.9, auroc=0.8, proxy_r=pd.array([None, None], "Float64"))
    columns = ["model", "latent", "partner_model", "partner_latent", "r", "r_token", "level"]
    partners = pd.DataFrame([["m0", 3, "m1", 8, 0.9, 0.7, "context"]], columns=columns)
    floor = pd.DataFrame({"domain": ["a"], "r": [0.05]})
    table = domain_table({"m0": best}, partners, {"m0": (np.array([1, 2]), np.array([0.3, 0.2]))}, floor)
    first, second = table.iloc[0], table.iloc[1]
    assert (first["partner_latent"], first["untrained_r"], first["nearest_neuron"]) == (8, 0.05, 1)
    assert pd.isna(second["partner_latent"])
    assert pd.isna(second["untrained_r"])
