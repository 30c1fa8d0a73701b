"""What every dictionary promises, whatever its activation, and whichever project wrote it."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import sparse
from torch._subclasses.fake_tensor import FakeTensorMode

from universality.errors import InputError
from universality.sae import SparseAutoencoder, load_sae, save_sae
from universality.sae import base as base_module
from universality.sae.activations import ACTIVATIONS, AbsTopK, Gated, GroupMax, JumpReLU, ReLU, TopK

PEERS = sorted(path for path in (Path(__file__).parents[2] / "fixtures" / "peer_formats").iterdir() if path.is_dir())
D_IN, D_SAE = 12, 40


def tensor(rng, *shape):
    return torch.from_numpy(rng.standard_normal(shape).astype(np.float32))


def activation(name, rng):
    return {
        "topk": lambda: TopK(5),
        "relu": ReLU,
        "jumprelu": lambda: JumpReLU(tensor(rng, D_SAE).abs()),
        "abstopk": lambda: AbsTopK(5),
        "groupmax": lambda: GroupMax(5),
        "gated": lambda: Gated(*(tensor(rng, D_SAE) for _ in range(3))),
    }[name]()


def handmade(name, **changes):
    rng = np.random.default_rng(7)
    held = {
        "W_enc": tensor(rng, D_IN, D_SAE),
        "b_enc": tensor(rng, D_SAE),
        "W_dec": tensor(rng, D_SAE, D_IN),
        "b_dec": tensor(rng, D_IN),
        "activation": activation(name, rng),
    }
    return SparseAutoencoder(**{**held, **changes})


VARIANTS = {
    **{name: lambda name=name: handmade(name) for name in ACTIVATIONS},
    "scalar threshold": lambda: handmade("jumprelu", activation=JumpReLU(torch.tensor(0.7))),
    "no subtraction": lambda: handmade("topk", subtract_b_dec=False),
    "layer norm": lambda: handmade("relu", normalisation="layer_norm"),
    "constant norm": lambda: handmade("topk", normalisation="constant_norm"),
    "skip": lambda: handmade("topk", W_skip=tensor(np.random.default_rng(8), D_IN, D_IN)),
    "transcoder": lambda: handmade(
        "relu",
        W_dec=tensor(np.random.default_rng(8), D_SAE, 9),
        b_dec=tensor(np.random.default_rng(9), 9),
        subtract_b_dec=False,
        W_skip=tensor(np.random.default_rng(10), D_IN, 9),
    ),
    **{path.name: lambda path=path: load_sae(path) for path in PEERS},
}
X = (3 * np.random.default_rng(1).standard_normal((50, D_IN)) + 0.5).astype(np.float32)


def test_fixtures_are_there():
    assert len(PEERS) == 16


@pytest.fixture(params=VARIANTS, ids=lambda name: name.replace(" ", "-"))
def sae(request):
    return VARIANTS[request.param]()


class TestSAEContract:
    def test_shapes(self, sae):
        acts, recon = sae.encode(X), sae.reconstruct(X)
        assert sae.d_in == D_IN
        assert acts.shape == (50, sae.d_sae)
        assert recon.shape == (50, len(sae.b_dec))
        assert acts.dtype == recon.dtype == np.float32
        assert 0 < np.count_nonzero(acts) < acts.size

    def test_acts_are_the_activation_of_the_canonical_pre_activations(self, sae):
        x = X.astype(np.float64)
        if sae.normalisation == "layer_norm":
            x = (x - x.mean(1, keepdims=True)) / (x.std(1, ddof=1, keepdims=True) + 1e-5)
        if sae.normalisation == "constant_norm":
            x = x / np.linalg.norm(x, axis=1, keepdims=True) * np.sqrt(D_IN)
        seen = x - sae.b_dec.numpy() if sae.subtract_b_dec else x
        pre = torch.from_numpy(seen @ sae.W_enc.numpy().astype(np.float64) + sae.b_enc.numpy()).float()
        np.testing.assert_allclose(sae.encode(X), sae.activation(pre).numpy(), rtol=1e-4, atol=1e-4)

    def test_sparse_and_dense_agree(self, sae):
        dense, csr = sae.encode(X), sae.encode_sparse(X)
        assert sparse.isspmatrix_csr(csr)
        assert csr.indices.dtype == np.int32
        assert csr.data.dtype == np.float32
        assert csr.has_sorted_indices
        assert all((np.diff(row.indices) > 0).all() for row in csr)
        assert (csr.data != 0).all()
        np.testing.assert_array_equal(csr.toarray(), dense)

    def test_reconstruction_is_decoded_activations_in_the_space_of_x(self, sae):
        decoded = sae.decode(sae.encode(X))
        np.testing.assert_allclose(sae.decode(sae.encode_sparse(X)), decoded, rtol=1e-4, atol=1e-4)
        if sae.normalisation == "layer_norm":
            decoded = decoded * X.std(1, ddof=1, keepdims=True) + X.mean(1, keepdims=True)
        if sae.normalisation == "constant_norm":
            decoded = decoded * np.linalg.norm(X, axis=1, keepdims=True) / np.sqrt(D_IN)
        if sae.W_skip is not None:
            decoded = decoded + X @ sae.W_skip.numpy()
        np.testing.assert_allclose(sae.reconstruct(X), decoded, rtol=1e-4, atol=1e-4)

    def test_rows_do_not_depend_on_each_other_nor_on_blocks(self, sae, monkeypatch):
        whole, whole_recon = sae.encode(X), sae.reconstruct(X)
        order = np.random.default_rng(2).permutation(50)
        np.testing.assert_allclose(sae.encode(X[order]), whole[order], rtol=1e-5, atol=1e-5)
        monkeypatch.setattr(base_module, "BLOCK_BYTES", 1)
        more = np.concatenate([X, X, X])
        np.testing.assert_allclose(sae.encode_sparse(more).toarray()[50:100], whole, rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(sae.reconstruct(more)[100:], whole_recon, rtol=1e-5, atol=1e-4)

    def test_what_comes_in_decides_what_comes_out(self, sae):
        rows = torch.from_numpy(X)
        for found, expected in (
            (sae.encode(rows), sae.encode(X)),
            (sae.reconstruct(rows), sae.reconstruct(X)),
            (sae.decode(torch.from_numpy(sae.encode(X))), sae.decode(sae.encode(X))),
        ):
            assert isinstance(found, torch.Tensor)
            assert isinstance(expected, np.ndarray)
            np.testing.assert_array_equal(found.numpy(), expected)

    def test_inputs_are_left_alone_and_may_be_read_only_or_of_other_precision(self, sae, tmp_path):
        np.save(tmp_path / "x.npy", X)
        mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
        np.testing.assert_array_equal(sae.encode(mapped), sae.encode(X))
        np.testing.assert_array_equal(sae.reconstruct(mapped), sae.reconstruct(X))
        np.testing.assert_array_equal(sae.encode(X.astype(np.float64)), sae.encode(X))
        kept = X.copy()
        sae.encode_sparse(X)
        np.testing.assert_array_equal(X, kept)

    def test_no_rows(self, sae):
        assert sae.encode(X[:0]).shape == (0, sae.d_sae)
        assert sae.encode_sparse(X[:0]).shape == (0, sae.d_sae)
        assert sae.reconstruct(X[:0]).shape == (0, len(sae.b_dec))

    def test_wrong_shapes_are_refused(self, sae):
        for wrong in (X[:, :-1], X[0], X[None]):
            for act in (sae.encode, sae.encode_sparse, sae.reconstruct):
                with pytest.raises(InputError, match="shape of x must be"):
                    act(wrong)

    def test_round_trip_through_tensors_and_files(self, sae, tmp_path):
        save_sae(sae, tmp_path / "a" / "b")
        for again in (SparseAutoencoder.from_tensors(*sae.to_tensors()), load_sae(tmp_path / "a" / "b")):
            np.testing.assert_array_equal(again.encode(X), sae.encode(X))
            np.testing.assert_array_equal(again.reconstruct(X), sae.reconstruct(X))
            assert again.metadata == sae.metadata
            assert again.activation.name == sae.activation.name

    def test_meta_tensors_pass_through(self, sae):
        moved = sae.to("meta")
        rows = torch.empty((20, D_IN), device="meta")
        assert moved.encode(rows).device.type == "meta"
        assert moved.reconstruct(rows).shape == (20, len(sae.b_dec))

    def test_fake_gpu_tensors_stay_there(self, sae):
        with FakeTensorMode(), torch.no_grad():

            def fake(held):
                return {name: torch.empty(t.shape, device="cuda") for name, t in held.items()}

            names = ["W_enc", "b_enc", "W_dec", "b_dec", *(["W_skip"] if sae.W_skip is not None else [])]
            held = fake({name: getattr(sae, name) for name in names})
            phi = replace(sae.activation, **fake(sae.activation.tensors()))
            moved = replace(sae, **held, activation=phi)
            rows = torch.empty((20, D_IN), device="cuda")
            assert moved.encode(rows).device.type == "cuda"
            assert moved.reconstruct(rows).device.type == "cuda"

    def test_what_comes_from_a_gpu_goes_back_there_from_a_dictionary_on_the_cpu(self, sae):
        with FakeTensorMode(allow_non_fake_inputs=True), torch.no_grad():
            rows = torch.empty((20, D_IN), device="cuda")
            acts = sae.encode(rows)
            assert {made.device.type for made in (acts, sae.decode(acts), sae.reconstruct(rows))} == {"cuda"}

    def test_gradients_flow_to_the_input(self, sae):
        rows = torch.from_numpy(X).requires_grad_()
        sae.reconstruct(rows).square().sum().backward()
        assert rows.grad is not None
        assert torch.isfinite(rows.grad).all()
        assert (rows.grad != 0).any()


class TestSAERefusals:
    def test_shapes_that_contradict_each_other(self):
        with pytest.raises(InputError, match="W_dec of the dictionary must be of shape"):
            handmade("relu", W_dec=torch.zeros(D_IN, D_SAE))
        with pytest.raises(InputError, match="b_enc"):
            handmade("relu", b_enc=torch.zeros(D_IN))
        with pytest.raises(InputError, match="threshold"):
            handmade("jumprelu", activation=JumpReLU(torch.zeros(3)))
        with pytest.raises(InputError, match="W_skip"):
            handmade("relu", W_skip=torch.zeros(3, 3))

    def test_k_beyond_the_dictionary(self):
        with pytest.raises(InputError, match=r"in 1\.\.40"):
            handmade("topk", activation=TopK(41))
        with pytest.raises(InputError, match="at least 1"):
            TopK(0)

    def test_unknown_names(self):
        with pytest.raises(InputError, match="normalisation"):
            handmade("relu", normalisation="batch")
        config, tensors = handmade("topk").to_tensors()
        with pytest.raises(InputError, match="architecture"):
            SparseAutoencoder.from_tensors({**config, "architecture": "magic"}, tensors)
        with pytest.raises(InputError, match="W_dec"):
            SparseAutoencoder.from_tensors(config, {k: v for k, v in tensors.items() if k != "W_dec"})
        with pytest.raises(InputError, match=r"\['k'\]"):
            SparseAutoencoder.from_tensors({"architecture": "topk"}, tensors)

    def test_a_transcoder_cannot_subtract_its_output_bias(self):
        with pytest.raises(InputError, match="subtract_b_dec"):
            handmade("relu", W_dec=torch.zeros(D_SAE, 9), b_dec=torch.zeros(9))
