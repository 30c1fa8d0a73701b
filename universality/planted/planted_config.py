"""Sizes, rates and noise of a planted world."""

from __future__ import annotations

from pydantic import Field

from universality.config import Frozen


class PlantConfig(Frozen):
    """What is planted. Counts named ``per model`` are drawn anew for every model."""

    n_models: int = Field(3, ge=2, description="models m0, m1, …")
    n_untrained: int = Field(2, ge=0, description="untrained models u0, u1, …: token and position latents only")
    n_rows: int = Field(60_000, ge=1_000, description="tokens that every model reads")
    n_documents: int = Field(400, ge=4, description="documents of log-normal length")
    n_domains: int = Field(6, ge=1, description="domains; each document has one")
    n_sources: int | None = Field(
        None,
        ge=2,
        description="groups of consecutive documents of one domain; None: each document is its own",
    )
    d_vocab: int = Field(1_000, ge=20, description="token ids, Zipf-distributed, half of them by domain")
    n_ctx: int = Field(64, ge=4, description="length of a context in tokens")

    n_universal: int = Field(60, ge=0, description="features of all models")
    n_shared: int = Field(30, ge=0, description="features of two models up to all but one (none with two models)")
    n_specific: int = Field(60, ge=0, description="per model: features of one model, also in its replicate")
    n_unstable: int = Field(10, ge=0, description="per model: features of one model, not in its replicate")
    n_decodable: int = Field(10, ge=0, description="per model: latent in one model, in the raw basis of all")
    n_split: int = Field(6, ge=0, description="wholes: one latent in one model, n_pieces latents in the others")
    n_pieces: int = Field(5, ge=2, le=5, description="pieces of a split whole; each event goes to one piece")
    n_twin: int = Field(0, ge=0, description="pairs of features of all models that share most of their events")
    twin_overlap: float = Field(0.7, ge=0, lt=1, description="share of the events of both twins that is common to them")
    n_domain: int = Field(6, ge=0, description="decoys that share only a domain: independent given its label")
    n_token: int = Field(10, ge=0, description="decoys that share only a token id: independent given the id")
    n_position: int = Field(2, ge=0, description="decoys that share only a position in the context")
    n_document: int = Field(
        0,
        ge=0,
        description="decoys that share only a few documents, of no one domain: independent given these",
    )
    document_spread: int = Field(16, ge=2, description="documents that such a decoy lives in")
    document_density: float = Field(
        0.3, gt=0, le=1, description="share of the rows of these documents in which it fires"
    )
    n_token_in_domain: int = Field(0, ge=0, description="decoys that share a token id within one domain alone")
    n_token_in_documents: int = Field(
        0, ge=0, description="decoys that share a set of token ids within document_spread documents alone"
    )
    n_token_or_documents: int = Field(
        0,
        ge=0,
        description="decoys that share a token id or a few documents with as many rows, whichever is there",
    )
    n_token_x_position: int = Field(
        0, ge=0, description="decoys that share a token id at a quarter of the positions of a context alone"
    )
    n_bigram: int = Field(0, ge=0, description="decoys that share a token id after a given token id")
    n_end_of_document: int = Field(0, ge=0, description="decoys that share the last rows of every document")
    n_outlier_rows: int = Field(
        0,
        ge=0,
        description="per model: features of one model that are loud in three rows of one score document, "
        "the same for all of them",
    )
    n_sink_rows: int = Field(
        0,
        ge=0,
        description="per model: features of one model that are loud in the first row of every document or context",
    )
    loudness: float = Field(50.0, gt=1, description="activation in these rows, in those of other rows")

    n_copied: int = Field(0, ge=0, description="features of all models, n_copies latents in one of them")
    n_copies: int = Field(3, ge=2, description="latents of a feature where it has redundant copies")
    n_absorbed: int = Field(
        0,
        ge=0,
        description="features that miss, in one model, the events of a more special one of all models",
    )
    absorbed_share: float = Field(0.3, gt=0, lt=1, description="share of the events that the special one has")
    n_dominant: int = Field(0, ge=0, description="wholes of which one piece has dominant_share of the events")
    dominant_share: float = Field(0.8, gt=0.5, lt=1, description="its share; two other pieces have the rest")
    n_family: int = Field(0, ge=0, description="groups of features of all models, near-duplicates of each other")
    family_size: int = Field(3, ge=2, description="features in such a group")
    family_overlap: float = Field(0.96, ge=0, lt=1, description="share of their events that is common to all")
    n_heavy: int = Field(0, ge=0, description="features of all models whose strength has a heavy tail")
    heavy_sigma: float = Field(1.5, gt=0, description="s.d. of the log of that strength (0.3 elsewhere)")

    n_dead: int = Field(4, ge=0, description="per model: latents that never fire")
    n_rare: int = Field(4, ge=0, description="per model: latents that fire three times")

    max_rate: float = Field(0.03, gt=0, le=0.2, description="firing rate of the most frequent feature")
    min_rate: float = Field(0.004, gt=0, description="firing rate of the least frequent; Zipf between")
    burst: float = Field(
        0.15,
        gt=0,
        description="shape of the Gamma intensity over documents for every second feature (small: few documents)",
    )
    source_shape: float | None = Field(
        None,
        gt=0,
        description="shape of two Gamma intensities over sources, drawn for every context feature: of its rate, "
        "and of what dictionaries miss and add; None: sources do not differ",
    )
    noise: float = Field(0.2, ge=0, description="s.d. of the log of each model's own gain per firing")
    miss: float = Field(0.1, ge=0, lt=1, description="share of a feature's events that a model misses")
    spurious: float = Field(0.1, ge=0, lt=1, description="false firings per event, in the same documents")

    d_in: int = Field(64, ge=2, description="width of the raw activations")
    raw_noise: float = Field(0.1, ge=0, description="s.d. of the raw activations' noise per coordinate")
