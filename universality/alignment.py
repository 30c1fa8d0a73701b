"""Rows for models whose tokenizers differ: the places in a text at which every one of them ends a token.

Two models that split a text differently share no tokens, but they share its bytes. Where all of them end a token, each
has read exactly the same bytes, and the activations of the tokens that end there can be compared. Offsets are of bytes,
never of characters: a character of several bytes may lie in several tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int

from universality.errors import refusal, require


def token_ends(tokens: Sequence[bytes], text: bytes | None = None) -> Int[np.ndarray, " n_tokens"]:
    """Where each token of a text ends, in bytes from its beginning.

    Args:
        tokens: what every token spells, in order; special tokens spell nothing.
        text: the text that they must be the beginning of; None asks for nothing. A space in front of it belongs to no
            byte: sentencepiece writes a mark there that reads as one.

    Raises:
        InputError: the tokens do not spell the text: the tokenizer normalises it, or these are not its tokens.
    """
    ahead = 0
    if text is not None:
        spelled = b"".join(tokens)
        ahead = int(not text.startswith(spelled) and (b" " + text).startswith(spelled))
        if not ahead and not text.startswith(spelled):
            pairs = zip(spelled, text, strict=False)
            at = next((place for place, (a, b) in enumerate(pairs) if a != b), min(len(spelled), len(text)))
            remedy = "Tokenizers that change the text (NFKC, lower case) cannot be aligned with others."
            got = f"{spelled[at : at + 12]!r} in place of {text[at : at + 12]!r} at byte {at:,}"
            raise refusal("tokens", "the text", "its own bytes in order", got, remedy)
    return np.maximum(np.cumsum([len(token) for token in tokens], dtype=np.int64) - ahead, 0)


def shared_boundaries(ends: Sequence[Any]) -> Int[np.ndarray, "n_rows n_models"]:
    """Rows of a text: of every place where all models end a token, the number of the token that ends there in each.

    The end of a text that was cut is one only where the models end a token at one place. A token that spells nothing
    (the start of a text, a separator, padding) ends where the one before it does, and is never a row.

    Args:
        ends: of each model, rising byte offsets of the ends of its tokens in one text (:func:`token_ends`).

    Returns:
        Numbers of tokens, from 0; rows in the order of the text. The order of the models changes nothing but that of
        the columns.

    Raises:
        InputError: no model, or offsets that are no rising integers from 0 on.

    Source: ours; byte offsets as alignment of distillation trainers uses them.
    """
    require(len(ends) > 0, "ends", "shared_boundaries", "of one model or more", "none", "Give one array per model.")
    checked = [_checked(of, number) for number, of in enumerate(ends)]
    # Of tokens that end at one place the first, which is the one that spells something; nothing ends at 0.
    places, first = zip(*(np.unique(of, return_index=True) for of in checked), strict=True)
    shared = reduce(lambda a, b: np.intersect1d(a, b, assume_unique=True), places)
    shared = shared[shared > 0]
    columns = [of[np.searchsorted(at, shared)] for at, of in zip(places, first, strict=True)]
    return np.stack(columns, axis=1).astype(np.int64)


class SharedContexts(NamedTuple):
    """Documents packed into contexts that hold the same text for every model, and the rows that they share.

    In column ``n_models`` of ``positions`` and array of that number of ``contexts`` stand the segments (what lies
    between two rows), as if they were the tokens of one more model.

    Attributes:
        contexts: of each model, (n_contexts, n_ctx) numbers of tokens among all that were given, -1 where a context
            begins, between documents, and where nothing follows.
        context: (n_rows,) context of each row.
        positions: (n_rows, n_models + 1) where in its context the token stands that ends at the row.
        documents: (n_rows,) which of the given documents it is.
        n_left_out: segments that are longer than a context, left out.
    """

    contexts: list[Int[np.ndarray, "n_contexts n_ctx"]]
    context: Int[np.ndarray, " n_rows"]
    positions: Int[np.ndarray, "n_rows n_models_1"]
    documents: Int[np.ndarray, " n_rows"]
    n_left_out: int


def shared_contexts(
    rows: Sequence[Int[np.ndarray, "n_rows n_models"]], sizes: Sequence[Sequence[int]], n_ctx: int
) -> SharedContexts:
    """Pack documents one after the other into contexts, each cut where all models end a token.

    A context takes as much as the model has room for that needs most tokens for it; so all read the same text from
    the same byte on, after a start of its own, with a separator between documents.

    Args:
        rows: of each document, what :func:`shared_boundaries` gave.
        sizes: of each document, how many tokens each model has for it.
        n_ctx: tokens per context, the first one included.
    """
    n_models = len(sizes[0]) if sizes else 0
    width = n_ctx - 1
    used, context, n_left_out = np.zeros(n_models + 1, np.int64), 0, 0
    # Numbers of a document's tokens among those of all documents; of segments likewise.
    first = np.zeros(n_models + 1, np.int64)
    pieces: list[tuple[int, int, np.ndarray, np.ndarray, np.ndarray]] = []
    for document, (own, size) in enumerate(zip(rows, sizes, strict=True)):
        taken = np.column_stack([own + 1, np.arange(1, len(own) + 1)])
        ends = np.vstack([np.zeros((1, n_models + 1), np.int64), taken])
        done = 0
        while done < len(own):
            begun = used + (1 if used.any() and done == 0 else 0)
            fits = int(((ends[done + 1 : done + 1 + width] - ends[done] <= width - begun).all(axis=1)).sum())
            if fits:
                pieces.append((context, document, begun, ends[done : done + fits + 1], first.copy()))
                used = begun + ends[done + fits] - ends[done]
                done += fits
            elif used.any():
                used, context = np.zeros_like(used), context + 1
            else:
                done, n_left_out = done + 1, n_left_out + 1
        first += np.array([*size, len(own)], np.int64)
    contexts = [np.full((context + 1, n_ctx), -1, np.int64) for _ in range(n_models + 1)]
    positions = []
    for number, _, begun, ends, before in pieces:
        for model, filled in enumerate(contexts):
            low, high = int(ends[0, model]), int(ends[-1, model])
            at = 1 + int(begun[model])
            filled[number, at : at + high - low] = before[model] + np.arange(low, high)
        positions.append(begun + ends[1:] - ends[0])
    n_rows = [len(of) for of in positions]
    return SharedContexts(
        contexts,
        np.repeat([piece[0] for piece in pieces], n_rows).astype(np.int64),
        np.concatenate(positions) if positions else np.zeros((0, n_models + 1), np.int64),
        np.repeat([piece[1] for piece in pieces], n_rows).astype(np.int64),
        n_left_out,
    )


def coverage(ends: Sequence[Any], rows: Int[np.ndarray, "n_rows n_models"]) -> Float[np.ndarray, " n_models"]:
    """Share of each model's tokens, those that spell something, that are rows; 0 for a model without any.

    The more, the less a comparison leaves out: features that live inside another tokenizer's tokens are unseen.

    Args:
        ends: as for :func:`shared_boundaries`.
        rows: what that gave.
    """
    spelling = [int((np.diff(_checked(of, number), prepend=0) > 0).sum()) for number, of in enumerate(ends)]
    return np.array([len(rows) / n if n else 0.0 for n in spelling])


def segments(text: bytes, offsets: Any) -> list[bytes]:
    """What stands between every two rows: the bytes from the row before up to each, all of which every model has read.

    They take the place of tokens where r is conditioned on the token (``tokens=`` of ``compare``): equal bytes, one id.

    Args:
        text: the text.
        offsets: (n_rows,) rising, where the rows end: ``ends[0][rows[:, 0]]``.

    Raises:
        InputError: offsets that do not rise, or lie outside the text.
    """
    checked = _checked(offsets, 0)
    last = int(checked[-1]) if checked.size else 0
    require(last <= len(text), "offsets", "segments", f"at most {len(text):,}", last, "Give the text of these tokens.")
    return [text[begin:end] for begin, end in zip([0, *checked[:-1]], checked, strict=False)]


def _checked(offsets: Any, number: int) -> np.ndarray:
    array = np.asarray(offsets)
    array = array.astype(np.int64) if array.size == 0 and array.ndim == 1 else array
    rises = array.ndim == 1 and array.dtype.kind in "iu" and (array.size == 0 or array[0] >= 0)
    rises = rises and not (np.diff(array.astype(np.int64)) < 0).any()
    got, remedy = (
        f"shape {array.shape} of {array.dtype}: {array[:6].tolist()}",
        "Give byte offsets of token ends, in order.",
    )
    require(rises, "ends", f"model {number}", "rising integers from 0 on", got, remedy)
    return array.astype(np.int64)
