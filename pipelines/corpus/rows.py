"""Rows of tables as units of text: of JSON Lines, Parquet and Hugging Face datasets alike."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from pipelines.corpus.documents import Unit
from pipelines.corpus.notes import Notes, is_blank
from pipelines.errors import missing_column
from universality.errors import refusal


def named_columns(config: Any) -> tuple[str, str | None, str | None]:
    """Columns of text, domain and source that a config of rows names."""
    return config.text_column, config.domain_column, config.group_column


def row_unit(
    config: Any,
    row: Mapping[str, object],
    source: str,
    where: str,
    origin: str,
    group: str | None,
    notes: Notes,
    names: Sequence[str] | None = None,
) -> Unit | None:
    """The unit of a row with named columns; ``None`` if its text is null.

    Args:
        config: a source with :func:`named_columns`, ``domain`` and ``domain_by_script``.
        row: values by column.
        source: name of the unit.
        where: the row, for errors.
        origin: the file or dataset.
        group: what the row shares a source with, unless the group column says; None: its own.
        notes: takes what is missing or mended.
        names: names of the domain column's numbers, where it is a class label.

    Raises:
        InputError: a missing column, bytes that are not UTF-8, a text that is no string, or a label that is none.
    """
    text_column, domain_column, group_column = named_columns(config)
    for column in (text_column, domain_column, group_column):
        if column is not None and column not in row:
            raise missing_column(column, where, row)
    text = row[text_column]
    if text is None:
        notes.add("no_text", source)
        return None
    if isinstance(text, bytes):
        text = _decoded(text, text_column, where)
    if not isinstance(text, str):
        got, remedy = f"{type(text).__name__} {text!r}", "Set text_column."
        raise refusal(f"column '{text_column}'", where, "text", got, remedy)
    domain = None if config.domain_by_script else config.domain
    if domain_column is not None:
        label = _label(row[domain_column], domain_column, where, names)
        if label is None:
            notes.add("unlabelled", source)
        domain = domain if label is None else notes.clean(label, source)
    if group_column is not None:
        label = _label(row[group_column], group_column, where, None)
        if label is None:
            notes.add("ungrouped", source)
        group = group if label is None else notes.clean(f"{group_column}={label}", source)
    return Unit(source, domain, notes.clean(text, source), origin, group)


def class_names(metadata: Mapping[bytes, bytes] | None, column: str | None) -> list[str] | None:
    """Names of a class label of Hugging Face datasets, as its Parquet files keep them; None where there are none."""
    try:
        info = json.loads((metadata or {})[b"huggingface"])
        names = info["info"]["features"][column]["names"]
    except (KeyError, ValueError, TypeError, RecursionError):
        return None
    return [str(name) for name in names] if isinstance(names, list) else None


def _decoded(data: bytes, column: str, where: str) -> str:
    """Text of a column that keeps bytes (Spark, Impala)."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        got = f"bytes {data[error.start : error.start + 4].hex(' ')} at offset {error.start}"
        raise refusal(f"column '{column}'", where, "valid utf-8", got, "Correct or leave out the row.") from error


def _label(value: object, column: str, where: str, names: Sequence[str] | None) -> str | None:
    """A label as text; None where the cell holds none."""
    if isinstance(value, bytes):
        value = _decoded(value, column, where)
    if is_blank(value) or (names is not None and value == -1):  # -1: what class labels have where there is none
        return None
    if not isinstance(value, (str, int, float, bool)):
        remedy = "Choose a column of text or numbers."
        raise refusal(f"column '{column}'", where, "one label", f"{type(value).__name__} {value!r}", remedy)
    if names is None:
        return str(value)
    if type(value) is not int or not 0 <= value < len(names):
        remedy = "Correct the labels of the dataset."
        raise refusal(f"column '{column}'", where, f"a class of 0..{len(names) - 1}", repr(value), remedy)
    return names[value]
