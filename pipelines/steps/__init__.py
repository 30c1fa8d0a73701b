"""The steps of a comparison. Importing this package registers them; their heavy imports wait until they run."""

from pipelines.steps import comparing, data, dictionaries, models, pictures, sweeping

__all__ = ["comparing", "data", "dictionaries", "models", "pictures", "sweeping"]
