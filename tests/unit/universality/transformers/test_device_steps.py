"""Steps that a GPU takes on its own, on CPU and fake CUDA tensors: the same training, and nobody waits for a number."""
# pyright: reportMissingImports=false, reportCallIssue=false, reportAttributeAccessIssue=false

import math
from functools import partial

import numpy as np
import pytest
import torch
from fake_gpu import Unguarded
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode

from universality.errors import InputError
from universality.transformers import objective as objectives
from universality.transformers import steps as steps_module
from universality.transformers import training
from universality.transformers.batches import Batches
from universality.transformers.native import build, weights
from universality.transformers.objective import NextTokenLoss, loss_and_gradients
from universality.transformers.steps import DeviceSteps, HostSteps
from universality.transformers.training import train
from universality.transformers.transformer_config import TrainingConfig, TransformerConfig

SHAPE = TransformerConfig(n_layers=2, d_model=16, n_heads=2, d_mlp=24, d_vocab=30, n_ctx=12)
N_STEPS = 130
CONFIG = TrainingConfig(tokens=12 * 4 * N_STEPS, batch_contexts=4, lr=1e-2)
CONTEXTS = np.random.default_rng(0).integers(0, 30, (50, 12)).astype(np.int32)
SHAPES = [
    {},
    {"positional_embedding_type": "rotary", "normalization_type": "RMS", "gated_mlp": True, "act_fn": "silu"},
    {"n_key_value_heads": 1, "normalization_type": "LNPre"},
    {"output_logits_soft_cap": 30.0, "attn_scores_soft_cap": 50.0},
    {"attn_only": True, "normalization_type": None},
]


def shape(**changes):
    return TransformerConfig(**{**SHAPE.model_dump(), **changes})


def tokens(n=4):
    return torch.from_numpy(CONTEXTS[:n]).long()


def run(config=CONFIG, model_seed=1, **options):
    model = build(SHAPE, model_seed)
    return model, train(model, CONTEXTS, CONTEXTS[:5], config, data_seed=2, **options)


def bytes_of(model):
    return {name: value.tobytes() for name, value in weights(model).items()}


def device_steps(config=CONFIG, **changes):
    model = build(shape(**changes), 1)
    return model, DeviceSteps(model, Batches(CONTEXTS, config.batch_contexts, 2), config, N_STEPS)


@pytest.fixture
def on_its_own(monkeypatch):
    """Trainings take the steps of a GPU."""
    monkeypatch.setattr(training, "HostSteps", DeviceSteps)


def test_it_is_the_training_of_the_cpu(monkeypatch):
    model, expected = run()
    monkeypatch.setattr(training, "HostSteps", DeviceSteps)
    same, result = run()
    assert result.status == "ok"
    assert result.tokens == expected.tokens
    np.testing.assert_allclose(result.losses, expected.losses, rtol=1e-4)
    assert result.losses[-1] < result.losses[0]
    # Softmax ignores what is added to all keys: the gradient of their bias is rounding alone.
    for name, value in weights(same).items():
        if not name.endswith("attn.k.bias"):
            np.testing.assert_allclose(value, weights(model)[name], rtol=1e-2, atol=1e-4, err_msg=name)
    assert all(parameter.grad is None for parameter in same.parameters())


@pytest.mark.parametrize("stop", [1, 17, 50, 129])
def test_resumed_it_ends_with_the_same_bytes(on_its_own, stop):
    whole, expected = run()
    states = []
    run(on_state=lambda *state: states.append(state), state_every=stop)
    assert states[0][1]["step"] == stop
    resumed, result = run(model_seed=7, state=states[0])
    assert bytes_of(resumed) == bytes_of(whole)
    assert result.losses.tobytes() == expected.losses.tobytes()


