"""The border of text: lines, files and names are read whole and labelled as they say, or a sentence names the place."""

from __future__ import annotations

import json
import math
import tempfile
from fnmatch import fnmatchcase
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from borders import at_length, outcome, quick
from hypothesis import given
from hypothesis import strategies as st

from pipelines.corpus.corpus_config import JsonLines, ParquetFiles, TextFolder
from pipelines.corpus.documents import cut
from pipelines.corpus.files import file_units
from pipelines.corpus.listing import matching_files
from pipelines.corpus.notes import Notes

CELLS = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6) | st.just([1]) | st.just({"a": 1})
    | st.sampled_from(["\ud83d", "a\udfffb", "\ufeff", " ", "\u2028"])
)  # fmt: skip
LINES = st.one_of(
    st.fixed_dictionaries({"text": CELLS}, optional={"kind": CELLS}).map(lambda row: json.dumps(row).encode()),
    st.fixed_dictionaries({"text": st.text()}).map(lambda row: b"\xef\xbb\xbf" + json.dumps(row).encode("utf-8")),
    st.binary(max_size=12).map(lambda data: data.replace(b"\n", b"")),
    st.just(b'{"text": "' + b"[" * 50 + b'"}'),
    st.just(b"[" * 20_000),
)


def mended(text):
    return "".join("\ufffd" if "\ud800" <= character <= "\udfff" else character for character in text)


def expected_of(line):
    """Text of a line by the library alone: None for a row without text, False where it must be refused."""
    try:
        row = json.loads(line.removeprefix(b"\xef\xbb\xbf").decode("utf-8"))
    except (ValueError, RecursionError):
        return False
    if not isinstance(row, dict) or "text" not in row or "kind" not in row:
        return False
    text, kind = row["text"], row["kind"]
    if isinstance(kind, (list, dict)) or not (text is None or isinstance(text, str)):
        return None if text is None else False
    return None if text is None else mended(text)


@pytest.fixture
def place(tmp_path_factory):
    """One folder for all inputs of a test, each of which takes the place of the one before."""
    return tmp_path_factory.mktemp("border")


def check_lines(place, lines):
    path = place / "a.jsonl"
    path.write_bytes(b"\n".join(lines))
    notes = Notes()
    source = JsonLines(path=str(place), domain_column="kind", domain="none")
    units, sentence = outcome(lambda: list(file_units(source, notes)))
    wanted = [expected_of(line) for line in lines if line.strip()]
    if sentence is not None:
        assert "a.jsonl" in sentence
        assert False in wanted
        return
    assert False not in wanted
    assert [unit.text for unit in units] == [text for text in wanted if text is not None]
    assert notes.counts["no_text"] == wanted.count(None)
    for unit in units:
        assert "".join(cut(unit.text, 64)) == unit.text
        assert unit.domain.encode("utf-8").strip()
        assert unit.domain != "nan"
    blank = sum(unit.domain == "none" for unit in units)
    assert notes.counts["unlabelled"] <= blank


@quick
@given(st.lists(LINES, max_size=4))
def test_json_lines_are_read_or_told(place, lines):
    check_lines(place, lines)


@pytest.mark.slow
@at_length(6)
@given(st.lists(LINES, max_size=4))
def test_json_lines_are_read_or_told_at_length(place, lines):
    check_lines(place, lines)


@st.composite
def parquet_files(draw):
    n = draw(st.integers(0, 4))
    kind = draw(st.sampled_from(["string", "binary", "int", "float"]))
    cells = st.none() | (
        st.binary(max_size=6) if kind in ("string", "binary") else st.integers(-3, 3) if kind == "int" else st.floats()
    )
    values = draw(st.lists(cells, min_size=n, max_size=n))
    labels = draw(st.lists(st.none() | st.floats() | st.sampled_from([0.0, -1.0]), min_size=n, max_size=n))
    if kind in ("string", "binary"):
        column = pa.array(values, pa.binary())
        column = column.view(pa.string()) if kind == "string" else column
    else:
        column = pa.array(values, pa.int64() if kind == "int" else pa.float64())
    return values, labels, pa.table({"text": column, "kind": pa.array(labels, pa.float64())})


def check_parquet(place, case, damage):
    values, labels, table = case
    path = place / "a.parquet"
    pq.write_table(table, path)
    content = bytearray(path.read_bytes())
    for share, byte in damage:
        content[int(share * len(content))] = byte
    path.write_bytes(bytes(content))
    source = ParquetFiles(path=str(place), domain_column="kind", domain="none")
    units, sentence = outcome(lambda: list(file_units(source)))
    if damage:
        assert sentence is None or "a.parquet" in sentence
        return
    try:
        texts = [None if value is None else value.decode("utf-8") for value in values]
    except (AttributeError, UnicodeDecodeError):
        assert sentence is not None
        return
    assert sentence is None, sentence
    assert [unit.text for unit in units] == [text for text in texts if text is not None]
    said = [label for text, label in zip(texts, labels, strict=True) if text is not None]
    assert [unit.domain for unit in units] == [
        "none" if label is None or math.isnan(label) else str(label) for label in said
    ]


DAMAGE = st.lists(st.tuples(st.floats(0, 0.999), st.integers(0, 255)), max_size=2)


@quick
@given(parquet_files(), DAMAGE)
def test_parquet_is_read_or_told(place, case, damage):
    check_parquet(place, case, damage)


