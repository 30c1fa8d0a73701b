"""Labels told from the text, against words written out by hand; transfer on planted dictionaries."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from universality.compare.pair import Dictionary
from universality.compare.statistics import latent_statistics
from universality.effects.probes import LABELS, Probes, text_labels, weighted_areas
from universality.rows import Rows
from universality.table_schemas import TABLES


def labels_of(*tokens: bytes) -> dict[str, list[bytes]]:
    """The tokens that have each label; an empty one stands for a special token."""
    vocabulary = list(dict.fromkeys(tokens))
    contexts = np.array([[vocabulary.index(token) for token in tokens]])
    special = np.array([not token for token in vocabulary])
    found = text_labels(vocabulary, contexts, special)
    assert set(found) == set(LABELS)
    return {
        name: [token for token, holds in zip(tokens, marked[0], strict=True) if holds] for name, marked in found.items()
    }


def test_words_and_numbers():
    words = [b"The", b" qu", b"ick", b" Fox", b" x", b"86", b",", b" or", b"Ab", b"-", b"Cd", b"\xc3", b"\xa9t"]
    found = labels_of(b"", *words)
    assert found["capitalised"] == [b"The", b" Fox", b"Cd"]
    assert found["second_half_of_word"] == [b"ick", b"Ab", b"\xc3", b"\xa9t"]
    assert found["digit"] == [b"86"]
    assert found["before_punctuation"] == [b"86", b"Ab"]
    assert found["line_start"] == [b"The"]


def test_quotes_and_parentheses_end_where_the_document_does():
    first = [b'say "', b"yes", b'"', b" (a", b" (b", b")", b" c", b")", b" d", b"("]
    found = labels_of(b"", *first, b"", b"e", b'"', b"f", b"\n", b"g")
    assert found["inside_quotes"] == [b"yes", b'"', b"f", b"\n"]
    assert found["inside_parentheses"] == [b" (b", b")", b" c", b")"]


def test_lines_and_indentation():
    first = [b"if", b" x", b":", b"\n", b"    ", b"return", b" ", b"y", b"\n\t", b"z", b"\nend"]
    found = labels_of(b"", *first, b"", b"  ", b"k")
    assert found["line_start"] == [b"if", b"return", b"z", b"\nend", b"k"]
    assert found["indentation"] == [b"    ", b"\n\t", b"  "]


def test_attributes_of_tags():
    first = [b"<", b"a", b" href", b"=", b"x", b">", b"link", b"</", b"a", b">", b"1 < 2 b", b"c", b"<p", b" id"]
    assert labels_of(b"", *first, b"")["html_attribute"] == [b"=", b"x", b">"]


def area_by_hand(values, label, weight):
    above = (values[:, None] > values[None, :]) + 0.5 * (values[:, None] == values[None, :])
    pairs = np.outer(weight * label, weight * ~label)
    return (above * pairs).sum() / pairs.sum()


def test_areas_are_those_of_all_pairs_of_rows():
    rng = np.random.default_rng(0)
    values = np.where(rng.random(300) < 0.6, 0.0, rng.integers(1, 9, 300) / 4)
    label, groups = rng.random(300) < 0.3, rng.integers(0, 7, 300)
    weights = np.vstack([np.ones(7), rng.multinomial(7, np.full(7, 1 / 7), 5)]).astype(float)
    found = weighted_areas(values, label, groups, weights)
    np.testing.assert_allclose(found, [area_by_hand(values, label, w[groups]) for w in weights], rtol=1e-12)
    assert weighted_areas(values, np.zeros(300, bool), groups, weights).tolist() == [0.5] * 6


@pytest.fixture(scope="module")
def planted() -> Any:
    """Latents of m0: digit, capitalised, noise. Of m1: digit weakly, capitalised, digit, noise."""
    rng, n = np.random.default_rng(1), 4000
    documents = np.repeat(np.arange(40), n // 40)
    rows = Rows(documents=documents, fit=documents % 2 == 0)
    first, second = rng.random(n) < 0.2, rng.random(n) < 0.2
    labels = {"digit": first, "capitalised": second, "indentation": np.arange(n) < 90}

    def dictionary(name, *told):
        columns = [np.where(mark & (rng.random(n) < keep), rng.uniform(1, 2, n), 0.0) for mark, keep in told]
        acts = sparse.csr_matrix(np.stack([*columns, np.where(rng.random(n) < 0.2, 1.0, 0.0)], axis=1))
        return Dictionary(name, acts, rows, latent_statistics(acts, rows), 5)

    made = {
        "m0": dictionary("m0", (first, 0.9), (second, 0.9)),
        "m1": dictionary("m1", (first, 0.5), (second, 0.9), (first, 0.9)),
    }
    weights = np.random.default_rng(2).multinomial(20, np.full(20, 1 / 20), 50).astype(float)
    return Probes(made, labels, weights)


MATCHED = pd.DataFrame({"latent_a": [0, 1, 2], "latent_b": [0, 1, 3]})


def test_a_partner_tells_as_much_as_it_fires_with_the_label(planted):
    table = planted.table([("matched", ("m0", "m1"), MATCHED)])
    TABLES["probes"].check(table)
    assert not table.duplicated(list(TABLES["probes"].key)).any()
    assert set(table["label"]) == {"digit", "capitalised"}  # the third has no rows in one half
    rows = table.set_index(["label", "kind", "model_a"]).sort_index()
    digit = rows.loc[("digit", "matched", "m0")]
    assert (digit["latent_a"], digit["latent_b"], digit["best_latent"]) == (0, 0, 2)
    # A latent that fires on a share k of the label and never elsewhere has an area of (1 + k) / 2.
    assert digit["transfer"] == pytest.approx(0.5 / 0.9, abs=0.06)
    assert digit["low"] < digit["transfer"] < digit["high"]
    assert rows.loc[("capitalised", "matched", "m0"), "transfer"] == pytest.approx(1.0)
    assert pd.isna(rows.loc[("digit", "matched", "m1"), "latent_b"])  # the best latent of m1 has no partner
    assert pd.isna(rows.loc[("digit", "matched", "m1"), "transfer"])
    exchanged = rows.loc[("capitalised", "hard_exchange", "m0")]
    assert exchanged["latent_b"] == 3  # fires about as often, and is assigned
    assert abs(exchanged["transfer"]) < 0.2
    score = planted.dictionaries["m0"].rows.score
    acts = planted.dictionaries["m1"].acts.toarray()[score, 0]
    by_hand = area_by_hand(acts, planted.labels["digit"][score], np.ones(score.sum()))
    assert digit["auc_partner"] == pytest.approx(by_hand)


def test_a_label_that_nobody_tells_has_no_ratio(planted):
    noise = Probes(planted.dictionaries, {"digit": np.random.default_rng(3).random(4000) < 0.3}, planted.weights)
    table = noise.table([("ceiling", ("m0", "m1"), MATCHED)])
    assert table["auc_best"].sub(0.5).abs().max() < 0.05
    assert table.loc[table["auc_best"] < 0.52, "transfer"].isna().all()
    assert set(table["kind"]) == {"ceiling"}
    assert Probes(planted.dictionaries, {}, planted.weights).table([("floor", ("m0", "m1"), MATCHED)]).empty
