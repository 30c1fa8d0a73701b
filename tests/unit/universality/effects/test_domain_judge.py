"""Domains of tokens: counted by hand, held-out figures on text that can and that cannot be told."""

import numpy as np
import pytest

from universality.effects.domain_judge import PRIOR_TOKENS, REACH, fit_judge, script_of, script_share
from universality.errors import InputError

RNG = np.random.default_rng(0)
N, D_VOCAB = 6000, 12


def text(overlap):
    """Documents of 50 tokens, domains in turn; a token is its domain's own or, with probability ``overlap``, any."""
    segments = np.arange(N) // 50
    domains = segments % 3
    own = 4 * domains + RNG.integers(0, 4, N)
    return np.where(RNG.random(N) < overlap, RNG.integers(0, D_VOCAB, N), own), domains, segments


def fitted(overlap, **changes):
    tokens, domains, segments = text(overlap)
    given = {"tokens": tokens, "domains": domains, "segments": segments, "fit": segments % 2 == 0}
    return fit_judge(**{**given, **changes}, names=["a", "b", "c"], d_vocab=D_VOCAB), tokens, domains, segments


def test_probabilities_are_smoothed_counts():
    tokens, domains = np.array([0, 0, 1, 2, 2, 2]), np.array([0, 0, 0, 1, 1, -1])
    judge = fit_judge(tokens, domains, np.zeros(6, int), np.ones(6, bool), ["a", "b"], 3)
    everywhere = (np.array([2, 1, 2]) + 1) / 8
    np.testing.assert_allclose(judge.log_p[0], np.log(([2, 1, 0] + PRIOR_TOKENS * everywhere) / (3 + PRIOR_TOKENS)))
    np.testing.assert_allclose(np.exp(judge.log_p).sum(axis=1), 1)
    assert np.isnan(judge.hit).all()


def test_windows_end_where_their_text_ends():
    judge, *_ = fitted(0.0)
    n = REACH + 1
    one, other = np.full(n, 1), np.full(n, 9)
    told = judge.judge(np.stack([one, other]))
    assert (told[0] == 0).all()
    assert (told[1] == 2).all()
    short = judge.judge(np.array([[1, 1], [9, 9], [9, 9], [1, 1], [1, 1]]))
    assert short.tolist() == [[0, 0], [2, 2], [2, 2], [0, 0], [0, 0]]
    # A single odd token is judged by its neighbours; the middle of a change by the majority of its window.
    odd = np.array([1] * 6 + [9] + [1] * 6)
    assert (judge.judge(odd[None]) == 0).all()
    changed = judge.judge(np.array([1] * 8 + [9] * 8)[None])[0]
    assert changed.tolist() == [0] * 8 + [2] * 8
    assert judge.share(np.array([1] * 8 + [9] * 8)[None], "c") == 0.5


def test_held_out_figures_are_those_of_judging_the_held_out_text():
    judge, tokens, domains, segments = fitted(0.8)
    score = segments % 2 == 1
    told = judge.judge(tokens[score].reshape(-1, 50)).ravel()
    for code in range(3):
        own = domains[score] == code
        assert judge.hit[code] == pytest.approx((told[own] == code).mean())
        assert judge.false_alarm[code] == pytest.approx((told[~own] == code).mean())
    assert 0.4 < judge.hit.mean() < 0.95


def test_labels_that_say_nothing_about_the_text_are_told_by_chance():
    tokens, domains, segments = text(1.0)
    judge = fit_judge(tokens, domains, segments, segments % 2 == 0, ["a", "b", "c"], D_VOCAB)
    assert abs(judge.hit.mean() - 1 / 3) < 0.06
    sure, *_ = fitted(0.0)
    assert sure.hit.min() > 0.99
    assert sure.false_alarm.max() < 0.01


def test_domains_without_fit_rows_are_never_told():
    tokens, domains, segments = text(0.0)
    judge = fit_judge(tokens, domains, segments, (segments % 2 == 0) & (domains != 1), ["a", "b", "c"], D_VOCAB)
    assert not (judge.judge(tokens[None]) == 1).any()
    assert judge.hit[1] == 0
    with pytest.raises(InputError, match="at least 2 with fit rows"):
        fit_judge(tokens, np.zeros(N, int), segments, segments % 2 == 0, ["a", "b"], D_VOCAB)
    with pytest.raises(InputError, match="one of a, b, c"):
        judge.share(tokens[None], "d")


def test_scripts_are_those_of_most_letters():
    assert script_of("السلام عليكم, hello") == "ARABIC"
    assert script_of("hello, мир") is None
    assert script_of("Привет, мир! abc") == "CYRILLIC"
    assert script_of("1234 ---") is None
    assert script_share(["ab мир", " "], "CYRILLIC") == 0.6
    assert script_share(["", " "], "CYRILLIC") == 0
