"""What plans say of trainings of transformers on a GPU, beside steps that were measured on one."""

import pytest

from pipelines.estimates import USUAL
from pipelines.plan import build_plan
from pipelines.recipe import load_recipe

MEASURED = [
    ("float32", 4096, True, 2.884), ("float32", 32_768, True, 12.48),
    ("tf32", 4096, True, 1.646), ("tf32", 32_768, True, 4.845),
    ("bfloat16", 4096, True, 1.023), ("bfloat16", 32_768, True, 2.861),
    ("float32", 4096, False, 3.296), ("float32", 32_768, False, 13.79),
    ("bfloat16", 4096, False, 1.861), ("bfloat16", 32_768, False, 7.580),
]  # fmt: skip
"""Precision, vocabulary, compiled or not, milliseconds: one layer, d_model 128, d_mlp 512, 64 contexts of 256."""


def seconds(n_steps, *overrides, device="cuda"):
    training = f"models.training={{tokens: {n_steps * 64 * 256}, batch_contexts: 64}}"
    contexts = ["models.architecture.n_ctx=256", "n_ctx=256"]
    plan = build_plan(load_recipe("tiny", [training, *overrides, *contexts]), device)
    return plan["transformer/m0"].estimate.seconds


@pytest.mark.parametrize(("precision", "vocabulary", "compiled", "milliseconds"), MEASURED)
def test_steps_on_a_gpu_are_estimated_as_they_were_measured(precision, vocabulary, compiled, milliseconds):
    shape = "models.architecture={n_layers: 1, d_model: 128, n_heads: 8, d_mlp: 512}"
    said = (shape, f"tokenizer.vocab_size={vocabulary}", f"models.training.precision={precision}")
    first = 100_000 if compiled else 1000
    step = (seconds(first + 1000, *said) - seconds(first, *said)) / 1000
    assert milliseconds / 1.4 < step * 1e3 < 1.4 * milliseconds


def test_small_steps_on_a_gpu_cost_their_kernels_and_long_trainings_their_compiler():
    few, many = seconds(1000), seconds(2000)
    assert 1.0 <= many - few < 1.1, "a thousand steps of next to no arithmetic"
    deep = "models.architecture.n_layers=4"
    assert seconds(2000, deep) - seconds(1000, deep) >= 4.0
    starts = {n: 2 * seconds(n) - seconds(2 * n) for n in (1000, 10**7)}
    assert starts[10**7] - starts[1000] == pytest.approx(30)


def test_on_the_cpu_precision_aside_nothing_but_arithmetic_counts():
    short, long = (seconds(n, device="cpu") / USUAL - 1 for n in (1000, 2000))
    assert long == pytest.approx(2 * short)


def test_a_step_s_seconds_beside_another_s_are_what_a_quickstart_showed():
    """Seconds of one core, as a run and profiles gave them: by their ratios steps are ordered."""
    measured = {
        "transformer/m0": 65, "activations/m0/sae_a": 5, "sae/main/m0": 11, "latents/main/m0": 2.4,
        "null/main/m0-m1": 3, "matching/main/m0-m1": 10, "comparison/main": 24, "evidence/main/m0": 6.5,
        "coordinates/main/m0": 3.9, "spaces/main/u0-u1": 10, "steering/main/m0": 36, "effects/main/m0-m1": 19,
    }  # fmt: skip
    plan = build_plan(load_recipe("quickstart"))
    ratios = {name: plan[name].estimate.seconds / USUAL / was for name, was in measured.items()}
    assert all(0.6 < ratio < 1.6 for ratio in ratios.values()), ratios
