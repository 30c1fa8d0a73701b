"""Dictionaries from elsewhere in a recipe: refused for what they are, doubted for what they say."""

from __future__ import annotations

import json

import pytest
import torch
from safetensors.torch import save_file

from pipelines.hub_dictionaries import sae_source
from pipelines.loaded_dictionaries import check_dictionary, hook_point_doubts, model_doubts
from pipelines.plan import build_plan
from pipelines.recipe import load_recipe
from universality.errors import InputError
from universality.sae import SparseAutoencoder
from universality.sae.activations import ReLU


def dictionary(**changes):
    weights = torch.linspace(-1, 1, 12).reshape(4, 3)
    four = {"W_enc": weights, "b_enc": torch.zeros(3), "W_dec": weights.T.contiguous(), "b_dec": torch.ones(4)}
    return SparseAutoencoder(**{**four, "activation": ReLU(), **changes})


@pytest.mark.parametrize(
    "changes",
    [
        {"metadata": {"transcoder": True, "hook_point": "a", "hook_point_out": "b"}},
        {"W_skip": torch.ones(4, 4)},
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
    override = [f"comparisons.0.saes=[{{model: m0, path: {tmp_path}}}]"]
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
        build_plan(load_recipe("tiny", [f"comparisons.0.saes=[{{model: m0, path: {tmp_path}, part: {part}}}]"]))
        for part in (0, 1)
    ]
    assert planned[1]["sae/main/m0"].params["part"] == 1
    assert planned[0].keys()["sae/main/m0"] != planned[1].keys()["sae/main/m0"]
    assert sae_source(planned[1]["sae/main/m0"].params).endswith("part 1")
    with pytest.raises(InputError, match=r"one of the 2 parts of this crosscoder.*Add part to its entry"):
        build_plan(load_recipe("tiny", [f"comparisons.0.saes=[{{model: m0, path: {tmp_path}}}]"]))


def test_the_plan_finds_home(tmp_path, monkeypatch):
    from universality.sae.formats import save_sae

    monkeypatch.setenv("HOME", str(tmp_path))
    save_sae(dictionary(), tmp_path / "saes/x")
    plan = build_plan(load_recipe("tiny", ["comparisons.0.saes=[{model: m0, path: ~/saes/x}]"]))
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
