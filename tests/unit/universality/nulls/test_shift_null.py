"""The shift null: legal offsets, exact maxima, domains, and what it is for."""

from __future__ import annotations

import numpy as np
import pytest
from random_latents import latents, pearson, varies, zipf_sparse
from scipy import sparse

from universality.errors import InputError
from universality.nulls import shift_null, shifted_rows


def rng(seed=0):
    return np.random.default_rng(seed)


@pytest.fixture
def world():
    draw = rng(1)
    sizes = draw.integers(5, 40, 60)
    documents = np.repeat(draw.permutation(60) * 3, sizes)
    n = documents.size
    return latents(draw, n, 20, 0.1), latents(draw, n, 16, 0.1), documents


@pytest.mark.parametrize("as_input", [sparse.csr_matrix, np.asarray])
def test_maxima_are_those_of_rolled_rows(world, as_input):
    x, y, documents = world
    null = shift_null(as_input(x), as_input(y), documents, n_shifts=3, generator=rng())
    assert null.max_a.shape == (3, 20)
    assert null.offsets.shape == (3, 1)
    for shift, (offset,) in enumerate(null.offsets):
        truth = pearson(x, np.roll(y, -offset, axis=0))
        np.testing.assert_allclose(null.max_a[shift, varies(x)], truth.max(axis=1)[varies(x)], atol=1e-9)
        np.testing.assert_allclose(null.max_b[shift, varies(y)], truth.max(axis=0)[varies(y)], atol=1e-9)


def test_no_row_meets_its_own_document_and_no_position_its_like(world):
    x, y, documents = world
    null = shift_null(x, y, documents, n_shifts=200, generator=rng(), n_ctx=16)
    assert np.unique(null.offsets).size == 200
    for (offset,) in null.offsets:
        assert (documents != np.roll(documents, -offset)).all()
        assert offset % 16
        assert offset % 15


def test_scattered_documents_are_put_together_first(world):
    x, y, documents = world
    order = rng(3).permutation(documents.size)
    null = shift_null(x[order], y[order], documents[order], n_shifts=5, generator=rng())
    together = np.concatenate([np.flatnonzero(documents[order] == d) for d in dict.fromkeys(documents[order])])
    moved = pearson(x[order][together], np.roll(y[order][together], -int(null.offsets[0, 0]), axis=0))
    np.testing.assert_allclose(null.max_b[0, varies(y)], moved.max(axis=0)[varies(y)], atol=1e-9)


def test_no_row_meets_its_own_source(world):
    x, y, documents = world
    _, code = np.unique(documents, return_inverse=True)
    sources = rng(2).permutation(60)[code] // 5  # five documents each, scattered over the text
    order = np.concatenate([np.flatnonzero(sources == s) for s in dict.fromkeys(sources)])
    null = shift_null(x, y, documents, n_shifts=100, generator=rng(), sources=sources)
    for (offset,) in null.offsets:
        assert (sources[order] != np.roll(sources[order], -offset)).all()
    moved = pearson(x[order], np.roll(y[order], -int(null.offsets[7, 0]), axis=0))
    np.testing.assert_allclose(null.max_a[7, varies(x)], moved.max(axis=1)[varies(x)], atol=1e-9)


def test_shifted_rows_are_all_rows_and_none_meets_its_own_source(world):
    documents = world[2]
    sources = rng(2).permutation(200)[documents] // 12
    meets = shifted_rows(documents, generator=rng(), sources=sources, n_ctx=16)
    assert sorted(meets) == list(range(documents.size))
    assert (sources[meets] != sources).all()


def test_a_source_of_most_rows_leaves_offsets_that_part_documents(world):
    x, y, documents = world
    sources = np.where(np.arange(documents.size) < 0.7 * documents.size, -1, documents)
    _, code = np.unique(documents, return_inverse=True)
    sources = np.where(np.bincount(code, sources == -1)[code] > 0, -1, documents)
    null = shift_null(x, y, documents, n_shifts=50, generator=rng(), sources=sources)
    for (offset,) in null.offsets:
        assert (documents != np.roll(documents, -offset)).all()


