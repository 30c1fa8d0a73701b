"""When planted features happen, and how a model sees them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from universality.planted.planted_config import PlantConfig
from universality.planted.text import Text


@dataclass(frozen=True, eq=False)
class Events:
    """The true events of one feature: rows (sorted, unique), their strength, and its document profile.

    ``doubt`` says how much more than elsewhere dictionaries miss and add in each document; None: nowhere.
    """

    rows: np.ndarray
    strength: np.ndarray
    intensity: np.ndarray
    doubt: np.ndarray | None = None

    def part(self, chosen: np.ndarray) -> Events:
        """The events where ``chosen`` is True."""
        return replace(self, rows=self.rows[chosen], strength=self.strength[chosen])


def draw_rates(config: PlantConfig, n: int, rng: np.random.Generator) -> np.ndarray:
    """Zipf firing rates: uniform in the logarithm between ``min_rate`` and ``max_rate``."""
    low, high = np.log([min(config.min_rate, config.max_rate), config.max_rate])
    return np.exp(rng.uniform(low, high, n))


def document_events(
    text: Text,
    rate: float,
    shape: float,
    rng: np.random.Generator,
    *,
    sigma: float = 0.3,
    source_shape: float | None = None,
) -> Events:
    """Events whose rate varies by document with a Gamma intensity of the given shape and mean 1.

    Args:
        text: the rows. rate: firings per row. shape: of the Gamma; small values live in few documents.
        rng: source of all draws.
        sigma: s.d. of the log strength.
        source_shape: shape of further Gamma intensities over sources, one of the rate and one of the doubt.
    """
    intensity, doubt = rng.gamma(shape, 1.0 / shape, text.lengths.size), None
    if source_shape is not None:
        source_of = text.sources[text.starts]
        by_source = rng.gamma(source_shape, 1.0 / source_shape, (2, source_of.max() + 1))
        intensity, doubt = intensity * by_source[0, source_of], by_source[1, source_of]
    rows = _draw(text, np.minimum(rate * intensity, 0.5), rng)
    return Events(rows, _strength(rows.size, rng, sigma), intensity, doubt)


def mask_events(text: Text, eligible: np.ndarray, probability: float, rng: np.random.Generator) -> Events:
    """Events on eligible rows only, each with the given probability, independent of everything else."""
    rows = np.flatnonzero(eligible)
    rows = rows[rng.random(rows.size) < probability]
    return Events(rows, _strength(rows.size, rng), np.ones(text.lengths.size))


def louder(events: Events, rows: np.ndarray, gain: float, rng: np.random.Generator) -> Events:
    """The events, and besides them the given rows (sorted, unique) with ``gain`` times the usual strength."""
    quiet = events.part(~np.isin(events.rows, rows))
    order = np.argsort(np.concatenate([quiet.rows, rows]), kind="stable")
    strength = np.concatenate([quiet.strength, gain * _strength(rows.size, rng)])
    return replace(events, rows=np.concatenate([quiet.rows, rows])[order], strength=strength[order])


def observe(events: Events, text: Text, config: PlantConfig, rng: np.random.Generator) -> Events:
    """One dictionary's view of a feature: missed events, own gain, false firings in the same documents."""
    doubt = np.ones(text.lengths.size) if events.doubt is None else events.doubt
    missed = config.miss * doubt[text.documents[events.rows]]
    seen = events.part(rng.random(events.rows.size) >= missed)
    gain = np.exp(config.noise * rng.standard_normal(seen.rows.size))
    rate = config.spurious * events.rows.size / max(text.documents.size, 1)
    false_rows = _draw(text, np.minimum(rate * events.intensity * doubt, 0.5), rng)
    false_rows = np.setdiff1d(false_rows, seen.rows, assume_unique=True)
    rows = np.concatenate([seen.rows, false_rows])
    strength = np.concatenate([seen.strength * gain, 0.5 * _strength(false_rows.size, rng)])
    order = np.argsort(rows, kind="stable")
    return replace(events, rows=rows[order], strength=strength[order])


def _draw(text: Text, probability: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    counts = rng.binomial(text.lengths, probability)
    of = np.repeat(np.arange(counts.size), counts)
    rows = text.starts[of] + (rng.random(of.size) * text.lengths[of]).astype(np.int64)
    return np.unique(rows)


def _strength(n: int, rng: np.random.Generator, sigma: float = 0.3) -> np.ndarray:
    return np.exp(sigma * rng.standard_normal(n))
