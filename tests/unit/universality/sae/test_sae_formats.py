"""Formats: the peers' own outputs, hand-made files against formulas written here, and refusals."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from universality.errors import InputError
from universality.sae import load_sae, save_sae
from universality.sae.formats import recognise
from universality.sae.formats.sparsify import hook_point_of

FIXTURES = Path(__file__).parents[3] / "fixtures" / "peer_formats"
PEERS = sorted(path.name for path in FIXTURES.iterdir())
D_IN, D_SAE = 6, 15
RNG = np.random.default_rng(0)
X = RNG.standard_normal((30, D_IN)).astype(np.float32) + 0.4


def array(*shape):
    return RNG.standard_normal(shape).astype(np.float32)


W = {"W_enc": array(D_IN, D_SAE), "b_enc": array(D_SAE), "W_dec": array(D_SAE, D_IN), "b_dec": array(D_IN)}


def relu(values):
    return np.maximum(values, 0)


def keep_top(pre, k, by=lambda values: values):
    kept = np.zeros_like(pre)
    chosen = np.argsort(-by(pre), axis=1)[:, :k]
    np.put_along_axis(kept, chosen, np.take_along_axis(pre, chosen, 1), 1)
    return kept


def close(sae, acts, recon):
    np.testing.assert_allclose(sae.encode(X), acts, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(sae.reconstruct(X), recon, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", PEERS)
def test_peers_latents_and_reconstructions(name):
    sae = load_sae(FIXTURES / name)
    with np.load(FIXTURES / name / "expected.npz") as expected:
        x, acts, recon = (expected[key] for key in ("x", "acts", "recon"))
    np.testing.assert_allclose(sae.encode(x), acts, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(sae.reconstruct(x), recon, rtol=1e-5, atol=2e-5)
    assert sae.d_in != sae.d_sae
    assert sae.metadata["source_format"] == recognise(FIXTURES / name).name
    assert all(len(digest) == 64 for digest in sae.metadata["source_files"].values())
    assert sae.metadata["act_units"] in ("raw", "normalised", "unknown")
    json.dumps(dict(sae.metadata))


def saelens(folder, config, tensors, **metadata):
    folder.mkdir(exist_ok=True)
    base = {"d_in": D_IN, "d_sae": D_SAE, "dtype": "torch.float32"}
    said = {
        "sae_lens_version": "6.1.0",
        "model_name": "gpt2",
        "hook_name": "blocks.0.hook_resid_post",
        **metadata,
    }
    (folder / "cfg.json").write_text(json.dumps({**base, "metadata": said, **config}))
    save_file(tensors, folder / "sae_weights.safetensors")
    return folder


def test_saelens_checkpoint_folds_scale_and_decoder_norms(tmp_path):
    s, k = 1.7, 4
    config = {
        "architecture": "topk",
        "k": k,
        "rescale_acts_by_decoder_norm": True,
        "normalize_activations": "expected_average_only_in",
    }
    folder = saelens(tmp_path / "a", config, W)
    with pytest.raises(InputError, match="without its factor"):
        load_sae(folder)
    (folder / "activation_scaler.json").write_text(json.dumps({"scaling_factor": s, "has_whitening": False}))
    pre = (s * X - W["b_dec"]) @ W["W_enc"] + W["b_enc"]
    norms = np.linalg.norm(W["W_dec"], axis=1)
    ranked = keep_top(relu(pre * norms), k)
    # As its own inference save computes them: the decoder that gives the norms is already divided by s.
    close(load_sae(folder), ranked / s, (ranked / norms @ W["W_dec"] + W["b_dec"]) / s)


def test_saelens_batch_topk_checkpoint_scales_its_threshold(tmp_path):
    s, threshold = 0.6, np.float64(1.1)
    config = {
        "architecture": "batchtopk",
        "k": 4,
        "rescale_acts_by_decoder_norm": True,
        "normalize_activations": "expected_average_only_in",
    }
    folder = saelens(tmp_path / "a", config, {**W, "topk_threshold": np.array(threshold)})
    (folder / "activation_scaler.json").write_text(json.dumps({"scaling_factor": s}))
    norms = np.linalg.norm(W["W_dec"], axis=1)
    pre = ((s * X - W["b_dec"]) @ W["W_enc"] + W["b_enc"]) * norms
    acts = pre * (pre > threshold)
    close(load_sae(folder), acts / s, (acts / norms @ W["W_dec"] + W["b_dec"]) / s)


@pytest.mark.parametrize("subtract", [True, False])
def test_saelens_whitening_is_folded(tmp_path, subtract):
    config = {
        "architecture": "standard",
        "normalize_activations": "covariance_whitening",
        "apply_b_dec_to_input": subtract,
    }
    folder = saelens(tmp_path / "a", config, W)
    mean, matrix = array(D_IN).astype(np.float64), array(D_IN, D_IN).astype(np.float64) + 3 * np.eye(D_IN)
    inverse = np.linalg.inv(matrix)
    with pytest.raises(InputError, match="without its matrix"):
        load_sae(folder)
    save_file(
        {"mean": mean, "matrix": matrix, "inverse_matrix": inverse},
        folder / "activation_whitening.safetensors",
    )
    white = (X - mean) @ matrix
    acts = relu((white - subtract * W["b_dec"]) @ W["W_enc"] + W["b_enc"])
    close(load_sae(folder), acts, (acts @ W["W_dec"] + W["b_dec"]) @ inverse + mean)


def test_saelens_other_architectures(tmp_path):
    centred = X - W["b_dec"]
    pre = centred @ W["W_enc"] + W["b_enc"]
    config = {"architecture": "abstopk", "k": 3}
    acts = keep_top(pre, 3, np.abs)
    close(load_sae(saelens(tmp_path / "abs", config, W)), acts, acts @ W["W_dec"] + W["b_dec"])

    log_threshold = array(D_SAE)
    tensors = {**W, "log_threshold": log_threshold}
    acts = relu(pre) * (pre > np.exp(log_threshold))
    close(
        load_sae(saelens(tmp_path / "log", {"architecture": "jumprelu"}, tensors)),
        acts,
        acts @ W["W_dec"] + W["b_dec"],
    )

    d_out = 4
    tensors = {**W, "W_dec": array(D_SAE, d_out), "b_dec": array(d_out), "W_skip": array(d_out, D_IN)}
    acts = relu(X @ W["W_enc"] + W["b_enc"])
    sae = load_sae(saelens(tmp_path / "skip", {"architecture": "skip_transcoder", "d_out": d_out}, tensors))
    close(sae, acts, acts @ tensors["W_dec"] + tensors["b_dec"] + X @ tensors["W_skip"].T)

    config = {"architecture": "standard", "normalize_activations": "constant_norm_rescale"}
    scale = np.sqrt(D_IN) / np.linalg.norm(X, axis=1, keepdims=True)
    acts = relu((X * scale - W["b_dec"]) @ W["W_enc"] + W["b_enc"])
    close(load_sae(saelens(tmp_path / "cn", config, W)), acts, (acts @ W["W_dec"] + W["b_dec"]) / scale)


def test_saelens_before_version_six(tmp_path):
    flat = {
        "d_in": D_IN,
        "d_sae": D_SAE,
        "activation_fn_str": "topk",
        "activation_fn_kwargs": {"k": 4},
        "normalize_activations": False,
        "hook_point": "blocks.3.hook_resid_pre",
        "model_name": "gpt2-small",
    }
    (tmp_path / "cfg.json").write_text(json.dumps(flat))
    factor = np.abs(array(D_SAE)) + 0.5
    save_file({**W, "scaling_factor": factor}, tmp_path / "sae_weights.safetensors")
    acts = keep_top(relu((X - W["b_dec"]) @ W["W_enc"] + W["b_enc"]), 4)
    sae = load_sae(tmp_path)
    close(sae, acts, (acts * factor) @ W["W_dec"] + W["b_dec"])
    assert sae.metadata["hook_point"] == "blocks.3.hook_resid_pre"
    (tmp_path / "cfg.json").write_text(json.dumps({**flat, "normalize_activations": True}))
    with pytest.raises(InputError, match="without its factor"):
        load_sae(tmp_path)
    (tmp_path / "cfg.json").write_text(json.dumps({**flat, "activation_fn_str": "tanh-relu"}))
    with pytest.raises(InputError, match="tanh-relu"):
        load_sae(tmp_path)


@pytest.mark.parametrize("architecture", ["matching_pursuit", "temporal"])
def test_saelens_exotics_are_refused(tmp_path, architecture):
    with pytest.raises(InputError, match=architecture):
        load_sae(saelens(tmp_path / "a", {"architecture": architecture}, W))


def test_sparsify_transcoder_with_skip_and_signed_topk(tmp_path):
    tensors = {
        "encoder.weight": W["W_enc"].T.copy(),
        "encoder.bias": W["b_enc"],
        "W_dec": W["W_dec"],
        "b_dec": W["b_dec"],
        "W_skip": array(D_IN, D_IN),
    }
    config = {"k": 3, "num_latents": 0, "transcode": True, "skip_connection": True, "unknown_key": 1}
    folder = tmp_path / "layers.4.mlp"
    folder.mkdir()
    (folder / "cfg.json").write_text(json.dumps(config))
    save_file(tensors, folder / "sae.safetensors")
    acts = keep_top(relu(X @ W["W_enc"] + W["b_enc"]), 3)
    sae = load_sae(folder)
    close(sae, acts, acts @ W["W_dec"] + W["b_dec"] + X @ tensors["W_skip"].T)
    assert sae.metadata["hook_point"] == "blocks.4.mlp.hook_in"
    assert sae.metadata["hook_point_out"] == "blocks.4.hook_mlp_out"

    (folder / "cfg.json").write_text(json.dumps({"k": 3, "signed": True}))
    del tensors["W_skip"]
    save_file(tensors, folder / "sae.safetensors")
    acts = keep_top((X - W["b_dec"]) @ W["W_enc"] + W["b_enc"], 3, np.abs)
    close(load_sae(folder), acts, acts @ W["W_dec"] + W["b_dec"])

    (folder / "cfg.json").write_text(json.dumps({"k": 3, "skip_connection": True}))
    with pytest.raises(InputError, match="W_skip"):
        load_sae(folder)


def test_sparsify_folder_names():
    assert hook_point_of("h.11") == "blocks.11.hook_resid_post"
    assert hook_point_of("layers.0.attention") == "blocks.0.hook_attn_out"
    assert hook_point_of("embed_tokens") == "hook_embed"
    assert hook_point_of("my_sae") is None


def dictlearn(folder, held, **trainer):
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps({"trainer": trainer, "buffer": {}}))
    torch.save(held, folder / "ae.pt")
    return folder


def test_dictionary_learning_backup_moves_biases_to_raw_units(tmp_path):
    factor, threshold = 2.5, 0.4
    held = {
        "encoder.weight": torch.from_numpy(W["W_enc"].T.copy()),
        "encoder.bias": torch.from_numpy(W["b_enc"]),
        "decoder.weight": torch.from_numpy(W["W_dec"].T.copy()),
        "b_dec": torch.from_numpy(W["b_dec"]),
        "k": torch.tensor(3, dtype=torch.int32),
        "threshold": torch.tensor(threshold),
    }
    backup = {"step": 5, "ae": held, "config": {}, "norm_factor": factor}
    folder = dictlearn(tmp_path / "a", backup, dict_class="BatchTopKSAE", seed=3)
    pre = (X / factor - W["b_dec"]) @ W["W_enc"] + W["b_enc"]
    acts = pre * (pre > threshold)
    sae = load_sae(folder)
    close(sae, acts * factor, (acts @ W["W_dec"] + W["b_dec"]) * factor)
    assert sae.metadata["training_seed"] == 3
    with pytest.raises(InputError, match="norm_factor"):
        load_sae(dictlearn(tmp_path / "b", {**backup, "norm_factor": None}, dict_class="BatchTopKSAE"))
    held["threshold"] = torch.tensor(-1.0)
    sae = load_sae(dictlearn(tmp_path / "c", held, dict_class="BatchTopKSAE"))
    assert "never estimated" in sae.metadata["warning"]
    close(sae, relu((X - W["b_dec"]) @ W["W_enc"] + W["b_enc"]), sae.decode(sae.encode(X)))


def test_dictionary_learning_new_autoencoder_does_not_subtract(tmp_path):
    held = {
        "encoder.weight": torch.from_numpy(W["W_enc"].T.copy()),
        "encoder.bias": torch.from_numpy(W["b_enc"]),
        "decoder.weight": torch.from_numpy(W["W_dec"].T.copy()),
        "decoder.bias": torch.from_numpy(W["b_dec"]),
    }
    acts = relu(X @ W["W_enc"] + W["b_enc"])
    close(load_sae(dictlearn(tmp_path, held, dict_class="AutoEncoderNew")), acts, acts @ W["W_dec"] + W["b_dec"])
    with pytest.raises(InputError, match=r"only \['decoder.bias'"):
        load_sae(dictlearn(tmp_path, held, dict_class="JumpReluAutoEncoder"))
    with pytest.raises(InputError, match="It is no crosscoder"):
        load_sae(dictlearn(tmp_path, held, dict_class="CrossCoder"))
    with pytest.raises(InputError, match="IdentityDict"):
        load_sae(dictlearn(tmp_path, held, dict_class="IdentityDict"))


class Trap:
    """Runs code when unpickled."""

    def __reduce__(self):
        return (print, ("executed",))


def test_nothing_is_unpickled(tmp_path, capsys):
    folder = dictlearn(tmp_path / "a", {"bias": Trap()}, dict_class="AutoEncoder")
    with pytest.raises(InputError, match="plain tensors"):
        load_sae(folder)
    (tmp_path / "b").mkdir()
    np.savez(tmp_path / "b" / "params.npz", W_enc=np.array([Trap()], dtype=object))
    with pytest.raises(InputError, match="plain arrays"):
        load_sae(tmp_path / "b")
    assert "executed" not in capsys.readouterr().out


def test_gemma_scope_one_and_two(tmp_path):
    threshold = np.abs(array(D_SAE))
    folder = tmp_path / "layer_12" / "width_16k" / "average_l0_82"
    folder.mkdir(parents=True)
    np.savez(folder / "params.npz", **{name.lower(): value for name, value in W.items()}, threshold=threshold)
    pre = X @ W["W_enc"] + W["b_enc"]
    acts = relu(pre) * (pre > threshold)
    sae = load_sae(folder)
    close(sae, acts, acts @ W["W_dec"] + W["b_dec"])
    assert (sae.metadata["layer"], sae.metadata["width"], sae.metadata["l0"]) == (12, "16k", 82)

    second = tmp_path / "second"
    second.mkdir()
    skip = array(D_IN, D_IN)
    config = {"architecture": "jump_relu", "hf_hook_point_in": "a", "hf_hook_point_out": "b"}
    (second / "config.json").write_text(json.dumps(config))
    tensors = {name.lower(): value for name, value in W.items()}
    save_file({**tensors, "threshold": threshold, "affine_skip_connection": skip}, second / "params.safetensors")
    sae = load_sae(second)
    close(sae, acts, acts @ W["W_dec"] + W["b_dec"] + X @ skip)
    assert sae.metadata["transcoder"]
    (second / "config.json").write_text(json.dumps({**config, "architecture": "topk"}))
    with pytest.raises(InputError, match="jump_relu"):
        load_sae(second)


def test_refusals_name_what_was_found(tmp_path):
    with pytest.raises(InputError, match="a folder that holds one dictionary"):
        load_sae(tmp_path / "nowhere")
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(InputError, match=r"notes\.txt.*Known formats: universality"):
        load_sae(tmp_path)
    save_sae(load_sae(FIXTURES / PEERS[0]), tmp_path / "seed0")
    with pytest.raises(InputError, match=r"Load one inside: seed0"):
        load_sae(tmp_path)
    (tmp_path / "seed0" / "sae.json").write_text("{")
    with pytest.raises(InputError, match=r"sae\.json must be JSON"):
        load_sae(tmp_path / "seed0")
    (tmp_path / "seed0" / "sae.safetensors").write_bytes(b"nonsense")
    (tmp_path / "seed0" / "sae.json").write_text("{}")
    with pytest.raises(InputError, match="a whole safetensors file"):
        load_sae(tmp_path / "seed0")


@pytest.mark.parametrize("name", [name for name in PEERS if "group" not in name])
def test_what_is_exported_to_saelens_reads_back_the_same(name, tmp_path):
    sae = load_sae(FIXTURES / name)
    save_sae(sae, tmp_path / "out", format="saelens")
    again = load_sae(tmp_path / "out")
    assert again.metadata["source_format"] == "saelens"
    with np.load(FIXTURES / name / "expected.npz") as expected:
        x = expected["x"]
    np.testing.assert_array_equal(again.encode(x), sae.encode(x))
    np.testing.assert_array_equal(again.reconstruct(x), sae.reconstruct(x))


def test_saelens_has_no_place_for_some(tmp_path):
    groupmax = load_sae(FIXTURES / "sparsify_groupmax")
    with pytest.raises(InputError, match=r"dictionary of saelens must be .*got groupmax"):
        save_sae(groupmax, tmp_path / "a", format="saelens")
    gated = load_sae(FIXTURES / "saelens_gated")
    biased = dataclasses.replace(gated, b_enc=torch.ones(gated.d_sae))
    with pytest.raises(InputError, match="b_enc of a gated dictionary"):
        save_sae(biased, tmp_path / "b", format="saelens")
    with pytest.raises(InputError, match="format of save_sae"):
        save_sae(gated, tmp_path / "c", format="pickle")
    assert not list(tmp_path.iterdir())
