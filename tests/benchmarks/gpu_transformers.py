"""Training steps of a transformer of the paper's shape: as shipped, and as anyone would write them."""

import statistics
import time
from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import torch
from gpu_timing import Figure, device, seconds, tried
from torch.nn import functional

from universality.gpu import captured
from universality.transformers.harvest import harvest
from universality.transformers.native import build
from universality.transformers.training import train
from universality.transformers.transformer_config import TrainingConfig, TransformerConfig


def shape_of(small: bool, vocabulary: int) -> tuple[TransformerConfig, int]:
    """One layer of the paper's width, and contexts a step."""
    if small:
        return TransformerConfig(n_layers=1, d_model=16, n_heads=2, d_vocab=50, n_ctx=16), 4
    return TransformerConfig(n_layers=1, d_model=128, n_heads=8, d_mlp=512, d_vocab=vocabulary, n_ctx=256), 64


def contexts_of(shape: TransformerConfig) -> np.ndarray:
    return np.random.default_rng(0).integers(0, shape.d_vocab, (2048, shape.n_ctx), dtype=np.int32)


def transformers(small: bool) -> Iterator[Figure]:
    """Training steps as shipped, and a plain one of the same shape, at two vocabularies."""
    ways = [("bfloat16", True), ("tf32", True), ("float32", True), ("bfloat16", False), ("float32", False)]
    for vocabulary in (4096, 32_768):
        shape, batch = shape_of(small, vocabulary)
        for precision, compile_ in [("float32", False)] if small else ways:
            what = f"vocabulary {shape.d_vocab:,}: {precision}{', compiled' * compile_}"
            yield tried(what, lambda way=(precision, compile_): shipped(small, shape, batch, *way))  # noqa: B023
        what = f"vocabulary {shape.d_vocab:,}: plain torch, autocast{', compiled, CUDA graph' * (not small)}"
        yield tried(what, lambda: plain(small, shape, batch))  # noqa: B023
    shape, batch = shape_of(small, 4096)
    contexts = contexts_of(shape)
    model = build(shape, 0, device=device(small))
    start = time.perf_counter()
    rows = sum(a["blocks.0.mlp.hook_post"].size for a in harvest(model, contexts, ["blocks.0.mlp.hook_post"]))
    rate = rows / (shape.d_mlp or 4 * shape.d_model) / (time.perf_counter() - start)
    yield {"what": "activations to the host, thousand rows/s", "thousand_per_s": rate / 1e3}


def shipped(small: bool, shape: TransformerConfig, batch: int, precision: str, compile_: bool) -> Figure:
    """Thousand tokens per second of ``train`` between reports of progress, the first one left out."""
    told: list[float] = []

    def progress(done: int, total: int, loss: float) -> None:
        told.append(time.perf_counter())

    steps = 60 if small else 400
    config = TrainingConfig(tokens=steps * batch * shape.n_ctx, batch_contexts=batch, precision=precision)
    model = build(shape, 0, device=device(small))
    if not small:
        torch.cuda.reset_peak_memory_stats()
    start = time.perf_counter()
    result = train(model, contexts_of(shape), np.zeros((0, shape.n_ctx), np.int32), config,
                   data_seed=0, progress=progress, compile=compile_)  # fmt: skip
    assert result.status == "ok"
    pace = 20 if small else 50
    block = statistics.median(b - a for a, b in pairwise(told))
    peak = {} if small else {"peak_gb": torch.cuda.max_memory_allocated() / 1e9}
    return {
        "thousand_per_s": pace * batch * shape.n_ctx / block / 1e3,
        "ms": block / pace * 1e3,
        "first_s": told[0] - start,
        **peak,
        "loss": float(result.losses[-1]),
        **({"warnings": " ".join(result.warnings)} if result.warnings else {}),
    }


class Plain(torch.nn.Module):
    """The same shape as anyone would write it."""

    def __init__(self, shape: TransformerConfig):
        super().__init__()
        d, self.heads = shape.d_model, shape.n_heads
        self.tokens, self.places = torch.nn.Embedding(shape.d_vocab, d), torch.nn.Embedding(shape.n_ctx, d)
        self.norms = torch.nn.ModuleList(torch.nn.LayerNorm(d) for _ in range(3))
        self.qkv, self.out = torch.nn.Linear(d, 3 * d), torch.nn.Linear(d, d)
        self.up, self.down = torch.nn.Linear(d, 4 * d), torch.nn.Linear(4 * d, d)
        self.head = torch.nn.Linear(d, shape.d_vocab, bias=False)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        x = self.tokens(tokens[:, :-1]) + self.places.weight[: tokens.shape[1] - 1]
        q, k, v = (
            part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in self.qkv(self.norms[0](x)).chunk(3, -1)
        )
        mixed = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(mixed.transpose(1, 2).flatten(2))
        x = x + self.down(functional.relu(self.up(self.norms[1](x))))
        return functional.cross_entropy(self.head(self.norms[2](x)).flatten(0, 1), tokens[:, 1:].flatten())


def plain(small: bool, shape: TransformerConfig, batch: int) -> Figure:
    """The same of a plain model under autocast, compiled and captured, on one batch again and again."""
    where = device(small)
    model = Plain(shape).to(where)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, fused=True, capturable=not small)
    tokens = torch.from_numpy(contexts_of(shape)[:batch]).to(where).long()
    loss_of = model if small else torch.compile(model, dynamic=False)

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast(where, torch.bfloat16, enabled=not small, cache_enabled=False):
            loss = loss_of(tokens)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()

    one = seconds(step if small else captured(step), small)
    return {"thousand_per_s": batch * shape.n_ctx / one / 1e3, "ms": one * 1e3}
