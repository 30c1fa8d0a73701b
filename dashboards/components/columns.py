"""Columns of tables: where the values come from, how they are headed, written and explained."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import pandas as pd
import streamlit as st

from results.token_text import isolated
from universality.schema import TableSchema


def _fitting(kind: Callable[..., Any]) -> Callable[..., Any]:
    """A kind of column that is, where it is small, as wide as its heading needs and no wider."""

    def column(label: str | None = None, **display: Any) -> Any:
        if display.get("width") == "small":
            display["width"] = max(_LEAST, _MARGIN + round(_LETTER * len(label or "")))
        return kind(label, **display)

    return column


#: Pixels of a small column: at least, beside its heading, and for a letter of it.
_LEAST, _MARGIN, _LETTER = 64, 18, 6.8
number, text = map(_fitting, (st.column_config.NumberColumn, st.column_config.TextColumn))


def explained(schema: TableSchema, columns: Mapping[str, tuple[str, str]]) -> dict[str, Any]:
    """Columns of numbers, each with what its table's schema says of it as help.

    Args:
        schema: declares them.
        columns: name -> heading, and format.
    """
    return {
        name: number(label, format=written, help=schema[name].meaning) for name, (label, written) in columns.items()
    }


def bar(label: str, **display: Any) -> Any:
    """A column of bars, from 0 to 1 unless ``max_value`` says otherwise."""
    shown = {"format": "%.2f", "min_value": 0, "max_value": 1, "width": 130, **display}
    return st.column_config.ProgressColumn(label, **shown)


def percent(name: str) -> Callable[[pd.DataFrame], pd.Series]:
    """Values of a column in percent."""
    return lambda frame: 100 * frame[name]


class Column(NamedTuple):
    """A column of a table.

    Attributes:
        name: in the table that is shown.
        values: column of the frame behind it (empty where the frame has none), or what computes it from the frame.
        heading: text, or how Streamlit shows the column; None writes the name and the values as they are.
    """

    name: str
    values: str | Callable[[pd.DataFrame], Any]
    heading: Any = None


def quoting(name: str) -> Callable[[pd.DataFrame], Any]:
    """Values of a column of sentences that quote tokens, for a :class:`Column`; none where there is no such column."""

    def values(frame: pd.DataFrame) -> Any:
        own = frame.get(name)
        return None if own is None else own.map(isolated, na_action="ignore")

    return values


def chosen_columns(frame: pd.DataFrame, columns: Iterable[Column]) -> tuple[pd.DataFrame, dict[str, Any]]:
    """The columns of a table, and their configuration for ``st.dataframe``."""
    columns = list(columns)
    shown = {
        column.name: frame.get(column.values) if isinstance(column.values, str) else column.values(frame)
        for column in columns
    }
    return pd.DataFrame(shown), {column.name: column.heading for column in columns if column.heading is not None}
