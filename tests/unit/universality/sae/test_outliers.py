"""Rows of an outlier norm: which they are, and that a dictionary is spoilt by them and not without them."""

import numpy as np
import pytest
from dense_topk import planted_rows

from universality.errors import InputError
from universality.sae.outliers import InlierRows
from universality.sae.sae_config import SAETrainingConfig
from universality.sae.stream import RowStream
from universality.sae.training import train_sae

CLEAN = planted_rows(6000, 32, 64, 4, seed=0)
RNG = np.random.default_rng(1)
MASSIVE = np.sort(RNG.choice(len(CLEAN), 60, replace=False))
ROWS = CLEAN.copy()
ROWS[MASSIVE] = 300 * RNG.standard_normal((60, 32))
CONFIG = SAETrainingConfig(d_sae=128, k=4, tokens=40_000, batch_rows=128, lr=4e-3, dead_after=3000)


def test_rows_above_the_multiple_are_left_out_and_the_rest_keep_their_order():
    found = InlierRows(ROWS, 10)
    assert found.n_left_out == 60
    assert found.median_norm == pytest.approx(np.median(np.linalg.norm(ROWS, axis=1)), rel=1e-6)
    expected = np.delete(ROWS, MASSIVE, axis=0)
    assert found.shape == expected.shape
    np.testing.assert_array_equal(found[:], expected)
    np.testing.assert_array_equal(found[np.array([5, 77, 5900])], expected[[5, 77, 5900]])
    np.testing.assert_array_equal(np.concatenate(list(found.chunks(np.arange(47)))), expected)
    stream = RowStream(found, 64, 1, buffer_bytes=4 * 32 * 600)
    one_pass = stream.batch(0, len(expected))
    assert sorted(map(bytes, one_pass)) == sorted(map(bytes, expected))


def test_a_chunk_of_outliers_alone_does_no_harm():
    rows = np.ones((700, 2), np.float32)
    rows[128:256] = 100
    stream = RowStream(InlierRows(rows, 2), 50, 1, buffer_bytes=1)
    assert (stream.batch(0, 572) == 1).all()
    assert len(np.unique(stream.places(0, 572))) == 572


def test_nothing_is_left_out_of_equal_norms_or_of_a_median_of_zero():
    assert InlierRows(np.ones((9, 3)), 1).n_left_out == 0
    silent = np.zeros((9, 3))
    silent[0] = 5
    assert InlierRows(silent, 2).n_left_out == 0


def test_massive_rows_spoil_a_dictionary_unless_they_are_left_out():
    def left(source):
        recon = train_sae(source, CONFIG, sae_seed=3).sae.reconstruct(CLEAN)
        return ((CLEAN - recon) ** 2).sum() / ((CLEAN - CLEAN.mean(0)) ** 2).sum()

    clean, spoilt, rescued = left(CLEAN), left(ROWS), left(InlierRows(ROWS, 10))
    assert clean < 0.15
    assert spoilt > 2 * clean
    assert rescued == pytest.approx(clean, abs=0.02)


def test_bad_input_is_refused():
    with pytest.raises(InputError, match=r"max_norm .* at least 1"):
        InlierRows(CLEAN, 0.5)
    with pytest.raises(InputError, match="finite"):
        InlierRows(np.full((3, 3), np.inf), 2)
    with pytest.raises(InputError, match="at least 1 row"):
        InlierRows(np.ones((0, 3)), 2)
