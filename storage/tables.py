"""Tables: Parquet files, read as pandas frames and queried with DuckDB."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from storage.errors import InvalidName, QueryError, TableMissing


def save_table(path: Path, table: Any) -> None:
    """Write a frame or Arrow table as Parquet (zstd). A frame's index is not stored.

    Raises:
        InvalidName: no table, doubled column names, or a column that Arrow cannot hold.
    """
    where = f"table {path.stem!r}"
    if isinstance(table, pd.DataFrame):
        columns = list(table.columns)
        if len(set(columns)) < len(columns) or not all(isinstance(name, str) for name in columns):
            raise InvalidName.worded("columns", where, "different texts", columns, "Rename them.")
        try:
            table = pa.Table.from_pandas(table, preserve_index=False)
        except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError) as error:
            raise InvalidName.worded(
                "columns", where, "of one type each", str(error), "Convert the column named."
            ) from error
    if not isinstance(table, pa.Table):
        raise InvalidName.worded("value", where, "a DataFrame or pyarrow.Table", type(table).__name__, "Convert it.")
    with open(path, "xb") as file:
        pq.write_table(table, file, compression="zstd")


def _column_names(columns: Sequence[str], where: str) -> list[str]:
    """A list of names; one text alone is a sequence of its letters."""
    fits = isinstance(columns, Sequence) and not isinstance(columns, str)
    if not fits or not all(isinstance(name, str) for name in columns):
        raise InvalidName.worded("columns", where, "a list of names", repr(columns), "Write ['r', 'q'].")
    return list(columns)


def load_tables(paths: Sequence[Path], columns: Sequence[str] | None, where: str) -> pd.DataFrame:
    """The rows of one or several Parquet files, one after the other, as one frame.

    A column that some files lack is missing there. Integers and booleans with missing values have
    pandas' nullable dtypes, so that no number becomes a float.

    Args:
        paths: files, at least one.
        columns: the columns to read, in this order; None for all.
        where: named in the error.

    Raises:
        TableMissing: no file has one of the columns.
        ValueError: a file is no Parquet file.
    """
    try:
        schemas = [pq.read_schema(path) for path in paths]
        names = list(dict.fromkeys(name for schema in schemas for name in schema.names))
        chosen = names if columns is None else _column_names(columns, where)
        unknown = [name for name in chosen if name not in names]
        if unknown:
            raise TableMissing.worded("column", where, f"one of {', '.join(names)}", unknown[0], "Check its name.")
        parts = [
            pq.ParquetFile(path).read(columns=[name for name in chosen if name in schema.names])
            for path, schema in zip(paths, schemas, strict=True)
        ]
        whole = pa.concat_tables(parts, promote_options="permissive") if len(parts) > 1 else parts[0]
    except (pa.ArrowInvalid, OSError) as error:
        raise ValueError(str(error)) from error
    return to_frame(whole.select(chosen), _declared_nullable(schemas))


def to_frame(table: pa.Table, nullable: frozenset[str] = frozenset()) -> pd.DataFrame:
    """An Arrow table as a frame; integer and boolean columns are nullable where a value is missing.

    Args:
        table: the table.
        nullable: columns that are nullable even if no value is missing.
    """
    plain = table.replace_schema_metadata(None)
    special = {
        name: _nullable_dtype(plain.schema.field(name).type)
        for name, column in zip(plain.column_names, plain.columns, strict=True)
        if (column.null_count or name in nullable) and _nullable_dtype(plain.schema.field(name).type)
    }
    frame = plain.drop_columns(list(special)).to_pandas()
    for name, dtype in special.items():
        frame[name] = dtype.__from_arrow__(plain.column(name))
    if special:
        frame = frame[plain.column_names]
    return frame


def _nullable_dtype(kind: pa.DataType) -> Any:
    if pa.types.is_boolean(kind):
        return pd.BooleanDtype()
    if pa.types.is_integer(kind):
        return pd.api.types.pandas_dtype(str(kind).replace("uint", "UInt").replace("int", "Int", 1))
    return None


def _declared_nullable(schemas: Sequence[pa.Schema]) -> frozenset[str]:
    """Columns that were nullable in the frame that was written."""
    return frozenset(
        column["field_name"]
        for schema in schemas
        for column in (schema.pandas_metadata or {}).get("columns", [])
        if str(column["numpy_type"]).startswith(("Int", "UInt", "boolean"))
    )


def query(sql: str, tables: Mapping[str, Sequence[Path]], where: str) -> pd.DataFrame:
    """Answer one SQL query over Parquet files.

    The connection lives in memory and reaches no file but through the given tables, so a query can
    neither read nor write anything else.

    Args:
        sql: DuckDB SQL.
        tables: files by table name; the rows of several files follow each other.
        where: named in the error.

    Raises:
        TableMissing: the query names a table that is not there.
        QueryError: DuckDB refuses the query.
    """
    import duckdb

    with duckdb.connect(":memory:") as connection:
        for option in ("enable_external_access = false", "python_enable_replacements = false"):
            connection.execute(f"SET {option}")
        for name, paths in tables.items():
            connection.register(name, _dataset(paths))
        connection.execute("SET lock_configuration = true")
        try:
            relation = connection.sql(sql)
            answer = None if relation is None else relation.to_arrow_table()
        except duckdb.CatalogException as error:
            raise TableMissing(f"{where} cannot answer: {_first_words(error)}") from error
        except duckdb.Error as error:
            raise QueryError(f"{where} cannot answer: {_first_words(error)}") from error
    if answer is None:
        raise QueryError.worded("query", where, "a SELECT", sql, "Ask for rows; nothing can be changed.")
    return to_frame(_without_decimals(answer))


def _first_words(error: Exception) -> str:
    """What DuckDB says, without the query drawn below it."""
    return " ".join(str(error).partition("\nLINE ")[0].split())


def _without_decimals(table: pa.Table) -> pa.Table:
    """DuckDB sums integers into 128 bits; people expect integers and floats."""
    for place, field in enumerate(table.schema):
        if pa.types.is_decimal(field.type):
            column = table.column(place)
            try:
                column = column.cast(pa.int64() if field.type.scale == 0 else pa.float64())
            except pa.ArrowInvalid:  # above 2**63
                column = column.cast(pa.float64())
            table = table.set_column(place, field.name, column)
    return table


def _dataset(paths: Sequence[Path]) -> ds.Dataset:
    schemas = [pq.read_schema(path).remove_metadata() for path in paths]
    merged = pa.unify_schemas(schemas, promote_options="permissive")
    return ds.dataset([str(path) for path in paths], schema=merged, format="parquet")
