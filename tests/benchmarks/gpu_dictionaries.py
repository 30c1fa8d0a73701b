"""Training steps of TopK dictionaries, ours and plain dense torch; and the trainer with its reading of rows."""

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from unittest import mock

import numpy as np
import torch
from gpu_timing import Figure, device, seconds, tried
from torch.nn import functional

from universality.sae import device_kernels
from universality.sae.device_steps import EVERY, DeviceSteps
from universality.sae.sae_config import SAETrainingConfig
from universality.sae.training import train_saes
from universality.sae.training_state import Parameters, TrainingState

BATCH_ROWS, K = 4096, 32
NEVER = 10**12
SIZES = ((512, 4096), (512, 16_384), (768, 24_576), (2048, 65_536))


def dictionaries(small: bool) -> Iterator[Figure]:
    """One TopK training step on rows of the device: ours, several seeds at once, and plain dense torch."""
    sizes = ((16, 64),) if small else SIZES
    precisions = ("float32",) if small else ("float32", "bfloat16")
    for d_in, d_sae in sizes:
        rows = sparse_rows(small, d_in)
        size = f"{d_in:,} x {d_sae:,}"
        for precision in precisions:
            for compile_ in (False,) if small else (False, True):
                what = f"{size}: {precision}{', compiled' * compile_}"
                yield tried(what, lambda p=precision, c=compile_: ours(small, rows, d_sae, p, compile_=c))  # noqa: B023
        last = precisions[-1]
        plain = f"{size}: {last}, torch's kernels in the place of Triton's"
        yield tried(plain, lambda: ours(small, rows, d_sae, last, triton=False))  # noqa: B023
        if d_sae <= 24_576:
            yield tried(f"{size}: {last}, 8 seeds", lambda: ours(small, rows, d_sae, last, seeds=8))  # noqa: B023
        if d_sae <= 16_384:
            dead = f"{size}: {last}, a tenth dead"
            yield tried(dead, lambda: ours(small, rows, d_sae, last, dead=0.1))  # noqa: B023
        yield tried(f"{size}: plain dense, autocast", lambda: dense(small, rows, d_sae, compile_=False))  # noqa: B023
        if not small:
            what = f"{size}: plain dense, autocast, compiled"
            yield tried(what, lambda: dense(small, rows, d_sae, compile_=True))  # noqa: B023


def sparse_rows(small: bool, d_in: int) -> list[torch.Tensor]:
    """Four batches of sums of 16 of 4 d_in directions, with noise."""
    where = device(small)
    draw = torch.Generator(device=where).manual_seed(0)
    n = 64 if small else BATCH_ROWS
    directions = functional.normalize(torch.randn(4 * d_in, d_in, device=where, generator=draw), dim=1)
    batches = []
    for _ in range(4):
        at = torch.randint(0, 4 * d_in, (n, 16), device=where, generator=draw)
        size = 2 * torch.rand(n, 16, device=where, generator=draw)
        summed = functional.embedding_bag(at, directions, per_sample_weights=size, mode="sum")
        batches.append(summed + 0.05 * torch.randn(n, d_in, device=where, generator=draw))
    return batches


def endless(batches: list[torch.Tensor]) -> Callable[[], torch.Tensor]:
    numbers = iter(range(10**9))
    return lambda: batches[next(numbers) % len(batches)]


class Given:
    """Batches that lie on the device already, one after the other."""

    def __init__(self, rows: list[torch.Tensor]):
        self._next = endless(rows)

    def batch(self, start: int, count: int) -> torch.Tensor:
        return self._next()

    def paused(self) -> AbstractContextManager[None]:
        return nullcontext()

    def close(self) -> None:
        pass


