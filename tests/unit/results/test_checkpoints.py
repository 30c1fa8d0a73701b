"""Checkpoints of other people: opened as they were saved by installed code alone, or refused in words."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_models import D_VOCAB, save_tokenizer

from pipelines.steps.model_steps import check_finite
from results.public import checkpoints, hub
from results.public.ahead import check_model
from results.public.checkpoints import check_architecture, check_positions, text_config
from results.public.errors import HubError
from results.public.hub import check_weights, describe_pretrained, load_pretrained
from results.public.no_processes import ProcessRefused, no_processes
from universality.errors import InputError
from universality.transformers.harvest import harvest

TOKENS = np.random.default_rng(0).integers(1, D_VOCAB, (3, 16)).astype(np.int32)
HOOK = "blocks.1.hook_resid_post"


@pytest.fixture(scope="module")
def llama(tmp_path_factory):
    from transformers import LlamaConfig, LlamaForCausalLM

    folder = tmp_path_factory.mktemp("llama")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        config = LlamaConfig(
            vocab_size=D_VOCAB, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
            intermediate_size=64, max_position_embeddings=64, bos_token_id=0, eos_token_id=0,
        )  # fmt: skip
        model = LlamaForCausalLM(config)
        for parameter in model.parameters():
            torch.nn.init.normal_(parameter, std=0.3)
    model.save_pretrained(folder)
    save_tokenizer(folder)
    return folder


def changed(folder, target, change):
    """A copy of a model's folder with other tensors."""
    shutil.copytree(folder, target, dirs_exist_ok=True)
    save_file(change(load_file(folder / "model.safetensors")), target / "model.safetensors", metadata={"format": "pt"})
    return target


def read(folder):
    (batch,) = harvest(load_pretrained(str(folder)), TOKENS, [HOOK])
    return batch[HOOK]


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "_orig_mod.module."])
def test_prefixes_of_wrappers_are_read_without_them(llama, tmp_path, prefix):
    folder = changed(llama, tmp_path, lambda tensors: {prefix + name: value for name, value in tensors.items()})
    np.testing.assert_array_equal(read(folder), read(llama))


def without(name):
    return lambda tensors: {key: value for key, value in tensors.items() if key != name}


MISFITS = [
    (without("model.layers.1.mlp.up_proj.weight"), r"1 missing \(model.layers.1.mlp.up_proj.weight\)"),
    (without("lm_head.weight"), r"1 missing \(lm_head.weight\)"),
    (lambda tensors: {**tensors, "v_head.weight": torch.ones(1, 32)}, r"1 left over \(v_head.weight\)"),
    (lambda tensors: {f"net.{name}": value for name, value in tensors.items()}, "21 missing .*; 21 left over"),
    (lambda tensors: {**tensors, "model.norm.weight": torch.ones(31)}, r"1 of another shape \(model.norm.weight\)"),
    (lambda tensors: {**tensors, "model.norm.weight": torch.full((32,), torch.nan)}, "NaN or infinity in"),
]


@pytest.mark.parametrize(("change", "words"), MISFITS)
def test_weights_that_do_not_fit_are_refused(llama, tmp_path, change, words):
    folder = str(changed(llama, tmp_path, change))
    for act in (load_pretrained, check_weights):
        with pytest.raises(HubError, match=words):
            act(folder)


def test_tied_weights_and_old_buffers_are_no_misfits(tmp_path):
    from transformers import GPT2Config, GPT2LMHeadModel

    GPT2LMHeadModel(
        GPT2Config(n_layer=1, n_embd=12, n_head=3, vocab_size=D_VOCAB, n_positions=16, bos_token_id=0, eos_token_id=0)
    ).save_pretrained(tmp_path / "new")
    save_tokenizer(tmp_path / "new")
    assert "lm_head.weight" not in load_file(tmp_path / "new/model.safetensors")
    old = {"h.0.attn.bias": torch.ones(1, 1, 16, 16), "h.0.attn.masked_bias": torch.tensor(-1e4)}

    def change(tensors):
        return {name.removeprefix("transformer."): value for name, value in tensors.items()} | old

    a, b = (load_pretrained(str(f)) for f in (tmp_path / "new", changed(tmp_path / "new", tmp_path / "old", change)))
    for name, value in a.state_dict().items():
        torch.testing.assert_close(value, b.state_dict()[name], rtol=0, atol=0)


NO_DECODERS = [
    ({"architectures": ["Gemma3ForConditionalGeneration"], "vision_config": {"hidden_size": 4}}, "vision_config"),
    ({"architectures": ["Gemma3nForConditionalGeneration"], "audio_config": {"hidden_size": 4}}, "audio_config"),
    ({"architectures": ["Qwen3VLForConditionalGeneration"]}, "predicts the next token"),
    ({"architectures": ["BertForMaskedLM"]}, "predicts the next token"),
    ({"architectures": ["LlamaForSequenceClassification"]}, "predicts the next token"),
    ({"architectures": ["MarianMTModel"], "is_encoder_decoder": True}, "predicts the next token"),
    ({"architectures": ["LlamaForCausalLM"], "quantization_config": {"quant_method": "gptq"}}, "quantised by gptq"),
    ({"architectures": ["EvilForCausalLM"], "model_type": "evil", "auto_map": {"AutoConfig": "e.E"}}, "its own"),
]


@pytest.mark.parametrize(("config", "words"), NO_DECODERS)
@pytest.mark.parametrize("act", [load_pretrained, describe_pretrained, lambda name: check_model(name, n_ctx=8)])
def test_what_is_no_decoder_of_text_is_refused_before_it_is_opened(tmp_path, monkeypatch, config, words, act):
    monkeypatch.setattr(subprocess, "Popen", pytest.fail)
    (tmp_path / "config.json").write_text(json.dumps({"vocab_size": 9, **config}), "utf-8-sig")
    with pytest.raises(HubError, match=words):
        act(str(tmp_path))


