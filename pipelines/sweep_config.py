"""Sweeps: dictionaries of many settings on the activations of one model, to choose from before models are compared."""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any

from pydantic import Field, model_validator

from universality.config import Frozen
from universality.errors import InputError
from universality.sae.sae_config import SAETrainingConfig

#: Words of a point that has no settings of its own.
BASE = "base"
#: Points of one sweep; a list of values too many is seen before anything is planned.
MOST_POINTS = 500


class SweepConfig(Frozen):
    """Dictionaries of many settings, each from the same seeds on the same rows of one model."""

    id: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]*$", description="stands in the table sweeps")
    hook_point: str = Field(description="where the dictionaries read, for example blocks.0.mlp.hook_post")
    model: str = Field(
        "m0", pattern=r"^[mu]\d+$", description="whose activations they read: m0, m1, … or u0, … (untrained)"
    )
    sae: dict[str, Any] = Field(description="settings of every dictionary, as `sae` of a comparison has them")
    vary: dict[str, tuple[Any, ...]] = Field(
        default_factory=dict,
        description="settings to vary, each with its values: every combination is trained",
    )
    points: tuple[dict[str, Any], ...] = Field(
        (),
        description="settings that belong together, for example of several architectures; combined with vary",
    )
    n_seeds: int = Field(1, ge=1, le=100, description="dictionaries per point, from SAE seeds that all points share")

    @model_validator(mode="after")
    def _legal(self) -> SweepConfig:
        keys = [*self.sae, *self.vary, *(key for point in self.points for key in point)]
        for key in keys:
            check_setting(key, f"sweep {self.id!r}")
        empty = [key for key, values in self.vary.items() if not values]
        if empty:
            raise ValueError(f"sweep {self.id!r}: vary.{empty[0]} must have a value; got none. Leave it out.")
        twice = [key for key in self.vary if any(key in point for point in self.points)]
        if twice:
            raise ValueError(f"sweep {self.id!r}: {twice[0]} must be in vary or in points; got it in both")
        n_points = max(len(self.points), 1) * math.prod(len(values) for values in self.vary.values())
        if n_points > MOST_POINTS:
            raise ValueError(f"sweep {self.id!r}: there must be at most {MOST_POINTS} points; got {n_points}")
        configs = [config for _, config in self.settings()]
        same = [i for i, config in enumerate(configs) if config in configs[:i]]
        if same:
            name = self.settings()[same[0]][0]
            raise ValueError(f"sweep {self.id!r}: points must differ; got {name!r} twice")
        return self

    def settings(self) -> list[tuple[str, SAETrainingConfig]]:
        """Every point: what is its own in words ("k 8, d_sae 512"), and its config.

        Raises:
            ValueError: a combination that is no legal dictionary; the message names it.
        """
        configs = []
        for own in combined(self.vary, self.points):
            name = ", ".join(f"{key} {value}" for key, value in own.items()) or BASE
            configs.append((name, dictionary_config({**self.sae, **own}, f"sweep {self.id!r}, point {name!r}")))
        return configs


def check_setting(key: str, where: str) -> None:
    """Raises ValueError, with what is near, where a word is no setting of a dictionary."""
    if key not in SAETrainingConfig.model_fields:
        near = difflib.get_close_matches(key, SAETrainingConfig.model_fields, 1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise ValueError(f"{where}: {key!r} is no setting of a dictionary.{hint}")


def combined(vary: Mapping[str, Sequence[Any]], points: Sequence[Mapping[str, Any]] = ()) -> list[dict[str, Any]]:
    """Every combination of the values of ``vary``, with each of the points; a single empty one where both are empty."""
    return [
        {**point, **dict(zip(vary, values, strict=True))}
        for point in points or ({},)
        for values in product(*vary.values())
    ]


def dictionary_config(settings: Mapping[str, Any], where: str) -> SAETrainingConfig:
    """Settings of a dictionary, checked. Raises ValueError for an illegal combination; the message says where."""
    try:
        return SAETrainingConfig(**settings)
    except InputError as error:
        raise ValueError(f"{where}: {error}") from None
