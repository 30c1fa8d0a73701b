"""How a dictionary is trained, as a config that imports nothing heavy."""

from __future__ import annotations

from math import ceil
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, SerializationInfo, model_serializer, model_validator
from pydantic_core import PydanticKnownError

from universality.config import Frozen
from universality.errors import refusal
from universality.sae.architectures import ARCHITECTURES, SAEArchitecture
from universality.sae.stream import BUFFER_MB

#: Settings that came after the first dictionaries were stored: written only where they differ from these, so that
#: older keys stay. They must be the defaults, for what is left out is read as its default.
NEWER_SETTINGS = {"architecture": "topk", "precision": "float32", "buffer_mb": BUFFER_MB}
#: Context of ``model_dump`` for readers, who want these too.
RESOLVED = {"resolved": True}


def owners_of_settings() -> dict[str, list[str]]:
    """The architectures that have a setting, by the names of those settings that not all have."""
    owners: dict[str, list[str]] = {}
    for kind in ARCHITECTURES.values():
        for setting in kind.settings:
            owners.setdefault(setting, []).append(kind.name)
    return owners


def _registered(name: Any) -> Any:
    """The name of an architecture, or the error that pydantic has for a value that is not among the legal ones."""
    if isinstance(name, str) and name in ARCHITECTURES:
        return name
    *others, last = (repr(legal) for legal in ARCHITECTURES)
    raise PydanticKnownError("literal_error", {"expected": f"{', '.join(others)} or {last}"})


class SAETrainingConfig(Frozen):
    """A sparse autoencoder and its training; ``docs/DICTIONARIES.md`` has the losses and their papers."""

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

    architecture: Annotated[str, BeforeValidator(_registered)] = Field(
        "topk",
        description="What decides which latents fire.",
        json_schema_extra=lambda schema: schema.update(enum=list(ARCHITECTURES)),
    )
    matryoshka_prefixes: tuple[int, ...] | None = Field(
        None,
        description="matryoshka: rising numbers of first latents that must explain the data alone, the last d_sae; "
        "default d_sae / 16, / 8, / 4, / 2 and d_sae.",
    )
    encoder_norm: float = Field(
        0.3,
        gt=0,
        description="topk, batch_topk, matryoshka: norm of the encoder's rows at the start, which point along the "
        "decoder's unit rows; smaller ones learn faster.",
    )
    loss: Literal["root_fvu", "fvu"] = Field(
        "root_fvu",
        description="topk, batch_topk, matryoshka: what is minimised, 2 sqrt(fvu) or the papers' fvu. The root's "
        "gradient does not fade with the error, so that Adam's steps stay long in short trainings.",
    )
    l1_coefficient: float | None = Field(
        None, ge=0, description="relu, relu_2023 (default 5) and gated (required): weight of the L1 penalty."
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
        name = given.get("architecture", "topk") if isinstance(given, dict) else None
        kind = ARCHITECTURES.get(name) if isinstance(name, str) else None
        return given if kind is None else {**kind.optimiser, **given}

    @model_serializer(mode="wrap")
    def _only_what_counts(self, write: Any, info: SerializationInfo) -> dict[str, Any]:
        """Without the numbers of other architectures, so that they never change the key of an artifact.

        With the context :data:`RESOLVED`, every setting that the architecture has.
        """
        left_out = {name for name, owners in owners_of_settings().items() if self.architecture not in owners}
        if info.context != RESOLVED:
            left_out |= {name for name, usual in NEWER_SETTINGS.items() if getattr(self, name) == usual}
        return {name: value for name, value in write(self).items() if name not in left_out}

    @model_validator(mode="after")
    def _consistent(self) -> SAETrainingConfig:
        owners = owners_of_settings()
        for name in SAETrainingConfig.model_fields:
            got = getattr(self, name)
            foreign = name in owners and self.architecture not in owners[name]
            if foreign and name in self.model_fields_set and got is not None:
                remedy = f"Leave it out (null), or choose one of {owners[name]}."
                raise ValueError(f"{name} must be absent from {self.architecture}; got {got}. {remedy}")
        self.kind.check(self)
        return self

    @property
    def active_per_row(self) -> int:
        """``k``, where the architecture's check has seen that it is given."""
        assert self.k is not None
        return self.k

    @property
    def kind(self) -> SAEArchitecture:
        """What the architecture says of itself: its losses, its start, how it is saved."""
        return ARCHITECTURES[self.architecture]

    def check_device(self, device: str) -> None:
        """Refuse to train where the precision makes no sense.

        Raises:
            InputError: bfloat16 on the CPU.
        """
        if self.precision == "bfloat16" and device == "cpu":
            remedy = "Train on a GPU, or leave it out: products in bfloat16 are about 200 times slower here."
            raise refusal("precision", "a dictionary", "float32 on the CPU", "bfloat16", remedy)

    @property
    def penalty_coefficient(self) -> float:
        """The weight of the penalty in force; 0 for architectures without one."""
        return self.kind.penalty(self)

    def auxiliary_latents(self, d_in: int) -> int:
        """Dead latents that model the residual, at most, of dictionaries that read d_in numbers."""
        return min(d_in // 2, self.d_sae) if self.aux_k is None else self.aux_k

    def resampling(self, n_steps: int) -> dict[int, int]:
        """After which steps dead latents start afresh, and the rows without firing that make a latent dead there."""
        return self.kind.resampling(self, n_steps)

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
        return rule if self.kind.peak_lr is None else self.kind.peak_lr
