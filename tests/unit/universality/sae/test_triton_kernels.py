"""Triton's kernels on the CPU by its interpreter, compiled for cards that are not there, and counted."""
# pyright: reportMissingImports=false

import importlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from counted import Counted
from device_dictionaries import OWN, ROWS, SIZE, K, config, cost, dense_gradients, parameters
from torch._subclasses.fake_tensor import FakeTensorMode

import universality.sae
from universality.sae import device_kernels, device_steps, sparse_code
from universality.sae.autograd_step import Batch
from universality.sae.device_kernels import check, triton_on
from universality.sae.device_steps import DeviceSteps
from universality.sae.training_state import TrainingState

CPU = torch.device("cpu")
OWN_FOLDER = Path(sys.prefix) / "triton"
NAME = "universality.sae.triton_kernels"


@pytest.fixture(scope="module")
def kernels():
    """The module, its kernels interpreted: Triton decides that when they are read."""
    path = list(sys.path)
    sys.path.append(str(OWN_FOLDER))
    before = os.environ.get("TRITON_INTERPRET")
    os.environ["TRITON_INTERPRET"] = "1"
    try:
        pytest.importorskip("triton", reason="Triton is not installed: make triton")
        yield importlib.import_module(NAME)
    finally:
        sys.modules.pop(NAME, None)
        universality.sae.__dict__.pop("triton_kernels", None)
        sys.path[:] = path
        os.environ.pop("TRITON_INTERPRET")
        if before is not None:
            os.environ["TRITON_INTERPRET"] = before


@pytest.fixture
def taken(kernels, monkeypatch):
    """Steps on the CPU take them."""
    monkeypatch.setattr(sparse_code, "kernels_for", lambda weights: kernels)
    monkeypatch.setattr(device_steps, "fused_for", lambda weights: (kernels, None))


def test_each_gives_what_plain_operations_give(kernels):
    check(kernels, CPU)


@pytest.mark.parametrize("name", ["select", "decode", "gradients", "update_units"])
def test_one_that_is_wrong_is_not_used_and_that_is_said(kernels, monkeypatch, name):
    real = getattr(kernels, name)

    def wrong(*args):
        given = real(*args)
        changed = args[0] if given is None else given if isinstance(given, torch.Tensor) else given[0]
        changed.mul_(1.01)
        return given

    monkeypatch.setattr(kernels, name, wrong)
    monkeypatch.setitem(sys.modules, NAME, kernels)
    triton_on.cache_clear()
    used, reason = triton_on(CPU)
    triton_on.cache_clear()
    assert used is None
    assert reason is not None
    assert reason.startswith(f"Triton's kernels are not used here, torch's are: ArithmeticError: {name} is off by ")


def test_without_triton_torch_is_used_without_a_word(monkeypatch):
    monkeypatch.setitem(sys.modules, NAME, None)
    monkeypatch.delattr(universality.sae, "triton_kernels", raising=False)
    triton_on.cache_clear()
    assert triton_on(CPU) == (None, None)
    triton_on.cache_clear()


def test_tensors_without_memory_take_none(monkeypatch):
    monkeypatch.setattr(device_kernels, "triton_on", lambda device: pytest.fail("they are tried on fake tensors"))
    with FakeTensorMode():
        assert device_kernels.fused_for(torch.empty(4, 8, device="cuda")) == (None, None)
    assert device_kernels.fused_for(torch.ones(4, 8)) == (None, None)


@pytest.mark.parametrize("width", [9, 64, 65, 200])
def test_the_largest_of_rows_in_one_part_and_in_several(kernels, monkeypatch, width):
    monkeypatch.setattr(kernels, "WIDEST", 64)
    pre = torch.randn(2, 4, width, generator=torch.Generator().manual_seed(width)) - 0.5
    pre[0, 0, ::3] = 1.25  # more ties than places
    pre[0, 1] = -1.0  # none
    pre[0, 2] = -1.0
    pre[0, 2, -1] = 1e-42  # one, and what float32 barely holds
    pre[0, 3, 4] = torch.inf
    values, indices = kernels.select(pre, 9)
    right = pre.relu().sort(dim=-1, descending=True, stable=True)
    for row, at, top, names in zip(
        values.view(-1, 9),
        indices.view(-1, 9),
        right.values.view(-1, width),
        right.indices.view(-1, width),
        strict=True,
    ):
        n = int((top[:9] > 0).sum())
        assert sorted(names[:n].tolist()) == at[:n].tolist(), "rising, ties to the lower index"
        torch.testing.assert_close(row[:n], top[: len(row)][:n][names[:n].argsort()], rtol=0, atol=0)
        assert not row[n:].any()
        assert not at[n:].any()


