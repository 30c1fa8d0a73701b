"""Pack documents into contexts of equal length."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np

from pipelines.tokens.encode import TokenLists
from universality.errors import refusal

# Tokens joined at a time while training contexts are cut.
_STRETCH = 500_000


class Packed(NamedTuple):
    """Contexts, and which document each position belongs to.

    Invariants: ``contexts[:, 0] == bos``; ``documents == -1`` exactly where a separator or padding stands.
    """

    contexts: np.ndarray  # (n_contexts, n_ctx) int32
    documents: np.ndarray  # (n_contexts, n_ctx) int32


def pack(lists: TokenLists, order: np.ndarray, n_ctx: int, bos: int) -> Packed:
    """Pack documents one after the other; the last context is filled up with separators.

    Each context is ``bos`` followed by ``n_ctx - 1`` positions of the stream ``d0 bos d1 bos d2 …``, so a
    document may go on in the next context. No token is lost and none comes twice.

    Args:
        lists: tokens of all documents.
        order: documents to pack, in this order; an index may come more than once.
        n_ctx: length of a context, >= 2.
        bos: the separator's id.

    Raises:
        InputError: there is no token to pack.
    """
    tokens, documents = _stream(lists, order, bos)
    if len(tokens) == 0:
        raise refusal("documents", "the contexts", "at least one, with a token", "none", "Give more text.")
    width = n_ctx - 1
    missing = -len(tokens) % width
    tokens = np.concatenate([tokens, np.full(missing, bos, np.int32)]).reshape(-1, width)
    documents = np.concatenate([documents, np.full(missing, -1, np.int32)]).reshape(-1, width)
    start = np.full((len(tokens), 1), bos, np.int32)
    return Packed(np.hstack([start, tokens]), np.hstack([np.full_like(start, -1), documents]))


def _stream(lists: TokenLists, order: Iterable[int], bos: int) -> tuple[np.ndarray, np.ndarray]:
    """Documents in order with separators between them, and the document of each token."""
    tokens: list[np.ndarray] = []
    documents: list[np.ndarray] = []
    separator = np.array([bos], np.int32)
    nobody = np.array([-1], np.int32)
    for document in order:
        ids = lists[int(document)]
        if len(ids):
            if tokens:
                tokens.append(separator)
                documents.append(nobody)
            tokens.append(ids)
            documents.append(np.full(len(ids), document, np.int32))
    if not tokens:
        return np.empty(0, np.int32), np.empty(0, np.int32)
    return np.concatenate(tokens), np.concatenate(documents)


def context_blocks(
    lists: TokenLists,
    pool: np.ndarray,
    *,
    n_ctx: int,
    bos: int,
    n_tokens: int | None,
    generator: np.random.Generator,
    block_contexts: int = 4_096,
) -> Iterator[np.ndarray]:
    """Contexts of shuffled documents, in blocks that fit in memory.

    The pool is packed as by :func:`pack`, pass after pass, each in a new order, until the budget is
    reached; an unfinished last context is dropped.

    Args:
        lists: tokens of all documents.
        pool: documents to draw from; an index stands in it as often as it is to be seen in a pass.
        n_ctx: length of a context.
        bos: the separator's id.
        n_tokens: positions to deliver, rounded down to whole contexts; ``None`` for one pass.
        generator: chooses the orders.
        block_contexts: contexts of a block at most.

    Yields:
        (n, n_ctx) int32, at most ``block_contexts`` contexts each.

    Raises:
        InputError: ``n_ctx`` is longer than all documents together, or the budget is under one context.
    """
    width = n_ctx - 1
    size = int(lists.lengths[pool].sum())
    n_contexts = None if n_tokens is None else n_tokens // n_ctx
    if size < width or n_contexts == 0:
        constraint = f"at most {size + 1}, one more than all tokens of the part, and at most its token budget"
        got = f"{n_ctx} with a budget of {n_tokens}"
        remedy = "Lower n_ctx, raise the budget, or give more text."
        raise refusal("n_ctx", "the contexts", constraint, got, remedy)
    return _blocks(_stretches(lists, pool, bos, generator, n_contexts is None), n_ctx, bos, n_contexts, block_contexts)


def _blocks(
    stretches: Iterator[np.ndarray], n_ctx: int, bos: int, n_contexts: int | None, block_contexts: int
) -> Iterator[np.ndarray]:
    """Cut a stream of tokens into blocks of contexts, ``n_contexts`` in all."""
    width = n_ctx - 1
    made = 0
    rest = np.empty(0, np.int32)
    for stretch in stretches:
        rest = np.concatenate([rest, stretch])
        while len(rest) >= width and made != n_contexts:
            n = min(len(rest) // width, block_contexts, len(rest) if n_contexts is None else n_contexts - made)
            body = rest[: n * width].reshape(n, width)
            yield np.hstack([np.full((n, 1), bos, np.int32), body])
            made += n
            rest = rest[n * width :]
        if made == n_contexts:
            return


def _stretches(
    lists: TokenLists, pool: np.ndarray, bos: int, generator: np.random.Generator, one_pass: bool
) -> Iterator[np.ndarray]:
    """Stretches of the stream ``d bos d bos …``: shuffled documents, pass after pass."""
    separator = np.array([bos], np.int32)
    pieces: list[np.ndarray] = []
    size = 0
    while True:
        for document in generator.permutation(pool):
            ids = lists[int(document)]
            if len(ids):
                pieces += [ids, separator]
                size += len(ids) + 1
            if size >= _STRETCH:
                yield np.concatenate(pieces)
                pieces, size = [], 0
        if pieces:
            yield np.concatenate(pieces)
            pieces, size = [], 0
        if one_pass:
            return
