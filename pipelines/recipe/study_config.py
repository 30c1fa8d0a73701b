"""Studies: many dictionaries by design, of which pairs say what seeds, data, sizes and training do to agreement."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import product
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, model_validator

from pipelines.recipe.dictionary_spec import DictionarySpec
from pipelines.recipe.parts import NativeModels, PretrainedModels
from pipelines.sweep_config import check_setting, combined, dictionary_config
from universality.config import Frozen
from universality.studies.design import (
    CHECKPOINT,
    DATA,
    HALF,
    HOOK_POINT,
    MODEL,
    REVISION,
    SAE_SEED,
    TOKENIZER,
    Cell,
    Design,
)
from universality.transformers.transformer_config import TrainingConfig, TransformerConfig

if TYPE_CHECKING:
    from pipelines.recipe.whole import Recipe
    from universality.sae.sae_config import SAETrainingConfig

#: Dictionaries of one study, and pairs of them that are steps.
MOST_CELLS, MOST_PAIRS = 200, 5_000
#: Untrained models of one shape that have dictionaries: their pairs are the floor.
FLOOR_MODELS = 3
#: What models trained on the whole corpus are called beside those of a mix.
ALL_DATA = "all"

Places = Annotated[tuple[str, ...], Field(min_length=1)]


class StudyConfig(Frozen):
    """Dictionaries of several models, seeds, halves of the documents and settings, all combined."""

    id: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]*$", description="stands in every table")
    hook_point: str | None = Field(
        None,
        exclude_if=lambda place: place is None,
        description="where the dictionaries read, for example blocks.0.mlp.hook_post",
    )
    hook_points: Places | dict[str, Places] | None = Field(
        None,
        exclude_if=lambda places: places is None,
        description="in place of hook_point, several: dictionaries at each of them, and every two are compared, layer "
        "by layer. A list for all models, or by model its own ({m0: […], m1: […]})",
    )
    models: tuple[str, ...] | None = Field(
        None, min_length=1, description="whose activations they read: ids m0, m1, …; default all trained models"
    )
    checkpoints: bool = Field(
        False,
        exclude_if=lambda checkpoints: not checkpoints,
        description="whether each of them is read at all its checkpoints too (`checkpoints` of models): the curve of "
        "agreement over training",
    )
    sae: dict[str, Any] = Field(description="settings of every dictionary, as `sae` of a comparison has them")
    sae_seeds: tuple[Annotated[int, Field(ge=0)], ...] = Field(
        (0,), min_length=1, description="seeds of the dictionaries of every model"
    )
    halves: tuple[Literal["a", "b"], ...] = Field(
        ("a",), min_length=1, description="halves of the SAE documents that dictionaries are trained on"
    )
    vary: dict[str, tuple[Any, ...]] = Field(
        default_factory=dict, description="settings of dictionaries to vary, each with its values, all combined"
    )
    points: tuple[dict[str, Any], ...] = Field(
        (),
        exclude_if=lambda points: not points,
        description="settings of dictionaries that belong together, for example of architectures; combined with vary",
    )
    floor: bool = Field(
        True, description="whether untrained models have dictionaries too, of the first seed, half and every setting"
    )
    contrasts: tuple[str, ...] | None = Field(
        None,
        min_length=1,
        description="contrasts that must be estimable (sae_seed, half, model, data, …), or the recipe is refused; "
        "default whatever the cells can estimate",
    )

    @model_validator(mode="after")
    def _legal(self) -> StudyConfig:
        if (self.hook_point is None) == (self.hook_points is None):
            got = "neither" if self.hook_point is None else "both"
            raise ValueError(f"study {self.id!r} must have either hook_point or hook_points; got {got}")
        if self.hook_points is not None and len(self.places) < 2:
            raise ValueError(f"study {self.id!r}: hook_points must be two at least; got one. Say hook_point instead.")
        own = [*self.hook_points.values()] if isinstance(self.hook_points, Mapping) else [self.hook_points or ()]
        named = (("sae_seeds", self.sae_seeds), ("halves", self.halves), ("models", self.models or ()))
        for name, values in (*named, *(("hook_points", places) for places in own)):
            if len(set(values)) != len(values):
                raise ValueError(f"study {self.id!r}: {name} must differ; got {list(values)}")
        for key in (*self.sae, *self.varied):
            check_setting(key, f"study {self.id!r}")
        empty = [key for key, values in self.vary.items() if not values]
        if empty:
            raise ValueError(f"study {self.id!r}: vary.{empty[0]} must have a value; got none. Leave it out.")
        configs = [config for _, config in self.settings()]
        if any(config in configs[:i] for i, config in enumerate(configs)):
            raise ValueError(f"study {self.id!r}: settings of vary and points must differ; got the same twice")
        return self

    @property
    def varied(self) -> list[str]:
        """Names of the settings that vary, in the order in which they are named."""
        return list(dict.fromkeys([*self.vary, *(key for point in self.points for key in point)]))

    @property
    def factors(self) -> list[str]:
        """Names of what varies between the dictionaries of one model and seed: the hook point first."""
        return [*([HOOK_POINT] if self.hook_points else []), *self.varied]

    @property
    def places(self) -> list[str]:
        """Every hook point, in the order in which they are named."""
        lists = [*self.hook_points.values()] if isinstance(self.hook_points, Mapping) else [self.hook_points or ()]
        return list(dict.fromkeys(place for places in lists for place in places)) or [str(self.hook_point)]

    def places_of(self, model: str) -> list[str]:
        """The hook points at which a trained model is read."""
        return list(self.hook_points.get(model, ())) if isinstance(self.hook_points, Mapping) else self.places

    def place_of(self, cell: Cell) -> str:
        """The hook point that one of its dictionaries reads."""
        return cell.levels.get(HOOK_POINT, self.hook_point or "")

    def settings(self) -> list[tuple[dict[str, Any], SAETrainingConfig]]:
        """What each combination of ``vary`` and ``points`` sets, and the dictionary's settings; one without either."""
        where = f"study {self.id!r}"
        return [
            (own, dictionary_config({**self.sae, **own}, f"{where}, {own}")) for own in combined(self.vary, self.points)
        ]


