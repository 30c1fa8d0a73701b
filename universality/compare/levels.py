"""The level at which an assigned pair holds: its domain or documents, its token, or neither."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy import sparse

from universality.correlation import conditional_correlation
from universality.rows import Rows

Held = tuple[sparse.csr_matrix, sparse.csr_matrix]
Indices = tuple[np.ndarray, np.ndarray]


def levels(
    q_domain: np.ndarray, r_document: np.ndarray, r_token: np.ndarray, tau: float, alpha: float
) -> np.ndarray:
    """The coarsest level that explains the agreement of each pair.

    ``domain``: a shift within each domain explains it (``q_domain >= alpha``; what chance alone explains is
    among these, see ``q``), or the documents in which both fire do (``r_document < tau``). ``token``: token
    identity or position explains it (``r_token < tau``). ``context``: neither does. ``untested``: what was
    given cannot tell.

    The first test asks whether there is more than the domain, the second how much: a latent that is on all
    over a domain passes the first by the structure of a few documents, and one that is on all over a few
    documents by any chance, since shifts move whole documents.

    Args:
        q_domain: (n,) NaN without domains. r_document: (n,) NaN where no document has two rows.
        r_token: (n,) NaN without token ids. tau: threshold of r. alpha: false-discovery rate.

    Returns:
        (n,) str.
    """
    untested = np.isnan(q_domain) | ((q_domain < alpha) & np.isnan(r_token))
    finest = np.where(r_token < tau, "token", "context")
    coarse = (q_domain >= alpha) | (r_document < tau)
    return np.where(untested, "untested", np.where(coarse, "domain", finest)).astype(object)


def levels_of(pairs: pd.DataFrame, tau: float, alpha: float) -> np.ndarray:
    """:func:`levels` of a table of pairs, at any tau."""
    q_domain, r_document, r_token = (
        pairs[name].to_numpy(float) for name in ("q_domain", "r_document", "r_token")
    )
    return levels(q_domain, r_document, r_token, tau, alpha)


def beyond_documents(held_out: Held, indices: Indices, rows: Rows, threads: int | None) -> np.ndarray:
    """Held-out r of pairs once each document's mean is taken off, and with it that of its topic and domain.

    Args:
        held_out: (score rows, latents) of a and of b. indices: (n,) latents of a and of b. rows: of all halves.
        threads: no byte depends on it.

    Returns:
        (n,) in [-1, 1]; NaN where every document has one row, so that its mean is all there is.
    """
    documents = rows.documents[rows.score]
    if np.unique(documents).size == documents.size:
        return np.full(indices[0].size, np.nan)
    return conditional_correlation(*held_out, *indices, tokens=documents, threads=threads)


def beyond_tokens(held_out: Held, indices: Indices, rows: Rows, threads: int | None) -> np.ndarray:
    """Held-out r of pairs once each token id's and each position's mean is taken off; as :func:`beyond_documents`.

    Returns:
        (n,) in [-1, 1]; NaN without token ids.
    """
    if rows.tokens is None:
        return np.full(indices[0].size, np.nan)
    positions = None if rows.positions is None else rows.positions[rows.score]
    tokens = rows.tokens[rows.score]
    return conditional_correlation(*held_out, *indices, tokens=tokens, positions=positions, threads=threads)
