"""How steps write the tables of a run: labelled with whose rows they are, and only as their schema says."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipelines.engine.step import StepContext
from results.schema import TABLES

if TYPE_CHECKING:
    from pandas import DataFrame


def write_table(ctx: StepContext, name: str, table: DataFrame, **labels: str) -> None:
    """Write one of the tables of :data:`results.schema.TABLES`.

    Args:
        ctx: of the step that writes.
        name: the table's name.
        table: its rows; not changed.
        labels: columns to put in front, in their order, the same for every row; a run may hold several comparisons.

    Raises:
        InputError: the labelled table is not what its schema says.
    """
    labelled = table.copy(deep=False)
    for place, (column, value) in enumerate(labels.items()):
        labelled.insert(place, column, value)
    TABLES[name].check(labelled)
    ctx.out.table(name, labelled)
