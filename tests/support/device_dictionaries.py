"""Small dictionaries on their way, their dense gradients, and what a step of large ones costs."""

from typing import Any

import numpy as np
import torch
from counted import Counted
from dense_architectures import LEAST
from dense_topk import planted_rows
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils.flop_counter import FlopCounterMode

from universality.sae.device_steps import DeviceSteps
from universality.sae.sae_config import SAETrainingConfig
from universality.sae.training_state import Parameters, TrainingState

D_IN, D_SAE, K, SIZE = 24, 70, 5, 64
ROWS = planted_rows(3000, D_IN, 50, 4, seed=0)
OWN: Any = {
    "topk": {"k": K, "aux_coefficient": 0.5, "aux_k": 6},
    "batch_topk": {"k": K, "aux_coefficient": 0.5, "aux_k": 6},
    "matryoshka": {"k": K, "aux_coefficient": 0.5, "aux_k": 6},
    "relu": {"l1_coefficient": 1.0},
    "relu_2023": {"l1_coefficient": 1.0},
    "gated": {"l1_coefficient": 0.5},
    "jumprelu": {"target_l0": 4.0, "bandwidth": 0.3},
}


def config(name="topk", steps=230, **changes):
    shared = {"d_sae": D_SAE, "tokens": steps * SIZE, "batch_rows": SIZE, "lr": 4e-3, "dead_after": 400}
    return SAETrainingConfig.model_validate({"architecture": name, **shared, **OWN[name], **changes})


def parameters(name, seeds=None, device="cpu"):
    rng = np.random.default_rng(1)
    lead = () if seeds is None else (seeds,)
    W_dec = rng.standard_normal((*lead, D_SAE, D_IN))
    W_dec /= np.linalg.norm(W_dec, axis=-1, keepdims=True)
    held = {"W_enc_rows": W_dec + 0.1 * rng.standard_normal(W_dec.shape), "W_dec": W_dec}
    held |= {"b_enc": 0.1 * rng.standard_normal((*lead, D_SAE)), "b_dec": 0.1 * rng.standard_normal((*lead, D_IN))}
    held |= {extra: -0.5 + 0.1 * rng.standard_normal((*lead, D_SAE)) for extra in LEAST.get(name, ())}
    return Parameters.of({k: torch.from_numpy(v.astype(np.float32)).to(device) for k, v in held.items()})


def fake_steps(name, precision, seeds, device="cuda", d_in=D_IN, d_sae=D_SAE, rows=SIZE, **changes):
    """A step on empty tensors, and the names of the devices that its Adam saw."""
    own = config(name, precision=precision, d_sae=d_sae, batch_rows=rows, **changes)
    lead = () if seeds is None else (seeds,)
    shapes = {"W_enc_rows": (d_sae, d_in), "W_dec": (d_sae, d_in), "b_enc": (d_sae,), "b_dec": (d_in,)}
    shapes |= dict.fromkeys(LEAST.get(name, ()), (d_sae,))
    p = Parameters.of({key: torch.empty((*lead, *shape), device=device) for key, shape in shapes.items()})
    return DeviceSteps(own, TrainingState.fresh(p, own.kind.buffers), lambda step: 1e-3)


def dense_gradients(x, p, k):
    """Of the plain formula, in float64."""
    leaves = {name: value.detach().double().requires_grad_() for name, value in p.named().items()}
    seen = x.double() - leaves["b_dec"].unsqueeze(-2)
    pre = torch.relu(seen @ leaves["W_enc_rows"].mT + leaves["b_enc"].unsqueeze(-2))
    values, at = pre.topk(k, dim=-1)
    acts = torch.zeros_like(pre).scatter(-1, at, values)
    error = seen - acts @ leaves["W_dec"]
    error.square().sum().backward()
    return {name: leaf.grad for name, leaf in leaves.items()}


def cost(d_sae, precision, dead, d_in=512, rows=4096):
    """Counts of a step of k 32 at full size, of which nothing is computed; float operations of its products."""
    with FakeTensorMode():
        changes = {"k": 32, "aux_k": None, "aux_coefficient": 1 / 32, "loss": "fvu"}
        steps = fake_steps("topk", precision, None, "cpu", d_in, d_sae, rows, **changes)
        steps.fit_slots([dead])
        with Counted() as counted, FlopCounterMode(display=False) as flops:
            steps.step()
    counted.moved += 7 * 4 * 2 * d_sae * d_in  # by Adam, which has no kernel for fake tensors
    return counted, flops.get_total_flops()
