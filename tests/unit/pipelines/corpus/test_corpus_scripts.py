import unicodedata

import pytest

from pipelines.corpus.scripts import SCRIPTS, majority_script, script_counts

SAMPLES = {
    "arabic": "لما كان الاعتراف بالكرامة",
    "armenian": "Քանի որ մարդկային ընտանիքի",
    "bengali": "মানব পরিবারের সকল সদস্যের",
    "cyrillic": "Принимая во внимание, что",
    "devanagari": "चूंकि मानव परिवार के सभी सदस्यों",
    "ethiopic": "የሰው ልጅ ሁሉ ሲወለድ ነጻ",
    "georgian": "ყველა ადამიანი იბადება",
    "greek": "Όλοι οι άνθρωποι γεννιούνται",
    "han": "鉴于对人类家庭所有成员的固有尊严",
    "hangul": "모든 인간은 태어날 때부터",
    "hebrew": "הואיל והכרה בכבוד הטבעי",
    "kana": "すべての人間は、生まれながらにして自由であり",
    "latin": "Všichni lidé se rodí svobodní",
    "tamil": "மனிதப் பிறிவியினர் சகலரும்",
    "thai": "มนุษย์ทั้งหลายเกิดมามีอิสระ",
    "other_script": "ᎾᏍᎩ ᎠᏰᎵ ᎤᏙᎯᏳᎯ",
}


def test_every_script_has_a_sample():
    assert sorted(SAMPLES) == sorted(SCRIPTS)


@pytest.mark.parametrize("script", SCRIPTS)
def test_majority(script):
    assert majority_script(SAMPLES[script]) == script


def test_placeholders_and_tags_do_not_count():
    assert majority_script('<a href="https://example.org/long/path">%(verbose_name_plural)s</a> שלום') == "hebrew"


def test_digits_and_punctuation_count_for_nothing():
    assert script_counts("12:30 — (5+6)…") == {}
    assert majority_script("12:30") == "latin"


def test_agrees_with_the_names_in_the_unicode_database():
    words = {"CJK": "han", "HIRAGANA": "kana", "KATAKANA": "kana", "HANGUL": "hangul", "LATIN": "latin"}
    words |= {name.upper(): name for name in SCRIPTS if name not in ("latin", "other_script", "han", "kana")}
    disagreements = []
    for point in range(0x250, 0x10000, 3):
        character = chr(point)
        name = unicodedata.name(character, "?")
        # Width variants carry their width as first word; letter-like symbols are symbols here.
        if unicodedata.category(character) in ("Lu", "Ll", "Lo") and not name.startswith(("HALF", "FULL")):
            expected = words.get(name.split()[0], "other_script")
            if script_counts(character) not in ({expected: 1}, {}):
                disagreements.append(name)
    # Coptic letters in the Greek block, Greek letters among the phonetic extensions.
    assert len(disagreements) < 15, disagreements
