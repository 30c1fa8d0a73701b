"""Order of the training rows."""

import numpy as np
import pytest

from universality.sae.stream import CHUNK_ROWS, RowStream, geometric_median, sample_rows


class Sharded:
    """Rows in several arrays, as a store hands them out: length, shape, slices, integer arrays."""

    def __init__(self, rows, cuts):
        self._parts = np.split(rows, cuts)
        self.shape, self.dtype = rows.shape, rows.dtype

    def __len__(self):
        return self.shape[0]

    def __getitem__(self, key):
        return np.concatenate(self._parts)[key]


def numbered(n, width=3):
    return np.repeat(np.arange(n, dtype=np.float32)[:, None], width, axis=1)


@pytest.mark.parametrize(
    ("n", "buffer_rows"), [(1000, 10_000), (1000, 256), (1024, 384), (50, 128), (129, 128)]
)
def test_every_pass_visits_every_row_once(n, buffer_rows):
    stream = RowStream(numbered(n), 32, seed=1, buffer_bytes=4 * 3 * buffer_rows)
    first, second = (stream.batch(number * n, n)[:, 0] for number in (0, 1))
    assert sorted(first) == list(range(n))
    assert sorted(second) == list(range(n))
    assert (first != second).any()
    assert (np.abs(np.diff(first)) > 1).mean() > 0.5


def test_the_stream_has_no_memory():
    rows = numbered(700)
    whole = RowStream(rows, 64, seed=2, buffer_bytes=4 * 3 * 256).batch(0, 2000)
    pieces = RowStream(rows, 64, seed=2, buffer_bytes=4 * 3 * 256)
    for start in (1900, 0, 650, 1234):
        np.testing.assert_array_equal(pieces.batch(start, 64), whole[start : start + 64])


def test_batches_are_copies_and_float32():
    rows = numbered(300).astype(np.float16)
    batch = RowStream(rows, 300, seed=3).batch(0, 300)
    assert batch.dtype == np.float32
    batch[:] = -1
    assert (rows >= 0).all()
    assert (RowStream(rows, 300, seed=3).batch(0, 300) >= 0).all()


def test_shards_and_maps_give_the_same_rows(tmp_path):
    rows = numbered(900)
    np.save(tmp_path / "rows.npy", rows)
    expected = RowStream(rows, 64, seed=4, buffer_bytes=4 * 3 * 256).batch(100, 500)
    for other in (np.load(tmp_path / "rows.npy", mmap_mode="r"), Sharded(rows, [100, 613])):
        np.testing.assert_array_equal(
            RowStream(other, 64, seed=4, buffer_bytes=4 * 3 * 256).batch(100, 500), expected
        )
    np.testing.assert_array_equal(sample_rows(Sharded(rows, [100]), 64, 5), sample_rows(rows, 64, 5))


def test_samples_are_distinct_rows_in_order():
    sample = sample_rows(numbered(500), 100, seed=6)[:, 0]
    assert (np.diff(sample) > 0).all()
    assert len(sample_rows(numbered(20), 100, seed=6)) == 20


def test_geometric_median_ignores_what_pulls_the_mean():
    rng = np.random.default_rng(7)
    rows = np.concatenate([rng.standard_normal((900, 4)), 1000 + rng.standard_normal((100, 4))])
    median = geometric_median(rows)
    assert np.abs(median).max() < 0.5

    def summed(point):
        return np.linalg.norm(rows - point, axis=1).sum()

    moves = 0.05 * np.concatenate([np.eye(4), -np.eye(4)])
    assert all(summed(median) <= summed(median + move) for move in moves)
    np.testing.assert_array_equal(geometric_median(np.ones((5, 2))), [1, 1])


def test_chunks_divide_buffers():
    assert RowStream(numbered(10_000), 1000, 1, buffer_bytes=1)._chunks * CHUNK_ROWS >= 1000
