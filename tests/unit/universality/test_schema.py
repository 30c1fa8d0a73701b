"""What a schema refuses, and the tables of a comparison against theirs."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pandas as pd
import pytest

from universality.compare import CompareConfig, Comparison, compare
from universality.errors import InputError
from universality.planted import plant
from universality.schema import Column, TableSchema, column_type, read_tables
from universality.table_schemas import COMPARISON, K_OF_M, PAIRS, TABLES

NAME = Column("name", "text", "word", "any", "what it is called")
N = Column("n", "int64", "count", "0 and up", "how many", nullable=True)
SCHEMA = TableSchema("things", "a thing", ("name",), (NAME, N))
GOOD = pd.DataFrame({"name": ["a", "b"], "n": [1, 2]})


@pytest.mark.parametrize(
    ("frame", "words"),
    [
        (GOOD.drop(columns="n"), "must have 'n'"),
        (GOOD.assign(more=1), "must lack 'more'"),
        (GOOD[["n", "name"]], "in the order"),
        (GOOD.assign(n=1.5), "column 'n' of table 'things' must be int64; got float64"),
        (GOOD.assign(n=["1", "2"]), "must be int64; got text"),
        (GOOD.assign(name=[1, 2]), "column 'name' of table 'things' must be text; got int64"),
        (GOOD.assign(name=pd.Series(["a", 1], dtype=object)), "must be text; got mixed-integer"),
    ],
)
def test_a_frame_that_is_not_the_table_is_refused(frame: pd.DataFrame, words: str) -> None:
    with pytest.raises(InputError, match=words):
        SCHEMA.check(frame)


@pytest.mark.parametrize(
    "frame",
    [
        GOOD,
        GOOD.astype({"name": object, "n": "Int64"}),
        GOOD.assign(n=pd.array([1, None], dtype="Int64")),
        GOOD.assign(name=pd.Series([None, None], dtype=object)),
        pd.DataFrame(columns=["name", "n"]),
    ],
    ids=["plain", "objects", "a missing number", "missing text", "no rows"],
)
def test_the_table_passes_in_any_of_its_forms(frame: pd.DataFrame) -> None:
    SCHEMA.check(frame)


def test_values_are_converted_to_the_types_declared() -> None:
    note = NAME._replace(name="note", nullable=True)
    part = N._replace(name="of", dtype="float64")
    typed = TableSchema("things", "a thing", ("name",), (NAME, note, N, part)).typed(
        pd.DataFrame({"name": [1, 2], "note": [None, "a"], "n": [None, 3.0], "of": [None, None]})
    )
    assert [str(dtype) for dtype in typed.dtypes] == ["str", "str", "Int64", "float64"]
    assert typed["name"].tolist() == ["1", "2"]
    assert typed["n"].isna().tolist() == [True, False]
    assert typed["note"].isna().tolist() == [True, False]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.zeros(1, np.float32), "float32"),
        (np.zeros(1, np.int32), "int32"),
        (pd.array([1.0, None], dtype="Float64"), "float64"),
        (pd.array([True, None], dtype="boolean"), "bool"),
        (pd.array(["a"], dtype="string"), "text"),
        (pd.Series([1, None], dtype=object), "int64"),
        (pd.Series([None], dtype=object), None),
    ],
)
def test_a_type_is_what_parquet_holds(values: Any, expected: str | None, tmp_path) -> None:
    frame = pd.DataFrame({"x": values})
    assert column_type(frame["x"]) == expected
    frame.to_parquet(tmp_path / "x.parquet")
    stored = pd.read_parquet(tmp_path / "x.parquet", dtype_backend="pyarrow")["x"].dtype
    arrow = {"text": "string", "float64": "double", "float32": "float", None: "null"}.get(expected, expected)
    assert arrow in str(stored)


def test_labels_come_first_and_join_the_key() -> None:
    labelled = SCHEMA.under(NAME._replace(name="run"))
    assert labelled.names == ["run", "name", "n"]
    assert labelled.key == ("run", "name")
    assert SCHEMA.names == ["name", "n"]


def test_columns_by_name() -> None:
    assert [of.name for of in PAIRS.pick("r level")] == ["r", "level"]
    assert PAIRS["margin_a"] == Column("margin_a", "float64", "r", "-2 to 2", PAIRS["margin_a"].meaning)
    with pytest.raises(KeyError):
        K_OF_M["r"]


DECLARED = """
[sides]
meaning = "a side"
key = "model side"
columns = '''
model
side? | text | word | a, b | which one; of a pair
  it is the first or the second
'''
[all]
meaning = "the same"
key = "model"
columns = '''
as sides
as pairs: r?
'''
"""


def test_tables_are_read_from_a_file(tmp_path) -> None:
    (tmp_path / "tables.toml").write_text(DECLARED)
    sides, both = read_tables(tmp_path / "tables.toml", TABLES).values()
    side = Column("side", "text", "word", "a, b", "which one; of a pair it is the first or the second", True)
    assert sides == TableSchema("sides", "a side", ("model", "side"), (TABLES["shared"]["model"], side))
    assert both.columns == (*sides.columns, PAIRS["r"]._replace(nullable=True))


@pytest.mark.parametrize(
    ("line", "error"), [("nothing", KeyError), ("as pairs: nothing", KeyError), ("a | b | c", ValueError)]
)
def test_a_line_that_declares_nothing_is_an_error(line: str, error: type[Exception], tmp_path) -> None:
    text = f'[things]\nmeaning = "a thing"\nkey = "name"\ncolumns = """\n{line}\n"""\n'
    (tmp_path / "tables.toml").write_text(text)
    with pytest.raises(error):
        read_tables(tmp_path / "tables.toml", TABLES)


def test_every_schema_can_be_read() -> None:
    for schema in COMPARISON.values():
        assert len(set(schema.names)) == len(schema.names)
        assert set(schema.key) <= set(schema.names)
        assert not schema.meaning.endswith(".")
        assert all(of.unit and of.range and of.meaning and not of.meaning.endswith(".") for of in schema.columns)


def _compare(**changes: Any) -> Comparison:
    planted = plant(
        n_models=2, n_rows=3_000, n_documents=60, n_universal=8, n_shared=0, n_specific=4, n_unstable=0,
        n_decodable=0, n_split=0, n_domain=1, n_token=1, n_position=0, n_domains=2, d_in=8, d_vocab=60, n_ctx=16,
        min_rate=0.02,
    )  # fmt: skip
    config = CompareConfig(
        **{"n_shifts": 10, "n_resamples": 20, "taus": (0.5,), "n_rotations": 2, "min_firings": 10} | changes
    )
    return compare(planted.acts, documents=planted.documents, config=config)


@pytest.mark.parametrize("changes", [{}, {"min_firings": 10_000}], ids=["bare", "nothing alive"])
def test_tables_of_a_comparison_are_those_declared(changes: dict[str, Any]) -> None:
    """Of a comparison with every input, the tables of recipe ``tiny`` are checked as its steps write them."""
    tables = _compare(**changes).to_tables()
    assert set(tables) == set(COMPARISON)
    for name, frame in tables.items():
        COMPARISON[name].check(frame)
        assert not frame.duplicated(list(COMPARISON[name].key)).any(), name


def test_schemas_are_read_without_heavy_imports() -> None:
    code = "import sys, results.schema_figures; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert not {"torch", "numba", "pandas", "matplotlib", "streamlit"} & set(loaded.split())
