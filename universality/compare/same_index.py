"""Latents of equal number, side by side: the control of dictionaries that share a start, or are one and the same."""

from __future__ import annotations

import numpy as np
import pandas as pd

from universality.compare.pair import DictionaryPair
from universality.compare.pair_plan import check_equal_numbers
from universality.compare.pairing import beyond_tokens
from universality.correlation.pairs import prepared_pairs
from universality.seeds import generator
from universality.table_schemas import SAME_INDEX


def same_index(pair: DictionaryPair, matched: pd.DataFrame, kind: str) -> pd.DataFrame:
    """Held-out r of latents of equal number, and whom the matching assigned to them.

    Chance keeps the same latents and exchanges their numbers: those of b are rolled, among the latents alive in both,
    by an offset drawn once per pair.

    Args:
        pair: two dictionaries of equally many latents.
        matched: the table ``matched`` of the pair.
        kind: what the pair is, ``features`` or ``untrained``.

    Returns:
        Table ``same_index``: one row per latent alive in both dictionaries.

    Raises:
        InputError: dictionaries of different numbers of latents.

    Source: ours.
    """
    a, b = pair.a, pair.b
    check_equal_numbers({one.name: one.d_sae for one in (a, b)}, "the pair")
    both = np.flatnonzero(a.alive & b.alive)
    draws = generator(pair.root_seed, "same_index", *pair.names)
    rolled = np.roll(both, int(draws.integers(1, both.size))) if both.size > 1 else both
    r, by_chance = (
        prepared_pairs(a.score_side, b.score_side, both, other, threads=pair.threads).r for other in (both, rolled)
    )
    partners = matched.set_index("latent_a").reindex(both)
    table = pd.DataFrame(
        {
            "model_a": a.name,
            "model_b": b.name,
            "kind": kind,
            "latent": both,
            "r_held_out": r,
            "r_token": beyond_tokens(pair, both, both),
            "partner": partners["latent_b"].to_numpy(),
            "r_partner": partners["r_held_out"].to_numpy(),
            # Of one latent alone there is nothing to exchange.
            "rolled": pd.array(rolled if both.size > 1 else [None] * both.size, dtype="Int64"),
            "r_rolled": by_chance if both.size > 1 else np.nan,
        }
    )
    return SAME_INDEX.typed(table[SAME_INDEX.names])
