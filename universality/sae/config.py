"""How a dictionary is trained, as a config that imports nothing heavy."""

from __future__ import annotations

from itertools import pairwise
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

SAEArchitecture = Literal["topk", "batch_topk", "matryoshka", "relu", "gated", "jumprelu"]
TOP_K_FAMILY = ("topk", "batch_topk", "matryoshka")
#: Numbers that only some architectures have.
BELONGS: dict[str, tuple[str, ...]] = {
    "k": TOP_K_FAMILY,
    "aux_k": TOP_K_FAMILY,
    "matryoshka_prefixes": ("matryoshka",),
    "l1_coefficient": ("relu", "gated"),
    "l0_coefficient": ("jumprelu",),
    "target_l0": ("jumprelu",),
    "bandwidth": ("jumprelu",),
}
#: Peak learning rates of the papers without a rule for the size.
PEAK_LR = {"relu": 5e-5, "gated": 3e-4, "jumprelu": 7e-5}


class SAETrainingConfig(BaseModel):
    """A sparse autoencoder and its training; ``docs/DICTIONARIES.md`` has the losses and their papers."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    d_sae: int = Field(ge=1, description="Number of latents.")
    k: int | None = Field(
        None,
        ge=1,
        description="Latents that may fire per row; in the mean over a batch for batch_topk and matryoshka. "
        "Required by these and topk, unknown to the others.",
    )
    tokens: int = Field(ge=1, description="Rows to train on; more than there are means several passes.")
    batch_rows: int = Field(1024, ge=1, description="Rows per optimiser step.")
    lr: float | None = Field(
        None,
        gt=0,
        description="Peak learning rate of Adam; default 2e-4 * sqrt(16384 / d_sae), the rule of the TopK paper; "
        "5e-5 for relu, 3e-4 for gated, 7e-5 for jumprelu.",
    )
    betas: tuple[float, float] = Field(
        (0.9, 0.999),
        description="Decay of Adam's two moments; [0, 0.999] for gated and jumprelu unless given.",
    )
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

    architecture: SAEArchitecture = Field("topk", description="What decides which latents fire.")
    matryoshka_prefixes: tuple[int, ...] | None = Field(
        None,
        description="matryoshka: rising numbers of first latents that must explain the data alone, the last d_sae; "
        "default d_sae / 16, / 8, / 4, / 2 and d_sae.",
    )
    l1_coefficient: float | None = Field(
        None, ge=0, description="relu (default 5) and gated (required): weight of the L1 penalty."
    )
    l0_coefficient: float | None = Field(
        None, ge=0, description="jumprelu: weight of the L0 penalty; default 1 with a target, else required."
    )
    target_l0: float | None = Field(
        None, gt=0, description="jumprelu: wanted latents per row; without it the penalty is l0 itself."
    )
    bandwidth: float | None = Field(
        None,
        gt=0,
        description="jumprelu: width of the straight-through kernel, and threshold at the start, on inputs of mean "
        "squared norm 1; default 0.001 (the paper's, for billions of tokens: short trainings want more).",
    )
    sparsity_warmup: float = Field(
        0.05, ge=0, le=1, description="relu, gated, jumprelu: share of steps with a rising penalty."
    )

    @model_validator(mode="before")
    @classmethod
    def _paper_betas(cls, given: Any) -> Any:
        if isinstance(given, dict) and given.get("architecture") in ("gated", "jumprelu"):
            return {"betas": (0.0, 0.999), **given}
        return given

    @model_validator(mode="after")
    def _consistent(self) -> SAETrainingConfig:
        kind = self.architecture
        for name, owners in BELONGS.items():
            if getattr(self, name) is not None and kind not in owners:
                remedy = f"Leave it out (null), or choose one of {list(owners)}."
                raise ValueError(f"{name} must be absent from {kind}; got {getattr(self, name)}. {remedy}")
        if kind in TOP_K_FAMILY:
            if self.k is None:
                raise ValueError(
                    f"k must be given for {kind}; got nothing. Say how many latents may fire per row."
                )
            if self.k > self.d_sae:
                raise ValueError(f"k must be at most d_sae ({self.d_sae}); got {self.k}. Lower k.")
        if kind == "gated" and self.l1_coefficient is None:
            raise ValueError(
                "l1_coefficient must be given for gated; got nothing. Start at 0.1 and look at l0."
            )
        if kind == "jumprelu" and self.target_l0 is None and self.l0_coefficient is None:
            remedy = "Say how many latents should fire per row, or what one costs."
            raise ValueError(f"target_l0 or l0_coefficient must be given for jumprelu; got neither. {remedy}")
        if kind == "jumprelu" and (self.target_l0 or 0) > self.d_sae:
            raise ValueError(
                f"target_l0 must be at most d_sae ({self.d_sae}); got {self.target_l0}. Lower it."
            )
        sizes = self.matryoshka_prefixes
        if sizes is not None and not (sizes and sizes[0] >= 1 and _rising(sizes) and sizes[-1] == self.d_sae):
            wanted = f"rising from at least 1 to d_sae ({self.d_sae})"
            raise ValueError(
                f"matryoshka_prefixes must be {wanted}; got {list(sizes)}. Sort them, end with d_sae."
            )
        return self

    @property
    def prefixes(self) -> tuple[int, ...]:
        """The nested dictionaries in force; for all but matryoshka the whole alone."""
        if self.architecture != "matryoshka":
            return (self.d_sae,)
        halves = (self.d_sae >> power for power in (4, 3, 2, 1, 0))
        return self.matryoshka_prefixes or tuple(sorted({size for size in halves if size}))

    @property
    def penalty_coefficient(self) -> float:
        """The weight of the penalty in force; 0 for the top-k family."""
        defaults = {"relu": 5.0, "jumprelu": 1.0}
        given = self.l0_coefficient if self.architecture == "jumprelu" else self.l1_coefficient
        return given if given is not None else defaults.get(self.architecture, 0.0)

    @property
    def kernel_bandwidth(self) -> float:
        """The bandwidth in force."""
        return 0.001 if self.bandwidth is None else self.bandwidth

    @property
    def expected_l0(self) -> float:
        """Latents per row to plan with: k, the target, or 64 where only training tells; at most d_sae."""
        return min(float(self.k or self.target_l0 or 64), float(self.d_sae))

    @property
    def peak_lr(self) -> float:
        """The learning rate in force."""
        if self.lr is not None:
            return self.lr
        return PEAK_LR.get(self.architecture, 2e-4 * (16384 / self.d_sae) ** 0.5)


def _rising(sizes: tuple[int, ...]) -> bool:
    return all(a < b for a, b in pairwise(sizes))