def study_cells(recipe: Recipe, study: StudyConfig) -> list[tuple[Cell, DictionarySpec]]:
    """The dictionaries of a study, each with what it is trained from."""
    settings, places = study.settings(), study.places
    varied = len(settings) > 1
    trained = studied_models(recipe, study)
    untrained = _floor_of(recipe, trained) if study.floor else []
    cells = []
    for model in (*trained, *untrained):
        floor = model in recipe.untrained_ids
        of_model = shape_levels(recipe, model) if floor else model_levels(recipe, model)
        seeds, halves = (study.sae_seeds[:1], study.halves[:1]) if floor else (study.sae_seeds, study.halves)
        read = study.places_of(recipe.like(model))
        for place, seed, half, (number, (_, config)) in product(read, seeds, halves, enumerate(settings)):
            own_id = f"{model}s{seed}"
            at, of_place = (f"h{places.index(place)}", {HOOK_POINT: place}) if study.hook_points else ("", {})
            cell_id = f"{model}{at}s{seed}{half}" + (f"-{number}" if varied else "")
            levels = {SAE_SEED: str(seed), HALF: half, **of_place, **_levels(config, study.varied), **of_model}
            role = "untrained" if floor else "primary"
            # The seed of m0s0 is that of a comparison's dictionary of that name: equal settings are one artifact.
            spec = DictionarySpec(cell_id, model, own_id, "sae_a" if half == "a" else "sae_b", role)
            cells.append((Cell(cell_id, model, levels, number, floor), spec))
    return cells


