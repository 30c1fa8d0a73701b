"""The level at which an assigned pair holds: its domain or documents, its token, or neither."""

from __future__ import annotations

import numpy as np
import pandas as pd

from universality.compare.pair import DictionaryPair
from universality.correlation import conditional_correlation


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


def beyond_documents(pair: DictionaryPair, indices_a: np.ndarray, indices_b: np.ndarray) -> np.ndarray:
    """Held-out r of pairs once each document's mean is taken off, and with it that of its topic and domain.

    Args:
        pair: the dictionaries.
        indices_a, indices_b: (n,) latents of either side.

    Returns:
        (n,) in [-1, 1]; NaN where every document has one row, so that its mean is all there is.
    """
    documents = pair.rows.documents[pair.rows.score]
    if np.unique(documents).size == documents.size:
        return np.full(indices_a.size, np.nan)
    return conditional_correlation(*pair.score, indices_a, indices_b, tokens=documents, threads=pair.threads)


def beyond_tokens(pair: DictionaryPair, indices_a: np.ndarray, indices_b: np.ndarray) -> np.ndarray:
    """Held-out r of pairs once each token id's and each position's mean is taken off; as :func:`beyond_documents`.

    Returns:
        (n,) in [-1, 1]; NaN without token ids.
    """
    rows = pair.rows
    if rows.tokens is None:
        return np.full(indices_a.size, np.nan)
    positions = None if rows.positions is None else rows.positions[rows.score]
    return conditional_correlation(
        *pair.score,
        indices_a,
        indices_b,
        tokens=rows.tokens[rows.score],
        positions=positions,
        threads=pair.threads,
    )