def test_code_of_a_repository_is_never_run(tmp_path):
    (tmp_path / "evil.py").write_text("raise SystemExit('run')")
    config = {"architectures": ["EvilForCausalLM"], "model_type": "evil", "vocab_size": 9,
              "auto_map": {"AutoConfig": "evil.Config", "AutoModelForCausalLM": "evil.Model"}}  # fmt: skip
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(HubError, match="opened by installed code alone"):
        load_pretrained(str(tmp_path))


def test_an_architecture_that_the_bridge_opens_as_images_is_refused(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"architectures": ["ViTModel"], "model_type": "vit"}))
    with pytest.raises(HubError, match="predicts the next token; got ViTModel"):
        load_pretrained(str(tmp_path))


def test_no_process_is_started_while_a_model_is_opened(tmp_path, monkeypatch):
    """A multimodal model makes TransformerLens install torchvision: here with the gate before it taken away."""
    from transformer_lens.model_bridge.sources.transformers import helpers

    started = []

    class Loader:
        @staticmethod
        def boot_transformers(*args, **options):
            monkeypatch.setitem(sys.modules, "torchvision", None)
            started.append(helpers._ensure_torchvision())
            return torch.nn.Identity()

    monkeypatch.setattr("transformer_lens.model_bridge.TransformerBridge", Loader)
    for name in ("check_architecture", "read_config", "_check_known"):
        monkeypatch.setattr(hub, name, lambda *args: None)
    monkeypatch.setattr(subprocess, "_fork_exec", lambda *args: pytest.fail("started"))
    monkeypatch.setattr(subprocess, "_USE_POSIX_SPAWN", False)
    load_pretrained(str(tmp_path))
    assert started == [False]


@pytest.mark.parametrize(
    "start",
    [
        lambda: subprocess.run([sys.executable, "-c", ""], check=True),
        lambda: os.system("true"),
        lambda: os.posix_spawn("/bin/true", ["true"], {}),
        lambda: os.execv("/bin/true", ["true"]),
    ],
)
def test_inside_the_guard_every_way_to_start_a_process_is_refused(start):
    with no_processes("a model"), pytest.raises(ProcessRefused, match="opening of a model must be without a process"):
        start()
    with pytest.raises(PermissionError), no_processes("outer"), no_processes("inner"):
        start()
    assert subprocess.run([sys.executable, "-c", ""], check=True).returncode == 0, "outside nothing is forbidden"


def test_a_stand_in_for_weights_is_refused_when_it_is_pinned(llama, tmp_path):
    whole = (llama / "model.safetensors").read_bytes()
    for content, words in (
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 7\n", "a git-lfs pointer to it"),
        (b"<!DOCTYPE html><html><head>", "a web page in its place"),
        (whole[:-5], "where its head says"),
        (whole[:100], "fewer than its head says"),
        (b"", "an empty file"),
    ):
        shutil.copytree(llama, tmp_path, dirs_exist_ok=True)
        (tmp_path / "model.safetensors").write_bytes(content)
        with pytest.raises(HubError, match=f"content of .*model.safetensors must be .*{words}"):
            describe_pretrained(str(tmp_path))


def test_an_index_names_files_of_its_own_folder(llama, tmp_path):
    shutil.copy(llama / "config.json", tmp_path)
    for weight_map in ({"a": "../llama/model.safetensors"}, {"a": 3}, {}, None, ["x"]):
        (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))
        with pytest.raises(HubError, match=r"weight_map of .* must be a file of the same folder"):
            describe_pretrained(str(tmp_path))


def test_the_vocabulary_stands_under_text_config_where_there_is_one():
    assert text_config({"text_config": {"vocab_size": 448}, "vocab_size": 1})["vocab_size"] == 448
    assert text_config({"vocab_size": 448})["vocab_size"] == 448


def test_contexts_are_no_longer_than_the_positions(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "gpt2", "n_positions": 24}))
    save_file({}, tmp_path / "model.safetensors")
    assert check_model(str(tmp_path), n_ctx=24) == ()
    with pytest.raises(HubError, match=r"n_ctx of the recipe must be at most 24, the positions of .*; got 32"):
        check_model(str(tmp_path), n_ctx=32)
    rotary = {"model_type": "llama", "max_position_embeddings": 24}
    assert check_positions("m", rotary, 24) is None
    assert "longer than the 24 positions" in str(check_positions("m", rotary, 32))
    opt = {"text_config": {"model_type": "opt", "max_position_embeddings": 24}}
    with pytest.raises(HubError, match="at most 24"):
        check_positions("m", opt, 32)


def test_the_gate_lets_decoders_through():
    for name in ("LlamaForCausalLM", "GPT2LMHeadModel", "BloomModel", "GPTNeoXForCausalLM", "OPTForCausalLM"):
        check_architecture("m", {"architectures": [name], "auto_map": {"AutoConfig": "x.y"}, "model_type": "llama"})
    assert checkpoints.positions({"max_position_embeddings": True}) == (None, False)


def test_activations_that_overflow_are_refused_by_hook_point():
    values = np.ones((2, 3, 4), np.float32)
    check_finite(values, HOOK, "activations/m0/eval")
    values[1, 2] = np.nan
    with pytest.raises(InputError, match=r"eval must be finite; got 4 NaN .* at blocks\.1\.hook_resid_post"):
        check_finite(values, HOOK, "activations/m0/eval")
