"""The features of a planted world: which dictionary holds which, and which raw basis carries which."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from universality.planted.decoys import plant_decoys
from universality.planted.events import Events, document_events, draw_rates
from universality.planted.kinds import Feature, real
from universality.planted.planted_config import PlantConfig
from universality.planted.text import Text
from universality.seeds import generator


class Ground(NamedTuple):
    """What features are planted in."""

    config: PlantConfig
    text: Text
    models: tuple[str, ...]

    def home(self, number: int) -> tuple[str, tuple[str, ...]]:
        """The model that is unlike the others in the number-th feature of a kind, and the others."""
        home = self.models[number % len(self.models)]
        return home, tuple(model for model in self.models if model != home)


def plant_features(config: PlantConfig, text: Text, models: tuple[str, ...], root_seed: int) -> list[Feature]:
    """All features of a world, in a fixed order; a feature's number is its place in the list."""
    world, rng = Ground(config, text, models), generator(root_seed, "planted-features")
    features = [real("universal", models, models, _own(world, rng)) for _ in range(config.n_universal)]
    if len(models) > 2:
        for number in range(config.n_shared):
            size = 2 + number % (len(models) - 2)
            holders = tuple(sorted(rng.choice(models, size=size, replace=False)))
            features.append(real("shared", holders, holders, _own(world, rng)))
    for model in models:
        for kind, count, carriers in (
            ("specific", config.n_specific, (model,)),
            ("unstable", config.n_unstable, (model,)),
            ("decodable", config.n_decodable, models),
        ):
            features += [real(kind, (model,), carriers, _own(world, rng)) for _ in range(count)]
    for number in range(config.n_split):
        features += _split(world, number, len(features), rng)
    for number in range(config.n_twin):
        own = generator(root_seed, "planted-twins", number)
        features += _alike(world, "twin", 2, config.twin_overlap, len(features), own)
    features += plant_decoys(config, text, models, root_seed, rng)
    # Later kinds stand behind all others and draw from generators of their own: worlds without them keep their bytes.
    for number in range(config.n_heavy):
        events = _own(world, generator(root_seed, "planted-heavy", number), config.heavy_sigma)
        features.append(real("heavy", models, models, events))
    for kind, count, make in (
        ("family", config.n_family, _family),
        ("copied", config.n_copied, _copied),
        ("absorbed", config.n_absorbed, _absorbed),
        ("dominant", config.n_dominant, _dominant),
    ):
        for number in range(count):
            own = generator(root_seed, f"planted-{kind}", number)
            features += make(world, number, len(features), own)
    return features


def _own(world: Ground, rng: np.random.Generator, sigma: float = 0.3) -> Events:
    """Events of a context feature; every second one lives in few documents."""
    shape = world.config.burst if rng.random() < 0.5 else 2.0
    rate = float(draw_rates(world.config, 1, rng)[0])
    return document_events(world.text, rate, shape, rng, sigma=sigma, source_shape=world.config.source_shape)


def _split(world: Ground, number: int, first: int, rng: np.random.Generator) -> list[Feature]:
    """A whole in one model and its pieces in the others: each event belongs to exactly one piece."""
    events = _wide(world, rng)
    piece_of = rng.integers(world.config.n_pieces, size=events.rows.size)
    return _whole_and_pieces(world, number, first, events, piece_of, ("whole", "piece"))


def _dominant(world: Ground, number: int, first: int, rng: np.random.Generator) -> list[Feature]:
    """The same with three pieces, the first of which has most of the events."""
    events, most = _wide(world, rng), world.config.dominant_share
    piece_of = rng.choice(3, size=events.rows.size, p=[most, (1 - most) / 2, (1 - most) / 2])
    return _whole_and_pieces(world, number, first, events, piece_of, ("dominant_whole", "dominant_piece"))


def _wide(world: Ground, rng: np.random.Generator) -> Events:
    """Events of the most frequent feature, spread over the documents."""
    config = world.config
    return document_events(world.text, config.max_rate, 2.0, rng, source_shape=config.source_shape)


def _whole_and_pieces(
    world: Ground, number: int, first: int, events: Events, piece_of: np.ndarray, kinds: tuple[str, str]
) -> list[Feature]:
    """The whole and its first piece are of the given kinds."""
    home, others = world.home(number)
    pieces = [
        real("piece" if piece else kinds[1], others, others, events.part(piece_of == piece), first)
        for piece in range(int(piece_of.max(initial=0)) + 1)
    ]
    return [real(kinds[0], (home,), (home,), events), *pieces]


def _alike(world: Ground, kind: str, size: int, overlap: float, first: int, rng: np.random.Generator) -> list[Feature]:
    """Features that are easily taken for each other: most events are common, the rest is each one's own."""
    events = _own(world, rng)
    place, own = rng.random(events.rows.size), (1 - overlap) / size
    slots = [(place >= number * own) & (place < (number + 1) * own) for number in range(size - 1)]
    slots.append(place >= 1 - own)
    common = ~np.logical_or.reduce(slots)
    return [real(kind, world.models, world.models, events.part(common | slot), first) for slot in slots]


def _family(world: Ground, number: int, first: int, rng: np.random.Generator) -> list[Feature]:
    return _alike(world, "family", world.config.family_size, world.config.family_overlap, first, rng)


def _copied(world: Ground, number: int, first: int, rng: np.random.Generator) -> list[Feature]:
    """A feature of all models, and its further copies in one of them: each sees the same events in its own way."""
    home, _ = world.home(number)
    events = _own(world, rng)
    copies = [real("copy", (home,), (home,), events, first) for _ in range(world.config.n_copies - 1)]
    return [real("copied", world.models, world.models, events, first), *copies]


def _absorbed(world: Ground, number: int, first: int, rng: np.random.Generator) -> list[Feature]:
    """A feature of all models, silent in one of them wherever a more special one fires, and the special one."""
    home, _ = world.home(number)
    events = _own(world, rng)
    special = rng.random(events.rows.size) < world.config.absorbed_share
    rest = events.part(~special)
    absorbed = Feature(
        "absorbed",
        world.models,
        world.models,
        lambda dictionary: rest if dictionary in (home, f"{home}r") else events,
    )
    return [absorbed, real("absorbing", world.models, world.models, events.part(special))]
