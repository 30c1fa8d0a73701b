"""What a table holds, said once: what a row is, and of every column its type, unit, range and meaning.

Pure data without heavy imports. The tables of this room are declared in :mod:`universality.table_schemas`; those that
only steps of the pipelines make, and how a run stores all of them, in :mod:`results.schema`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

from universality.errors import InputError, must_be

if TYPE_CHECKING:
    import pandas as pd

R, ID, COUNT, SHARE = "-1 to 1", "0 and up", "0 and up", "0 to 1"


class Column(NamedTuple):
    """What a column holds.

    Attributes:
        name: its name.
        dtype: "text", "int64", "int32", "float64", "float32" or "bool", as Parquet holds it.
        unit: unit of its numbers; "id", "word", "count", "share", "r" (a Pearson correlation) and the like.
        range: values that may stand there.
        meaning: a phrase without a full stop.
        nullable: whether a value may be missing.
    """

    name: str
    dtype: str
    unit: str
    range: str
    meaning: str
    nullable: bool = False


@dataclass(frozen=True)
class TableSchema:
    """What a table holds.

    Attributes:
        name: the table's name in a run.
        meaning: what a row is, a phrase without a full stop.
        key: columns that together tell any two rows apart.
        columns: its columns, in their order.
    """

    name: str
    meaning: str
    key: tuple[str, ...]
    columns: tuple[Column, ...]

    @property
    def names(self) -> list[str]:
        """The columns' names, in their order."""
        return [column.name for column in self.columns]

    def __getitem__(self, name: str) -> Column:
        """The column of that name; KeyError where there is none."""
        return {column.name: column for column in self.columns}[name]

    def pick(self, names: str) -> tuple[Column, ...]:
        """Some columns, given as names with blanks between them."""
        return tuple(self[name] for name in names.split())

    def under(self, *labels: Column) -> TableSchema:
        """The schema with columns in front that say whose rows they are; they become part of the key."""
        key = tuple(label.name for label in labels)
        return replace(self, key=(*key, *self.key), columns=(*labels, *self.columns))

    def typed(self, frame: pd.DataFrame) -> pd.DataFrame:
        """A frame of these columns, each converted to its type.

        Whole numbers that may be missing become pandas' ``Int64``, text that may be missing Python objects.
        """
        missing = {"text": "object", "int64": "Int64", "bool": "boolean"}
        return frame.astype(
            {
                of.name: missing.get(of.dtype, of.dtype) if of.nullable else of.dtype.replace("text", "str")
                for of in self.columns
            }
        )

    def check(self, frame: pd.DataFrame) -> None:
        """Refuse a frame that is not this table; types are not asked of a frame without rows.

        Raises:
            InputError: it lacks a column, has an unknown one, another order, or a column of another type.
        """
        where, names = f"table {self.name!r}", list(frame.columns)
        if names != self.names:
            wrong = sorted(set(names) ^ set(self.names), key=(names + self.names).index)
            verb = "have" if wrong and wrong[0] in self.names else "lack"
            constraint = (
                f"those of its schema: it must {verb} {wrong[0]!r}" if wrong else f"in the order {self.names}"
            )
            raise InputError(
                must_be("columns", where, constraint, names, "Correct the frame, or its schema.")
            )
        for column in self.columns if len(frame) else ():
            dtype = column_type(frame[column.name])
            if dtype not in (column.dtype, None):
                remedy = f"Convert it with astype, or correct {column.name!r} in the schema."
                raise InputError(must_be(f"column {column.name!r}", where, column.dtype, dtype, remedy))


def column_type(values: pd.Series) -> str | None:
    """The type with which Parquet holds a column, as :class:`Column` names it.

    Nullable integers and booleans count as what they hold; a column of Python objects as what Arrow makes of them.

    Returns:
        None for objects that are all missing: such a column has no type of its own.
    """
    from pandas.api.types import infer_dtype

    name = str(values.dtype).lower()
    if name.startswith(("int", "float", "bool")):
        return name.replace("boolean", "bool")
    if name != "object":
        return "text" if name.startswith("str") else name
    inferred = infer_dtype(values, skipna=True)
    arrow = {"string": "text", "integer": "int64", "floating": "float64", "boolean": "bool", "empty": None}
    return arrow.get(inferred, inferred)


def column(name: str, dtype: str, unit: str, span: str, meaning: str) -> Column:
    """A column; a name that ends in "?" says that a value may be missing."""
    return Column(name.removesuffix("?"), dtype, unit, span, meaning, name.endswith("?"))


def word(name: str, span: str, meaning: str, unit: str = "word") -> Column:
    """A column of text."""
    return column(name, "text", unit, span, meaning)


def identity(name: str, meaning: str) -> Column:
    """A column of numbers that name something, from 0."""
    return column(name, "int64", "id", ID, meaning)


def count(name: str, meaning: str, span: str = COUNT, unit: str = "count") -> Column:
    """A column of whole numbers."""
    return column(name, "int64", unit, span, meaning)


def share(name: str, meaning: str, unit: str = "share") -> Column:
    """A column of numbers from 0 to 1."""
    return column(name, "float64", unit, SHARE, meaning)


def correlation(name: str, meaning: str, unit: str = "r", span: str = R) -> Column:
    """A column of correlations."""
    return column(name, "float64", unit, span, meaning)


def measure(name: str, unit: str, meaning: str, span: str = COUNT) -> Column:
    """A column of other numbers, most of them from 0 up."""
    return column(name, "float64", unit, span, meaning)