def test_progress_is_told_whenever_losses_are_read(on_its_own):
    seen = []
    run(progress=lambda done, total, loss: seen.append((done // 48, loss)))
    assert [step for step, _ in seen] == [50, 100, 130]
    assert all(math.isfinite(loss) for _, loss in seen)


def broken(config, step):
    """A training whose learning rate is infinite from a step on, so that the next loss is not finite."""
    return lambda number, n_steps, config: math.inf if number >= step else 1.0


@pytest.mark.parametrize("kind", [HostSteps, DeviceSteps])
def test_a_step_that_diverges_changes_nothing_and_none_after_it_does(monkeypatch, kind):
    monkeypatch.setattr(training, "HostSteps", kind)
    states = []
    diverging = CONFIG.model_copy(update={"lr": 1e30, "gradient_clip": 0.0})
    model, result = run(diverging, on_state=lambda *state: states.append(state), state_every=100)
    assert result.status == "diverged"
    assert result.heldout_loss == math.inf
    assert 0 < len(result.losses) < 50
    assert np.isfinite(result.losses).all()
    assert not states
    assert all(np.isfinite(value).all() for value in weights(model).values())


def test_a_gradient_that_is_not_finite_stops_the_training_as_well(monkeypatch):
    model, steps = device_steps()
    before = bytes_of(model)
    embedding = next(iter(model.parameters()))
    embedding.register_hook(lambda grad: grad * math.nan)
    assert steps.run(0, 3) == []
    assert bytes_of(model) == before


class Waits(TorchDispatchMode):
    """Operations whose outcome the host must know: numbers that are read, shapes that depend on values, copies."""

    def __init__(self):
        super().__init__()
        self.seen, self.operations = [], 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.operations += 1
        to_host = str((kwargs or {}).get("device")) == "cpu" and "copy" in str(function)
        if {torch.Tag.data_dependent_output, torch.Tag.dynamic_output_shape} & set(function.tags) or to_host:
            self.seen.append(str(function))
        return function(*args, **(kwargs or {}))


@pytest.mark.parametrize("changes", SHAPES)
def test_no_operation_of_a_step_waits_for_the_host(changes):
    _, steps = device_steps(**changes)
    steps.run(0, 1)
    with Waits() as waits:
        steps.step()
    assert waits.operations > 100
    assert not waits.seen


def test_the_steps_of_a_cpu_do_wait():
    model = build(SHAPE, 1)
    steps = HostSteps(model, Batches(CONTEXTS, 4, 2), CONFIG, N_STEPS)
    with Waits() as waits:
        steps.run(0, 2)
    assert waits.seen.count("aten._local_scalar_dense.default") == 4  # a loss and a norm each


def test_losses_are_read_once_in_fifty_steps(monkeypatch):
    read = []
    for name in ("tolist", "item", "cpu", "numpy", "__float__", "__bool__", "__int__"):
        real = getattr(torch.Tensor, name)
        counted = lambda self, *args, real=real, name=name: (read.append(name), real(self, *args))[1]  # noqa: E731
        monkeypatch.setattr(torch.Tensor, name, counted)
    _, steps = device_steps()
    read.clear()
    for first in (0, 50):
        steps.run(first, 50)
    assert read == ["tolist", "tolist"]


def on_gpu(model):
    """Give a model empty weights on a fake device, to which torch moves none."""
    for module in model.modules():
        for name, value in module._parameters.items():
            if value is not None:
                module._parameters[name] = torch.nn.Parameter(torch.empty(value.shape, device="cuda"))
        for name, value in module._buffers.items():
            if value is not None:
                module._buffers[name] = torch.empty(value.shape, dtype=value.dtype, device="cuda")


@pytest.mark.parametrize("changes", SHAPES)
def test_a_step_stays_on_a_fake_gpu(monkeypatch, changes):
    """Every operation but those of autograd, which needs CUDA even for fake tensors."""
    monkeypatch.setattr(objectives, "device_memory", lambda device: 8 * 16 * 30 * 20)  # pieces of 20 tokens

    def backward(loss):
        assert loss.device.type == "cuda"
        for parameter in model.parameters():
            parameter.grad = torch.empty_like(parameter)

    def fused(*lists, lr, found_inf, **_):  # has no kernel for fake tensors
        devices.update(tensor.device.type for part in lists for tensor in part)
        devices.update([lr.device.type, found_inf.device.type])

    devices = set()
    monkeypatch.setattr(torch, "_fused_adamw_", fused)
    monkeypatch.setattr(torch.Tensor, "backward", backward)
    model = build(shape(**changes), 1)
    with FakeTensorMode(), Unguarded(), torch.no_grad():
        on_gpu(model)
        steps = DeviceSteps(model, Batches(CONTEXTS, 4, 2), CONFIG, N_STEPS)
        with Waits() as waits:
            for _ in range(2):
                steps.step()
    assert not waits.seen
    assert devices == {"cuda"}


def captures(monkeypatch, captured):
    """Let a training on the CPU pass for one on a GPU, whose graphs are made by a function of ours."""
    monkeypatch.setattr(training, "HostSteps", OnGPU)
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda tensor: tensor)
    monkeypatch.setattr(steps_module, "captured", captured)


class OnGPU(DeviceSteps):
    def __init__(self, *args, **options):
        super().__init__(*args, **options)
        self.device = torch.device("cuda")


def test_warming_up_changes_nothing_that_is_trained(monkeypatch, on_its_own):
    plain, expected = run()

    def captured(work):
        for _ in range(3):
            work()
        return work

    captures(monkeypatch, captured)
    model, result = run()
    assert not result.warnings
    assert bytes_of(model) == bytes_of(plain)
    assert result.losses.tobytes() == expected.losses.tobytes()


def test_where_no_graph_can_be_made_it_trains_without_and_says_so(monkeypatch, on_its_own):
    plain, _ = run()

    def captured(work):
        work()
        raise RuntimeError("operation not permitted when stream is capturing\nand more")

    captures(monkeypatch, captured)
    model, result = run()
    (warning,) = result.warnings
    assert warning == (
        "The transformer's step could not be captured as a CUDA graph and runs without: RuntimeError: operation not "
        "permitted when stream is capturing"
    )
    assert bytes_of(model) == bytes_of(plain)


def test_where_nothing_can_be_compiled_the_graph_is_tried_uncompiled(monkeypatch):
    def no_compiler(function, **options):
        def fail(*args):
            raise RuntimeError("Cannot find a working triton installation.")

        return fail

    monkeypatch.setattr(objectives, "compiled", no_compiler)
    captures(monkeypatch, lambda work: work() or work)
    model = build(SHAPE, 1)
    steps = OnGPU(model, Batches(CONTEXTS, 4, 2), CONFIG, N_STEPS, compile_=True)
    assert len(steps.run(0, 5)) == 5
    (warning,) = steps.warnings
    assert "could not be compiled and runs uncompiled: RuntimeError: Cannot find a working triton" in warning


@pytest.mark.filterwarnings("ignore:The .grad attribute")  # the tracer's own
@pytest.mark.parametrize("changes", SHAPES)
def test_blocks_and_loss_are_traced_whole(monkeypatch, changes):
    """By the tracer alone: what it makes of them computes the same loss and gradients."""
    monkeypatch.setattr(objectives, "repeatable_options", lambda: {"backend": "aot_eager"})
    model = build(shape(**changes), 1)
    found = []
    for compile_ in (False, True):
        loss = NextTokenLoss(model, in_pieces=True, compile_=compile_)(tokens())
        found.append([loss.detach(), *torch.autograd.grad(loss, list(model.parameters()))])
    for plain, traced in zip(*found, strict=True):
        torch.testing.assert_close(traced, plain, rtol=1e-4, atol=1e-6)


def replayed(work):
    """In place of a graph on the CPU: work that was done once."""
    work()
    return work


@pytest.mark.filterwarnings("ignore:The .grad attribute")  # the tracer's own
@pytest.mark.parametrize("changes", SHAPES)
def test_a_traced_step_is_the_plain_one(monkeypatch, changes):
    """Its backward pass too, which runs in none but the mode in which the pass before it was traced."""
    monkeypatch.setattr(objectives, "repeatable_options", lambda: {"backend": "aot_eager"})
    captures(monkeypatch, replayed)
    found = []
    for compile_ in (False, True):
        model = build(shape(**changes), 1)
        steps = OnGPU(model, Batches(CONTEXTS, 4, 2), CONFIG, N_STEPS, compile_=compile_)
        found.append(steps.run(0, 10))
        assert not steps.warnings
    np.testing.assert_allclose(*found, rtol=1e-4)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_compiled_it_learns_the_same_and_resumes_to_the_same_bytes(monkeypatch, tmp_path):
    """By the compiler of the CPU, which compiles the resumed training anew."""
    captures(monkeypatch, replayed)
    monkeypatch.setattr(training, "HostSteps", partial(OnGPU, compile_=True))
    states, found = [], []
    for state in (None, 0):
        monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / str(state)))
        model, result = run(
            state=None if state is None else states[state],
            state_every=60,
            on_state=lambda *told: states.append(told),
        )
        assert not result.warnings
        found.append((bytes_of(model), result.losses.tobytes()))
    assert states[0][1]["step"] == 60
    assert found[0] == found[1]
    monkeypatch.setattr(training, "HostSteps", DeviceSteps)
    np.testing.assert_allclose(result.losses, run()[1].losses, rtol=1e-3)


