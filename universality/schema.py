"""What a table holds, said once: what a row is, and of every column its type, unit, range and meaning.

The tables of this room are declared in ``universality/tables.toml``; those that only steps of the pipelines make, and
how a run stores all of them, in :mod:`results.schema`. Nothing heavy is imported.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

from universality.errors import refusal

if TYPE_CHECKING:
    from collections.abc import Mapping
    from importlib.resources.abc import Traversable

    import pandas as pd


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

        Whole numbers that may be missing become pandas' ``Int64``. Text is ``str`` even where all of it is missing: of
        objects that are all None a file would say no type.
        """
        missing = {"int64": "Int64", "bool": "boolean"}
        return frame.astype(
            {
                of.name: "str" if of.dtype == "text" else missing.get(of.dtype, of.dtype) if of.nullable else of.dtype
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
            constraint = f"those of its schema: it must {verb} {wrong[0]!r}" if wrong else f"in the order {self.names}"
            raise refusal("columns", where, constraint, names, "Correct the frame, or its schema.")
        for column in self.columns if len(frame) else ():
            dtype = column_type(frame[column.name])
            if dtype not in (column.dtype, None):
                remedy = f"Convert it with astype, or correct {column.name!r} in the schema."
                raise refusal(f"column {column.name!r}", where, column.dtype, dtype, remedy)


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


def read_tables(file: Traversable, known: Mapping[str, TableSchema] | None = None) -> dict[str, TableSchema]:
    """The tables that a TOML file declares; the head of ``universality/tables.toml`` says how.

    Args:
        file: the file.
        known: tables of other files whose columns it names, among them ``shared``.

    Raises:
        KeyError: a table or column that is named without a declaration.
        ValueError: a line of a column that has not all five parts.
    """
    declared: dict[str, TableSchema] = dict(known or {})
    tables: dict[str, TableSchema] = {}
    for name, said in tomllib.loads(file.read_text(encoding="utf-8")).items():
        columns: list[Column] = []
        for line in re.sub(r"\n +", " ", said["columns"]).strip().splitlines():
            if "|" in line:
                first, dtype, unit, span, meaning = line.split(" | ", 4)
                columns.append(Column(first.removesuffix("?"), dtype, unit, span, meaning, first.endswith("?")))
            elif (named := re.fullmatch(r"as ([\w.]+)(?:: (.+))?", line)) and not named[2]:
                columns += declared[named[1]].columns
            else:
                source, names = (
                    declared[named[1] if named else "shared"],
                    (named[2] if named else line).split(),
                )
                columns += [source[one.removesuffix("?")]._replace(nullable="?" in one) for one in names]
        tables[name] = TableSchema(name, said["meaning"], tuple(said.get("key", "").split()), tuple(columns))
        declared[name] = tables[name]
    return tables
