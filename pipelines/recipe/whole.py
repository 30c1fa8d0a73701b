"""The recipe as a whole, the ids that follow from it, and what must hold between its parts."""

from __future__ import annotations

import re
from itertools import product
from typing import Any, Literal, NamedTuple

from pydantic import Field, model_validator

from pipelines.corpus.corpus_config import CorpusConfig, SplitConfig
from pipelines.corpus.mix import MixConfig
from pipelines.recipe.dictionary_spec import dictionary_specs, primary_specs
from pipelines.recipe.parts import (
    ComparisonConfig,
    EvidenceConfig,
    Models,
    NativeModels,
    PretrainedModels,
    TrainingRowsConfig,
    own_tokenizer,
    size_of,
)
from pipelines.recipe.study_config import StudyConfig, check_study
from pipelines.sweep_config import SweepConfig
from pipelines.tokens.tokenizer_config import TokenizerConfig, TrainedTokenizer
from universality.compare.compare_config import CompareConfig
from universality.config import Frozen
from universality.effects.effects_config import EffectsConfig
from universality.sae.sae_config import RESOLVED, SAETrainingConfig
from universality.transformers.hook_points import slip_in

#: Names that stand in node ids.
NAME = r"[a-z0-9][a-z0-9_-]*"
#: Dictionaries of one comparison.
MOST_DICTIONARIES = 200


class Member(NamedTuple):
    """A transformer of a recipe, trained or not: its group, and its number in it."""

    group: NativeModels | PretrainedModels
    index: int


