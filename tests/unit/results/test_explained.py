"""Words of language models: scores, means beside controls, and the file beside the store."""

from __future__ import annotations

import math

import numpy as np
import pytest
from explained import explanation
from scipy import stats

from pipelines.report.table_files import TABLES
from results.beside_store import keep_line
from results.explained import (
    Tally,
    explained_table,
    explanation_sentence,
    explanations_file,
    read_explanations,
    words_summary,
)
from universality.errors import InputError


def test_balanced_accuracy_gives_both_kinds_equal_weight():
    assert Tally(yes=10, yes_right=10, no=10, no_right=0).balanced_accuracy == 0.5
    assert Tally(yes=2, yes_right=1, no=8, no_right=8).balanced_accuracy == 0.75


def test_the_sentence_has_every_score_beside_its_control():
    one = explanation("m0:3", "words")
    assert explanation_sentence(one) == (
        "in words by words-1: detection 0.75 (another feature's words 0.50), fuzzing 0.70 (another feature's words "
        "0.40), intruder 0.60 (guessing 0.20)"
    )
    none = explanation("m0:3", "words", detection=None, fuzzing=None, intruder_right=None)
    assert explanation_sentence(none) == "in words by words-1: no scores"
    assert none.rank < explanation("m0:3", "words", detection=Tally(yes=1, yes_right=0, no=1, no_right=0)).rank


def test_means_go_over_features_that_were_answered_and_kinds_stay_apart():
    tallies = [Tally(yes=10, yes_right=right, no=10, no_right=10) for right in (10, 8, 6)]
    some = [explanation(f"m0:{n}", "w", detection=tally) for n, tally in enumerate(tallies)]
    some += [explanation("m0:9", None, detection=None), explanation("u0:1", "w", kind="untrained")]
    table = words_summary(explained_table(some)).set_index(["kind", "score"])
    row = table.loc[("matched", "detection")]
    low, high = stats.t.interval(0.95, 2, loc=0.9, scale=stats.sem([1.0, 0.9, 0.8]))
    assert (row["n"], row["n_other"]) == (3, 4)
    assert np.allclose(row[["mean", "low", "high"]].astype(float), [0.9, low, min(high, 1.0)])
    assert table.loc[("untrained", "detection"), "mean"] == 0.75
    assert math.isnan(table.loc[("untrained", "detection"), "low"])
    assert table.loc[("matched", "intruder"), "n_other"] == 0
    assert words_summary(explained_table([])).empty
    assert list(explained_table(some)) == TABLES["explained"].names


def test_the_last_line_of_a_feature_and_model_counts_and_none_is_of_another_run(tmp_path):
    path = explanations_file(str(tmp_path / "runs"), "synthetic")
    assert path == tmp_path / "runs-explanations" / "synthetic.jsonl"
    assert explanations_file("s3://bucket/runs", "synthetic") is None
    for words in ("first", "second"):
        keep_line(path, explanation("m0:3", words))
    keep_line(path, explanation("m0:3", "third", language_model="words-2"))
    assert [one.explanation for one in read_explanations(path, "synthetic")] == ["second", "third"]
    with pytest.raises(InputError, match=r"line 1 .*'other'"):
        read_explanations(path, "other")


@pytest.mark.parametrize(
    "changed",
    [{"explanation": "x" * 301}, {"explanation": "\x1b[31m"}, {"language_model": "\x9b31m"}, {"intruder_right": -1}],
)
def test_what_no_reply_of_ours_would_be_is_refused(tmp_path, changed):
    path = tmp_path / "file.jsonl"
    path.write_text(explanation("m0:3", "w").model_copy(update=changed).model_dump_json() + "\n", encoding="utf-8")
    with pytest.raises(InputError, match="line 1"):
        read_explanations(path, "synthetic")
