"""Small transformers built from a seed, always as a TransformerLens ``TransformerBridge``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from transformer_lens.config import TransformerBridgeConfig
from transformer_lens.model_bridge import TransformerBridge
from transformer_lens.model_bridge.sources.native import boot as boot_native

from universality.errors import refusal
from universality.seeds import generator
from universality.transformers.transformer_config import TransformerConfig


def bridge_config(config: TransformerConfig, model_seed: int | None = None) -> TransformerBridgeConfig:
    """The same shape as TransformerLens wants it, with the seed of the initial weights."""
    shape = config.model_dump()
    shape["d_head"] = config.d_head or config.d_model // config.n_heads
    shape["d_mlp"] = config.d_mlp or 4 * config.d_model
    return TransformerBridgeConfig(**shape, seed=model_seed)


def build(config: TransformerConfig, model_seed: int, *, device: str = "cpu") -> TransformerBridge:
    """Build a freshly initialised transformer.

    Args:
        config: the shape.
        model_seed: seed of the initial weights only (torch's generator uses its low 32 bits); nothing global is
            seeded or read.
        device: where the weights go; they are drawn on the CPU, so equal on every device.

    Returns:
        A bridge in evaluation mode; equal arguments give equal weights.
    """
    return boot_native(bridge_config(config, model_seed), device=device).eval()


def restored(config: Mapping[str, Any], tensors: dict[str, np.ndarray], *, device: str = "cpu") -> TransformerBridge:
    """The transformer whose shape and weights were stored.

    Args:
        config: fields of :class:`TransformerConfig`.
        tensors: as :func:`weights` returned them.
        device: where the weights go.

    Returns:
        A bridge in evaluation mode.

    Raises:
        InputError: the weights are not those of such a transformer.
    """
    model = build(TransformerConfig(**config), 0, device=device)
    load_weights(model, tensors)
    return model


def weights(model: TransformerBridge) -> dict[str, np.ndarray]:
    """Copy all weights out, under TransformerLens's own names (``blocks.0.mlp.in.weight`` …)."""
    return {name: value.detach().cpu().numpy().copy() for name, value in model.state_dict().items()}


def shuffle_weights(model: Any, seed: int) -> None:
    """Permute the entries within every weight tensor, in place: a floor that keeps each tensor's distribution.

    Random initial weights are small and Gaussian; trained ones are neither. What two shuffled models share, they
    owe to the architecture, the text and the sizes of the weights, not to anything learned.

    Args:
        model: a bridge, native or pretrained; tied weights stay tied.
        seed: each tensor's permutation derives from it and the tensor's name.

    Source: ours.
    """
    # Named as in :func:`weights`; buffers (masks) stay, and tied weights are permuted once.
    left = {weight.data_ptr() for weight in model.parameters()}
    with torch.no_grad():
        for name, weight in model.state_dict().items():
            if weight.data_ptr() in left:
                left.remove(weight.data_ptr())
                order = generator(seed, "shuffle-weights", name).permutation(weight.numel())
                weight.copy_(weight.flatten()[torch.from_numpy(order).to(weight.device)].view_as(weight))


def load_weights(model: TransformerBridge, tensors: dict[str, np.ndarray]) -> None:
    """Copy weights in, inverse of :func:`weights`.

    Raises:
        InputError: names or shapes differ from the model's; build the model with the config that the
            weights were saved with.
    """
    own = {name: tuple(value.shape) for name, value in model.state_dict().items()}
    given = {name: tuple(value.shape) for name, value in tensors.items()}
    if own != given:
        wrong = sorted(name for name in own.keys() | given.keys() if own.get(name) != given.get(name))
        name = wrong[0]
        legal = f"of shape {own.get(name, 'none (unknown name)')}"
        got = f"{given.get(name, 'nothing')} ({len(wrong)} weights differ)"
        remedy = "Build the model with the config that these weights were saved with."
        raise refusal(f"weight {name!r}", "the transformer", legal, got, remedy)
    model.load_state_dict({name: torch.from_numpy(np.array(value)) for name, value in tensors.items()})
