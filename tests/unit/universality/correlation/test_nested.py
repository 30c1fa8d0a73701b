"""Parts of r, against dense least squares and by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import sparse

from universality.correlation import correlate_pairs
from universality.correlation.nested import NestedParts, NestedRows, nested_parts
from universality.rows import Rows


def _rows(n: int = 1_200, seed: int = 0) -> Rows:
    rng = np.random.default_rng(seed)
    documents = np.sort(rng.integers(0, 40, n))
    tokens, positions = rng.integers(0, 30, n), np.arange(n) % 16
    return Rows(documents, documents % 2 == 0, domains=documents // 10, tokens=tokens, positions=positions)


def _acts(rows: Rows, n: int, seed: int, offset: float = 0.0) -> sparse.csr_matrix:
    rng = np.random.default_rng(seed)
    assert rows.tokens is not None
    assert rows.domains is not None
    values = rng.exponential(size=(rows.n_rows, n)) * (rng.random((rows.n_rows, n)) < 0.2)
    values += 0.7 * ((rows.tokens % 7 == 3) & (rows.domains == 2))[:, None] + 0.4 * (rows.documents % 5 == 0)[:, None]
    values[:, 0] += offset
    return sparse.csr_matrix(values)


def _measure(rows: Rows, a: sparse.csr_matrix, b: sparse.csr_matrix, **changes: object) -> NestedParts:
    n, nested = min(a.shape[1], b.shape[1]), NestedRows(rows, 3.0)
    weights = np.random.default_rng(5).multinomial(nested.n_groups, np.full(nested.n_groups, 1 / nested.n_groups), 30)
    halves = (a[rows.fit], b[rows.fit]), (a[rows.score], b[rows.score])
    return nested_parts(*halves, np.arange(n), np.arange(n)[::-1].copy(), nested, weights, **changes)


def _dummies(*labels: np.ndarray) -> np.ndarray:
    return np.concatenate([(label[:, None] == np.unique(label)).astype(float) for label in labels], axis=1)


def _joint(rows: Rows, half: np.ndarray) -> np.ndarray:
    """Dummies of documents, tokens, positions, and up to eight rows from either end of a document."""
    assert rows.tokens is not None
    assert rows.positions is not None
    sizes = np.bincount(rows.documents)
    starts = np.concatenate([np.minimum(np.arange(size), 8) for size in sizes])
    ends = np.concatenate([np.minimum(np.arange(size)[::-1], 8) for size in sizes])
    labels = rows.documents, rows.tokens, rows.positions, starts, ends
    return _dummies(*(label[half] for label in labels))


def _noise(rows: Rows) -> list[np.ndarray]:
    return [np.random.default_rng(seed).normal(size=(rows.n_rows, 3)) * 0.05 for seed in (1, 2)]


def _means(values: np.ndarray, cell: np.ndarray) -> np.ndarray:
    """Mean of each row's cell."""
    size = np.maximum(np.bincount(cell), 1)
    sums = [np.bincount(cell, column) for column in values.T]
    return np.stack([column[cell] / size[cell] for column in sums], axis=1)


def _residual(design: np.ndarray, values: np.ndarray) -> np.ndarray:
    return values - design @ np.linalg.lstsq(design, values, rcond=None)[0]


