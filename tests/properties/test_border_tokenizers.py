"""The border of tokenizers: any tokenizer.json gives the same tokens every time, or one sentence."""

from __future__ import annotations

import json

import pytest
from borders import at_length, outcome, quick
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from pipelines.tokens.tokenizer import bos_id, choose_tokenizer
from pipelines.tokens.tokenizer_config import TokenizerFile
from pipelines.tokens.vocabulary import vocabulary_table
from universality.transformers.tokenizer import load_tokenizer

ANYTHING = st.none() | st.booleans() | st.integers(-2, 400) | st.floats(0, 1) | st.text(max_size=3) | st.just([])


def whole():
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: number for number, token in enumerate(["<s>", *alphabet, "th", "the"])}
    tokenizer = Tokenizer(models.BPE(vocabulary, [("t", "h"), ("th", "e")]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(["<s>"])
    return tokenizer.to_str()


WHOLE = whole()


def places(node, path=()):
    """Every place of a JSON value that holds a single value."""
    if isinstance(node, dict) and len(node) < 50:
        return [place for key, value in node.items() for place in places(value, (*path, key))] + [(*path,)]
    if isinstance(node, list):
        return [place for number, value in enumerate(node[:3]) for place in places(value, (*path, number))]
    return [path]


PLACES = [place for place in places(json.loads(WHOLE)) if place]


@st.composite
def damaged(draw):
    settings = json.loads(WHOLE)
    for _ in range(draw(st.integers(0, 2))):
        *parents, last = draw(st.sampled_from(PLACES))
        node = settings
        for key in parents:
            inside = key in node if isinstance(node, dict) else isinstance(key, int) and key < len(node)
            node = node[key] if inside and isinstance(node[key], (dict, list)) else {}
        if isinstance(node, dict):
            node[last] = draw(ANYTHING)
    if draw(st.booleans()):
        settings.setdefault("model", {})
        if isinstance(settings["model"], dict):
            settings["model"]["dropout"] = draw(st.none() | st.floats(0, 1) | ANYTHING)
    text = json.dumps(settings)
    return text[: draw(st.sampled_from([len(text), draw(st.integers(0, len(text)))]))]


def check(folder, text):
    path = folder / "tokenizer.json"
    path.write_text(text)
    chosen, sentence = outcome(lambda: choose_tokenizer(TokenizerFile(path=str(path)), []))
    if chosen is None:
        assert "tokenizer" in sentence
        assert text != WHOLE
        return
    tokenizer = load_tokenizer(chosen.content)
    encoded = [tokenizer.encode("the other thing", add_special_tokens=False).ids for _ in range(3)]
    assert encoded[0] == encoded[1] == encoded[2]
    table, _ = outcome(lambda: vocabulary_table(tokenizer))
    token, _ = outcome(lambda: bos_id(tokenizer))
    assert table is None or token is None or token < len(table)


@quick
@given(damaged())
def test_any_tokenizer_is_steady_or_refused(tmp_path_factory, text):
    check(tmp_path_factory.getbasetemp(), text)


@pytest.mark.slow
@at_length()
@given(damaged())
def test_any_tokenizer_is_steady_or_refused_at_length(tmp_path_factory, text):
    check(tmp_path_factory.getbasetemp(), text)
