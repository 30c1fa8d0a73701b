"""Which step trains which architecture, from what it starts, and what is saved of it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch

from universality.sae.activations import Activation, Gated, JumpReLU, ReLU
from universality.sae.architectures.batch_step import BatchCPUStep
from universality.sae.architectures.batch_topk import BatchTopKStep, RunningThreshold, threshold_decay
from universality.sae.architectures.jumprelu import JumpReLUStep
from universality.sae.architectures.penalised import GatedStep, ReLU2023Step, ReLUStep
from universality.sae.autograd_step import AutogradStep, Parameters, Stepper
from universality.sae.base import SparseAutoencoder
from universality.sae.fused import FusedUpdate
from universality.sae.sae_config import TOP_K_FAMILY, SAETrainingConfig
from universality.sae.topk import TopK, runs_kernels
from universality.sae.topk_kernel_step import CPUStep, TorchStep

FREE_DECODER_NORM = 0.1
"""Norm of a free decoder's rows at the start (ours, of the 0.05 to 1 of the April 2024 update)."""


def input_scale(rows: np.ndarray, architecture: str) -> float:
    """Factor on the inputs: mean norm sqrt(d_in), or mean squared norm 1 where bandwidths and penalties assume it.

    Source: Conerly et al. 2024; Lieberum et al. 2024 ("Gemma Scope"), section 3.1.
    """
    norms = np.linalg.norm(rows.astype(np.float64), axis=1)
    if architecture in ("gated", "jumprelu"):
        size = math.sqrt(float(np.square(norms).mean()))
        return 1 / size if size > 0 else 1.0
    norm = float(norms.mean())
    return math.sqrt(rows.shape[1]) / norm if norm > 0 else 1.0


def starting_point(shared: dict[str, np.ndarray], config: SAETrainingConfig) -> dict[str, np.ndarray]:
    """The weights to start from, given unit directions (d_sae, d_in) for both sides and the median as b_dec."""
    zeros = np.zeros(config.d_sae, dtype=np.float32)
    if config.architecture == "relu":
        rows = shared["W_dec"] * np.float32(FREE_DECODER_NORM)
        return {**shared, "W_dec": rows, "W_enc_rows": rows, "b_dec": np.zeros_like(shared["b_dec"])}
    if config.architecture == "gated":
        return {**shared, "r_mag": zeros, "b_mag": zeros}
    if config.architecture == "jumprelu":
        return {**shared, "log_threshold": zeros + np.float32(math.log(config.kernel_bandwidth))}
    return shared


def top_k_options(config: SAETrainingConfig, d_in: int, n_steps: int) -> dict[str, Any]:
    """The numbers that the steps of the top-k family take."""
    assert config.k is not None
    aux_k = min(d_in // 2, config.d_sae) if config.aux_k is None else config.aux_k
    options = {"k": config.k, "aux_k": aux_k, "aux_coefficient": config.aux_coefficient}
    if config.architecture == "topk":
        return options
    return {**options, "prefixes": config.prefixes, "decay": threshold_decay(n_steps)}


def make_stepper(
    config: SAETrainingConfig,
    p: Parameters,
    m: Parameters,
    v: Parameters,
    silent: torch.Tensor,
    n_steps: int,
    fused: FusedUpdate | None = None,
) -> Stepper:
    """The step of the config's architecture where the weights lie: on the CPU kernels for all with a k, or autograd."""
    if config.architecture not in TOP_K_FAMILY or not runs_kernels(p.W_dec):
        return autograd_stepper(config, p, m, v, silent, n_steps, fused)
    kind = CPUStep if config.architecture == "topk" else BatchCPUStep
    options = top_k_options(config, p.W_dec.shape[-1], n_steps)
    return kind(p, m, v, silent, **options, threads=torch.get_num_threads())


def autograd_stepper(
    config: SAETrainingConfig,
    p: Parameters,
    m: Parameters,
    v: Parameters,
    silent: torch.Tensor,
    n_steps: int,
    fused: FusedUpdate | None = None,
) -> AutogradStep:
    """The step of the config's architecture under autograd, of one seed or of all along a leading axis."""
    made = _autograd_stepper(config, (p, m, v, silent), n_steps)
    made.precision, made.update = config.precision, fused or made.update
    return made


def _autograd_stepper(config: SAETrainingConfig, held: tuple[Any, ...], n_steps: int) -> AutogradStep:
    p = held[0]
    if config.architecture in TOP_K_FAMILY:
        kind = TorchStep if config.architecture == "topk" else BatchTopKStep
        return kind(*held, **top_k_options(config, p.W_dec.shape[-1], n_steps))
    penalty = {
        "coefficient": config.penalty_coefficient,
        "warmup_steps": round(config.sparsity_warmup * n_steps),
    }
    if config.architecture == "jumprelu":
        target, bandwidth = config.target_l0, config.kernel_bandwidth
        return JumpReLUStep(*held, **penalty, target_l0=target, bandwidth=bandwidth)
    kinds = {"relu": ReLUStep, "relu_2023": ReLU2023Step, "gated": GatedStep}
    return kinds[config.architecture](*held, **penalty)


def folded(config: SAETrainingConfig, p: Parameters, stepper: Stepper, scale: float) -> SparseAutoencoder:
    """The dictionary for raw activations.

    Every architecture is homogeneous in its inputs: with ``x`` scaled by s, biases and thresholds go by 1/s and
    the reconstruction comes out in units of x. A free decoder gives its norms to the encoder: ``norm * relu(pre)
    = relu(norm * pre)``; rows of norm 0 stay. What an activation does not tell, ``metadata`` does: the architecture
    it was trained as.
    """
    W_enc_rows, W_dec, b_enc = p.W_enc_rows, p.W_dec.clone(), p.b_enc / scale
    activation: Activation
    if config.architecture == "relu":
        norms = W_dec.norm(dim=1)
        norms = torch.where(norms > 0, norms, torch.ones_like(norms))
        W_enc_rows, W_dec, b_enc = W_enc_rows * norms[:, None], W_dec / norms[:, None], b_enc * norms
        activation = ReLU()
    elif config.architecture == "relu_2023":
        activation = ReLU()
    elif config.architecture == "jumprelu":
        activation = JumpReLU(p.extra["log_threshold"].exp() / scale)
    elif config.architecture == "gated":
        activation = Gated(b_enc, p.extra["b_mag"] / scale, p.extra["r_mag"].clone())
        b_enc = torch.zeros_like(b_enc)
    elif isinstance(stepper, RunningThreshold):
        activation = JumpReLU(stepper.threshold / scale)
    else:
        assert config.k is not None
        activation = TopK(config.k)
    return SparseAutoencoder(
        W_enc=W_enc_rows.T.contiguous(),
        b_enc=b_enc,
        W_dec=W_dec,
        b_dec=p.b_dec / scale,
        activation=activation,
        subtract_b_dec=config.architecture != "relu",
        metadata={} if config.architecture == "topk" else {"training_architecture": config.architecture},
    )
