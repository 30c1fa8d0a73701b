"""Text from the user's own files: plain text, JSON Lines, Parquet. Every error names the file, and row or offset."""

import bz2
import codecs
import gzip
import json
import lzma
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import IO, cast

from pipelines.corpus.corpus_config import JsonLines, ParquetFiles, TextFolder
from pipelines.corpus.documents import Unit
from pipelines.corpus.listing import matching_files
from pipelines.corpus.notes import Notes
from pipelines.corpus.rows import class_names, named_columns, row_unit
from pipelines.errors import missing_column
from universality.errors import InputError, UniversalityError, refusal

# Text is decoded in blocks of this many bytes, so that a file may be larger than memory.
_BLOCK = 1_000_000
_BOM = b"\xef\xbb\xbf"
_OPENERS = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
_OTHER_ARCHIVES = frozenset([".zst", ".zstd", ".lz4", ".br", ".zip", ".7z", ".rar", ".tar", ".tgz", ".z"])


class Place:
    """Where a reader is: the file, and the row once it has one."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.row: str | None = None

    def __str__(self) -> str:
        return str(self.path) if self.row is None else f"{self.path}{self.row}"


@contextmanager
def reading(path: Path) -> Iterator[Place]:
    """Around all that reads one file: whatever a library raises becomes one sentence with the file and the row."""
    place = Place(path)
    try:
        yield place
    except UniversalityError:
        raise
    except EOFError as error:
        remedy = "Download it again."
        raise refusal("content", str(place), "whole", f"a file that ends early ({error})", remedy) from error
    except Exception as error:
        got = f"{type(error).__name__}: {str(error).split(chr(10), maxsplit=1)[0]}"
        remedy = "Correct or leave out the file, or choose another kind of source."
        raise refusal("content", str(place), "readable as its kind and name say", got, remedy) from error


def file_units(config: TextFolder | JsonLines | ParquetFiles, notes: Notes | None = None) -> Iterator[Unit]:
    """Plain-text files, one unit each (one per megabyte where they are larger), or rows whose text is not null.

    Files that end in ``.gz``, ``.bz2`` or ``.xz`` are decompressed.

    Args:
        config: the source.
        notes: takes what was passed over or mended.

    Raises:
        InputError: bytes that the encoding does not know, with file and offset; a line that is no JSON object, a file
            that is no Parquet or ends early, a missing column; with file and row.
    """
    notes = Notes() if notes is None else notes
    if isinstance(config, TextFolder):
        return _texts(config, notes)
    rows = _json_rows(config, notes) if isinstance(config, JsonLines) else _parquet_rows(config, notes)
    return islice(rows, config.max_units)


def _texts(config: TextFolder, notes: Notes) -> Iterator[Unit]:
    for name, path in islice(matching_files(config, notes), config.max_units):
        folder = name.partition("/")[0] if "/" in name else config.domain
        domain = None if config.domain_by_script else folder if config.domain_by_folder else config.domain
        with reading(path):
            for text in _decoded(path, config.encoding):
                clean = notes.clean(text, name)
                yield Unit(name, domain, clean, Path(config.path).name, group_of_file(name, config.group_by))


def group_of_file(name: str, group_by: str) -> str | None:
    """The source that text of a file belongs to, by its relative name; None where each unit is its own."""
    return {"file": name, "folder": name.rpartition("/")[0] or "."}.get(group_by)


def _opened(path: Path) -> IO[bytes]:
    """A file for reading bytes, decompressed where its name says so.

    Raises:
        InputError: compressed in another way.
    """
    suffix = path.suffix.lower()
    if suffix in _OTHER_ARCHIVES:
        remedy = "Decompress it, or leave it out by the pattern of the source."
        raise refusal("compression", str(path), "none, .gz, .bz2 or .xz", suffix, remedy)
    return cast(IO[bytes], _OPENERS[suffix](path, "rb") if suffix in _OPENERS else path.open("rb"))


def _decoded(path: Path, encoding: str) -> Iterator[str]:
    """The text of a file in stretches that end at line ends, newlines and all; a byte-order mark is dropped."""
    # The mark is dropped below; Python's own codec for it also drops a file that is but the start of one.
    plain = "utf-8" if codecs.lookup(encoding).name == "utf-8-sig" else encoding
    decoder = codecs.getincrementaldecoder(plain)()
    rest, position = "", 0
    with _opened(path) as handle:
        block = handle.read(_BLOCK)
        while block:
            following = handle.read(_BLOCK)
            waiting = len(decoder.getstate()[0])
            try:
                text = rest + decoder.decode(block, final=not following)
            except UnicodeDecodeError as error:
                raise _undecodable(str(path), position - waiting + error.start, encoding, error) from error
            text = text.removeprefix("\ufeff") if position == 0 else text
            position += len(block)
            end = text.rfind("\n") + 1 or len(text)
            rest = text[end:]
            yield text[:end]
            block = following
    if rest:
        yield rest


def _undecodable(where: str, offset: int, encoding: str, error: UnicodeDecodeError) -> InputError:
    wrong = error.object[error.start : error.start + 4].hex(" ")
    remedy = "Set the encoding of the source (kind text), or convert the file (iconv -t utf-8)."
    return refusal("text", where, f"valid {encoding}", f"bytes {wrong} at offset {offset}", remedy)


def _json_rows(config: JsonLines, notes: Notes) -> Iterator[Unit]:
    for name, path in matching_files(config, notes):
        offset = 0
        with reading(path) as place, _opened(path) as handle:
            for number, line in enumerate(handle, 1):
                place.row = f":{number}"
                if line.strip():
                    row = _json_row(line, str(place), str(path), offset)
                    group = group_of_file(name, config.group_by)
                    unit = row_unit(config, row, f"{name}:{number}", str(place), Path(config.path).name, group, notes)
                    if unit is not None:
                        yield unit
                offset += len(line)


def _json_row(line: bytes, where: str, path: str, offset: int) -> dict[str, object]:
    try:
        row = json.loads(line.removeprefix(_BOM).decode("utf-8"))
    except UnicodeDecodeError as error:
        raise _undecodable(path, offset + error.start, "utf-8", error) from error
    except json.JSONDecodeError as error:
        row = f"{error.msg} at column {error.colno}"
    if not isinstance(row, dict):
        raise refusal("line", where, "one JSON object", str(row), "Correct the line, or choose another kind of source.")
    return row


def _parquet_rows(config: ParquetFiles, notes: Notes) -> Iterator[Unit]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = [name for name in named_columns(config) if name is not None]
    for name, path in matching_files(config, notes):
        with reading(path) as place:
            try:
                file = pq.ParquetFile(path)
            except pa.ArrowInvalid as error:
                remedy = "Choose another kind of source, or another pattern."
                raise refusal("file", str(path), "Parquet", str(error), remedy) from error
            with file:
                for column in columns:
                    if column not in file.schema_arrow.names:
                        raise missing_column(column, str(path), file.schema_arrow.names)
                names = class_names(file.schema_arrow.metadata, config.domain_column)
                number = 0
                for batch in file.iter_batches(batch_size=256, columns=columns):
                    for at in range(batch.num_rows):
                        place.row = f", row {number}"
                        row = {column: batch.column(column)[at].as_py() for column in columns}
                        source, origin = f"{name}:{number}", Path(config.path).name
                        group = group_of_file(name, config.group_by)
                        unit = row_unit(config, row, source, str(place), origin, group, notes, names)
                        number += 1
                        if unit is not None:
                            yield unit
