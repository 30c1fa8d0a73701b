"""One optimiser step of a TopK dictionary: sparse kernels on the CPU, autograd elsewhere.

``loss = sum ||x - recon||^2 / sum ||x - mean||^2 + c * sum ||e - recon_aux||^2 / sum ||e||^2`` over the
batch, with ``e = x - recon`` held constant and ``recon_aux`` made, without bias, of the ``aux_k`` largest
dead latents (Gao et al. 2024, appendix A.2). Dividing by the batch's own variance makes the learning rate
independent of the scale of the data. The decoder's rows stay unit vectors: the gradient along a row is
removed before Adam, and the row rescaled after it (Bricken et al. 2023).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch

from universality.sae import kernels
from universality.sae.auxiliary import DENSE_DEAD, DenseAuxiliary
from universality.sae.stepper import (
    AutogradStep,
    Losses,
    Parameters,
    Rates,
    StepOutcome,
    auxiliary_loss,
    batch_spread,
    decode_slots,
)
from universality.sae.topk import top_k

TILE_BYTES = 1 << 25
"""Pre-activations held at one time: inside a last-level cache, and enough rows for a fast product."""
WORTH_SHARING = 1 << 19
"""Pre-activations of a batch below which waking a second thread costs more than it saves."""
LATENT_PARTS = 16
"""Ranges of latents that threads share; fixed, so that sums do not depend on the number of threads."""


class _Slots:
    """Active latents of a batch and what they leave of their target, in buffers that are used again."""

    def __init__(self, n: int, k: int, d_in: int):
        self.indices, self.values = np.empty((n, k), np.int32), np.empty((n, k), np.float32)
        self.slopes, self.error = np.empty((n, k), np.float32), np.empty((n, d_in), np.float32)
        self.squared = np.zeros(n, np.float32)

    def group(self, d_sae: int, scale: float) -> tuple:
        """Sorted by latent, as :func:`kernels.update_latents` takes a group."""
        starts, entries = np.empty(d_sae + 1, np.int64), np.empty(self.indices.size, np.int64)
        kernels.group_by_latent(self.indices, starts, entries)
        return starts, entries, self.values.ravel(), self.slopes.ravel(), self.error, np.float32(scale)


class CPUStep:
    """Buffers and kernels of a step on the CPU.

    No dense gradient of activations or weights is formed. ``threads`` share rows and latents; the bytes of
    the result depend on their number only through the encoder's matrix product.

    Args:
        p, m, v: weights and Adam's moments, changed in place.
        silent: int64 (d_sae,), rows since a latent last fired; changed in place.
        k, aux_k, aux_coefficient: as in the config.
        threads: threads to use.
    """

    def __init__(
        self,
        p: Parameters,
        m: Parameters,
        v: Parameters,
        silent: torch.Tensor,
        *,
        k: int,
        aux_k: int,
        aux_coefficient: float,
        threads: int = 1,
    ):
        self.p, self.m, self.v, self.silent = p, m, v, silent
        self.k, self.aux_k, self.c, self.threads = k, aux_k, aux_coefficient, threads
        self.d_sae, self.d_in = p.W_dec.shape
        self._pool = (
            ThreadPoolExecutor(threads, initializer=torch.set_flush_denormal, initargs=(True,))
            if threads > 1
            else None
        )
        self._slots, self._tile = _Slots(0, k, self.d_in), torch.empty((0, self.d_sae))

    def step(self, x: torch.Tensor, dead: torch.Tensor, rates: Rates) -> StepOutcome:
        """Train on the batch ``x (n, d_in)``; ``dead`` are the latents (int64) that auxiliary slots may use."""
        n, seen = len(x), x - self.p.b_dec
        main = self._buffers(n)
        aux_k = min(self.aux_k, len(dead)) if self.c else 0
        few = len(dead) <= DENSE_DEAD * aux_k
        aux = _Slots(n, 0 if few else aux_k, self.d_in)
        dense = DenseAuxiliary(self.p.W_dec, dead if few else dead[:0], aux_k if few else 0)
        for start in range(0, n, len(self._tile)):
            tile = seen[start : start + len(self._tile)]
            pre = self._fill(tile, start, main, aux, dead)
            dense.add(pre, torch.from_numpy(main.error[start : start + len(tile)]), tile)
        variance, squared = _variance(seen), float(main.squared.sum(dtype=np.float64))
        aux_squared = dense.squared if few else float(aux.squared.sum(dtype=np.float64))
        aux_scale = self.c / squared if aux_k and squared > 0 else 0.0
        fvu = squared / variance
        outcome = StepOutcome(
            loss=fvu + aux_scale * aux_squared,
            fvu=fvu,
            l0=float(np.count_nonzero(main.values)) / n,
        )
        if math.isfinite(outcome.loss):
            groups = (main.group(self.d_sae, -2 / variance), aux.group(self.d_sae, -2 * aux_scale))
            extra = dense.extra(self.d_sae, -2 * aux_scale)
            direct = main.error.sum(axis=0) * np.float32(-2 / variance)
            self._update(seen.numpy(), groups, extra, direct, rates)
            starts = groups[0][0]
            self.silent += n
            self.silent[torch.from_numpy(np.flatnonzero(np.diff(starts)))] = 0
        return outcome

    def extra_state(self) -> dict[str, torch.Tensor]:
        """Nothing beyond weights and moments."""
        return {}

    def close(self) -> None:
        """End the threads."""
        if self._pool is not None:
            self._pool.shutdown()

    def _buffers(self, n: int) -> _Slots:
        """Buffers for a batch of n rows; fresh ones only when n changes."""
        if len(self._slots.indices) != n:
            self._slots = _Slots(n, self.k, self.d_in)
            self._tile = torch.empty((min(n, max(64, TILE_BYTES // (4 * self.d_sae))), self.d_sae))
        return self._slots

    def _share(self, n: int, parts: int, n_work: int, work: Callable[[int, int, int], None]) -> None:
        """Call ``work(part, first, last)`` on ``parts`` ranges of ``n``, on all threads where that pays."""
        cuts = [n * part // parts for part in range(parts + 1)]
        ranges = [(part, cuts[part], cuts[part + 1]) for part in range(parts) if cuts[part] < cuts[part + 1]]
        if self._pool is None or n_work < WORTH_SHARING:
            for part in ranges:
                work(*part)
        else:
            list(self._pool.map(lambda part: work(*part), ranges))

    def _fill(
        self, seen: torch.Tensor, start: int, main: _Slots, aux: _Slots, dead: torch.Tensor
    ) -> torch.Tensor:
        """Encode, select and decode one tile of rows; returns its pre-activations."""
        pre = torch.addmm(self.p.b_enc, seen, self.p.W_enc_rows.T, out=self._tile[: len(seen)])
        W_dec, target = self.p.W_dec.numpy(), seen.numpy()
        names = dead.numpy().astype(np.int32)

        def work(_: int, first: int, last: int) -> None:
            here = slice(start + first, start + last)
            for slots, goal in ((main, target[first:last]), (aux, main.error[here])):
                k = slots.indices.shape[1]
                if k == 0:
                    continue
                own = pre[first:last] if slots is main else pre[first:last].index_select(1, dead)
                indices, values = (part.numpy() for part in top_k(own, k))
                if slots is aux:
                    indices = np.where(indices >= 0, names[indices], np.int32(-1))
                slots.indices[here], slots.values[here] = indices, values
                kernels.row_errors(
                    indices, values, W_dec, goal, slots.error[here], slots.slopes[here], slots.squared[here]
                )

        self._share(len(seen), self.threads, len(seen) * self.d_sae, work)
        return pre

    def _update(
        self, seen: np.ndarray, groups: tuple, extra: tuple, grad_b_dec: np.ndarray, rates: Rates
    ) -> None:
        p, m, v = ({k: t.numpy() for k, t in held.named().items()} for held in (self.p, self.m, self.v))
        weights = (p["W_enc_rows"], p["W_dec"])
        moments = (m["W_enc_rows"], v["W_enc_rows"], m["W_dec"], v["W_dec"])
        widths = (self.k, groups[1][1].size // len(seen) or 1)
        grad_b_enc = np.empty(self.d_sae, np.float32)
        through = np.zeros((LATENT_PARTS, self.d_in), np.float32)
        packed = rates.packed()

        def work(part: int, first: int, last: int) -> None:
            kernels.update_latents(
                first, last, widths, seen, groups, extra, weights, moments, packed, grad_b_enc, through[part]
            )

        self._share(self.d_sae, LATENT_PARTS, len(seen) * self.d_sae, work)
        # b_dec is subtracted before the encoder and added after the decoder.
        kernels.adam_row(p["b_dec"], grad_b_dec - through.sum(axis=0), m["b_dec"], v["b_dec"], packed, False)
        kernels.adam_row(p["b_enc"], grad_b_enc, m["b_enc"], v["b_enc"], packed, False)


def _variance(rows: torch.Tensor) -> float:
    """``sum ||row - mean||^2``, at least 1e-30; float64, for the difference of two sums loses digits."""
    spread = float(torch.linalg.vector_norm(rows, dtype=torch.float64)) ** 2
    mean = rows.mean(0, dtype=torch.float64)
    return max(spread - len(rows) * float(mean @ mean), 1e-30)


class TorchStep(AutogradStep):
    """The same step in torch operations, for any device and as the dense reference of the tests."""

    def __init__(
        self,
        p: Parameters,
        m: Parameters,
        v: Parameters,
        silent: torch.Tensor,
        *,
        k: int,
        aux_k: int,
        aux_coefficient: float,
    ):
        super().__init__(p, m, v, silent)
        self.k, self.aux_k, self.c = k, aux_k, aux_coefficient

    def losses(
        self, leaves: dict[str, torch.Tensor], x: torch.Tensor, dead: torch.Tensor, t: int = 1
    ) -> Losses:
        """Loss, fvu, and the indices and values of the active latents."""
        pre = torch.addmm(leaves["b_enc"], x - leaves["b_dec"], leaves["W_enc_rows"].T)
        indices, values = top_k(pre, self.k)
        error = x - leaves["b_dec"] - decode_slots(indices, values, leaves["W_dec"])
        squared = error.square().sum()
        loss = fvu = squared / batch_spread(x)
        loss = loss + auxiliary_loss(leaves["W_dec"], pre, error, dead, self.aux_k, self.c)
        return loss, fvu, indices, values
