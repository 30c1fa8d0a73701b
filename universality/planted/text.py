"""Documents, domains, tokens and positions of a planted world."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from universality.planted.planted_config import PlantConfig
from universality.seeds import generator


@dataclass(frozen=True, eq=False)
class Text:
    """Row arrays of a planted corpus, and the row range of each document.

    Attributes:
        documents: (n_rows,) int32 document ids, contiguous.
        domains: (n_rows,) int16 domain codes.
        tokens: (n_rows,) int32 token ids.
        positions: (n_rows,) int16, row number modulo ``n_ctx``.
        sources: (n_rows,) int32 source ids; a source is a run of documents of one domain.
        starts: (n_documents,) first row of each document.
        lengths: (n_documents,) rows of each document, at least 1.
    """

    documents: np.ndarray
    domains: np.ndarray
    tokens: np.ndarray
    positions: np.ndarray
    sources: np.ndarray
    starts: np.ndarray
    lengths: np.ndarray


def plant_text(config: PlantConfig, root_seed: int) -> Text:
    """Draw documents of log-normal length, one domain each (by source), with Zipf tokens.

    Half of the tokens come from the same Zipf law everywhere, the other half from the same law under the
    domain's own permutation of ids: some ids are then typical of a domain, others are not.
    """
    rng = generator(root_seed, "planted-text")
    weights = np.exp(0.6 * rng.standard_normal(config.n_documents))
    ends = np.round(np.cumsum(weights) / weights.sum() * config.n_rows).astype(int)
    ends = np.maximum(ends, np.arange(1, config.n_documents + 1))
    lengths = np.diff(ends, prepend=0)
    n_sources = min(config.n_sources or config.n_documents, config.n_documents)
    source_of = np.arange(config.n_documents) * n_sources // config.n_documents
    domain_of = rng.permutation(np.arange(n_sources) % config.n_domains)[source_of]
    domains = np.repeat(domain_of, lengths)
    zipf = 1.0 / np.arange(1, config.d_vocab + 1)
    drawn = rng.choice(config.d_vocab, size=config.n_rows, p=zipf / zipf.sum())
    own = np.stack([rng.permutation(config.d_vocab) for _ in range(config.n_domains)])
    tokens = np.where(rng.random(config.n_rows) < 0.5, drawn, own[domains, drawn])
    return Text(
        documents=np.repeat(np.arange(config.n_documents, dtype=np.int32), lengths),
        domains=domains.astype(np.int16),
        tokens=tokens.astype(np.int32),
        positions=(np.arange(config.n_rows) % config.n_ctx).astype(np.int16),
        sources=np.repeat(source_of, lengths).astype(np.int32),
        starts=(ends - lengths).astype(np.int64),
        lengths=lengths.astype(np.int64),
    )
