"""How well batches are mixed: chance values against simulation, small buffers found out."""

import numpy as np
import pytest

from universality.sae.mixing import POORLY_MIXED, _expected_chunks, measure_mixing
from universality.sae.stream import RowStream


def measured(n, batch_rows, buffer_rows, n_steps=100):
    rows = np.broadcast_to(np.float32(0), (n, 3))
    stream = RowStream(rows, batch_rows, seed=4, buffer_bytes=4 * 3 * buffer_rows)
    return measure_mixing(stream, batch_rows, n_steps)


def test_chance_is_that_of_a_uniform_permutation():
    sizes = np.array([5, 0, 128, 1, 60, 6])
    chunk, rng = np.repeat(np.arange(6), sizes), np.random.default_rng(0)
    for drawn in (1, 7, 150, 198, 200):
        simulated = [len(np.unique(chunk[rng.permutation(200)[:drawn]])) for _ in range(3000)]
        assert _expected_chunks(sizes, 200, drawn) == pytest.approx(np.mean(simulated), abs=0.06)


def test_a_buffer_that_holds_all_rows_mixes_as_chance_does():
    found = measured(200_000, 1000, 10**6)
    assert found.chunks == pytest.approx(1, abs=0.03)
    assert found.chance == pytest.approx(999 / 200_000)
    assert found.neighbours == pytest.approx(found.chance, abs=0.002)


def test_a_small_buffer_is_found_out():
    # Every batch is a whole buffer: eight chunks of 128 rows.
    found = measured(128 * 1560, 1024, 1024)
    assert found.chunks == pytest.approx(8 / _expected_chunks(np.full(1560, 128), 128 * 1560, 1024))
    assert found.chunks < POORLY_MIXED
    assert found.neighbours == pytest.approx(127 / 128, abs=0.01)
    middle = measured(128 * 1560, 1024, 20_000)
    assert found.chunks < middle.chunks < 0.9
    assert found.neighbours > middle.neighbours > 2 * middle.chance


def test_all_data_in_every_batch_is_mixed():
    found = measured(100, 300, 1000, n_steps=5)
    assert found.chunks == 1
    assert found.neighbours == pytest.approx(found.chance, abs=0.01) == pytest.approx(0.99, abs=0.01)
