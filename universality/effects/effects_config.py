"""How much text effects are measured on, and which features are turned up."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from universality.config import Frozen


class SteeringConfig(Frozen):
    """Which features are turned up in every model, and how much text that is measured on."""

    clusters: int = Field(
        3,
        ge=1,
        description="universal clusters that are steered, at most: of every domain that its tokens tell the most "
        "selective one, the most selective of these first; chosen before any model is steered",
    )
    strengths: tuple[Annotated[float, Field(gt=0, le=100)], ...] = Field(
        (0.5, 1.0, 2.0, 4.0, 8.0),
        min_length=1,
        description="multiples of what a feature writes at the 95th percentile of its activation, beside none",
    )
    prompts: int = Field(12, ge=2, description="prompts from documents of other domains, at most")
    samples: int = Field(2, ge=1, description="continuations of each prompt")
    tokens: int = Field(24, ge=1, description="tokens of each continuation")
    random: int = Field(2, ge=1, description="random directions of equal norm beside each feature's")
    transfer_strengths: tuple[Annotated[float, Field(gt=0, le=100)], ...] = Field(
        (2.0,), min_length=1, description="strengths at which models are steered by each other's directions"
    )
    transfer_contexts: int = Field(8, ge=1, description="contexts on which that is measured")

    @model_validator(mode="after")
    def _strengths_differ(self) -> SteeringConfig:
        for name in ("strengths", "transfer_strengths"):
            values = list(getattr(self, name))
            if sorted(set(values)) != values:
                raise ValueError(f"{name} must rise; got {values}")
        return self


class EffectsConfig(Frozen):
    """What features do: their ablation on score rows, partners in their place, and some of them turned up."""

    rows: int = Field(
        200_000, ge=100, description="score rows, drawn at random, on which every latent that fires is ablated, at most"
    )
    rerun_rows: int = Field(
        2_048,
        ge=100,
        description="the same where the model must run again for every firing: before the end of the last block",
    )
    latents: int = Field(
        1_024,
        ge=16,
        description="there, latents of a dictionary that are ablated at most: those of assigned pairs first, half of "
        "these the pairs that do most to first order and half drawn from all levels alike",
    )
    per_latent: int = Field(
        64,
        ge=0,
        description="there, firings of each latent that are ablated at least, on other rows if need be: a third among "
        "its strongest tenth, a third from there to its median, a third below",
    )
    substitution_rows: int = Field(
        32_768, ge=100, description="of these rows those on which partners take each other's place, at most"
    )
    horizon: int = Field(
        16,
        ge=1,
        description="predictions over which a change is summed where attention carries it on",
    )
    probes: bool = Field(
        True,
        description="labels told from the text alone (digits, quotes, …): do partners of the best latents know them",
    )
    explanations: bool = Field(
        True,
        description="linear explanations of features from the last tokens: do they hold for the features' partners",
    )
    steering: SteeringConfig | None = Field(
        default_factory=lambda: SteeringConfig.model_validate({}),
        description="what the models write with a feature turned up; null leaves it out",
    )
