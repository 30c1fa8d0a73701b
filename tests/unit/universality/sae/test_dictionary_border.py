"""Dictionary files that contradict themselves: tensors are used or named, numbers finite, sizes agreed on."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from universality.errors import InputError
from universality.sae import SparseAutoencoder, load_sae, save_sae
from universality.sae.activations import GroupMax, ReLU, TopK

D_IN, D_SAE = 6, 10
RNG = np.random.default_rng(5)
X = RNG.standard_normal((20, D_IN)).astype(np.float32)


def array(*shape):
    return RNG.standard_normal(shape).astype(np.float32)


W = {"W_enc": array(D_IN, D_SAE), "b_enc": array(D_SAE), "W_dec": array(D_SAE, D_IN), "b_dec": array(D_IN)}
NEW = {"architecture": "standard", "d_in": D_IN, "d_sae": D_SAE, "metadata": {"sae_lens_version": "6.12.0"}}
LINEAR = {
    "encoder.weight": torch.from_numpy(W["W_enc"].T.copy()),
    "encoder.bias": torch.from_numpy(W["b_enc"]),
    "decoder.weight": torch.from_numpy(W["W_dec"].T.copy()),
    "b_dec": torch.from_numpy(W["b_dec"]),
}


def top_3():
    """TopK with k = 3 in float64, by sorting."""
    pre = np.maximum((X - W["b_dec"]).astype(np.float64) @ W["W_enc"] + W["b_enc"], 0)
    kept = pre * (pre >= np.sort(pre, axis=1)[:, -3:-2])
    return kept, kept @ W["W_dec"] + W["b_dec"]


def saelens(folder, config, tensors=W, text=None):
    folder.mkdir(exist_ok=True)
    (folder / "cfg.json").write_text(json.dumps(config) if text is None else text, "utf-8")
    save_file(
        {name: np.ascontiguousarray(value) for name, value in tensors.items()}, folder / "sae_weights.safetensors"
    )
    return folder


def learned(folder, trainer, tensors=LINEAR):
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps({"trainer": trainer}))
    torch.save(tensors, folder / "ae.pt")
    return folder


def refused(folder, words):
    with pytest.raises(InputError, match=words):
        load_sae(folder)


LEFT_OVER = [
    ({}, {"threshold": array(D_SAE)}, "threshold"),
    ({}, {name: array(D_SAE) for name in ("b_gate", "b_mag", "r_mag")}, "b_gate.*b_mag.*r_mag"),
    ({"architecture": "transcoder"}, {"W_skip": array(D_IN, D_IN)}, "W_skip"),
    ({"architecture": "gated"}, {name: array(D_SAE) for name in ("b_gate", "b_mag", "r_mag")}, "b_enc"),
]


@pytest.mark.parametrize(("config", "more", "words"), LEFT_OVER)
def test_a_tensor_that_nothing_reads_is_named(tmp_path, config, more, words):
    refused(saelens(tmp_path, {**NEW, **config}, {**W, **more}), rf"tensors \[.*{words}.*\] of .* must be known to")


def test_every_format_names_what_is_left_over(tmp_path):
    refused(learned(tmp_path / "a", {"dict_class": "AutoEncoderTopK", "k": 3}, {**LINEAR, "x": torch.ones(2)}), "'x'")
    sparsify = {**{n: v.numpy() for n, v in LINEAR.items() if "decoder" not in n}, "W_dec": W["W_dec"]}
    (tmp_path / "b").mkdir()
    (tmp_path / "b/cfg.json").write_text(json.dumps({"k": 3}))
    save_file({**sparsify, "W_skip": array(D_IN, D_IN)}, tmp_path / "b/sae.safetensors")
    refused(tmp_path / "b", "W_skip.*without a skip connection")
    (tmp_path / "c").mkdir()
    lower = {name.lower(): value for name, value in W.items()}
    np.savez(tmp_path / "c/params.npz", **lower, threshold=array(D_SAE), extra=array(2))
    refused(tmp_path / "c", r"tensors \['extra'\]")
    np.savez(tmp_path / "c/params.npz", **{**lower, **W}, threshold=array(D_SAE))
    refused(tmp_path / "c", "different without capitals")
    save_sae(load_sae(saelens(tmp_path / "d", NEW)), tmp_path / "e")
    save_file({**W, "W_gate": array(3)}, tmp_path / "e/sae.safetensors")
    refused(tmp_path / "e", r"tensors \['W_gate'\]")


@pytest.mark.parametrize(("key", "size"), [("d_in", 7), ("d_sae", 20), ("d_out", 3)])
def test_sizes_in_a_config_are_those_of_the_tensors(tmp_path, key, size):
    refused(saelens(tmp_path, {**NEW, key: size}), f"{key} of .*cfg.json must be .*, as the tensors .*; got {size}")


def test_sizes_in_other_configs_are_those_of_the_tensors(tmp_path):
    kind = {"dict_class": "AutoEncoderTopK", "k": 3}
    refused(learned(tmp_path / "a", {**kind, "dict_size": 11}), "dict_size .* must be 10")
    refused(learned(tmp_path / "a", {**kind, "activation_dim": 5}), "activation_dim .* must be 6")
    save_sae(load_sae(saelens(tmp_path / "b", NEW)), tmp_path / "c")
    said = json.loads((tmp_path / "c/sae.json").read_text())
    (tmp_path / "c/sae.json").write_text(json.dumps({**said, "d_sae": 9}))
    refused(tmp_path / "c", "d_sae .* must be 10")
    (tmp_path / "c/sae.json").write_text(json.dumps({**said, "version": 2}))
    refused(tmp_path / "c", "version .* at most 1")


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("name", list(W))
def test_numbers_that_are_not_finite_are_refused_by_tensor(tmp_path, name, bad):
    tensors = {key: value.copy() for key, value in W.items()}
    tensors[name].flat[4] = bad
    refused(saelens(tmp_path, {**NEW, "architecture": "topk", "k": 3}, tensors), f"tensor '{name}' .* must be finite")
    save_sae(load_sae(saelens(tmp_path, NEW)), tmp_path / "ours")
    save_file(tensors, tmp_path / "ours/sae.safetensors")
    refused(tmp_path / "ours", f"tensor '{name}' .* must be finite")


@pytest.mark.parametrize("factor", ["NaN", "Infinity", "1e999", "0", "-1.0", "true", '"1"', "null", "[1.0]"])
def test_a_factor_is_a_number_above_zero(tmp_path, factor):
    folder = saelens(tmp_path, {**NEW, "normalize_activations": "expected_average_only_in"})
    (folder / "activation_scaler.json").write_text(f'{{"scaling_factor": {factor}}}')
    refused(folder, "without its factor" if factor == "null" else "scaling_factor .* must be a finite number above 0")


def test_what_is_folded_stays_finite(tmp_path):
    folder = saelens(tmp_path, {**NEW, "normalize_activations": "expected_average_only_in"})
    (folder / "activation_scaler.json").write_text('{"scaling_factor": 1e-39}')
    refused(folder, "must be finite")
    refused(
        saelens(tmp_path, {**NEW, "architecture": "jumprelu"}, {**W, "log_threshold": np.full(D_SAE, 200, "f4")}),
        "finite",
    )


@pytest.mark.parametrize(
    ("more", "function"),
    [
        ({"metadata": {"note": "uploaded 2024", "sae_lens_version": "5.9.1"}}, "activation_fn_str"),
        ({"metadata": {"note": "uploaded 2024"}}, "activation_fn_str"),
        ({"sae_lens_version": "3.20.1"}, "activation_fn"),
    ],
)
def test_the_version_decides_what_a_config_means(tmp_path, more, function):
    old = {"d_in": D_IN, "d_sae": D_SAE, function: "topk", "activation_fn_kwargs": {"k": 3}, **more}
    sae, (acts, recon) = load_sae(saelens(tmp_path, old)), top_3()
    np.testing.assert_allclose(sae.encode(X), acts, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(sae.reconstruct(X), recon, rtol=1e-5, atol=1e-5)


def test_a_new_version_at_the_top_decides_too(tmp_path):
    config = {"architecture": "topk", "k": 3, "sae_lens_version": "6.0.0"}
    np.testing.assert_allclose(load_sae(saelens(tmp_path, config)).encode(X), top_3()[0], rtol=1e-5, atol=1e-5)
    refused(saelens(tmp_path, {**config, "sae_lens_version": "new"}), "sae_lens_version .* a version such as")
    refused(saelens(tmp_path, {"architecture": "topk", "k": 3}), "k .* given for a TopK dictionary")


def test_topk_files_without_the_buffer_load_by_their_config(tmp_path):
    kind = {"dict_class": "AutoEncoderTopK"}
    sae, (acts, recon) = load_sae(learned(tmp_path, {**kind, "k": 3})), top_3()
    np.testing.assert_allclose(sae.encode(X), acts, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(sae.reconstruct(X), recon, rtol=1e-5, atol=1e-5)
    refused(learned(tmp_path, kind), "trainer.k .* must be given, where the file holds no k")
    refused(learned(tmp_path, {**kind, "k": 4}, {**LINEAR, "k": torch.tensor(3)}), r"trainer.k .* must be \[3\]")
    refused(learned(tmp_path, {**kind, "k": 3}, {**LINEAR, "k": torch.tensor(2.5)}), "whole numbers")


@pytest.mark.parametrize("value", ["false", 1, [], {}])
def test_a_flag_is_true_or_false(tmp_path, value):
    refused(saelens(tmp_path, {**NEW, "apply_b_dec_to_input": value}), "apply_b_dec_to_input .* must be true or false")


@pytest.mark.parametrize("value", ["3", 3.0, True, -1, [3]])
def test_k_is_a_whole_number(tmp_path, value):
    refused(saelens(tmp_path, {**NEW, "architecture": "topk", "k": value}), "k of .*cfg.json must be a whole number")


def test_a_byte_order_mark_is_no_content(tmp_path):
    folder = saelens(tmp_path, NEW, text="\ufeff" + json.dumps(NEW))
    np.testing.assert_array_equal(load_sae(folder).encode(X), load_sae(saelens(tmp_path / "b", NEW)).encode(X))


def test_the_tilde_is_home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    saelens(tmp_path / "x", NEW)
    assert load_sae("~/x").d_in == D_IN
    save_sae(load_sae("~/x"), "~/y")
    assert load_sae(tmp_path / "y").d_sae == D_SAE


@pytest.mark.parametrize("trainer", [None, [], "AutoEncoder", {"dict_class": None}, {"dict_class": ["AutoEncoder"]}])
def test_a_trainer_that_is_none_is_refused(tmp_path, trainer):
    refused(learned(tmp_path, trainer), "trainer.* must be")


def test_integers_are_no_weights(tmp_path):
    refused(saelens(tmp_path, NEW, {name: (value * 9).astype(np.int8) for name, value in W.items()}), "floating point")
    with pytest.raises(InputError, match="floating point"):
        made(W_enc=torch.ones(D_IN, D_SAE, dtype=torch.int8))


def made(**changes):
    tensors = {name: torch.from_numpy(value.copy()) for name, value in W.items()}
    return SparseAutoencoder(**{**tensors, "activation": ReLU(), **changes})


def test_groups_are_of_one_size():
    with pytest.raises(InputError, match=r"a divisor of d_sae \(10\)"):
        made(activation=GroupMax(3))
    assert made(activation=GroupMax(5)).encode(X).shape == (20, D_SAE)


@pytest.mark.parametrize(
    "changes", [{"W_enc": torch.ones(3)}, {"b_dec": torch.tensor(1.0)}, {"W_enc": torch.ones(0, 3)}]
)
def test_weights_have_their_axes(changes):
    with pytest.raises(InputError, match="axes, not empty"):
        made(**changes)


def test_numbers_of_numpy_are_numbers(tmp_path):
    save_sae(made(activation=TopK(np.int64(3)), metadata={"lr": np.float32(0.5)}), tmp_path)
    assert load_sae(tmp_path).activation == TopK(3)
    with pytest.raises(InputError, match="a whole number"):
        TopK(2.5)


def test_parameters_of_a_training_are_weights(tmp_path):
    grown = {name: torch.nn.Parameter(value) for name, value in LINEAR.items()}
    sae = load_sae(learned(tmp_path, {"dict_class": "AutoEncoderTopK", "k": 3}, grown))
    np.testing.assert_allclose(sae.encode_sparse(X).toarray(), top_3()[0], rtol=1e-5, atol=1e-5)
    kept = made(activation=TopK(3), W_enc=torch.from_numpy(W["W_enc"]).requires_grad_())
    np.testing.assert_allclose(kept.encode(X), top_3()[0], rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(kept.reconstruct(X), top_3()[1], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n", "a git-lfs pointer"),
        (b"<!doctype html><html></html>", "a web page"),
        (b"", "an empty file"),
        (b"\xff\xfe{", "must be"),
    ],
)
def test_stand_ins_are_told(tmp_path, content, words):
    for name in ("cfg.json", "sae_weights.safetensors"):
        folder = saelens(tmp_path, NEW)
        (folder / name).write_bytes(content)
        refused(folder, f"{name}.*{words}")
    folder = learned(tmp_path / "b", {"dict_class": "AutoEncoderTopK", "k": 3})
    whole = (folder / "ae.pt").read_bytes()
    for cut in (content, whole[: len(whole) // 2]):
        (folder / "ae.pt").write_bytes(cut)
        refused(folder, r"ae\.pt")


def test_transcoders_say_that_they_are(tmp_path):
    assert load_sae(saelens(tmp_path / "a", {**NEW, "architecture": "transcoder"})).metadata["transcoder"]
    two = {**NEW, "metadata": {"sae_lens_version": "6.1.0", "hook_name": "a", "hook_name_out": "b"}}
    assert load_sae(saelens(tmp_path / "b", two)).metadata["transcoder"]
    assert not load_sae(saelens(tmp_path / "c", NEW)).metadata["transcoder"]
    folder = tmp_path / "gemma-scope-2b-pt-transcoders" / "layer_1"
    folder.mkdir(parents=True)
    np.savez(folder / "params.npz", **W, threshold=array(D_SAE))
    assert load_sae(folder).metadata["transcoder"]
