"""Dictionaries' steps that a GPU takes on its own, on CPU and fake CUDA tensors: the same, without waiting."""
# pyright: reportMissingImports=false

import math
import threading
from typing import Any

import numpy as np
import pytest
import torch
from counted import Counted
from device_dictionaries import D_IN, D_SAE, OWN, ROWS, SIZE, K, config, cost, dense_gradients, fake_steps, parameters
from fake_gpu import Unguarded
from torch._subclasses.fake_tensor import FakeTensorMode

from universality.sae import device_steps, seed_group, training_loop
from universality.sae.autograd_step import AutogradStep, Batch, Rates, update
from universality.sae.device_kernels import triton_on
from universality.sae.device_steps import DeviceSteps
from universality.sae.device_stream import DeviceStream, HostBatches
from universality.sae.sparse_code import sparse_code
from universality.sae.stream import RowStream
from universality.sae.training import train_sae, train_saes
from universality.sae.training_state import TrainingState


def device_steps_of(name="topk", seeds=None, **changes):
    own = config(name, **changes)
    p = parameters(name, seeds)
    return DeviceSteps(own, TrainingState.fresh(p, own.kind.buffers), lambda step: 2e-3)


def batches(own):
    return HostBatches(RowStream(ROWS, own.batch_rows, 1), torch.device("cpu"))


@pytest.fixture
def on_its_own(monkeypatch):
    """Trainings take the steps of a GPU, and its rows."""
    monkeypatch.setattr(training_loop, "runs_batched", lambda config, device: True)
    monkeypatch.setattr(training_loop, "batches", DeviceStream)


def everything(result):
    tensors = {**result.sae.to_tensors()[1], **result.history, "cosine": result.init_cosine}
    return {name: value.tobytes() for name, value in tensors.items()}


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_tritons_kernels_are_right_on_this_card():
    kernels, reason = triton_on(torch.device("cuda"))
    assert reason is None
    assert kernels is not None, "torch with CUDA brings Triton"


@pytest.mark.parametrize("name", OWN)
def test_a_step_is_the_step_of_the_host(name):
    """The first ones, in which rounding has not yet chosen other latents: weights, moments, silence and buffers."""
    ours = device_steps_of(name)
    host = AutogradStep(
        ours.config, TrainingState.fresh(parameters(name), ours.config.kind.buffers), ours.config.n_steps
    )
    dead = torch.tensor([3, 17, 18, 50])
    ours.state.silent[dead] = host.state.silent[dead] = 10_000
    for t in range(4):
        x = torch.from_numpy(np.ascontiguousarray(ROWS[t * SIZE : (t + 1) * SIZE]))
        ours.fit_slots([4])
        look = ours.run(HostBatches(RowStream(ROWS, SIZE, 1), torch.device("cpu")), t, 0, 1.0)  # nothing but settings
        ours._load(t)
        ours._x.copy_(x)
        ours.step()
        now = torch.nonzero(host.state.silent >= 400).flatten()
        outcome = host.step(x, now, Rates(2e-3, *ours.config.betas, ours.config.eps, t + 1))
        loss, fvu, l0 = ours._told[0].tolist()
        assert (loss, fvu, l0) == pytest.approx((outcome.loss, outcome.fvu, outcome.l0), rel=1e-3)
        assert look.loss == []
    for key, value in host.state.named().items():
        found = ours.state.named()[key]
        if key == "silent":
            assert float((found == value).float().mean()) > 0.95
            continue
        torch.testing.assert_close(found, value, rtol=1e-2, atol=2e-4, msg=key)


@pytest.mark.parametrize("stop", [7, 50, 100, 200])
@pytest.mark.parametrize("name", ["topk", "relu_2023", "matryoshka"])
def test_resumed_it_ends_with_the_same_bytes(on_its_own, name, stop):
    more: Any = {"resample_at": [0.3]} if name == "relu_2023" else {"dead_after": 200}
    own, states = config(name, **more), []
    whole = train_sae(ROWS, own, sae_seed=1)
    train_sae(ROWS, own, sae_seed=1, on_state=lambda *state: states.append(state), state_every=stop)
    arrays, meta = states[0]
    assert meta["step"] == stop
    assert everything(train_sae(ROWS, own, sae_seed=1, state=(arrays, meta))) == everything(whole)


