"""The sparse step of BatchTopK and Matryoshka: selection, gradients, optimiser and state are the dense ones."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from dense_topk import planted_rows
from hypothesis import given, settings
from hypothesis import strategies as st

from universality.sae import selection
from universality.sae import topk_kernel_step as step
from universality.sae.architectures.batch_topk import running_threshold
from universality.sae.autograd_step import AutogradStep, Rates
from universality.sae.batch_kernel_step import BatchKernelStep, Candidates
from universality.sae.sae_config import SAETrainingConfig
from universality.sae.seed_training import make_stepper
from universality.sae.training_state import Parameters, TrainingState

N, D_IN, D_SAE, K = 150, 24, 70, 5
DEAD = torch.tensor([0, 3, 4, 17, 40, 69])
PREFIXES = [(D_SAE,), (7, 8, 33, D_SAE), (1, D_SAE)]
RATES = Rates(lr=1e-3, beta1=0.5, beta2=0.9, eps=1e-4, t=1)


def first_of_equal(values, keep):
    """Which of the values (any shape) are among the ``keep`` largest positive ones, equal ones by position."""
    order = np.argsort(-values, axis=None, kind="stable")[:keep]
    mask = np.zeros(values.size, bool)
    mask[order] = True
    return mask.reshape(values.shape) & (values > 0)


@settings(max_examples=150, deadline=None)
@given(
    shape=st.tuples(st.integers(1, 9), st.integers(1, 200)),
    keep=st.integers(1, 300),
    cuts=st.lists(st.integers(0, 9), max_size=3),
    parts=st.integers(1, 3),
    spare=st.integers(selection.BLOCK, 200),
    # Few distinct values, so that ties at the limit are the rule.
    values=st.lists(st.sampled_from([-2.0, -0.0, 0.0, 0.5, 1.0, 1.5, 3.0, 1e-40, 1e30, float("inf")]), min_size=1),
    seed=st.integers(0, 99),
)
def test_the_selection_is_that_of_a_sort(shape, keep, cuts, parts, spare, values, seed):
    pre = np.random.default_rng(seed).choice(np.array(values, np.float32), shape)
    found, (n, d_sae) = Candidates(keep, parts, spare), shape
    for first, last in pairwise(sorted({0, n, *(min(cut, n) for cut in cuts)})):
        inner = [first + (last - first) * part // parts for part in range(parts + 1)]
        for part, (low, high) in enumerate(pairwise(inner)):
            found.take(part, pre[low:high], low)
        found.merge()
    expected = np.flatnonzero(first_of_equal(pre.reshape(n, d_sae), keep))
    assert found.where.tolist() == expected.tolist()
    np.testing.assert_array_equal(found.bits.view(np.float32), pre.ravel()[expected])


def plain():
    rng = np.random.default_rng(1)
    W_dec = rng.standard_normal((D_SAE, D_IN))
    W_dec /= np.linalg.norm(W_dec, axis=1, keepdims=True)
    held = {"W_enc_rows": W_dec + 0.1 * rng.standard_normal(W_dec.shape), "W_dec": W_dec}
    held |= {"b_enc": 0.1 * rng.standard_normal(D_SAE), "b_dec": 0.1 * rng.standard_normal(D_IN)}
    p = Parameters.of({name: torch.from_numpy(value).float() for name, value in held.items()})
    return p, torch.from_numpy(planted_rows(N, D_IN, 50, 4, seed=2))


def ties():
    """Small whole numbers, so that products are exact in any order and values tie."""
    rng = np.random.default_rng(3)
    held = {
        "W_enc_rows": rng.integers(-1, 2, (D_SAE, D_IN)),
        "W_dec": np.eye(D_IN)[rng.integers(0, D_IN, D_SAE)],
        "b_enc": rng.integers(-3, 1, D_SAE),
        "b_dec": rng.integers(-1, 2, D_IN),
    }
    p = Parameters.of({name: torch.from_numpy(value).float() for name, value in held.items()})
    return p, torch.from_numpy(rng.integers(-2, 3, (N, D_IN))).float()


def few_positive():
    p, x = plain()
    p.b_enc.sub_(2.0)
    return p, x


def empty_rows():
    p, x = plain()
    p.b_enc.copy_(-p.b_enc.abs() - 0.01)
    x[::3] = p.b_dec
    return p, x


def nothing_active():
    p, x = plain()
    p.b_enc.fill_(-1e6)
    return p, x


WORLDS = [plain, ties, few_positive, empty_rows, nothing_active]


def stepper(kind, p, prefixes=(D_SAE,), aux_k=0, coefficient=0.0, loss="root_fvu", **more):
    options = {"loss": loss, "k": K, "aux_k": aux_k, "aux_coefficient": coefficient, "matryoshka_prefixes": prefixes}
    config = SAETrainingConfig(architecture="matryoshka", d_sae=D_SAE, tokens=100, **options)
    state = TrainingState.fresh(p, config.kind.buffers)
    state.silent.fill_(7)
    return kind(config, state, n_steps=100, **more)


def copied(p, dtype=torch.float32):
    return Parameters.of({name: value.clone().to(dtype) for name, value in p.named().items()})


def by_formula(p, x, prefixes, dead, aux_k, c, root):
    """Loss, fvu, active entries and gradients in float64, by masks."""
    w = {name: value.double().requires_grad_() for name, value in p.named().items()}
    x = x.double()
    pre = (x - w["b_dec"]) @ w["W_enc_rows"].T + w["b_enc"]
    active = first_of_equal(pre.detach().numpy(), len(x) * K)
    acts = pre * torch.from_numpy(active)
    spread = (x - x.mean(0)).square().sum()
    errors = [x - w["b_dec"] - acts[:, :end] @ w["W_dec"][:end] for end in prefixes]
    loss = torch.stack([error.square().sum() for error in errors]).mean() / spread
    loss = 2 * loss.sqrt() if root else loss
    if len(dead) and aux_k and c:
        own = pre[:, dead]
        kept = np.stack([first_of_equal(row, aux_k) for row in own.detach().numpy()])
        left = errors[-1].detach()
        rest = left - (own * torch.from_numpy(kept)) @ w["W_dec"][dead]
        loss = loss + c * rest.square().sum() / left.square().sum()
    grads = dict(zip(w, torch.autograd.grad(loss, list(w.values()), materialize_grads=True), strict=True))
    W_dec = w["W_dec"].detach()
    grads["W_dec"] = grads["W_dec"] - (grads["W_dec"] * W_dec).sum(1, keepdim=True) * W_dec
    fvu = errors[-1].square().sum() / spread
    return float(loss.detach()), float(fvu.detach()), pre.detach().numpy()[active], active, grads


@pytest.mark.parametrize(
    ("dead", "aux_k", "coefficient"),
    [
        (DEAD[:0], 0, 0.0),
        (DEAD, 1, 0.5),  # many dead latents per slot: sparse
        (DEAD, 3, 0.5),  # few: dense
        (torch.arange(D_SAE), 7, 0.25),
        (DEAD[:0], 3, 0.5),
    ],
)
@pytest.mark.parametrize("prefixes", PREFIXES, ids=len)
@pytest.mark.parametrize("world", WORLDS)
@pytest.mark.parametrize("minimised", ["fvu", "root_fvu"])
def test_one_step_is_that_of_the_formula(monkeypatch, minimised, world, prefixes, dead, aux_k, coefficient):
    monkeypatch.setattr(step, "TILE_BYTES", 1)  # tiles of 64 rows, which N is no multiple of
    p, x = world()
    loss, fvu, values, active, grads = by_formula(p, x, prefixes, dead, aux_k, coefficient, minimised == "root_fvu")
    run = stepper(BatchKernelStep, p, prefixes, aux_k, coefficient, minimised)
    outcome = run.step(x, dead, RATES)
    assert outcome.loss == pytest.approx(loss, rel=1e-5)
    assert outcome.fvu == pytest.approx(fvu, rel=1e-5)
    assert outcome.l0 == len(values) / N
    # From zero, Adam's moments after one step are the gradient and its square, times (1 - beta).
    for name, expected in grads.items():
        scale = float(expected.abs().max())
        for found, wanted, size in (
            (run.state.m.named()[name] / 0.5, expected, scale),
            (run.state.v.named()[name] / 0.1, expected.square(), scale**2),
        ):
            torch.testing.assert_close(found.double(), wanted, rtol=2e-4, atol=1e-5 * size, msg=name)
    assert run.state.silent.tolist() == [0 if fired else 7 + N for fired in active.any(axis=0)]
    assert float(running_threshold(run.state)) == pytest.approx(
        values.min() if len(values) else 0.0, rel=1e-5, abs=1e-6
    )


def test_the_worlds_are_what_they_are_called():
    found = {}
    for world in WORLDS:
        p, x = world()
        pre = ((x - p.b_dec) @ p.W_enc_rows.T + p.b_enc).numpy()
        active = first_of_equal(pre, N * K)
        at_limit = pre[active].min() if active.any() else 0.0
        found[world] = active.sum(), (pre == at_limit).sum() - (pre[active] == at_limit).sum(), active.sum(1)
    assert found[plain][0] == N * K
    assert found[ties][1] > 10
    assert 0 < found[few_positive][0] < N * K
    assert (found[empty_rows][2][::3] == 0).all()
    assert found[nothing_active][0] == 0


@pytest.mark.parametrize("dead", [DEAD, torch.arange(D_SAE)], ids=["few", "all"])
@pytest.mark.parametrize("prefixes", PREFIXES, ids=len)
def test_many_steps_follow_autograd(prefixes, dead):
    p, _ = plain()
    runs = [
        stepper(BatchKernelStep, copied(p), prefixes, 4, 1 / 32),
        stepper(AutogradStep, copied(p), prefixes, 4, 1 / 32),
        stepper(AutogradStep, copied(p, torch.float64), prefixes, 4, 1 / 32),
    ]
    for t in range(1, 13):
        x = torch.from_numpy(planted_rows(64, D_IN, 50, 4, seed=100 + t))
        rates = Rates(2e-3, 0.9, 0.99, 1e-6, t)
        sparse, dense, double = (run.step(x.to(run.state.p.b_dec), dead, rates) for run in runs)
        for other in (dense, double):
            assert sparse.loss == pytest.approx(other.loss, rel=1e-3)
            assert sparse.fvu == pytest.approx(other.fvu, rel=1e-3)
            assert sparse.l0 == other.l0
    for other in runs[1:]:
        for name, value in runs[0].state.p.named().items():
            torch.testing.assert_close(value, other.state.p.named()[name].float(), rtol=0, atol=1e-3, msg=name)
        assert torch.equal(runs[0].state.silent, other.state.silent)
        torch.testing.assert_close(
            runs[0].state.buffers["running_threshold"],
            other.state.buffers["running_threshold"],
            rtol=1e-3,
            atol=0,
        )
    torch.testing.assert_close(runs[0].state.p.W_dec.norm(dim=1), torch.ones(D_SAE), rtol=0, atol=1e-5)


@pytest.mark.parametrize("world", [plain, ties])
@pytest.mark.parametrize("aux_k", [1, 3])
def test_threads_and_tiles_change_no_byte_beyond_the_product(monkeypatch, world, aux_k):
    monkeypatch.setattr(step, "WORTH_SHARING", 0)
    runs = []
    for threads, tile in ((1, step.TILE_BYTES), (3, step.TILE_BYTES), (1, 1), (2, 1)):
        monkeypatch.setattr(step, "TILE_BYTES", tile)
        p, x = world()
        run = stepper(BatchKernelStep, p, PREFIXES[1], aux_k, 0.25, threads=threads)
        run.step(x, DEAD, RATES)
        run.close()
        runs.append(run)
    for run in runs[1:] if world is ties else runs[1:2]:
        for name, value in runs[0].state.p.named().items():
            assert value.numpy().tobytes() == run.state.p.named()[name].numpy().tobytes(), name
        assert torch.equal(runs[0].state.buffers["running_threshold"], run.state.buffers["running_threshold"])


def test_batches_of_another_size_and_batches_without_active_latents_may_follow():
    p, x = plain()
    run = stepper(BatchKernelStep, p)
    run.step(x, DEAD[:0], RATES)
    before = running_threshold(run.state).clone()
    kept = p.b_enc.clone()
    p.b_enc.fill_(-1e6)
    assert run.step(x, DEAD[:0], RATES).l0 == 0
    assert running_threshold(run.state) == before
    p.b_enc.copy_(kept)
    assert run.step(x[:37], DEAD[:0], RATES).l0 == K
    assert running_threshold(run.state) != before


def test_a_loss_that_is_not_finite_changes_nothing():
    p, x = plain()
    run = stepper(BatchKernelStep, p, PREFIXES[1], 3, 0.5)
    before = {name: value.clone() for name, value in p.named().items()}
    x[3, 2] = float("inf")
    assert not np.isfinite(run.step(x, DEAD, RATES).loss)
    assert all(torch.equal(value, before[name]) for name, value in p.named().items())
    assert (run.state.silent == 7).all()
    assert run.state.buffers["running_threshold"].tolist() == [0, 0]


@pytest.mark.parametrize("name", ["batch_topk", "matryoshka"])
def test_kernels_train_float32_on_the_cpu_and_autograd_all_else(name):
    config = SAETrainingConfig(architecture=name, d_sae=D_SAE, k=K, tokens=100)
    p, _ = plain()
    for held, kind in (
        (p, BatchKernelStep),
        (copied(p, torch.float64), AutogradStep),
        (Parameters.of({name: value.to("meta") for name, value in p.named().items()}), AutogradStep),
    ):
        run = make_stepper(config, TrainingState.fresh(held, config.kind.buffers), n_steps=9)
        assert type(run) is kind
