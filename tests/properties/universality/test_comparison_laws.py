"""Laws of clusters, domains, splits and evidence that hold whatever the numbers are."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import sparse

from universality.compare.levels import LEVELS, decide_levels
from universality.domains import auroc
from universality.evidence import histogram_table
from universality.graph import CrossSimilarity, Edges, constrained_clusters, is_constrained_partition
from universality.matching import nonnegative
from universality.rows import split_documents

QUICK = settings(max_examples=40, deadline=None)


@st.composite
def graphs(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, Edges]:
    """Features of a few models, any similarities, and a matching between every two models."""
    n_models, n = draw(st.integers(2, 4)), draw(st.integers(1, 5))
    models = np.repeat(np.arange(n_models), n)
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    # A coarse grid, so that ties occur.
    r = np.round(rng.uniform(0, 1, (models.size, models.size)), 1)
    r = np.triu(r, 1) + np.triu(r, 1).T
    ends = []
    for a in range(n_models):
        for b in range(a + 1, n_models):
            ends += [(a * n + i, b * n + int(j)) for i, j in enumerate(rng.permutation(n))]
    u, v = np.array(ends).T
    kept = r[u, v] >= 0.3
    return models, r, Edges(u[kept], v[kept], r[u, v][kept])


@QUICK
@given(graphs(), st.floats(0.3, 0.9))
def test_clusters_are_a_partition_with_high_mean_similarity(
    graph: tuple[np.ndarray, np.ndarray, Edges], tau: float
) -> None:
    models, r, edges = graph
    above = edges.weight >= tau
    edges = Edges(edges.u[above], edges.v[above], edges.weight[above])
    label = constrained_clusters(models, edges, CrossSimilarity(lambda u, v: r[u, v]), tau)
    assert is_constrained_partition(label, models)
    for cluster in np.unique(label):
        members = np.flatnonzero(label == cluster)
        if members.size > 1:
            inside = r[np.ix_(members, members)][np.triu_indices(members.size, 1)]
            assert inside.mean() >= tau - 1e-9


@QUICK
@given(graphs())
def test_clusters_do_not_depend_on_what_was_known_before(graph: tuple[np.ndarray, np.ndarray, Edges]) -> None:
    models, r, edges = graph
    fresh = CrossSimilarity(lambda u, v: r[u, v])
    used = CrossSimilarity(lambda u, v: r[u, v])
    used.ask([(i, j) for i in range(models.size) for j in range(i + 1, models.size)])
    one, two = (constrained_clusters(models, edges, known, 0.4) for known in (fresh, used))
    assert np.array_equal(one, two)


values = hnp.arrays(np.float64, st.tuples(st.integers(2, 30), st.just(2)), elements=st.integers(-2, 3).map(float))


@QUICK
@given(values, st.integers(0, 2**32))
def test_auroc_of_two_domains_sums_to_one_and_flips_with_the_sign(dense: np.ndarray, seed: int) -> None:
    domains = np.random.default_rng(seed).integers(2, size=len(dense))
    area = auroc(sparse.csc_matrix(dense), domains, 2)
    np.testing.assert_allclose(area.sum(axis=1), 1.0)
    np.testing.assert_allclose(auroc(sparse.csc_matrix(-dense), domains, 2), 1.0 - area)


@QUICK
@given(hnp.arrays(np.float32, st.integers(1, 60), elements=st.floats(0, 1e6, width=32)), st.integers(1, 50))
def test_histograms_count_every_firing_once(column: np.ndarray, n_bins: int) -> None:
    table = histogram_table(sparse.csc_matrix(column[:, None]), n_bins)
    assert table["count"].sum() == (column > 0).sum()
    if len(table):
        for row in table.itertuples():
            assert row.count == ((column.astype(float) > row.left) & (column.astype(float) <= row.right)).sum()


@QUICK
@given(st.lists(st.integers(1, 20), min_size=2, max_size=30), st.integers(0, 2**32))
def test_splits_are_by_document_and_nearly_equal(lengths: list[int], seed: int) -> None:
    documents = np.repeat(np.arange(len(lengths)), lengths)
    fit = split_documents(documents, seed)
    assert not np.intersect1d(documents[fit], documents[~fit]).size
    assert abs(int(fit.sum()) - int((~fit).sum())) <= max(lengths)


@QUICK
@given(st.integers(0, 2**32), st.integers(1, 8))
def test_nonnegative_least_squares_meets_its_optimality_conditions(seed: int, k: int) -> None:
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((40, k)) + rng.standard_normal((40, 1))
    x /= np.linalg.norm(x, axis=0)
    gram, c = x.T @ x, x.T @ rng.standard_normal(40)
    weight = nonnegative(gram[None], c[None])[0]
    slope = gram @ weight - c
    assert (weight >= 0).all()
    assert (slope >= -1e-6).all()
    assert np.abs(slope * weight).max() < 1e-5


correlations = hnp.arrays(np.float64, (8, 6), elements=st.one_of(st.just(float("nan")), st.floats(-1, 1)))
lows = hnp.arrays(np.float64, 8, elements=st.floats(-1, 1))


@QUICK
@given(correlations, correlations, lows, st.booleans())
def test_every_pair_has_exactly_one_level(
    r: np.ndarray, parts: np.ndarray, joint_low: np.ndarray, complete: bool
) -> None:
    r[:, 0] = np.abs(np.nan_to_num(r[:, 0]))
    level = decide_levels(r, parts, 0.5, complete=complete, joint_low=joint_low)
    assert set(level) <= set(LEVELS)
    fine = np.isin(level, ["token_x_domain", "bigram", "context"])
    assert not fine.any() or complete
    assert (joint_low[fine] > 0.25).all()
    # Raising tau never makes a level finer; only where too few sources vouch for one, it may take their place.
    rank = {name: place for place, name in enumerate(("untested", *LEVELS[:-1]))}
    higher = decide_levels(r, parts, 0.8, complete=complete, joint_low=joint_low)
    assert all(rank[h] <= rank[f] for h, f in zip(higher, level, strict=True) if f != "untested")
