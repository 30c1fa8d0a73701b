"""Synthetic models whose shared, specific, split and decoy features are known.

The world answers what real models cannot: of the features called universal, how many are? Text has
documents, domains, Zipf tokens and contexts; features fire at Zipf rates, every second one in few
documents; each dictionary sees a feature through missed events, its own gain and false firings, and
in its own order; raw activations carry the features of a model in the model's own rotated basis.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse

from universality.arguments import checked, instance, whole
from universality.brief_repr import brief_repr
from universality.indices import random_rotation
from universality.planted.events import Events, mask_events, observe
from universality.planted.features import plant_features
from universality.planted.kinds import KINDS, Feature, Kind
from universality.planted.planted_config import PlantConfig
from universality.planted.text import Text, plant_text
from universality.seeds import generator


@brief_repr
@dataclass(frozen=True, eq=False)
class Planted:
    """A planted world: everything that ``compare`` takes, and the truth.

    Attributes:
        acts: model id -> CSR (n_rows, d_sae) of latent activations.
        replicates: model id -> CSR of a second dictionary of the same model.
        untrained: untrained model id -> CSR.
        raw, untrained_raw: model id -> float32 (n_rows, d_in) raw activations.
        documents, domains, tokens, positions: (n_rows,) row arrays.
        sources: (n_rows,) int32, runs of documents of one domain; see ``PlantConfig.n_sources``.
        n_ctx: context length.
        truth: one row per (model, latent), replicates ("m0r") included: model, latent, feature (-1 for dead
            and rare), kind, whole (number of its family's first feature, -1 if none), and what
            :class:`~universality.planted.kinds.Kind` promises, None where nothing is: expected_class, expected_level,
            expected_verdict (toward a model that lacks it), expected_group (partnered, rearranged, unstable or
            missing).
        config: what was planted.
    """

    acts: dict[str, sparse.csr_matrix]
    replicates: dict[str, sparse.csr_matrix]
    untrained: dict[str, sparse.csr_matrix]
    raw: dict[str, np.ndarray]
    untrained_raw: dict[str, np.ndarray]
    documents: np.ndarray
    domains: np.ndarray
    tokens: np.ndarray
    positions: np.ndarray
    sources: np.ndarray
    n_ctx: int
    truth: pd.DataFrame
    config: PlantConfig

    def inputs(self) -> dict[str, Any]:
        """Every keyword of ``compare`` besides the activations and the settings."""
        names = ("documents", "sources", "domains", "tokens", "positions", "raw", "replicates", "untrained")
        return {name: getattr(self, name) for name in (*names, "untrained_raw", "n_ctx")}


@checked(
    config=instance(PlantConfig, remedy="Write PlantConfig(n_models=4), or give its fields themselves."),
    root_seed=whole(),
)
def plant(config: PlantConfig | None = None, *, root_seed: int = 0, **changes: Any) -> Planted:
    """Plant a world with known truth.

    Args:
        config: sizes, rates and noise; the default is the documented world.
        root_seed: equal seeds and configs give equal bytes.
        **changes: fields of :class:`PlantConfig` to change.

    Returns:
        A :class:`Planted` world; matrices have int32 indices, float32 positive values, sorted rows.

    Raises:
        InputError: an unknown or illegal field.

    Source: ours.
    """
    config = PlantConfig(**{**(config.model_dump() if config else {}), **changes})
    models = tuple(f"m{number}" for number in range(config.n_models))
    text = plant_text(config, root_seed)
    features = plant_features(config, text, models, root_seed)
    acts: dict[str, sparse.csr_matrix] = {}
    replicates: dict[str, sparse.csr_matrix] = {}
    truths = []
    for model in models:
        for name, target in ((model, acts), (f"{model}r", replicates)):
            target[model], truth = _dictionary(config, text, features, model, name, root_seed)
            truths.append(truth)
    untrained_ids = tuple(f"u{number}" for number in range(config.n_untrained))
    return Planted(
        acts=acts,
        replicates=replicates,
        untrained={name: _untrained(config, text, name, root_seed) for name in untrained_ids},
        raw=_raw(config, text, features, models, root_seed),
        untrained_raw={name: _untrained_raw(config, text, name, root_seed) for name in untrained_ids},
        documents=text.documents,
        domains=text.domains,
        tokens=text.tokens,
        positions=text.positions,
        sources=text.sources,
        n_ctx=config.n_ctx,
        truth=pd.concat(truths, ignore_index=True),
        config=config,
    )


def _dictionary(
    config: PlantConfig, text: Text, features: list[Feature], model: str, name: str, root_seed: int
) -> tuple[sparse.csr_matrix, pd.DataFrame]:
    """One dictionary's activations, latents in random order, and its rows of the truth."""
    rng = generator(root_seed, "planted-dictionary", name)
    replicate = name != model
    carried = [
        number
        for number, feature in enumerate(features)
        if model in feature.models and (feature.in_replicate or not replicate)
    ]
    columns = [observe(features[number].events(name), text, config, rng) for number in carried]
    nothing = Events(np.empty(0, np.int64), np.empty(0), np.zeros(1))
    columns += [nothing] * config.n_dead
    for _ in range(config.n_rare):
        rows = np.sort(rng.choice(config.n_rows, size=3, replace=False))
        columns.append(Events(rows, np.ones(3), np.zeros(1)))
    n_without = config.n_dead + config.n_rare
    kinds = [features[number].kind for number in carried] + ["dead"] * config.n_dead + ["rare"] * config.n_rare
    promised = [KINDS.get(kind, Kind()) for kind in kinds]
    place = rng.permutation(len(columns))
    truth = pd.DataFrame(
        {
            "model": name,
            "latent": place,
            "feature": carried + [-1] * n_without,
            "kind": kinds,
            "whole": [features[number].whole for number in carried] + [-1] * n_without,
            "expected_class": [kind.expected_class for kind in promised],
            "expected_level": [kind.level for kind in promised],
            "expected_verdict": [kind.verdict for kind in promised],
            "expected_group": [features[number].expected_group for number in carried] + [None] * n_without,
        }
    ).sort_values("latent", ignore_index=True)
    order = np.argsort(place)
    return to_csr([columns[index] for index in order], config.n_rows), truth


def to_csr(columns: list[Events], n_rows: int) -> sparse.csr_matrix:
    """Stack events as columns of a CSR matrix with int32 indices and float32 values."""
    indices = np.concatenate([column.rows for column in columns]).astype(np.int32)
    values = np.concatenate([column.strength for column in columns]).astype(np.float32)
    pointer = np.concatenate([[0], np.cumsum([column.rows.size for column in columns])]).astype(np.int32)
    matrix = sparse.csc_matrix((values, indices, pointer), shape=(n_rows, len(columns))).tocsr()
    matrix.sort_indices()
    return matrix


def _raw(
    config: PlantConfig, text: Text, features: list[Feature], models: tuple[str, ...], root_seed: int
) -> dict[str, np.ndarray]:
    """Superposed feature directions in each model's own basis, plus noise."""
    rng = generator(root_seed, "planted-directions")
    directions = rng.standard_normal((max(len(features), 1), config.d_in))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    out = {}
    for model in models:
        rng = generator(root_seed, "planted-raw", model)
        carried = [number for number, feature in enumerate(features) if model in feature.raw_models]
        strengths = to_csr([features[number].events(model) for number in carried], config.n_rows)
        basis = directions[carried] @ random_rotation(config.d_in, rng)
        noise = config.raw_noise * rng.standard_normal((config.n_rows, config.d_in))
        out[model] = (strengths @ basis + noise).astype(np.float32)
    return out


def _untrained(config: PlantConfig, text: Text, name: str, root_seed: int) -> sparse.csr_matrix:
    """Token and position latents: what dictionaries on random networks find."""
    rng = generator(root_seed, "planted-untrained", name)
    counts = np.bincount(text.tokens, minlength=config.d_vocab)
    masks = [text.tokens == token for token in np.argsort(-counts, kind="stable")[5:45]]
    masks += [text.positions == position for position in range(0, config.n_ctx, 8)]
    events = [mask_events(text, masks[place], 0.7, rng) for place in rng.permutation(len(masks))]
    return to_csr([observe(event, text, config, rng) for event in events], config.n_rows)


def _untrained_raw(config: PlantConfig, text: Text, name: str, root_seed: int) -> np.ndarray:
    """A random token embedding plus a random position embedding."""
    rng = generator(root_seed, "planted-untrained-raw", name)
    embedding = rng.standard_normal((config.d_vocab, config.d_in))
    positional = rng.standard_normal((config.n_ctx, config.d_in))
    return (embedding[text.tokens] + positional[text.positions]).astype(np.float32)


__all__ = ["Planted", "plant", "to_csr"]
