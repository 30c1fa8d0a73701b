from __future__ import annotations

import hashlib

import numpy as np
import pytest

from universality.errors import InputError
from universality.planted import PlantConfig, Planted, plant

TINY = PlantConfig(
    n_rows=6_000, n_documents=60, n_universal=8, n_shared=4, n_specific=6, n_unstable=2, n_decodable=2, n_split=2,
    n_domain=2, n_token=2, n_position=1, n_domains=2, d_in=8, d_vocab=100, n_ctx=16, min_rate=0.01,
)  # fmt: skip


def test_equal_seeds_give_equal_bytes_and_others_do_not() -> None:
    one, two, other = plant(TINY, root_seed=1), plant(TINY, root_seed=1), plant(TINY, root_seed=2)
    for name, acts in one.acts.items():
        assert (acts != two.acts[name]).nnz == 0
        assert np.array_equal(one.raw[name], two.raw[name])
    assert one.truth.equals(two.truth)
    assert not np.array_equal(one.tokens, other.tokens)


def fingerprint(world: Planted) -> tuple[str, float]:
    """Digest of the text and of where everything fires, and the sum of all activations."""
    digest, total = hashlib.sha256(), 0.0
    for rows in (world.documents, world.domains, world.tokens, world.positions):
        digest.update(rows.astype("<i8").tobytes())
    for matrices in (world.acts, world.replicates, world.untrained):
        for acts in matrices.values():
            digest.update(acts.indptr.astype("<i8").tobytes() + acts.indices.astype("<i8").tobytes())
            total += acts.data.sum(dtype=np.float64)
    return digest.hexdigest()[:16], total


def test_worlds_without_later_kinds_keep_their_bytes() -> None:
    """Recorded before there were any: published calibrations and the seeds of other tests stand on them."""
    calibration = {
        "n_twin": 15, "n_document": 4, "n_rows": 10_000, "n_documents": 80, "n_untrained": 0, "d_in": 2,
    }  # fmt: skip
    assert fingerprint(plant(root_seed=3)) == ("c39e72cc62613bc8", pytest.approx(996804.892605707))
    assert fingerprint(plant(root_seed=3, **calibration)) == (
        "c500689327c9fc43",
        pytest.approx(187901.34402312338),
    )


def test_everything_has_the_same_rows_and_legal_values() -> None:
    world = plant(TINY)
    for matrices in (world.acts, world.replicates, world.untrained):
        for acts in matrices.values():
            assert acts.shape[0] == TINY.n_rows
            assert acts.dtype == np.float32
            assert acts.indices.dtype == np.int32
            assert (acts.data > 0).all()
            assert acts.has_canonical_format
    assert world.positions.max() < TINY.n_ctx
    assert (np.diff(world.documents) >= 0).all()
    assert np.unique(world.documents).size == TINY.n_documents
    domain_of = {(d, g) for d, g in zip(world.documents.tolist(), world.domains.tolist(), strict=True)}
    assert len(domain_of) == TINY.n_documents


def test_the_truth_has_one_row_per_latent_of_every_dictionary() -> None:
    world = plant(TINY)
    for model, acts in world.acts.items():
        for name, matrix in ((model, acts), (f"{model}r", world.replicates[model])):
            rows = world.truth[world.truth["model"] == name]
            assert sorted(rows["latent"]) == list(range(matrix.shape[1]))
    counts = world.truth[world.truth["model"] == "m0"]["kind"].value_counts()
    assert counts["universal"] == TINY.n_universal
    assert counts["specific"] == TINY.n_specific
    replicate = world.truth[world.truth["model"] == "m0r"]["kind"]
    assert "unstable" not in set(replicate)
    shared = world.truth[(world.truth["kind"] == "shared") & ~world.truth["model"].str.endswith("r")]
    assert set(shared.groupby("feature").size()) == {2}


def _column(acts, latent: int) -> np.ndarray:
    return acts[:, [latent]].toarray().ravel()


