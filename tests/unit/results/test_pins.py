"""The file of pinned pairs: written by screens, read by reports."""

from __future__ import annotations

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from results.pins import PinnedPair, Pins, read_pins
from universality.errors import InputError

MODELS = st.from_regex(r"\A[mu][0-9]{1,2}(s[0-9])?r?\Z")
PAIRS = st.builds(
    lambda comparison, a, i, b, j: PinnedPair.of_id(comparison, f"{a}:{i}-{b}:{j}"),
    st.text(min_size=1, max_size=5), MODELS, st.integers(0, 10**6), MODELS, st.integers(0, 10**6),
)  # fmt: skip


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(max_size=5), st.lists(PAIRS, min_size=1, max_size=4))
def test_what_is_written_is_read(tmp_path, run, pairs):
    pins = Pins(run=run, pairs=tuple(pairs))
    file = tmp_path / "pinned.json"
    file.write_bytes(pins.to_bytes())
    assert read_pins(file) == pins


def test_the_file_says_what_it_is():
    content = json.loads(Pins(run="r", pairs=(PinnedPair.of_id("main", "m0:12-m1:7"),)).to_bytes())
    pair = {"comparison_id": "main", "model_a": "m0", "latent_a": 12, "model_b": "m1", "latent_b": 7}
    assert content == {"kind": "universality-pins", "schema": 1, "run": "r", "pairs": [pair]}


@pytest.mark.parametrize("pair", ["", "m0:1", "m0:1-m1:x", "m0 :1-m1:2"])
def test_what_is_no_pair_is_refused(pair):
    with pytest.raises(ValueError, match="m0:12-m1:7"):
        PinnedPair.of_id("main", pair)


@pytest.mark.parametrize("content", ["{", "[]", '{"kind": "universality-pins"}'])
def test_another_file_is_told(tmp_path, content):
    (tmp_path / "pinned.json").write_text(content)
    with pytest.raises(InputError, match="a list of pinned pairs"):
        read_pins(tmp_path / "pinned.json")
