"""Rows for models whose tokenizers differ: the places in a text at which every one of them ends a token.

Two models that split a text differently share no tokens, but they share its bytes. Where all of them end a token, each
has read exactly the same bytes, and the activations of the tokens that end there can be compared. Offsets are of bytes,
never of characters: a character of several bytes may lie in several tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from universality.errors import refusal, require


def token_ends(tokens: Sequence[bytes], text: bytes | None = None) -> Int[np.ndarray, " n_tokens"]:
    """Where each token of a text ends, in bytes from its beginning.

    Args:
        tokens: what every token spells, in order; special tokens spell nothing.
        text: the text that they must be the beginning of; None asks for nothing.

    Raises:
        InputError: the tokens do not spell the text: the tokenizer normalises it, or these are not its tokens.
    """
    if text is not None:
        spelled = b"".join(tokens)
        if not text.startswith(spelled):
            pairs = zip(spelled, text, strict=False)
            at = next((place for place, (a, b) in enumerate(pairs) if a != b), min(len(spelled), len(text)))
            remedy = (
                "Tokenizers that change the text (NFKC, lower case, a space in front) cannot be aligned with others."
            )
            got = f"{spelled[at : at + 12]!r} in place of {text[at : at + 12]!r} at byte {at:,}"
            raise refusal("tokens", "the text", "its own bytes in order", got, remedy)
    return np.cumsum([len(token) for token in tokens], dtype=np.int64)


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
