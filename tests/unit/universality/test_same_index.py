"""Latents of equal number: a copy agrees with itself throughout, a renumbered copy nowhere, and chance is beside it."""

from dataclasses import replace
from functools import lru_cache

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from results.same_index_frames import same_index_sentence, same_index_summary
from universality.compare import CompareConfig, Dictionary, DictionaryPair, latent_statistics, pair_matching, pair_null
from universality.compare.pairing import pair_similarity
from universality.compare.same_index import same_index
from universality.errors import InputError
from universality.planted import plant
from universality.planted.calibration import prepare
from universality.table_schemas import SAME_INDEX

CONFIG = CompareConfig.model_validate({"n_resamples": 20, "n_resplits": 2, "n_shifts": 10, "min_firings": 10})
WORLD = {
    "n_rows": 8_000, "n_documents": 80, "n_domains": 2, "n_universal": 16, "n_shared": 0, "n_specific": 10,
    "n_unstable": 0, "n_decodable": 0, "n_split": 0, "n_untrained": 0, "d_in": 2, "min_rate": 0.01,
}  # fmt: skip


@lru_cache(maxsize=1)
def original() -> Dictionary:
    return prepare(plant(root_seed=3, **WORLD), CONFIG, 3, replicates=False).pair(("m0", "m1")).a


def beside(acts: sparse.csr_matrix) -> DictionaryPair:
    a = original()
    return DictionaryPair(a, replace(a, name="m1", acts=acts, statistics=latent_statistics(acts, a.rows)), CONFIG, 5)


def told(pair: DictionaryPair, kind: str = "features"):
    return same_index(pair, pair_matching(pair, pair_similarity(pair), pair_null(pair)).pairs, kind)


def test_a_copy_agrees_number_by_number_and_chance_does_not():
    table = told(beside(original().acts))
    SAME_INDEX.check(table)
    assert list(table["latent"]) == list(np.flatnonzero(original().alive))
    np.testing.assert_allclose(table["r_held_out"], 1.0, atol=1e-12)
    assert table["partner"].equals(table["latent"].astype("Int64"))
    (row,) = same_index_summary(table).to_dict("records")
    assert (row["share"], row["share_rolled"], row["r_partner"]) == (1.0, 0.0, pytest.approx(1.0))
    assert abs(row["r_rolled"]) < 0.2
    assert sorted(table["rolled"]) == list(table["latent"])
    assert (table["rolled"] != table["latent"]).all()


def test_a_renumbered_copy_has_every_partner_and_none_of_its_own_number():
    n = original().d_sae
    table = told(beside(original().acts[:, np.roll(np.arange(n), 1)]))
    assert table["partner"].eq((table["latent"] + 1) % n).all()
    (row,) = same_index_summary(table).to_dict("records")
    assert (row["share"], row["r_partner"]) == (0.0, pytest.approx(1.0))
    assert abs(row["r"]) < 0.2


def test_what_is_not_alive_in_both_has_no_row_and_a_latent_nobody_was_assigned_no_partner():
    first, *_, last = map(int, np.flatnonzero(original().alive))
    acts = original().acts.tolil()
    acts[:, first] = 0
    table = told(beside(sparse.csr_matrix(acts)))
    assert first not in set(table["latent"])
    assert last in set(table["latent"])
    assert table["rolled"].ne(first).all()
    matched = pair_matching(pair := beside(original().acts), pair_similarity(pair), pair_null(pair)).pairs
    table = same_index(pair, matched.query(f"latent_a != {last}"), "features")
    (row,) = table.query(f"latent == {last}").to_dict("records")
    assert pd.isna(row["partner"])
    assert np.isnan(row["r_partner"])
    assert row["r_held_out"] == pytest.approx(1.0)
    assert same_index_summary(table)["share"].item() == pytest.approx(1 - 1 / len(table))


def test_of_one_latent_alone_there_is_no_chance():
    acts = original().acts.tolil()
    acts[:, np.flatnonzero(original().alive)[1:]] = 0
    (row,) = told(beside(sparse.csr_matrix(acts))).to_dict("records")
    assert row["r_held_out"] == pytest.approx(1.0)
    assert np.isnan(row["r_rolled"])


def test_dictionaries_of_different_numbers_of_latents_are_refused():
    with pytest.raises(InputError, match=r"latents of dictionaries of the pair must be equally many .* of m1"):
        same_index(beside(original().acts[:, 1:]), None, "features")  # pyright: ignore[reportArgumentType]


def test_the_sentence_has_chance_and_floor_beside_it():
    copy = told(beside(original().acts))
    n = original().d_sae
    floor = told(beside(original().acts[:, np.roll(np.arange(n), 1)]), "untrained")
    said = same_index_sentence(pd.concat([copy, floor]))
    assert "correlate at r = 1.00" in said
    assert "100 % of them were assigned the latent of their own number (rolled 0 %, untrained 0 %)" in said
    assert "untrained" not in same_index_sentence(copy)
    assert same_index_sentence(None) == same_index_sentence(floor) == same_index_sentence(copy[:0]) == ""
