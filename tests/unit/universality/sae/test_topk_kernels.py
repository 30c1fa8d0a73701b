"""Kernels against the sentences that define them, in plain numpy."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import sparse

from universality.sae import kernels, selection, topk
from universality.sae.activations import JumpReLU, ReLU, TopK
from universality.sae.base import sparse_block
from universality.sae.topk import lane_maxima, runs_kernels, top_k


def reference_top(row, k):
    """The k largest positive entries, ties to the lower index, by index."""
    order = sorted((j for j in range(len(row)) if row[j] > 0), key=lambda j: (-row[j], j))[:k]
    return sorted(order)


@settings(max_examples=150, deadline=None)
@given(
    pre=hnp.arrays(
        np.float32,
        st.tuples(st.integers(1, 4), st.integers(1, 70)),
        # Few distinct values, so that ties at the threshold are the rule.
        elements=st.sampled_from([-2.0, -0.0, 0.0, 0.5, 1.0, 1.5, 3.0, float(np.float32(1e-40)), 1e30]),
    ),
    k=st.integers(1, 12),
)
def test_selection_is_the_definition(pre, k):
    k = min(k, pre.shape[1])
    indices, values = (part.numpy() for part in top_k(torch.from_numpy(pre), k))
    for row, index, value in zip(pre, indices, values, strict=True):
        expected = reference_top(row, k)
        assert index[: len(expected)].tolist() == expected
        np.testing.assert_array_equal(value[: len(expected)], row[expected])
        assert (index[len(expected) :] == -1).all()
        assert (value[len(expected) :] == 0).all()


@pytest.mark.parametrize(("d_sae", "k"), [(1024, 16), (1000, 32), (130, 64), (33, 33), (4096, 1)])
def test_selection_equals_torch_on_continuous_values(d_sae, k):
    pre = torch.from_numpy(np.random.default_rng(d_sae).standard_normal((40, d_sae)).astype(np.float32))
    indices, _ = top_k(pre, k)
    expected = torch.relu(pre).topk(k, dim=1)
    for found, index, value in zip(indices.tolist(), expected.indices.tolist(), expected.values, strict=True):
        wanted = sorted(j for j, v in zip(index, value, strict=True) if v > 0)
        assert [j for j in found if j >= 0] == wanted


def test_lanes_do_not_change_the_selection():
    pre = torch.from_numpy(np.random.default_rng(1).standard_normal((20, 300)).astype(np.float32))
    found = []
    for lanes in (torch.empty((20, 0)), lane_maxima(pre, 9)):
        indices, values = np.empty((20, 9), np.int32), np.empty((20, 9), np.float32)
        selection.select_top(pre.numpy(), lanes.numpy(), 9, indices, values)
        found.append((indices, values))
    assert lane_maxima(pre, 9).shape[1] > 0
    np.testing.assert_array_equal(found[0][0], found[1][0])
    np.testing.assert_array_equal(found[0][1], found[1][1])


def slots(rng, n, k, d_sae):
    indices = np.stack([rng.permutation(d_sae)[:k] for _ in range(n)]).astype(np.int32)
    values = rng.exponential(1.0, (n, k)).astype(np.float32)
    free = rng.random((n, k)) < 0.2
    indices[free], values[free] = -1, 0
    return indices, values


def dense_of(indices, values, d_sae):
    acts = np.zeros((len(indices), d_sae))
    for row, (index, value) in enumerate(zip(indices, values, strict=True)):
        for j, v in zip(index, value, strict=True):
            if j >= 0:
                acts[row, j] += v
    return acts


def test_decoding_and_row_errors():
    rng = np.random.default_rng(2)
    W_dec = rng.standard_normal((30, 11)).astype(np.float32)
    bias = rng.standard_normal(11).astype(np.float32)
    target = rng.standard_normal((9, 11)).astype(np.float32)
    indices, values = slots(rng, 9, 5, 30)
    acts = dense_of(indices, values, 30)
    recon = np.empty((9, 11), np.float32)
    kernels.decode_rows(indices, values, W_dec, bias, recon)
    np.testing.assert_allclose(recon, acts @ W_dec + bias, rtol=1e-5, atol=1e-5)

    error, squared = np.empty((9, 11), np.float32), np.empty(9, np.float32)
    slopes = np.full((9, 5), np.nan, np.float32)
    kernels.row_errors(indices, values, W_dec, target, error, slopes, squared)
    expected = target - acts @ W_dec
    np.testing.assert_allclose(error, expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(squared, (expected**2).sum(1), rtol=1e-4)
    wanted = np.where(indices >= 0, np.take_along_axis(expected @ W_dec.T, np.maximum(indices, 0), 1), 0)
    np.testing.assert_allclose(slopes, wanted, rtol=1e-3, atol=1e-4)


def test_grouping_lists_every_filled_slot_once_under_its_latent():
    rng = np.random.default_rng(3)
    indices, _ = slots(rng, 50, 4, 12)
    starts, entries = np.empty(13, np.int64), np.empty(200, np.int64)
    kernels.group_by_latent(indices, starts, entries)
    assert starts[0] == 0
    assert starts[-1] == (indices >= 0).sum()
    for latent in range(12):
        mine = entries[starts[latent] : starts[latent + 1]]
        assert mine.tolist() == np.flatnonzero(indices.ravel() == latent).tolist()


@pytest.mark.parametrize("unit", [False, True])
def test_adam_row_equals_torch_adam(unit):
    rng = np.random.default_rng(4)
    w = rng.standard_normal(19).astype(np.float32)
    w /= np.linalg.norm(w)
    parameter = torch.nn.Parameter(torch.from_numpy(w.copy()))
    optimizer = torch.optim.Adam([parameter], lr=0.01, betas=(0.9, 0.99), eps=1e-8)
    m, v = np.zeros_like(w), np.zeros_like(w)
    for t in range(1, 6):
        grad = rng.standard_normal(19).astype(np.float32)
        parameter.grad = torch.from_numpy(grad.copy())
        if unit:
            along = parameter.grad @ parameter.detach()
            parameter.grad -= along * parameter.detach()
        optimizer.step()
        if unit:
            parameter.data /= parameter.data.norm()
        rates = np.array([0.01 / (1 - 0.9**t), 0.9, 0.99, 1e-8, 1 / np.sqrt(1 - 0.99**t)], np.float32)
        kernels.adam_row(w, grad, m, v, rates, unit)
        np.testing.assert_allclose(w, parameter.detach().numpy(), rtol=1e-5, atol=1e-6)
        assert (grad == 0).all()
    if unit:
        assert np.linalg.norm(w) == pytest.approx(1, abs=1e-6)


def test_kernels_run_on_plain_cpu_memory_only():
    plain = torch.zeros(2, 8)
    assert runs_kernels(plain)
    assert not runs_kernels(plain.double())
    assert not runs_kernels(plain.to("meta"))
    assert not runs_kernels(plain.clone().requires_grad_())
    with torch.no_grad():
        assert runs_kernels(plain.clone().requires_grad_())


def test_topk_activation_passes_gradients_to_the_kept_entries_only():
    pre = torch.tensor([[3.0, -1.0, 2.0, 1.0]], requires_grad=True)
    acts = TopK(2)(pre)
    acts.sum().backward()
    assert acts.tolist() == [[3.0, 0.0, 2.0, 0.0]]
    assert pre.grad is not None
    assert pre.grad.tolist() == [[1.0, 0.0, 1.0, 0.0]]


def test_threads_select_what_one_selects(monkeypatch):
    pre = torch.randn(301, 4000, generator=torch.Generator().manual_seed(0))
    one = [part.numpy().tobytes() for part in topk.top_k(pre, 32)]
    shares, select = [], selection.select_top
    monkeypatch.setattr(torch, "get_num_threads", lambda: 3)
    monkeypatch.setattr(selection, "select_top", lambda *given: shares.append(len(given[0])) or select(*given))
    assert [part.numpy().tobytes() for part in topk.top_k(pre, 32)] == one
    assert sorted(shares) == [100, 100, 101]
    topk.top_k(pre[:9], 32)
    assert shares[-1] == 9, "too few to share"


@pytest.mark.parametrize("activation", [TopK(5), ReLU(), JumpReLU(torch.tensor(0.3))])
def test_what_fires_on_a_device_is_what_fires_on_the_cpu(monkeypatch, activation):
    """By the operations of a device, on the CPU; rows with no and with few active latents among them."""
    pre = torch.randn(40, 70, generator=torch.Generator().manual_seed(1))
    pre[3], pre[4, 2:] = -1.0, -1.0
    monkeypatch.setattr(topk, "runs_kernels", lambda tensor: False)
    counts, columns, values = sparse_block(activation, pre)
    expected = sparse.csr_matrix(activation(pre).numpy())
    np.testing.assert_array_equal(counts, np.diff(expected.indptr))
    np.testing.assert_array_equal(columns, expected.indices)
    np.testing.assert_array_equal(values, expected.data)
    assert columns.dtype == np.int32
