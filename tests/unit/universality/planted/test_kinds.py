"""Where planted features of each kind fire, and what the truth says of them."""

from __future__ import annotations

from functools import cache

import numpy as np
import pandas as pd
import pytest

from universality.planted import PlantConfig, Planted, plant
from universality.planted.kinds import DECOYS, KINDS
from universality.rows import split_documents

NOTHING = PlantConfig(
    n_rows=24_000, n_documents=120, n_universal=0, n_shared=0, n_specific=0, n_unstable=0, n_decodable=0, n_split=0,
    n_domain=0, n_token=0, n_position=0, n_domains=3, d_in=2, d_vocab=60, n_ctx=32, n_untrained=0, n_dead=0, n_rare=0,
    min_rate=0.01, miss=0.0, spurious=0.0,
)  # fmt: skip
EVERY = {
    "n_token_in_domain": 2, "n_token_in_documents": 2, "n_token_or_documents": 2, "n_token_x_position": 2,
    "n_bigram": 2, "n_end_of_document": 2, "n_outlier_rows": 2, "n_sink_rows": 2, "n_copied": 3, "n_absorbed": 3,
    "n_dominant": 3, "n_family": 2, "n_heavy": 2, "document_spread": 8,
}  # fmt: skip


@cache
def world() -> Planted:
    return plant(NOTHING, root_seed=5, **EVERY)


def fired(planted: Planted, kind: str) -> dict[tuple[int, str], list[np.ndarray]]:
    """Activations of each (feature, dictionary) of a kind: one column for each latent."""
    matrices = {**planted.acts, **{f"{model}r": acts for model, acts in planted.replicates.items()}}
    out: dict[tuple[int, str], list[np.ndarray]] = {}
    for row in planted.truth[planted.truth["kind"] == kind].itertuples():
        column = matrices[row.model][:, [row.latent]].toarray().ravel()
        out.setdefault((row.feature, row.model), []).append(column)
    return out


def everywhere(kind: str) -> list[np.ndarray]:
    """For every feature of a kind, the rows in which it fires in any dictionary."""
    columns = fired(world(), kind)
    by_feature: dict[int, list[np.ndarray]] = {}
    for (feature, _), (column,) in columns.items():
        by_feature.setdefault(feature, []).append(column)
    return [np.flatnonzero(np.max(part, axis=0)) for _, part in sorted(by_feature.items())]


# --- decoys ---------------------------------------------------------------------------------------------------


def test_a_token_in_a_domain_is_common_elsewhere() -> None:
    for rows in everywhere("token_in_domain"):
        tokens, domains = set(world().tokens[rows]), set(world().domains[rows])
        assert len(tokens) == len(domains) == 1
        of_token = world().tokens == tokens.pop()
        assert (of_token & (world().domains != domains.pop())).sum() >= rows.size


def test_tokens_in_documents_are_some_tokens_in_some_documents() -> None:
    for rows in everywhere("token_in_documents"):
        documents = np.unique(world().documents[rows])
        assert documents.size == 8
        there = np.isin(world().documents, documents)
        tokens = np.unique(world().tokens[rows])
        np.testing.assert_array_equal(rows, np.flatnonzero(there & np.isin(world().tokens, tokens)))
        assert 0.1 < rows.size / there.sum() < 0.4


def test_a_token_or_documents_are_about_as_many_rows_of_either() -> None:
    for rows in everywhere("token_or_documents"):
        whole = [
            document for document in np.unique(world().documents[rows])
            if np.isin(np.flatnonzero(world().documents == document), rows).all()
        ]  # fmt: skip
        inside = np.isin(world().documents[rows], whole)
        assert np.unique(world().tokens[rows[~inside]]).size == 1
        assert 0.4 < inside.mean() < 0.75


def test_a_token_at_positions_is_one_token_at_a_quarter_of_them() -> None:
    for rows in everywhere("token_x_position"):
        assert np.unique(world().tokens[rows]).size == 1
        positions = np.unique(world().positions[rows])
        assert positions.size == 8
        same = (world().tokens == world().tokens[rows[0]]) & np.isin(world().positions, positions)
        np.testing.assert_array_equal(rows, np.flatnonzero(same))


