"""Matrices that enter: read exactly or refused in words, before any compiled code follows an index."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from random_latents import pearson
from scipy import sparse

from universality.compare import compare
from universality.correlation import correlate, correlate_dense, correlate_pairs
from universality.correlation.conditional import conditional_correlation
from universality.correlation.top import TopSimilarity
from universality.errors import InputError
from universality.intervals import resampled_correlations
from universality.matching import match
from universality.matrices import as_csr, as_dense
from universality.nulls.shifts import shift_null

N, D = 240, 12
RNG = np.random.default_rng(0)
DENSE = RNG.gamma(2.0, size=(N, D)) * (RNG.random((N, D)) < 0.2)
OTHER = DENSE[:, ::-1] + RNG.gamma(2.0, size=(N, D)) * (RNG.random((N, D)) < 0.2)
DOCUMENTS = np.arange(N) // 12
PAIRS = np.arange(D), np.arange(D)


def csr(dense=DENSE):
    return sparse.csr_array(dense)


def with_values(made, kind):
    made.data = made.data.astype(kind)  # no constructor of scipy takes these
    return made


def one_based():
    made = csr()
    made.indices += 1
    return made


def narrow():
    made = csr()
    made._shape = (N, 5)  # what load_npz gives when a file says so: it checks neither
    return made


def negative():
    made = csr()
    made.indices[3] = -2
    return made


def falling():
    made = csr()
    made.indptr[4], made.indptr[5] = made.indptr[5] + 1, made.indptr[4]
    return made


def short():
    made = csr()
    made.indptr[-1] -= 2
    return made


def long_csc():
    made = sparse.csc_array(DENSE)
    made.indptr[-1] += 3
    return made


def outside_coo():
    made = sparse.coo_array(DENSE)
    made.coords[0][7] = N
    return made


def outside_lil():
    made = sparse.lil_array(DENSE)
    row = next(i for i in range(N) if made.rows[i])
    made.rows[row][-1] = D + 1
    return made


BROKEN = [
    (one_based, "column index of .* must be below 12, and not negative; got 12"),
    (narrow, "column index of .* must be below 5.* got 11"),
    (negative, "column index of .* got -2"),
    (falling, "must be 0 at first, and never falling"),
    (short, "number of indices and of values"),
    (long_csc, "number of indices and of values"),
    (outside_coo, "row index of .* must be below 240"),
    (outside_lil, "column index of .* must be below 12"),
]


@pytest.mark.parametrize(("broken", "words"), BROKEN, ids=lambda value: getattr(value, "__name__", None))
def test_indices_beyond_the_shape_are_refused_at_every_door(broken, words):
    bad, good = broken(), csr(OTHER)
    generator, pairs = np.random.default_rng(1), (np.arange(5), np.arange(5))
    doors = [
        lambda: correlate(bad, good),
        lambda: correlate(good, bad),
        lambda: correlate_pairs(bad, good, *pairs),
        lambda: conditional_correlation(bad, good, *pairs, tokens=DOCUMENTS),
        lambda: resampled_correlations(bad, good, *pairs, DOCUMENTS, n_resamples=2, generator=generator),
        lambda: shift_null(bad, good, DOCUMENTS, n_shifts=2, generator=generator),
        lambda: compare({"a": bad, "b": good}, documents=DOCUMENTS),
        lambda: compare({"a": good, "b": good}, documents=DOCUMENTS, replicates={"a": bad}),
    ]
    for door in doors:
        with pytest.raises(InputError, match=words):
            door()


@pytest.mark.filterwarnings("ignore:Constructing a DIA matrix")
def test_every_format_and_number_gives_the_same_correlations():
    truth = pearson(DENSE.astype(np.float16).astype(float), OTHER)
    half = DENSE.astype(np.float16)
    forms = [
        half, half.astype(">f8"), half.astype("<f4"), half.astype(np.longdouble), torch.from_numpy(half),
        torch.from_numpy(half.astype(np.float32)).requires_grad_(), half.tolist(),
        *(csr(half.astype(kind)).asformat(form)
          for kind in ("f4", "f8", np.longdouble) for form in ("csr", "csc", "coo", "bsr", "lil", "dok", "dia")),
        *(with_values(csr(half.astype("f4")), kind) for kind in (">f4", ">f8", "f2")),
    ]  # fmt: skip
    for form in forms:
        for other in (csr(OTHER), OTHER):
            found = correlate(form, other, top=D)
            np.testing.assert_allclose(found.r, truth[found.indices_a, found.indices_b], atol=1e-6)
            assert len(found.r) > D


def test_bfloat16_and_booleans_are_numbers():
    tensor = torch.from_numpy(OTHER).to(torch.bfloat16)
    assert as_dense(tensor, "A").dtype == np.float32
    np.testing.assert_array_equal(as_csr(DENSE > 0, "A").toarray(), DENSE > 0)


def test_the_largest_magnitude_is_one_for_every_width_of_numbers():
    for dtype in (np.float32, np.float64):
        beyond = sparse.csr_array(np.array([[np.float32(1e30)], [0.0]], dtype))  # 1.00000002e30
        with pytest.raises(InputError, match="largest magnitude"):
            as_csr(beyond, "A")


def test_flags_that_are_out_of_date_are_not_believed():
    twice = sparse.csr_array((np.array([1.0, 2.0, 4.0]), np.array([1, 0, 1]), np.array([0, 3, 3])), shape=(2, 2))
    twice.has_canonical_format = True
    np.testing.assert_array_equal(as_csr(twice, "A").toarray(), [[2.0, 5.0], [0.0, 0.0]])
    assert twice.nnz == 3, "what is given stays as it is"


@pytest.mark.parametrize("scale", [1e-160, 1e-35, 1e35, 1e155])
@pytest.mark.parametrize("kind", [csr, np.asarray])
def test_squares_that_leave_the_numbers_are_refused_with_the_column(scale, kind):
    scaled = DENSE.copy()
    scaled[:, 3] *= scale
    for act in (
        lambda: correlate(kind(scaled), kind(OTHER)),
        lambda: correlate_pairs(kind(OTHER), kind(scaled), *PAIRS),
        lambda: resampled_correlations(kind(scaled), kind(OTHER), *PAIRS, DOCUMENTS, n_resamples=2, generator=RNG),
    ):
        with pytest.raises(InputError, match=r"column 3 of [ABXY] must be of a largest magnitude"):
            act()


@pytest.mark.parametrize("scale", [1e-29, 1e28])
def test_scale_changes_no_correlation_within_the_range(scale):
    for a, b in ((csr(DENSE * scale), csr(OTHER * (0.1 / scale))), (DENSE * scale, OTHER * (0.1 / scale))):
        found = correlate(a, b, top=D)
        np.testing.assert_allclose(found.r, pearson(DENSE, OTHER)[found.indices_a, found.indices_b], atol=1e-9)
        generator = np.random.default_rng(0)
        spread = resampled_correlations(a, b, *PAIRS, DOCUMENTS, n_resamples=20, generator=generator).mean(axis=1)
        expected = resampled_correlations(
            DENSE, OTHER, *PAIRS, DOCUMENTS, n_resamples=20, generator=np.random.default_rng(0)
        )
        np.testing.assert_allclose(spread, expected.mean(axis=1), atol=1e-9)
    small = DENSE.copy()
    small[0, 0] = 1e-200  # a value that does not matter in its column
    correlate(csr(small), csr(OTHER))


NO_NUMBERS = [
    (np.full((N, D), "1.0"), "real numbers"),
    (DENSE * 1j, "real numbers"),
    (DENSE.astype(object), "real numbers"),
    (np.ma.masked_less(DENSE, 0.5), "masked values"),
    (torch.from_numpy(DENSE).to_sparse(), "torch.strided"),
    ([[1.0, 2.0], [3.0]], "Make all rows of one length|an array"),
    (np.full((N, D), np.nan), "finite"),
    (np.where(DENSE > 0, np.inf, 0.0), "finite"),
    (DENSE[:, 0], "n_rows, n_latents"),
    (np.zeros((N, D, 2)), "n_rows, n_latents"),
]


@pytest.mark.parametrize(("given", "words"), NO_NUMBERS)
def test_what_is_no_matrix_of_numbers_is_refused(given, words):
    for act in (
        lambda: correlate(given, OTHER),
        lambda: correlate(csr(), given),
        lambda: correlate_dense(given, OTHER),
    ):
        with pytest.raises(InputError, match=words):
            act()


def test_no_rows_and_no_columns_have_no_partners():
    for a, b in ((np.zeros((0, 3)), np.zeros((0, 2))), (np.zeros((5, 0)), np.zeros((5, 2)))):
        for left, right in ((a, b), (sparse.csr_array(a), sparse.csr_array(b))):
            assert len(correlate(left, right).r) == 0


def test_a_similarity_with_latents_that_there_are_not_is_refused():
    good = correlate(csr(), csr(OTHER)).to_arrays()
    for name, value, words in (
        ("indices_b", np.full_like(good["indices_b"], D), "indices_b of similarity must be in 0..11"),
        ("indices_a", good["indices_a"] - 1, "indices_a of similarity"),
        ("r", np.full_like(good["r"], np.nan), "finite"),
        ("r", good["r"][1:], "of one length"),
    ):
        with pytest.raises(InputError, match=words):
            match(TopSimilarity.from_arrays({**good, name: value}))
    with pytest.raises(InputError, match="numpy array"):
        match(sparse.csr_array(np.eye(3)))


@pytest.mark.parametrize("bad", [np.inf, 1e35])
def test_dense_matrices_of_a_comparison_are_finite(bad):
    acts, raw = {"a": csr(), "b": csr(OTHER)}, {"a": DENSE.copy(), "b": OTHER}
    raw["a"][5, 1] = bad
    with pytest.raises(InputError, match=r"every value of raw\['a'\]"):
        compare(acts, documents=DOCUMENTS, raw=raw)
    with pytest.raises(InputError, match=r"every value of weights\['b'\]"):
        compare(acts, documents=DOCUMENTS, weights={"b": np.full((D, 4), bad)})
    with pytest.raises(InputError, match=r"every value of logits\['b'\]"):
        compare(acts, documents=DOCUMENTS, logits={"b": np.full((D, 4), bad)})


@pytest.mark.parametrize("name", ["documents", "sources", "domains", "tokens", "positions", "next_tokens"])
def test_masked_rows_are_refused(name):
    rows = {"documents": DOCUMENTS, name: np.ma.masked_equal(DOCUMENTS, 3)}
    with pytest.raises(InputError, match=f"{name} of rows must be without masked values; got 12 masked"):
        compare({"a": csr(), "b": csr(OTHER)}, **rows)


@pytest.mark.parametrize("name", ["raw", "replicates", "untrained", "untrained_raw", "weights", "logits"])
@pytest.mark.parametrize("given", [3, "x", [1], {3: DENSE}])
def test_what_is_keyed_by_ids_is_a_mapping(name, given):
    with pytest.raises(InputError, match=f"{name} of compare must be (a mapping|text)"):
        compare({"a": csr(), "b": csr(OTHER)}, documents=DOCUMENTS, **{name: given})


def test_odd_rows_are_refused_in_words():
    acts = {"a": csr(), "b": csr(OTHER)}
    labels = np.array(["law", None] * (N // 2), dtype=object)
    for bad in (labels, DOCUMENTS.astype(float), DOCUMENTS.astype(str)):
        with pytest.raises(InputError, match="documents of rows must be integers"):
            compare(acts, documents=bad)
    with pytest.raises(InputError, match="n_ctx of compare must be a whole number"):
        compare(acts, documents=DOCUMENTS, n_ctx="x")
    with pytest.raises(InputError, match="a matrix or a pair of them; got 3"):
        compare(acts, documents=DOCUMENTS, weights={"a": (DENSE.T, DENSE.T, DENSE.T)})


def test_a_row_without_a_domain_is_refused():
    labels = np.array(["law", None] * (N // 2), dtype=object)
    with pytest.raises(InputError, match="a label in each; got None"):
        compare({"a": csr(), "b": csr(OTHER)}, documents=DOCUMENTS, domains=labels)
