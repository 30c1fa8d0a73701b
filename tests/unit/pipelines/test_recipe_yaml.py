"""Recipes as an accident or an attack: understood exactly, or refused with file and line."""

from __future__ import annotations

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.recipe import load_recipe, shipped_recipes
from pipelines.recipe.yaml_text import MAX_BYTES, MAX_DEPTH, parsed
from universality.errors import InputError

BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{b}: &{b} [{', '.join(9 * [f'*{a}'])}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)
)
REFUSED = {
    "aliases that expand": (BOMB, "values, repeated ones counted"),
    "aliases of mappings": (BOMB.replace("[", "{a: ").replace("]", "}").replace(", ", ", b: "), ""),
    "an alias inside of itself": (
        "recipe: &a [*a]",
        "r.yaml:1:9: the file must be YAML; an alias must not stand inside",
    ),
    "a mapping inside of itself": ("&a {recipe: *a}", "an alias must not stand inside"),
    "merged with itself": ("recipe: &a {<<: *a}", ""),
    "digits": ("root_seed: " + "9" * 6000, "at most 18 digits; got 9999"),
    "hexadecimal digits": ("root_seed: 0x" + "f" * 6000, "at most 18 digits"),
    "nineteen digits": ("recipe: x\nroot_seed: 1000000000000000000", "r.yaml:2:12"),
    "sexagesimal digits": ("root_seed: 1" + ":59" * 3000, ""),
    "octal": ("root_seed: 010", "got 010, which YAML reads as 8"),
    "sexagesimal": ("root_seed: 1:30", "got 1:30, which YAML reads as 90"),
    "infinite": ("compare: {tau: .inf}", "must be finite"),
    "not a number": ("compare: {tau: .nan}", "must be finite"),
    "deep lists": ("recipe: " + "[" * 3000 + "]" * 3000, f"at most {MAX_DEPTH} deep"),
    "deep mappings": ("{a: " * 3000 + "}" * 3000, f"at most {MAX_DEPTH} deep"),
    "deep blocks": ("".join(" " * i + "-\n" for i in range(500)), f"at most {MAX_DEPTH} deep"),
    "many values": ("x: [" + "1, " * 50_000 + "]", "at most 20,000 values"),
    "a key twice": (
        "recipe: a\ncompare: {tau: 0.5}\ncompare: {}\n",
        "r.yaml:3:1: the file must be YAML; key 'compare'",
    ),
    "a bad date": ("recipe: 2001-99-99", "'2001-99-99' is no value that can be read"),
    "a bad time": ("recipe: 2001-12-14t99:99:43.10-05:00", "no value that can be read"),
    "a bad number": ("root_seed: 0b", ""),
    "bad base64": ("recipe: !!binary 'é'", "base64"),
    "a tag": ("recipe: !!python/object/apply:os.system [echo]", "could not determine a constructor"),
    "an integer of nothing": ("root_seed: !!int ''", "no value that can be read"),
    "a number of nothing": ("root_seed: !!float ''", "no value that can be read"),
    "a truth of nothing": ("compile: !!bool ''", "no value that can be read"),
    "a date of nothing": ("recipe: !!timestamp ''", "no value that can be read"),
    "a tag on a text": ("root_seed: !!int abc", "no value that can be read"),
    "a null character": ("recipe: a\x00b", "character U+0000 is not allowed in it (position 9)"),
    "an escaped null character": ('recipe: "a\\0b"', "control characters; got U+0000"),
    "an escape sequence": ('description: "\\e[2J"', "control characters; got U+001B"),
    "half a surrogate": ('description: "\\uD800"', "control characters; got U+D800"),
    "an unhashable key": ("? [a, b]\n: 1", "unhashable key"),
    "a merge of nothing": ("<<: [1, 2]", "expected a mapping for merging"),
    "two documents": ("recipe: a\n---\nrecipe: b\n", "found another document"),
    "nothing": ("", "must be keys with values, such as `recipe: mine`; got nothing"),
    "a list": ("[1]", "got a list"),
    "a word": ("mine", "got the value 'mine'"),
    "an open quote": ('recipe: "a', "r.yaml:1:11"),
    "tabs": ("recipe:\n\ta: 1", "r.yaml:2:1"),
}
BYTES = {
    "Latin-1": ("recipe: ä".encode("latin-1"), "encoding of {} must be UTF-8; got byte 0xe4 in line 1"),
    "UTF-16": ("recipe: ä".encode("utf-16"), "got UTF-16"),
    "UTF-16, big end first": ("\ufeffrecipe: ä".encode("utf-16-be"), "got UTF-16"),
    "binary": (bytes(range(256)), "must be UTF-8; got byte 0x80 in line 2"),
    "an archive": (b"PK\x03\x04\xff\xfe", "got a zip archive"),
    "too large": (b"#" * (MAX_BYTES + 1), "must be at most 1,000,000 bytes"),
}  # fmt: skip


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_understood_is_refused_with_its_place(tmp_path, name):
    text, words = REFUSED[name]
    (tmp_path / "r.yaml").write_text(text, encoding="utf-8", newline="")
    with pytest.raises(InputError) as caught:
        load_recipe("r.yaml")
    assert words in str(caught.value)
    assert len(str(caught.value)) < 2500


