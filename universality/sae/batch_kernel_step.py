"""The step of BatchTopK and Matryoshka dictionaries on the CPU, by the sparse kernels of TopK's."""

import math
from collections.abc import Sequence

import numpy as np
import torch

from universality.sae import kernels, selection
from universality.sae.autograd_step import Rates, StepOutcome, observation_decay
from universality.sae.auxiliary import DenseAuxiliary
from universality.sae.topk_kernel_step import Slots, TopKKernelStep, strongest_dead


class BatchKernelStep(TopKKernelStep):
    """What autograd does by :meth:`BatchTopKArchitecture.losses`, without dense gradients.

    Pre-activations are held one tile of rows at a time. Of those before it only what may still be among the
    ``n * k`` largest is stored, at most about twice as many per thread, so the selection is exact and the dictionary
    is encoded once. Besides: an error (n, d_in) per prefix, the ``aux_k`` largest dead latents of each row, and
    where few latents are dead (see :data:`DENSE_DEAD`) the pre-activations of these. Of equal pre-activations at
    the limit those of lower rows are active, then those of lower latents. k is a mean over the batch.
    """

    def step(self, x: torch.Tensor, dead: torch.Tensor, rates: Rates) -> StepOutcome:
        """Train on the batch ``x (n, d_in)``; ``dead`` are the latents (int64) that auxiliary slots may use."""
        outcome = super().step(x, dead, rates)
        # A batch that was not trained on says nothing about the threshold.
        if math.isfinite(outcome.loss):
            values = torch.from_numpy(self._slots.values)
            self.config.kind.observe(values, self.state, observation_decay(self.n_steps))
        return outcome

    def _fresh(self, n: int) -> Slots:
        return BatchSlots(n, self.d_in, self.config.kind.prefixes(self.config))

    def _explain(self, seen: torch.Tensor, main: Slots, aux: Slots, dense: DenseAuxiliary, dead: torch.Tensor) -> None:
        assert isinstance(main, BatchSlots)
        n, target = len(seen), seen.numpy()
        candidates = Candidates(n * self.k, self.threads)
        # The limit is known only after the last tile: what the auxiliary loss needs of the others is put aside.
        dead_pre = torch.empty((n, len(dense.dead)))
        for start, tile, pre in self._tiles(seen):

            def select(part: int, first: int, last: int, start: int = start, pre: torch.Tensor = pre) -> None:
                candidates.take(part, pre[first:last].numpy(), start + first)
                if aux.indices.size:
                    strongest_dead(pre[first:last], dead, aux, slice(start + first, start + last))

            self._share(len(tile), self.threads, len(tile) * self.d_sae, select)
            candidates.merge()
            dead_pre[start : start + len(tile)] = pre.index_select(1, dense.dead)
        main.fill(candidates, self.d_sae)  # now rows have their slots, as many as each has: all else is by rows

        def decode(_: int, first: int, last: int) -> None:
            main.decode(first, last, self.state.p.W_dec.numpy(), target)
            if aux.indices.size:
                self._decode(aux, slice(first, last), main.error[first:last])

        self._share(n, self.threads, n * self.d_sae, decode)
        dense.add(dead_pre, torch.from_numpy(main.error), seen)


class Candidates:
    """The ``keep`` largest positive pre-activations of the rows seen so far, equal ones by lower position.

    Tiles come in rising order. The parts of a tile are taken by different threads, each into a pool of its own,
    from the limit that all tiles before it have set; merging them in the order of their rows makes the outcome
    that of one thread.

    Args:
        keep: entries to select from the whole batch.
        parts: of a tile; every part is taken at most once before a merge.
        spare: candidates stored per part beyond ``keep`` before they are cut, at least :data:`selection.BLOCK`.

    Attributes:
        bits: int32, the values' bits. where: int64, ``row * d_sae + latent``, rising. Complete after a merge.
    """

    def __init__(self, keep: int, parts: int, spare: int | None = None):
        self.keep, self.bound = keep, 1
        self.bits, self.where = np.empty(0, np.int32), np.empty(0, np.int64)
        room = keep + (max(keep, 64 * selection.BLOCK) if spare is None else spare)
        self._pools = [(np.empty(room, np.int32), np.empty(room, np.int64)) for _ in range(parts)]
        self._states = np.zeros((parts, 2), np.int64)
        self._states[:, 1] = self.bound

    def take(self, part: int, pre: np.ndarray, start: int) -> None:
        """Look through the rows ``start …`` of the batch, (rows, d_sae)."""
        selection.collect_top(pre, start, self.keep, self._states[part], *self._pools[part])

    def merge(self) -> None:
        """Join the candidates of a tile's parts to those of the tiles before."""
        counts = self._states[:, 0]
        # In the order of rows, parts of a tile after all tiles before it: of equal values the first are let in.
        pools = [(self.bits, self.where)]
        pools += [(bits[:n], where[:n]) for (bits, where), n in zip(self._pools, counts, strict=True)]
        bits, where = (np.concatenate(parts) for parts in zip(*pools, strict=True))
        # The bound of the next tile: the least of keep values seen, below which nothing can be selected any more.
        self.bound = selection.cut_top(len(bits), self.keep, np.int32(self.bound), bits, where)
        self.bits, self.where = bits[: self.keep], where[: self.keep]
        self._states[:] = 0, self.bound


class BatchSlots(Slots):
    """Active latents of a batch in rows of any length, side by side: ``indices`` and the like are (1, slots).

    Within a row they rise, so that each level's are a stretch. ``ends`` are the prefixes.
    """

    def __init__(self, n: int, d_in: int, ends: Sequence[int]):
        super().__init__(n, 0, d_in, ends)
        self.starts = np.zeros(n + 1, np.int64)

    def fill(self, selected: Candidates, d_sae: int) -> None:
        """Take over what was selected."""
        rows, latents = np.divmod(selected.where, d_sae)
        # Positions rise, so rows do, and within a row latents do: what the kernels ask of slots.
        self.rows, self.indices = rows.astype(np.int32), latents.astype(np.int32)[None]
        self.values = selected.bits.view(np.float32)[None]
        self.slopes = np.empty_like(self.values)
        self.starts[:] = np.searchsorted(rows, np.arange(len(self.starts)))

    def decode(self, first: int, last: int, W_dec: np.ndarray, target: np.ndarray) -> None:
        """What the levels leave of some rows' target (n, d_in)."""
        # Whole arrays and a range: a cut through (levels, n, d_in) is not contiguous, and its sums would differ.
        slots = self.starts, self.indices[0], self.values[0], np.array(self.ends)
        out = self.errors, self.slopes[0], self.squared
        kernels.nested_errors(first, last, *slots, W_dec, target, *out)
