"""Where the models of a run are opened from when they are needed again, and what is not there any more."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from results.stored_comparison import StoredComparison
from storage import Artifact


class Source(NamedTuple):
    """Where a compared model is opened from.

    Attributes:
        model: its id.
        place: a folder, or a name on the hub; empty where the store holds the weights.
        missing: what is not there, in a sentence; empty where it can be opened.
        command: what brings it onto this machine, where one command does.
    """

    model: str
    place: str
    missing: str = ""
    command: str = ""


def model_sources(stored: StoredComparison) -> list[Source]:
    """One for each compared model, in the order of the run. Looks at this machine alone: the hub is not asked.

    Raises:
        StoreError: a model that the run has not, or not yet.
    """
    return [_source(model, stored.transformer_artifact(model)) for model in stored.models()]


def _source(model: str, artifact: Artifact) -> Source:
    if not artifact.has("pretrained"):
        return Source(model, "")
    spec = artifact.json("pretrained")
    name, revision = str(spec["name"]), spec.get("revision")
    if revision is None:
        folder = Path(name).expanduser()
        missing = "" if folder.is_dir() else f"{model} was read from the folder {folder}, which is not here any more."
        return Source(model, f"the folder {folder}", missing)
    place = f"{name} of the hub, as cached on this machine"
    if _is_cached(name, str(revision), of_weights=spec.get("untrained_seed") is None):
        return Source(model, place)
    command = f"hf download {name} --revision {revision}"
    return Source(model, place, f"{model} is {name} of the hub, which is not in the cache of this machine.", command)


def _is_cached(name: str, revision: str, *, of_weights: bool) -> bool:
    from huggingface_hub import try_to_load_from_cache

    from results.public.hub import WEIGHT_FILES

    files = WEIGHT_FILES if of_weights else ("config.json",)
    return any(isinstance(try_to_load_from_cache(name, file, revision=revision), str) for file in files)


def places_told(sources: list[Source]) -> str:
    """Where models are opened from that do not lie in the store, in a sentence; empty if all of them do."""
    places: dict[str, list[str]] = {}
    for source in sources:
        if source.place:
            places.setdefault(source.place, []).append(source.model)
    said = [f"{' and '.join(models)} from {place}" for place, models in places.items()]
    return f"The store names models that it does not hold: they are opened again, {'; '.join(said)}." if said else ""
