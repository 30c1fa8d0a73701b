"""Dictionaries as laboratories and single projects publish them: files by their layouts, against formulas of here."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
import yaml
from safetensors.numpy import save_file

from universality.errors import InputError
from universality.sae import load_sae

D, F, K = 6, 15, 4
RNG = np.random.default_rng(5)


def array(*shape):
    return RNG.standard_normal(shape).astype(np.float32)


X = array(30, D) + 0.4
W_ENC, B_ENC, W_DEC, B_DEC = array(D, F), array(F), array(F, D), array(D)
#: Two models of a crosscoder: an axis of models in front.
TWO = {"x": array(30, 2, D) + 0.3, "W_enc": array(2, D, F), "W_dec": array(2, F, D), "b_dec": array(2, D)}


def relu(values):
    return np.maximum(values, 0)


def keep_top(pre, k):
    kept = np.zeros_like(pre)
    np.put_along_axis(kept, np.argsort(-pre, 1)[:, :k], np.take_along_axis(relu(pre), np.argsort(-pre, 1)[:, :k], 1), 1)
    return kept


def close(sae, acts, recon, x=X):
    assert (acts > 0).any()
    np.testing.assert_allclose(sae.encode(x), acts, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(sae.reconstruct(x), recon, rtol=1e-4, atol=1e-4)


def saved_pt(file, values):
    file.parent.mkdir(parents=True, exist_ok=True)
    torch.save({k: torch.from_numpy(v.copy()) if isinstance(v, np.ndarray) else v for k, v in values.items()}, file)
    return file


def saved(folder, config, tensors, names=("config.json", "sae_weights.safetensors")):
    (folder / names[1]).parent.mkdir(parents=True, exist_ok=True)
    (folder / names[0]).write_text(json.dumps(config))
    save_file({k: np.array(v, order="C") for k, v in tensors.items()}, folder / names[1])
    return folder


QWEN = {"W_enc": W_ENC.T, "W_dec": W_DEC.T, "b_enc": B_ENC, "b_dec": B_DEC}


def test_qwen_scope_has_its_k_from_the_name_of_its_repository(tmp_path):
    file = saved_pt(tmp_path / "models--Qwen--SAE-Res-Qwen3-1.7B-Base-W32K-L0_4" / "snapshots/ab/layer7.sae.pt", QWEN)
    acts = keep_top(X @ W_ENC + B_ENC, K)
    sae = load_sae(file)
    close(sae, acts, acts @ W_DEC + B_DEC)
    assert sae.metadata["source_format"] == "qwen_scope"
    assert (sae.metadata["model"], sae.metadata["hook_point"]) == ("Qwen/Qwen3-1.7B-Base", "blocks.7.hook_resid_post")
    assert list(sae.metadata["source_files"]) == ["layer7.sae.pt"]
    with pytest.raises(InputError, match="k stands nowhere else"):
        load_sae(saved_pt(tmp_path / "elsewhere/layer7.sae.pt", QWEN))
    with pytest.raises(InputError, match=r"Load one inside: layer7\.sae\.pt"):
        load_sae(file.parent)


def test_goodfire_subtracts_nothing(tmp_path):
    values = {
        "encoder_linear.weight": W_ENC.T, "encoder_linear.bias": B_ENC,
        "decoder_linear.weight": W_DEC.T, "decoder_linear.bias": B_DEC,
    }  # fmt: skip
    sae = load_sae(saved_pt(tmp_path / "Llama-3.1-8B-Instruct-SAE-l19.pth", values))
    acts = relu(X @ W_ENC + B_ENC)
    close(sae, acts, acts @ W_DEC + B_DEC)
    assert sae.metadata["model"] == "meta-llama/Llama-3.1-8B-Instruct"
    assert sae.metadata["hook_point"] == "blocks.19.hook_resid_post"
    with pytest.raises(InputError, match="nothing reads"):
        load_sae(saved_pt(tmp_path / "more.pth", {**values, "extra": B_DEC}))


OPENAI = {
    "pre_bias": B_DEC, "encoder.weight": W_ENC.T, "latent_bias": B_ENC, "decoder.weight": W_DEC.T,
    "stats_last_nonzero": np.arange(F), "latents_activation_frequency": array(F), "latents_mean_square": array(F),
}  # fmt: skip


def test_openai_normalises_where_its_activation_is_topk(tmp_path):
    topk = {**OPENAI, "activation": "TopK", "activation_state_dict": {"k": K, "postact_fn": "ReLU"}}
    sae = load_sae(saved_pt(tmp_path / "gpt2-small/resid_post_mlp_v5_32k/autoencoders/8.pt", topk))
    mean, std = X.mean(1, keepdims=True), X.std(1, ddof=1, keepdims=True)
    acts = keep_top(((X - mean) / (std + 1e-5) - B_DEC) @ W_ENC + B_ENC, K)
    close(sae, acts, (acts @ W_DEC + B_DEC) * std + mean)
    assert sae.metadata["hook_point"] == "blocks.8.hook_resid_post"
    old = {**OPENAI, "activation": "ReLU", "activation_state_dict": {}}
    sae = load_sae(saved_pt(tmp_path / "gpt2-small/mlp_post_act/autoencoders/0.pt", old))
    acts = relu((X - B_DEC) @ W_ENC + B_ENC)
    close(sae, acts, acts @ W_DEC + B_DEC)
    assert sae.metadata["hook_point"] == "blocks.0.mlp.hook_post"
    signed = {**topk, "activation_state_dict": {"k": K, "postact_fn": "Identity"}}
    with pytest.raises(InputError, match="Identity"):
        load_sae(saved_pt(tmp_path / "a.pt", signed))


def test_a_single_file_of_something_else_names_what_it_holds(tmp_path):
    with pytest.raises(InputError, match=r"qwen_scope: W_enc.*got \['lm_head'\]"):
        load_sae(saved_pt(tmp_path / "a.pt", {"lm_head": B_DEC}))
    (tmp_path / "b.pt").write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n")
    with pytest.raises(InputError, match=r"b\.pt"):
        load_sae(tmp_path / "b.pt")
    with pytest.raises(InputError, match="only crosscoders have parts"):
        load_sae(saved_pt(tmp_path / "SAE-Res-Q-W1K-L0_4/layer0.sae.pt", QWEN), 0)


FIRST = {
    "d_model": D, "d_sae": F, "act_fn": "jumprelu", "jump_relu_threshold": 0.5,
    "hook_point_in": "blocks.3.hook_mlp_out", "hook_point_out": "blocks.3.hook_mlp_out",
    "dataset_average_activation_norm": {"in": 5.0, "out": 4.0},
}  # fmt: skip
FIRST_TENSORS = {"encoder.weight": W_ENC.T, "encoder.bias": B_ENC, "decoder.weight": W_DEC.T, "decoder.bias": B_DEC}
FIRST_FILES = ("hyperparams.json", "checkpoints/final.safetensors")


def test_llama_scope_is_in_raw_units(tmp_path):
    """As SAELens computes it, but for the units: it scales rows, and the threshold with them."""
    sae = load_sae(saved(tmp_path / "a", FIRST, FIRST_TENSORS, FIRST_FILES))
    s, s_out = D**0.5 / 5, D**0.5 / 4
    pre = s * X @ W_ENC + B_ENC
    acts = pre * (pre > 0.5 * s)
    close(sae, acts / s, (acts @ W_DEC + B_DEC) / s_out)
    assert sae.metadata["source_format"] == "llama_scope"
    assert not sae.metadata["transcoder"]
    for change, words in (
        ({"act_fn": "topk"}, "act_fn"),
        ({"dataset_average_activation_norm": {"in": 5.0}}, "mean norm of activations"),
        ({"jump_relu_threshold": None}, "jump_relu_threshold"),
        ({"d_sae": F + 1}, "d_sae"),
    ):
        with pytest.raises(InputError, match=words):
            load_sae(saved(tmp_path / "b", {**FIRST, **change}, FIRST_TENSORS, FIRST_FILES))


LIBRARY = {
    "sae_type": "sae", "d_model": D, "expansion_factor": 2.5, "norm_activation": "dataset-wise", "act_fn": "jumprelu",
    "sparsity_include_decoder_norm": True, "hook_point_in": "blocks.2.hook_resid_post",
    "hook_point_out": "blocks.2.hook_resid_post", "use_decoder_bias": True,
}  # fmt: skip
LOG_THRESHOLD = array(F) * 0.3
NORM = "dataset_average_activation_norm.blocks.2.hook_resid_post"
LIBRARY_TENSORS = {
    "W_E": W_ENC, "b_E": B_ENC, "W_D": W_DEC, "b_D": B_DEC, NORM: np.array(7.0, np.float32),
    "activation_function.log_jumprelu_threshold": LOG_THRESHOLD,
}  # fmt: skip


def test_llamascopium_gates_by_decoder_norms(tmp_path):
    s, norms = D**0.5 / 7, np.linalg.norm(W_DEC, axis=1)
    pre = (s * X @ W_ENC + B_ENC) * norms
    acts = pre * (pre > np.exp(LOG_THRESHOLD))
    sae = load_sae(saved(tmp_path / "a", LIBRARY, LIBRARY_TENSORS))
    close(sae, acts / s, (acts / norms @ W_DEC + B_DEC) / s)

    plain = {name: value for name, value in LIBRARY_TENSORS.items() if "threshold" not in name}
    topk = {**LIBRARY, "act_fn": "topk", "top_k": K, "norm_activation": "token-wise"}
    scale = D**0.5 / np.linalg.norm(X, axis=1, keepdims=True)
    acts = keep_top((scale * X @ W_ENC + B_ENC) * norms, K)
    close(load_sae(saved(tmp_path / "b", topk, plain)), acts, (acts / norms @ W_DEC + B_DEC) / scale)

    raw = {**LIBRARY, "act_fn": "relu", "norm_activation": "inference", "sparsity_include_decoder_norm": False}
    acts = relu(X @ W_ENC + B_ENC)
    without = {name: value for name, value in plain.items() if name != "b_D"}
    close(load_sae(saved(tmp_path / "c", raw, without)), acts, acts @ W_DEC)


def test_llamascopium_transcoders_name_both_places(tmp_path):
    config = {**LIBRARY, "hook_point_out": "blocks.2.hook_mlp_out"}
    tensors = {**LIBRARY_TENSORS, NORM.replace("resid_post", "mlp_out"): np.array(3.0, np.float32)}
    sae = load_sae(saved(tmp_path, config, tensors))
    s_in, s_out, norms = D**0.5 / 7, D**0.5 / 3, np.linalg.norm(W_DEC, axis=1)
    pre = (s_in * X @ W_ENC + B_ENC) * norms
    acts = pre * (pre > np.exp(LOG_THRESHOLD))
    close(sae, acts / s_in, (acts / norms @ W_DEC + B_DEC) / s_out)
    said = sae.metadata
    assert said["transcoder"]
    assert (said["hook_point"], said["hook_point_out"]) == ("blocks.2.hook_resid_post", "blocks.2.hook_mlp_out")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"act_fn": "batchtopk"}, "batchtopk lets a batch decide"),
        ({"sae_type": "lorsa"}, "sae_type .*lorsa"),
        ({"use_glu_encoder": True}, "gated linear encoder"),
        ({"norm_activation": "batch-wise"}, "batch's mean"),
        ({"hook_point_out": "blocks.9.hook_mlp_out"}, "mean norm of activations"),
        ({"d_model": D + 1}, "d_model"),
    ],
)
def test_llamascopium_refuses_by_name(tmp_path, change, words):
    with pytest.raises(InputError, match=words):
        load_sae(saved(tmp_path, {**LIBRARY, **change}, LIBRARY_TENSORS))


def test_llamascopium_crosscoders_gate_each_head_alone(tmp_path):
    names = ["blocks.0.hook_resid_post", "blocks.1.hook_resid_post"]
    norms, b_E = np.array([7.0, 3.0], np.float32), array(2, F)
    config = {**LIBRARY, "sae_type": "crosscoder", "hook_points": names}
    tensors = {
        "W_E": TWO["W_enc"], "b_E": b_E, "W_D": TWO["W_dec"], "b_D": TWO["b_dec"],
        "activation_function.log_jumprelu_threshold": LOG_THRESHOLD,
        **{f"dataset_average_activation_norm.{name}": norm for name, norm in zip(names, norms, strict=True)},
    }  # fmt: skip
    folder = saved(tmp_path / "a", config, tensors)
    with pytest.raises(InputError, match="each gates alone"):
        load_sae(folder)
    s = D**0.5 / norms
    for part in (0, 1):
        gate, x = np.linalg.norm(TWO["W_dec"][part], axis=1), TWO["x"][:, part]
        pre = (s[part] * x @ TWO["W_enc"][part] + b_E.sum(0)) * gate
        acts = pre * (pre > np.exp(LOG_THRESHOLD))
        recon = (acts / gate @ TWO["W_dec"][part] + TWO["b_dec"][part]) / s[part]
        sae = load_sae(folder, part)
        close(sae, acts, recon, x)
        assert sae.metadata["hook_point"] == names[part]
    relus = {name: value for name, value in tensors.items() if "threshold" not in name}
    sae = load_sae(saved(tmp_path / "b", {**config, "act_fn": "relu"}, relus))
    acts = relu(np.einsum("bnd,n,ndf->bf", TWO["x"], s, TWO["W_enc"]) + b_E.sum(0))
    recon = (np.einsum("bf,nfd->bnd", acts, TWO["W_dec"]) + TWO["b_dec"]) / s[:, None]
    close(sae, acts, recon.reshape(30, -1), TWO["x"].reshape(30, -1))


def joint(acts):
    return (np.einsum("bf,nfd->bnd", acts, TWO["W_dec"]) + TWO["b_dec"]).reshape(30, 2 * D)


PAIR = {"W_enc": TWO["W_enc"], "b_enc": B_ENC, "W_dec": TWO["W_dec"].transpose(1, 0, 2), "b_dec": TWO["b_dec"]}


def test_a_crosscoder_is_one_dictionary_or_one_per_model(tmp_path):
    saved_pt(tmp_path / "cc_weights.pt", PAIR)
    config = {
        "dict_size": F,
        "d_in": D,
        "hook_point": "blocks.14.hook_resid_pre",
        "model_name": "gemma-2-2b",
        "seed": 3,
    }
    (tmp_path / "cfg.json").write_text(json.dumps(config))
    acts = relu(np.einsum("bnd,ndf->bf", TWO["x"], TWO["W_enc"]) + B_ENC)
    close(load_sae(tmp_path), acts, joint(acts), TWO["x"].reshape(30, -1))
    for part in (0, 1):
        sae, x = load_sae(tmp_path, part), TWO["x"][:, part]
        acts = relu(x @ TWO["W_enc"][part] + B_ENC)
        close(sae, acts, acts @ TWO["W_dec"][part] + TWO["b_dec"][part], x)
        assert f"part {part} of a crosscoder of 2, the others held at 0" in sae.metadata["warning"]
        assert "mean norm of sqrt(d_in)" in sae.metadata["warning"]
        assert sae.metadata["hook_point"] == "blocks.14.hook_resid_pre"
    with pytest.raises(InputError, match="0 to 1; got 2"):
        load_sae(tmp_path, 2)
    with pytest.raises(InputError, match=r"cc_weights\.pt\. Name its folder"):
        load_sae(tmp_path / "cc_weights.pt", 0)
    saved_pt(tmp_path / "cc_weights.pt", {**PAIR, "b_dec": B_DEC})
    with pytest.raises(InputError, match=r"b_dec .*of shape \(2, 6\)"):
        load_sae(tmp_path)


def crosscode(folder, config=(), **changes):
    values = {
        "_W_enc_XiDiL": TWO["W_enc"][:, None], "_W_dec_LXoDo": TWO["W_dec"].transpose(1, 0, 2)[:, :, None],
        "b_enc_L": B_ENC, "_b_dec_XoDo": TWO["b_dec"][:, None], "is_folded": np.array(True),
        "folded_scaling_factors_in_Xi": array(2, 1), "folded_scaling_factors_out_Xo": array(2, 1),
    }  # fmt: skip
    saved_pt(folder / "model.pt", {**values, **changes})
    said = {
        "n_models": 2, "n_hookpoints": 1, "d_model": D, "n_latents": F,
        "activation_fn": {"classname": "TopkActivation", "cfg": {"k": K}},
    }  # fmt: skip
    (folder / "model_cfg.yaml").write_text(yaml.safe_dump({**said, **dict(config)}))
    return folder


def test_crosscode(tmp_path):
    acts = keep_top(np.einsum("bnd,ndf->bf", TWO["x"], TWO["W_enc"]) + B_ENC, K)
    close(load_sae(crosscode(tmp_path / "a")), acts, joint(acts), TWO["x"].reshape(30, -1))
    jump = {"activation_fn": {"classname": "AnthropicSTEJumpReLUActivation", "cfg": {"size": F, "bandwidth": 2.0}}}
    sae = load_sae(crosscode(tmp_path / "b", jump, **{"activation_fn.log_threshold_L": LOG_THRESHOLD}), 1)
    pre = TWO["x"][:, 1] @ TWO["W_enc"][1] + B_ENC
    acts = pre * (pre > np.exp(LOG_THRESHOLD))
    close(sae, acts, acts @ TWO["W_dec"][1] + TWO["b_dec"][1], TWO["x"][:, 1])
    with pytest.raises(InputError, match="with_folded_scaling_factors"):
        load_sae(crosscode(tmp_path / "c", is_folded=np.array(False)))
    batch = {"activation_fn": {"classname": "BatchTopkActivation", "cfg": {"k_per_example": K}}}
    with pytest.raises(InputError, match="BatchTopkActivation"):
        load_sae(crosscode(tmp_path / "d", batch))
    (tmp_path / "d/model_cfg.yaml").write_text("a: !!python/object/apply:os.system ['true']")
    with pytest.raises(InputError, match="YAML of plain values"):
        load_sae(tmp_path / "d")


def finetuning(**changes):
    values = {
        "encoder.weight": TWO["W_enc"], "encoder.bias": B_ENC, "decoder.weight": TWO["W_dec"],
        "decoder.bias": TWO["b_dec"], "activation_mean": np.full((2, D), np.nan, np.float32),
        "activation_std": np.full((2, D), np.nan, np.float32), "activation_global_scale": np.ones(2, np.float32),
        "target_rms": np.array(1.0, np.float32), "code_normalization_id": np.array(1), "k": np.array(K),
        "threshold": np.array(9.0, np.float32),
    }  # fmt: skip
    return {**values, **changes}


HUB = ("config.json", "model.safetensors")
HUB_CONFIG = {"activation_dim": D, "dict_size": F, "num_layers": 2, "k": K, "dict_class": "BatchTopKCrossCoder"}


def test_finetuning_crosscoders_hold_scaled_latents_against_one_threshold(tmp_path):
    pre = relu(np.einsum("bnd,ndf->bf", TWO["x"], TWO["W_enc"]) + B_ENC)
    norms = np.linalg.norm(TWO["W_dec"], axis=2).sum(0)
    acts = pre * (pre * norms > 9)
    close(load_sae(saved(tmp_path, HUB_CONFIG, finetuning(), HUB)), acts, joint(acts), TWO["x"].reshape(30, -1))
    other = finetuning(code_normalization_id=np.array(5))
    with pytest.raises(InputError, match="code_normalization_id"):
        load_sae(saved(tmp_path, HUB_CONFIG, other, HUB))
    unset = finetuning(threshold=np.array(-1.0, np.float32))
    assert "never estimated" in load_sae(saved(tmp_path, HUB_CONFIG, unset, HUB), 0).metadata["warning"]
    with pytest.raises(InputError, match="dict_size"):
        load_sae(saved(tmp_path, {**HUB_CONFIG, "dict_size": 3}, finetuning(), HUB))


def test_finetuning_crosscoders_normalise_and_leave_the_others_at_their_mean(tmp_path):
    mean, std, scale = array(2, D), np.abs(array(2, D)) + 0.5, np.array([0.7, 1.6], np.float32)
    changed = finetuning(activation_mean=mean, activation_std=std, activation_global_scale=scale)
    folder = tmp_path / "trainer_0"
    saved_pt(folder / "ae.pt", {f"_orig_mod.{name}": value for name, value in changed.items()})
    trainer = {"trainer": {**HUB_CONFIG, "lm_name": "a-b", "layer": 8, "seed": 4}}
    (folder / "config.json").write_text(json.dumps(trainer))
    norms = np.linalg.norm(TWO["W_dec"], axis=2).sum(0)

    def computed(x):
        pre = relu(np.einsum("bnd,ndf->bf", (x - mean) * scale[:, None], TWO["W_enc"]) + B_ENC)
        acts = pre * (pre * norms > 9)
        return acts, joint(acts).reshape(30, 2, D) / scale[:, None] + mean

    acts, recon = computed(TWO["x"])
    close(load_sae(folder), acts, recon.reshape(30, -1), TWO["x"].reshape(30, -1))
    held = TWO["x"].copy()
    held[:, 1] = mean[1]
    acts, recon = computed(held)
    sae = load_sae(folder, 0)
    close(sae, acts, recon[:, 0], TWO["x"][:, 0])
    assert "held at their mean" in sae.metadata["warning"]
    assert sae.metadata["training_seed"] == 4

    plain = finetuning(activation_mean=mean, activation_std=std)  # a scale of 1: each dimension by its own deviation
    pre = relu(np.einsum("bnd,ndf->bf", (TWO["x"] - mean) / std, TWO["W_enc"]) + B_ENC)
    acts = pre * (pre * norms > 9)
    recon = joint(acts).reshape(30, 2, D) * std + mean
    sae = load_sae(saved(tmp_path / "b", HUB_CONFIG, plain, HUB))
    close(sae, acts, recon.reshape(30, -1), TWO["x"].reshape(30, -1))


def gemma(folder, threshold):
    folder.mkdir(parents=True)
    np.savez(folder / "params.npz", W_enc=W_ENC, b_enc=B_ENC, W_dec=W_DEC, b_dec=B_DEC, threshold=threshold)
    return load_sae(folder)


def test_gemma_scope_says_its_model_and_place(tmp_path):
    threshold, pre = np.abs(array(F)), X @ W_ENC + B_ENC
    acts = pre * (pre > threshold)
    names = {
        "google/gemma-scope-2b-pt-res/layer_20/width_16k/average_l0_71": ("gemma-2-2b", "blocks.20.hook_resid_post"),
        "models--google--gemma-scope-9b-it-res/snapshots/ab/layer_9/width_16k/average_l0_88":
            ("gemma-2-9b-it", "blocks.9.hook_resid_post"),
        "gemma-scope-2b-pt-att/layer_1/width_16k/average_l0_9": ("gemma-2-2b", "blocks.1.attn.hook_z"),
    }  # fmt: skip
    for path, (model, hook_point) in names.items():
        sae = gemma(tmp_path / path, threshold)
        close(sae, acts, acts @ W_DEC + B_DEC)
        assert (sae.metadata["model"], sae.metadata["hook_point"]) == (f"google/{model}", hook_point)
    said = gemma(tmp_path / "gemma-scope-2b-pt-transcoders/layer_3/width_16k/average_l0_8", threshold).metadata
    assert said["transcoder"]
    assert (said["hook_point"], said["hook_point_out"]) == ("blocks.3.ln2.hook_normalized", "blocks.3.hook_mlp_out")


def test_gemma_scope_of_the_embedding_reads_it_as_the_model_scales_it(tmp_path):
    threshold, stored = np.abs(array(F)), X / D**0.5
    pre = stored @ W_ENC + B_ENC
    acts = pre * (pre > threshold)
    sae = gemma(tmp_path / "gemma-scope-2b-pt-res/embedding/width_4k/average_l0_6", threshold)
    close(sae, acts, (acts @ W_DEC + B_DEC) * D**0.5)
    assert sae.metadata["hook_point"] == "hook_embed"


@pytest.mark.parametrize(
    ("name", "read_at", "model", "hook_point"),
    [
        ("gemma-v3-1b-pt", "model.layers.5.output", "google/gemma-3-1b-pt", "blocks.5.hook_resid_post"),
        ("google/gemma-3-4b-it", "model.layers.5.self_attn.o_proj.input", "google/gemma-3-4b-it",
         "blocks.5.attn.hook_z"),
        ("gemma-v3-270m-pt", "model.layers.5.post_feedforward_layernorm.output", "google/gemma-3-270m",
         "blocks.5.hook_mlp_out"),
    ],
)  # fmt: skip
def test_gemma_scope_2_pretrained_and_instruction_tuned(tmp_path, name, read_at, model, hook_point):
    config = {"architecture": "jump_relu", "model_name": name, "hf_hook_point_in": read_at, "width": F, "l0": 10}
    threshold, pre = np.abs(array(F)), X @ W_ENC + B_ENC
    tensors = {"w_enc": W_ENC, "b_enc": B_ENC, "w_dec": W_DEC, "b_dec": B_DEC, "threshold": threshold}
    sae = load_sae(saved(tmp_path / "a", config, tensors, ("config.json", "params.safetensors")))
    acts = pre * (pre > threshold)
    close(sae, acts, acts @ W_DEC + B_DEC)
    assert (sae.metadata["model"], sae.metadata["hook_point"]) == (model, hook_point)
    assert not sae.metadata["transcoder"], "where nothing is said of what it writes, it writes where it reads"
    both = {
        **config,
        "hf_hook_point_in": "model.layers.5.pre_feedforward_layernorm.output",
        "hf_hook_point_out": "model.layers.5.post_feedforward_layernorm.output",
    }
    said = load_sae(saved(tmp_path / "b", both, tensors, ("config.json", "params.safetensors"))).metadata
    assert said["transcoder"]
    assert (said["hook_point"], said["hook_point_out"]) == ("blocks.5.mlp.hook_in", "blocks.5.hook_mlp_out")
