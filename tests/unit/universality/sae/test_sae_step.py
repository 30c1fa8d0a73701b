"""The sparse step: its gradients, its optimiser and its auxiliary loss equal those of the dense reference."""

import numpy as np
import pytest
import torch
from dense_topk import DenseTopK, planted_rows
from torch._subclasses.fake_tensor import FakeTensorMode

from universality.sae.autograd_step import AutogradStep, Rates
from universality.sae.sae_config import SAETrainingConfig
from universality.sae.topk_kernel_step import TopKKernelStep
from universality.sae.training_state import Parameters, TrainingState

D_IN, D_SAE, K = 24, 70, 5


def parameters(seed, device="cpu"):
    rng = np.random.default_rng(seed)
    W_dec = rng.standard_normal((D_SAE, D_IN)).astype(np.float32)
    W_dec /= np.linalg.norm(W_dec, axis=1, keepdims=True)
    held = {
        "W_enc_rows": (W_dec + 0.1 * rng.standard_normal(W_dec.shape)).astype(np.float32),
        "W_dec": W_dec,
        "b_enc": (0.1 * rng.standard_normal(D_SAE)).astype(np.float32),
        "b_dec": (0.1 * rng.standard_normal(D_IN)).astype(np.float32),
    }
    return Parameters(**{name: torch.from_numpy(value).to(device) for name, value in held.items()})


def stepper(kind, p, aux_k=0, coefficient=0.0, loss="root_fvu", **more):
    options = {"aux_k": aux_k, "aux_coefficient": coefficient, "loss": loss}
    config = SAETrainingConfig(d_sae=D_SAE, k=K, tokens=100, **options)
    return kind(config, TrainingState.fresh(p, config.kind.buffers), n_steps=100, **more)


def reference(p, loss="root_fvu"):
    dense = DenseTopK(D_IN, D_SAE, K, root=loss == "root_fvu")
    with torch.no_grad():
        dense.W_enc.copy_(p.W_enc_rows.T)
        for name in ("W_dec", "b_enc", "b_dec"):
            getattr(dense, name).copy_(getattr(p, name))
    return dense


def reference_gradients(p, x, dead, aux_k, coefficient, minimised):
    dense = reference(p, minimised)
    loss = dense.loss(x, dead=dead, aux_k=aux_k, coefficient=coefficient)
    loss.backward()
    grads = {
        "W_enc_rows": dense.W_enc.grad.T,
        "W_dec": dense.W_dec.grad - (dense.W_dec.grad * dense.W_dec).sum(1, keepdim=True) * dense.W_dec,
        "b_enc": dense.b_enc.grad,
        "b_dec": dense.b_dec.grad,
    }
    return float(loss.detach()), {name: value.detach() for name, value in grads.items()}


DEAD = torch.tensor([0, 3, 4, 17, 40, 69])


@pytest.mark.parametrize("kind", [TopKKernelStep, AutogradStep])
@pytest.mark.parametrize("minimised", ["fvu", "root_fvu"])
@pytest.mark.parametrize(
    ("dead", "aux_k", "coefficient"),
    [
        (DEAD[:0], 0, 0.0),
        (DEAD, 1, 0.5),  # many dead latents per slot: sparse
        (DEAD, 3, 0.5),  # few: dense
        (DEAD, 50, 1 / 32),
        (torch.arange(D_SAE), 7, 0.25),
        (DEAD[:0], 3, 0.5),
    ],
)
def test_gradients_equal_the_dense_reference(kind, minimised, dead, aux_k, coefficient):
    p = parameters(1)
    x = torch.from_numpy(planted_rows(200, D_IN, 50, 4, seed=2))
    loss, grads = reference_gradients(p, x, dead, aux_k, coefficient, minimised)
    run = stepper(kind, p, aux_k, coefficient, minimised)
    # Adam's first moment after one step from zero is (1 - beta1) times the gradient.
    outcome = run.step(x, dead, Rates(lr=1e-3, beta1=0.5, beta2=0.9, eps=1e-8, t=1))
    assert outcome.loss == pytest.approx(loss, rel=1e-5)
    for name, expected in grads.items():
        found = run.state.m.named()[name] * 2
        scale = float(expected.abs().max())
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5 * scale, msg=name)


@pytest.mark.parametrize("kind", [TopKKernelStep, AutogradStep])
@pytest.mark.parametrize("spread", [0.0, 1.0])
def test_rows_that_are_explained_to_the_last_digit_move_nothing(kind, spread):
    p = parameters(1)
    p.b_dec.zero_()
    p.b_enc.fill_(-1e3)  # nothing fires, so rows of zeros are all that is explained
    before = p.W_dec.clone()
    x = torch.zeros(64, D_IN)
    x[0, 0] = spread
    run = stepper(kind, p, 3, 0.5)
    outcome = run.step(x, DEAD[:0], Rates(1e-3, 0.9, 0.99, 1e-8, 1))
    assert np.isfinite(outcome.loss)
    torch.testing.assert_close(p.W_dec, before)
    assert all(bool(value.isfinite().all()) for value in p.named().values())
    assert bool((p.b_dec != 0).any()) == bool(spread)


