"""Small transformers built from a seed, always as a TransformerLens ``TransformerBridge``."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
import transformer_lens.model_bridge.sources.native  # noqa: F401  (attaches TransformerBridge.boot_native)
from pydantic import BaseModel, ConfigDict, Field, model_validator
from transformer_lens.config import TransformerBridgeConfig
from transformer_lens.model_bridge import TransformerBridge

from universality.errors import InputError, must_be


class TransformerConfig(BaseModel):
    """Shape of a transformer; every field has the meaning it has in ``TransformerBridgeConfig``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    n_layers: int = Field(1, ge=1, description="Number of blocks.")
    d_model: int = Field(64, ge=1, description="Width of the residual stream.")
    n_heads: int = Field(4, ge=1, description="Attention heads per block.")
    d_head: int | None = Field(None, ge=1, description="Width of one head; default d_model // n_heads.")
    d_mlp: int | None = Field(None, ge=1, description="Width of the MLP; default 4 d_model.")
    d_vocab: int = Field(2048, ge=2, description="Number of token ids, special tokens included.")
    n_ctx: int = Field(128, ge=2, description="Longest context in tokens.")
    act_fn: Literal["relu", "gelu", "gelu_new", "silu", "solu", "solu_ln"] = Field(
        "relu", description="Activation function of the MLP."
    )
    normalization_type: Literal["LN", "LNPre", "RMS", "RMSPre"] | None = Field(
        "LN", description="Normalisation of blocks and output; the Pre kinds carry no parameters."
    )
    positional_embedding_type: Literal["standard", "rotary"] = Field(
        "standard", description="Learned absolute positions, or rotary."
    )
    attn_only: bool = Field(False, description="Leave the MLPs out.")
    gated_mlp: bool = Field(False, description="Gated MLP (SwiGLU and kin) instead of the plain one.")
    n_key_value_heads: int | None = Field(None, ge=1, description="Fewer key-value heads than heads.")
    rotary_dim: int | None = Field(None, ge=2, description="Rotated part of a head; default all of it.")
    rotary_base: int = Field(10_000, ge=1, description="Base of the rotary frequencies.")
    final_rms: bool = Field(False, description="RMS as the last normalisation whatever the blocks use.")
    eps: float = Field(1e-5, gt=0, description="Added to the variance in every normalisation.")
    attn_scores_soft_cap: float = Field(-1.0, description="Soft cap of attention scores; -1 is none.")
    output_logits_soft_cap: float = Field(-1.0, description="Soft cap of logits; -1 is none.")
    init_mode: Literal["gpt2", "xavier_uniform", "xavier_normal", "kaiming_uniform", "kaiming_normal"] = (
        Field("gpt2", description="Family of the initial weights.")
    )
    initializer_range: float = Field(
        -1.0, description="Scale of the initial weights; -1 takes 0.8 / sqrt(d_model) under gpt2, else 1."
    )

    @model_validator(mode="after")
    def _heads_fit(self) -> TransformerConfig:
        if self.d_head is None and self.d_model % self.n_heads:
            raise ValueError(
                must_be(
                    "n_heads",
                    "TransformerConfig",
                    f"a divisor of d_model ({self.d_model}) when d_head is not given",
                    self.n_heads,
                    "Change n_heads or give d_head.",
                )
            )
        return self

    def bridge_config(self, model_seed: int | None = None) -> TransformerBridgeConfig:
        """The same shape as TransformerLens wants it, with the seed of the initial weights."""
        shape = self.model_dump()
        shape["d_head"] = self.d_head or self.d_model // self.n_heads
        shape["d_mlp"] = self.d_mlp or 4 * self.d_model
        return TransformerBridgeConfig(**shape, seed=model_seed)


def build(config: TransformerConfig, model_seed: int, *, device: str = "cpu") -> TransformerBridge:
    """Build a freshly initialised transformer.

    Args:
        config: the shape.
        model_seed: seed of the initial weights only; nothing global is seeded or read.
        device: where the weights go; they are drawn on the CPU, so equal on every device.

    Returns:
        A bridge in evaluation mode; equal arguments give equal weights.
    """
    return TransformerBridge.boot_native(config.bridge_config(model_seed), device=device).eval()


def weights(model: TransformerBridge) -> dict[str, np.ndarray]:
    """Copy all weights out, under TransformerLens's own names (``blocks.0.mlp.in.weight`` …)."""
    return {name: value.detach().cpu().numpy().copy() for name, value in model.state_dict().items()}


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
        raise InputError(
            must_be(
                f"weight {name!r}",
                "the transformer",
                f"of shape {own.get(name, 'none (unknown name)')}",
                f"{given.get(name, 'nothing')} ({len(wrong)} weights differ)",
                "Build the model with the config that these weights were saved with.",
            )
        )
    model.load_state_dict({name: torch.from_numpy(np.array(value)) for name, value in tensors.items()})
