"""Evaluation rows: which documents, in which contexts, and one row per token."""

import numpy as np

from pipelines.corpus.split import fair_shares
from pipelines.tokens.packing import Packed


def choose_documents(
    lengths: np.ndarray, domains: np.ndarray, weights: np.ndarray, n_tokens: int, min_documents: int = 0
) -> np.ndarray:
    """Take whole documents, up to a token budget shared among domains.

    Args:
        lengths: tokens of each candidate, in the order in which they are preferred.
        domains: domain code of each candidate.
        weights: wanted proportions, by domain code; what a domain cannot fill goes to the others.
        n_tokens: budget.
        min_documents: average documents that every domain gets before weights count, an equal share at most.

    Returns:
        Boolean mask. A domain stops at the document after which it is nearest to its share, so the total
        misses the budget by at most half a document per domain.
    """
    codes = np.unique(domains)
    available = np.array([lengths[domains == code].sum() for code in codes], dtype=float)
    mean = np.array([lengths[domains == code].mean() for code in codes])
    shares = fair_shares(available, weights[codes], n_tokens, min_documents * mean)
    chosen = np.zeros(len(lengths), dtype=bool)
    for code, share in zip(codes, shares, strict=True):
        candidates = np.flatnonzero(domains == code)
        middle = np.cumsum(lengths[candidates]) - lengths[candidates] / 2
        chosen[candidates[middle <= share + 1e-9]] = True
    return chosen


def one_of_each_first(labels: np.ndarray) -> np.ndarray:
    """Places of labels, the first of every label before the second of any, else in their order."""
    order = np.argsort(labels, kind="stable")
    _, first = np.unique(labels[order], return_index=True)
    turn = np.empty(labels.size, np.int64)
    turn[order] = np.arange(labels.size) - np.repeat(first, np.diff(np.append(first, labels.size)))
    return np.argsort(turn, kind="stable")


def evaluation_rows(
    fit: Packed,
    score: Packed,
    domain_of_document: np.ndarray,
    source_of_document: np.ndarray,
    special: np.ndarray,
) -> dict[str, np.ndarray]:
    """The shared rows of a comparison: every position that is a document's token.

    Args:
        fit, score: packed documents of the two parts, with equal ``n_ctx``.
        domain_of_document: domain code by document.
        source_of_document: number of the source by document.
        special: (n_vocab,) bool, tokens that never make a row.

    Returns:
        ``eval_contexts (n_contexts, n_ctx)`` int32, fit first, and by row, in reading order: ``row_context``
        int32, ``row_position`` int16 (>= 1), ``row_token`` int32, ``row_next_token`` int32 (-1 at a context's
        end), ``row_document`` int32, ``row_source`` int32, ``row_domain`` int16, ``row_fit`` bool.
    """
    contexts = np.concatenate([fit.contexts, score.contexts])
    documents = np.concatenate([fit.documents, score.documents])
    following = np.full_like(contexts, -1)
    following[:, :-1] = contexts[:, 1:]
    context, position = np.nonzero((documents >= 0) & ~special[contexts])
    document = documents[context, position]
    return {
        "eval_contexts": contexts,
        "row_context": context.astype(np.int32),
        "row_position": position.astype(np.int16),
        "row_token": contexts[context, position],
        "row_next_token": following[context, position],
        "row_document": document,
        "row_source": source_of_document[document].astype(np.int32),
        "row_domain": domain_of_document[document].astype(np.int16),
        "row_fit": context < len(fit.contexts),
    }
