"""When planted features happen, and how a model sees them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from universality.planted.planted_config import PlantConfig
from universality.planted.text import Text


@dataclass(frozen=True, eq=False)
class Events:
    """The true events of one feature: rows (sorted, unique), their strength, and its document profile."""

    rows: np.ndarray
    strength: np.ndarray
    intensity: np.ndarray

    def part(self, chosen: np.ndarray) -> Events:
        """The events where ``chosen`` is True."""
        return Events(self.rows[chosen], self.strength[chosen], self.intensity)


def draw_rates(config: PlantConfig, n: int, rng: np.random.Generator) -> np.ndarray:
    """Zipf firing rates: uniform in the logarithm between ``min_rate`` and ``max_rate``."""
    low, high = np.log([min(config.min_rate, config.max_rate), config.max_rate])
    return np.exp(rng.uniform(low, high, n))


def document_events(text: Text, rate: float, shape: float, rng: np.random.Generator) -> Events:
    """Events whose rate varies by document with a Gamma intensity of the given shape and mean 1."""
    intensity = rng.gamma(shape, 1.0 / shape, text.lengths.size)
    rows = _draw(text, np.minimum(rate * intensity, 0.5), rng)
    return Events(rows, _strength(rows.size, rng), intensity)


def mask_events(text: Text, eligible: np.ndarray, probability: float, rng: np.random.Generator) -> Events:
    """Events on eligible rows only, each with the given probability, independent of everything else."""
    rows = np.flatnonzero(eligible)
    rows = rows[rng.random(rows.size) < probability]
    return Events(rows, _strength(rows.size, rng), np.ones(text.lengths.size))


def observe(events: Events, text: Text, config: PlantConfig, rng: np.random.Generator) -> Events:
    """One dictionary's view of a feature: missed events, own gain, false firings in the same documents."""
    seen = events.part(rng.random(events.rows.size) >= config.miss)
    gain = np.exp(config.noise * rng.standard_normal(seen.rows.size))
    rate = config.spurious * events.rows.size / max(text.documents.size, 1)
    false_rows = _draw(text, np.minimum(rate * events.intensity, 0.5), rng)
    false_rows = np.setdiff1d(false_rows, seen.rows, assume_unique=True)
    rows = np.concatenate([seen.rows, false_rows])
    strength = np.concatenate([seen.strength * gain, 0.5 * _strength(false_rows.size, rng)])
    order = np.argsort(rows, kind="stable")
    return Events(rows[order], strength[order], events.intensity)


def _draw(text: Text, probability: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    counts = rng.binomial(text.lengths, probability)
    of = np.repeat(np.arange(counts.size), counts)
    rows = text.starts[of] + (rng.random(of.size) * text.lengths[of]).astype(np.int64)
    return np.unique(rows)


def _strength(n: int, rng: np.random.Generator) -> np.ndarray:
    return np.exp(0.3 * rng.standard_normal(n))