def studied_models(recipe: Recipe, study: StudyConfig) -> list[str]:
    """The trained models that a study reads; with its checkpoints each stands behind them."""
    kept = recipe.checkpoint_ids if study.checkpoints else []
    named = [
        [*(name for name in kept if recipe.like(name) == model), model] for model in study.models or recipe.model_ids
    ]
    return list(dict.fromkeys(name for names in named for name in names))


def _floor_of(recipe: Recipe, trained: Sequence[str]) -> list[str]:
    """Untrained models of the shapes of some models, of each shape :data:`FLOOR_MODELS` at most."""
    beside: dict[str, str] = {}
    for untrained in recipe.untrained_ids:
        beside.setdefault(recipe.twin(untrained), untrained)
    twins = [beside[model] for model in dict.fromkeys(map(recipe.like, trained)) if model in beside]
    of_shape: dict[str, list[str]] = {}
    for untrained in twins if len(twins) > 1 else recipe.untrained_ids:
        of_shape.setdefault(str(shape_levels(recipe, untrained)), []).append(untrained)
    return [untrained for models in of_shape.values() for untrained in models[:FLOOR_MODELS]]


def model_levels(recipe: Recipe, model: str) -> dict[str, str]:
    """Levels of the factors of a trained model: its seed, its data, and the settings in which models differ."""
    models, index = recipe.member(model)
    # Where models of one group differ in data, it is a factor of all groups.
    several = any(isinstance(group, NativeModels) and group.data is not None for group in recipe.groups)
    if not isinstance(models, NativeModels):
        named = [*([DATA] if several else []), *([CHECKPOINT] if recipe.checkpoint_ids else [])]
        return (
            _public_levels(recipe, model)
            | dict.fromkeys(named, "public")
            | _group_levels(recipe, model, changed_settings(recipe))
        )
    levels = {MODEL: str(models.model_seeds[index])}
    if several:
        levels[DATA] = (models.data or (None,) * (index + 1))[index] or ALL_DATA
    if recipe.checkpoint_ids:
        at = 1.0 if model in recipe.model_ids else models.kept[int(model.partition("c")[2])]
        levels[CHECKPOINT] = str(round(at * models.of(index)[1].tokens))
    return levels | _group_levels(recipe, model, changed_settings(recipe))


def _public_levels(recipe: Recipe, model: str) -> dict[str, str]:
    """Which model one from elsewhere is; of revisions ``step1000`` of a family the place in the training of each."""
    group, index = recipe.member(model)
    assert isinstance(group, PretrainedModels)
    names = [one.name for one in group.models]
    steps = [re.fullmatch(r"step(\d+)", one.revision or "") for one in group.models]
    step = steps[index]
    if step is None or not all(steps) or len(set(names)) == len(names) or len(recipe.groups) > 1:
        return {MODEL: model}
    return {MODEL: names[index], REVISION: str(int(step[1]))}


def changed_settings(recipe: Recipe) -> list[str]:
    """Settings of architecture or training in which native models differ, within groups and between them."""
    native = [group for group in recipe.groups if isinstance(group, NativeModels)]
    within = [name for group in native for name in group.changed]
    names = [*TransformerConfig.model_fields, *TrainingConfig.model_fields]
    between = [
        name
        for name in dict.fromkeys(names)
        if name not in ("d_vocab", "n_ctx") and len({str(group.setting(0, name)) for group in native}) > 1
    ]
    return list(dict.fromkeys([*within, *(between if len(native) > 1 else [])]))


def _group_levels(recipe: Recipe, model: str, names: Sequence[str]) -> dict[str, str]:
    """Which tokenizer, where there are several, and the settings in which models differ; "public" of public models."""
    models, index = recipe.member(model)
    known = [str(config) for config in recipe.tokenizers]
    own = {TOKENIZER: f"t{known.index(str(recipe.tokenizer_of(model)))}"} if len(known) > 1 else {}
    if isinstance(models, NativeModels):
        return own | {name: str(models.setting(index, name)) for name in names}
    return own | dict.fromkeys(names, "public")


