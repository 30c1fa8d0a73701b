"""Which latents are ablated where every ablation is a forward pass and a dictionary has too many latents for that."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from universality.compare.pair_plan import Pair
from universality.seeds import generator

#: Latents that an assigned pair asks for on one side at most: its own, and on side b the runner-up.
_PER_PAIR = 2


def choose_ablated(
    pairs: Mapping[Pair, tuple[pd.DataFrame, np.ndarray]], sizes: Mapping[str, np.ndarray], most: int, root_seed: int
) -> tuple[dict[Pair, np.ndarray], dict[str, np.ndarray]]:
    """Choose assigned pairs, and with them the latents that are ablated.

    A dictionary with no more latents than ``most`` has all of them ablated. Of any other the pairs come first
    (:func:`pair_weights`), as many of every pair of dictionaries as fit whatever these have in common; what they leave
    goes to the latents of the largest size.

    Args:
        pairs: by two dictionaries, their assigned pairs (columns ``latent_a, latent_b, level``) and the runner-up of
            each in b, -1 where there is none or no such control.
        sizes: by dictionary (d_sae,), what ablating each latent does to the loss to first order, at least 0.
        most: latents of a dictionary.
        root_seed: of the comparison.

    Returns:
        By pair (n_pairs,) how many assigned pairs each one stands for, 0 where it is not measured; and by dictionary
        (d_sae,) whether a latent is ablated.

    Source: attribution patching as a screen for exact patching (Nanda 2023); the draw of the rest is ours.
    """
    ablated = {name: np.full(size.size, size.size <= most) for name, size in sizes.items()}
    weights = {}
    for (a, b), (matched, _) in pairs.items():
        i, j = (matched[f"latent_{side}"].to_numpy(np.int64) for side in "ab")
        wide = [name for name in (a, b) if sizes[name].size > most]
        shares = [most // (_PER_PAIR * sum(name in pair for pair in pairs)) for name in wide]
        size = np.sqrt(sizes[a][i] * sizes[b][j])
        rng = generator(root_seed, "ablated-pairs", a, b)
        weights[a, b] = pair_weights(size, matched["level"].astype(str).to_numpy(), min(shares, default=len(i)), rng)
    for (a, b), (matched, seconds) in pairs.items():
        chosen = weights[a, b] > 0
        ablated[a][matched["latent_a"].to_numpy(np.int64)[chosen]] = True
        ablated[b][matched["latent_b"].to_numpy(np.int64)[chosen]] = True
        ablated[b][seconds[chosen & (seconds >= 0)]] = True
    for name, chosen in ablated.items():
        others = np.flatnonzero(~chosen & (sizes[name] > 0))
        largest = others[np.argsort(-sizes[name][others], kind="stable")]
        chosen[largest[: max(most - int(chosen.sum()), 0)]] = True
    return weights, ablated


def pair_weights(
    size: np.ndarray, strata: Sequence[str] | np.ndarray, most: int, rng: np.random.Generator
) -> np.ndarray:
    """Choose some pairs so that weighted means over them estimate means over all.

    Half are the largest and stand for themselves; half are drawn from the rest, alike from every stratum, and each
    stands for as many of its stratum as were not drawn.

    Args:
        size: (n_pairs,) what makes a pair matter. strata: (n_pairs,) of each. most: pairs. rng: draws them.

    Returns:
        (n_pairs,) float64 that sum to n_pairs where every stratum has a pair; 0 where a pair is not chosen.
    """
    if size.size <= most:
        return np.ones(size.size)
    weights, order = np.zeros(size.size), np.argsort(-size, kind="stable")
    largest, rest = order[: most // 2], np.sort(order[most // 2 :])
    weights[largest] = 1.0
    codes = np.unique(np.asarray(strata)[rest], return_inverse=True)[1].ravel()
    counts = np.bincount(codes)
    quotas = np.zeros_like(counts)
    for _ in range(most - largest.size):
        open_strata = np.flatnonzero(quotas < counts)
        quotas[open_strata[quotas[open_strata].argmin()]] += 1
    for code in np.flatnonzero(quotas):
        drawn = rng.permutation(rest[codes == code])[: quotas[code]]
        weights[drawn] = counts[code] / quotas[code]
    return weights
