"""Training a TopK dictionary: exactly resumable, in bounded memory, as sparse as its activations."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch

from universality.denormals import flushed_denormals
from universality.errors import InputError, must_be
from universality.sae import kernels
from universality.sae.base import SparseAutoencoder
from universality.sae.config import SAETrainingConfig
from universality.sae.gradients import AutogradGradients, CPUGradients, Parameters
from universality.sae.stream import RowStream, geometric_median, sample_rows
from universality.seeds import derive_seed, generator

#: Rows that the scale and the initial bias are estimated on.
SAMPLE_ROWS = 8192
#: Share of the steps at the end over which the reported fvu and l0 are averaged.
REPORTED_TAIL = 0.05

State = tuple[Mapping[str, np.ndarray], Mapping[str, Any]]


@dataclass(frozen=True, eq=False)
class SAETrainingResult:
    """Outcome of :func:`train_sae`.

    Attributes:
        status: ``ok``; ``diverged`` (a loss that is not finite; the weights are those before it); ``dead`` (no
            latent fired in the last steps).
        sae: the dictionary, on raw activations, unit-norm decoder.
        fvu, l0: means over the last steps of training. dead_fraction: latents that did not fire in ``dead_after`` rows.
        init_cosine: (d_sae,) cosine of each decoder row to its own initialisation, in [-1, 1].
        losses: (n_steps,) float32.
        tokens: rows trained on.
    """

    status: Literal["ok", "diverged", "dead"]
    sae: SparseAutoencoder
    fvu: float
    l0: float
    dead_fraction: float
    init_cosine: np.ndarray
    losses: np.ndarray
    tokens: int


def train_sae(
    activations: Any,
    config: SAETrainingConfig,
    *,
    sae_seed: int,
    state: State | None = None,
    on_state: Callable[[dict[str, np.ndarray], dict[str, Any]], None] | None = None,
    state_every: int = 200,
    progress: Callable[..., None] | None = None,
    device: str = "cpu",
) -> SAETrainingResult:
    """Train a TopK dictionary on stored activations.

    Args:
        activations: (n, d_in), an array, memory map or sharded rows; float16 is widened batch by batch.
        config: size and optimiser.
        sae_seed: seed of initialisation and order of rows, nothing else.
        state: what ``on_state`` received, to resume. On one CPU thread count the outcome has the same bytes as without
            the interruption.
        on_state: called as ``on_state(arrays, meta)`` every ``state_every`` steps.
        state_every: steps between two states; no influence on the result.
        progress: called as ``progress(done_rows, all_rows, fvu=…, dead=…)``.
        device: ``"cpu"`` or a torch device.

    Returns:
        The outcome; numbers that stop being finite are a status.

    Raises:
        InputError: activations that are no (n, d_in) rows or fewer than one batch, or a foreign state.

    Source: Gao et al. 2024 (TopK, aux-k, unit-norm decoder, tied initialisation); Bricken et al. 2023 (geometric
        median, gradient parallel to the decoder removed).
    """
    _check(activations, config)
    n, d_in = (int(size) for size in activations.shape)
    n_steps = max(1, math.ceil(config.tokens / config.batch_rows))
    identity = {"config": config.model_dump(mode="json"), "sae_seed": int(sae_seed), "rows": [n, d_in]}
    sample = sample_rows(activations, SAMPLE_ROWS, derive_seed(sae_seed, "sae-sample"))
    norm = float(np.linalg.norm(sample.astype(np.float64), axis=1).mean())
    scale = math.sqrt(d_in) / norm if config.normalise and norm > 0 else 1.0
    initial = _initialise(sample * np.float32(scale), config.d_sae, sae_seed)
    run = _Run(initial, config, n_steps, scale, device)
    if state is not None:
        run.restore(state, identity)
    stream = RowStream(activations, config.batch_rows, derive_seed(sae_seed, "sae-order"))
    status: Literal["ok", "diverged", "dead"] = "ok"
    with flushed_denormals():
        while run.done < n_steps:
            batch = stream.batch(run.done * config.batch_rows, config.batch_rows)
            if not run.step(batch):
                status = "diverged"
                break
            if on_state is not None and run.done % state_every == 0 and run.done < n_steps:
                on_state(run.arrays(), {"step": run.done, **identity})
            if progress is not None and (run.done % 10 == 0 or run.done == n_steps):
                rows = config.batch_rows
                progress(run.done * rows, n_steps * rows, fvu=round(run.fvus[-1], 4), dead=int(run.dead().sum()))
    tail = max(1, round(REPORTED_TAIL * n_steps))
    if status == "ok" and run.dead().all():
        status = "dead"
    return SAETrainingResult(
        status=status,
        sae=run.folded(),
        fvu=float(np.mean(run.fvus[-tail:])) if run.fvus else 1.0,
        l0=float(np.mean(run.l0s[-tail:])) if run.l0s else 0.0,
        dead_fraction=float(run.dead().mean()),
        init_cosine=run.cosine_to(initial["W_dec"]),
        losses=np.array(run.losses, dtype=np.float32),
        tokens=run.done * config.batch_rows,
    )


def schedule(step: int, n_steps: int, config: SAETrainingConfig) -> float:
    """Learning rate of a step as a share of the peak: linear rise, plateau, linear fall to 0."""
    warmup, decay = round(config.warmup * n_steps), round(config.decay * n_steps)
    rise = (step + 1) / warmup if step < warmup else 1.0
    return min(rise, (n_steps - step) / decay if decay else 1.0, 1.0)


def _initialise(sample: np.ndarray, d_sae: int, sae_seed: int) -> dict[str, np.ndarray]:
    """Random unit decoder, encoder its transpose, decoder bias the geometric median."""
    directions = generator(sae_seed, "sae-init").standard_normal((d_sae, sample.shape[1]))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    return {
        "W_enc_rows": directions.astype(np.float32),
        "W_dec": directions.astype(np.float32),
        "b_enc": np.zeros(d_sae, dtype=np.float32),
        "b_dec": geometric_median(sample).astype(np.float32),
    }


class _Run:
    """Weights, moments and counters of a training."""

    def __init__(
        self, initial: dict[str, np.ndarray], config: SAETrainingConfig, n_steps: int, scale: float, device: str
    ):
        self.config, self.n_steps, self.scale = config, n_steps, np.float32(scale)
        self.p = Parameters(**{name: torch.from_numpy(value.copy()).to(device) for name, value in initial.items()})
        named = self.p.named()
        self.m = {name: torch.zeros_like(value) for name, value in named.items()}
        self.v = {name: torch.zeros_like(value) for name, value in named.items()}
        d_sae, d_in = initial["W_dec"].shape
        aux_k = min(d_in // 2, d_sae) if config.aux_k is None else config.aux_k
        kind = CPUGradients if torch.device(device).type == "cpu" else AutogradGradients
        self.gradients = kind(self.p, config.k, aux_k, config.aux_coefficient)
        self.device = device
        self.silent = np.zeros(d_sae, dtype=np.int64)
        self.losses: list[float] = []
        self.fvus: list[float] = []
        self.l0s: list[float] = []

    @property
    def done(self) -> int:
        return len(self.losses)

    def dead(self) -> np.ndarray:
        """(d_sae,) bool: latents that did not fire in ``dead_after`` rows."""
        return self.silent >= self.config.dead_after

    def step(self, batch: np.ndarray) -> bool:
        """One optimiser step; False, and nothing changed, where the loss is not finite."""
        x = torch.from_numpy(batch * self.scale).to(self.device)
        outcome = self.gradients.step(x, self.dead())
        if not math.isfinite(outcome.loss):
            return False
        self._adam()
        self.silent += len(batch)
        self.silent[outcome.fired] = 0
        self.losses.append(outcome.loss)
        self.fvus.append(outcome.fvu)
        self.l0s.append(outcome.l0)
        return True

    def _adam(self) -> None:
        config, t = self.config, self.done + 1
        beta1, beta2 = config.betas
        lr = config.peak_lr * schedule(self.done, self.n_steps, config)
        factors = [np.float32(f) for f in (lr, beta1, beta2, config.eps, 1 - beta1**t, 1 - beta2**t)]
        for name, weight in self.p.named().items():
            unit = name == "W_dec"
            if isinstance(self.gradients, CPUGradients):
                arrays = [weight.numpy(), self.gradients.grads[name], self.m[name].numpy(), self.v[name].numpy()]
                rows = [a.reshape(1, -1) if a.ndim == 1 else a for a in arrays]
                kernels.adam_rows(*rows, *factors, unit)
            else:
                _adam_torch(weight, self.gradients.grads[name], self.m[name], self.v[name], factors, unit)

    def arrays(self) -> dict[str, np.ndarray]:
        """All that a resumed training needs."""
        found: dict[str, np.ndarray] = {"silent": self.silent.copy()}
        for group, tensors in (("weight", self.p.named()), ("m", self.m), ("v", self.v)):
            found |= {f"{group}/{name}": value.cpu().numpy().copy() for name, value in tensors.items()}
        history = {"losses": self.losses, "fvus": self.fvus, "l0s": self.l0s}
        return found | {name: np.array(values, dtype=np.float64) for name, values in history.items()}

    def restore(self, state: State, identity: dict[str, Any]) -> None:
        arrays, meta = state
        stored = {name: meta.get(name) for name in identity}
        if stored != identity:
            remedy = "Resume with the config, sae_seed and activations it was started with, or start afresh."
            raise InputError(must_be("state", "a resumed training", f"of the same training ({identity})", stored, remedy))
        for group, tensors in (("weight", self.p.named()), ("m", self.m), ("v", self.v)):
            for name, value in tensors.items():
                value.copy_(torch.from_numpy(np.array(arrays[f"{group}/{name}"])))
        self.silent[:] = arrays["silent"]
        self.losses, self.fvus, self.l0s = (arrays[name].tolist() for name in ("losses", "fvus", "l0s"))

    def folded(self) -> SparseAutoencoder:
        """The dictionary for raw activations: with inputs scaled by s, TopK is homogeneous, so only biases change."""
        p = self.p
        return SparseAutoencoder(
            W_enc=p.W_enc_rows.T.contiguous(),
            b_enc=p.b_enc / float(self.scale),
            W_dec=p.W_dec.clone(),
            b_dec=p.b_dec / float(self.scale),
            k=self.config.k,
        )

    def cosine_to(self, directions: np.ndarray) -> np.ndarray:
        """(d_sae,) cosine of each decoder row to the same row of ``directions``."""
        now = self.p.W_dec.cpu().numpy().astype(np.float64)
        norms = np.linalg.norm(now, axis=1) * np.linalg.norm(directions.astype(np.float64), axis=1)
        return (now * directions).sum(axis=1) / np.where(norms > 0, norms, 1.0)


def _adam_torch(
    weight: torch.Tensor, grad: torch.Tensor, m: torch.Tensor, v: torch.Tensor, factors: list[np.float32], unit: bool
) -> None:
    """What :func:`kernels.adam_rows` does, in torch operations."""
    lr, beta1, beta2, eps, correct1, correct2 = (float(f) for f in factors)
    if unit:
        grad = grad - (grad * weight).sum(dim=1, keepdim=True) * weight
    m.mul_(beta1).add_(grad, alpha=1 - beta1)
    v.mul_(beta2).addcmul_(grad, grad, value=1 - beta2)
    weight.addcdiv_(m, (v / correct2).sqrt_().add_(eps), value=-lr / correct1)
    if unit:
        weight.div_(weight.norm(dim=1, keepdim=True).clamp_min(1e-30))


def _check(activations: Any, config: SAETrainingConfig) -> None:
    shape = tuple(activations.shape)
    if len(shape) != 2 or shape[0] < 1 or shape[1] < 1:
        raise InputError(must_be("shape", "activations", "(n >= 1, d_in >= 1)", shape, "Flatten contexts into rows."))
