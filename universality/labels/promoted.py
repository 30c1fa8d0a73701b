"""What the tokens have in common that a latent makes likelier: a script, a kind of characters, a beginning, an end."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Int

from universality.labels.views import vocabulary_views

#: Share of a latent's tokens that must have it in common, and how many times its share of the vocabulary that is.
LEAST_SHARE, LEAST_LIFT = 0.6, 3.0


class Common(NamedTuple):
    """What most of some tokens have in common.

    Attributes:
        family: ``script``, ``class``, ``prefix`` or ``suffix``; ``tokens`` where they have nothing in common.
        key: what it is, as :class:`~universality.labels.views.View` has it; of ``tokens`` the first.
        n: how many of them have it.
        share: share of the vocabulary that has it, 0 to 1.
    """

    family: str
    key: tuple[Any, ...]
    n: int
    share: float


def common_parts(
    promoted: Int[np.ndarray, "n_latents n_top"],
    token_bytes: Sequence[bytes],
    special: Bool[np.ndarray, " d_vocab"],
) -> list[Common]:
    """What the tokens that each latent promotes most have in common, measured against the whole vocabulary.

    Of everything that six in ten of them have, and at least three times as many as tokens of the vocabulary, that which
    is least likely by chance (n log of the ratio of the two shares).

    Args:
        promoted: token ids, in any order of rank.
        token_bytes: what every token spells.
        special: which token ids are special.

    Source: ours.
    """
    promoted = np.asarray(promoted, np.int64)
    n_latents, n_top = promoted.shape
    found = [Common("tokens", (int(row[0]),), 1, 1 / len(token_bytes)) for row in promoted] if n_top else []
    best = np.zeros(n_latents)
    for view in vocabulary_views(token_bytes, special):
        sizes = np.bincount(view.parts[view.parts >= 0], minlength=len(view.keys)) / max((~special).sum(), 1)
        for latent, parts in enumerate(view.parts[promoted]):
            those, counts = np.unique(parts[parts >= 0], return_counts=True)
            if not those.size or counts.max() < LEAST_SHARE * n_top:
                continue
            part, n = int(those[counts.argmax()]), int(counts.max())
            lift = n / n_top / sizes[part]
            gain = n * np.log(lift)
            # Of beginnings (or ends) of the very same tokens the longest, which comes last.
            better = gain > best[latent] or (gain == best[latent] and view.family == found[latent].family)
            if lift >= LEAST_LIFT and better:
                best[latent] = gain
                found[latent] = Common(view.family, view.keys[part], n, float(sizes[part]))
    return found
