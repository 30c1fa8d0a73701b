"""Do models split alike, and does a larger dictionary find the partner that a smaller one lacks?"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import combinations
from typing import NamedTuple

import numpy as np
import pandas as pd

from universality.errors import refusal
from universality.intervals import centred_interval
from universality.seeds import generator
from universality.studies.split_study import SplitStudy, TreeCell, seeds_by_size
from universality.studies.splitting import exchanged
from universality.table_schemas import SPLIT_AGREEMENT


class _Turn(NamedTuple):
    """Dictionaries that are compared at a time, no two of one seed unless three are too many.

    Attributes:
        small_a, large_a: of one model; the first has the parents.
        small_b, large_b: of the other model; likewise.
        wide_b: of the larger size, where the latents of ``small_a`` may have a partner that ``small_b`` lacks.
    """

    small_a: TreeCell
    large_a: TreeCell
    small_b: TreeCell
    large_b: TreeCell
    wide_b: TreeCell


def split_agreement(
    study: SplitStudy, models: tuple[str, str], progress: Callable[[int, int], None] = lambda done, of: None
) -> pd.DataFrame:
    """The table ``split_agreement`` of two models, both ways; of a model with itself, once, which is the ceiling.

    Seeds are taken in turns (the first of one model with the second of the other, and so on): dictionaries that are
    compared have different initial directions.

    Args:
        study: sizes and seeds that all dictionaries of a model are crossed in.
        models: their ids.
        progress: told how many of how many pairs of sizes are done.

    Returns:
        Two rows per direction and pair of sizes. ``control`` is the same with a further dictionary of the
        smaller size in place of the larger one; that of *rescued* takes three seeds.

    Raises:
        InputError: too few sizes or seeds.
    """
    seeds = {model: _crossed(study, model) for model in models}
    sizes = sorted(set.intersection(*(set(own) for own, _ in seeds.values())))
    directions = dict.fromkeys([models, models[::-1]])
    asked = [(*direction, pair) for direction in directions for pair in combinations(sizes, 2)]
    rows = []
    for done, (a, b, (small, large)) in enumerate(asked, start=1):
        turns, equal = (list(_turns((a, seeds[a][1]), (b, seeds[b][1]), small, size)) for size in (large, small))
        enough = len(seeds[b][1]) > 2
        names = {"model": a, "other_model": b, "d_sae": small, "child_d_sae": large}
        split = _same_parent(study, turns)
        rows.append(names | _row("same_parent", study, split, _same_parent(study, equal)))
        rows.append(names | _row("rescued", study, _rescued(study, turns), _rescued(study, equal) if enough else None))
        progress(done, len(asked))
    return SPLIT_AGREEMENT.typed(pd.DataFrame(rows, columns=pd.Index(SPLIT_AGREEMENT.names)))


def _crossed(study: SplitStudy, model: str) -> tuple[list[int], list[int]]:
    """Sizes of a model's dictionaries, and the seeds that it has at every size."""
    seeds = seeds_by_size(study.cells, model)
    common = sorted(set.intersection(*(set(own) for own in seeds.values())))
    if len(common) < 2:
        remedy = "Cross d_sae with the same SAE seeds."
        raise refusal("SAE seeds", f"model {model!r}", "two or more that every d_sae has", common, remedy)
    return list(seeds), common


def _turns(a: tuple[str, list[int]], b: tuple[str, list[int]], small: int, large: int) -> Iterable[_Turn]:
    def cell(of: tuple[str, list[int]], size: int, number: int) -> TreeCell:
        return TreeCell(of[0], size, of[1][number % len(of[1])])

    for turn in range(min(len(a[1]), len(b[1]))):
        third = 2 if len(b[1]) > 2 else 1
        yield _Turn(
            cell(a, small, turn), cell(a, large, turn + 1), cell(b, small, turn + 1), cell(b, large, turn + 2),
            cell(b, large, turn + third),
        )  # fmt: skip


#: (1 + n_draws,) hits and latents asked, over all sources and in draws of them; share of hits by chance.
_Asked = tuple[np.ndarray, np.ndarray, float]


def _same_parent(study: SplitStudy, turns: list[_Turn]) -> _Asked:
    hits, asked, lucky = 0, 0, 0
    for turn in turns:
        above, below = study.partners(turn.small_a, turn.small_b), study.partners(turn.large_a, turn.large_b)
        of_a, of_b = study.parents(turn.small_a, turn.large_a), study.parents(turn.small_b, turn.large_b)
        parent, child = of_a.edges
        partner = below.partner[child]
        has = (partner >= 0) & (above.partner[parent] >= 0)
        has[has] = of_b.parent[partner[has]] >= 0
        parent, child, partner = parent[has], child[has], partner[has]
        holds = below.holds[child] & above.holds[parent]
        same = of_b.parent[partner] == above.partner[parent]
        rng = generator(study.root_seed, "splitting-exchange", *(study.cells[cell].name for cell in turn[:4]))
        other = exchanged(partner, study.cells[turn.large_b].statistics.firings_fit, rng)
        by_luck = of_b.parent[other] == above.partner[parent]
        hits, asked = hits + holds[same].sum(axis=0), asked + holds.sum(axis=0)
        lucky += int(holds[by_luck, 0].sum())
    return np.asarray(hits), np.asarray(asked), lucky / max(int(np.asarray(asked)[0]), 1)


def _rescued(study: SplitStudy, turns: list[_Turn]) -> _Asked:
    hits, asked = 0, 0
    for turn in turns:
        lacks = study.cells[turn.small_a].alive[:, None] & ~study.partners(turn.small_a, turn.small_b).holds
        hits = hits + (lacks & study.partners(turn.small_a, turn.wide_b).holds).sum(axis=0)
        asked = asked + lacks.sum(axis=0)
    return np.asarray(hits), np.asarray(asked), np.nan


def _row(measure: str, study: SplitStudy, counted: _Asked, control: _Asked | None) -> dict[str, object]:
    hits, asked, chance = counted
    nothing = not asked[0]
    share = hits / np.maximum(asked, 1)
    low, high = centred_interval(float(share[0]), share[1:], study.config.confidence)
    known = control is not None and control[1][0] > 0
    return {
        "measure": measure,
        "n_asked": asked[0],
        "value": np.nan if nothing else share[0],
        "low": np.nan if nothing else low,
        "high": np.nan if nothing else high,
        "chance": np.nan if nothing else chance,
        "control": control[0][0] / control[1][0] if control is not None and known else np.nan,
    }
