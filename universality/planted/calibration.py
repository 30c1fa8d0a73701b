"""How right the comparison is where the truth is known: precision, recall and false discoveries.

Planted worlds of rising noise, of few and many tokens, of two models and more go through the stages of
``compare``; the correlations and the null of a world are made once, and every matcher is judged on them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import numpy as np
import pandas as pd

from universality.arguments import checked, flag, function, instance, one_of, several, whole
from universality.compare.compare_config import CompareConfig
from universality.compare.pair import Dictionary
from universality.compare.pair_plan import PairPlan
from universality.compare.stages import Stages
from universality.compare.statistics import latent_statistics
from universality.correlation import correlate_pairs
from universality.planted.judging import judge, true_pairs
from universality.planted.planted_config import PlantConfig
from universality.planted.world import Planted, plant
from universality.rows import Rows, split_documents
from universality.seeds import derive_seed

MATCHERS = ("assignment", "max", "mutual", "sinkhorn")
#: Tokens per document in the worlds of a calibration: more tokens are more documents, not longer ones.
DOCUMENT_LENGTH = 125
KEYS = ("noise", "miss", "spurious", "n_rows", "n_models", "matcher", "seed")
COLUMNS = (*KEYS, "true_r", "class", "n_called", "n_true", "n_correct", "precision", "recall", "fdr")


@dataclass(frozen=True)
class Setting:
    """One kind of world.

    Attributes:
        noise: s.d. of the log gain of each firing.
        miss: share of a feature's events that a dictionary misses, and of false firings added.
        n_rows: tokens. n_models: models compared.
    """

    noise: float
    miss: float
    n_rows: int = 30_000
    n_models: int = 3

    def __post_init__(self) -> None:
        PlantConfig(**self.changes)  # refuses what no world can be

    @property
    def changes(self) -> dict[str, Any]:
        """The fields of a world that it sets."""
        return {
            "noise": self.noise, "miss": self.miss, "spurious": self.miss, "n_rows": self.n_rows,
            "n_models": self.n_models, "n_documents": max(int(self.n_rows) // DOCUMENT_LENGTH, 4),
        }  # fmt: skip


#: What is planted besides noise: the default world, with features that are easily taken for one another.
WORLD = PlantConfig.model_validate({"n_twin": 15})
NOISES = ((0.2, 0.1), (0.3, 0.1), (0.4, 0.15), (0.5, 0.2), (0.6, 0.25))
SIZES = ((10_000, 3), (30_000, 3), (100_000, 3), (30_000, 2), (30_000, 5))
QUICK_SIZES = ((10_000, 3), (30_000, 2))


def settings_of(sizes: Sequence[tuple[int, int]] = SIZES) -> tuple[Setting, ...]:
    """Every documented noise at each of the given (tokens, models)."""
    return tuple(Setting(*noise, *size) for size, noise in product(sizes, NOISES))


@checked(
    settings=several(instance(Setting)), matchers=several(one_of(*MATCHERS)), n_seeds=whole(1), root_seed=whole(),
    world=instance(PlantConfig), config=instance(CompareConfig), threads=whole(1), on_world=function, groups=flag,
)  # fmt: skip
def calibrate(
    settings: Iterable[Setting] | None = None,
    matchers: Sequence[str] = MATCHERS,
    *,
    n_seeds: int = 3,
    root_seed: int = 0,
    world: PlantConfig | None = None,
    config: CompareConfig | None = None,
    threads: int | None = None,
    on_world: Callable[[Setting, int], Any] | None = None,
    groups: bool = False,
) -> pd.DataFrame:
    """Judge the comparison on planted worlds.

    Args:
        settings: the worlds; default every documented noise at five sizes.
        matchers: methods of :class:`CompareConfig`.
        n_seeds: worlds per setting.
        root_seed: every world derives its seed from it, from the number of the world and its setting.
        world: what else is planted, default :data:`WORLD`; the setting overrides its noise, size and number of models.
        config: settings of the comparison; its method is replaced by each matcher.
        threads: threads of the kernels; no byte of the result depends on it.
        on_world: called before each world, with its setting and its number.
        groups: judge groups too, which needs replicates, raw activations and untrained models: about
            twice the time.

    Returns:
        One row per (world, matcher, class), columns :data:`COLUMNS`; see :func:`judge`.

    Source: ours.
    """
    parts = []
    for setting in settings_of() if settings is None else settings:
        for seed in range(n_seeds):
            if on_world is not None:
                on_world(setting, seed)
            parts.append(_calibrate_world(setting, seed, tuple(matchers), root_seed, world, config, threads, groups))
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=list(COLUMNS))


def _calibrate_world(
    setting: Setting,
    seed: int,
    matchers: tuple[str, ...],
    root_seed: int,
    world: PlantConfig | None,
    config: CompareConfig | None,
    threads: int | None,
    groups: bool,
) -> pd.DataFrame:
    own = derive_seed(root_seed, "calibration", seed, str(setting))
    changes = setting.changes
    if not groups:
        changes |= {"n_untrained": 0, "d_in": 2}  # neither is looked at here
    planted = plant(world or WORLD, root_seed=own, **changes)
    stages = prepare(
        planted,
        config or CompareConfig.model_validate({"n_resamples": 20, "n_resplits": 0}),
        own,
        threads,
        replicates=groups,
    )
    r = round(float(np.median(true_correlations(planted, stages))), 4)
    parts = []
    for matcher in matchers:
        table = judge(planted, matched(stages, matcher))
        keys = (setting.noise, setting.miss, setting.miss, setting.n_rows, setting.n_models, matcher, seed, r)
        for place, (name, value) in enumerate(zip((*KEYS, "true_r"), keys, strict=True)):
            table.insert(place, name, value)
        parts.append(table)
    return pd.concat(parts, ignore_index=True)


def prepare(
    planted: Planted,
    config: CompareConfig,
    root_seed: int = 0,
    threads: int | None = None,
    *,
    replicates: bool = False,
) -> Stages:
    """Split, count, correlate and shift: the stages of a world before its matching, the same for every matcher.

    With ``replicates`` they have these and raw activations, without which no verdict and no group is known.
    """
    fit = split_documents(planted.documents, root_seed, planted.domains, planted.sources)
    rows = Rows(
        planted.documents, fit, domains=planted.domains, tokens=planted.tokens, positions=planted.positions,
        n_ctx=planted.n_ctx, sources=planted.sources,
    )  # fmt: skip
    second = {f"{model}r": model for model in planted.replicates} if replicates else {}
    acts = {**planted.acts, **{name: planted.replicates[model] for name, model in second.items()}}
    dictionaries = {
        name: Dictionary(name, matrix, rows, latent_statistics(matrix, rows), config.min_firings)
        for name, matrix in acts.items()
    }
    plan = PairPlan(tuple(planted.acts), second, ())
    stages = Stages(plan, dictionaries, config, root_seed, threads=threads)
    if replicates:
        stages = replace(stages, raw=planted.raw, untrained_raw=planted.untrained_raw)
    return stages.with_candidates()


def matched(stages: Stages, method: str) -> Stages:
    """The stages with every pair matched by one method."""
    config = stages.config.model_copy(update={"method": method})
    return replace(stages, config=config).with_matchings(token_interval=False)


def true_correlations(planted: Planted, stages: Stages) -> np.ndarray:
    """Held-out r of every pair of alive latents of one universal or shared feature, whatever was assigned."""
    truth = planted.truth[planted.truth["model"].isin(stages.models)]
    out = [np.zeros(0)]
    for names, part in true_pairs(truth, stages.dictionaries).groupby(["model_a", "model_b"]):
        left, right = (stages.dictionaries[str(name)].score for name in names)
        indices = (part[f"latent_{side}"].to_numpy(np.int64) for side in "ab")
        out.append(correlate_pairs(left, right, *indices, threads=stages.threads).r)
    return np.concatenate(out)


def pooled(table: pd.DataFrame) -> pd.DataFrame:
    """The seeds of every setting taken together: counts summed, ratios formed last, ``true_r`` the median.

    Args:
        table: of :func:`calibrate`.

    Returns:
        Columns :data:`COLUMNS` with ``n_worlds`` for ``seed``, in the order of the settings.
    """
    by = [name for name in (*KEYS, "class") if name != "seed"]
    table = table.assign(n_recalled=(table["recall"] * table["n_true"]).round())
    counted = table.groupby(by, sort=False, as_index=False).agg(
        n_worlds=("seed", "nunique"), true_r=("true_r", "median"), n_called=("n_called", "sum"),
        n_true=("n_true", "sum"), n_correct=("n_correct", "sum"), n_recalled=("n_recalled", "sum"),
    )  # fmt: skip
    called, true = counted["n_called"], counted["n_true"]
    counted["precision"] = (counted["n_correct"] / called.clip(lower=1)).where(called > 0, 1.0)
    counted["recall"] = (counted.pop("n_recalled") / true.clip(lower=1)).where(true > 0, 1.0)
    counted["fdr"] = 1.0 - counted["precision"]
    return counted
