"""Order of the training rows."""

import zlib

import numpy as np
import pytest

from universality.sae.sae_config import SAETrainingConfig
from universality.sae.stream import (
    BUFFER_BYTES,
    CHUNK_ROWS,
    RowStream,
    geometric_median,
    sample_rows,
    training_stream,
)
from universality.sae.training import train_sae


class Sharded:
    """Rows in several arrays, as a store hands them out: length, shape, slices, integer arrays."""

    def __init__(self, rows, cuts):
        self._parts = np.split(rows, cuts)
        self.shape, self.dtype = rows.shape, rows.dtype

    def __len__(self):
        return self.shape[0]

    def __getitem__(self, key):
        return np.concatenate(self._parts)[key]


class Contexts(Sharded):
    """Rows in chunks of their own, which are counted as they are read."""

    def __init__(self, rows, cuts):
        super().__init__(rows, cuts)
        self.boundaries = np.array([0, *cuts, len(rows)])
        self.n_read = np.zeros(len(cuts) + 1, int)

    def chunks(self, numbers):
        self.n_read[numbers] += 1
        for half in np.array_split(numbers, 2):  # blocks need not be single chunks
            yield np.concatenate([self._parts[number] for number in half] or [self._parts[0][:0]])


def numbered(n, width=3):
    return np.repeat(np.arange(n, dtype=np.float32)[:, None], width, axis=1)


@pytest.mark.parametrize(("n", "buffer_rows"), [(1000, 10_000), (1000, 256), (1024, 384), (50, 128), (129, 128)])
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
        np.testing.assert_array_equal(RowStream(other, 64, seed=4, buffer_bytes=4 * 3 * 256).batch(100, 500), expected)
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


@pytest.mark.parametrize(("buffer_bytes", "digest"), [(4 * 3 * 512, 2517081543), (10**6, 1264413640)])
def test_the_order_of_stored_rows_never_moves(buffer_bytes, digest):
    # Finished trainings are resumed and repeated to the byte: a new order would need a new step version.
    stream = RowStream(numbered(3000), 96, 11, buffer_bytes=buffer_bytes)
    order = np.concatenate([stream.batch(step * 96, 96)[:, 0] for step in range(70)])
    assert zlib.crc32(order.astype("<i8").tobytes()) == digest


@pytest.mark.parametrize("buffer_bytes", [1, 4 * 3 * 256, 10**6])
@pytest.mark.parametrize("cuts", [[], [100, 613], [40, 40, 130, 131, 500, 700, 700], [0, 0, 899]])
def test_chunks_of_their_own_are_visited_once_a_pass(cuts, buffer_bytes):
    rows = Contexts(numbered(900), cuts)
    stream = RowStream(rows, 64, 5, buffer_bytes=buffer_bytes)
    passes = [np.concatenate([stream.batch(n * 900 + at, 45)[:, 0] for at in range(0, 900, 45)]) for n in (0, 1)]
    for found in passes:
        assert sorted(found) == list(range(900))
    assert (passes[0] != passes[1]).any()
    read = rows.n_read.max()
    assert read == (1 if buffer_bytes == 10**6 else 2) or len(cuts) == 0, "once a pass, or once where all fits"
    again = RowStream(rows, 64, 5, buffer_bytes=buffer_bytes)
    np.testing.assert_array_equal(again.batch(1234, 100)[:, 0], np.concatenate(passes)[1234:1334])


@pytest.mark.parametrize("source", [numbered(1000), Contexts(numbered(1000), [100, 100, 640])])
def test_places_are_those_of_the_batches_and_read_nothing(source):
    stream, told = (RowStream(source, 64, 6, buffer_bytes=4 * 3 * 256) for _ in range(2))
    for start in (0, 960, 1990, 77):
        np.testing.assert_array_equal(told.places(start, 64), stream.batch(start, 64)[:, 0])
    fresh = Contexts(numbered(1000), [100, 640])
    RowStream(fresh, 64, 6).places(0, 64)
    assert not fresh.n_read.any()


def test_data_that_fit_the_buffer_are_read_once():
    class Counted(Sharded):
        n_read = 0

        def __getitem__(self, key):
            Counted.n_read += 1
            return super().__getitem__(key)

    stream = RowStream(Counted(numbered(512), [300]), 64, seed=1)
    whole = stream.batch(0, 5 * 512)
    assert Counted.n_read == 4
    assert sorted(whole[1024:1536, 0]) == list(range(512))


class Counted:
    """Rows that count how many of them are read by slices."""

    def __init__(self, rows):
        self._rows, self.shape, self.read = rows, rows.shape, 0

    def __len__(self):
        return len(self._rows)

    def __getitem__(self, which):
        self.read += which.stop - which.start if isinstance(which, slice) else 0
        return self._rows[which]


def test_a_training_reads_the_stream_of_its_config_and_seed():
    rows = np.random.default_rng(0).standard_normal((6000, 64)).astype(np.float32)
    usual = SAETrainingConfig(d_sae=64, k=4, tokens=2000, batch_rows=100)
    small = usual.model_copy(update={"buffer_mb": 1})
    assert usual.buffer_bytes == BUFFER_BYTES == 256_000_000
    assert "buffer_mb" not in usual.model_dump()
    assert small.model_dump()["buffer_mb"] == 1
    read = {}
    for config in (usual, small):
        stream = training_stream(rows, config, order_seed=3)
        read[config.buffer_mb] = places = [stream.places(i * 100, 100) for i in range(20)]
        counted = Counted(rows)
        train_sae(counted, config, sae_seed=3)
        # Buffers of 30 chunks, as far as 2,000 rows reach, or all 47 at once.
        assert counted.read == (30 * 128 if config is small else 47 * 128)
        assert len(np.unique(np.concatenate(places))) == 2000
    assert not np.array_equal(read[256], read[1])
