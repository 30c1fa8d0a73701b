"""One optimiser step of a TopK dictionary on the CPU, by sparse kernels.

The loss is that of :class:`~universality.sae.architectures.topk.TopKArchitecture` and of
:meth:`~universality.sae.autograd_step.Batch.auxiliary_loss`. With e the errors of a batch of n rows and V its spread
``sum ||x - mean||^2``, the gradients are, before Adam (by fvu; its root divides them by ``sqrt(fvu)``),

``dW_dec[l] = -2/V sum_i acts[i, l] e[i]``, ``dacts[i, l] = -2/V e[i] . W_dec[l]``,
``dW_enc_rows[l] = sum_i dacts[i, l] (x[i] - b_dec)``, ``db_enc[l] = sum_i dacts[i, l]``,
``db_dec = -2/V sum_i e[i] - sum_l db_enc[l] W_enc_rows[l]``,

sums over the rows in which l is active; the auxiliary loss adds the same of its own slots, whose target is e. The
decoder's rows stay unit vectors: the gradient along a row is removed before Adam, and the row rescaled after it
(Bricken et al. 2023).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np
import torch

from universality.sae import kernels
from universality.sae.autograd_step import LEAST_FVU, Rates, StepOutcome
from universality.sae.auxiliary import DENSE_DEAD, DenseAuxiliary
from universality.sae.topk import top_k
from universality.sae.training_state import TrainingState

if TYPE_CHECKING:
    from universality.sae.sae_config import SAETrainingConfig

TILE_BYTES = 1 << 25
"""Pre-activations held at one time: inside a last-level cache, and enough rows for a fast product."""
WORTH_SHARING = 1 << 19
"""Pre-activations of a batch below which waking a second thread costs more than it saves."""
LATENT_PARTS = 16
"""Ranges of latents that threads share; fixed, so that sums do not depend on the number of threads."""


class Slots:
    """Active latents of a batch and what they leave of their target, in buffers that are used again.

    Attributes:
        indices, values, slopes: (n, k); ``rows`` (n * k,) are the rows of the slots.
        errors: (levels, n, d_in), by level what its latents must lower: that level's error plus those of all after it.
        squared: (levels, n), squared norms of the levels' own errors. The last level is the whole dictionary; here
            there is no other.
        ends: rising, the latents before which each level ends.
    """

    def __init__(self, n: int, k: int, d_in: int, ends: Sequence[int]):
        self.indices, self.values = np.empty((n, k), np.int32), np.empty((n, k), np.float32)
        self.slopes, self.rows = np.empty((n, k), np.float32), np.repeat(np.arange(n, dtype=np.int32), k)
        self.errors = np.empty((len(ends), n, d_in), np.float32)
        self.squared = np.zeros((len(ends), n), np.float32)
        self.ends = tuple(ends)

    @property
    def error(self) -> np.ndarray:
        """What the whole dictionary leaves of the target, (n, d_in)."""
        return self.errors[-1]

    def groups(self, d_sae: int, scale: float) -> list[tuple]:
        """By level, sorted by latent, as :func:`kernels.update_latents` takes a group."""
        starts, entries = np.empty(d_sae + 1, np.int64), np.empty(self.indices.size, np.int64)
        kernels.group_by_latent(self.indices, starts, entries)
        slots = starts, entries, self.rows, self.values.ravel(), self.slopes.ravel()
        return [(*slots, error, np.float32(scale)) for error in self.errors]


class TopKKernelStep:
    """Buffers and kernels of a step on the CPU.

    No dense gradient of activations or weights is formed. Threads share rows and latents; the bytes of the result
    depend on their number only through the encoder's matrix product.

    Args:
        config: of the training; with a k.
        state: of one dictionary, plain float32 on the CPU; changed in place.
        n_steps: steps of the whole training.
        threads: threads to use; default torch's number.
    """

    def __init__(self, config: SAETrainingConfig, state: TrainingState, n_steps: int, threads: int | None = None):
        self.config, self.state, self.n_steps = config, state, n_steps
        self.d_sae, self.d_in = state.p.W_dec.shape
        self.k, self.c = config.active_per_row, config.aux_coefficient
        self.aux_k = config.auxiliary_latents(self.d_in)
        self.threads = threads or torch.get_num_threads()
        # Flushing of denormals is a setting of each thread; without it Adam's fading moments cost many times more.
        self._pool = (
            ThreadPoolExecutor(self.threads, initializer=torch.set_flush_denormal, initargs=(True,))
            if self.threads > 1
            else None
        )
        self._slots, self._tile = self._fresh(0), torch.empty((0, self.d_sae))

    def step(self, x: torch.Tensor, dead: torch.Tensor, rates: Rates) -> StepOutcome:
        """Train on the batch ``x (n, d_in)``; ``dead`` are the latents (int64) that auxiliary slots may use."""
        seen = x - self.state.p.b_dec
        # main: the k active latents of each row; aux or dense: the dead ones that explain what those leave.
        main, aux, dense = self._buffers(len(x)), *self._auxiliary(len(x), dead)
        self._explain(seen, main, aux, dense, dead)
        return self._learn(seen, main, aux, dense, rates)

    def close(self) -> None:
        """End the threads."""
        if self._pool is not None:
            self._pool.shutdown()

    def _fresh(self, n: int) -> Slots:
        """Buffers for the active latents of n rows."""
        return Slots(n, self.k, self.d_in, (self.d_sae,))

    def _buffers(self, n: int) -> Slots:
        """Buffers for a batch of n rows; fresh ones only when n changes."""
        # Used again from step to step: to touch fresh pages every time is not free.
        if self._slots.errors.shape[1] != n:
            self._slots = self._fresh(n)
            self._tile = torch.empty((min(n, max(64, TILE_BYTES // (4 * self.d_sae))), self.d_sae))
        return self._slots

    def _auxiliary(self, n: int, dead: torch.Tensor) -> tuple[Slots, DenseAuxiliary]:
        """What models the residual: sparse slots, or dense products where few latents are dead; the other is empty."""
        k = min(self.aux_k, len(dead)) if self.c else 0
        # (n, dead) products cost dead * d_in a row, sparse slots k * d_in at a worse rate: few dead latents go dense.
        few = len(dead) <= DENSE_DEAD * k
        sparse = Slots(n, 0 if few else k, self.d_in, (self.d_sae,))
        return sparse, DenseAuxiliary(self.state.p.W_dec, dead if few else dead[:0], k if few else 0)

    def _tiles(self, seen: torch.Tensor) -> Iterator[tuple[int, torch.Tensor, torch.Tensor]]:
        """First row, rows and pre-activations of a tile at a time; they share one buffer."""
        for start in range(0, len(seen), len(self._tile)):
            tile = seen[start : start + len(self._tile)]
            # (rows, d_sae), written over the tile before: it never leaves the cache.
            p = self.state.p
            pre = torch.addmm(p.b_enc, tile, p.W_enc_rows.T, out=self._tile[: len(tile)])
            yield start, tile, pre

    def _explain(self, seen: torch.Tensor, main: Slots, aux: Slots, dense: DenseAuxiliary, dead: torch.Tensor) -> None:
        """Encode, select and decode the batch, tile by tile."""
        for start, tile, pre in self._tiles(seen):
            self._fill(tile, pre, start, main, aux, dead)
            error = torch.from_numpy(main.error[start : start + len(tile)])
            dense.add(pre.index_select(1, dense.dead), error, tile)

    def _learn(self, seen: torch.Tensor, main: Slots, aux: Slots, dense: DenseAuxiliary, rates: Rates) -> StepOutcome:
        """The losses of what the slots hold, and the step that follows from them."""
        n, variance = len(seen), _variance(seen)
        squares = [float(squared.sum(dtype=np.float64)) for squared in main.squared]
        aux_squared = dense.squared + float(aux.squared.sum(dtype=np.float64))
        has_auxiliary = (dense.k or aux.indices.shape[1]) and squares[-1] > 0
        aux_scale = self.c / squares[-1] if has_auxiliary else 0.0
        mean_fvu = sum(squares) / (len(squares) * variance)
        # The root's derivative by fvu is its inverse: all gradients of the error are divided by it.
        root = None if self.config.loss == "fvu" else math.sqrt(max(mean_fvu, LEAST_FVU))
        outcome = StepOutcome(
            loss=(mean_fvu if root is None else 2 * root) + aux_scale * aux_squared,
            fvu=squares[-1] / variance,
            l0=float(np.count_nonzero(main.values)) / n,
        )
        if math.isfinite(outcome.loss):
            # d loss / d recon = scale * error; the mean over levels gives each the same share.
            scale = -2 / (len(squares) * variance * (root or 1.0))
            groups, aux_groups = main.groups(self.d_sae, scale), aux.groups(self.d_sae, -2 * aux_scale)
            levels = list(zip(main.ends, groups, strict=True))
            extra = dense.extra(self.d_sae, -2 * aux_scale)
            direct = main.errors[0].sum(axis=0) * np.float32(scale)
            self._update(seen.numpy(), levels, aux_groups[0], extra, direct, rates)
            # All groups of the main slots are sorted alike; a latent that fired has entries.
            starts = groups[0][0]
            self.state.silent.add_(n)
            self.state.silent[torch.from_numpy(np.flatnonzero(np.diff(starts)))] = 0
        return outcome

    def _share(self, n: int, parts: int, n_work: int, work: Callable[[int, int, int], None]) -> None:
        """Call ``work(part, first, last)`` on ``parts`` ranges of ``n``, on all threads where that pays."""
        # Ranges follow from n and parts alone and no two write the same place: threads decide the time, not the sums.
        cuts = [n * part // parts for part in range(parts + 1)]
        ranges = [(part, cuts[part], cuts[part + 1]) for part in range(parts) if cuts[part] < cuts[part + 1]]
        if self._pool is None or n_work < WORTH_SHARING:
            for part in ranges:
                work(*part)
        else:
            list(self._pool.map(lambda part: work(*part), ranges))

    def _fill(
        self, seen: torch.Tensor, pre: torch.Tensor, start: int, main: Slots, aux: Slots, dead: torch.Tensor
    ) -> None:
        """Select and decode one tile of rows."""
        target = seen.numpy()

        def work(_: int, first: int, last: int) -> None:
            here = slice(start + first, start + last)
            indices, values = top_k(pre[first:last], self.k)
            main.indices[here], main.values[here] = indices.numpy(), values.numpy()
            self._decode(main, here, target[first:last])
            if aux.indices.size:
                strongest_dead(pre[first:last], dead, aux, here)
                self._decode(aux, here, main.error[here])

        self._share(len(seen), self.threads, len(seen) * self.d_sae, work)

    def _decode(self, slots: Slots, here: slice, target: np.ndarray) -> None:
        """What the slots of some rows leave of their target (rows, d_in)."""
        kernels.row_errors(
            slots.indices[here],
            slots.values[here],
            self.state.p.W_dec.numpy(),
            target,
            slots.error[here],
            slots.slopes[here],
            slots.squared[-1, here],
        )

    def _update(
        self,
        seen: np.ndarray,
        levels: Sequence[tuple[int, tuple]],
        aux: tuple,
        extra: tuple,
        grad_b_dec: np.ndarray,
        rates: Rates,
    ) -> None:
        """Gradients and Adam; ``levels`` are (end, group): which slots the latents before that end learn from."""
        state = self.state
        p, m, v = ({k: t.numpy() for k, t in part.named().items()} for part in (state.p, state.m, state.v))
        weights = (p["W_enc_rows"], p["W_dec"])
        moments = (m["W_enc_rows"], v["W_enc_rows"], m["W_dec"], v["W_dec"])
        grad_b_enc = np.empty(self.d_sae, np.float32)
        # A sum over all latents, (d_in,), by part and level; added up in a fixed order below.
        through = np.zeros((LATENT_PARTS, len(levels), self.d_in), np.float32)
        packed = rates.packed()

        def work(part: int, first: int, last: int) -> None:
            # A latent learns from the errors of the level that adds it: its range is cut at the levels' ends.
            for (end, group), out in zip(levels, through[part], strict=True):
                low, first = first, max(first, min(last, end))
                if low < first:
                    groups = (group, aux)
                    kernels.update_latents(low, first, seen, groups, extra, weights, moments, packed, grad_b_enc, out)

        self._share(self.d_sae, LATENT_PARTS, len(seen) * self.d_sae, work)
        # b_dec is subtracted before the encoder and added after the decoder.
        grad_b_dec = grad_b_dec - through.sum(axis=(0, 1))
        kernels.adam_row(p["b_dec"], grad_b_dec, m["b_dec"], v["b_dec"], packed, False)
        kernels.adam_row(p["b_enc"], grad_b_enc, m["b_enc"], v["b_enc"], packed, False)


def strongest_dead(pre: torch.Tensor, dead: torch.Tensor, slots: Slots, here: slice) -> None:
    """Fill the slots of rows ``here`` with the largest dead latents of their pre-activations (rows, d_sae)."""
    # Numbers among the dead become numbers of latents; free slots, -1, stay free.
    indices, values = top_k(pre.index_select(1, dead), slots.indices.shape[1])
    slots.values[here] = values.numpy()
    named = dead[indices.long().clamp_min(0)]
    slots.indices[here] = torch.where(indices >= 0, named, -1).numpy()


def _variance(rows: torch.Tensor) -> float:
    """``sum ||row - mean||^2``, at least 1e-30; float64, for the difference of two sums loses digits."""
    # Two passes over (n, d_in) and no third array of its size, which rows - mean would be.
    spread = float(torch.linalg.vector_norm(rows, dtype=torch.float64)) ** 2
    mean = rows.mean(0, dtype=torch.float64)
    return max(spread - len(rows) * float(mean @ mean), 1e-30)
