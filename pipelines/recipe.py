"""Recipes: one YAML file says everything that can change a result.

A recipe composes the configs that their modules own. How it is executed (workers, scheduler, device of the embedded
cluster, verbosity) is no part of it: that stands on the command line and never in an artifact key.
"""

from __future__ import annotations

import difflib
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from pipelines.corpus.config import CorpusConfig, SplitConfig
from pipelines.errors import RecipeError
from pipelines.sweeps import SweepConfig
from pipelines.tokens.config import TokenizerConfig, TrainedTokenizer
from universality.compare.config import CompareConfig
from universality.errors import must_be
from universality.sae.config import SAETrainingConfig
from universality.transformers.config import TrainingConfig, TransformerConfig


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


Floor = Annotated[
    Literal["random", "shuffled"],
    Field(
        description="what the untrained models u0, u1, … are: fresh random weights, or the weights of m0, m1, … with "
        "the entries of every tensor in another order"
    ),
]


class NativeModels(_Frozen):
    """Transformers trained here, one per model seed."""

    kind: Literal["native"] = "native"
    architecture: TransformerConfig = Field(
        description="shape of every transformer; d_vocab is the tokenizer's"
    )
    training: TrainingConfig = Field(description="how every transformer is trained")
    model_seeds: tuple[int, ...] = Field(
        min_length=1, description="one transformer per seed; a seed stands for its initialisation"
    )
    data_seeds: tuple[int, ...] | None = Field(
        None, description="order of the training data per model; default: one per model, from its model seed"
    )
    n_untrained: int = Field(
        0, ge=0, description="transformers with random weights for the floor (0, or at least 2)"
    )

    floor: Floor = "random"

    @model_validator(mode="after")
    def _consistent(self) -> NativeModels:
        if len(set(self.model_seeds)) != len(self.model_seeds):
            raise ValueError("model_seeds must differ: a model compared with itself agrees perfectly")
        if self.data_seeds is not None and len(self.data_seeds) != len(self.model_seeds):
            raise ValueError("data_seeds must have one entry per model seed")
        if self.n_untrained == 1:
            raise ValueError("n_untrained must be 0 or at least 2: the floor is a comparison of two")
        return self


class PretrainedModel(_Frozen):
    """One model from the hub or a local folder."""

    name: str = Field(description="hub id or folder made by save_pretrained")
    revision: str | None = Field(None, description="hub revision (branch, tag or commit)")


class PretrainedModels(_Frozen):
    """Transformers trained elsewhere, one per seed of a public family or any local folders."""

    kind: Literal["pretrained"]
    models: tuple[PretrainedModel, ...] = Field(min_length=1, description="the models, in order m0, m1, …")
    n_untrained: int = Field(
        0, ge=0, description="models of the first one's shape with random weights (0, or at least 2)"
    )

    floor: Floor = "random"

    @model_validator(mode="after")
    def _consistent(self) -> PretrainedModels:
        named = [(m.name, m.revision) for m in self.models]
        if len(set(named)) != len(named):
            raise ValueError("models must differ: a model compared with itself agrees perfectly")
        if self.n_untrained == 1:
            raise ValueError("n_untrained must be 0 or at least 2: the floor is a comparison of two")
        return self


class LoadedSAE(_Frozen):
    """A dictionary that was trained elsewhere."""

    model: str = Field(
        pattern=r"^[mu]\d+r?$",
        description="whose activations it reads: m0, m1, …; m0r: a second dictionary of m0; u0: of an untrained model",
    )
    path: str | None = Field(
        None,
        description="folder of one dictionary: ours, SAELens, dictionary_learning, sparsify or Gemma Scope; or hub",
    )
    hub: str | None = Field(
        None,
        pattern=r"^[\w.-]+/[\w.-]+$",
        description="repository owner/name of the Hugging Face hub that holds the dictionary, in place of path",
    )
    subfolder: str | None = Field(
        None, min_length=1, description="folder of the dictionary inside the hub repository; default its root"
    )
    revision: str | None = Field(
        None,
        description="branch, tag or commit of the hub repository; default main. What counts is the commit it means "
        "when the run is planned",
    )

    @model_validator(mode="after")
    def _one_place(self) -> LoadedSAE:
        if (self.path is None) == (self.hub is None):
            got = "both" if self.path else "neither"
            raise ValueError(f"the dictionary of {self.model} must have either path or hub; got {got}")
        if self.hub is None and (self.subfolder or self.revision):
            raise ValueError(f"subfolder and revision of {self.model} belong to hub; path needs neither")
        return self


