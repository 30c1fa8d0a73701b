"""Dictionaries from elsewhere in a recipe: refused for what they are, doubted for what they say."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from pipelines.cli.planning import plan_document
from pipelines.engine.plan import Node
from pipelines.hub_dictionaries import sae_source
from pipelines.loaded_dictionaries import (
    ReadModel,
    as_trained,
    check_dictionary,
    hook_point_doubts,
    length_doubts,
    model_doubts,
)
from pipelines.plan import build_plan
from pipelines.recipe import load_recipe
from universality.errors import InputError
from universality.sae import SparseAutoencoder, load_sae, save_sae
from universality.sae.activations import ReLU

#: Of models whose neurons are as wide as these dictionaries.
FOUR = "models.architecture.d_mlp=4"


def dictionary(**changes):
    weights = torch.linspace(-1, 1, 12).reshape(4, 3)
    four = {"W_enc": weights, "b_enc": torch.zeros(3), "W_dec": weights.T.contiguous(), "b_dec": torch.ones(4)}
    return SparseAutoencoder(**{**four, "activation": ReLU(), **changes})


@pytest.mark.parametrize(
    "changes",
    [
        {"metadata": {"transcoder": True, "hook_point": "a", "hook_point_out": "b"}},
        {"W_skip": torch.ones(4, 4)},
        {"metadata": {"hook_head_index": 0}},
        {"W_dec": torch.ones(3, 5), "b_dec": torch.ones(5), "subtract_b_dec": False},
    ],
)
def test_what_writes_elsewhere_is_refused_at_any_width(changes):
    check_dictionary(dictionary(), "here")
    with pytest.raises(InputError, match="dictionary of here must be one that writes where it reads"):
        check_dictionary(dictionary(**changes), "here")


def test_a_plan_reads_its_dictionaries(tmp_path):
    """A sparsify transcoder of equal widths, refused before anything is computed; home is found."""
    (tmp_path / "cfg.json").write_text(json.dumps({"d_in": 4, "k": 2, "skip_connection": True, "transcode": True}))
    W = torch.ones(3, 4)
    tensors = {"encoder.weight": W, "encoder.bias": torch.ones(3), "W_dec": W + 1, "b_dec": torch.ones(4)}
    save_file({**tensors, "W_skip": torch.ones(4, 4)}, tmp_path / "sae.safetensors")
    override = [FOUR, f"comparisons.0.saes=[{{model: m0, path: {tmp_path}}}]"]
    with pytest.raises(InputError, match="transcoders cannot be compared here"):
        build_plan(load_recipe("tiny", override))
    (tmp_path / "cfg.json").write_text(json.dumps({"d_in": 4, "k": 2}))
    save_file(tensors, tmp_path / "sae.safetensors")
    build_plan(load_recipe("tiny", override))


def test_a_crosscoder_takes_the_place_of_one_model_by_its_part(tmp_path):
    torch.save(
        {"W_enc": torch.ones(2, 4, 3), "b_enc": torch.ones(3), "W_dec": torch.ones(3, 2, 4), "b_dec": torch.ones(2, 4)},
        tmp_path / "cc_weights.pt",
    )
    (tmp_path / "cfg.json").write_text("{}")
    planned = [
        build_plan(load_recipe("tiny", [FOUR, f"comparisons.0.saes=[{{model: m0, path: {tmp_path}, part: {part}}}]"]))
        for part in (0, 1)
    ]
    assert planned[1]["sae/main/m0"].params["part"] == 1
    assert planned[0].keys()["sae/main/m0"] != planned[1].keys()["sae/main/m0"]
    assert sae_source(planned[1]["sae/main/m0"].params).endswith("part 1")
    with pytest.raises(InputError, match=r"one of the 2 parts of this crosscoder.*Add part to its entry"):
        build_plan(load_recipe("tiny", [FOUR, f"comparisons.0.saes=[{{model: m0, path: {tmp_path}}}]"]))


def test_the_plan_finds_home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    save_sae(dictionary(), tmp_path / "saes/x")
    plan = build_plan(load_recipe("tiny", [FOUR, "comparisons.0.saes=[{model: m0, path: ~/saes/x}]"]))
    assert set(plan["sae/main/m0"].params["files"]) == {"sae.json", "sae.safetensors"}


@pytest.mark.parametrize(
    ("said", "here", "is_doubted"),
    [
        ("blocks.0.hook_resid_post", "blocks.1.hook_resid_pre", False),
        ("blocks.0.hook_mlp_out", "blocks.0.hook_mlp_out", False),
        (None, "blocks.0.hook_mlp_out", False),
        ("blocks.0.hook_resid_post", "blocks.0.hook_resid_pre", True),
        ("blocks.0.hook_mlp_out", "blocks.1.hook_mlp_out", True),
    ],
)
def test_the_hook_point_of_the_file_is_compared(said, here, is_doubted):
    doubts = hook_point_doubts({"hook_point": said}, "s", here)
    assert doubts == ([f"s says it reads {said}; here it reads {here}."] if is_doubted else [])
    assert "never estimated" in hook_point_doubts({"warning": "never estimated"}, "s", here)[0]


@pytest.mark.parametrize(
    ("said", "here", "is_doubted"),
    [
        ("gpt2-small", "openai-community/gpt2", False),
        ("EleutherAI/pythia-70m-deduped", "/models/pythia-70m-deduped/", False),
        ("gpt2", "EleutherAI/pythia-70m", True),
        ("gpt2", None, True),
        (None, None, False),
    ],
)
def test_the_model_of_the_file_is_compared(said, here, is_doubted):
    assert bool(model_doubts({"model": said}, "s", here)) == is_doubted


LAYER_NORM = ReadModel(centres=True, start="<|endoftext|>", starts_as_model=True)
STREAM, Z = "blocks.0.hook_resid_post", "blocks.0.attn.hook_z"


def opened_with(options, **more):
    return dictionary(metadata={"model_from_pretrained_kwargs": options, **more})


def test_centred_weights_are_honoured_where_they_take_the_mean_off():
    """As TransformerLens does it: what every weight writes to the stream loses its mean, where norms take it off."""
    rng = np.random.default_rng(0)
    W_out, x = rng.standard_normal((7, 4)), rng.standard_normal((9, 7))
    row, centred_row = x @ W_out, x @ (W_out - W_out.mean(axis=1, keepdims=True))
    plain = opened_with({"center_writing_weights": True})
    here, doubts = as_trained(plain, "s", STREAM, LAYER_NORM)
    assert not doubts
    np.testing.assert_allclose(here.encode(row), plain.encode(centred_row), rtol=1e-4, atol=1e-5)
    mean = row.mean(axis=1, keepdims=True)
    np.testing.assert_allclose(here.reconstruct(row), plain.reconstruct(centred_row) + mean, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(here.restore(here.decode(here.encode(row)), row), here.reconstruct(row), rtol=1e-5)
    rms = replace(LAYER_NORM, centres=False)
    for hook_point, model in ((STREAM, rms), ("blocks.0.mlp.hook_post", LAYER_NORM)):
        assert as_trained(plain, "s", hook_point, model)[0].normalisation == "none"
    assert (
        as_trained(opened_with({"center_writing_weights": False}), "s", STREAM, LAYER_NORM)[0].normalisation == "none"
    )
    normed = replace(plain, normalisation="layer_norm")
    assert as_trained(normed, "s", STREAM, LAYER_NORM)[0].normalisation == "layer_norm"
    with pytest.raises(InputError, match="false beside normalisation constant_norm"):
        as_trained(replace(plain, normalisation="constant_norm"), "s", STREAM, LAYER_NORM)


@pytest.mark.parametrize(
    ("option", "hook_point"),
    [
        ("fold_ln", "blocks.0.ln1.hook_normalized"), ("fold_ln", "blocks.0.ln2.hook_out"),
        ("fold_value_biases", Z), ("refactor_factored_attn_matrices", "blocks.0.attn.hook_q"),
    ],
)  # fmt: skip
def test_what_would_need_the_models_weights_is_refused_by_name(option, hook_point):
    with pytest.raises(
        InputError, match=rf"{option} of model_from_pretrained_kwargs of s must be false for {hook_point}"
    ):
        as_trained(opened_with({option: True}), "s", hook_point, LAYER_NORM)
    assert as_trained(opened_with({option: True, "dtype": "bfloat16"}), "s", STREAM, LAYER_NORM)[1] == []


@pytest.mark.parametrize(
    ("said", "model", "words"),
    [
        ({"model_from_pretrained_kwargs": {"first_n_layers": 4}}, LAYER_NORM, "opened with first_n_layers"),
        ({"opening_unsaid": True}, LAYER_NORM, "does not say how its model was opened"),
        ({"prepend_bos": True}, replace(LAYER_NORM, starts_as_model=False), "prepend_bos"),
        ({"prepend_bos": False}, LAYER_NORM, r"prepend_bos false.*endoftext"),
        ({"prepend_bos": True}, LAYER_NORM, None),
        ({"model_from_pretrained_kwargs": ["x"]}, LAYER_NORM, None),
    ],
)
def test_what_is_not_honoured_is_said(said, model, words):
    doubts = as_trained(dictionary(metadata=said), "s", STREAM, model)[1]
    assert len(doubts) == (words is not None)
    assert words is None or re.search(words, doubts[0])


def test_longer_contexts_than_in_training_are_said():
    assert "contexts of 64 tokens; here they have 128" in length_doubts({"context_size": 64}, "s", 128)[0]
    assert length_doubts({"context_size": 128}, "s", 128) == length_doubts({}, "s", 128) == []


def test_saelens_says_how_its_model_was_opened(tmp_path):
    """Both generations of its config, and of the second what no version wrote."""
    shapes = {"W_enc": (4, 3), "b_enc": (3,), "W_dec": (3, 4), "b_dec": (4,)}
    save_file({name: torch.ones(shape) for name, shape in shapes.items()}, tmp_path / "sae_weights.safetensors")
    said = {"model_from_pretrained_kwargs": {"center_writing_weights": True}, "prepend_bos": True, "context_size": 64}
    for config, is_unsaid in (
        ({"metadata": {"sae_lens_version": "6.3.0", **said}}, None), ({"hook_name": STREAM, **said}, False),
    ):  # fmt: skip
        (tmp_path / "cfg.json").write_text(json.dumps({"d_in": 4, "d_sae": 3, **config}))
        metadata = load_sae(tmp_path).metadata
        assert {name: metadata[name] for name in said} == said
        assert metadata.get("opening_unsaid") == is_unsaid
    (tmp_path / "cfg.json").write_text(json.dumps({"d_in": 4, "d_sae": 3}))
    assert load_sae(tmp_path).metadata["opening_unsaid"]


def test_a_plan_says_what_is_doubted_of_its_dictionaries(tmp_path):
    save_sae(dictionary(metadata={"warning": "never estimated", "hook_point": STREAM}), tmp_path / "x")
    plan = build_plan(load_recipe("tiny", [FOUR, f"comparisons.0.saes=[{{model: m0, path: {tmp_path / 'x'}}}]"]))
    document = plan_document(plan, {node.id: ("to do", "") for node in plan}, 1)
    messages = [warning["message"] for warning in document["warnings"] if warning["node"] == "sae/main/m0"]
    assert [any(words in message for message in messages) for words in ("never estimated", f"it reads {STREAM}")] == [
        True,
        True,
    ]
    node = plan["sae/main/m0"]
    assert Node.from_dict(json.loads(json.dumps(node.to_dict()))) == node
