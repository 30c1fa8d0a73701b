import numpy as np
import pytest
from scipy import sparse

from universality.errors import InputError
from universality.feature_map import feature_map, group_links, group_positions

N_GROUPS, N_MODELS, N_ROWS = 12, 6, 3_000


def planted(seed: int = 0) -> tuple[sparse.csc_matrix, np.ndarray]:
    """Columns of six models with the same twelve concepts each, and the concept of each column."""
    rng = np.random.default_rng(seed)
    concepts = [rng.choice(N_ROWS, 90, replace=False) for _ in range(N_GROUPS)]
    dense = np.zeros((N_ROWS, N_MODELS * N_GROUPS), dtype=np.float32)
    for column in range(dense.shape[1]):
        rows = concepts[column % N_GROUPS]
        kept = rows[rng.random(rows.size) < 0.8]
        dense[kept, column] = rng.gamma(4.0, 0.25, kept.size)
    return sparse.csc_matrix(dense), np.arange(dense.shape[1]) % N_GROUPS


@pytest.fixture(scope="module")
def world():
    columns, groups = planted()
    return columns, groups, feature_map(columns, seed=5)


def test_equal_input_gives_equal_bytes_and_another_seed_another_picture(world):
    columns, _, found = world
    again = feature_map(columns, seed=5)
    assert found.xy.dtype == np.float32
    assert found.xy.tobytes() == again.xy.tobytes()
    assert found.xy.tobytes() != feature_map(columns, seed=6).xy.tobytes()


def test_features_of_one_cluster_lie_together(world):
    _, groups, found = world
    distance = np.hypot(*(found.xy[:, None] - found.xy[None]).transpose(2, 0, 1))
    np.fill_diagonal(distance, np.nan)
    same = groups[:, None] == groups[None]
    own, others = np.where(same, distance, np.nan), np.where(same, np.nan, distance)
    assert (np.nanmax(own, axis=1) < np.nanmean(others, axis=1) / 2).all()
    nearest = np.nanargmin(distance, axis=1)
    assert (groups[nearest] == groups).all()


def test_permuting_models_and_latents_only_renames(world):
    columns, _, found = world
    shuffled = np.random.default_rng(1).permutation(columns.shape[1])
    again = feature_map(columns[:, shuffled], seed=5)
    assert again.xy.tobytes() == found.xy[shuffled].tobytes()
    assert np.array_equal(again.r, found.r[shuffled])
    assert np.array_equal(shuffled[again.neighbours], found.neighbours[shuffled])


def test_neighbours_are_exact(world):
    columns, _, found = world
    r = np.corrcoef(columns.toarray().T)
    k = found.r.shape[1]
    np.testing.assert_allclose(found.r, -np.sort(-r, axis=1)[:, :k], atol=1e-6)
    np.testing.assert_allclose(found.r, np.take_along_axis(r, found.neighbours, axis=1), atol=1e-6)
    assert np.array_equal(found.neighbours[:, 0], np.arange(columns.shape[1]))


@pytest.mark.parametrize("n", [0, 1, 2, 3, 15])
def test_few_features_stand_where_their_correlations_put_them(n):
    columns, groups = planted()
    found = feature_map(columns[:, ::N_GROUPS][:, :n] if n <= 3 else columns[:, :n], seed=0)
    assert found.xy.shape == (n, 2)
    assert np.isfinite(found.xy).all()
    if n == 15:  # three concepts occur twice
        distance = np.hypot(*(found.xy[12] - found.xy).T)
        assert np.argsort(distance)[1] == 0 == groups[12]


def test_classical_scaling_is_exact_in_the_plane():
    rng = np.random.default_rng(2)
    angle = np.array([0.0, 2.1, 4.2])
    basis = np.linalg.qr(np.c_[np.ones(500), rng.normal(size=(500, 2))])[0][:, 1:]
    columns = basis @ np.stack([np.cos(angle), np.sin(angle)]) + 1.0
    xy = feature_map(sparse.csc_matrix(columns), seed=0).xy
    r = np.corrcoef(columns.T)
    distance = np.hypot(*(xy[:, None] - xy[None]).transpose(2, 0, 1))
    np.testing.assert_allclose(distance, np.sqrt(2 * (1 - r)), atol=1e-5)


def test_equal_columns_are_embedded():
    columns, _ = planted()
    twins = sparse.csc_matrix(sparse.hstack([columns[:, [0] * 20], columns]))
    found = feature_map(twins, seed=0)
    assert np.array_equal(found.neighbours[:, 0], np.arange(twins.shape[1]))
    assert np.isfinite(found.xy).all()


def test_a_sample_holds_whole_groups_and_does_not_depend_on_the_order(world):
    columns, groups, _ = world
    found = feature_map(columns, seed=0, groups=groups, n_most=27)
    assert len(found.kept) == 24  # four whole groups of six
    assert (np.bincount(groups[found.kept], minlength=N_GROUPS) % N_MODELS == 0).all()
    assert found.neighbours.max() < 24
    shuffled = np.random.default_rng(3).permutation(columns.shape[1])
    again = feature_map(columns[:, shuffled], seed=0, groups=groups[shuffled], n_most=27)
    assert set(shuffled[again.kept]) == set(found.kept)


def test_a_constant_column_is_refused():
    columns, _ = planted()
    broken = sparse.csc_matrix(sparse.hstack([columns, sparse.csc_matrix((N_ROWS, 1), dtype=np.float32)]))
    with pytest.raises(InputError, match="constant"):
        feature_map(broken, seed=0)


def test_links_join_groups_by_their_best_pair():
    groups = np.array([0, 0, 1, 1, -1])
    neighbours = np.array([[0, 2, 4], [1, 0, 3], [2, 0, 1], [3, 4, 1], [4, 3, 0]])
    r = np.array([[1, 0.6, 0.9], [1, 0.5, 0.7], [1, 0.6, 0.1], [1, 0.8, 0.7], [1, 0.8, 0.9]])
    a, b, best = group_links(groups, neighbours, r, 0.3)
    assert (a.tolist(), b.tolist(), best.tolist()) == ([0], [1], [0.7])
    assert len(group_links(groups, neighbours, r, 0.75)[0]) == 0


def test_groups_stand_at_their_members_and_hide_no_other():
    rng = np.random.default_rng(4)
    centres = rng.normal(size=(200, 2)) * 3
    centres[7] = centres[8]
    groups = np.repeat(np.arange(200) * 2, 3)
    xy = np.repeat(centres, 3, axis=0) + np.tile([[-0.1, 0], [0, 0.1], [0.1, -0.1]], (200, 1))
    ids, placed = group_positions(groups, xy)
    assert ids.tolist() == list(range(0, 400, 2))
    distance = np.hypot(*(placed[:, None] - placed[None]).transpose(2, 0, 1))
    np.fill_diagonal(distance, np.inf)
    spread = np.sqrt(np.prod(np.ptp(centres, axis=0)) / 200)
    assert distance.min() > 0.4 * spread
    assert np.hypot(*(placed - centres).T).mean() < spread
    assert placed.tobytes() == group_positions(groups, xy)[1].tobytes()


def test_features_without_a_group_give_no_group():
    ids, placed = group_positions(np.array([-1, -1]), np.zeros((2, 2)))
    assert ids.size == 0
    assert placed.shape == (0, 2)
    ids, placed = group_positions(np.array([-1, 4]), np.array([[0, 0], [1, 2]]))
    assert ids.tolist() == [4]
    assert placed.tolist() == [[1.0, 2.0]]
