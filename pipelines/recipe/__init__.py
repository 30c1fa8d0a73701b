"""Recipes: one YAML file says everything that can change a result.

A recipe composes the configs that their modules own. How it is executed (workers, scheduler, device of the embedded
cluster, verbosity) is no part of it: that stands on the command line and never in an artifact key.
"""

from pipelines.recipe.dictionary_spec import DictionarySpec, dictionary_specs, primary_specs
from pipelines.recipe.files import load_recipe, shipped_recipes, validate_recipe
from pipelines.recipe.parts import (
    ComparisonConfig,
    EvidenceConfig,
    Floor,
    LoadedSAE,
    NativeModels,
    PretrainedModel,
    PretrainedModels,
    TrainingRowsConfig,
)
from pipelines.recipe.study_config import StudyConfig, study_cells, study_design
from pipelines.recipe.whole import Recipe, trained_configs, training_tokens

__all__ = [
    "ComparisonConfig", "DictionarySpec", "EvidenceConfig", "Floor", "LoadedSAE", "NativeModels",
    "PretrainedModel", "PretrainedModels", "Recipe", "StudyConfig", "TrainingRowsConfig", "dictionary_specs",
    "load_recipe", "primary_specs", "shipped_recipes", "study_cells", "study_design", "trained_configs",
    "training_tokens", "validate_recipe",
]  # fmt: skip
