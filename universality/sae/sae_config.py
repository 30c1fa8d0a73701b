"""How a dictionary is trained, as a config that imports nothing heavy."""

from __future__ import annotations

from itertools import pairwise
from math import ceil
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SerializationInfo, model_serializer, model_validator

from universality.errors import InputError, must_be

SAEArchitecture = Literal["topk", "batch_topk", "matryoshka", "relu", "relu_2023", "gated", "jumprelu"]
TOP_K_FAMILY = ("topk", "batch_topk", "matryoshka")
#: Numbers that only some architectures have; the others neither take nor write them.
BELONGS: dict[str, tuple[str, ...]] = {
    "k": TOP_K_FAMILY,
    "aux_k": TOP_K_FAMILY,
    "matryoshka_prefixes": ("matryoshka",),
    "l1_coefficient": ("relu", "relu_2023", "gated"),
    "resample_at": ("relu_2023",),
    "l0_coefficient": ("jumprelu",),
    "target_l0": ("jumprelu",),
    "bandwidth": ("jumprelu",),
    "sparsity_warmup": ("relu", "relu_2023", "gated", "jumprelu"),
}
#: Settings that came later: written only where they are not these, so that older keys stay.
BUFFER_MB = 256
LATER = {"architecture": "topk", "precision": "float32", "buffer_mb": BUFFER_MB}
#: Context of ``model_dump`` for readers, who want these too.
RESOLVED = {"resolved": True}
#: Peak learning rates without a rule for the size; where each comes from is in ``docs/DICTIONARIES.md``.
PEAK_LR = {"relu": 5e-5, "relu_2023": 1e-3, "gated": 3e-4, "jumprelu": 7e-5}


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
        "5e-5 for relu, 1e-3 for relu_2023, 3e-4 for gated, 7e-5 for jumprelu: rates for long trainings, so give "
        "short ones their own.",
    )
    betas: tuple[float, float] = Field(
        (0.9, 0.999),
        description="Decay of Adam's two moments; [0, 0.999] for gated and jumprelu unless given.",
    )
    eps: float = Field(
        6.25e-10,
        gt=0,
        description="Adam's epsilon (the TopK paper's); 1e-8 unless given for all that have no k.",
    )
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
        description="Train on activations scaled to a mean norm of sqrt(d_in) (gated, jumprelu: a mean squared "
        "norm of 1); folded into the weights after.",
    )

    architecture: SAEArchitecture = Field("topk", description="What decides which latents fire.")
    matryoshka_prefixes: tuple[int, ...] | None = Field(
        None,
        description="matryoshka: rising numbers of first latents that must explain the data alone, the last d_sae; "
        "default d_sae / 16, / 8, / 4, / 2 and d_sae.",
    )
    l1_coefficient: float | None = Field(
        None,
        ge=0,
        description="relu, relu_2023 (default 5) and gated (required): weight of the L1 penalty.",
    )
    resample_at: tuple[float, ...] | None = Field(
        None,
        description="relu_2023: rising shares of the training, between 0 and 1, after which dead latents start afresh "
        "from rows that are explained badly; default 0.2, 0.4, 0.6; [] for never.",
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
        "squared norm 1; default 0.1 (the paper's is 0.001, for billions of tokens).",
    )
    sparsity_warmup: float = Field(
        0.05,
        ge=0,
        le=1,
        description="relu, relu_2023, gated, jumprelu: share of steps with a rising penalty.",
    )
    precision: Literal["float32", "bfloat16"] = Field(
        "float32",
        description="Matrix products of the training: bfloat16 is for a GPU alone. Selection, losses, weights and Adam "
        "are float32 in both.",
    )
    buffer_mb: int = Field(
        BUFFER_MB,
        ge=1,
        description="Megabytes of rows, as float32, that are shuffled together; more of them mix batches better.",
    )

    @model_validator(mode="before")
    @classmethod
    def _adam_of_the_paper(cls, given: Any) -> Any:
        if not isinstance(given, dict) or given.get("architecture", "topk") in TOP_K_FAMILY:
            return given
        betas = {"betas": (0.0, 0.999)} if given["architecture"] in ("gated", "jumprelu") else {}
        return {"eps": 1e-8, **betas, **given}

    @model_serializer(mode="wrap")
    def _only_what_counts(self, write: Any, info: SerializationInfo) -> dict[str, Any]:
        """Without the numbers of other architectures, so that they never change the key of an artifact.

        With the context :data:`RESOLVED`, every setting that the architecture has.
        """
        foreign = {name for name, owners in BELONGS.items() if self.architecture not in owners}
        if info.context != RESOLVED:
            foreign |= {name for name, usual in LATER.items() if getattr(self, name) == usual}
        return {name: value for name, value in write(self).items() if name not in foreign}

    @model_validator(mode="after")
    def _consistent(self) -> SAETrainingConfig:
        kind = self.architecture
        for name, owners in BELONGS.items():
            if name in self.model_fields_set and getattr(self, name) is not None and kind not in owners:
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
        shares = self.resample_at
        if shares and not (shares[0] > 0 and _rising(shares) and shares[-1] < 1):
            raise ValueError(
                f"resample_at must be rising between 0 and 1; got {list(shares)}. They are shares of the training."
            )
        return self

    def check_device(self, device: str) -> None:
        """Refuse to train where the precision makes no sense.

        Raises:
            InputError: bfloat16 on the CPU.
        """
        if self.precision == "bfloat16" and device == "cpu":
            remedy = "Train on a GPU, or leave it out: products in bfloat16 are about 200 times slower here."
            raise InputError(must_be("precision", "a dictionary", "float32 on the CPU", "bfloat16", remedy))

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
        defaults = {"relu": 5.0, "relu_2023": 5.0, "jumprelu": 1.0}
        given = self.l0_coefficient if self.architecture == "jumprelu" else self.l1_coefficient
        return given if given is not None else defaults.get(self.architecture, 0.0)

    @property
    def kernel_bandwidth(self) -> float:
        """The bandwidth in force."""
        return 0.1 if self.bandwidth is None else self.bandwidth

    def resampling(self, n_steps: int) -> dict[int, int]:
        """After which steps dead latents start afresh, and the rows without firing that make a latent dead there.

        These are half the rows since the last such step, or since the start (Bricken et al. 2023: 12,500 of 25,000
        steps).
        """
        if self.architecture != "relu_2023":
            return {}
        shares = (0.2, 0.4, 0.6) if self.resample_at is None else self.resample_at
        steps = sorted({round(share * n_steps) for share in shares} - {0, n_steps})
        return {step: max(1, (step - last) * self.batch_rows // 2) for last, step in pairwise((0, *steps))}

    @property
    def n_steps(self) -> int:
        """Optimiser steps of the whole training."""
        return max(1, ceil(self.tokens / self.batch_rows))

    @property
    def buffer_bytes(self) -> int:
        """The shuffle buffer in bytes."""
        return self.buffer_mb * 1_000_000

    @property
    def expected_l0(self) -> float:
        """Latents per row to plan with: k, the target, or 64 where only training tells; at most d_sae."""
        return min(float(self.k or self.target_l0 or 64), float(self.d_sae))

    @property
    def peak_lr(self) -> float:
        """The learning rate in force."""
        if self.lr is not None:
            return self.lr
        rule: float = 2e-4 * (16384 / self.d_sae) ** 0.5
        return PEAK_LR.get(self.architecture, rule)


def _rising(sizes: tuple[float, ...]) -> bool:
    return all(a < b for a, b in pairwise(sizes))
