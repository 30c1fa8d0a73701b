"""Text from the user's own files: plain text, JSON Lines, Parquet."""

import codecs
import gzip
import json
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from pipelines.corpus.corpus_config import JsonLines, ParquetFiles, TextFolder
from pipelines.corpus.documents import Unit
from pipelines.errors import missing_column
from universality.errors import InputError, refusal

# Text is decoded in blocks of this many bytes, so that a file may be larger than memory.
_BLOCK = 1_000_000


def matching_files(config: TextFolder | JsonLines | ParquetFiles) -> list[tuple[str, Path]]:
    """Files of a source in the order of their names, each with its name relative to ``config.path``.

    Raises:
        InputError: the path does not exist, or no file matches; the text says what is there.
    """
    root = Path(config.path).expanduser()
    if root.is_file():
        return [(root.name, root)]
    if not root.is_dir():
        raise refusal("path", f"the {config.kind} source", "a file or folder", str(root), "Correct the path.")
    files = sorted((path.relative_to(root).as_posix(), path) for path in root.glob(config.pattern) if path.is_file())
    if not files:
        there = sorted({path.suffix or path.name for path in root.rglob("*") if path.is_file()})[:8]
        got = f"{config.pattern!r}, where files end in {there}"
        remedy = "Correct the pattern, or choose another kind of source."
        raise refusal("pattern", str(root), "matched by at least one file", got, remedy)
    return files


def file_units(config: TextFolder | JsonLines | ParquetFiles) -> Iterator[Unit]:
    """Plain-text files, one unit each (one per megabyte where they are larger), or rows whose text is not null.

    Raises:
        InputError: bytes that the encoding does not know, with file and offset; a line that is no JSON object, a file
            that is no Parquet, a missing column.
    """
    if isinstance(config, TextFolder):
        return _texts(config)
    rows = _json_rows(config) if isinstance(config, JsonLines) else _parquet_rows(config)
    return islice(rows, config.max_units)


def _texts(config: TextFolder) -> Iterator[Unit]:
    for name, path in islice(matching_files(config), config.max_units):
        folder = name.partition("/")[0] if "/" in name else config.domain
        domain = None if config.domain_by_script else folder if config.domain_by_folder else config.domain
        for text in _decoded(path, config.encoding):
            yield Unit(name, domain, text, Path(config.path).name, group_of_file(name, config.group_by))


def group_of_file(name: str, group_by: str) -> str | None:
    """The source that text of a file belongs to, by its relative name; None where each unit is its own."""
    return {"file": name, "folder": name.rpartition("/")[0] or "."}.get(group_by)


def _decoded(path: Path, encoding: str) -> Iterator[str]:
    """The text of a file in stretches that end at line ends, newlines and all; a byte-order mark is dropped."""
    decoder = codecs.getincrementaldecoder(encoding)()
    rest, position = "", 0
    with path.open("rb") as handle:
        while block := handle.read(_BLOCK):
            waiting = len(decoder.getstate()[0])
            try:
                text = rest + decoder.decode(block, final=handle.peek(1) == b"")
            except UnicodeDecodeError as error:
                raise _undecodable(str(path), position - waiting + error.start, encoding, error) from error
            text = text.removeprefix("\ufeff") if position == 0 else text
            position += len(block)
            end = text.rfind("\n") + 1 or len(text)
            rest = text[end:]
            yield text[:end]
    if rest:
        yield rest


def _undecodable(where: str, offset: int, encoding: str, error: UnicodeDecodeError) -> InputError:
    wrong = error.object[error.start : error.start + 4].hex(" ")
    remedy = "Set the encoding of the source, or convert the file (iconv -t utf-8)."
    return refusal("text", where, f"valid {encoding}", f"bytes {wrong} at offset {offset}", remedy)


def _json_rows(config: JsonLines) -> Iterator[Unit]:
    for name, path in matching_files(config):
        offset = 0
        with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as handle:
            for number, line in enumerate(handle, 1):
                if line.strip():
                    row = _json_row(line, f"{path}:{number}", str(path), offset)
                    unit = row_unit(config, row, f"{name}:{number}", f"{path}:{number}", Path(config.path).name, name)
                    if unit is not None:
                        yield unit
                offset += len(line)


def _json_row(line: bytes, where: str, path: str, offset: int) -> dict[str, object]:
    try:
        row = json.loads(line.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise _undecodable(path, offset + error.start, "utf-8", error) from error
    except json.JSONDecodeError as error:
        row = f"{error.msg} at column {error.colno}"
    if not isinstance(row, dict):
        raise refusal("line", where, "one JSON object", str(row), "Correct the line, or choose another kind of source.")
    return row


def _parquet_rows(config: ParquetFiles) -> Iterator[Unit]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = [name for name in named_columns(config) if name is not None]
    for name, path in matching_files(config):
        try:
            file = pq.ParquetFile(path)
        except pa.ArrowInvalid as error:
            raise refusal(
                "file", str(path), "Parquet", str(error), "Choose another kind of source, or another pattern."
            ) from error
        with file:
            for column in columns:
                if column not in file.schema_arrow.names:
                    raise missing_column(column, str(path), file.schema_arrow.names)
            number = 0
            for batch in file.iter_batches(batch_size=256, columns=columns):
                for row in batch.to_pylist():
                    where = f"{name}:{number}"
                    number += 1
                    place, origin = f"{path}, row {number - 1}", Path(config.path).name
                    unit = row_unit(config, row, where, place, origin, name)
                    if unit is not None:
                        yield unit


def named_columns(config) -> tuple[str | None, str | None, str | None]:
    """Columns of text, domain and source that a config of rows names."""
    return config.text_column, config.domain_column, config.group_column


def row_unit(config, row: dict[str, object], source: str, where: str, origin: str, file: str = "") -> Unit | None:
    """The unit of a row with named columns; ``None`` if its text is null.

    Args:
        config: a source with :func:`named_columns`, ``group_by``, ``domain`` and ``domain_by_script``.
        row: values by column.
        source: name of the unit.
        where: the row, for errors.
        origin: the file or dataset.
        file: name of the file below the source's path, if it has files.

    Raises:
        InputError: a missing column, or a text that is no string.
    """
    for column in named_columns(config):
        if column is not None and column not in row:
            raise missing_column(column, where, row)
    text = row[config.text_column]
    if text is None:
        return None
    if not isinstance(text, str):
        got, remedy = f"{type(text).__name__} {text!r}", "Set text_column."
        raise refusal(f"column '{config.text_column}'", where, "text", got, remedy)
    domain = None if config.domain_by_script else config.domain
    if config.domain_column is not None and row[config.domain_column] is not None:
        domain = str(row[config.domain_column])
    group = group_of_file(file, config.group_by)
    if config.group_column is not None and row[config.group_column] is not None:
        group = f"{config.group_column}={row[config.group_column]}"
    return Unit(source, domain, text, origin, group)
