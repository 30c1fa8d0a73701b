"""Matryoshka BatchTopK: nested dictionaries, each of which must explain the data alone."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from universality.sae.architectures.batch_topk import BatchTopKArchitecture

if TYPE_CHECKING:
    from universality.sae.sae_config import SAETrainingConfig


class MatryoshkaArchitecture(BatchTopKArchitecture):
    """BatchTopK whose loss is the mean of ``fvu_p`` over several prefixes p of the latents.

    Source: Bussmann et al. 2025, "Learning Multi-Level Features with Matryoshka Sparse Autoencoders": prefixes of a
        sixteenth to the whole are its appendix D; the loss of its appendix B is the sum over prefixes, that of its
        trainer the mean, which keeps the weight of the auxiliary loss independent of their number.
    """

    name, label, citation = "matryoshka", "Matryoshka BatchTopK", "bussmann2025"
    settings = (*BatchTopKArchitecture.settings, "matryoshka_prefixes")

    def check(self, config: SAETrainingConfig) -> None:
        """As TopK's; prefixes must rise to d_sae."""
        super().check(config)
        sizes = config.matryoshka_prefixes
        if sizes is None:
            return
        rising = all(a < b for a, b in pairwise(sizes))
        if not (sizes and sizes[0] >= 1 and rising and sizes[-1] == config.d_sae):
            legal = f"rising from at least 1 to d_sae ({config.d_sae})"
            remedy = "Sort them, end with d_sae."
            raise ValueError(f"matryoshka_prefixes must be {legal}; got {list(sizes)}. {remedy}")

    def prefixes(self, config: SAETrainingConfig) -> tuple[int, ...]:
        """Those given, or halves of halves."""
        halves = (config.d_sae >> power for power in (4, 3, 2, 1, 0))
        return config.matryoshka_prefixes or tuple(sorted({size for size in halves if size}))
