"""Keys and canonical JSON: what they accept, what they refuse, and one golden value."""

from __future__ import annotations

import enum
from pathlib import Path

import numpy as np
import pytest

from storage import InvalidName, artifact_key, canonical_json
from storage.keys import check_key, plain


class Colour(enum.StrEnum):
    RED = "red"


def test_golden_key():
    """If this value moves, every store in the world is worthless: never change it."""
    params = {"lr": 3e-4, "layers": [1, 2], "name": "é", "deep": {"on": True, "off": None, "tiny": 5e-324}}
    assert artifact_key("sae", 2, params, {"acts": "a" * 32}) == "6a2c33a7663a9f930bd9b81c389c7cdb"


def test_golden_text():
    value = {"b": (1, 2.0, -0.0, 1e22, "é\n"), "a": {"ü": None, "Z": True}}
    assert canonical_json(value) == '{"a":{"Z":true,"\\u00fc":null},"b":[1,2.0,-0.0,1e+22,"\\u00e9\\n"]}'


@pytest.mark.parametrize(
    ("value", "same_as"),
    [
        ((1, (2,)), [1, [2]]),
        (np.int64(3), 3),
        (np.uint64(2**64 - 1), 2**64 - 1),
        (np.float64(0.1), 0.1),
        (np.float32(0.5), 0.5),
        (np.bool_(True), True),
        (np.str_("a"), "a"),
        (Colour.RED, "red"),
        ({np.str_("a"): np.int8(1)}, {"a": 1}),
    ],
)
def test_equal_values_have_one_text(value, same_as):
    assert canonical_json(value) == canonical_json(same_as)
    assert plain(value, "x") == same_as
    assert type(plain(value, "x")) is type(same_as)


def test_types_are_kept_apart():
    values = [1, 1.0, True, "1", [1], {"1": 1}, None, 0, False, 0.0, -0.0, "", [], {}, "é", "e\u0301"]
    assert len({canonical_json(value) for value in values}) == len(values)


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (float("nan"), "finite"),
        ({"a": [np.float32("inf")]}, r"x\.a\[0\]"),
        ({1: "a"}, "mapping key"),
        ({1, 2}, "Sort"),
        (b"bytes", "digest"),
        (Path("a"), "path is not content"),
        (np.zeros(2), "ndarray"),
        (np.zeros(()), "ndarray"),
        (1j, "complex"),
        (np.complex64(1), "complex"),
        (object(), "object"),
        (np.datetime64("2026-01-01"), "datetime64"),
    ],
)
def test_what_has_no_one_spelling_is_refused(value, told):
    with pytest.raises(InvalidName, match=told):
        canonical_json(value, "x")


def test_the_error_names_the_place():
    with pytest.raises(InvalidName, match=r"step 'sae'\.params\.optimiser\.lr"):
        artifact_key("sae", 1, {"optimiser": {"lr": float("inf")}}, {})


@pytest.mark.parametrize(
    ("step", "version", "inputs"), [("", 1, {}), ("a", 1.0, {}), ("a", True, {}), ("a", 1, {"x": "../y"})]
)
def test_misused_keys(step, version, inputs):
    with pytest.raises(InvalidName):
        artifact_key(step, version, {}, inputs)


def test_every_part_of_the_ancestry_counts():
    keys = {
        artifact_key("a", 1, {"x": 1}, {"i": "k"}),
        artifact_key("b", 1, {"x": 1}, {"i": "k"}),
        artifact_key("a", 2, {"x": 1}, {"i": "k"}),
        artifact_key("a", 1, {"x": 2}, {"i": "k"}),
        artifact_key("a", 1, {"x": 1}, {"i": "l"}),
        artifact_key("a", 1, {"x": 1}, {"j": "k"}),
        artifact_key("a", 1, {"x": 1, "i": "k"}, {}),
    }
    assert len(keys) == 7
    assert all(check_key(key) == key and len(key) == 32 for key in keys)
