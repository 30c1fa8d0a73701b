"""Which rows effects are measured on: drawn once, the same for every dictionary."""

from __future__ import annotations

import numpy as np

from universality.rows import Rows
from universality.seeds import generator


def effect_rows(rows: Rows, n: int, root_seed: int) -> np.ndarray:
    """Numbers of at most ``n`` score rows that a token follows, drawn at random, in rising order."""
    assert rows.next_tokens is not None
    usable = np.flatnonzero(rows.score & (rows.next_tokens >= 0))
    return some_of(usable, n, generator(root_seed, "effect-rows"))


def some_of(values: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
    """At most ``n`` of sorted values, drawn without replacement, still sorted."""
    return values if values.size <= n else np.sort(rng.permutation(values)[:n])
