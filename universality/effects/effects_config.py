"""How many rows effects are measured on."""

from __future__ import annotations

from pydantic import Field

from universality.config import Frozen


class EffectsConfig(Frozen):
    """What features do: their ablation on score rows, and partners in their place."""

    rows: int = Field(
        200_000, ge=100, description="score rows, drawn at random, on which every latent that fires is ablated, at most"
    )
    rerun_rows: int = Field(
        2_048,
        ge=100,
        description="the same where the model must run again for every firing: before the end of the last block",
    )
    substitution_rows: int = Field(
        32_768, ge=100, description="of these rows those on which partners take each other's place, at most"
    )
    horizon: int = Field(
        16,
        ge=1,
        description="predictions over which a change is summed where attention carries it on",
    )