def test_a_short_shift_must_not_pass_for_chance_where_sources_are_long():
    """Latents that are on all over two sources: shifted by a document or two they agree as before."""
    documents = np.arange(20_000) // 50
    sources = documents // 40
    draw = rng(8)
    busy = (sources == 3) | (sources == 4)
    x, y = ((draw.random((20_000, 1)) < 0.6 * busy[:, None]).astype(np.float32) for _ in "xy")
    args, r = (sparse.csr_matrix(x), sparse.csr_matrix(y), documents), pearson(x, y)[0, 0]
    by_document = shift_null(*args, n_shifts=400, generator=rng()).max_a
    by_source = shift_null(*args, n_shifts=400, generator=rng(), sources=sources).max_a
    assert by_document.max() > 0.9 * r
    assert by_source.max() < 0.6 * r


def test_domains_are_rolled_among_themselves(world):
    x, y, documents = world
    domains = documents % 4
    null = shift_null(
        sparse.csr_matrix(x), sparse.csr_matrix(y), documents, n_shifts=2, generator=rng(), domains=domains
    )
    assert null.offsets.shape == (2, 4)
    moved = y.copy()
    for d in range(4):
        moved[domains == d] = np.roll(y[domains == d], -null.offsets[1, d], axis=0)
    np.testing.assert_allclose(null.max_a[1, varies(x)], pearson(x, moved).max(axis=1)[varies(x)], atol=1e-9)


def test_two_latents_of_one_domain_stay_similar_within_it_and_only_there():
    draw = rng(5)
    documents = np.arange(6000) // 30
    domains = documents % 5
    x = (draw.random((6000, 1)) < 0.5 * (domains == 2)[:, None]).astype(np.float32)
    y = (draw.random((6000, 1)) < 0.5 * (domains == 2)[:, None]).astype(np.float32)
    r = pearson(x, y)[0, 0]
    args = (sparse.csr_matrix(x), sparse.csr_matrix(y), documents)
    plain = shift_null(*args, n_shifts=40, generator=rng()).max_a
    within = shift_null(*args, n_shifts=40, generator=rng(), domains=domains).max_a
    assert (plain < r).mean() > 0.75
    assert abs(within.mean() - r) < 0.05


def test_domains_too_short_for_a_legal_offset_are_rolled_as_far_as_they_go():
    documents = np.array([0] * 40 + [1] * 1 + [2] * 8 + [3] * 200)
    domains = np.array([0] * 40 + [1] * 1 + [2] * 208)
    x = rng().random((249, 2))
    null = shift_null(x, x, documents, n_shifts=30, generator=rng(), domains=domains)
    assert (null.offsets[:, 0] >= 10).all()
    assert (null.offsets[:, 0] <= 30).all()
    assert not null.offsets[:, 1].any()
    assert (null.offsets[:, 2] > 0).all()


def test_no_byte_depends_on_the_number_of_threads():
    x, y = zipf_sparse(2000, 90, 6, 1), zipf_sparse(2000, 80, 6, 2)
    documents = np.arange(2000) // 25
    one, many = (shift_null(x, y, documents, n_shifts=2, generator=rng(), threads=threads) for threads in (1, 3))
    assert one.max_a.tobytes() == many.max_a.tobytes()
    assert one.max_b.tobytes() == many.max_b.tobytes()


class TestMisuse:
    def test_one_document_is_most_of_the_rows(self):
        x = np.ones((100, 2))
        with pytest.raises(InputError, match=r"n_shifts of shift_null must be in \[1, 0\].*longest document has 60"):
            shift_null(x, x, np.repeat([0, 1], [60, 40]), n_shifts=5, generator=rng())

    def test_more_shifts_than_offsets(self):
        x = np.ones((30, 2))
        with pytest.raises(InputError, match=r"number of legal offsets.*Give more rows"):
            shift_null(x, x, np.arange(30) // 10, n_shifts=10, generator=rng())

    def test_labels_of_another_length(self):
        x = np.ones((30, 2))
        with pytest.raises(InputError, match=r"shape of documents must be \(30,\)"):
            shift_null(x, x, np.arange(3), n_shifts=1, generator=rng())
