"""What every registered SAE architecture promises, and that its own file and one import are all a new one needs."""

import numpy as np
import pytest
import torch
from dense_topk import planted_rows
from torch._subclasses.fake_tensor import FakeTensorMode

from pipelines.models_table import sparsity_words
from pipelines.plan import build_plan
from pipelines.recipe import load_recipe
from universality.errors import InputError
from universality.sae import load_sae, save_sae
from universality.sae.architectures import ARCHITECTURES
from universality.sae.architectures.architecture import Losses, SAEArchitecture
from universality.sae.autograd_step import AutogradStep, Rates
from universality.sae.sae_config import SAETrainingConfig, owners_of_settings
from universality.sae.seed_training import folded, make_stepper
from universality.sae.training import train_sae, train_saes
from universality.sae.training_state import Parameters, TrainingState

D_IN, D_SAE = 16, 48
ROWS = planted_rows(2000, D_IN, 30, 3, seed=0)
NEEDED = {"k": 4, "l1_coefficient": 0.5, "target_l0": 4.0}


class ToyArchitecture(SAEArchitecture):
    """``mean ||x - recon||^2 + weight * mean sum_i acts_i^2``: a new architecture, as its own file would hold it.

    Source: ours, for this test.
    """

    name, label, citation = "toy", "Toy", "gao2024"
    settings = ("l1_coefficient", "sparsity_warmup")
    peak_lr = 1e-3
    usual_penalty = 0.01

    def losses(self, w, batch):
        acts = batch.affine(w["b_enc"], batch.x - w["b_dec"].unsqueeze(-2), w["W_enc_rows"].mT).relu()
        squared = (batch.x - batch.affine(w["b_dec"], acts, w["W_dec"])).square().sum(dim=(-2, -1))
        penalty = batch.penalty_weight * acts.square().sum(dim=(-2, -1))
        loss = (squared + penalty) / len(batch.x)
        return Losses(loss, squared / batch.spread, (acts > 0).any(dim=-2), acts)

    def folded(self, config, state, scale):
        from universality.sae.activations import ReLU

        return {"activation": ReLU()}


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(params=[*ARCHITECTURES, "toy"])
def kind(request, monkeypatch):
    monkeypatch.setitem(ARCHITECTURES, "toy", ToyArchitecture())
    return ARCHITECTURES[request.param]


def config(kind, **changes):
    needed = {name: value for name, value in NEEDED.items() if name in kind.settings}
    shared = {"d_sae": D_SAE, "tokens": 100 * 64, "batch_rows": 64, "lr": 5e-3}
    return SAETrainingConfig(architecture=kind.name, **{**shared, **needed, **changes})


def start(kind, own):
    directions = np.random.default_rng(1).standard_normal((D_SAE, D_IN)).astype(np.float32)
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    shared = {"W_enc_rows": directions, "W_dec": directions.copy(), "b_enc": np.zeros(D_SAE, np.float32)}
    return kind.start({**shared, "b_dec": np.full(D_IN, 0.1, np.float32)}, own)


def state(kind, own, seeds=()):
    """Weights at the start, bent a little, with any leading axis of seeds."""
    rng = np.random.default_rng(2)
    weights = {
        name: np.broadcast_to(value, (*seeds, *value.shape)) + 0.01 * rng.standard_normal(value.shape)
        for name, value in start(kind, own).items()
    }
    tensors = {name: torch.from_numpy(value.astype(np.float32)) for name, value in weights.items()}
    return TrainingState.fresh(Parameters.of(tensors), kind.buffers)


FOREIGN = owners_of_settings()