def test_a_bigram_is_a_token_after_a_token_of_the_same_document() -> None:
    tokens, documents = world().tokens, world().documents
    for rows in everywhere("bigram"):
        assert np.unique(tokens[rows]).size == np.unique(tokens[rows - 1]).size == 1
        assert (documents[rows] == documents[rows - 1]).all()
        assert (tokens == tokens[rows[0]]).sum() > 2 * rows.size


def test_the_end_of_a_document_is_its_last_rows() -> None:
    last = np.flatnonzero(np.diff(world().documents, append=-1))
    one, two = everywhere("end_of_document")
    np.testing.assert_array_equal(one, last)
    np.testing.assert_array_equal(two, np.union1d(last, last - 1))


@pytest.mark.parametrize("kind", [kind for kind in DECOYS if EVERY.get(f"n_{kind}") and "rows" not in kind])
def test_given_what_they_share_dictionaries_fire_independently(kind: str) -> None:
    columns = fired(world(), kind)
    feature = min(feature for feature, _ in columns)
    parts = [column > 0 for (number, _), (column,) in columns.items() if number == feature]
    eligible = np.any(parts, axis=0)
    assert len(parts) == 6
    common = [(one & other).sum() for i, one in enumerate(parts) for other in parts[i + 1 :]]
    expected = [one.sum() * other.sum() / eligible.sum() for i, one in enumerate(parts) for other in parts[i + 1 :]]
    assert np.mean(common) == pytest.approx(np.mean(expected), rel=0.02)
    assert 0.8 < np.mean([part.sum() for part in parts]) / eligible.sum() < 1.0


@pytest.mark.parametrize(("kind", "n_rows"), [("outlier_rows", 3), ("sink_rows", 120)])
def test_loud_features_have_nothing_in_common_but_their_loud_rows(kind: str, n_rows: int) -> None:
    columns = fired(world(), kind)
    first = [columns[key][0] for key in sorted(columns)][:: 4 if kind == "sink_rows" else 2]
    loud = np.flatnonzero(np.min(first, axis=0) > 15)
    assert loud.size >= n_rows
    quiet = np.delete(np.stack(first), loud, axis=1)
    r = np.corrcoef(np.stack(first))[np.triu_indices(len(first), 1)]
    assert r.min() > 0.8
    assert np.abs(np.corrcoef(quiet)[np.triu_indices(len(first), 1)]).max() < 0.1
    assert all((part > 0).mean() > 0.005 for part in quiet)


def test_outlier_rows_lie_in_one_document_of_the_score_half() -> None:
    columns = fired(world(), "outlier_rows")
    loud = np.flatnonzero(np.min([part[0] for part in columns.values()], axis=0) > 15)
    assert loud.size == 3
    assert np.unique(world().documents[loud]).size == 1
    assert not split_documents(world().documents, 5, world().domains)[loud].any()
    replicated = fired(world(), "outlier_rows")
    for (feature, model), (column,) in replicated.items():
        if model.endswith("r"):
            other = replicated[feature, model.removesuffix("r")][0]
            np.testing.assert_array_equal(column > 0, other > 0)


# --- real features ---------------------------------------------------------------------------------------------


def test_copies_are_latents_of_one_model_for_one_feature() -> None:
    copied = world().truth[world().truth["kind"].isin(("copied", "copy"))]
    counts = copied.groupby(["whole", "model"]).size().unstack()
    assert sorted(counts[["m0", "m1", "m2"]].to_numpy().ravel().tolist()) == [1] * 6 + [3] * 3
    assert (counts[["m0r", "m1r", "m2r"]].to_numpy() == counts[["m0", "m1", "m2"]].to_numpy()).all()
    matrix = world().acts["m0"]
    home = copied[(copied["model"] == "m0") & copied["whole"].isin(counts.index[counts["m0"] == 3])]
    columns = matrix[:, home["latent"]].toarray()
    assert ((columns > 0) == (columns[:, :1] > 0)).all()
    assert np.corrcoef(columns.T).min() < 0.999


def test_an_absorbed_feature_is_silent_in_one_model_where_the_special_one_fires() -> None:
    absorbed, absorbing = fired(world(), "absorbed"), fired(world(), "absorbing")
    overlap: dict[int, list[float]] = {}
    for (feature, model), (column,) in absorbed.items():
        special = absorbing[feature + 1, model][0] > 0
        overlap.setdefault(feature, []).append(float((column[special] > 0).mean()))
    assert [sorted(part) for part in overlap.values()] == [[0.0] * 2 + [1.0] * 4] * 3