def _r(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    x, y = x - x.mean(axis=0), y - y.mean(axis=0)
    return (x * y).sum(axis=0) / np.sqrt((x * x).sum(axis=0) * (y * y).sum(axis=0))


@pytest.mark.parametrize(("seed", "offset"), [(0, 0.0), (1, 0.0), (2, 1e4)])
def test_every_step_is_dense_least_squares(seed: int, offset: float) -> None:
    rows = _rows(seed=seed)
    a, b = _acts(rows, 5, 1 + seed, offset), _acts(rows, 4, 9 + seed)
    parts = _measure(rows, a, b)
    labels = [label[rows.score] for label in (rows.domains, rows.documents)]  # type: ignore[index]
    joint = _joint(rows, rows.score)
    designs = [np.ones((labels[0].size, 1)), _dummies(labels[0]), _dummies(labels[1]), joint]
    x, y = a[rows.score].toarray()[:, :4], b[rows.score].toarray()[:, ::-1]
    for step, design in enumerate(designs):
        np.testing.assert_allclose(parts.r[:, step], _r(_residual(design, x), _residual(design, y)), atol=1e-9)


def test_parts_add_up_to_r() -> None:
    rows = _rows()
    a, b = _acts(rows, 6, 1), _acts(rows, 6, 2)
    parts = _measure(rows, a, b)
    r = correlate_pairs(a[rows.score], b[rows.score], np.arange(6), np.arange(6)[::-1]).r
    np.testing.assert_allclose(parts.parts.sum(axis=1), r, atol=1e-9)
    np.testing.assert_allclose(parts.r[:, 0], r, atol=1e-9)
    np.testing.assert_allclose(parts.part_draws.sum(axis=2), parts.draws[..., 0], atol=1e-5)


def test_cells_are_shrunken_means_of_fit_rows() -> None:
    rows = _rows()
    a = _acts(rows, 3, 4)
    nested = NestedRows(rows, 3.0)
    kinds = nested.cell_effects(sparse.csc_array(a[rows.fit]))
    left = _residual(_joint(rows, rows.fit), a[rows.fit].toarray())
    cells = [cell[rows.fit] for cell in nested.cells]
    expected = [np.zeros_like(effects) for effects in kinds]
    for kind in (0, 1, 2, 1, 2):  # the last two take turns
        left = left + expected[kind][:, cells[kind]].T
        for cell in np.unique(cells[kind]):
            here = cells[kind] == cell
            expected[kind][:, cell] = left[here].sum(axis=0) / (here.sum() + 3.0)
        left = left - expected[kind][:, cells[kind]].T
    for effects, by_hand in zip(kinds, expected, strict=True):
        np.testing.assert_allclose(effects, by_hand, atol=1e-9)
    unseen = np.setdiff1d(nested.cells[1][rows.score], nested.cells[1][rows.fit])
    assert unseen.size
    assert not kinds[1][:, unseen].any()


def test_what_only_a_token_within_a_domain_makes_is_gone_after_that_step() -> None:
    rng, rows = np.random.default_rng(0), _rows(12_000)
    eligible = ((rows.tokens == 3) & (rows.domains == 1))[:, None]
    a, b = (sparse.csr_matrix(1.0 * (eligible & (rng.random((rows.n_rows, 16)) < 0.8))) for _ in range(2))
    left = _measure(rows, a, b).r.mean(axis=0)
    assert left[3] > 0.5, "neither token nor domain alone makes it"
    assert abs(left[4]) < 0.1


def test_what_only_a_token_at_a_position_makes_is_gone_after_the_last_step() -> None:
    rng, rows = np.random.default_rng(0), _rows(24_000)
    assert rows.tokens is not None
    assert rows.positions is not None
    eligible = ((rows.tokens < 3) & (rows.positions % 4 == rows.tokens))[:, None]
    a, b = (sparse.csr_matrix(1.0 * (eligible & (rng.random((rows.n_rows, 8)) < 0.9))) for _ in range(2))
    left = _measure(rows, a, b).r.mean(axis=0)
    assert left[4] > 0.5, "neither token nor position alone makes it"
    assert abs(left[5]) < 0.2


def test_what_only_the_ends_of_documents_make_is_gone_beside_tokens() -> None:
    rng, rows = np.random.default_rng(0), _rows(12_000)
    last = np.append(rows.documents[1:] != rows.documents[:-1], True)
    first = np.roll(last, 1)
    for eligible in (first, last):
        a, b = (sparse.csr_matrix(1.0 * (eligible[:, None] & (rng.random((rows.n_rows, 8)) < 0.9))) for _ in "ab")
        left = _measure(rows, a, b).r.mean(axis=0)
        assert left[2] > 0.5
        assert abs(left[3]) < 0.2


def test_what_a_token_special_to_a_document_makes_is_gone_among_its_repeats() -> None:
    rng, rows = np.random.default_rng(0), _rows(12_000)
    assert rows.tokens is not None
    eligible = ((rows.tokens < 6) & (rows.documents % 3 == 0))[:, None]
    special = [1.0 * (eligible & (rng.random((rows.n_rows, 3)) < 0.8)) for _ in range(2)]
    shared = 1.0 * (rng.random((rows.n_rows, 3)) < 0.1)
    a, b = (np.concatenate([side, shared + noise], axis=1) for side, noise in zip(special, _noise(rows), strict=True))
    found = _measure(rows, sparse.csr_matrix(a), sparse.csr_matrix(b[:, ::-1])).r_repeated
    cell = (rows.documents * 100 + rows.tokens)[rows.score]
    x, y = a[rows.score], b[rows.score]
    many = np.bincount(cell)[cell] > 1
    left = [side[many] - _means(side, cell)[many] for side in (x, y)]
    np.testing.assert_allclose(found, _r(*left), atol=1e-9)
    assert np.abs(found[:3]).max() < 0.1
    assert found[3:].min() > 0.8


def test_few_repeats_tell_nothing() -> None:
    rows = _rows()
    few, enough = np.zeros(rows.n_rows), np.zeros(rows.n_rows)
    repeated = np.flatnonzero(rows.score)
    cell = (rows.documents * 100 + rows.tokens)[repeated]  # type: ignore[operator]
    repeated = repeated[np.bincount(cell)[cell] > 1]
    few[repeated[:19]] = enough[repeated[:20]] = 1.0
    a = sparse.csr_matrix(np.stack([few, enough], axis=1))
    found = _measure(rows, a, a[:, ::-1].tocsr()).r_repeated
    assert np.isnan(found[0])
    assert found[1] == pytest.approx(1.0)
    unlabelled = _measure(replace(rows, tokens=None), a, a[:, ::-1].tocsr()).r_repeated
    assert np.isnan(unlabelled).all()


def test_a_pair_made_by_one_source_does_not_survive_without_it() -> None:
    rng, rows = np.random.default_rng(0), _rows()
    one = np.flatnonzero((rows.documents == 7) & rows.score)[:3]
    values = [(rng.random(rows.n_rows) < 0.05).astype(float) for _ in range(2)]
    for value in values:
        value[one] = 50.0
    a, b = (sparse.csr_matrix(value[:, None]) for value in values)
    parts = _measure(rows, a, b)
    assert parts.r[0, 0] > 0.9
    assert parts.r_loo[0] < 0.1
    assert parts.n_eff_sources[0] < 1.1
    assert parts.strongest[0] > 0.9
    shared = sparse.csr_matrix((rng.random(rows.n_rows) < 0.2).astype(float)[:, None])
    parts = _measure(rows, shared, shared)
    np.testing.assert_allclose(parts.r_loo, 1.0)
    assert parts.n_eff_sources[0] > 10


def test_no_byte_depends_on_the_threads_or_on_the_side() -> None:
    rows = _rows()
    a, b = _acts(rows, 70, 1), _acts(rows, 70, 2)
    one, two = _measure(rows, a, b, threads=1), _measure(rows, a, b, threads=3)
    swapped = _measure(rows, b, a, threads=1)
    for name, value in vars(one).items():
        np.testing.assert_array_equal(value, getattr(two, name))
    np.testing.assert_allclose(one.r, swapped.r[::-1], atol=1e-12)


def test_steps_without_labels_are_not_taken() -> None:
    rows = _rows()
    a, b = _acts(rows, 2, 1), _acts(rows, 2, 2)
    bare = _measure(replace(rows, domains=None, domain_names=None, tokens=None, positions=None), a, b)
    assert np.isnan(bare.r[:, [1, 3, 4, 5]]).all()
    assert np.isnan(bare.parts[:, [0, 2, 3, 4]]).all()
    np.testing.assert_allclose(np.nansum(bare.parts, axis=1), bare.r[:, 0], atol=1e-9)
    single = _measure(replace(rows, documents=np.arange(rows.n_rows)), a, b)
    assert np.isnan(single.r[:, 2]).all()
    assert not np.isnan(single.r[:, 3]).any()
