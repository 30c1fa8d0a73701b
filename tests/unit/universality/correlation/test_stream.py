"""r of candidate pairs over a stream of shards is r over all rows at once, and planted pairs are among them."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from random_latents import latents, pearson
from scipy import sparse

from universality.correlation import PairSums, correlate, correlate_stream
from universality.errors import InputError
from universality.planted import plant

N_ROWS, N_A, N_B = 3_000, 40, 50


def _pair(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    x, y = latents(rng, N_ROWS, N_A, 0.05), latents(rng, N_ROWS, N_B, 0.05)
    y[:, 10:30] += x[:, 12:32] * (rng.random((N_ROWS, 20)) < 0.7)
    return x, y


def _shards(x: np.ndarray, y: np.ndarray, edges: list[int]):
    whole = [0, *edges, len(x)]
    return [(sparse.csr_matrix(x[first:last]), sparse.csr_matrix(y[first:last])) for first, last in pairwise(whole)]


def _every_pair() -> PairSums:
    a, b = np.divmod(np.arange(N_A * N_B), N_B)
    return PairSums(N_A, N_B, a, b)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("far", [0.0, 1e4])
def test_every_pair_equals_dense_float64(dtype, far):
    x, y = (m.astype(dtype) for m in _pair())
    x[:, 9] += dtype(far)  # a mean of thousands of deviations, in every shard
    y[1_000:, 9] += dtype(far)  # one that moves away within the stream
    sums = _every_pair()
    for a, b in _shards(x, y, [700, 700, 701, 1_900]):
        sums.add(a, b, threads=2)
    assert sums.n_rows == N_ROWS
    truth = pearson(x, y)
    np.testing.assert_allclose(sums.r(), truth[sums.indices_a, sums.indices_b], rtol=0, atol=1e-9)
    assert (truth[:, 0] == 0).all()  # dead and constant latents have 0, not what is left of sums
    assert not sums.r()[np.isin(sums.indices_a, [0, 1]) | np.isin(sums.indices_b, [0, 1])].any()


def test_a_latent_that_is_constant_in_every_shard_but_not_over_all_counts():
    step = np.repeat([1.0, 3.0], 500)[:, None]
    sums = PairSums(1, 1, [0], [0])
    for first in (0, 500):
        sums.add(step[first : first + 500], 2 * step[first : first + 500])
    np.testing.assert_allclose(sums.r(), [1.0], atol=1e-12)


def test_rounding_of_a_constant_is_no_variance():
    x = np.column_stack([np.full(4_000, 0.1), np.arange(4_000.0)])
    sums = PairSums(2, 2, [0, 0, 1], [0, 1, 1])
    for first, last in pairwise([0, 7, 100, 1_333, 4_000]):
        sums.add(x[first:last], x[first:last])
    np.testing.assert_allclose(sums.r(), [0.0, 0.0, 1.0], atol=1e-12)


def test_shares_of_workers_merge_to_the_same_bytes_wherever_they_ran():
    x, y = _pair(1)
    shards = _shards(x, y, [400, 1_100, 1_500, 2_300])

    def share(numbers, threads):
        sums = _every_pair()
        for at in numbers:
            sums.add(*shards[at], threads=threads)
        return sums

    merged = share([0, 1], 1)
    merged.merge(share([2, 3], 1))
    merged.merge(share([4], 1))
    again = share([0, 1], 3)
    for sums in (share([2, 3], 2), share([4], 2)):  # handed over as arrays
        again.merge(PairSums.from_arrays({name: np.array(x) for name, x in sums.to_arrays().items()}))
    assert again.r().tobytes() == merged.r().tobytes()
    np.testing.assert_allclose(merged.r(), share(range(5), 1).r(), rtol=0, atol=1e-13)


def test_it_goes_on_from_stored_sums_with_the_same_bytes():
    shards = _shards(*_pair(2), [1_000, 2_000])
    whole, begun = _every_pair(), _every_pair()
    for a, b in shards:
        whole.add(a, b)
    begun.add(*shards[0])
    resumed = PairSums.from_arrays(begun.to_arrays())
    for a, b in shards[1:]:
        resumed.add(a, b)
    assert resumed.r().tobytes() == whole.r().tobytes()
    assert begun.n_rows == 1_000  # what was stored is not touched


def test_candidates_are_of_the_first_rows_and_r_is_over_all():
    x, y = _pair(3)
    shards = _shards(x, y, [500, 1_000, 2_000])
    asked = []

    def stream():
        for at, shard in enumerate(shards):
            asked.append(at)
            yield shard

    sums = correlate_stream(stream(), candidate_rows=900, top=3)
    chosen = correlate(sparse.csr_matrix(x[:1_000]), sparse.csr_matrix(y[:1_000]), top=3)
    np.testing.assert_array_equal(sums.indices_a, chosen.indices_a)
    np.testing.assert_array_equal(sums.indices_b, chosen.indices_b)
    np.testing.assert_allclose(sums.r(), pearson(x, y)[sums.indices_a, sums.indices_b], rtol=0, atol=1e-9)
    assert np.abs(sums.r() - chosen.r).max() > 0.01  # what is reported is not what was chosen by
    assert asked == [0, 1, 2, 3]


def test_planted_partners_are_among_the_candidates_and_stand_out_over_all_rows():
    world = plant(root_seed=4, n_models=2, n_rows=40_000)
    a, b = world.acts["m0"], world.acts["m1"]
    cut = [a.shape[0] * part // 4 for part in range(5)]
    shards = [(a[first:last], b[first:last]) for first, last in pairwise(cut)]
    sums = correlate_stream(shards, candidate_rows=cut[1], top=8)
    feature = {
        model: truth.set_index("latent")["feature"].reindex(range(acts.shape[1]), fill_value=-1).to_numpy()
        for model, acts, truth in (
            (name, world.acts[name], world.truth[world.truth["model"] == name]) for name in ("m0", "m1")
        )
    }
    kind = world.truth[world.truth["kind"] == "universal"]
    universal = set(kind["feature"])
    of_a, of_b = feature["m0"][sums.indices_a], feature["m1"][sums.indices_b]
    planted = (of_a == of_b) & np.isin(of_a, list(universal))
    assert np.count_nonzero(planted) >= 0.95 * len(universal)
    others = ~planted & (of_a >= 0) & (of_b >= 0) & np.isin(of_a, list(universal))
    assert np.median(sums.r()[planted]) > 0.5 > np.quantile(sums.r()[others], 0.95)


def test_pairs_are_sorted_and_kept_once():
    sums = PairSums(5, 5, [4, 0, 4, 2], [1, 3, 1, 0])
    assert list(zip(sums.indices_a, sums.indices_b, strict=True)) == [(0, 3), (2, 0), (4, 1)]


def test_what_does_not_fit_is_refused_before_anything_is_added():
    x, y = _pair()
    sums = _every_pair()
    with pytest.raises(InputError, match="latents of B must be 50; got 40"):
        sums.add(x, x)
    with pytest.raises(InputError, match="number of rows of B"):
        sums.add(x, y[1:])
    broken = y.copy()
    broken[5, 5] = np.nan
    with pytest.raises(InputError, match="finite"):
        sums.add(x, broken)
    assert sums.n_rows == 0
    assert not sums.r().any()
    with pytest.raises(InputError, match="the pairs of sums to merge"):
        sums.merge(PairSums(N_A, N_B, [0], [0]))
    with pytest.raises(InputError, match="indices_b of the pairs"):
        PairSums(2, 2, [0], [2])
    with pytest.raises(InputError, match="shards of the stream must be at least one"):
        correlate_stream([])
    with pytest.raises(InputError, match="latents of the shards must be the same in all"):
        correlate_stream([(x, y), (y, x)])
