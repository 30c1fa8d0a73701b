"""What features do in a synthetic run: effects that follow from how alike two features fire, and noise."""

from __future__ import annotations

import numpy as np
import pandas as pd

from universality.compare.pair_plan import Pair
from universality.effects.effect_table import effect_agreement_table
from universality.effects.pair_effects import PairEffects, effect_classes
from universality.table_schemas import TABLES

N_RESAMPLES, N_SOURCES = 20, 8
#: Share of held-out r that an effect agrees by, by kind.
_STRENGTH = {"matched": 0.7, "ceiling": 0.9, "floor": 0.0, "runner_up": 0.4, "hard_exchange": 0.1, "random": 0.0,
             "random_direction": 0.0}  # fmt: skip
_CONTROLS = ("runner_up", "hard_exchange", "random", "random_direction")


def pair_effects_of(rng: np.random.Generator, pairs: pd.DataFrame, kind: str, tau: float) -> PairEffects:
    """Effects of the assigned pairs of two dictionaries, with controls where they are of two models."""
    kinds = ("matched", *_CONTROLS) if kind == "matched" else (kind, "random_direction")
    parts = []
    for name in kinds:
        part = pairs[["model_a", "latent_a", "model_b", "latent_b", "level", "edge", "r_held_out"]].copy()
        r = np.clip(_STRENGTH[name] * part["r_held_out"] + rng.normal(0, 0.08, len(part)), -1, 1)
        if name == "matched":  # every sixth pair does something else
            r *= np.arange(len(part)) % 6 != 0
        both = np.clip(1.2 * r, -1, 1)
        substituted = name in ("matched", "runner_up", "hard_exchange", "ceiling", "floor")
        parts.append(
            part.assign(
                kind=name, r_effect=r, r_effect_low=np.clip(r - 0.1, -1, 1), r_effect_high=np.clip(r + 0.1, -1, 1),
                r_effect_both=both, r_effect_both_low=np.clip(both - 0.15, -1, 1),
                r_effect_both_high=np.clip(both + 0.15, -1, 1),
                recovered=np.clip(1.3 * r, -1, 1) if substituted else np.nan, weight=1.0,
            )
        )  # fmt: skip
    table = pd.concat(parts, ignore_index=True)
    table["effect_class"] = effect_classes(table, tau)
    table = table[TABLES["effects"].names]
    draws = [np.clip(table[column].to_numpy()[:, None] + rng.normal(0, 0.05, (len(table), N_RESAMPLES)), -1, 1)
             for column in ("r_effect", "r_effect_both")]  # fmt: skip
    ablated = rng.uniform(0.5, 1.5, (len(table), N_SOURCES))
    return PairEffects(table, *draws, ablated * (1 - table["recovered"].to_numpy()[:, None]), ablated)


def attribution_of(rng: np.random.Generator, effects: pd.DataFrame) -> pd.DataFrame:
    """First-order effects of the same pairs: near the exact ones, on more rows."""
    both = np.clip(effects["r_effect_both"] + rng.normal(0, 0.05, len(effects)), -1, 1)
    random = effects["kind"] == "random_direction"
    return effects.assign(
        r_gradient=np.clip(effects["r_effect"] + rng.normal(0, 0.05, len(effects)), -1, 1), r_gradient_both=both,
        r_gradient_both_low=np.clip(both - 0.05, -1, 1), r_gradient_both_high=np.clip(both + 0.05, -1, 1),
        r_exact_a=rng.uniform(0.8, 1.0, len(effects)),
        r_exact_b=np.where(random, np.nan, rng.uniform(0.8, 1.0, len(effects))),
    )[TABLES["attribution"].names]  # fmt: skip


def agreement_of(effects: dict[Pair, PairEffects], tau: float) -> pd.DataFrame:
    """The table ``effect_agreement`` of these pairs."""
    weights = np.ones((N_RESAMPLES, N_SOURCES))
    return effect_agreement_table(effects, weights, tau=tau, confidence=0.95)


def curve_of(pair: Pair, n_alive: int) -> pd.DataFrame:
    """The substitution curves of two models."""
    counts = np.unique(np.geomspace(1, max(n_alive, 2), 6).round().astype(np.int64))
    parts = []
    for kind, best in (("matched", 0.95), ("runner_up", 0.7), ("hard_exchange", 0.4)):
        for a, b in (pair, pair[::-1]) if kind == "matched" else (pair,):
            recovered = best - 0.3 * counts / counts.max()
            parts.append(
                pd.DataFrame(
                    {"model_a": a, "model_b": b, "kind": kind, "n_replaced": counts, "share": counts / counts.max(),
                     "recovered": recovered}
                )
            )  # fmt: skip
    return pd.concat(parts, ignore_index=True)


def latent_attribution_of(rng: np.random.Generator, latent_effects: pd.DataFrame) -> pd.DataFrame:
    """What ablating each of these latents would do to first order."""
    n = latent_effects["n_rows"]
    return pd.DataFrame(
        {"latent": latent_effects["latent"], "n_rows": 10 * n, "loss_change": 1.1 * latent_effects["loss_change"],
         "r_exact": np.where(n >= 20, rng.uniform(0.8, 1.0, len(n)), np.nan), "n_exact": n}
    )  # fmt: skip


def latent_effects_of(rng: np.random.Generator, n_latents: int) -> pd.DataFrame:
    """What ablating each latent of a dictionary does."""
    fires = rng.integers(0, 200, n_latents)
    loss = np.where(fires > 0, rng.exponential(0.02, n_latents), np.nan)
    return pd.DataFrame(
        {"latent": np.arange(n_latents), "measured": True, "n_rows": fires, "loss_change": loss,
         "divergence": 0.9 * loss,
         "helps": np.where(fires > 0, rng.uniform(0.4, 0.7, n_latents), np.nan)}
    )  # fmt: skip