def test_the_same_feature_correlates_and_different_ones_do_not() -> None:
    world = plant(TINY)
    truth = world.truth[world.truth["kind"] == "universal"].set_index(["model", "feature"])["latent"]
    features = truth["m0"].index[:6]
    left = np.stack([_column(world.acts["m0"], truth["m0", f]) for f in features])
    right = np.stack([_column(world.acts["m1"], truth["m1", f]) for f in features])
    r = np.corrcoef(left, right)[:6, 6:]
    assert np.diag(r).min() > 0.6
    assert np.abs(r - np.diag(np.diag(r))).max() < 0.3


def test_pieces_make_up_their_whole_without_overlap() -> None:
    world = plant(TINY, noise=0.0, miss=0.0, spurious=0.0)
    truth = world.truth[~world.truth["model"].str.endswith("r")]
    whole = truth[truth["kind"] == "whole"].iloc[0]
    pieces = truth[(truth["whole"] == whole["feature"]) & (truth["model"] != whole["model"])]
    model = pieces["model"].iloc[0]
    parts = world.acts[model][:, pieces[pieces["model"] == model]["latent"].to_numpy()].toarray()
    assert ((parts > 0).sum(axis=1) <= 1).all()
    np.testing.assert_allclose(parts.sum(axis=1), _column(world.acts[whole["model"]], whole["latent"]))


def test_decoys_fire_only_where_they_should() -> None:
    world = plant(TINY, spurious=0.0)
    token = world.truth[(world.truth["kind"] == "token") & (world.truth["model"] == "m0")].iloc[0]
    rows = np.flatnonzero(_column(world.acts["m0"], token["latent"]))
    assert np.unique(world.tokens[rows]).size == 1
    domain = world.truth[(world.truth["kind"] == "domain") & (world.truth["model"] == "m1")].iloc[0]
    rows = np.flatnonzero(_column(world.acts["m1"], domain["latent"]))
    assert np.unique(world.domains[rows]).size == 1


def _rows_of(world, kind: str, number: int = 0) -> list[set[int]]:
    """Rows in which each model's latent of one feature of a kind fires."""
    truth = world.truth[(world.truth["kind"] == kind) & world.truth["model"].isin(list(world.acts))]
    feature = sorted(set(truth["feature"]))[number]
    part = truth[truth["feature"] == feature].set_index("model")["latent"]
    return [set(np.flatnonzero(_column(world.acts[model], part[model])).tolist()) for model in world.acts]


def test_document_decoys_live_in_the_same_documents_and_nothing_else() -> None:
    world = plant(TINY, spurious=0.0, miss=0.0, n_document=2, document_spread=4)
    one, two, three = _rows_of(world, "document")
    documents = [set(world.documents[sorted(rows)].tolist()) for rows in (one, two, three)]
    assert documents[0] == documents[1] == documents[2]
    assert len(documents[0]) == 4
    everywhere = np.isin(world.documents, sorted(documents[0])).sum()
    assert len(one & two) == pytest.approx(0.3**2 * everywhere, rel=0.35)


def test_twins_have_most_events_in_common_and_some_of_their_own() -> None:
    world = plant(TINY, spurious=0.0, miss=0.0, n_twin=1, twin_overlap=0.6, max_rate=0.1, min_rate=0.1)
    one, other = _rows_of(world, "twin", 0)[0], _rows_of(world, "twin", 1)[0]
    assert len(one & other) / len(one | other) == pytest.approx(0.6, abs=0.1)
    assert one - other
    assert other - one


def test_new_kinds_leave_the_others_as_they_are() -> None:
    plain, more = plant(TINY), plant(TINY, n_twin=1, n_document=1)
    np.testing.assert_array_equal(plain.tokens, more.tokens)
    for number in range(3):
        one, two = (plant(TINY, spurious=0.0, miss=0.0, **new) for new in ({}, {"n_twin": 1, "n_document": 1}))
        assert _rows_of(one, "universal", number) == _rows_of(two, "universal", number)


def test_two_models_have_no_shared_features() -> None:
    assert "shared" not in set(plant(TINY, n_models=2).truth["kind"])


def test_unknown_fields_are_refused() -> None:
    with pytest.raises(InputError, match="n_univresal"):
        plant(n_univresal=3)