@pytest.mark.parametrize("sign", [1, -1])
def test_what_is_not_a_number_is_selected_whatever_its_sign(kernels, sign):
    pre = torch.ones(1, 20)
    pre[0, 13] = torch.tensor(float("nan")).copysign(torch.tensor(float(sign)))
    assert torch.isnan(kernels.select(pre, 3)[0]).any()


@pytest.mark.parametrize("seeds", [None, 3])
def test_gradients_are_those_of_the_dense_formula(taken, seeds):
    x, p = torch.from_numpy(ROWS[:SIZE].copy()), parameters("topk", seeds)
    p.b_enc.sub_(1.5)  # many rows have fewer than k active latents, some latents none
    own = config(aux_k=0, loss="fvu")
    leaves = {name: value.requires_grad_() for name, value in p.named().items()}
    loss = own.kind.losses(leaves, Batch(own, x, None, 0.0))
    assert (loss.values == 0).any()
    spread = (x - x.mean(0)).square().sum()
    grads = torch.autograd.grad(loss.loss.sum() * spread, list(leaves.values()))
    for (name, expected), found in zip(dense_gradients(x, p, K).items(), grads, strict=True):
        assert expected is not None
        torch.testing.assert_close(
            found.double(), expected, rtol=1e-4, atol=1e-5 * float(expected.abs().max()), msg=name
        )


def steps_of(seeds, number=2, size=24):
    """The first steps of a training with some dead latents, the second of several seeds broken; state and losses."""
    own = config(dead_after=400, batch_rows=size)
    steps = DeviceSteps(own, TrainingState.fresh(parameters("topk", seeds), {}), lambda step: 2e-3)
    steps.state.silent[..., [3, 17, 18, 50]] = 10_000
    if seeds:
        steps.state.p.b_dec[1] = float("nan")
    steps.fit_slots([4])
    steps._load(0)
    for t in range(number):
        steps._x.copy_(torch.from_numpy(ROWS[t * size : (t + 1) * size].copy()))
        steps.step()
    return steps.state.named(), steps._told[:number], steps.stopped


@pytest.mark.parametrize("seeds", [None, 2])
def test_steps_are_those_of_torch_and_repeat_to_the_same_bytes(request, seeds):
    plain, told, stopped = steps_of(seeds)
    request.getfixturevalue("taken")
    (found, ours, held), (again, *_) = steps_of(seeds), steps_of(seeds)
    torch.testing.assert_close(ours, told, rtol=1e-5, atol=1e-6, equal_nan=True)
    assert torch.equal(held, stopped)
    for name, value in plain.items():
        torch.testing.assert_close(found[name], value, rtol=1e-3, atol=2e-5, equal_nan=True, msg=name)
        assert again[name].numpy().tobytes() == found[name].numpy().tobytes()
    norms = found["weight/W_dec"].norm(dim=-1)
    torch.testing.assert_close(norms, torch.ones_like(norms))
    assert OWN["topk"]["aux_coefficient"] > 0, "with the loss of dead latents"


COMPILED = """
import re, subprocess, sys
from pathlib import Path
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from universality.sae import triton_kernels as kernels

ptxas = next((Path(triton.__file__).parent / "backends/nvidia/bin").glob("ptxas*"))
TYPES = {"d_sae": "i32", "d_in": "i32", "k": "i32", "latents": "i32", "first": "*i32", "held": "*i32"}
TYPES |= dict.fromkeys(["indices", "table", "order"], "*i64")
TYPES |= {"rows_each": "i32", "pre": "*bf16", "few": "*bf16", "rows": "*bf16", "W_dec": "*bf16"}
TYPES |= dict.fromkeys(["beta1", "rest1", "beta2", "rest2", "eps"], "fp32")
SIZES = {
    "_select": {"BIASED": True, "BLOCK": 8192, "K": 64},
    "_decode": {"PART": 1024},
    "_slopes": {"BLOCK": 4096},
    "_by_latent": {"PART": kernels.PART, "AT_ONCE": kernels.AT_ONCE},
    "_update_units": {"BLOCK": 4096},
}
for name, sizes in SIZES.items():
    kernel = getattr(kernels, name)
    types = {n: "constexpr" if n in sizes else TYPES.get(n, "*fp32") for n in kernel.arg_names}
    source = ASTSource(kernel, types, constexprs=sizes)
    options = kernels.warps(sizes.get("BLOCK", 0))
    ptx = triton.compile(source, target=GPUTarget("cuda", 90, 32), options=options).asm["ptx"]
    Path(sys.argv[1]).write_text(ptx)
    assembly = [ptxas, "-v", "--gpu-name=sm_90a", sys.argv[1], "-o", "/dev/null"]
    said = subprocess.run(assembly, capture_output=True, text=True)
    assert said.returncode == 0, said.stderr
    print(name, *re.findall(r"(\\d+) bytes spill stores", said.stderr))
"""