class ComparisonConfig(_Frozen):
    """One dictionary per model at one hook point, compared over the same rows."""

    id: str = Field("main", pattern=r"^[a-z0-9][a-z0-9_-]*$", description="stands in every table")
    hook_point: str = Field(description="where the dictionaries read, for example blocks.0.mlp.hook_post")
    sae: SAETrainingConfig | None = Field(
        None, description="how a dictionary is trained for every model that `saes` does not name"
    )
    saes: tuple[LoadedSAE, ...] = Field((), description="dictionaries from elsewhere, beside trained ones")
    replicates: bool = Field(
        True,
        description="train a second dictionary per model, other seed, disjoint half of the documents: the ceiling",
    )
    neurons: bool = Field(True, description="compare the raw activation basis too: the neuron baseline")

    @property
    def loaded(self) -> dict[str, LoadedSAE]:
        """Dictionaries from elsewhere, by id."""
        return {entry.model: entry for entry in self.saes}


class TrainingRowsConfig(_Frozen):
    """Which rows dictionaries are trained on; evaluation rows are always all but special tokens and first positions."""

    first_position: int = Field(
        1,
        ge=0,
        description="first position of a context that counts in training; position 0 is the separator, an attention "
        "sink of outlier norm, and counts only with special_tokens",
    )
    special_tokens: bool = Field(
        False, description="whether positions that hold a special token (separators) count in training"
    )
    max_norm: float | None = Field(
        None,
        ge=1,
        description="leave rows out of training whose norm exceeds this multiple of the median norm; default none",
    )

    @property
    def positions(self) -> dict[str, Any]:
        """What is said of positions beyond the defaults, for params: empty where nothing is."""
        said = {"first_position": self.first_position, "special_tokens": self.special_tokens}
        usual = {"first_position": 1, "special_tokens": False}
        return {} if said == usual else {"positions": said}


class EvidenceConfig(_Frozen):
    """How many contexts are kept per latent."""

    n_top: int = Field(10, ge=1, description="contexts with the highest activation")
    n_per_quantile: int = Field(2, ge=0, description="contexts per tenth of the activation range")
    n_random: int = Field(5, ge=0, description="contexts drawn from all firing rows")
    n_logits: int = Field(10, ge=0, description="tokens raised and lowered most, each")


class Recipe(_Frozen):
    """Everything that can change a result, and nothing else."""

    recipe: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", description="name of the recipe")
    description: str = Field("", description="one sentence for `universality recipes`")
    root_seed: int = Field(0, ge=0, description="every other seed is hashed from it, a purpose and ids")
    corpus: CorpusConfig = Field(default_factory=CorpusConfig, description="the text")
    split: SplitConfig = Field(default_factory=SplitConfig, description="parts of the corpus, by document")
    tokenizer: TokenizerConfig = Field(
        default_factory=TrainedTokenizer, description="one tokenizer for all models"
    )
    n_ctx: int = Field(128, ge=8, description="tokens per context, the first one included")
    models: Annotated[NativeModels | PretrainedModels, Field(discriminator="kind")] = Field(
        description="the transformers"
    )
    comparisons: tuple[ComparisonConfig, ...] = Field(
        (), description="what is compared; may be empty where there are sweeps"
    )
    sweeps: tuple[SweepConfig, ...] = Field(
        (), description="dictionaries of many settings on one model each, to choose from"
    )
    compare: CompareConfig = Field(
        default_factory=lambda: CompareConfig.model_validate({}), description="thresholds, nulls, intervals"
    )
    evidence: EvidenceConfig = Field(
        default_factory=lambda: EvidenceConfig.model_validate({}), description="contexts kept per latent"
    )
    activation_dtype: Literal["float32", "float16"] = Field(
        "float32", description="how training activations are stored; evaluation rows are always float32"
    )
    activation_tokens: int | None = Field(
        None,
        ge=1,
        description="training activations per half at most; dictionaries that want more pass over them again",
    )
    activation_source: Literal["stored", "live"] = Field(
        "stored",
        description="training activations from disk, read by every dictionary of a model, or live: computed by the "
        "transformer as each dictionary reads them, in float32, nothing on disk",
    )
    training_rows: TrainingRowsConfig = Field(
        default_factory=lambda: TrainingRowsConfig.model_validate({}),
        description="which rows dictionaries are trained on",
    )
    threads: int = Field(
        1, ge=1, description="threads of each training step: gradients differ in bytes between thread counts"
    )
    compile: bool = Field(
        False,
        description="compile the optimiser of dictionaries that are trained on a GPU; without a compiler it runs "
        "uncompiled and the run says so. Bytes differ, so it is part of their keys; on the CPU it changes nothing",
    )

    @model_validator(mode="after")
    def _consistent(self) -> Recipe:
        ids = [c.id for c in self.comparisons]
        if len(set(ids)) != len(ids):
            raise ValueError(f"comparison ids must differ; got {ids}")
        if isinstance(self.models, NativeModels) and self.models.architecture.n_ctx < self.n_ctx:
            raise ValueError(
                f"n_ctx must be at most the architecture's n_ctx ({self.models.architecture.n_ctx}); got {self.n_ctx}"
            )
        if self.training_rows.first_position >= self.n_ctx:
            first = self.training_rows.first_position
            raise ValueError(f"training_rows.first_position must be below n_ctx ({self.n_ctx}); got {first}")
        if not self.comparisons and not self.sweeps:
            raise ValueError("comparisons (or sweeps) must name something to do; got neither")
        if self.comparisons and len(model_ids(self)) < 2:
            raise ValueError("a comparison needs at least two models")
        names = [sweep.id for sweep in self.sweeps]
        if len(set(names)) != len(names):
            raise ValueError(f"sweep ids must differ; got {names}")
        known = [*model_ids(self), *untrained_ids(self)]
        for sweep in self.sweeps:
            if sweep.model not in known:
                raise ValueError(
                    f"model of sweep {sweep.id!r} must be one of {', '.join(known)}; got {sweep.model!r}"
                )
        for comparison in self.comparisons:
            _check_dictionaries(self, comparison)
        return self


