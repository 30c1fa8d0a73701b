"""Split trees: planted splits are told from what is kept, absorbed, lost and new, and chance gives orphans."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from tests.support.planted_splits import COMPARE, LARGE, SMALL, plant_splits
from universality.compare.chance import pair_null
from universality.compare.pair import Dictionary, DictionaryPair
from universality.compare.statistics import latent_statistics
from universality.correlation import correlate
from universality.errors import InputError
from universality.intervals import GroupMoments
from universality.matching import k_to_1
from universality.rows import Rows
from universality.studies.split_study import SplitStudy
from universality.studies.split_trees import split_trees
from universality.studies.splitting import PARENT_KINDS, exchanged, find_parents, judge_parents, silent_parents


@pytest.fixture(scope="module")
def planted():
    return plant_splits()


@pytest.fixture(scope="module")
def tables(planted):
    return split_trees(SplitStudy(planted.cells, COMPARE, 0, 1), "m0")


def told(planted, tree):
    """The tree with the names of the features that child and parent see; parents that are absorbed here."""
    child, parent = (
        [planted.names["m0", size, seed][int(latent)] if latent >= 0 else "" for size, seed, latent in rows]
        for rows in (
            tree[["d_sae", "sae_seed", "latent"]].to_numpy(np.int64),
            tree[["parent_d_sae", "parent_sae_seed", "parent_latent"]].fillna(-1).to_numpy(np.int64),
        )
    )
    return tree.assign(child=child, parent=parent)


def test_every_child_finds_its_parent_and_every_parent_what_became_of_it(planted, tables):
    worlds = [(planted, tables[0])]
    for seed in (1, 2):
        other = plant_splits(root_seed=seed)
        worlds.append((other, split_trees(SplitStudy(other.cells, COMPARE, 0, 1), "m0")[0]))
    for world, table in worlds:
        tree = told(world, table)
        family, number = tree["child"].str.extract(r"^([a-z]+)").squeeze(), tree["child"].str.extract(r"^[a-z]+(\d+)")
        here = (family == "hole") & (number.squeeze().astype(int) % 3 == tree["parent_sae_seed"])
        special = tree["child"].str.endswith("special")
        # What only larger dictionaries have, and the events that a parent misses, are nobody's children.
        orphans = (family == "new") | (special & here)
        expected = tree["child"].str.split(".").str[0].where(~orphans, "")
        assert (tree["parent"] == expected).mean() >= 0.99
        kind = family.map({"kept": "kept", "whole": "split", "hole": "kept", "new": "orphan"})
        kind = kind.where(~here, "absorbed").where(~orphans, "orphan")
        assert (tree["kind"] == kind).groupby(kind).mean().min() >= 0.95
        assert set(kind) == {"kept", "split", "absorbed", "orphan"}


def test_r_beyond_token_and_position_stands_beside_r_of_every_edge(planted, tables):
    tree = tables[0].dropna(subset=["parent_latent"])
    row = tree.iloc[3]
    child, parent = (
        planted.cells["m0", row[f"{side}d_sae"], row[f"{side}sae_seed"]].score.toarray()[:, int(row[f"{side}latent"])]
        for side in ("", "parent_")
    )
    rows = planted.cells["m0", SMALL, 0].rows
    known = [np.eye(n)[labels[rows.score]] for labels, n in ((rows.tokens, 1000), (rows.positions, 64))]
    both = np.column_stack([child, parent]).astype(float)
    left = both - np.column_stack(known) @ np.linalg.lstsq(np.column_stack(known), both, rcond=None)[0]
    assert row["r_token"] == pytest.approx(np.corrcoef(left.T)[0, 1], abs=0.02)
    assert tree["r_token"].notna().all()
    assert tables[0].loc[tables[0]["kind"] == "orphan", "r_token"].isna().all()


def test_the_counts_are_of_parents_and_only_the_excess_is_splitting(tables):
    counts = tables[1].set_index("kind")
    # 12 wholes, 8 holes, 20 kept and 10 lost, over six ordered pairs of three seeds; a hole is there in one seed.
    n = counts["n"]
    assert n["split"] == 72
    assert n["absorbed"] == 16
    assert n["lost"] == 60
    assert n["kept"] == 6 * 28 - 16
    assert (counts["n_asked"][list(PARENT_KINDS)] == 300).all()
    assert counts.loc["kept", "control"] == 1.0
    assert counts.loc["split", "excess"] == counts.loc["split", "share"] == 0.24


def test_shifted_rows_give_orphans_and_exchanged_children_explain_nothing(tables):
    counts = tables[1].set_index("kind")
    assert counts.loc["orphan", "shifted"] >= 0.99
    assert counts.loc["lost", "shifted"] >= 0.99
    assert counts.loc["orphan", "share"] < 0.3
    assert counts.loc["lost", "exchanged"] >= 0.9


def test_a_larger_dictionary_of_the_same_features_splits_no_more_than_one_of_equal_size():
    same = plant_splits(n_kept=50, n_whole=30, n_hole=0, n_lost=0, n_new=0, split=False, miss=0.25, noise=0.6)
    counts = split_trees(SplitStudy(same.cells, COMPARE, 0, 1), "m0")[1].set_index("kind")
    assert counts["excess"].abs().max() <= 0.05
    judged = counts.drop("orphan")
    assert (judged["excess_low"] <= 0).all()
    assert (judged["excess_high"] >= 0).all()
    assert counts.loc["kept", "share"] < 0.95  # noisy enough to be a test


def test_two_seeds_cannot_tell_what_is_absorbed(planted):
    cells = {cell: own for cell, own in planted.cells.items() if cell.sae_seed < 2}
    tree, counts = split_trees(SplitStudy(cells, COMPARE, 0, 1), "m0")
    absorbed = counts.set_index("kind").loc["absorbed"]
    assert pd.isna(absorbed["share"])
    assert pd.isna(absorbed["excess"])
    assert not (tree["kind"] == "absorbed").any()


@pytest.mark.parametrize(("kept", "words"), [((SMALL,), "two sizes"), ((SMALL, LARGE), "two or more at every d_sae")])
def test_a_study_without_sizes_or_control_is_refused(planted, kept, words):
    one_seed = len(kept) > 1
    cells = {
        cell: own for cell, own in planted.cells.items() if cell.d_sae in kept and (not one_seed or cell.sae_seed == 0)
    }
    with pytest.raises(InputError, match=words):
        split_trees(SplitStudy(cells, COMPARE, 0, 1), "m0")


def dictionary(name, columns, groups=40, seed=0):
    """A dictionary of hand-made columns (n_rows, n); even sources are fit rows."""
    acts = sparse.csr_matrix(np.stack(columns, axis=1).astype(np.float32))
    sources = np.arange(acts.shape[0]) * groups // acts.shape[0]
    rows = Rows(documents=sources, fit=sources % 2 == 0)
    return Dictionary(name, acts, rows, latent_statistics(acts, rows), 5)


@pytest.fixture
def by_hand():
    """A parent of two halves, one kept with a little more, one best child of r .7 and nothing else, and filling."""
    rng = np.random.default_rng(3)
    fires = rng.random((6, 4000)) < 0.1
    whole, kept, half = (np.where(row, rng.uniform(1, 2, 4000), 0) for row in fires[:3])
    first, little, part = rng.random(4000) < 0.5, rng.random(4000) < 0.06, rng.random(4000) < 0.75
    parents = [whole, kept, half, np.where(fires[3], 1.0, 0)]
    children = [
        whole * first, whole * ~first, kept * ~little, kept * little, half * part, np.where(fires[4], 1.0, 0),
        np.zeros(4000),
    ]  # fmt: skip
    return DictionaryPair(dictionary("s", parents), dictionary("l", children), COMPARE, 0, 1)


def test_outcomes_by_hand(by_hand):
    tree = find_parents(by_hand, pair_null(by_hand))
    assert tree.parent.tolist() == [0, 0, 1, 1, 2, -1, -1]
    assert np.allclose(tree.inside[:5], 1.0)
    weights = np.ones((1, 20), int)
    outcomes = judge_parents(by_hand, tree.edges, weights)
    assert [PARENT_KINDS[kind] for kind in outcomes.kind[:, 0]] == ["split", "undecided", "kept", "lost"]
    assert outcomes.r2[0, 0] == pytest.approx(1.0, abs=1e-6)
    assert outcomes.best_child[1:].tolist() == [2, 4, -1]
    assert outcomes.shares[:2].sum() == pytest.approx(1.0)


def test_a_parent_fires_where_its_child_does_and_beyond_chance():
    rng = np.random.default_rng(1)
    child, *noise = rng.random((9, 4000)) < 0.05
    part, wide = child & (rng.random(4000) < 0.4), child | (rng.random(4000) < 0.15)
    dense = rng.random(4000) < 0.7  # fires on half of everybody's rows
    config = COMPARE.model_copy(update={"n_shifts": 100})
    pair = DictionaryPair(dictionary("s", [part, wide, dense]), dictionary("l", [child, *noise]), config, 0, 1)
    tree = find_parents(pair, pair_null(pair))
    r = np.corrcoef(np.stack([part, wide, child])[:, pair.rows.fit])
    assert r[0, 2] > r[1, 2] + 0.05
    assert tree.parent.tolist() == [1] + [-1] * 8
    assert not tree.r[1:].any()


def test_absorbed_is_a_parent_that_is_silent_where_its_twin_is_not(by_hand):
    tree = find_parents(by_hand, pair_null(by_hand))
    twin = replace(tree, parent=np.array([0, 0, 1, 1, 2, 2, -1]))  # in the other dictionary 2 is the parent of 5
    own = np.array([0, 1, 2, -1])
    silent = silent_parents(by_hand, [(own, twin)])
    assert np.stack(silent).T.tolist() == [[2, 5]]
    kinds = judge_parents(by_hand, tree.edges, np.ones((1, 20), int), silent).kind[:, 0]
    assert [PARENT_KINDS[kind] for kind in kinds] == ["split", "undecided", "absorbed", "lost"]
    # A latent whose partner there is nobody vouches for nothing.
    assert silent_parents(by_hand, [(np.full(4, -1), twin)])[0].size == 0


def test_a_draw_of_sources_is_judged_by_its_own_r_and_r2(by_hand):
    tree = find_parents(by_hand, pair_null(by_hand))
    weights = np.stack([np.ones(20, int), np.eye(20, dtype=int)[0] * 20])
    outcomes = judge_parents(by_hand, tree.edges, weights)
    only = by_hand.rows.score & (by_hand.rows.groups == 1)
    x, y = (side.acts.toarray()[only] for side in (by_hand.a, by_hand.b))
    assert outcomes.r[2, 1] == pytest.approx(np.corrcoef(x[:, 2], y[:, 4])[0, 1], abs=1e-6)


def test_explained_variance_of_groups_is_that_of_their_rows():
    rng = np.random.default_rng(0)
    a, b = (rng.exponential(size=(60, 3)) * (rng.random((60, 3)) < 0.5) + [0, 0, 50] for _ in range(2))
    groups, index = np.repeat(np.arange(6), 10), np.arange(3)
    weights = np.array([[1] * 6, [2, 0, 1, 0, 3, 0]])
    for left, right in ((a, b), (sparse.csr_matrix(a), sparse.csr_matrix(b))):
        r2 = GroupMoments(left, right, groups).explained(index, index, weights)
        for draw, times in enumerate(weights):
            rows = np.repeat(np.arange(60), times[groups])
            true = 1 - np.var((a - b)[rows], axis=0) / np.var(a[rows], axis=0)
            assert np.allclose(r2[:, draw], true, atol=1e-4)


def test_weights_of_pieces_are_in_units_of_their_activations(by_hand):
    a, b = by_hand.a, by_hand.b
    similarity = correlate(a.fit, b.fit, top=7)
    out = k_to_1(a.fit, a.score, b.fit, b.score, similarity, n_candidates=7, n_pieces=3, piece_share=0.05)
    x, y = (side.score.toarray().astype(np.float64) for side in (a, b))
    combined = (y[:, out.pieces] * np.where(out.pieces >= 0, out.weights, 0)).sum(axis=2)
    assert np.allclose(1 - np.var(x - combined, axis=0) / np.var(x, axis=0), out.r2, atol=1e-5)
    assert out.weights[0, :2] == pytest.approx([1, 1], abs=1e-4)  # the whole is the sum of its two pieces


def test_children_change_places_with_those_that_fire_as_often():
    firings, children = np.array([10, 11, 100, 110, 105, 1000, 0]), np.array([0, 1, 2, 3, 4, 5])
    other = exchanged(children, firings, np.random.default_rng(0))
    assert sorted(other) == children.tolist()
    assert (other[:5] != children[:5]).all()
    assert other[5] == 5  # alone in its half-octave
    assert set(other[:2]) == {0, 1}
