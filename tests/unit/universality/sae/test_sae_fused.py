"""The compiled optimiser: it is the plain one, compiled once for all steps, and nothing breaks without a compiler."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from dense_topk import planted_rows

from universality.sae.autograd_step import Rates, update
from universality.sae.fused import FusedUpdate
from universality.sae.sae_config import SAETrainingConfig
from universality.sae.training import train_sae, train_saes
from universality.sae.training_state import Parameters

ROWS = planted_rows(2000, 24, 50, 4, seed=0)
RATES = Rates(2e-3, 0.9, 0.99, 1e-8, 1)


def config(name="relu_2023"):
    shared = {"d_sae": 70, "tokens": 20 * 128, "batch_rows": 128, "lr": 4e-3, "l1_coefficient": 1.0}
    return SAETrainingConfig.model_validate({"architecture": name, **shared})


@pytest.fixture
def compiler(monkeypatch, tmp_path):
    """A cache of this test's own; torch's own compiler calls functions that it has deprecated."""
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))


def held(seed, lead=()):
    rng = np.random.default_rng(seed)
    shapes = {"W_enc_rows": (70, 24), "W_dec": (70, 24), "b_enc": (70,), "b_dec": (24,), "r_mag": (70,)}
    return Parameters.of(
        {k: torch.from_numpy(rng.standard_normal((*lead, *shape))).float() for k, shape in shapes.items()}
    ).named()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_compiled_it_is_the_plain_update_and_compiled_once(compiler):
    from torch._dynamo.utils import counters  # what was compiled since they were cleared

    fused = FusedUpdate()
    for unit, lead in ((True, (3,)), (False, ())):
        counters.clear()
        start = held(1, lead), held(2, lead), {k: t.square() for k, t in held(3, lead).items()}
        start[0]["W_dec"] /= start[0]["W_dec"].norm(dim=-1, keepdim=True)
        runs = [tuple({k: t.clone() for k, t in part.items()} for part in start) for _ in range(2)]
        for t in range(1, 9):
            rates, grads = replace(RATES, t=t, lr=1e-3 * t), held(10 + t, lead)
            for run, act in zip(runs, (fused, update), strict=True):
                act(*run, grads, rates.moving, rates.constants, unit)
            for a, b in zip(*runs, strict=True):
                for name in a:
                    torch.testing.assert_close(a[name], b[name], rtol=1e-6, atol=1e-6, msg=name)
        assert fused.warning is None
        assert counters["stats"]["unique_graphs"] == (2 if unit else 1)
        assert not torch.equal(runs[0][0]["W_dec"], start[0]["W_dec"])


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_training_compiled_ends_where_it_ends_uncompiled(compiler):
    # More trainings in one process than torch keeps compiled forms of one function.
    import torch._dynamo

    with torch._dynamo.config.patch(recompile_limit=1):
        for rows in (ROWS, ROWS[:, :20]):
            plain, fused = (
                train_sae(np.ascontiguousarray(rows), config(), sae_seed=1, compile=asked) for asked in (False, True)
            )
            assert fused.warnings == plain.warnings == ()
            np.testing.assert_allclose(fused.sae.W_dec, plain.sae.W_dec, rtol=0, atol=1e-3)
            assert fused.fvu == pytest.approx(plain.fvu, rel=1e-3)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_without_a_compiler_it_is_the_plain_update_and_says_so_once(compiler):
    import torch._inductor.config

    # Torch's own way to change a setting for a while: put back by `monkeypatch`, the setting is gone afterwards.
    with torch._inductor.config.patch({"cpp.cxx": (None, "/nonexistent")}):
        plain, fused = (train_sae(ROWS, config(), sae_seed=1, compile=asked) for asked in (False, True))
    assert fused.sae.W_dec.numpy().tobytes() == plain.sae.W_dec.numpy().tobytes()
    assert len(fused.warnings) == 1
    assert "could not be compiled and ran uncompiled: " in fused.warnings[0]
    assert "compiler" in fused.warnings[0].split("uncompiled: ")[1]
    assert plain.warnings == ()


def test_seeds_of_a_group_share_one_compiled_update(monkeypatch):
    calls = []
    monkeypatch.setattr(FusedUpdate, "__call__", lambda self, *given: calls.append(self) or update(*given))
    train_saes(ROWS, config(), sae_seeds=[1, 2], order_seed=0, compile=True)
    assert len(calls) == 40
    assert len(set(map(id, calls))) == 1
