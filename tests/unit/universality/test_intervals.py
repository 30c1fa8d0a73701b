"""Document bootstrap: exact resamples, and coverage where documents are the unit."""

from __future__ import annotations

import numpy as np
import pytest
from random_latents import latents, pearson
from scipy import sparse

from universality.errors import InputError
from universality.intervals import centred_interval, percentile_interval, resampled_correlations


def interval(x, y, indices_a, indices_b, documents, level=0.95, **options):
    return percentile_interval(resampled_correlations(x, y, indices_a, indices_b, documents, **options), level)


def rng(seed=0):
    return np.random.default_rng(seed)


@pytest.fixture(params=[sparse.csr_matrix, np.asarray], ids=["sparse", "dense"])
def world(request):
    draw = rng(1)
    documents = np.repeat(draw.permutation(30), draw.integers(3, 30, 30))
    x, y = latents(draw, documents.size, 12, 0.2), latents(draw, documents.size, 14, 0.2)
    return request.param, x, y, documents


def test_interval_is_the_percentiles_of_correlations_of_resampled_documents(world):
    form, x, y, documents = world
    ia, ib = np.arange(12), np.arange(12)[::-1].copy()
    low, high = interval(form(x), form(y), ia, ib, documents, n_resamples=60, generator=rng(), level=0.9)
    times = rng().multinomial(30, np.full(30, 1 / 30), size=60)
    draws = []
    for weight in times:
        rows = np.repeat(np.arange(documents.size), weight[documents])
        draws.append(pearson(x[rows], y[rows])[ia, ib])
    np.testing.assert_allclose([low, high], np.percentile(draws, [5, 95], axis=0), atol=1e-8)


def test_dead_latents_have_no_interval(world):
    form, x, y, documents = world
    low, high = interval(form(x), form(y), [0, 1], [5, 5], documents, generator=rng())
    assert not np.any([low, high])


def test_agreement_that_comes_by_documents_widens_the_interval():
    """In half of the documents y does what x does, in the others it does not: 100 draws, not 4,000."""
    draw, documents = rng(2), np.arange(4000) // 40
    agree = (draw.random(100) < 0.5)[documents]
    x = (draw.random(4000) < 0.2).astype(np.float32)
    y = np.where(agree, x, draw.random(4000) < 0.2).astype(np.float32)
    x, y, width = x[:, None], y[:, None], {}
    for unit, labels in (("document", documents), ("token", np.arange(4000))):
        low, high = interval(x, y, [0], [0], labels, generator=rng())
        assert low[0] < pearson(x, y)[0, 0] < high[0]
        width[unit] = high[0] - low[0]
    assert width["document"] > 1.5 * width["token"]


def covers(n_sources: int, n_pairs: int, by: str) -> tuple[float, float]:
    """Share of 95 % intervals that hold the truth, and their mean width, where pairs agree by source.

    In each source (of log-normal length, in documents of 40 rows) y does what x does in a share q of the rows, and as
    often but on its own in the others; the correlation over all text is the mean of q, 0.5.
    """
    draw = rng(n_sources)
    lengths = np.maximum(20, 160 * np.exp(0.4 * draw.standard_normal(n_sources))).astype(int)
    source = np.repeat(np.arange(n_sources), lengths)
    documents = source * 1000 + np.concatenate([np.arange(n) // 40 for n in lengths])
    x = draw.random((source.size, n_pairs)) < 0.3
    same = draw.random((source.size, n_pairs)) < draw.beta(1.5, 1.5, (n_sources, n_pairs))[source]
    y = np.where(same, x, draw.random((source.size, n_pairs)) < 0.3)
    labels = {"source": source, "document": documents}[by]
    pairs = np.arange(n_pairs)
    low, high = interval(
        x.astype(np.float32), y.astype(np.float32), pairs, pairs, labels, n_resamples=400, generator=rng()
    )
    return float(((low <= 0.5) & (high >= 0.5)).mean()), float((high - low).mean())


def test_an_interval_by_source_covers_where_one_by_document_is_too_narrow():
    coverage, width = covers(20, 300, "source")
    too_low, too_narrow = covers(20, 300, "document")
    assert 0.90 <= coverage <= 0.97
    assert too_low < 0.85
    assert width > 1.3 * too_narrow


@pytest.mark.slow
@pytest.mark.parametrize(("n_sources", "least"), [(20, 0.91), (50, 0.93), (200, 0.935)])
def test_coverage_of_source_intervals(n_sources, least):
    assert least <= covers(n_sources, 2000, "source")[0] <= 0.97


def test_more_pairs_than_a_block_equal_single_pairs(world):
    form, x, y, documents = world
    ia, ib = rng(0).integers(0, 12, 600), rng(1).integers(0, 14, 600)
    low, high = interval(form(x), form(y), ia, ib, documents, generator=rng(), n_resamples=20)
    for k in (0, 255, 256, 599):
        alone = interval(form(x), form(y), ia[k : k + 1], ib[k : k + 1], documents, generator=rng(), n_resamples=20)
        np.testing.assert_allclose((low[k], high[k]), np.ravel(alone), atol=1e-12)


@pytest.mark.parametrize("wrong", [{"n_resamples": 0}, {"documents": np.zeros(3)}])
def test_misuse(world, wrong):
    form, x, y, documents = world
    arguments = {"documents": documents, "generator": rng()} | wrong
    with pytest.raises(InputError, match="must be"):
        resampled_correlations(form(x), form(y), [0], [0], **arguments)


def test_a_centred_interval_holds_its_value_and_keeps_the_width():
    draws = np.random.default_rng(0).normal(0.4, 0.05, 2000)
    low, high = centred_interval(0.5, draws, 0.9)
    assert low < 0.5 < high
    assert high - low == pytest.approx(np.subtract(*np.percentile(draws, [95, 5])))
