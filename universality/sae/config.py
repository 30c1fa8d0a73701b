"""How a dictionary is trained, as a config that imports nothing heavy."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, model_validator


class SAETrainingConfig(BaseModel):
    """A TopK sparse autoencoder and its training (Gao et al. 2024, "Scaling and evaluating sparse autoencoders")."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    d_sae: int = Field(ge=1, description="Number of latents.")
    k: int = Field(ge=1, description="Latents that may fire per row.")
    tokens: int = Field(ge=1, description="Rows to train on; more than there are means several passes.")
    batch_rows: int = Field(1024, ge=1, description="Rows per optimiser step.")
    lr: float | None = Field(
        None,
        gt=0,
        description="Peak learning rate of Adam; default 2e-4 * sqrt(16384 / d_sae), the paper's rule.",
    )
    betas: tuple[float, float] = Field((0.9, 0.999), description="Decay of Adam's two moments.")
    eps: float = Field(6.25e-10, gt=0, description="Adam's epsilon (the paper's).")
    warmup: float = Field(0.05, ge=0, le=1, description="Share of steps with a rising learning rate.")
    decay: float = Field(0.2, ge=0, le=1, description="Share of steps at the end in which it falls to 0.")
    aux_k: int | None = Field(
        None,
        ge=0,
        description="Dead latents that model the residual; default min(d_in // 2, d_sae); 0 for none.",
    )
    aux_coefficient: float = Field(1 / 32, ge=0, description="Weight of that auxiliary loss.")
    dead_after: int = Field(
        20_000, ge=1, description="Rows without firing after which a latent counts as dead in training."
    )
    normalise: bool = Field(
        True,
        description="Train on activations scaled to a mean norm of sqrt(d_in); folded into the weights after.",
    )

    @model_validator(mode="after")
    def _consistent(self) -> SAETrainingConfig:
        if self.k > self.d_sae:
            raise ValueError(f"k must be at most d_sae ({self.d_sae}); got {self.k}. Lower k.")
        return self

    @property
    def peak_lr(self) -> float:
        """The learning rate in force."""
        return self.lr if self.lr is not None else 2e-4 * (16384 / self.d_sae) ** 0.5