def test_one_piece_has_most_of_a_dominant_whole() -> None:
    wholes, pieces = fired(world(), "dominant_whole"), fired(world(), "dominant_piece")
    assert len(wholes) == 2 * 3
    for feature, model in wholes:
        part = next(column for (number, _), (column,) in pieces.items() if number == feature + 1)
        assert (part > 0).sum() / (wholes[feature, model][0] > 0).sum() == pytest.approx(0.8, abs=0.05)


def test_a_family_is_near_duplicates() -> None:
    columns = {feature: column for (feature, model), (column,) in fired(world(), "family").items() if model == "m0"}
    for first in sorted(columns)[::3]:
        members = [columns[first + number] > 0 for number in range(3)]
        union, common = np.any(members, axis=0).sum(), np.all(members, axis=0).sum()
        assert 0.9 < common / union < 1.0
        assert all((member.sum() > common) for member in members)


def test_strength_has_a_heavy_tail_where_it_should() -> None:
    for (_, _), (column,) in fired(world(), "heavy").items():
        assert 1.2 < np.log(column[column > 0]).std() < 1.8


# --- truth and sources -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("n_models", [2, 3, 5, 8])
def test_the_truth_promises_the_same_of_equal_kinds_in_any_number_of_models(n_models: int) -> None:
    sizes = {
        "n_universal": 2,
        "n_shared": 7,
        "n_specific": 2,
        "n_unstable": 1,
        "n_decodable": 1,
        "n_split": 2,
    }
    planted = plant(NOTHING, **{**EVERY, **sizes, "n_models": n_models, "n_rows": 4_000, "n_twin": 1})
    truth = planted.truth[planted.truth["model"].isin(list(planted.acts))]
    held_by = truth.groupby("feature")["model"].nunique()
    assert set(held_by[truth.groupby("feature")["kind"].first() == "shared"]) == set(range(2, n_models))
    for kind, part in truth.groupby("kind"):
        assert part[["expected_class", "expected_level", "expected_verdict"]].drop_duplicates().shape[0] == 1
        several = part["feature"].map(held_by) > 1
        if not KINDS[str(kind)].decoy:
            expected = np.where(several, "partnered", str(KINDS[str(kind)].alone))
            assert part["expected_group"].tolist() == expected.tolist()
    groups = truth.groupby("kind")["expected_group"].agg(set).to_dict()
    assert groups["outlier_rows"] == groups["specific"] == {"missing"}
    assert groups["piece"] == groups["dominant_piece"] == {"rearranged" if n_models == 2 else "partnered"}
    assert truth.loc[truth["kind"] == "token_in_domain", "expected_group"].isna().all()
    assert not (truth["expected_level"] == "context")[truth["kind"].isin(DECOYS)].any()


def test_a_source_is_a_run_of_documents_of_one_domain() -> None:
    planted, alone = (plant(NOTHING, n_domain=1, n_sources=n) for n in (10, None))
    np.testing.assert_array_equal(alone.sources, alone.documents)
    np.testing.assert_array_equal(planted.inputs()["sources"], planted.sources)
    table = pd.DataFrame(
        {"source": planted.sources, "document": planted.documents, "domain": planted.domains}
    ).drop_duplicates()
    assert len(table) == NOTHING.n_documents
    assert (np.diff(table["source"]) >= 0).all()
    assert table.groupby("source")["document"].count().eq(12).all()
    assert table.groupby("source")["domain"].nunique().eq(1).all()


def test_rates_and_agreement_differ_by_source_where_asked() -> None:
    changes = {"n_universal": 6, "n_sources": 20, "miss": 0.2, "min_rate": 0.03, "burst": 2.0}
    spread = {}
    for shape in (None, 0.3):
        planted = plant(NOTHING, source_shape=shape, **changes)
        columns = fired(planted, "universal")
        rates, agreement = [], []
        for feature in range(6):
            one, other = (columns[feature, model][0] > 0 for model in ("m0", "m1"))
            size, both, either = (
                np.bincount(planted.sources, part) for part in (np.ones(one.size), one & other, one | other)
            )
            rates.append((either / size).std() / (either / size).mean())
            agreement.append(np.std((both / np.maximum(either, 1))[either >= 10]))
        spread[shape] = float(np.mean(rates)), float(np.mean(agreement))
    assert spread[0.3][0] > 2 * spread[None][0]
    assert spread[0.3][1] > 2 * spread[None][1]