def test_an_interrupt_at_any_look_loses_nothing(on_its_own):
    own, states = config(dead_after=200), []
    whole = train_saes(ROWS, own, sae_seeds=[1, 2], order_seed=0)

    def progress(done, total, **facts):
        if done >= 100 * SIZE:
            raise InterruptedError

    options: dict[str, Any] = {"sae_seeds": [1, 2], "order_seed": 0}
    with pytest.raises(InterruptedError):
        train_saes(ROWS, own, **options, progress=progress, on_state=lambda *state: states.append(state))
    assert states[-1][1]["step"] == 100
    for one, other in zip(whole, train_saes(ROWS, own, **options, state=states[-1]), strict=True):
        assert everything(one) == everything(other)


def test_every_step_has_the_gradient_of_all_its_dead_latents(monkeypatch, on_its_own):
    """However few slots the auxiliary loss begins with."""
    monkeypatch.setattr(device_steps, "FEWEST_SLOTS", 1)
    looks, run = [], DeviceSteps.run

    def noted(self, rows, first, count, scale):
        slots = self.slots
        look = run(self, rows, first, count, scale)
        looks.append((first, len(look.loss), count, slots, max(look.dead)))
        return look

    monkeypatch.setattr(DeviceSteps, "run", noted)
    own, found = config(steps=120, dead_after=100, lr=1e-2, encoder_norm=1.0, loss="fvu"), {}  # many die
    for share in (10**6, 1):
        monkeypatch.setattr(device_steps, "SLOT_SHARE", share)  # pieces of one slot, or all latents at once
        looks.clear()
        found[share] = train_sae(ROWS, own, sae_seed=3)
        short = [look for look in looks if look[1] < look[2]]
        assert short, "more latents died than it looked at"
        for first, taken, _, slots, dead in short:
            assert dead > slots
            assert any(look[0] == first + taken for look in looks), "what was not taken was taken next"
        assert sum(look[1] for look in looks) == 120
    assert max(look[4] for look in looks) > 10
    a, b = (found[share].history["loss"] for share in found)
    np.testing.assert_allclose(a[:40], b[:40], rtol=1e-3)
    np.testing.assert_allclose(a, b, rtol=0.1)
    without = train_sae(ROWS, own.model_copy(update={"aux_k": 0}), sae_seed=3).history["loss"]
    assert abs(without[-1] / a[-1] - 1) > 1e-3


def test_slots_follow_the_dead_and_are_part_of_the_state(on_its_own):
    own, states = config(steps=260, dead_after=100, lr=1e-2), []
    train_sae(ROWS, own, sae_seed=1, on_state=lambda *state: states.append(state), state_every=50)
    seen = [(meta["step"], meta["slots"]) for _, meta in states]
    assert [step for step, _ in seen] == [50, 100, 150, 200, 250]
    assert {slots for _, slots in seen} <= {0, 64, D_SAE}  # 64 are the fewest there are
    assert max(seen)[1] > 0
    steps = device_steps_of(d_sae=70)
    for dead, slots in ((0, 0), (1, 64), (64, 64), (65, 70)):
        steps.fit_slots([0, dead])
        assert steps.slots == slots
    steps = device_steps_of("relu")
    steps.fit_slots([50])
    assert steps.slots == 0


@pytest.mark.parametrize("seeds", [None, 3])
@pytest.mark.parametrize("name", OWN)
def test_no_operation_of_a_step_waits_for_the_host(name, seeds):
    steps = device_steps_of(name, seeds)
    steps._load(0)
    steps.fit_slots([9])
    with Counted() as counted:
        steps.step()
    assert counted.kernels > 20
    assert not counted.waits


def test_the_steps_of_the_host_do_wait():
    host = AutogradStep(config(), TrainingState.fresh(parameters("topk"), {}), 100)
    with Counted() as counted:
        host.step(torch.from_numpy(ROWS[:64].copy()), torch.tensor([1]), Rates(1e-3, 0.9, 0.99, 1e-8, 1))
    assert counted.waits


def test_it_is_read_once_in_fifty_steps(monkeypatch, on_its_own):
    read = []

    def counted(name, real):
        def read_by(tensor, *args):
            if threading.current_thread() is threading.main_thread():
                read.append(name)
            return real(tensor, *args)

        return read_by

    for name in ("tolist", "item", "cpu", "numpy", "__float__", "__bool__", "__int__", "nonzero"):
        monkeypatch.setattr(torch.Tensor, name, counted(name, getattr(torch.Tensor, name)))
    own = config(aux_k=0)
    steps = DeviceSteps(own, TrainingState.fresh(parameters("topk"), {}), lambda step: 1e-3)
    rows = DeviceStream(RowStream(ROWS, SIZE, 1), torch.device("cpu"), 10**6)
    rows.batch(0, SIZE)
    read.clear()
    for first in (0, 50, 100):
        steps.run(rows, first, 50, 1.0)
    rows.close()
    assert read == ["tolist"] * 3