class Recipe(Frozen):
    """Everything that can change a result, and nothing else."""

    recipe: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", description="name of the recipe")
    description: str = Field("", description="one sentence for `universality recipes`")
    root_seed: int = Field(0, ge=0, description="every other seed is hashed from it, a purpose and ids")
    corpus: CorpusConfig = Field(default_factory=CorpusConfig, description="the text")
    split: SplitConfig = Field(default_factory=SplitConfig, description="parts of the corpus, by document")
    tokenizer: TokenizerConfig = Field(default_factory=TrainedTokenizer, description="one tokenizer for all models")
    mixes: dict[str, MixConfig] = Field(
        default_factory=dict,
        exclude_if=lambda mixes: not mixes,
        description="named parts of the training text, for models that see different data (`data` of models)",
    )
    n_ctx: int = Field(128, ge=8, description="tokens per context, the first one included")
    models: Models = Field(
        description="the transformers: some of one kind, or a list of such groups, of other shapes, origins, tokenizers"
    )
    comparisons: tuple[ComparisonConfig, ...] = Field(
        (), description="what is compared; may be empty where there are sweeps or studies"
    )
    sweeps: tuple[SweepConfig, ...] = Field(
        (), description="dictionaries of many settings on one model each, to choose from"
    )
    studies: tuple[StudyConfig, ...] = Field(
        (),
        exclude_if=lambda studies: not studies,
        description="dictionaries by design (seeds, halves, data, settings), of which many pairs are compared fast",
    )
    compare: CompareConfig = Field(
        default_factory=lambda: CompareConfig.model_validate({}), description="thresholds, nulls, intervals"
    )
    evidence: EvidenceConfig = Field(
        default_factory=lambda: EvidenceConfig.model_validate({}), description="contexts kept per latent"
    )
    effects: EffectsConfig | None = Field(
        default_factory=lambda: EffectsConfig.model_validate({}),
        description="what features do to predictions, ablated and in each other's place; null leaves it out",
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

    def resolved(self) -> dict[str, Any]:
        """Every setting with its value, as JSON has it; read again it is the same recipe."""
        return self.model_dump(mode="json", context=RESOLVED)

    @property
    def readers(self) -> tuple[ComparisonConfig | SweepConfig | StudyConfig, ...]:
        """Everything that reads activations at a hook point."""
        return (*self.comparisons, *self.sweeps, *self.studies)

    def hook_points_of(self, model: str) -> list[str]:
        """Where a model, trained or not, is read: the points that one pass over its activations keeps, sorted."""
        like = self.like(model)
        studied = {place for study in self.studies for place in study.places_of(like)}
        compared = {comparison.place_of(like) for comparison in self.comparisons}
        return sorted(compared | studied | {sweep.hook_point for sweep in self.sweeps})

    @property
    def model_ids(self) -> list[str]:
        """Ids of the trained transformers, ``m0, m1, …`` in the recipe's order."""
        return [f"m{i}" for i in range(sum(map(size_of, self.groups)))]

    @property
    def untrained_ids(self) -> list[str]:
        """Ids of the untrained transformers, ``u0, u1, …``."""
        return [f"u{i}" for i in range(sum(group.n_untrained or 0 for group in self.groups))]

    @property
    def groups(self) -> tuple[NativeModels | PretrainedModels, ...]:
        """The groups of models, one where the recipe has no list of them."""
        return self.models if isinstance(self.models, tuple) else (self.models,)

    def member(self, model: str) -> Member:
        """The group of a transformer (``m3``, ``u3``, ``m3c0``), and its number in it: ids count on between groups."""
        index = int(model[1:].partition("c")[0])
        for group in self.groups:
            size = size_of(group) if model[0] == "m" else group.n_untrained or 0
            if index < size:
                return Member(group, index)
            index -= size
        raise KeyError(model)

    def twin(self, untrained: str) -> str:
        """The trained model that an untrained one stands beside: that of its number in its group, counted round."""
        group, index = self.member(untrained)
        return f"m{self._first(group) + index % size_of(group)}"

    def like(self, model: str) -> str:
        """The trained model whose shape a model has: itself, that of a checkpoint, or of an untrained one its twin."""
        group, index = self.member(model)
        if model[0] == "m":
            return model.partition("c")[0]
        own = index if isinstance(group, NativeModels) and index < size_of(group) else 0
        return f"m{self._first(group) + own}"

    def _first(self, group: NativeModels | PretrainedModels) -> int:
        """Number of the first trained model of a group."""
        return sum(size_of(other) for other in self.groups[: self.groups.index(group)])

    @property
    def tokenizers(self) -> list[TokenizerConfig]:
        """The tokenizers that are said, each once, in the order of the models; one where all models share it."""
        return list({str(config): config for config in map(self.tokenizer_of, self.model_ids)}.values())

    def tokenizer_of(self, model: str) -> TokenizerConfig:
        """What is said of the tokenizer of a transformer."""
        group = self.member(model).group
        listed = isinstance(self.models, tuple) or group.tokenizer is not None
        return (own_tokenizer(group) if listed else None) or self.tokenizer

    @property
    def checkpoint_ids(self) -> list[str]:
        """Ids of the trained transformers at earlier places of their training, ``m0c0, m0c1, …``."""
        groups = [(model, self.member(model).group) for model in self.model_ids]
        return [
            f"{model}c{i}" for model, of in groups if isinstance(of, NativeModels) for i in range(len(of.kept))
        ]  # fmt: skip

    @model_validator(mode="after")
    def _with_floor(self) -> Recipe:
        trained = all(comparison.sae is not None for comparison in self.comparisons)
        trained &= bool(self.comparisons or any(study.floor for study in self.studies))
        groups = tuple(
            group.model_copy(update={"n_untrained": max(2, size_of(group)) if trained else 0})
            if group.n_untrained is None
            else group
            for group in self.groups
        )
        object.__setattr__(self, "models", groups if isinstance(self.models, tuple) else groups[0])
        return self

    @model_validator(mode="after")
    def _consistent(self) -> Recipe:
        ids = [c.id for c in self.comparisons]
        if len(set(ids)) != len(ids):
            raise ValueError(f"comparison ids must differ; got {ids}")
        for group in self.groups:
            if isinstance(group, NativeModels) and group.architecture.n_ctx < self.n_ctx:
                raise ValueError(
                    f"n_ctx must be at most the architecture's n_ctx ({group.architecture.n_ctx}); got {self.n_ctx}"
                )
        if self.training_rows.first_position >= self.n_ctx:
            first = self.training_rows.first_position
            raise ValueError(f"training_rows.first_position must be below n_ctx ({self.n_ctx}); got {first}")
        if not self.comparisons and not self.sweeps and not self.studies:
            raise ValueError("comparisons (or sweeps, or studies) must name something to do; got none of them")
        for comparison in self.comparisons:
            n = len(self.model_ids) * len(comparison.sae_seeds or (0,))
            if n > MOST_DICTIONARIES:
                raise ValueError(
                    f"comparison {comparison.id!r} must have at most {MOST_DICTIONARIES} dictionaries; got {n}: every "
                    "pair of them is a step"
                )
            if len(primary_specs(self.model_ids, comparison)) < 2:
                raise ValueError(
                    f"comparison {comparison.id!r} needs at least two models, or two sae_seeds of one: it compares "
                    "dictionaries with each other"
                )
        names = [sweep.id for sweep in self.sweeps]
        if len(set(names)) != len(names):
            raise ValueError(f"sweep ids must differ; got {names}")
        names = [*ids, *(study.id for study in self.studies)]
        if len(set(names)) != len(names):
            raise ValueError(f"ids of comparisons and studies must differ; got {names}")
        _check_groups(self)
        for name in self.mixes:
            if not re.fullmatch(NAME, name):
                raise ValueError(f"names of mixes must be small letters, digits, - and _; got {name!r}")
        native = [group for group in self.groups if isinstance(group, NativeModels)]
        for group in native:
            unknown = [name for name in group.data or () if name is not None and name not in self.mixes]
            if unknown:
                legal = ", ".join(self.mixes) or "none, for mixes is empty"
                raise ValueError(f"models.data must name mixes ({legal}) or null; got {unknown}")
            for index in range(size_of(group)):
                training, kept = group.of(index)[1], group.kept
                steps = [*training.steps_at(kept, self.n_ctx), training.n_steps(self.n_ctx)]
                if len(set(steps)) != len(steps):
                    raise ValueError(
                        f"checkpoints must be at different steps of the {steps[-1]} of m{self._first(group) + index}; "
                        f"got {list(kept)}, at steps {steps[:-1]}. Name fewer, or train on more tokens."
                    )
            layers = {f"m{self._first(group) + i}": group.of(i)[0].n_layers for i in range(size_of(group))}
            for asked, model in product(self.readers, sorted(layers, key=layers.__getitem__)):
                places = [asked.hook_point] if isinstance(asked, SweepConfig) else _places(asked, model)
                for slip in filter(None, (slip_in(place, layers[model]) for place in places)):
                    raise ValueError(f"hook_point of {asked.id!r} {slip}")
        transformers = [*self.model_ids, *self.untrained_ids]
        for sweep in self.sweeps:
            if sweep.model not in transformers:
                legal = ", ".join(transformers)
                raise ValueError(f"model of sweep {sweep.id!r} must be one of {legal}; got {sweep.model!r}")
        for comparison in self.comparisons:
            _check_dictionaries(self, comparison)
        for study in self.studies:
            check_study(self, study)
        return self


def _check_groups(recipe: Recipe) -> None:
    """What must hold between the groups of models, and their tokenizers."""
    listed = isinstance(recipe.models, tuple)
    if not listed and recipe.groups[0].tokenizer is not None:
        raise ValueError("tokenizer of models belongs to models in a list; say tokenizer of the recipe instead")
    for group in recipe.groups:
        said = (own_tokenizer(group) if listed else None) or recipe.tokenizer
        if isinstance(group, PretrainedModels) and isinstance(said, TrainedTokenizer):
            raise ValueError(
                "tokenizer must be that of the pretrained models; got kind train. Say tokenizer: {kind: hub, name: "
                f"{group.models[0].name}}}: their weights know no other token ids."
            )
    seeds = [seed for group in recipe.groups if isinstance(group, NativeModels) for seed in set(group.model_seeds)]
    if len(set(seeds)) != len(seeds):
        raise ValueError(
            "model_seeds of groups must differ: equal seeds draw equal random numbers, so that models of two groups "
            f"would begin alike; got {seeds}"
        )
    names = [(m.name, m.revision) for g in recipe.groups if isinstance(g, PretrainedModels) for m in g.models]
    if len(set(names)) != len(names):
        raise ValueError("models must differ between groups: a model compared with itself agrees perfectly")
    if len(recipe.tokenizers) > 1 and any(isinstance(g, NativeModels) and g.data is not None for g in recipe.groups):
        raise ValueError("models.data (mixes) needs one tokenizer for all models: losses of several do not compare")


def trained_configs(recipe: Recipe) -> list[SAETrainingConfig]:
    """How dictionaries are trained, of all comparisons and all points of sweeps."""
    compared = [c.sae for c in recipe.comparisons if c.sae is not None]
    swept = [config for sweep in recipe.sweeps for _, config in sweep.settings()]
    return compared + swept + [config for study in recipe.studies for _, config in study.settings()]


def training_tokens(recipe: Recipe) -> int:
    """Positions per half of the SAE documents that dictionaries are trained on, at most."""
    most = max((config.tokens for config in trained_configs(recipe)), default=0)
    return min(most, recipe.activation_tokens or most)


def _places(reader: ComparisonConfig | StudyConfig, model: str) -> list[str]:
    """Where a trained model is read."""
    return reader.places_of(model) if isinstance(reader, StudyConfig) else [reader.place_of(model)]


def _check_dictionaries(recipe: Recipe, comparison: ComparisonConfig) -> None:
    """Every dictionary of a comparison is either loaded or trained."""
    absent = [model for model in comparison.hook_points or () if model not in recipe.model_ids]
    if absent:
        legal = ", ".join(recipe.model_ids)
        raise ValueError(f"hook_points of comparison {comparison.id!r} must name models ({legal}); got {absent}")
    ids = [spec.id for spec in dictionary_specs(recipe, comparison)]
    loaded = [entry.model for entry in comparison.saes]
    if len(set(loaded)) != len(loaded):
        raise ValueError(f"saes of comparison {comparison.id!r} must name a dictionary once; got {loaded}")
    unknown = [name for name in loaded if name not in ids]
    if unknown:
        raise ValueError(
            f"saes of comparison {comparison.id!r} must name dictionaries among {', '.join(ids)}; got {unknown}"
        )
    missing = [name for name in ids if name not in loaded]
    if missing and comparison.sae is None:
        raise ValueError(
            f"comparison {comparison.id!r} has no dictionary for {', '.join(missing)}: name it in saes, say in sae how "
            "it is trained, or switch replicates (or n_untrained) off"
        )