def model_ids(recipe: Recipe) -> list[str]:
    """Ids of the compared transformers, ``m0, m1, …`` in the recipe's order."""
    models = recipe.models
    count = len(models.model_seeds) if isinstance(models, NativeModels) else len(models.models)
    return [f"m{i}" for i in range(count)]


def trained_configs(recipe: Recipe) -> list[SAETrainingConfig]:
    """How dictionaries are trained, of all comparisons and all points of sweeps."""
    compared = [c.sae for c in recipe.comparisons if c.sae is not None]
    return compared + [config for sweep in recipe.sweeps for _, config in sweep.settings()]


def training_tokens(recipe: Recipe) -> int:
    """Positions per half of the SAE documents that dictionaries are trained on, at most."""
    wanted = max((config.tokens for config in trained_configs(recipe)), default=0)
    return min(wanted, recipe.activation_tokens or wanted)


def untrained_ids(recipe: Recipe) -> list[str]:
    """Ids of the untrained transformers, ``u0, u1, …``."""
    return [f"u{i}" for i in range(recipe.models.n_untrained)]


def dictionary_ids(recipe: Recipe, comparison: ComparisonConfig) -> list[str]:
    """Ids of a comparison's dictionaries: of every model, its second one, and of every untrained model."""
    models = model_ids(recipe)
    return [*models, *(f"{m}r" for m in models if comparison.replicates), *untrained_ids(recipe)]


def _check_dictionaries(recipe: Recipe, comparison: ComparisonConfig) -> None:
    """Every dictionary of a comparison is either loaded or trained."""
    wanted, loaded = dictionary_ids(recipe, comparison), [entry.model for entry in comparison.saes]
    if len(set(loaded)) != len(loaded):
        raise ValueError(f"saes of comparison {comparison.id!r} must name a model once; got {loaded}")
    unknown = [name for name in loaded if name not in wanted]
    if unknown:
        raise ValueError(
            f"saes of comparison {comparison.id!r} must name dictionaries among {', '.join(wanted)}; got {unknown}"
        )
    missing = [name for name in wanted if name not in loaded]
    if missing and comparison.sae is None:
        raise ValueError(
            f"comparison {comparison.id!r} has no dictionary for {', '.join(missing)}: name it in saes, say in sae how "
            "it is trained, or switch replicates (or n_untrained) off"
        )


def shipped_recipes() -> dict[str, str]:
    """Name and description of every recipe that ships with the package."""
    return {
        path.name.removesuffix(".yaml"): str(_parse(path.read_text(), path.name).get("description", ""))
        for path in sorted(resources.files("pipelines").joinpath("recipes").iterdir(), key=lambda p: p.name)
        if path.name.endswith(".yaml")
    }


