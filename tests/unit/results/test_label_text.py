"""Rules in words, and how far they go beside untrained models."""

import pandas as pd
import pytest

from results.label_frames import NO_RULE, label_sentence, label_summary
from results.label_text import promoted_text, rule_text

BYTES = [b"", b" the", b"\n", b"</", "é".encode()[:1], b" of"]


@pytest.mark.parametrize(
    ("family", "keys", "words"),
    [
        ("token", [(1,)], "token “·the”"),
        ("tokens", [(1,), (2,)], "tokens “·the”, “⏎”"),
        ("tokens", [(1,)] * 7, "tokens “·the”, “·the”, “·the”, “·the” and 3 more"),
        ("previous", [(3,), (-1,)], "after “</”, the start of a document"),
        ("bigram", [(5, 1)], "“·of” + “·the”"),
        ("bigram", [(-1, 1)], "the start of a document + “·the”"),
        ("domain_token", [("legal", 1), ("legal", 5)], "in legal: “·the”, “·of”"),
        ("domain_token", [("legal", 1), ("code", 1)], "token “·the” in legal, code"),
        ("domain_token", [("legal", 1), ("code", 5)], "“·the” in legal, “·of” in code"),
        ("prefix", [(b" un",)], "tokens that begin with “·un”"),
        ("suffix", [(b"\xc3",), (b"ing",)], "tokens that end in “\\xC3”, “ing”"),
        ("domain", [("dna",)], "domain dna"),
        ("script", [("Arabic",), ("Hebrew",)], "scripts Arabic, Hebrew"),
        ("script", [("no letters",)], "no letters at all"),
        ("class", [("digits",)], "digits"),
        ("position", [(1, 1), (3, 4)], "positions 1, 3–4"),
        ("repeat", [(3,), (4,)], "seen before: the last 3, the last 4"),
        ("repeat", [(0,)], "a token not seen before"),
        ("repeat", [(1,), (0,)], "seen before: the last token; a token not seen before"),
    ],
)
def test_rules_in_words(family, keys, words):
    assert rule_text(family, keys, BYTES) == words


def test_what_is_promoted_in_words():
    assert promoted_text("suffix", (b"ing",), 7, 10, []) == "tokens that end in “ing” (7 of 10)"
    assert promoted_text("tokens", (1,), 1, 10, [BYTES[1], BYTES[2]]) == "“·the”, “⏎”"


LABELS = pd.DataFrame(
    {
        "model": ["m0", "m0", "m1", "m1", "u0", "u0"],
        "family": ["token", "domain", "token", "tokens", "token", "tokens"],
        "explained": [True, True, True, False, True, False],
        "r": [0.8, 0.6, 0.9, 0.1, 0.5, 0.2],
        "r_untrained": [0.2, 0.4, 0.3, 0.0, None, None],
    }
)


def test_the_summary_sets_untrained_models_apart():
    rows = label_summary(LABELS, {"m0", "m1"}).set_index("kind")
    assert rows.index.tolist() == ["all", "one token", "domain", NO_RULE]
    every = rows.loc["all"]
    assert (every["n"], every["n_floor"]) == (4, 2)
    assert (every["r"], every["r_untrained"], every["r_floor"]) == pytest.approx((0.7, 0.25, 0.35))
    assert rows.loc[NO_RULE, ["share", "share_floor"]].tolist() == [0.25, 0.5]
    assert rows.loc["one token", ["n", "r", "share_floor"]].tolist() == pytest.approx([2, 0.85, 0.5])


def test_the_sentence_has_its_floor_or_names_none():
    told = label_sentence(LABELS, {"m0", "m1"})
    assert (
        "median r of 0.70; of features of untrained models 0.35, and the same rules latents of these at 0.25." in told
    )
    assert told.endswith("25 % follow no rule at r = 0.3 (untrained models 50 %).")
    alone = label_sentence(LABELS[:4].assign(r_untrained=None), {"m0", "m1"})
    assert "untrained" not in alone
    assert alone.endswith("median r of 0.70. 25 % follow no rule at r = 0.3.")
    assert label_sentence(None, {"m0"}) == label_sentence(LABELS[:0], {"m0"}) == ""
