"""The border of dictionary files: whatever a folder holds, it computes what its config says or it is refused."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from borders import at_length, outcome, quick
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import save_file

from universality.sae import load_sae

D_IN, D_SAE, K = 3, 5, 2
RNG = np.random.default_rng(2)
X = RNG.standard_normal((7, D_IN)).astype(np.float32)
ANYTHING = (
    st.none() | st.booleans() | st.integers(-3, 9) | st.floats() | st.text(max_size=4) | st.sampled_from([[], {}])
)


def array(*shape):
    return RNG.standard_normal(shape).astype(np.float32)


W = {"W_enc": array(D_IN, D_SAE), "b_enc": array(D_SAE), "W_dec": array(D_SAE, D_IN), "b_dec": array(D_IN)}
EXTRA = {"threshold": np.abs(array(D_SAE)), "b_gate": array(D_SAE), "b_mag": array(D_SAE), "r_mag": array(D_SAE)}
OWN = {
    "standard": set(W), "topk": set(W), "abstopk": set(W), "jumprelu": {*W, "threshold"},
    "gated": {*W, "b_gate", "b_mag", "r_mag"} - {"b_enc"},
}  # fmt: skip


def save(tensors, file):
    save_file({key: np.array(value, order="C") for key, value in tensors.items()}, file)


def dense(architecture, subtract):
    """Activations of an architecture over the tensors above, in float64."""
    pre = (X - subtract * W["b_dec"]).astype(np.float64) @ W["W_enc"]
    if architecture == "gated":
        return (pre + EXTRA["b_gate"] > 0) * np.maximum(pre * np.exp(EXTRA["r_mag"]) + EXTRA["b_mag"], 0)
    pre = pre + W["b_enc"]
    if architecture in ("topk", "abstopk"):
        size = np.abs(pre) if architecture == "abstopk" else pre
        kept = size >= np.sort(size, axis=1)[:, -K:][:, :1]
        return pre * kept if architecture == "abstopk" else np.maximum(pre * kept, 0)
    if architecture == "jumprelu":
        return np.maximum(pre, 0) * (pre > EXTRA["threshold"])
    return np.maximum(pre, 0)


@st.composite
def saelens(draw):
    architecture = draw(st.sampled_from(list(OWN)))
    subtract = draw(st.booleans())
    config = {
        "architecture": architecture, "d_in": D_IN, "d_sae": D_SAE, "apply_b_dec_to_input": subtract, "k": K,
        "normalize_activations": "none", "metadata": {"sae_lens_version": "6.1.0"},
    }  # fmt: skip
    tensors = {name: {**W, **EXTRA}[name] for name in OWN[architecture]}
    wrong = []
    for _ in range(draw(st.integers(0, 2))):
        act = draw(st.sampled_from(["config", "drop", "add", "shape", "number", "kind"]))
        name = draw(st.sampled_from(sorted(tensors)))
        if act == "config":
            key = draw(st.sampled_from(list(config)))
            config = {**config, key: draw(ANYTHING)}
        elif act == "drop":
            tensors = {key: value for key, value in tensors.items() if key != name} or dict(W)
        elif act == "add":
            more = {**EXTRA, "W_skip": np.ones((D_IN, D_IN), np.float32), "x": np.ones(2, np.float32)}
            name = draw(st.sampled_from(list(more)))
            tensors = {name: more[name], **tensors}
        elif act == "shape":
            tensors = {**tensors, name: tensors[name].T if tensors[name].ndim > 1 else tensors[name][:-1]}
        elif act == "number":
            bad = tensors[name].astype(np.float32)
            bad.flat[0] = draw(st.sampled_from([np.nan, np.inf]))
            tensors = {**tensors, name: bad}
        else:
            whole = np.ones(tensors[name].shape, draw(st.sampled_from(["i4", "i1", "?"])))
            tensors = {**tensors, name: whole}
        wrong.append(act)
    return architecture, config, tensors, wrong


@pytest.fixture
def place(tmp_path_factory):
    """One folder for all inputs of a test, each of which takes the place of the one before."""
    return tmp_path_factory.mktemp("border")


def write_anew(path, content):
    """In a file of its own, since weights that were loaded from the one before may still be mapped."""
    path.unlink(missing_ok=True)
    path.write_bytes(content)


def check_saelens(place, case):
    architecture, config, tensors, wrong = case
    (place / "cfg.json").write_text(json.dumps(config))
    (place / "sae_weights.safetensors").unlink(missing_ok=True)  # as in write_anew
    save(tensors, place / "sae_weights.safetensors")
    sae, sentence = outcome(lambda: load_sae(place))
    if sentence is not None:
        assert wrong, sentence
        assert " must be " in sentence
        return
    for name, value in tensors.items():
        assert value.dtype == np.float32
        np.testing.assert_array_equal(value, {**W, **EXTRA}[name])
    assert set(tensors) == OWN.get(sae.metadata["config"].get("architecture") or "standard", set(tensors))
    subtract = config["apply_b_dec_to_input"] in (True, None)
    if config["architecture"] == architecture and config["k"] == K and config["metadata"]:
        np.testing.assert_allclose(sae.encode(X), dense(architecture, subtract), rtol=1e-3, atol=1e-4)


@quick
@given(saelens())
def test_saelens_folders_compute_what_they_say_or_are_refused(place, case):
    check_saelens(place, case)


@pytest.mark.slow
@at_length(2)
@given(saelens())
def test_saelens_folders_compute_what_they_say_or_are_refused_at_length(place, case):
    check_saelens(place, case)


def whole_folders(folder):
    """One folder of every other format."""
    linear = {"encoder.weight": W["W_enc"].T, "encoder.bias": W["b_enc"], "b_dec": W["b_dec"]}
    lower = {name.lower(): value for name, value in W.items()} | {"threshold": EXTRA["threshold"]}
    for name in ("dictionary_learning", "sparsify", "gemma", "gemma_2", "ours"):
        (folder / name).mkdir()
    state = {**linear, "decoder.weight": W["W_dec"].T}
    state = {key: torch.from_numpy(np.array(value)) for key, value in state.items()}
    torch.save(state, folder / "dictionary_learning/ae.pt")
    trainer = {"dict_class": "AutoEncoderTopK", "k": K, "activation_dim": D_IN, "dict_size": D_SAE}
    (folder / "dictionary_learning/config.json").write_text(json.dumps({"trainer": trainer}))
    save({**linear, "W_dec": W["W_dec"]}, folder / "sparsify/sae.safetensors")
    (folder / "sparsify/cfg.json").write_text(json.dumps({"k": K, "d_in": D_IN, "num_latents": 0}))
    np.savez(folder / "gemma/params.npz", **lower)
    save_file(lower, folder / "gemma_2/params.safetensors")
    (folder / "gemma_2/config.json").write_text(json.dumps({"architecture": "jump_relu", "width": D_SAE}))
    save_file(W, folder / "ours/sae.safetensors")
    (folder / "ours/sae.json").write_text(json.dumps({"architecture": "topk", "k": K, "d_in": D_IN, "metadata": {}}))


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    whole_folders(folder)
    return {path.name: {file.name: file.read_bytes() for file in path.iterdir()} for path in folder.iterdir()}


@st.composite
def damages(draw):
    name = draw(st.sampled_from(["dictionary_learning", "sparsify", "gemma", "gemma_2", "ours"]))
    places = draw(st.lists(st.tuples(st.floats(0, 0.999), st.integers(0, 255)), max_size=3))
    return name, draw(st.booleans()), places, draw(st.sampled_from([1.0, draw(st.floats(0, 1))]))


def check_damaged(place, folders, damage):
    name, first, places, share = damage
    files = dict(folders[name])
    hit = sorted(files)[0 if first else -1]
    content = bytearray(files[hit])
    for spot, byte in places:
        content[int(spot * len(content))] = byte
    files[hit] = bytes(content[: int(share * len(content))])
    (place / name).mkdir(exist_ok=True)
    for file, held in files.items():
        write_anew(place / name / file, held)
    sae, sentence = outcome(lambda: load_sae(place / name))
    if sae is not None:
        assert np.isfinite(sae.encode(X)).all()
    elif files == folders[name]:
        pytest.fail(f"a whole folder was refused: {sentence}")


@quick
@given(damages())
def test_damaged_folders_are_read_or_refused(place, folders, damage):
    check_damaged(place, folders, damage)


@pytest.mark.slow
@at_length(2)
@given(damages())
def test_damaged_folders_are_read_or_refused_at_length(place, folders, damage):
    check_damaged(place, folders, damage)