@pytest.mark.parametrize("seeds", [None, 2])
@pytest.mark.parametrize("name", OWN)
def test_what_diverges_changes_no_more_however_late_the_host_looks(name, seeds):
    steps = device_steps_of(name, seeds, dead_after=10**6)
    broken = (Ellipsis,) if seeds is None else (1, Ellipsis)
    steps.state.p.b_dec[broken] = math.nan
    before = {key: value.clone() for key, value in steps.state.named().items()}
    look = steps.run(batches(steps.config), 0, 30, 1.0)
    assert [math.isfinite(step[-1]) for step in look.loss] == [False] * 30
    for key, value in steps.state.named().items():
        torch.testing.assert_close(value[broken], before[key][broken], rtol=0, atol=0, equal_nan=True)
    if seeds:
        assert np.isfinite([step[0] for step in look.loss]).all()
        assert not torch.equal(steps.state.p.W_dec[0], before["weight/W_dec"][0])
        assert steps.stopped.tolist() == [False, True]


def test_a_training_that_diverges_ends_at_the_look_with_the_weights_before(on_its_own):
    states = []
    rows = ROWS.copy()
    rows[:] *= 1e20
    options: dict[str, Any] = {"on_state": lambda *state: states.append(state), "state_every": 50}
    result = train_sae(rows, config(normalise=False), sae_seed=1, **options)
    assert result.status == "diverged"
    assert result.tokens == 0
    assert not states
    assert torch.isfinite(result.sae.W_dec).all()


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("seeds", [None, 3])
@pytest.mark.parametrize("name", OWN)
def test_a_step_stays_on_a_fake_gpu(monkeypatch, name, seeds, precision):
    """Every operation but those of autograd, which needs CUDA even for fake tensors."""
    devices = set()

    def fused(*lists, lr, found_inf, **_):  # has no kernel for fake tensors
        devices.update(tensor.device.type for part in lists for tensor in part)
        devices.update([lr.device.type, found_inf.device.type])

    monkeypatch.setattr(torch.cuda, "graph_pool_handle", lambda: None)
    monkeypatch.setattr(torch.autograd, "grad", lambda loss, leaves: [torch.empty_like(leaf) for leaf in leaves])
    monkeypatch.setattr(torch.ops.aten._fused_adam_, "tensor_lr", fused)
    with FakeTensorMode(), Unguarded(), torch.no_grad():
        steps = fake_steps(name, precision, seeds)
        steps.slots = 20 if steps._revives else 0
        with Counted() as counted:
            for _ in range(2):
                steps.step()
        state = steps.state.named()
    assert not counted.waits
    assert devices == {"cuda"}
    assert {value.device.type for value in [*state.values(), steps._told, steps.stopped]} == {"cuda"}


class OnGPU(DeviceSteps):
    """Passes for one on a GPU, whose graphs are made by a function of ours."""

    def __init__(self, *args, **options):
        super().__init__(*args, **options)
        self._captures = True


@pytest.fixture
def captures(monkeypatch, on_its_own):
    monkeypatch.setattr(seed_group, "DeviceSteps", OnGPU)
    return lambda captured: monkeypatch.setattr(device_steps, "captured", captured)


@pytest.mark.parametrize("name", ["topk", "batch_topk", "gated"])
def test_warming_up_changes_nothing_that_is_trained(monkeypatch, captures, name):
    own, made = config(name, dead_after=200), []
    captures(lambda work, pool: work)
    plain = train_saes(ROWS, own, sae_seeds=[1, 2], order_seed=0)

    def captured(work, pool):
        made.append(1)
        for _ in range(3):
            work()
        return work

    captures(captured)
    found = train_saes(ROWS, own, sae_seeds=[1, 2], order_seed=0)
    for one, other in zip(plain, found, strict=True):
        assert not one.warnings
        assert everything(one) == everything(other)
    assert len(made) == (1 if name == "gated" else 2), "a graph for each number of slots"


def test_where_no_graph_can_be_made_it_trains_without_and_says_so_once(captures):
    captures(lambda work, pool: work)
    plain = train_sae(ROWS, config(dead_after=200), sae_seed=1)

    def captured(work, pool):
        work()
        raise RuntimeError("operation not permitted when stream is capturing\nand more")

    captures(captured)
    result = train_sae(ROWS, config(dead_after=200), sae_seed=1)
    assert result.warnings == (
        "The dictionary's step could not be captured as a CUDA graph and runs without: RuntimeError: operation not "
        "permitted when stream is capturing",
    )
    assert everything(result) == everything(plain)


