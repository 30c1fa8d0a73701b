"""Blind games: fair questions, strata, answers in a file, and how often they are right."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from run_variants import write_silent_run
from scipy.stats import binomtest
from synthetic_run import write_synthetic_run

from results.answers import CHANCE, FLOOR, Answer, answers_file, answers_table, game_summary, read_answers
from results.beside_store import keep_line
from results.games import GAMES, N_OPTIONS, N_TEXTS, Question, question, subjects
from results.stored_comparison import StoredComparison
from universality.errors import InputError


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> StoredComparison:
    run = write_synthetic_run(str(tmp_path_factory.mktemp("store")), n_models=2, n_latents=60, n_documents=150)
    return StoredComparison(run, "main")


@pytest.fixture(scope="module")
def asked(stored) -> dict[str, list[Question]]:
    return {game: [question(stored, game, "eve", number) for number in range(60)] for game in GAMES}


def test_the_intruder_alone_is_silent_and_its_kind_of_text_is_among_the_others(stored, asked):
    text = stored.text
    for q in asked["intruder"]:
        fires = stored.firing(q.model_a, q.latent_a)
        assert len(q.options) == N_OPTIONS
        contexts = [int(text.row_context[row]) for (row,) in q.options]
        silent = [not np.isin(text.row_context[fires.rows], context).any() for context in contexts]
        assert [place for place, none in enumerate(silent) if none] == [q.right]
        assert all(fires.at([row])[0] > 0 for place, (row,) in enumerate(q.options) if place != q.right)
        assert len(set(contexts)) == N_OPTIONS


def test_the_partner_is_among_others_of_its_model_and_no_source_is_on_both_sides(stored, asked):
    sources = np.asarray(stored.run.artifact("tokens").array("row_source"))
    for q in asked["partner"]:
        assert len(q.sample) == N_TEXTS
        assert len(set(q.features)) == N_OPTIONS
        assert q.features[q.right] == q.latent_b
        shown = {int(sources[row]) for rows in q.options for row in rows}
        assert shown.isdisjoint(int(sources[row]) for row in q.sample)
        for latent, rows in zip(q.features, q.options, strict=True):
            assert len(rows) == N_TEXTS
            assert (stored.firing(q.model_b, latent).at(rows) > 0).all()
        assert (stored.firing(q.model_a, q.latent_a).at(q.sample) > 0).all()


def test_no_text_had_a_part_in_the_matching(stored, asked):
    shown = [row for of in asked.values() for q in of for rows in (q.sample, *q.options) for row in rows]
    assert stored.score_rows[shown].all()
    assert not stored.score_rows.all()


def test_series_are_repeatable_differ_by_player_and_favour_no_place(stored, asked):
    for game, of_eve in asked.items():
        assert question(stored, game, "eve", 7) == of_eve[7]
        assert [question(stored, game, "adam", n) for n in range(4)] != of_eve[:4]
        places = Counter(q.right for q in of_eve)
        assert set(places) == set(range(N_OPTIONS))
        assert max(places.values()) < 25


def test_strata_are_drawn_evenly_and_untrained_models_stand_among_them(stored, asked):
    pairs = subjects(stored)
    strata = {row["stratum"] for row in pairs[pairs["kind"] == "matched"].to_dict("records")}
    for of_eve in asked.values():
        kinds = Counter(q.kind for q in of_eve)
        assert 4 <= kinds["untrained"] <= 24
        drawn = Counter(
            int(np.searchsorted((-1.0, 0.2, 0.5, 0.8), q.r, side="right")) for q in of_eve if q.kind == "matched"
        )
        assert set(drawn) <= strata
        assert len(drawn) >= min(len(strata), 2)


def test_a_run_with_too_little_text_is_refused_in_a_sentence(tmp_path):
    run = write_silent_run(str(tmp_path))
    with pytest.raises(InputError, match="fire in 4 different texts"):
        question(StoredComparison(run, "main"), "partner", "eve", 0)


def answer(number: int, right: bool | None, **changes) -> Answer:
    fields = {
        "run": "r", "comparison_id": "main", "game": "partner", "player": "eve", "number": number, "kind": "matched",
        "model_a": "m0", "latent_a": 1, "model_b": "m1", "latent_b": 2, "r": 0.6, "level": "token", "right": 3,
        "chosen": None if right is None else 3 if right else 1, "seconds": 4.0,
    }  # fmt: skip
    return Answer.model_validate({**fields, **changes})


def test_answers_are_kept_one_a_line_and_the_first_one_counts(tmp_path, asked):
    path = answers_file(str(tmp_path / "runs"), "r")
    assert path == tmp_path / "runs-answers" / "r.jsonl"
    assert answers_file("s3://bucket/runs", "r") is None
    first = Answer.to(asked["partner"][0], 2, 3.14, run="r", comparison_id="main", player="eve")
    for one in (first, answer(5, right=True), answer(5, right=False)):
        keep_line(path, one)
    assert read_answers(path, "r") == [first, answer(5, right=True)]
    with pytest.raises(InputError, match=r"run of line 1 of .* must be"):
        read_answers(path, "other")
    path.write_bytes(path.read_bytes() + b'{"schema":1,"ru\n')  # the power went off
    assert len(read_answers(path, "r")) == 2
    path.write_bytes(path.read_bytes() + b"{}\n")
    with pytest.raises(InputError, match="answer of line 5 of "):
        read_answers(path, "r")
    with pytest.raises(InputError, match="No such file"):
        read_answers(tmp_path / "nothing", "r")


def test_the_summary_counts_by_game_r_level_and_floor():
    answers = [answer(n, right=n % 2 == 0) for n in range(20)]
    answers += [answer(20, right=None), *(answer(30 + n, right=n == 0, kind="untrained", r=0.1) for n in range(5))]
    answers += [answer(n, right=True, player="adam", r=0.9, level="context") for n in range(4)]
    rows = game_summary(answers_table(answers)).set_index("of")
    every = rows.loc["all"]
    assert (every["n"], every["n_players"], every["n_passed"]) == (24, 2, 1)
    assert every["accuracy"] == 14 / 24
    interval = binomtest(14, 24).proportion_ci(0.95, method="wilson")
    assert (every["low"], every["high"]) == pytest.approx((interval.low, interval.high))
    assert every["p"] == pytest.approx(binomtest(14, 24, CHANCE, alternative="greater").pvalue)
    assert rows.loc[["r 0.5 to 0.8", "r 0.8 and more", "level context", "level token", FLOOR], "n"].tolist() == [
        20,
        4,
        4,
        20,
        5,
    ]
    assert rows.loc[FLOOR, "accuracy"] == 0.2