class TestArchitectureContract:
    def test_it_says_what_it_is_and_where_it_comes_from(self, kind):
        assert ARCHITECTURES[kind.name] is kind
        assert kind.label
        assert kind.citation
        assert "Source:" in type(kind).__doc__
        assert "loss" in type(kind).__doc__ or "||" in type(kind).__doc__

    def test_its_settings_are_fields_of_the_config_and_no_others_are_legal(self, kind):
        fields, owners = SAETrainingConfig.model_fields, owners_of_settings()
        assert all(fields[name].description for name in kind.settings)
        own, written = config(kind), config(kind).model_dump(mode="json")
        assert SAETrainingConfig(**written) == own
        values = {"resample_at": [0.5], "matryoshka_prefixes": [D_SAE], "sparsity_warmup": 0.5, "loss": "fvu"}
        for name, having in owners.items():
            if kind.name in having:
                continue
            assert name not in written
            if fields[name].default is None:
                assert SAETrainingConfig(**written, **{name: None}) == own
            with pytest.raises(InputError, match=f"{name} must be absent from {kind.name}"):
                config(kind, **{name: values.get(name, 1)})

    def test_what_is_written_is_read_as_it_was(self, kind):
        # A step trains by what was written, so a setting that is left out there must be its default.
        values = {"encoder_norm": 1.0, "loss": "fvu", "lr": 0.01, "buffer_mb": 7, "precision": "bfloat16"}
        own = config(kind, **{name: v for name, v in values.items() if name in kind.settings or name not in FOREIGN})
        assert SAETrainingConfig(**own.model_dump(mode="json")) == own

    def test_its_defaults_are_legal(self, kind):
        own = config(kind, lr=None)
        assert 0 < own.peak_lr < 1
        assert 0 < own.eps < 1e-3
        assert all(0 <= beta < 1 for beta in own.betas)
        assert own.penalty_coefficient >= 0
        sizes = kind.prefixes(own)
        assert list(sizes) == sorted(set(sizes))
        assert sizes[-1] == D_SAE
        assert all(0 < step < 100 and rows > 0 for step, rows in kind.resampling(own, 100).items())

    @pytest.mark.parametrize("factor", [1.0, 32.0])
    def test_inputs_of_any_size_are_scaled_to_the_same(self, kind, factor):
        scaled = kind.scale(factor * ROWS) * factor * np.linalg.norm(ROWS.astype(np.float64), axis=1)
        size = np.sqrt((scaled**2).mean()) if kind.unit_norm_inputs else scaled.mean() / np.sqrt(D_IN)
        assert size == pytest.approx(1, rel=1e-6)
        assert kind.scale(0 * ROWS) == 1

    def test_its_start_is_float32_of_the_right_shapes_and_tied(self, kind):
        weights = start(kind, config(kind))
        shapes = {"W_enc_rows": (D_SAE, D_IN), "W_dec": (D_SAE, D_IN), "b_dec": (D_IN,)}
        for name, value in weights.items():
            assert value.dtype == np.float32
            assert value.shape == shapes.get(name, (D_SAE,))
        cosines = (weights["W_enc_rows"] * weights["W_dec"]).sum(1) / (
            np.linalg.norm(weights["W_enc_rows"], axis=1) * np.linalg.norm(weights["W_dec"], axis=1)
        )
        np.testing.assert_allclose(cosines, 1, rtol=1e-5)
        if kind.unit_decoder:
            np.testing.assert_allclose(np.linalg.norm(weights["W_dec"], axis=1), 1, rtol=1e-5)

    def test_steps_reduce_the_error_and_end_in_unit_rows(self, kind):
        result = train_sae(ROWS, config(kind), sae_seed=1)
        assert result.status == "ok"
        fvu = result.history["fvu"]
        assert fvu[-10:].mean() < 0.8 * fvu[:3].mean()
        np.testing.assert_allclose(np.linalg.norm(result.sae.W_dec.numpy(), axis=1), 1, rtol=1e-5)

    def test_kernels_where_it_has_some_do_what_autograd_does(self, kind):
        own = config(kind)
        runs = [make_stepper(own, state(kind, own), 100), AutogradStep(own, state(kind, own), 100)]
        assert isinstance(runs[0], AutogradStep) == ("cpu" not in kind.sparse_on)
        for t in range(1, 4):
            x, rates = torch.from_numpy(ROWS[64 * t : 64 * t + 64]), Rates(1e-3, 0.9, 0.99, 1e-6, t)
            one, other = (run.step(x, torch.tensor([3, 5, 40]), rates) for run in runs)
            assert one.loss == pytest.approx(other.loss, rel=1e-4)
            assert one.l0 == pytest.approx(other.l0, rel=1e-3)

    @pytest.mark.parametrize("scale", [1.0, 0.37])
    def test_the_saved_dictionary_reconstructs_as_the_training_does(self, kind, scale):
        own = config(kind)
        trained = state(kind, own)
        step = AutogradStep(own, trained, 100)
        x = torch.from_numpy(ROWS[:200])
        losses = step.losses(trained.p.named(), x * scale, None)
        kind.observe(losses.values, trained, 0.0)  # inference by this batch's own threshold, where there is one
        recon = folded(own, trained, scale).reconstruct(x)
        fvu = (x - recon).square().sum() / (x - x.mean(0)).square().sum()
        # A threshold taken from a batch lets its smallest value fall.
        assert float(fvu) == pytest.approx(float(losses.fvu), rel=2e-2 if kind.buffers else 1e-4)
        assert not torch.allclose(recon, torch.zeros_like(recon))

    def test_it_survives_a_file_that_says_how_it_was_trained(self, kind, tmp_path):
        own = config(kind)
        sae = folded(own, state(kind, own), 0.5)
        save_sae(sae, tmp_path)
        again = load_sae(tmp_path)
        np.testing.assert_array_equal(again.encode(ROWS[:50]), sae.encode(ROWS[:50]))
        assert again.metadata.get("training_architecture", "topk") == kind.name

    @pytest.mark.parametrize("seeds", [(), (2,)])
    def test_a_step_stays_on_its_device(self, kind, seeds):
        own = config(kind)
        cpu = state(kind, own, seeds).p.named()
        rates, dead_shape = Rates(1e-3, 0.9, 0.99, 1e-8, 1), (*seeds, D_SAE)
        p = Parameters.of({name: value.to("meta") for name, value in cpu.items()})
        step, x = (
            AutogradStep(own, TrainingState.fresh(p, kind.buffers), 100),
            torch.empty(8, D_IN, device="meta"),
        )
        leaves = {name: value.detach().requires_grad_() for name, value in p.named().items()}
        losses = step.losses(leaves, x, torch.ones(dead_shape, dtype=torch.bool, device="meta"))
        grads = torch.autograd.grad(losses.loss.sum(), list(leaves.values()))
        step.apply(dict(zip(leaves, grads, strict=True)), rates)
        step.observe(losses.values.detach())
        assert {value.device.type for value in step.state.named().values()} == {"meta"}
        if not seeds:
            assert folded(own, step.state, 0.5).reconstruct(x).device.type == "meta"
        # Autograd on fake CUDA tensors needs CUDA; the meta device above covers the backward pass.
        with FakeTensorMode(), torch.no_grad():
            p = Parameters.of({name: torch.empty(value.shape, device="cuda") for name, value in cpu.items()})
            step = AutogradStep(own, TrainingState.fresh(p, kind.buffers), 100)
            dead = torch.ones(dead_shape, dtype=torch.bool, device="cuda")
            losses = step.losses(p.named(), torch.empty(8, D_IN, device="cuda"), dead)
            assert {part.device.type for part in losses} == {"cuda"}
            step.apply(p.zeros_like().named(), rates)
            assert {value.device.type for value in step.state.named().values()} == {"cuda"}


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_a_new_architecture_is_planned_trained_and_told_of_by_its_own_file_alone(monkeypatch, device):
    unknown = "must be 'topk', 'batch_topk', .* or 'jumprelu'"
    with pytest.raises(InputError, match=unknown):
        SAETrainingConfig(architecture="toy", d_sae=D_SAE, tokens=10)
    monkeypatch.setitem(ARCHITECTURES, "toy", ToyArchitecture())
    changes = ["comparisons.0.sae.architecture=toy", "comparisons.0.sae.k=null"]
    plan = build_plan(load_recipe("tiny", changes), device=device)
    assert plan["sae/main/m0"].params["config"]["architecture"] == "toy"
    usual = build_plan(load_recipe("tiny"), device=device)["sae/main/m0"].estimate
    assert plan["sae/main/m0"].estimate.seconds > usual.seconds  # dense gradients
    assert "toy" in SAETrainingConfig.model_json_schema()["properties"]["architecture"]["enum"]
    own = config(ARCHITECTURES["toy"])
    together = train_saes(ROWS, own, sae_seeds=[1, 2], order_seed=0)
    alone = train_sae(ROWS, own, sae_seed=2, order_seed=0)
    assert together[1].sae.W_dec.numpy().tobytes() == alone.sae.W_dec.numpy().tobytes()
    assert sparsity_words({**own.model_dump(), "l1_coefficient": None}, None) == "l1_coefficient 0.01"
