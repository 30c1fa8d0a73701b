"""Layer by layer: what dictionaries at every two hook points share, between models and within one, and untrained."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations_with_replacement, product

import numpy as np
import pandas as pd

from universality.studies.contrasts import estimate_rows
from universality.studies.design import HOOK_POINT, MODEL, UNTRAINED, Cell, CellPair, Design
from universality.table_schemas import STUDY_LAYERS

#: Kinds of pairs: of two models; of one with another SAE seed (the ceiling); of untrained ones (the floor).
MODELS, ONE_MODEL = "models", "one model"
KINDS = (MODELS, ONE_MODEL, UNTRAINED)


def study_layers(design: Design, measured: Mapping[str, np.ndarray], confidence: float = 0.95) -> pd.DataFrame:
    """Mean agreement of dictionaries at every two hook points: the table ``study_layers``.

    Models are drawn, so hook point A of one and B of the other is averaged with B and A, unless they differ in
    something named (data, width, …), or are just two: then each is a group of its own, and the matrix has a side for
    either. The floor of two groups is that of untrained models of their shapes.

    Args:
        design: of the study.
        measured: by name of the pair, what :func:`~universality.studies.agreement.pair_agreement` gives.
        confidence: of the intervals.
    """
    factors = [name for name in (*design.settings, *design.of_models) if name != HOOK_POINT]
    trained = [cell for cell in design.cells if not cell.untrained]
    two = len({cell.transformer for cell in trained}) == 2

    def group_of(cell: Cell) -> str:
        return ", ".join(filter(None, [cell.transformer if two else "", cell.point(factors)]))

    groups: dict[str, list[Cell]] = {}
    for cell in trained:
        groups.setdefault(group_of(cell), []).append(cell)

    def fits(cell: Cell, group: str, hook_point: str) -> bool:
        if cell.levels[HOOK_POINT] != hook_point:
            return False
        if not cell.untrained:
            return group_of(cell) == group
        levels = groups[group][0].levels  # an untrained model has those of its shape
        return all(levels[name] == level for name, level in cell.levels.items() if name in factors)

    by_kind: dict[tuple[str, frozenset[str]], list[CellPair]] = {}
    for pair in design.pairs:
        if kind := _kind(pair):
            hooks = frozenset(cell.levels[HOOK_POINT] for cell in (pair.a, pair.b))
            by_kind.setdefault((kind, hooks), []).append(pair)
    rows = []
    for a, b in combinations_with_replacement(groups, 2):
        hooks = [dict.fromkeys(cell.levels[HOOK_POINT] for cell in groups[group]) for group in (a, b)]
        for kind, hook_a, hook_b in product(KINDS, *hooks):
            pairs = [
                pair
                for pair in by_kind.get((kind, frozenset((hook_a, hook_b))), ())
                if (fits(pair.a, a, hook_a) and fits(pair.b, b, hook_b))
                or (fits(pair.b, a, hook_a) and fits(pair.a, b, hook_b))
            ]
            # Beside one of two models stands no floor of its own.
            if kind == UNTRAINED and two and a == b:
                continue
            place = {"kind": kind, "group_a": a, "hook_point_a": hook_a, "group_b": b, "hook_point_b": hook_b}
            if pairs:
                told = estimate_rows(pairs, measured, ((1.0, kind),), confidence, [kind] * len(pairs))
                rows += [place | row for row in told]
    return STUDY_LAYERS.typed(pd.DataFrame(rows, columns=pd.Index(STUDY_LAYERS.names)))


def _kind(pair: CellPair) -> str | None:
    """Which of :data:`KINDS` a pair is; None for two models that began alike."""
    if pair.relation == UNTRAINED:
        return UNTRAINED
    if pair.a.transformer == pair.b.transformer:
        return ONE_MODEL
    return MODELS if pair.a.levels[MODEL] != pair.b.levels[MODEL] else None
