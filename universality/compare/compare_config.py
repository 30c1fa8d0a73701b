"""Settings of a comparison: what counts as alive, as matched, as the same."""

from __future__ import annotations

from pydantic import Field

from universality.config import Frozen

#: How far below tau r on the fit rows, and r without its strongest source, may lie: both are noisier than the whole.
EDGE_SLACK = 0.1
#: Effective sources below which few vouch for a pair.
MIN_SOURCES = 5
#: Margin, in r, below which the partner is one of a family of like latents rather than the one.
FAMILY_MARGIN = 0.05
#: Rows of prior weight in a cell (token within domain, pair of tokens, token at a position) whose effect is estimated
#: on fit rows.
SHRINKAGE = 3.0


class CompareConfig(Frozen):
    """Science settings of a comparison. Each of them may change a table; workers and threads may not."""

    tau: float = Field(0.5, gt=0, lt=1, description="held-out r from which two latents count as one feature, 0..1")
    min_firings: int = Field(
        20,
        ge=2,
        description="firings on the fit rows and again on the score rows that make a latent alive; of 1,000 "
        "unrelated candidates on 100k rows the best reached r = 0.67 below 5 firings, 0.35 below 10, 0.25 from 20",
    )
    n_shifts: int = Field(20, ge=10, description="shifts of one model's documents against the other's, per null")
    top: int = Field(64, ge=5, description="candidates kept per latent, both ways")
    method: str = Field(
        "assignment",
        pattern="^(assignment|max|mutual|sinkhorn)$",
        description="how partners are chosen: one-to-one of maximum weight, one-sided, mutual, or soft",
    )
    unmatched: float = Field(0.0, description="similarity below which a latent stays alone")
    alpha: float = Field(0.05, gt=0, lt=1, description="false-discovery rate of edges and of the domain test")
    min_stratum_latents: int = Field(200, ge=1, description="latents pooled in a stratum of the null, at least")
    min_stratum_values: int = Field(2_000, ge=1, description="null values pooled in a stratum, at least")
    n_resamples: int = Field(200, ge=20, description="bootstrap resamples of sources behind every interval")
    n_resplits: int = Field(
        20,
        ge=0,
        description="other ways to deal the sources to the two halves, behind probabilities of classes and groups",
    )
    confidence: float = Field(0.95, gt=0, lt=1, description="level of the intervals")

    dense_rate: float = Field(0.1, gt=0, le=1, description="firing rate above which a latent is flagged dense")
    single_token_share: float = Field(
        0.9, gt=0, le=1, description="share of activation mass on one token id that flags single_token"
    )
    positional_share: float = Field(
        0.8, gt=0, le=1, description="share of variance explained by position means that flags positional"
    )

    split_pieces: int = Field(5, ge=2, le=16, description="latents that may make up another, at most")
    split_candidates: int = Field(
        12, ge=2, le=64, description="candidates that a split is searched among: the best by fit r"
    )
    split_gain: float = Field(0.1, ge=0, le=1, description="R² that a split adds to its best single latent")
    split_piece_share: float = Field(
        0.05, ge=0, lt=1, description="share of the explained variance below which a latent is no piece"
    )
    probe_share: float = Field(
        0.8,
        gt=0,
        le=1,
        description="share of the own model's probe r that makes a feature decodable elsewhere",
    )
    probe_ridge: float = Field(1e-3, gt=0, description="ridge of the probes, in mean variances of a raw coordinate")
    probe_floor: float = Field(
        0.2, ge=0, le=1, description="own-model probe r below which a probe is no evidence for anything"
    )
    n_rotations: int = Field(5, ge=1, description="random rotations of the raw basis behind excess correlation")
    taus: tuple[float, ...] = Field(
        (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9), min_length=1, description="thresholds of the tau curve"
    )
