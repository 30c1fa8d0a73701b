"""Neuronpedia's bulk files: the rows of its tables as JSON lines, as its exporter writes and its importer reads them.

``<model>/<layer>-<set>/`` holds ``release.jsonl``, ``model.jsonl``, ``sourceset.jsonl`` and ``source.jsonl`` of one row
each, and ``features/``, ``activations/`` and ``explanations/`` with ``batch-N.jsonl.gz``. ``config/`` beside the models
holds what the type of our explanations is. The classes name what we fill and what the tables demand; the importer
leaves other columns at their defaults.

Source: https://docs.neuronpedia.org, and the schema of Neuronpedia's database.
"""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import IO, Any

import pandas as pd

from results.feature_records import Context, DictionaryRecord, FeatureRecord
from results.stored_comparison import TOKENS
from results.words import LABEL_FAMILIES

#: Features of one batch.
BATCH = 1024
#: Name of our explanations' type, of what made them, and of their score's type.
TYPE_NAME, MODEL_NAME, SCORE_NAME = "universality_rule", "universality", "universality_held_out_r"


@dataclass(frozen=True)
class Feature:
    """A row of the table ``Neuron``."""

    modelId: str
    layer: str
    index: str
    sourceSetName: str
    creatorId: str
    maxActApprox: float
    frac_nonzero: float
    hookName: str
    pos_str: list[str]
    pos_values: list[float]
    neg_str: list[str]
    neg_values: list[float]
    freq_hist_data_bar_heights: list[int]
    freq_hist_data_bar_values: list[float]
    hasVector: bool = False


@dataclass(frozen=True)
class Activation:
    """A row of the table ``Activation``."""

    id: str
    modelId: str
    layer: str
    index: str
    creatorId: str
    dataSource: str
    tokens: list[str]
    values: list[float]
    maxValue: float
    maxValueTokenIndex: int
    minValue: float
    binMin: float
    binMax: float
    binContains: float
    qualifyingTokenIndex: int
    dfaValues: list[float] = field(default_factory=list)
    lossValues: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class Explanation:
    """A row of the table ``Explanation``; ``scores`` as its API nests them."""

    id: str
    modelId: str
    layer: str
    index: str
    authorId: str
    description: str
    typeName: str
    explanationModelName: str
    scoreV1: float
    notes: str
    scores: list[dict[str, Any]]


@dataclass(frozen=True)
class Model:
    """The row of the table ``Model``."""

    id: str
    displayName: str
    displayNameShort: str
    creatorId: str
    owner: str
    layers: int
    neuronsPerLayer: int
    dimension: int
    createdAt: str
    updatedAt: str
    instruct: bool = False
    inferenceEnabled: bool = False
    visibility: str = "PUBLIC"


@dataclass(frozen=True)
class Release:
    """The row of the table ``SourceRelease``."""

    name: str
    description: str
    descriptionShort: str
    creatorName: str
    creatorId: str
    createdAt: str
    visibility: str = "PUBLIC"
    urls: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class SourceSet:
    """The row of the table ``SourceSet``."""

    modelId: str
    name: str
    description: str
    releaseName: str
    creatorName: str
    creatorId: str
    createdAt: str
    type: str = ""
    hasDashboards: bool = True
    visibility: str = "PUBLIC"
    urls: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Source:
    """The row of the table ``Source``: one dictionary."""

    id: str
    modelId: str
    setName: str
    creatorId: str
    dataset: str
    num_prompts: int
    num_tokens_in_prompt: int
    notes: str
    createdAt: str
    hasDashboards: bool = True
    inferenceEnabled: bool = False
    visibility: str = "PUBLIC"


def bins_of(contexts: list[Context]) -> list[tuple[float, float, float]]:
    """``binMin, binMax, binContains`` of each context.

    Of the strongest -1, their highest peak, -1, as SAEDashboard has it; of the others the lowest and the highest peak
    that is shown of their tenth, and 0.1, for a tenth of the contexts lies there.
    """
    peaks: dict[tuple[str, int], list[float]] = {}
    for context in contexts:
        peaks.setdefault((context.kind, context.group), []).append(context.values[context.peak])
    return [
        (-1.0, max(own), -1.0) if context.kind == "top" else (min(own), max(own), 0.1)
        for context in contexts
        for own in [peaks[context.kind, context.group]]
    ]


