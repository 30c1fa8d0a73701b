"""What ``results.json`` holds: pydantic models, from which its JSON schema is made.

``schema_version`` rises whenever a reader of an earlier version could fail: a key that goes, changes its type or its
meaning. A key that is added comes with a new version too, since the schema forbids keys that it does not know.
"""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

#: Version of the schema below.
VERSION = 2


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


Medians = dict[str, dict[str, float | None]]
Seed = int | str | None


class Counts(_Model):
    """Latents and features of a comparison, all models together."""

    status: dict[str, int] = Field(description="latents by status: alive, rare, dead")
    group: dict[str, int] = Field(
        description="alive features that are partnered, rearranged, unstable, missing, or untested"
    )
    class_: dict[str, int] = Field(alias="class", description="alive features by class")
    level: dict[str, int] = Field(description="alive features by level")
    group_by_level: dict[str, dict[str, int]] = Field(description="alive features by group, then level")
    class_by_level: dict[str, dict[str, int]] = Field(description="alive features by class, then level")


class ComparisonResults(_Model):
    """What one comparison found."""

    headline: Medians = Field(
        description="by quantity, then pair of models or 'overall': median held-out r of assigned pairs, -1..1; for "
        "null_p95 the 95th percentile of chance maxima; null where not a number"
    )
    counts: Counts = Field(description="numbers of features")


class StepWarning(_Model):
    """A warning of a step."""

    node: str = Field(description="id of the step in the run")
    warning: str = Field(description="its words")


class LimitationEntry(_Model):
    """Something that the run shows about itself."""

    id: str = Field(description="stable name, for example few_models")
    comparison_id: str | None = Field(description="the comparison it is about; null for the whole run")
    text: str = Field(description="one or two sentences of Markdown")
    value: float | None = Field(description="the number found")
    threshold: float | None = Field(description="what it was held against; null where nothing was")


class ModelSeeds(_Model):
    """Where a dictionary and its model come from."""

    comparison_id: str | None = Field(None, description="comparison that the dictionary belongs to")
    model: str = Field(description="id of the dictionary: m0, m0r, u0")
    role: str | None = Field(None, description="primary, replicate or untrained")
    model_seed: Seed = Field(None, description="seed, or name, of the transformer")
    sae_seed: Seed = Field(None, description="seed, or name, of the dictionary")


class Seeds(_Model):
    """All seeds."""

    root_seed: int | None = Field(description="every other seed is hashed from it, a purpose and ids")
    models: list[ModelSeeds] = Field(default=[], description="one entry per dictionary")


class PartSize(_Model):
    """Size of one part of a domain."""

    documents: int = Field(ge=0, description="number of documents")
    tokens: int = Field(ge=0, description="number of tokens, repeats aside")


class Corpus(_Model):
    """The text."""

    documents: int = Field(ge=0, description="number of documents")
    tokens: int = Field(ge=0, description="number of tokens, repeats aside")
    digest: str = Field(pattern="^sha256:[0-9a-f]{64}$", description="of the documents' digests, one a line, in order")
    domains: dict[str, dict[str, PartSize]] = Field(description="sizes by domain, then part")


class ArtifactEntry(_Model):
    """A step of the run and its artifact."""

    step: str = Field(description="kind of step")
    key: str = Field(description="key of the artifact, hashed from the step, its parameters and its inputs' keys")
    finished: bool = Field(description="whether the artifact is there")
    version: int | None = Field(None, description="version of the step that wrote it; absent if unfinished")
    facts: dict[str, Any] | None = Field(None, description="what the step noted, times aside; absent if unfinished")


class BesideEntry(ComparisonResults):
    """A comparison that the report sets beside others."""

    run: str = Field(description="name of its run")
    comparison_id: str = Field(description="its id in the run")


class Results(_Model):
    """Everything about a run but its times."""

    schema_version: Literal[2] = Field(description="version of this schema")
    run: str = Field(description="name of the run")
    status: str = Field(description="done, partial, failed, running or planned")
    recipe_name: str | None = Field(description="name of the recipe")
    headline: Medians | None = Field(None, description="of the first comparison; absent where none has finished")
    counts: Counts | None = Field(None, description="of the first comparison; absent where none has finished")
    comparisons: dict[str, ComparisonResults] | None = Field(None, description="by comparison, where there are several")
    conclusions: dict[str, list[str]] = Field(description="what was found, in sentences, by comparison or study")
    beside: list[BesideEntry] | None = Field(
        None, description="comparisons beside each other, this run's first; absent where there is one alone"
    )
    missing: list[str] = Field(description="what the report lacks, in words; empty for a finished run")
    warnings: list[StepWarning] = Field(description="warnings of steps")
    limitations: list[LimitationEntry] = Field(description="limitations that the run itself reveals")
    seeds: Seeds = Field(description="all seeds")
    corpus: Corpus | None = Field(description="the text; null before it is read")
    recipe: dict[str, Any] | None = Field(description="the recipe as it ran; `universality schema` describes it")
    environment: dict[str, Any] | None = Field(description="machine and packages that made the run")
    written_with: dict[str, str | None] = Field(description="packages that wrote the report, with versions")
    artifacts: dict[str, ArtifactEntry] = Field(description="by id of the step in the run")


def results_schema() -> dict[str, Any]:
    """The JSON schema (draft 2020-12) of ``results.json``."""
    schema = Results.model_json_schema(by_alias=True)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **schema,
        "title": f"universality results, version {VERSION}",
    }
