from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import universality
from results import words
from results.colours import VERDICT_COLOURS
from universality import weight_indices


def test_every_thing_of_the_tables_has_words():
    assert set(words.VERDICTS) == set(words.STATISTICS) == set(VERDICT_COLOURS)


@pytest.mark.parametrize("missing", [None, float("nan"), np.nan, pd.NA])
@pytest.mark.parametrize(
    "say",
    [words.number, words.probability, words.rate, words.share, words.duration, words.roughly, words.size],
)
def test_what_is_missing_is_a_dash(say, missing):
    assert say(missing) == "–"


@pytest.mark.parametrize(
    ("said", "text"),
    [
        (words.number(-0.126), "−0.13"),
        (words.number(np.float32(0.5), 1), "0.5"),
        (words.probability(0.00037), "0.00037"),
        (words.probability(0.000012), "1.2e-05"),
        (words.rate(0.0251), "2.5 %"),
        (words.rate(0.0001), "1 in 10,000"),
        (words.rate(0.0), "0"),
        (words.share(0.904), "90 %"),
        (words.duration(3.25), "3.2 s"),
        (words.duration(59.7), "1 min 0 s"),
        (words.duration(3600 * 2 + 61), "2 h 1 min"),
        (words.roughly(3), "10 s"),
        (words.roughly(1061), "18 min"),
        (words.roughly(7200), "2.0 h"),
        (words.size(1_500_000), "1.5 MB"),
        (words.size(0), "0 B"),
        (words.size(999), "999 B"),
        (words.size(12_000), "12 kB"),
        (words.size(999_700), "1.0 MB"),
        (words.size(3_400_000_000), "3.4 GB"),
        (words.size(10.0**16), "10000 TB"),
        (words.counted(1, "pair"), "1 pair"),
        (words.counted(2000, "pair"), "2,000 pairs"),
    ],
)
def test_numbers_are_written_as_people_write_them(said, text):
    assert said == text


def test_every_index_has_a_name_and_no_name_is_an_identifier():
    code = "".join(path.read_text() for path in Path(universality.__file__).parent.rglob("*.py"))
    indices = set(re.findall(r'Index\("([a-z_]+)', code)) | {name for name, _ in weight_indices._STORED}
    assert len(indices) > 20
    assert indices - set(words.NAMES) == set()
    assert words.called("shared_fraction_token_x_domain") == "features with a partner, token in a domain"
    assert words.called("shared_token_x_domain") == "shared token in a domain"
    assert words.called("english_prose") == "english prose"
    kinds = (*words.LEVELS, *words.VERDICTS, *words.FLAGS, *words.GROUPS, *words.CLASSES, *words.NAMES)
    assert not [name for name in kinds if "_" in words.called(name)]


def test_flags_come_apart():
    assert words.flags("dense;positional") == ["dense", "positional"]
    assert words.flags("") == words.flags(None) == words.flags(float("nan")) == []