def write_source(record: DictionaryRecord, creator: str, folder: Path) -> None:
    """Write one dictionary.

    Args:
        record: the dictionary.
        creator: id of the account, in the Neuronpedia that will import it, that the rows belong to.
        folder: what becomes ``<layer>-<set>``; made here.
    """
    folder.mkdir()
    for name, row in _heads(record, creator).items():
        (folder / f"{name}.jsonl").write_bytes(_line(row))
    features = record.features()
    for number in range(-(-record.d_sae // BATCH)):
        with ExitStack() as stack:
            files = {
                name: stack.enter_context(_packed(folder / name / f"batch-{number}.jsonl.gz"))
                for name in ("features", "activations", "explanations")
            }
            for feature in islice(features, BATCH):
                files["features"].write(_line(_feature(record, feature, creator)))
                for row in _activations(record, feature, creator):
                    files["activations"].write(_line(row))
                if feature.label is not None:
                    files["explanations"].write(_line(_explanation(record, feature, creator)))


def set_name(record: DictionaryRecord) -> str:
    """Name of the set: the comparison and the dictionary."""
    return f"{record.stored.comparison}-{record.name}"


def source_id(record: DictionaryRecord) -> str:
    """``<layer>-<set>``, the "layer" of every row."""
    return f"{record.layer}-{set_name(record)}"


def write_config(folder: Path, creator: str) -> None:
    """What an explanation's type, model and score are, which an importer must know before the explanations."""
    about = {
        "explanation_type": {"name": TYPE_NAME, "displayName": "Rule", "creatorId": creator,
                             "description": "A rule of the text (a token, a domain, …), scored on held-out rows."},
        "explanation_model_type": {"name": MODEL_NAME, "displayName": "universality, no language model",
                                   "description": "Rules are found by counting; no language model is asked."},
        "explanation_score_type": {"name": SCORE_NAME, "displayName": "held-out r", "creatorId": creator,
                                   "scoreDescription": "Pearson correlation, -1 to 1.",
                                   "description": "Of rule and activation, on rows that the rule was not fitted on."},
        "explanation_score_model": {"name": MODEL_NAME, "displayName": "universality",
                                    "description": "The same program."},
    }  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    for name, row in about.items():
        (folder / f"{name}.jsonl").write_bytes(_json(row | {"creatorName": "universality"}))


def _heads(record: DictionaryRecord, creator: str) -> dict[str, object]:
    stored = record.stored
    created = datetime.fromtimestamp(stored.record["created"], UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    shape = _shape(record)
    owned: dict[str, Any] = {"creatorName": "universality", "creatorId": creator, "createdAt": created}
    said = f"Run {stored.name} of universality, recipe {stored.record['recipe_name']}"
    release = f"universality-{stored.name}"
    shape_of_text = stored.run.artifact(TOKENS).array("eval_contexts").shape
    return {
        "release": Release(name=release, description=said, descriptionShort=said, **owned),
        "model": Model(
            id=record.model, displayName=record.model, displayNameShort=record.model, creatorId=creator, owner=creator,
            layers=shape.get("n_layers") or 0, neuronsPerLayer=shape.get("d_mlp") or 0,
            dimension=shape.get("d_model") or 0, createdAt=created, updatedAt=created,
        ),
        "sourceset": SourceSet(
            modelId=record.model, name=set_name(record), releaseName=release,
            description=f"{record.hook_point}, dictionary {record.name}", **owned,
        ),
        "source": Source(
            id=source_id(record), modelId=record.model, setName=set_name(record), creatorId=creator,
            dataset=dataset_of(record), num_prompts=shape_of_text[0], num_tokens_in_prompt=shape_of_text[1],
            notes=f"{said}; comparison {stored.comparison}, dictionary {record.name}", createdAt=created,
        ),
    }  # fmt: skip


def dataset_of(record: DictionaryRecord) -> str:
    """The corpus in a word: kinds of its sources, for names of folders are nobody's business."""
    corpus = (record.stored.record.get("recipe") or {}).get("corpus") or {}
    kinds = [f"{of.get('kind', 'text')} {of.get('size', '')}".strip() for of in corpus.get("sources", [])]
    return ", ".join(dict.fromkeys(kinds)) or "unknown"


def _shape(record: DictionaryRecord) -> dict[str, Any]:
    transformer = record.stored.transformer_artifact(record.name)
    return transformer.json("config") if transformer.has("config") else {}


def _feature(record: DictionaryRecord, feature: FeatureRecord, creator: str) -> Feature:
    return Feature(
        modelId=record.model, layer=source_id(record), index=str(feature.latent), sourceSetName=set_name(record),
        creatorId=creator, maxActApprox=feature.max_activation, frac_nonzero=feature.firing_rate,
        hookName=record.hook_point, pos_str=feature.raised[0], pos_values=feature.raised[1],
        neg_str=feature.lowered[0], neg_values=feature.lowered[1],
        freq_hist_data_bar_values=feature.bins[0], freq_hist_data_bar_heights=feature.bins[1],
    )  # fmt: skip


def _activations(record: DictionaryRecord, feature: FeatureRecord, creator: str) -> Iterator[Activation]:
    pairs = zip(feature.contexts, bins_of(feature.contexts), strict=True)
    for number, (context, (low, high, share)) in enumerate(pairs):
        yield Activation(
            id=_id(record, feature, number), modelId=record.model, layer=source_id(record), index=str(feature.latent),
            creatorId=creator, dataSource=dataset_of(record), tokens=context.tokens, values=context.values,
            maxValue=max(context.values), maxValueTokenIndex=context.values.index(max(context.values)),
            minValue=min(context.values), binMin=low, binMax=high, binContains=share,
            qualifyingTokenIndex=context.peak,
        )  # fmt: skip


def _explanation(record: DictionaryRecord, feature: FeatureRecord, creator: str) -> Explanation:
    label = feature.label or {}
    r, floor, family = label["r"], label["r_untrained"], str(label["family"])
    floor = None if pd.isna(floor) else floor
    beside = "" if floor is None else f"; the same rule and latents of untrained models: {floor:.2f}"
    raised = f" Raises {label['promotes']}." if label["promotes"] else ""
    details = {"family": family, "r_untrained": floor}
    return Explanation(
        id=_id(record, feature, -1), modelId=record.model, layer=source_id(record), index=str(feature.latent),
        authorId=creator, description=str(label["label"]), typeName=TYPE_NAME, explanationModelName=MODEL_NAME,
        scoreV1=r, notes=f"Rule ({LABEL_FAMILIES[family]}); r on held-out rows {r:.2f}{beside}.{raised}",
        scores=[
            {"value": r, "explanationScoreTypeName": SCORE_NAME, "explanationScoreModelName": MODEL_NAME,
             "jsonDetails": json.dumps(details)}
        ],
    )  # fmt: skip


def _id(record: DictionaryRecord, feature: FeatureRecord, number: int) -> str:
    """25 letters and digits that are the same for the same row of the same run."""
    words = f"{record.stored.name}/{record.model}/{source_id(record)}/{feature.latent}/{number}"
    return "c" + hashlib.blake2b(words.encode(), digest_size=12).hexdigest()


def _line(row: object) -> bytes:
    return _json(vars(row))


def _json(row: dict[str, Any]) -> bytes:
    # In ASCII: readers that split at every sign of a new line, such as U+2028, split nothing here.
    return json.dumps(row, allow_nan=False).encode() + b"\n"


@contextmanager
def _packed(place: Path) -> Iterator[IO[bytes]]:
    """A gzip file whose bytes tell nothing but its content."""
    place.parent.mkdir(parents=True, exist_ok=True)
    with place.open("wb") as raw, gzip.GzipFile("", "wb", 5, raw, mtime=0) as packed:
        yield packed  # pyright: ignore[reportReturnType]