def _levels(config: SAETrainingConfig, names: Sequence[str]) -> dict[str, str]:
    """The level of each setting that varies; 8 and 8.0 are one."""
    values = {name: getattr(config, name) for name in names}
    return {name: f"{value:g}" if isinstance(value, float) else str(value) for name, value in values.items()}


def shape_levels(recipe: Recipe, untrained: str) -> dict[str, str]:
    """Levels of the factors of an untrained model: the settings of its shape in which models differ."""
    shapes = [name for name in changed_settings(recipe) if name in TransformerConfig.model_fields]
    return _group_levels(recipe, untrained, shapes)


def study_design(recipe: Recipe, study: StudyConfig) -> Design:
    """The design of a study of a recipe."""
    of_models = [name for name in model_levels(recipe, recipe.model_ids[0]) if name != MODEL]
    return Design([cell for cell, _ in study_cells(recipe, study)], of_models, study.factors)


def check_study(recipe: Recipe, study: StudyConfig) -> None:
    """Refuse designs that can say nothing, or that would say something else than they seem to.

    Raises:
        ValueError: models that are not there, too many dictionaries or pairs, a factor of models with one model at a
            level, or a contrast that no pairs can estimate; names what to change.
    """
    where = f"study {study.id!r}"
    legal = [*recipe.model_ids, *recipe.checkpoint_ids]
    unknown = [model for model in study.models or () if model not in legal]
    if unknown:
        raise ValueError(f"models of {where} must be among {', '.join(legal)}; got {unknown[0]!r}")
    if study.checkpoints and not recipe.checkpoint_ids:
        raise ValueError(
            f"checkpoints of {where} must be kept by its models; got none. Name some (models.checkpoints)."
        )
    if isinstance(study.hook_points, Mapping):
        models = list(dict.fromkeys(recipe.like(model) for model in studied_models(recipe, study)))
        if {*study.hook_points} != {*models}:
            raise ValueError(
                f"hook_points of {where} must name its models ({', '.join(models)}); got {', '.join(study.hook_points)}"
            )
    n = len(study_cells(recipe, study))
    if n > MOST_CELLS:
        raise ValueError(f"{where} must have at most {MOST_CELLS} dictionaries; got {n}. Name fewer seeds or settings.")
    design = study_design(recipe, study)
    _check_factors(design, where)
    possible = [contrast.name for contrast in design.contrasts]
    missing = [name for name in study.contrasts or () if name not in possible]
    if missing:
        legal = ", ".join(possible) or "none"
        raise ValueError(
            f"contrasts of {where} must be among those that its pairs can estimate ({legal}); got {missing[0]!r}: no "
            "two dictionaries differ in that alone. Name more seeds, halves or models."
        )
    if not any(pair for pair in design.pairs if not pair.a.untrained):
        raise ValueError(
            f"{where} must have two dictionaries that differ in seed, half or model; got {n} in all. Name two "
            "sae_seeds."
        )
    if len(design.pairs) > MOST_PAIRS:
        raise ValueError(
            f"{where} must have at most {MOST_PAIRS:,} pairs, each of which is a step; got {len(design.pairs):,}. Name "
            "fewer seeds, halves or models."
        )


def _check_factors(design: Design, where: str) -> None:
    """Each level of data, width and so on needs two models: with one, its difference is that of two seeds."""
    for name in design.of_models:
        if name in (CHECKPOINT, REVISION):  # no contrast, but points of curves
            continue
        seeds: dict[str, set[str]] = {}
        for cell in design.cells:
            if not cell.untrained:
                seeds.setdefault(cell.levels[name], set()).add(cell.levels[MODEL])
        alone = [level for level, models in seeds.items() if len(models) < 2]
        if alone:
            raise ValueError(
                f"{where} must have at least two model seeds with each {name}; got one with {name} {alone[0]}: what it "
                "does could not be told from what a seed does. Add a model, or leave the others out (models)."
            )
