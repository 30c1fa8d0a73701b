"""The features of a planted world: which dictionary holds which, and which raw basis carries which."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from universality.planted.events import Events, document_events, draw_rates, mask_events
from universality.planted.planted_config import PlantConfig
from universality.planted.text import Text
from universality.seeds import generator


@dataclass(frozen=True, eq=False)
class Feature:
    """One planted feature.

    Attributes:
        kind: universal, shared, specific, unstable, decodable, whole, piece, twin, domain, token,
            position or document.
        models: models whose dictionary holds a latent for it.
        raw_models: models whose raw activations carry its direction.
        events: maps a dictionary id to the true events there; decoys draw their own for each dictionary.
        whole: number of the whole that a piece belongs to, of the first twin for both twins, else -1.
        in_replicate: whether a replicate dictionary holds it too.
    """

    kind: str
    models: tuple[str, ...]
    raw_models: tuple[str, ...]
    events: Callable[[str], Events]
    whole: int = -1
    in_replicate: bool = field(default=True)


def plant_features(config: PlantConfig, text: Text, models: tuple[str, ...], root_seed: int) -> list[Feature]:
    """All features of a world, in a fixed order; a feature's number is its place in the list."""
    rng = generator(root_seed, "planted-features")
    features = [
        _real("universal", models, models, _own(config, text, rng)) for _ in range(config.n_universal)
    ]
    if len(models) > 2:
        for number in range(config.n_shared):
            size = 2 + number % (len(models) - 2)
            holders = tuple(sorted(rng.choice(models, size=size, replace=False)))
            features.append(_real("shared", holders, holders, _own(config, text, rng)))
    for model in models:
        for kind, count, carriers in (
            ("specific", config.n_specific, (model,)),
            ("unstable", config.n_unstable, (model,)),
            ("decodable", config.n_decodable, models),
        ):
            features += [_real(kind, (model,), carriers, _own(config, text, rng)) for _ in range(count)]
    for number in range(config.n_split):
        features += _split(config, text, models, number, len(features), rng)
    for number in range(config.n_twin):
        features += _twins(config, text, models, root_seed, number, len(features))
    return features + _decoys(config, text, models, root_seed, rng)


def _real(
    kind: str, models: tuple[str, ...], carriers: tuple[str, ...], events: Events, whole: int = -1
) -> Feature:
    return Feature(kind, models, carriers, lambda _: events, whole, kind != "unstable")


def _own(config: PlantConfig, text: Text, rng: np.random.Generator) -> Events:
    """Events of a context feature; every second one lives in few documents."""
    shape = config.burst if rng.random() < 0.5 else 2.0
    return document_events(text, float(draw_rates(config, 1, rng)[0]), shape, rng)


def _split(
    config: PlantConfig,
    text: Text,
    models: tuple[str, ...],
    number: int,
    first: int,
    rng: np.random.Generator,
) -> list[Feature]:
    """A whole in one model and its pieces in the others: each event belongs to exactly one piece."""
    home = models[number % len(models)]
    others = tuple(model for model in models if model != home)
    events = document_events(text, config.max_rate, 2.0, rng)
    piece_of = rng.integers(config.n_pieces, size=events.rows.size)
    pieces = [
        _real("piece", others, others, events.part(piece_of == piece), first)
        for piece in range(config.n_pieces)
    ]
    return [_real("whole", (home,), (home,), events), *pieces]


def _twins(
    config: PlantConfig, text: Text, models: tuple[str, ...], root_seed: int, number: int, first: int
) -> list[Feature]:
    """Two features that are easily taken for each other: most events are common, the rest is one's own."""
    rng = generator(root_seed, "planted-twins", number)
    events = _own(config, text, rng)
    place, own = rng.random(events.rows.size), (1 - config.twin_overlap) / 2
    parts = (events.part(place < 1 - own), events.part(place >= own))
    return [_real("twin", models, models, part, first) for part in parts]


def _decoys(
    config: PlantConfig, text: Text, models: tuple[str, ...], root_seed: int, rng: np.random.Generator
) -> list[Feature]:
    masks: list[tuple[str, np.ndarray, float]] = []
    for number in range(config.n_domain):
        masks.append(("domain", text.domains == number % config.n_domains, float(rng.uniform(0.15, 0.4))))
    for token in decoy_tokens(config, text):
        masks.append(("token", text.tokens == token, float(rng.uniform(0.75, 0.95))))
    for number in range(config.n_position):
        masks.append(("position", text.positions == (7 * number + 3) % config.n_ctx, 0.9))
    for number in range(config.n_document):
        masks.append(("document", _few_documents(config, text, root_seed, number), config.document_density))
    return [
        Feature(kind, models, models, _independent(text, mask, probability, root_seed, number))
        for number, (kind, mask, probability) in enumerate(masks)
    ]


def _few_documents(config: PlantConfig, text: Text, root_seed: int, number: int) -> np.ndarray:
    """(n_rows,) bool: rows of a few documents drawn without regard to their domain, the same for all models."""
    rng = generator(root_seed, "planted-few-documents", number)
    n_documents = text.starts.size
    chosen = rng.choice(n_documents, size=min(config.document_spread, n_documents), replace=False)
    return np.isin(text.documents, text.documents[text.starts[chosen]])


def decoy_tokens(config: PlantConfig, text: Text) -> np.ndarray:
    """The most frequent token ids that still fire at or below ``max_rate``, ``n_token`` of them."""
    counts = np.bincount(text.tokens, minlength=config.d_vocab)
    counts[counts > config.max_rate * text.tokens.size] = 0
    return np.argsort(-counts, kind="stable")[: config.n_token]


def _independent(
    text: Text, mask: np.ndarray, probability: float, root_seed: int, number: int
) -> Callable[[str], Events]:
    def events(dictionary: str) -> Events:
        rng = generator(root_seed, "planted-decoy", number, dictionary)
        return mask_events(text, mask, probability, rng)

    return events
