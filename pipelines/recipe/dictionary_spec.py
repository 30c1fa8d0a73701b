"""The dictionaries of a comparison: what each reads, from which seed it is trained, and what it is for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from pipelines.recipe.parts import ComparisonConfig
    from pipelines.recipe.whole import Recipe

Role = Literal["primary", "replicate", "untrained"]


@dataclass(frozen=True)
class DictionarySpec:
    """One dictionary of a comparison.

    Attributes:
        id: its name in node ids and in the column ``model`` of every table: ``m0`` for the one dictionary of a model,
            ``m0s3`` for that of SAE seed 3 where the comparison names ``sae_seeds``, ``m0r`` and ``m0s3r`` for their
            replicates, ``u0`` for that of an untrained model, ``u0r`` for its replicate.
        model: id of the transformer whose activations it reads.
        sae_seed: what the seed of its training is hashed from, beside the recipe's root seed.
        data_part: half of the SAE documents that it is trained on, ``sae_a`` or ``sae_b``.
        role: ``primary`` (compared), ``replicate`` (second dictionary of the same transformer, the ceiling) or
            ``untrained`` (of a transformer with random weights, the floor).
        replicate_of: id of the dictionary that a replicate stands beside; None for all others.
    """

    id: str
    model: str
    sae_seed: str
    data_part: Literal["sae_a", "sae_b"] = "sae_a"
    role: Role = "primary"
    replicate_of: str | None = None


def dictionary_specs(recipe: Recipe, comparison: ComparisonConfig) -> list[DictionarySpec]:
    """The dictionaries of a comparison: the primary ones, those of untrained models, replicates of both or of one."""
    primary = primary_specs(recipe.model_ids, comparison)
    untrained = [DictionarySpec(model, model, model, role="untrained") for model in recipe.untrained_ids]

    # A replicate has another seed (its own id is hashed) and the documents that no primary dictionary sees.
    def replicates(specs: list[DictionarySpec]) -> list[DictionarySpec]:
        return [
            DictionarySpec(f"{spec.id}r", spec.model, f"{spec.id}r", "sae_b", "replicate", spec.id) for spec in specs
        ]

    twice = replicates(primary) if comparison.replicates is True else []
    return [*primary, *twice, *untrained, *(replicates(untrained) if comparison.replicates else [])]


def primary_specs(models: list[str], comparison: ComparisonConfig) -> list[DictionarySpec]:
    """The dictionaries that are compared: one per model, or one per model and SAE seed, model by model."""
    suffixes = [""] if comparison.sae_seeds is None else [f"s{seed}" for seed in comparison.sae_seeds]
    ids = [(f"{model}{suffix}", model) for model in models for suffix in suffixes]
    return [DictionarySpec(dictionary, model, dictionary) for dictionary, model in ids]
