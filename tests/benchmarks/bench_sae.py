"""One training step of the top-k family against a plain dense one under autograd, in the same run.

``pytest tests/benchmarks --benchmark-only``; rows per second are in ``extra_info``.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))
from dense_topk import DenseTopK, planted_rows

from universality.sae.autograd_step import Rates, Stepper
from universality.sae.sae_config import SAETrainingConfig
from universality.sae.seed_training import make_stepper
from universality.sae.training_state import Parameters, TrainingState

SIZES = [(256, 1024, 16), (512, 4096, 32), (512, 16384, 32)]
BATCH = 1024
RATES = Rates(lr=1e-4, beta1=0.9, beta2=0.999, eps=1e-9, t=100)


@pytest.fixture(params=SIZES, ids=lambda size: "d_in {} d_sae {} k {}".format(*size))
def size(request):
    return request.param


def rows(d_in: int) -> torch.Tensor:
    return torch.from_numpy(planted_rows(BATCH, d_in, 2000, 12, seed=0))


def timed(benchmark, work, rounds: int) -> None:
    work()
    benchmark.pedantic(work, rounds=rounds, iterations=1)
    if benchmark.stats is not None:
        benchmark.extra_info["rows_per_second"] = BATCH / benchmark.stats["min"]


def sparse_step(d_in: int, d_sae: int, k: int, architecture: str = "topk") -> Stepper:
    dense = DenseTopK(d_in, d_sae, k)
    held = {
        "W_enc_rows": dense.W_enc.T.contiguous(),
        "W_dec": dense.W_dec,
        "b_enc": dense.b_enc,
        "b_dec": dense.b_dec,
    }
    p = Parameters(**{name: value.detach().clone() for name, value in held.items()})
    config = SAETrainingConfig(architecture=architecture, d_sae=d_sae, k=k, tokens=1000 * BATCH)
    return make_stepper(config, TrainingState.fresh(p, config.kind.buffers), n_steps=1000)


@pytest.mark.benchmark(group="sae step")
class TestStep:
    @pytest.mark.parametrize("architecture", ["topk", "batch_topk", "matryoshka"])
    def test_sparse(self, benchmark, size, architecture):
        step, x = sparse_step(*size, architecture), rows(size[0])
        timed(benchmark, lambda: step.step(x, torch.empty(0, dtype=torch.int64), RATES), rounds=10)
        step.close()

    def test_sparse_with_a_tenth_of_the_latents_dead(self, benchmark, size):
        step, x = sparse_step(*size), rows(size[0])
        timed(benchmark, lambda: step.step(x, torch.arange(0, size[1], 10), RATES), rounds=10)
        step.close()

    def test_encoder_product_alone(self, benchmark, size):
        d_in, d_sae, _ = size
        x, weight, out = rows(d_in), torch.randn(d_sae, d_in), torch.empty(BATCH, d_sae)
        timed(benchmark, lambda: torch.mm(x, weight.T, out=out), rounds=10)

    def test_plain_dense_autograd(self, benchmark, size):
        dense, x = DenseTopK(*size), rows(size[0])
        optimizer = torch.optim.Adam(dense.parameters(), lr=1e-4)
        timed(benchmark, lambda: dense.step(x, optimizer), rounds=3)