@pytest.mark.parametrize("seeds", [None, 3])
def test_gradients_by_latent_are_those_of_the_dense_formula_and_never_dense(seeds):
    x, p = torch.from_numpy(ROWS[:SIZE].copy()), parameters("topk", seeds)
    p.b_enc.sub_(1.5)  # many rows have fewer than k active latents, some latents none
    own = config(aux_k=0, loss="fvu")
    leaves = {name: value.requires_grad_() for name, value in p.named().items()}
    loss = own.kind.losses(leaves, Batch(own, x, None, 0.0))
    assert (loss.values == 0).any()
    spread = (x - x.mean(0)).square().sum()
    sizes = []

    class Sizes(Counted):
        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            out = super().__torch_dispatch__(function, types, args, kwargs)
            sizes.append(out.numel() if isinstance(out, torch.Tensor) else 0)
            return out

    with Sizes():
        grads = torch.autograd.grad(loss.loss.sum() * spread, list(leaves.values()))
    assert max(sizes) < (seeds or 1) * SIZE * D_SAE
    for (name, expected), found in zip(dense_gradients(x, p, K).items(), grads, strict=True):
        assert expected is not None
        scale = float(expected.abs().max())
        torch.testing.assert_close(found.double(), expected, rtol=1e-4, atol=1e-5 * scale, msg=name)


def test_rows_get_no_gradient():
    rows = torch.ones(2, D_IN, requires_grad=True)
    p = parameters("topk")
    code = sparse_code(rows, rows.detach() @ p.W_enc_rows.T, p.W_enc_rows, p.b_enc.requires_grad_(), p.W_dec, 3)
    with pytest.raises(RuntimeError, match="not have been used"):
        torch.autograd.grad(code.recon.sum(), [rows])
    assert not code.values.requires_grad


@pytest.mark.parametrize("name", ["topk", "batch_topk"])
@pytest.mark.parametrize("seeds", [None, 3])
def test_few_slots_have_the_auxiliary_gradient_of_all(name, seeds):
    x, p = torch.from_numpy(ROWS[:SIZE].copy()), parameters(name, seeds)
    dead = torch.zeros(p.b_enc.shape, dtype=torch.bool)
    dead[..., [1, 5, 30, 31, 32, 44, 66, 69]] = True
    if seeds:
        dead[1] = False
        dead[2, 40:45] = True
    found = []
    for slots in (None, 16):
        leaves = {key: value.clone().requires_grad_() for key, value in p.named().items()}
        own = config(name)  # six of the dead may fire
        losses = own.kind.losses(leaves, Batch(own, x, dead, 0.0, slots))
        found.append([losses.loss.detach(), *torch.autograd.grad(losses.loss.sum(), list(leaves.values()))])
    for few, every in zip(*found, strict=True):
        torch.testing.assert_close(few, every, rtol=1e-4, atol=1e-6)
    own = config(name, aux_k=0)
    without = own.kind.losses(p.named(), Batch(own, x, dead, 0.0)).loss
    assert (found[0][0] - without > 1e-3).tolist() in (True, [True, False, True])


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("d_sae", [4096, 16_384])
def test_a_tenth_of_the_latents_dead_moves_at_most_1_3_times_as_much(d_sae, precision, monkeypatch):
    monkeypatch.setattr(torch.ops.aten._fused_adam_, "tensor_lr", lambda *lists, **options: None)
    (none, products), (tenth, more) = (cost(d_sae, precision, dead) for dead in (0, d_sae // 10))
    assert not none.waits
    assert not tenth.waits
    assert none.kernels < 100
    assert tenth.kernels < 150
    assert tenth.moved < 1.3 * none.moved
    # Five products over the slots beside the one over all latents.
    assert products == pytest.approx(2 * 4096 * 512 * d_sae, rel=0.01)
    assert more < 1.6 * products


def test_adam_of_torch_is_ours():
    p, x = parameters("topk"), torch.Generator().manual_seed(0)
    grads = {name: torch.randn(value.shape, generator=x) for name, value in p.named().items()}
    steps = device_steps_of()
    ours = TrainingState.fresh(parameters("topk"), {})
    for t in (1, 2, 3):
        rates = Rates(2e-3, *steps.config.betas, steps.config.eps, t)
        update(ours.p.named(), ours.m.named(), ours.v.named(), grads, rates.moving, rates.constants, True)
        steps._t.fill_(t)
        steps._lr.fill_(2e-3)
        steps._apply(grads, torch.tensor(False))
    for key, value in ours.named().items():
        torch.testing.assert_close(steps.state.named()[key], value, rtol=1e-5, atol=1e-7, msg=key)