@pytest.mark.parametrize("name", BYTES)
def test_other_encodings_are_refused(tmp_path, name):
    data, words = BYTES[name]
    (tmp_path / "r.yaml").write_bytes(data)
    with pytest.raises(InputError) as caught:
        load_recipe("r.yaml")
    assert words.format("r.yaml") in str(caught.value)


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("compare.tau=[", "--set compare.tau:1:2: the file must be YAML"),
        ("compare.tau=2001-99-99", "no value that can be"),
        ("compare.tau=!!python/x 1", "constructor"),
        ("root_seed=" + "9" * 5000, "18 digits"),
        ("root_seed=010", "reads as 8"),
        ("compare.tau=&a [*a]", "alias"),
        ("comparisons.².id=x", "does not exist"),
        ("comparisons.9" + "9" * 5000 + "=x", "not exist"),
        ("compare={tau: 1, tau: 0.5}", "must stand once"),
        ("models.n_untrained=1000000000", "must be at most 100"),
        ("models.model_seeds=" + str(list(range(300))), "at most 200 dictionaries; got 300"),
        ("comparisons.0.sae_seeds=" + str(list(range(150))), "at most 200 dictionaries; got 300"),
        (
            "sweeps=[{id: s, hook_point: h, sae: {}, vary: {k: %s, d_sae: %s}}]" % (2 * (list(range(1, 60)),)),
            "at most 500 points",
        ),
    ],
)
def test_values_of_the_command_line_are_held_to_the_same(override, words):
    with pytest.raises(InputError) as caught:
        load_recipe("tiny", [override])
    assert words in str(caught.value)


def test_an_override_changes_one_place_even_where_two_share_an_anchor(tmp_path):
    data = yaml.safe_load(yaml.safe_dump(load_recipe("tiny").resolved()))
    comparison = data["comparisons"][0]
    data["comparisons"] = [comparison, {**comparison, "id": "second"}]  # one `sae`, of which the dumper makes an alias
    (tmp_path / "r.yaml").write_text(yaml.safe_dump(data))
    assert "*id001" in (tmp_path / "r.yaml").read_text()
    one, two = load_recipe("r.yaml", ["comparisons.0.sae.k=3"]).comparisons
    assert (one.sae.k, two.sae.k) == (3, 8)


def test_a_byte_order_mark_windows_lines_anchors_and_merges_are_read(tmp_path):
    text = "\ufeffrecipe: tiny\r\n" + "\r\n".join(
        (shipped("tiny")).splitlines()[1:]
    ) + "\r\nevidence: &e {n_top: 3}\r\n"  # fmt: skip
    (tmp_path / "r.yaml").write_bytes(text.encode())
    assert load_recipe("r.yaml").evidence.n_top == 3
    assert parsed("a: &a {x: 1}\nb: {<<: *a, x: 2, y: 0x10, z: 1_000}", "r") == {
        "a": {"x": 1}, "b": {"x": 2, "y": 16, "z": 1000},
    }  # fmt: skip


def shipped(name):
    from importlib import resources

    return resources.files("pipelines").joinpath("recipes", f"{name}.yaml").read_text(encoding="utf-8")


FRAGMENTS = [
    "&a",
    "*a",
    "<<: *a",
    "[",
    "]",
    "{",
    "}",
    ": ",
    "- ",
    "\n",
    "  ",
    "\t",
    "!!int ",
    "!!binary ",
    "!!set ",
    "!!omap ",
    "? ",
    "|\n",
    ">\n",
    "'",
    '"',
    "\\",
    "%",
    "@",
    "`",
    "---\n",
    "...\n",
    "2001-13-45",
    "1:99",
    "0o9",
    "0x",
    "1e999",
    ".inf",
    "~",
    "yes",
    "é",
    "\x00",
    "\ud800".encode("utf-8", "surrogatepass").decode("latin-1"),
    "9" * 40,
    "#",
    "null",
    "=",
]


SHIPPED = [shipped(name).encode() for name in sorted(shipped_recipes())]


@st.composite
def malformed(draw) -> bytes:
    """A shipped recipe in which some bytes are replaced, cut, doubled, or have a piece of YAML in them."""
    data = draw(st.sampled_from(SHIPPED))
    for _ in range(draw(st.integers(1, 6))):
        at = draw(st.integers(0, len(data)))
        upto = min(len(data), at + draw(st.integers(0, 30)))
        new = draw(
            st.one_of(st.sampled_from(FRAGMENTS).map(lambda t: t.encode("utf-8", "replace")), st.binary(max_size=8))
        )
        data = draw(
            st.sampled_from([data[:at] + new + data[upto:], data[:at] + new + data[at:], data[:upto] + data[at:]])
        )
    return data


def load(data: bytes, folder) -> bool:
    """Whether these bytes are a legal recipe; anything but a sentence is an error."""
    (folder / "r.yaml").write_bytes(data)
    try:
        recipe = load_recipe("r.yaml")
    except InputError as error:
        assert "Traceback" not in str(error)  # noqa: PT017
        return False
    assert type(recipe).model_validate(recipe.resolved()) == recipe
    return True


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("recipes")


@settings(max_examples=200, deadline=5000)
@given(data=malformed())
def test_two_hundred_malformed_recipes_are_refused_in_sentences(place, data):
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        load(data, place)


@pytest.mark.slow
@settings(max_examples=10_000, deadline=5000)
@given(data=malformed())
def test_ten_thousand_malformed_recipes_are_refused_in_sentences(place, data):
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        load(data, place)
