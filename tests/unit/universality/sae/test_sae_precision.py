"""Products of matrices in bfloat16: what is rounded, what is not, how good it gets, and where it is refused."""
# pyright: reportMissingImports=false

import numpy as np
import pytest
import torch
from dense_architectures import LEAST
from dense_topk import planted_rows

from universality.errors import InputError
from universality.sae import training_loop
from universality.sae.autograd_step import AutogradStep, Rates
from universality.sae.sae_config import SAETrainingConfig
from universality.sae.training import train_sae, train_saes
from universality.sae.training_state import Parameters, TrainingState

D_IN, D_SAE = 32, 80
ROWS = planted_rows(6000, D_IN, 64, 4, seed=0)
OWN = {
    "topk": {"k": 4},
    "batch_topk": {"k": 4},
    "matryoshka": {"k": 4},
    "relu": {"l1_coefficient": 3.0},
    "relu_2023": {"l1_coefficient": 3.0},
    "gated": {"l1_coefficient": 0.4},
    "jumprelu": {"target_l0": 4.0},
}


def config(name, steps=200, **changes):
    shared = {"d_sae": D_SAE, "batch_rows": 128, "lr": 1e-2, "dead_after": 3000, "tokens": steps * 128}
    return SAETrainingConfig.model_validate({"architecture": name, **shared, **OWN[name], **changes})


def stepper(name, precision):
    rng = np.random.default_rng(5)
    W_dec = rng.standard_normal((D_SAE, D_IN))
    W_dec /= np.linalg.norm(W_dec, axis=1, keepdims=True)
    held = {"W_enc_rows": W_dec + 0.1 * rng.standard_normal(W_dec.shape), "W_dec": W_dec}
    held |= {"b_enc": 0.1 * rng.standard_normal(D_SAE), "b_dec": 0.1 * rng.standard_normal(D_IN)}
    held |= {extra: -0.5 + 0.1 * rng.standard_normal(D_SAE) for extra in LEAST.get(name, ())}
    p = Parameters.of({key: torch.from_numpy(value).float() for key, value in held.items()})
    own = config(name, precision=precision)
    return AutogradStep(own, TrainingState.fresh(p, own.kind.buffers), n_steps=100)


def test_a_product_is_that_of_autocast_and_what_is_added_stays_float32():
    run = stepper("topk", "bfloat16")
    x = torch.from_numpy(ROWS[:64])
    p = run.state.p
    found = run.batch(x, None, 1).affine(p.b_enc, x, p.W_enc_rows.mT)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        product = x @ run.state.p.W_enc_rows.mT
    assert product.dtype == torch.bfloat16
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, product.float() + run.state.p.b_enc, rtol=0, atol=0)
    exact = torch.addmm(run.state.p.b_enc, x, run.state.p.W_enc_rows.T)
    assert 0 < float((found - exact).abs().max()) < 2**-7 * float(exact.abs().max())


@pytest.mark.parametrize("name", OWN)
def test_losses_gradients_weights_and_moments_are_float32(monkeypatch, name):
    dtypes, apply = set(), AutogradStep.apply

    def note(self, grads, rates):
        dtypes.update(grad.dtype for grad in grads.values())
        return apply(self, grads, rates)

    monkeypatch.setattr(AutogradStep, "apply", note)
    run, plain, x = stepper(name, "bfloat16"), stepper(name, "float32"), torch.from_numpy(ROWS[:64])
    found = run.losses(run.state.p.named(), x, torch.ones(D_SAE, dtype=torch.bool))
    dtypes.update(part.dtype for part in (found.loss, found.fvu, found.values))
    for t in (1, 2):
        rates = Rates(1e-3, 0.9, 0.99, 1e-8, t)
        rounded, exact = (one.step(x, torch.arange(9), rates) for one in (run, plain))
        assert rounded.loss == pytest.approx(exact.loss, rel=0.02)
        assert rounded.loss != exact.loss
    for held in (run.state.p, run.state.m, run.state.v):
        dtypes.update(value.dtype for value in held.named().values())
    assert dtypes == {torch.float32}


@pytest.mark.parametrize("name", OWN)
def test_training_in_bfloat16_ends_as_good(monkeypatch, name):
    monkeypatch.setattr(training_loop, "runs_batched", lambda config, device: True)
    monkeypatch.setattr(SAETrainingConfig, "check_device", lambda self, device: None)
    exact, rounded = (
        train_saes(ROWS, config(name, precision=precision, lr=4e-3), sae_seeds=[1, 2], order_seed=0)
        for precision in ("float32", "bfloat16")
    )
    # A rate at which few latents die: which ones, rounding decides, and each moves a dictionary by some percent.
    for measure in ("fvu", "l0"):
        a, b = (np.mean([getattr(result, measure) for result in found]) for found in (exact, rounded))
        assert b == pytest.approx(a, rel=0.05)
    for a, b in zip(exact, rounded, strict=True):
        assert a.history["loss"][-1] != b.history["loss"][-1]


def test_the_cpu_refuses_it():
    with pytest.raises(InputError, match="precision of a dictionary must be float32 on the CPU; got bfloat16"):
        train_sae(ROWS, config("topk", precision="bfloat16"), sae_seed=1)


def test_float32_is_written_as_it_was_before_there_was_a_choice():
    assert "precision" not in config("topk", precision="float32").model_dump()
    written = config("topk", precision="bfloat16").model_dump(mode="json")
    assert SAETrainingConfig(**written).precision == "bfloat16"