@pytest.mark.slow
@at_length(6)
@given(parquet_files(), DAMAGE)
def test_parquet_is_read_or_told_at_length(place, case, damage):
    check_parquet(place, case, damage)


ENCODINGS = st.sampled_from(["utf-8", "utf-16-le", "utf-7", "latin-1", "cp1252", "shift_jis", "utf-8-sig", "utf-32-be"])


def check_encoding(place, data, encoding):
    (place / "a.txt").write_bytes(data)
    units, sentence = outcome(lambda: list(file_units(TextFolder(path=str(place), encoding=encoding))))
    try:
        text = mended(data.decode("utf-8" if encoding == "utf-8-sig" else encoding)).removeprefix("\ufeff")
    except UnicodeError:
        assert sentence is not None
        assert "a.txt" in sentence
        return
    assert sentence is None, sentence
    assert "".join(unit.text for unit in units) == text


@quick
@given(st.binary(max_size=40), ENCODINGS)
def test_bytes_are_text_of_their_encoding_or_told(place, data, encoding):
    check_encoding(place, data, encoding)


@pytest.mark.slow
@at_length(6)
@given(st.binary(max_size=40), ENCODINGS)
def test_bytes_are_text_of_their_encoding_or_told_at_length(place, data, encoding):
    check_encoding(place, data, encoding)


NAMES_OF_CODECS = st.one_of(
    st.text(max_size=8), st.sampled_from(["hex", "zlib", "rot13", "idna", "punycode", "utf-99", "undefined", "mbcs"]),
    ENCODINGS, ENCODINGS.map(str.upper), st.text("uUtTfF-_816 \0\n", max_size=8),
)  # fmt: skip


def check_codec(name):
    source, sentence = outcome(lambda: TextFolder(path="there", encoding=name))
    assert source is not None or ("encoding" in sentence and "\n" not in sentence)
    if source is not None:
        assert isinstance(b"".decode(name), str)


@quick
@given(NAMES_OF_CODECS)
def test_every_name_is_an_encoding_of_text_or_told(name):
    check_codec(name)


@pytest.mark.slow
@at_length(6)
@given(NAMES_OF_CODECS)
def test_every_name_is_an_encoding_of_text_or_told_at_length(name):
    check_codec(name)


PARTS = ["a", "b.txt", "c.jsonl", ".h", "x y", "[z]", "d.txt~", "e.lock"]
GLOBS = ["**", "*", "*.txt", "?", "[ab]*", "[!a]*", "[z", "b.txt", ".h"]
NAMES = st.lists(st.sampled_from(PARTS), min_size=1, max_size=3)
PATTERNS = st.lists(st.sampled_from(GLOBS), min_size=1, max_size=3)


def check_pattern(places, pattern):
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for place in places:
            path = root.joinpath(*place)
            if not any(parent.is_file() for parent in path.parents) and not path.exists():
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text("x")
        found, _ = outcome(lambda: matching_files(TextFolder(path=folder, pattern="/".join(pattern))))
        last = pattern if pattern[-1] != "**" else [*pattern, "*"]  # which finds files, not folders alone
        expected = {path.relative_to(root).as_posix() for path in root.glob("/".join(last)) if path.is_file()}
    hidden = any(part.startswith(".") for part in pattern)
    expected = {
        name for name in expected
        if (hidden or not any(part.startswith(".") for part in name.split("/")))
        and not fnmatchcase(name, "*~") and not fnmatchcase(name, "*.lock")
    }  # fmt: skip
    assert {name for name, _ in found or []} == expected


@quick
@given(st.lists(NAMES, min_size=1, max_size=6), PATTERNS)
def test_a_pattern_finds_what_pathlib_finds(places, pattern):
    check_pattern(places, pattern)


@pytest.mark.slow
@at_length(6)
@given(st.lists(NAMES, min_size=1, max_size=6), PATTERNS)
def test_a_pattern_finds_what_pathlib_finds_at_length(places, pattern):
    check_pattern(places, pattern)


ODD_PATTERNS = st.lists(
    st.sampled_from([*GLOBS, "..", ".", "", "a" * 300, "**x", "[]", "[", "[!]", "[a-", "\\", "\0", "\udcff", "~", "é"]),
    max_size=4,
).map("/".join) | st.text(max_size=6)  # fmt: skip


@pytest.fixture(scope="module")
def inside(tmp_path_factory):
    """A folder with one file, beside another file."""
    folder = tmp_path_factory.mktemp("patterns")
    for file in (folder / "outside.txt", folder / "in" / "b.txt"):
        file.parent.mkdir(exist_ok=True)
        file.write_text("x")
    return str(folder / "in")


def check_odd_pattern(inside, pattern):
    found, sentence = outcome(lambda: matching_files(TextFolder(path=inside, pattern=pattern)))
    if sentence is None:
        assert {Path(path).name for _, path in found} <= {"b.txt"}
    else:
        assert "\n" not in sentence
        assert "pattern" in sentence or "files" in sentence


@quick
@given(ODD_PATTERNS)
def test_no_pattern_leads_out_of_its_folder_or_fails(inside, pattern):
    check_odd_pattern(inside, pattern)


@pytest.mark.slow
@at_length(6)
@given(ODD_PATTERNS)
def test_no_pattern_leads_out_of_its_folder_or_fails_at_length(inside, pattern):
    check_odd_pattern(inside, pattern)