@pytest.mark.parametrize("kind", [TopKKernelStep, AutogradStep])
def test_many_steps_follow_the_dense_reference(kind):
    p = parameters(3)
    dense = reference(p)
    optimizer = torch.optim.Adam(dense.parameters(), lr=2e-3, betas=(0.9, 0.99), eps=1e-8)
    run = stepper(kind, p, 4, 1 / 32)
    for t in range(1, 16):
        x = torch.from_numpy(planted_rows(64, D_IN, 50, 4, seed=100 + t))
        expected = dense.step(x, optimizer, dead=DEAD, aux_k=4, coefficient=1 / 32)
        outcome = run.step(x, DEAD, Rates(2e-3, 0.9, 0.99, 1e-8, t))
        assert outcome.loss == pytest.approx(expected, rel=2e-3)
    torch.testing.assert_close(p.W_dec, dense.W_dec.detach(), rtol=0, atol=5e-3)
    torch.testing.assert_close(p.W_dec.norm(dim=1), torch.ones(D_SAE), rtol=0, atol=1e-5)


def test_threads_tiles_and_batches_share_the_work_without_changing_it(monkeypatch):
    from universality.sae import topk_kernel_step as step

    x = torch.from_numpy(planted_rows(500, D_IN, 50, 4, seed=5))
    outcomes = []
    monkeypatch.setattr(step, "WORTH_SHARING", 0)
    for threads, tile in ((1, step.TILE_BYTES), (3, step.TILE_BYTES), (1, 1)):
        monkeypatch.setattr(step, "TILE_BYTES", tile)
        p = parameters(4)
        run = stepper(TopKKernelStep, p, 3, 0.25, threads=threads)
        run.step(x, DEAD, Rates(1e-3, 0.9, 0.99, 1e-8, 1))
        run.close()
        outcomes.append(p)
    for name, value in outcomes[0].named().items():
        assert torch.equal(value, outcomes[1].named()[name])
        torch.testing.assert_close(value, outcomes[2].named()[name], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", [TopKKernelStep, AutogradStep])
def test_a_loss_that_is_not_finite_changes_nothing(kind):
    p = parameters(6)
    before = {name: value.clone() for name, value in p.named().items()}
    x = torch.from_numpy(planted_rows(32, D_IN, 50, 4, seed=7))
    x[3, 2] = float("inf")
    run = stepper(kind, p)
    assert not np.isfinite(run.step(x, DEAD[:0], Rates(1e-3, 0.9, 0.99, 1e-8, 1)).loss)
    assert all(torch.equal(value, before[name]) for name, value in p.named().items())
    assert (run.state.silent == 0).all()


@pytest.mark.parametrize("kind", [TopKKernelStep, AutogradStep])
def test_silence_counts_rows_since_a_latent_fired(kind):
    p = parameters(8)
    p.b_enc[:35] = -1e6
    run = stepper(kind, p)
    for t in (1, 2):
        x = torch.from_numpy(planted_rows(32, D_IN, 50, 4, seed=t))
        run.step(x, DEAD[:0], Rates(0.0, 0.9, 0.99, 1e-8, t))
    assert (run.state.silent[:35] == 64).all()
    fired = (torch.relu((x - p.b_dec) @ p.W_enc_rows.T + p.b_enc).topk(K, dim=1).indices).unique()
    assert (run.state.silent[fired] == 0).all()


def test_loss_gradients_and_adam_stay_on_the_meta_device():
    p = parameters(9, device="meta")
    run = stepper(AutogradStep, p, 3, 0.5)
    leaves = {name: value.detach().requires_grad_() for name, value in p.named().items()}
    x = torch.empty(16, D_IN, device="meta")
    loss, *_ = run.losses(leaves, x, torch.ones(D_SAE, dtype=torch.bool, device="meta"))
    grads = torch.autograd.grad(loss, list(leaves.values()))
    run.apply(dict(zip(leaves, grads, strict=True)), Rates(1e-3, 0.9, 0.99, 1e-8, 1))
    assert all(value.device.type == "meta" for value in p.named().values())


def test_losses_and_adam_stay_on_a_fake_gpu():
    # Autograd on fake CUDA tensors needs CUDA; the meta device above covers the backward pass.
    with FakeTensorMode(), torch.no_grad():
        p = Parameters(
            W_enc_rows=torch.empty(D_SAE, D_IN, device="cuda"),
            W_dec=torch.empty(D_SAE, D_IN, device="cuda"),
            b_enc=torch.empty(D_SAE, device="cuda"),
            b_dec=torch.empty(D_IN, device="cuda"),
        )
        run = stepper(AutogradStep, p, 3, 0.5)
        dead = torch.ones(D_SAE, dtype=torch.bool, device="cuda")
        found = run.losses(p.named(), torch.empty(16, D_IN, device="cuda"), dead)
        assert {part.device.type for part in found} == {"cuda"}
        run.apply(p.zeros_like().named(), Rates(1e-3, 0.9, 0.99, 1e-8, 1))
