"""The steps of a comparison. Importing this package registers them; their heavy imports wait until they run."""

from pipelines.steps import attribution_steps as attributing
from pipelines.steps import comparison_steps as comparing
from pipelines.steps import data_steps as data
from pipelines.steps import dictionary_steps as dictionaries
from pipelines.steps import effect_steps as effects
from pipelines.steps import label_steps as labelling
from pipelines.steps import layout_steps as pictures
from pipelines.steps import model_steps as models
from pipelines.steps import probe_steps as probing
from pipelines.steps import splitting_steps as splitting
from pipelines.steps import steering_steps as steering
from pipelines.steps import study_steps as studies
from pipelines.steps import sweep_steps as sweeping

__all__ = [
    "attributing", "comparing", "data", "dictionaries", "effects", "labelling", "models", "pictures", "probing",
    "splitting", "steering", "studies", "sweeping",
]  # fmt: skip
