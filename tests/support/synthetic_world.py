"""Sparse latents of several models over one text, some of them shared: planted concepts, noise and all."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse
from scipy.optimize import linear_sum_assignment
from synthetic_text import Text

#: How a concept's latents come out of the level tests.
LEVELS = ("context", "token", "domain")


@dataclass(frozen=True)
class Dictionary:
    """One model's latents: activations (n_rows, n), the concept of each latent (-1 dead), and who is alive."""

    acts: sparse.csr_matrix
    concept: np.ndarray
    alive: np.ndarray


@dataclass(frozen=True)
class Pairing:
    """Every assigned pair of two dictionaries, its r on both halves, and the whole similarity on the fit rows."""

    latent_a: np.ndarray
    latent_b: np.ndarray
    r: np.ndarray
    r_held_out: np.ndarray
    similarity: np.ndarray
    held_out: np.ndarray


Node = tuple[str, int]
Pairings = dict[tuple[str, str], Pairing]


@dataclass(frozen=True)
class Material:
    """All that the tables of a comparison are made of."""

    rng: np.random.Generator
    comparison: str
    text: Text
    world: World
    dictionaries: dict[str, Dictionary]
    pairings: Pairings
    trained: list[str]
    untrained: list[str]

    @property
    def main(self) -> Pairings:
        """Pairings of two compared models."""
        return {pair: p for pair, p in self.pairings.items() if set(pair) <= set(self.trained)}

    @property
    def alive(self) -> list[Node]:
        """Alive features of the compared models."""
        return [(m, int(i)) for m in self.trained for i in np.flatnonzero(self.dictionaries[m].alive)]


class World:
    """Concepts of a text; a concept is a set of rows and a strength on each."""

    def __init__(self, text: Text, n_latents: int, rng: np.random.Generator) -> None:
        self.text, self.n_latents, self.rng = text, n_latents, rng
        self.rows: list[np.ndarray] = []
        self.strength: list[np.ndarray] = []
        self.level: list[str] = []
        self.loudness: list[float] = []

    def concept(self, kind: str, domain: int | None = None) -> int:
        """Add a concept and return its number."""
        a, rng = self.text.arrays, self.rng
        strong = domain is not None
        domain = int(rng.integers(len(self.text.domains))) if domain is None else domain
        inside = np.flatnonzero(a["row_domain"] == domain)
        if kind == "domain":
            rows = inside[rng.random(len(inside)) < (0.95 if strong else rng.uniform(0.2, 0.7))]
        elif kind == "rare":
            rows = rng.choice(inside, 6, replace=False)
        else:
            known = np.unique(a["row_token"][inside])
            chosen = rng.choice(known, min(len(known), int(rng.integers(1, 4))), replace=False)
            rows = inside[np.isin(a["row_token"][inside], chosen)]
            if kind == "context":
                before = a["row_token"][np.maximum(rows - 1, 0)]
                rows = rows[(before * 7 + int(rng.integers(5))) % 5 < 3]
        self.rows.append(rows)
        self.strength.append(rng.gamma(4.0, 0.25, len(rows)) * rng.uniform(0.5, 4.0))
        self.level.append(kind if kind in LEVELS else "")
        self.loudness.append(0.4 if strong else rng.uniform(0.3, 2.6))
        return len(self.rows) - 1

    def dictionary(self, concepts: list[int], noise: float) -> Dictionary:
        """Latents for some concepts in a random order; the rest of the dictionary is dead. ``noise``: 0..1."""
        rng = self.rng
        place = rng.permutation(self.n_latents)[: len(concepts)]
        rows, columns, values = [], [], []
        for latent, concept in zip(place, concepts, strict=True):
            lost = min(noise * self.loudness[concept], 0.8)
            kept = rng.random(len(self.rows[concept])) > lost
            extra = rng.integers(0, self.text.n_rows, int(lost * 0.2 * len(kept)))
            own = self.strength[concept][kept] * rng.lognormal(0, lost, kept.sum())
            rows += [self.rows[concept][kept], extra]
            columns += [np.full(kept.sum() + len(extra), latent)]
            values += [own, rng.gamma(2.0, 0.1, len(extra))]
        shape = (self.text.n_rows, self.n_latents)
        joined = (np.concatenate(values), (np.concatenate(rows), np.concatenate(columns)))
        acts = sparse.csr_matrix(joined, shape=shape, dtype=np.float32)
        acts.sort_indices()
        of = np.full(self.n_latents, -1)
        of[place] = concepts
        fit = self.text.arrays["row_fit"]
        firing = acts > 0
        counts = np.minimum(np.asarray(firing[fit].sum(0)), np.asarray(firing[~fit].sum(0))).ravel()
        return Dictionary(acts, of, counts >= 20)


def pair_up(a: Dictionary, b: Dictionary, fit: np.ndarray) -> Pairing:
    """Pearson r on both halves, and the assignment of largest sum on the fit half."""
    similarity, held_out = _pearson(a, b, fit), _pearson(a, b, ~fit)
    alive_a, alive_b = np.flatnonzero(a.alive), np.flatnonzero(b.alive)
    i, j = linear_sum_assignment(-similarity[np.ix_(alive_a, alive_b)])
    latent_a, latent_b = alive_a[i], alive_b[j]
    kept = similarity[latent_a, latent_b] > 0
    latent_a, latent_b = latent_a[kept], latent_b[kept]
    return Pairing(
        latent_a, latent_b, similarity[latent_a, latent_b], held_out[latent_a, latent_b], similarity, held_out
    )


def _pearson(a: Dictionary, b: Dictionary, rows: np.ndarray) -> np.ndarray:
    x, y = a.acts[rows].astype(float), b.acts[rows].astype(float)
    n = x.shape[0]
    mean_x, mean_y = np.asarray(x.mean(0)).ravel(), np.asarray(y.mean(0)).ravel()
    spread_x = np.sqrt(np.maximum(np.asarray(x.multiply(x).mean(0)).ravel() - mean_x**2, 0))
    spread_y = np.sqrt(np.maximum(np.asarray(y.multiply(y).mean(0)).ravel() - mean_y**2, 0))
    covariance = np.asarray((x.T @ y).todense()) / n - np.outer(mean_x, mean_y)
    scale = np.outer(spread_x, spread_y)
    return np.divide(covariance, scale, out=np.zeros_like(covariance), where=scale > 0)