def load_recipe(name_or_path: str, overrides: list[str] | tuple[str, ...] = ()) -> Recipe:
    """Read a recipe by the name of a shipped one or by path, and apply ``a.b=c`` overrides.

    Args:
        name_or_path: ``quickstart`` or ``my/recipe.yaml``.
        overrides: each ``dotted.path=value``; the value is YAML, list positions are numbers
            (``comparisons.0.sae.k=32``).

    Raises:
        RecipeError: no such recipe, no YAML, an unknown key (with the nearest legal one) or an illegal value; the
            message names the file and the path inside it.
    """
    text, where = _source(name_or_path)
    data = _parse(text, where)
    for override in overrides:
        _apply(data, override)
    return validate_recipe(data, where)


def validate_recipe(data: dict[str, Any], where: str) -> Recipe:
    """Check a recipe given as plain data; ``where`` names it in messages."""
    try:
        return Recipe.model_validate(data)
    except ValidationError as error:
        raise RecipeError(_explain(error, where)) from None


def _source(name_or_path: str) -> tuple[str, str]:
    path = Path(name_or_path)
    if path.suffix in {".yaml", ".yml"} or path.is_file():
        if not path.is_file():
            raise RecipeError(
                must_be("recipe", "the command line", "an existing file", name_or_path, "Check the path.")
            )
        return path.read_text(encoding="utf-8"), str(path)
    shipped = resources.files("pipelines").joinpath("recipes", f"{name_or_path}.yaml")
    if not shipped.is_file():
        names = list(shipped_recipes())
        near = difflib.get_close_matches(name_or_path, names, 1)
        hint = f"Did you mean {near[0]!r}? " if near else ""
        raise RecipeError(
            must_be(
                "recipe",
                "the command line",
                f"a file or one of {', '.join(names)}",
                name_or_path,
                f"{hint}`universality recipes` lists them.",
            )
        )
    return shipped.read_text(encoding="utf-8"), f"{name_or_path}.yaml"


def _parse(text: str, where: str) -> dict[str, Any]:
    try:
        data = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f"{where}:{mark.line + 1}:{mark.column + 1}" if mark else where
        problem = getattr(error, "problem", None) or "not readable"
        raise RecipeError(f"{place}: the file must be YAML; {problem}. Fix the line and run again.") from None
    if not isinstance(data, dict):
        raise RecipeError(
            must_be("content", where, "a mapping of keys", type(data).__name__, "See `universality schema`.")
        )
    return data


def _apply(data: dict[str, Any], override: str) -> None:
    """Set one dotted path; only existing parents are walked, so that a typo is not silently created."""
    path, sign, raw = override.partition("=")
    if not sign or not path:
        raise RecipeError(
            must_be(
                "--set", "the command line", "of the form a.b=value", override, "Write --set compare.tau=0.6."
            )
        )
    node: Any = data
    *parents, last = path.split(".")
    for depth, part in enumerate(parents):
        if isinstance(node, list) and part.isdigit() and int(part) < len(node):
            node = node[int(part)]
        elif isinstance(node, dict):
            node = node.setdefault(part, {})
        else:
            at = ".".join(parents[: depth + 1])
            raise RecipeError(f"--set {override}: {at} does not exist in the recipe. Check the path.")
    value = yaml.safe_load(raw) if raw else None
    if isinstance(node, list) and last.isdigit() and int(last) < len(node):
        node[int(last)] = value
    elif isinstance(node, dict):
        node[last] = value
    else:
        raise RecipeError(f"--set {override}: {path} does not exist in the recipe. Check the path.")


def _explain(error: ValidationError, where: str) -> str:
    lines = [f"{where} is not a legal recipe:"]
    for item in error.errors():
        # Discriminator tags stand in pydantic's loc but not in the file.
        loc = [str(part) for part in item["loc"] if part not in {"native", "pretrained"}]
        path = ".".join(loc) or "(top level)"
        if item["type"] == "extra_forbidden":
            near = difflib.get_close_matches(loc[-1], _legal_keys(), 1, cutoff=0.6)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            lines.append(f"  {path}: unknown key.{hint}")
        else:
            value = repr(item.get("input"))
            shown = f"; got {value}" if item["type"] != "missing" and len(value) < 80 else ""
            lines.append(f"  {path}: {item['msg']}{shown}")
    lines.append("`universality schema` prints every key with its meaning.")
    return "\n".join(lines)


def _legal_keys() -> list[str]:
    """Every property name anywhere in the schema, for did-you-mean."""
    schema = Recipe.model_json_schema()
    models = [schema, *schema.get("$defs", {}).values()]
    return sorted({key for model in models for key in model.get("properties", {})})
