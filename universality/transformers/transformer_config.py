"""Shape and training of a transformer, as configs that import nothing heavy."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Literal

from pydantic import Field, model_validator

from universality.config import Frozen
from universality.errors import must_be, refusal
from universality.transformers.hook_points import Shape

Precision = Literal["float32", "tf32", "bfloat16"]
"""Of the products of matrices on a GPU: factors of 24, 11 or 8 bits."""
COMPILED_FROM = 3e15
"""Float operations of a training from which on the step is compiled on a GPU: fewer take it about a minute."""


def is_compiled(n_parameters: int, tokens: int) -> bool:
    """Whether a training of so many tokens on a GPU is long enough to compile its step."""
    return 6 * n_parameters * tokens > COMPILED_FROM


class TransformerConfig(Frozen):
    """Shape of a transformer; every field has the meaning it has in ``TransformerBridgeConfig``."""

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
    init_mode: Literal["gpt2", "xavier_uniform", "xavier_normal", "kaiming_uniform", "kaiming_normal"] = Field(
        "gpt2", description="Family of the initial weights."
    )
    initializer_range: float = Field(
        -1.0, description="Scale of the initial weights; -1 takes 0.8 / sqrt(d_model) under gpt2, else 1."
    )

    @property
    def widths(self) -> Shape:
        """What the widths at hook points follow from."""
        d_mlp, d_head = self.d_mlp or 4 * self.d_model, self.d_head or self.d_model // self.n_heads
        keys = self.n_key_value_heads or self.n_heads
        return Shape(self.n_layers, self.d_model, d_mlp, self.n_heads, keys, d_head, self.d_vocab)

    @model_validator(mode="after")
    def _heads_fit(self) -> TransformerConfig:
        if self.d_head is None and self.d_model % self.n_heads:
            legal = f"a divisor of d_model ({self.d_model}) when d_head is not given"
            remedy = "Change n_heads or give d_head."
            raise ValueError(must_be("n_heads", "TransformerConfig", legal, self.n_heads, remedy))
        return self


class TrainingConfig(Frozen):
    """How a transformer is trained."""

    tokens: int = Field(1_000_000, ge=1, description="Training tokens, rounded up to whole batches.")
    batch_contexts: int = Field(16, ge=1, description="Contexts per optimiser step.")
    lr: float = Field(3e-3, gt=0, description="Peak learning rate.")
    betas: tuple[float, float] = Field((0.9, 0.98), description="Decay of AdamW's two moments.")
    eps: float = Field(1e-8, gt=0, description="AdamW's epsilon.")
    weight_decay: float = Field(0.01, ge=0, description="Decoupled weight decay of the matrices.")
    warmup: float = Field(0.05, ge=0, le=1, description="Share of steps with a rising learning rate.")
    decay: Literal["cosine", "linear", "none"] = Field("cosine", description="Shape of the fall to final_lr.")
    final_lr: float = Field(0.1, ge=0, le=1, description="Learning rate at the end, as a share of lr.")
    gradient_clip: float = Field(1.0, ge=0, description="Largest gradient norm; 0 clips nothing.")
    precision: Precision = Field(
        "float32",
        # Unsaid it stands nowhere: keys of earlier trainings stay.
        exclude_if=lambda precision: precision == "float32",
        description="Matrix products on a GPU: with factors of 24, 11 or 8 bits. Weights, losses and AdamW are "
        "float32 in all.",
    )

    def n_steps(self, n_ctx: int) -> int:
        """Optimiser steps over contexts of ``n_ctx`` tokens."""
        return max(1, math.ceil(self.tokens / (self.batch_contexts * n_ctx)))

    def steps_at(self, fractions: Iterable[float], n_ctx: int) -> list[int]:
        """After how many of them fractions of the training tokens were seen, to the nearest step."""
        return [round(fraction * self.n_steps(n_ctx)) for fraction in fractions]

    def check_device(self, device: str) -> None:
        """Refuse to train where the precision makes no sense.

        Raises:
            InputError: tf32 or bfloat16 on the CPU.
        """
        if self.precision != "float32" and device == "cpu":
            remedy = "Train on a GPU (--device cuda), or leave it out: the CPU is no faster for it, or far slower."
            raise refusal("precision", "models.training", "float32 on the CPU", self.precision, remedy)
