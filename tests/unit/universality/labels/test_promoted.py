"""What promoted tokens have in common."""

import numpy as np

from universality.labels.promoted import common_parts

WORDS = [
    b"",
    *(f"{a}{b}".encode() for a in "abcdefghij" for b in ("nt", "sh", "lo", "we", "ri", "ty", "on", "xu", "pe", "ck")),
]
ARABIC = ["ا", "ب", "ت", "ث", "ج", "ح", "خ", "د", "ذ", "ر"]
SIGNS = [
    *(str(n).encode() for n in range(10)),
    *(letter.encode() for letter in ARABIC),
    *(sign.encode() for sign in "!?.,;:()[]"),
]
VOCABULARY = [*WORDS, *SIGNS]
SPECIAL = np.arange(len(VOCABULARY)) == 0
NUMBER = {text: number for number, text in enumerate(VOCABULARY)}


def common(*texts):
    (found,) = common_parts(np.array([[NUMBER[text] for text in texts]]), VOCABULARY, SPECIAL)
    return found


def test_a_script_a_class_an_end_or_nothing():
    arabic = common(
        *SIGNS[10:20],
    )
    assert (arabic.family, arabic.key, arabic.n) == ("script", ("Arabic",), 10)
    assert arabic.share == 10 / (len(VOCABULARY) - 1)
    digits = common(*SIGNS[:9], b"ant")
    assert (digits.family, digits.key, digits.n) == ("class", ("digits",), 9)
    ends = common(b"ant", b"bnt", b"cnt", b"dnt", b"ent", b"fnt", b"gnt", b"hsh", b"ilo", b"1")
    assert (ends.family, ends.key, ends.n) == ("suffix", (b"nt",), 7)
    begins = common(b"ant", b"ash", b"alo", b"awe", b"ari", b"aty", b"aon", b"hsh", b"ilo", b"1")
    assert (begins.family, begins.key, begins.n) == ("prefix", (b"a",), 7)
    # Latin letters are most of the vocabulary: ten of them have nothing to tell.
    nothing = common(b"ant", b"bsh", b"clo", b"dwe", b"eri", b"fty", b"gon", b"hxu", b"ipe", b"jck")
    assert (nothing.family, nothing.key) == ("tokens", (NUMBER[b"ant"],))


def test_no_latents_and_no_tokens():
    assert common_parts(np.zeros((0, 10), int), VOCABULARY, SPECIAL) == []