def ours(
    small: bool,
    rows: list[torch.Tensor],
    d_sae: int,
    precision: str,
    *,
    seeds: int = 1,
    dead: float = 0.0,
    compile_: bool = False,
    triton: bool = True,
) -> Figure:
    """Thousand rows per second, of all seeds together, between two looks of the host."""
    if not triton:
        with mock.patch.object(device_kernels, "triton_on", return_value=(None, None)):
            return ours(small, rows, d_sae, precision, seeds=seeds, dead=dead, compile_=compile_)
    n, d_in = rows[0].shape
    where = rows[0].device
    config = SAETrainingConfig.model_validate(
        {
            "d_sae": d_sae,
            "k": min(K, d_sae // 4),
            "tokens": 10**9,
            "batch_rows": n,
            "precision": precision,
            "dead_after": NEVER,
        }
    )
    W_dec = functional.normalize(torch.randn(seeds, d_sae, d_in, device=where), dim=-1)
    held = {"W_enc_rows": W_dec.clone(), "W_dec": W_dec}
    held |= {
        "b_enc": torch.zeros(seeds, d_sae, device=where),
        "b_dec": torch.zeros(seeds, d_in, device=where),
    }
    whole = TrainingState.fresh(Parameters.of(held), config.kind.buffers)
    state = whole if seeds > 1 else whole.of_seed(0)
    steps = DeviceSteps(config, state, lambda step: 3e-4, compile_=compile_)
    n_dead, count = int(dead * d_sae), 2 if small else EVERY if d_sae <= 16_384 else 10

    def look() -> None:
        # As many are dead in every round: none dies unasked, none stays alive that fired again.
        state.silent.zero_()
        state.silent[..., :n_dead] = NEVER
        seen = steps.run(Given(rows), 100, count, 1.0)
        assert len(seen.loss) == count

    steps.fit_slots([n_dead])
    one = seconds(look, small) / count
    warned = {"warnings": " ".join(steps.warnings)} if steps.warnings else {}
    return {"thousand_per_s": seeds * n / one / 1e3, "ms": one * 1e3, **warned}


def dense(small: bool, rows: list[torch.Tensor], d_sae: int, *, compile_: bool) -> Figure:
    """A plain dense TopK autoencoder under autocast with torch's fused Adam and unit decoder rows."""
    n, d_in = rows[0].shape
    where = rows[0].device
    W_dec = torch.nn.Parameter(functional.normalize(torch.randn(d_sae, d_in, device=where), dim=1))
    W_enc = torch.nn.Parameter(W_dec.detach().T.clone())
    b_enc = torch.nn.Parameter(torch.zeros(d_sae, device=where))
    b_dec = torch.nn.Parameter(torch.zeros(d_in, device=where))
    optimizer = torch.optim.Adam([W_dec, W_enc, b_enc, b_dec], lr=3e-4, fused=True)
    batch, k = endless(rows), min(K, d_sae // 4)

    def loss_of(x: torch.Tensor) -> torch.Tensor:
        acts = torch.relu((x - b_dec) @ W_enc + b_enc)
        values, at = acts.topk(k, dim=-1, sorted=False)
        sparse = torch.zeros_like(acts).scatter(-1, at, values)
        return (sparse @ W_dec + b_dec - x).float().square().sum(-1).mean()

    chosen = torch.compile(loss_of, dynamic=False) if compile_ else loss_of

    def step() -> None:
        with torch.autocast(where.type, torch.bfloat16, enabled=not small):
            loss = chosen(batch())
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        with torch.no_grad():
            W_dec.div_(W_dec.norm(dim=1, keepdim=True))

    one = seconds(step, small)
    return {"thousand_per_s": n / one / 1e3, "ms": one * 1e3}


def stored_rows(small: bool) -> Iterator[Figure]:
    """The trainer with its reading: dictionaries of 4,096 latents from rows of the host, and its step alone."""
    d_in, batch = (16, 100) if small else (512, BATCH_ROWS)
    many, few = (2000, 1000) if small else (400_000, 100_000)
    for n, what, buffer_mb in ((many, "several buffers", 1 if small else 256), (few, "one buffer", 256)):
        rows = np.random.default_rng(0).standard_normal((n, d_in), dtype=np.float32)
        for seeds in (1, 4):
            config = SAETrainingConfig.model_validate(
                {
                    "d_sae": 8 * d_in,
                    "k": min(K, d_in),
                    "tokens": 2 * n if small else 1_600_000,
                    "batch_rows": batch,
                    "lr": 1e-3,
                    "buffer_mb": buffer_mb,
                }
            )
            told: list[tuple[float, float]] = []

            def progress(done: float, total: float, told: list = told, **facts: object) -> None:
                told.append((time.perf_counter(), done))

            def measure(rows=rows, config=config, seeds=seeds, told=told, progress=progress) -> Figure:
                options = {"device": device(small), "progress": progress}
                train_saes(rows, config, sae_seeds=range(seeds), order_seed=0, **options)
                (start, done), (end, all_done) = told[0], told[-1]
                rate = seeds * (all_done - done) / (end - start) / 1e3
                given = [torch.from_numpy(rows[i * batch : (i + 1) * batch]).to(device(small)) for i in range(4)]
                alone = ours(small, given, config.d_sae, "float32", seeds=seeds)["thousand_per_s"]
                assert isinstance(alone, float)
                return {"thousand_per_s": rate, "of_step_alone": rate / alone}

            what_ = f"{what}: {seeds} seed{'s' * (seeds > 1)}, {d_in} x {config.d_sae:,}, float32"
            yield tried(what_, measure)
