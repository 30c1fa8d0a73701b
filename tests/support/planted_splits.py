"""Dictionaries of two sizes with known splits: every latent has the name of the feature it sees."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from universality.compare.compare_config import CompareConfig
from universality.compare.pair import Dictionary
from universality.compare.statistics import latent_statistics
from universality.planted import PlantConfig
from universality.planted.events import Events, document_events, observe
from universality.planted.text import plant_text
from universality.rows import Rows, split_documents
from universality.studies.split_study import TreeCell

WORLD = PlantConfig(n_rows=40_000, n_documents=400, n_sources=100, n_domains=4, miss=0.04, spurious=0.02)
#: Number of latents of the smaller and of the larger dictionaries.
SMALL, LARGE = 96, 192
COMPARE = CompareConfig(n_resamples=40, n_shifts=10)


@dataclass(frozen=True)
class PlantedSplits:
    """Dictionaries, and of each the name of every latent's feature ("" for dead ones)."""

    cells: dict[TreeCell, Dictionary]
    names: dict[TreeCell, list[str]]


def plant_splits(
    *,
    n_kept: int = 20,
    n_whole: int = 12,
    n_hole: int = 8,
    n_lost: int = 10,
    n_new: int = 20,
    seeds: tuple[int, ...] = (0, 1, 2),
    root_seed: int = 0,
    split: bool = True,
    late: bool = False,
    world: int | None = None,
    model: str = "m0",
    **noise: float,
) -> PlantedSplits:
    """Plant dictionaries.

    Kept features are everywhere. Wholes are one latent in the smaller and two to four in the larger dictionaries
    (``split=False``: one there too). Of features with a hole the smaller dictionary of one seed, its number modulo
    the seeds, misses the events of a special feature that only the larger ones have. Lost features are in the smaller
    dictionaries (``late``: in the larger ones alone), new ones in the larger.

    Args:
        root_seed: of what dictionaries see. world: seed of text and features, the same for models that share them.
        model: id of the model. noise: fields of the planted world to change.
    """
    config = WORLD.model_copy(update=noise)
    rng = np.random.default_rng(root_seed if world is None else world)
    text = plant_text(WORLD, root_seed if world is None else world)
    kinds = {"kept": n_kept, "whole": n_whole, "hole": n_hole, "lost": n_lost, "new": n_new}
    small: dict[int, dict[str, Events]] = {seed: {} for seed in seeds}
    large: dict[str, Events] = {}
    for kind, count in kinds.items():
        for number in range(count):
            name = f"{kind}{number}"
            rate = float(np.exp(rng.uniform(*np.log([0.004, 0.02])))) * (2 if kind in ("whole", "hole") else 1)
            events = document_events(text, rate, 2.0, rng, source_shape=2.0)
            part = rng.integers(2 + number % 3, size=events.rows.size)
            special = rng.random(events.rows.size) < 0.3
            for seed in seeds if kind != "new" and not (kind == "lost" and late) else ():
                has_hole = kind == "hole" and seeds[number % len(seeds)] == seed
                small[seed][name] = events.part(~special) if has_hole else events
            if kind == "whole" and split:
                large |= {f"{name}.{piece}": events.part(part == piece) for piece in range(2 + number % 3)}
            elif kind != "lost" or late:
                large[name] = events
            if kind == "hole":
                large[f"{name}.special"] = events.part(special)
    fit = split_documents(text.documents, 7, text.domains, text.sources)
    rows = Rows(
        documents=text.documents, sources=text.sources, fit=fit, domains=text.domains, tokens=text.tokens,
        positions=text.positions, n_ctx=WORLD.n_ctx,
    )  # fmt: skip
    cells, names = {}, {}
    for seed in seeds:
        for d_sae, features in ((SMALL, small[seed]), (LARGE, large)):
            draw = np.random.default_rng([root_seed, seed, d_sae])
            cell = TreeCell(model, d_sae, seed)
            names[cell] = list(draw.permutation([*features, *[""] * (d_sae - len(features))]))
            seen = {name: observe(events, text, config, draw) for name, events in features.items()}
            acts = sparse.lil_matrix((WORLD.n_rows, d_sae), dtype=np.float32)
            for place, name in enumerate(names[cell]):
                if name:
                    acts[seen[name].rows, place] = seen[name].strength[:, None]
            csr = sparse.csr_matrix(acts)
            cells[cell] = Dictionary(
                "-".join(map(str, cell)), csr, rows, latent_statistics(csr, rows), COMPARE.min_firings
            )
    return PlantedSplits(cells, names)
