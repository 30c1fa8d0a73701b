"""The border of checkpoints: any config.json is judged in a sentence, any safetensors file is whole or refused."""

from __future__ import annotations

import json

import numpy as np
import pytest
from borders import at_length, outcome, quick
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load_file, save

from results.public.checkpoints import check_architecture, check_positions, positions, text_config
from results.public.hub import _shards
from universality.downloads import check_download

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
NAMES = st.sampled_from(
    ["LlamaForCausalLM", "GPT2LMHeadModel", "BloomModel", "BertForMaskedLM", "Gemma3ForConditionalGeneration",
     "LlamaForSequenceClassification", "T5ForConditionalGeneration", "Wav2Vec2ForCTC"]
)  # fmt: skip
DECODERS = {"LlamaForCausalLM", "GPT2LMHeadModel", "BloomModel"}
CONFIGS = st.fixed_dictionaries(
    {},
    optional={
        "architectures": st.lists(NAMES, max_size=2) | ANYTHING,
        "model_type": st.sampled_from(["llama", "gpt2", "evil"]) | ANYTHING,
        "text_config": ANYTHING,
        "vision_config": ANYTHING,
        "quantization_config": ANYTHING,
        "auto_map": ANYTHING,
        "is_encoder_decoder": st.booleans() | ANYTHING,
        "n_positions": st.integers(-5, 100) | ANYTHING,
        "max_position_embeddings": ANYTHING,
    },
)


def check_config(config):
    _, sentence = outcome(lambda: check_architecture("m", config))
    names = config.get("architectures")
    usual = NAMES.elements  # pyright: ignore[reportAttributeAccessIssue]
    if sentence is None and isinstance(names, list) and names and names[0] in usual:
        assert names[0] in DECODERS
        assert not config.get("vision_config")
        assert not config.get("quantization_config")
        assert not (config.get("auto_map") and config.get("model_type") not in ("llama", "gpt2"))
    text_config(config).get("vocab_size")
    most, _ = positions(config)
    assert most is None or most > 0
    said, refused = outcome(lambda: check_positions("m", config, 60))
    assert (most is None or most >= 60) == (said is None and refused is None)


@quick
@given(CONFIGS)
def test_every_config_is_judged(config):
    check_config(config)


@pytest.mark.slow
@at_length(3)
@given(CONFIGS)
def test_every_config_is_judged_at_length(config):
    check_config(config)


WHOLE = save({"a": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.ones(3, np.int64)}, {"format": "pt"})


@st.composite
def damaged(draw):
    content = bytearray(WHOLE)
    for _ in range(draw(st.integers(0, 3))):
        content[draw(st.integers(0, len(content) - 1))] = draw(st.integers(0, 255))
    return bytes(content[: draw(st.sampled_from([len(content), draw(st.integers(0, len(content)))]))]) + draw(
        st.binary(max_size=2)
    )


def check_file(folder, content):
    path = folder / "model.safetensors"
    path.write_bytes(content)
    _, sentence = outcome(lambda: check_download(path))
    if sentence is None:
        assert len(content) == len(WHOLE), "a file that ends early was let through"
    else:
        assert "model.safetensors" in sentence
        if content == WHOLE:
            load_file(path)
            pytest.fail("a whole file was refused")


@quick
@given(damaged())
def test_files_of_weights_are_whole_or_refused(tmp_path_factory, content):
    check_file(tmp_path_factory.getbasetemp(), content)


@pytest.mark.slow
@at_length(3)
@given(damaged())
def test_files_of_weights_are_whole_or_refused_at_length(tmp_path_factory, content):
    check_file(tmp_path_factory.getbasetemp(), content)


SHARDS = st.text(max_size=8) | st.sampled_from(
    ["model-1.safetensors", "model-2.safetensors", "../x", "/etc/passwd", "a/b", "..", ".", "", "\0", "C:\\x", "~/x"]
)
INDEXES = st.fixed_dictionaries({}, optional={"weight_map": ANYTHING | st.dictionaries(st.text(max_size=4), SHARDS)})
DAMAGE = st.lists(st.tuples(st.floats(0, 0.999), st.integers(0, 255)), max_size=3)


def check_index(folder, content, damage):
    path = folder / "model.safetensors.index.json"
    data = bytearray(json.dumps(content).encode())
    for place, byte in damage:
        data[int(place * len(data))] = byte
    path.write_bytes(data)
    names, sentence = outcome(lambda: _shards(path))
    if sentence is not None:
        assert path.name in sentence
        return
    content = json.loads(data)
    assert names
    assert set(names) == set(content["weight_map"].values())
    for name in names:
        assert (folder / name).parent == folder, name
        assert name not in (".", "..")


@quick
@given(INDEXES | ANYTHING, DAMAGE)
def test_an_index_names_plain_files_or_is_refused(tmp_path_factory, content, damage):
    check_index(tmp_path_factory.getbasetemp(), content, damage)


@pytest.mark.slow
@at_length(3)
@given(INDEXES | ANYTHING, DAMAGE)
def test_an_index_names_plain_files_or_is_refused_at_length(tmp_path_factory, content, damage):
    check_index(tmp_path_factory.getbasetemp(), content, damage)