@pytest.mark.parametrize("at_once", [1, 30 * 7, 30 * 44, 10**9])
def test_pieces_equal_the_whole(monkeypatch, at_once):
    sizes = []

    def piece(hidden, weight, target):
        sizes.append(len(hidden))
        return loss_and_gradients(hidden, weight, target)

    monkeypatch.setattr(objectives, "logits_at_once", lambda device: at_once)
    generator = torch.Generator().manual_seed(0)
    hidden, weight = (torch.randn(n, 8, generator=generator, requires_grad=True) for n in (44, 30))
    target = torch.randint(0, 30, (44,), generator=generator)
    loss = objectives.UnembedCrossEntropy.apply(hidden, weight, target, piece)
    expected = functional.cross_entropy(hidden @ weight.T, target)
    torch.testing.assert_close(loss, expected, rtol=1e-6, atol=0)
    both = [torch.autograd.grad(value, [hidden, weight]) for value in (loss, expected)]
    for ours, theirs in zip(*both, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-7)
    assert sum(sizes) == 44
    assert max(sizes) <= max(1, at_once // 30)
    assert max(sizes) - min(sizes) <= len(sizes)


def test_a_piece_is_a_part_of_the_devices_memory(monkeypatch):
    monkeypatch.setattr(objectives, "device_memory", lambda device: 80 * 2**30)
    at_once = objectives.logits_at_once(torch.device("cuda"))
    assert at_once >= 64 * 255 * 32_768  # a whole batch at the widest vocabulary of the recipes
    assert 2 * 4 * at_once <= 80 * 2**30 / 16
    assert objectives.logits_at_once(torch.device("cpu")) == 2**19


def test_bfloat16_is_that_of_autocast_and_close_to_float32():
    model = build(SHAPE, 1)
    found = {}
    for precision in ("float32", "bfloat16"):
        loss = NextTokenLoss(model, precision, in_pieces=True)(tokens())
        assert loss.dtype == torch.float32
        found[precision] = loss, torch.autograd.grad(loss, list(model.parameters()))
    assert found["bfloat16"][0] != found["float32"][0]
    torch.testing.assert_close(found["bfloat16"][0], found["float32"][0], rtol=5e-3, atol=0)
    for rough, exact in zip(found["bfloat16"][1], found["float32"][1], strict=True):
        assert rough.dtype == torch.float32
        assert (rough - exact).norm() < 0.05 * exact.norm() + 1e-3


def test_tf32_is_switched_on_for_the_steps_alone(monkeypatch):
    seen = []
    for precision in ("tf32", "float32"):
        _, steps = device_steps(CONFIG.model_copy(update={"precision": precision}))
        monkeypatch.setattr(steps, "step", lambda: seen.append(torch.get_float32_matmul_precision()))
        steps.run(0, 1)
    assert seen == ["high", "highest"]
    assert torch.get_float32_matmul_precision() == "highest"


def test_repeatable_kernels_are_asked_for_and_given_back(monkeypatch):
    from universality.gpu import repeatable_kernels

    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    with repeatable_kernels():
        assert torch.are_deterministic_algorithms_enabled()
        assert not torch.utils.deterministic.fill_uninitialized_memory
    assert not torch.are_deterministic_algorithms_enabled()
    assert torch.utils.deterministic.fill_uninitialized_memory
    import os

    assert "CUBLAS_WORKSPACE_CONFIG" not in os.environ


@pytest.mark.parametrize("precision", ["tf32", "bfloat16"])
def test_the_cpu_refuses_what_only_a_gpu_has(precision):
    legal = r"precision of models.training must be float32 on the CPU; got " + precision
    with pytest.raises(InputError, match=legal):
        run(CONFIG.model_copy(update={"precision": precision}))


def test_precision_stands_in_a_config_only_where_it_is_said():
    assert "precision" not in CONFIG.model_dump(mode="json")
    said = TrainingConfig(precision="bfloat16")
    assert said.model_dump(mode="json")["precision"] == "bfloat16"
    assert TrainingConfig(**said.model_dump()) == said