def test_they_compile_for_a_card_and_keep_what_they_hold_in_registers(kernels, tmp_path):
    environment = {**os.environ, "TRITON_CACHE_DIR": str(tmp_path)}
    environment.pop("TRITON_INTERPRET")
    environment["PYTHONPATH"] = os.pathsep.join([p for p in sys.path if p])
    ran = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", COMPILED, str(tmp_path / "kernel.ptx")],
        env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    names = ["_select", "_decode", "_slopes", "_by_latent", "_update_units"]
    assert ran.stdout.split() == [part for name in names for part in (name, "0")]


GATHERED = {"_decode": 1, "_slopes": 1, "_by_latent": 2}
"""Tables of which a kernel reads a row for every active latent of every row."""


class Launches:
    """Stands for a kernel on tensors without memory, and counts as :class:`Counted` does."""

    def __init__(self, counted, gathered, d_in):
        self.counted, self.gathered, self.d_in = counted, gathered, d_in

    def __getitem__(self, grid):
        def launch(*args: Any, **options):
            tensors = [t for t in args if isinstance(t, torch.Tensor)]
            self.counted.kernels += 1
            self.counted.moved += sum(t.numel() * t.element_size() for t in tensors)
            if self.gathered:
                slots = next(t.numel() for t in tensors if t.dtype == torch.int64)
                self.counted.moved += self.gathered * slots * self.d_in * 2

        return launch


def dense_cost(d_in, d_sae):
    """Bytes of a step of k 32 on 4,096 rows as anyone would write it under autocast, its Adam included."""
    with FakeTensorMode():
        empty = [torch.empty(shape) for shape in ((d_in, d_sae), (d_sae, d_in), (d_sae,), (d_in,))]
        W_enc, W_dec, b_enc, b_dec = (torch.nn.Parameter(value) for value in empty)
        x = torch.empty(4096, d_in)
        with Counted() as counted:
            with torch.autocast("cpu", torch.bfloat16):
                acts = torch.relu((x - b_dec) @ W_enc + b_enc)
                values, at = acts.topk(32, dim=-1, sorted=False)
                recon = torch.zeros_like(acts).scatter(-1, at, values) @ W_dec + b_dec
                loss = (recon - x).float().square().sum(-1).mean()
            loss.backward()
            with torch.no_grad():
                W_dec.div_(W_dec.norm(dim=1, keepdim=True))
    return counted.moved + 7 * 4 * 2 * d_sae * d_in


@pytest.fixture
def counted_step(kernels, monkeypatch):
    """Operations and bytes of a step by these kernels."""
    monkeypatch.setattr(torch.ops.aten._fused_adam_, "tensor_lr", lambda *lists, **options: None)

    def count(d_in, d_sae, precision="bfloat16", dead=0):
        extra = Counted()
        with monkeypatch.context() as patch:
            patch.setattr(sparse_code, "kernels_for", lambda weights: kernels)
            patch.setattr(device_steps, "fused_for", lambda weights: (kernels, None))
            for name in ("_select", "_decode", "_slopes", "_by_latent", "_update_units"):
                patch.setattr(kernels, name, Launches(extra, GATHERED.get(name, 0), d_in))
            ours, _ = cost(d_sae, precision, dead, d_in)
        assert not ours.waits
        moved = ours.moved + extra.moved - 7 * 4 * d_sae * d_in  # the decoder's Adam is counted twice
        return ours.kernels + extra.kernels, moved

    return count


@pytest.mark.parametrize(("d_in", "d_sae", "gigabytes"), [(512, 4096, 1.08), (512, 16_384, 1.81), (2048, 65_536, 15.4)])
def test_a_step_moves_half_of_what_torchs_kernels_do_and_far_less_than_a_dense_one(
    counted_step, d_in, d_sae, gigabytes
):
    """What docs/PERFORMANCE.md says of steps that no card has timed."""
    by_torch, _ = cost(d_sae, "bfloat16", 0, d_in)
    launches, moved = counted_step(d_in, d_sae)
    assert launches < by_torch.kernels
    assert moved == pytest.approx(gigabytes * 1e9, rel=0.01)
    assert moved < 0.54 * by_torch.moved
    assert 1.9 * moved < dense_cost(d_in, d_sae)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("d_sae", [4096, 16_384])
def test_a_tenth_of_the_latents_dead_moves_at_most_1_3_times_as_much(counted_step, d_sae, precision):
    assert counted_step(512, d_sae, precision, d_sae // 10)[1] < 1.3 * counted_step(512, d_sae, precision)[1]
