"""The evaluation text as screens and reports need it: windows around a row, and search near a row.

Tokens are never tokenised again: what is shown are the exact ids that the models read.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from jaxtyping import Bool, Int

from results.token_text import token_strings, visible
from universality.brief_repr import brief_repr

#: Tokens shown before and after the row of interest.
BEFORE, AFTER = 20, 12
#: Characters that a wide window shows before and after it.
WIDE_BEFORE, WIDE_AFTER = 160, 100
#: Further tokens in which a character of a token may begin or end.
MAX_PARTS = 3
#: A search hit counts for a row when it lies at most this many tokens away.
REACH = 3
#: Characters of one token that are drawn; a longer one ends in its length.
MAX_TOKEN = 120


@dataclass(frozen=True)
class Window:
    """Consecutive tokens of one context.

    Attributes:
        tokens: their texts, ready to be drawn.
        rows: evaluation row of each token, -1 where it is none (special tokens).
        peak: index of the row of interest.
    """

    tokens: list[str]
    rows: Int[np.ndarray, " n_tokens"]
    peak: int


@brief_repr
@dataclass(frozen=True)
class EvaluationText:
    """Packed contexts and the rows that are compared.

    Attributes:
        contexts: token ids, ``(n_contexts, n_ctx)``.
        row_context: context of each row.
        row_position: position of each row in its context.
        row_domain: domain code of each row.
        row_document: document of each row.
        domains: domain names by code.
        token_bytes: bytes of each token id; empty for special tokens.
        special: whether a token id is a special token.
        special_text: name of each special token id.
    """

    contexts: Int[np.ndarray, "n_contexts n_ctx"]
    row_context: Int[np.ndarray, " n_rows"]
    row_position: Int[np.ndarray, " n_rows"]
    row_domain: Int[np.ndarray, " n_rows"]
    row_document: Int[np.ndarray, " n_rows"]
    domains: list[str]
    token_bytes: list[bytes]
    special: Bool[np.ndarray, " d_vocab"]
    special_text: dict[int, str]

    @classmethod
    def build(cls, *, domains: Sequence[str], vocabulary: pd.DataFrame, **arrays: np.ndarray) -> EvaluationText:
        """Join the arrays of the run's tokens with its vocabulary.

        Args:
            domains: their names by code.
            vocabulary: table ``vocabulary``.
            **arrays: ``contexts`` and those whose names begin with ``row_``.
        """
        n_vocab = int(vocabulary["token"].max()) + 1 if len(vocabulary) else 0
        token_bytes = [b""] * n_vocab
        special = np.zeros(n_vocab, dtype=bool)
        special_text: dict[int, str] = {}
        columns = (vocabulary[name] for name in ("token", "bytes", "text", "special"))
        for token, hexed, text, is_special in zip(*columns, strict=True):
            if is_special:
                special[token] = True
                special_text[int(token)] = str(text)
            else:
                token_bytes[token] = bytes.fromhex(hexed)
        names = [str(name) for name in domains]
        return cls(domains=names, token_bytes=token_bytes, special=special, special_text=special_text, **arrays)

    @property
    def n_rows(self) -> int:
        """Number of evaluation rows."""
        return len(self.row_context)

    @property
    def n_ctx(self) -> int:
        """Tokens per context."""
        return int(self.contexts.shape[1])

    @cached_property
    def row_of(self) -> Int[np.ndarray, "n_contexts n_ctx"]:
        """Row of each token of each context, -1 where the token is no row."""
        rows = np.full(self.contexts.shape, -1, dtype=np.int32)
        rows[np.asarray(self.row_context), np.asarray(self.row_position)] = np.arange(self.n_rows, dtype=np.int32)
        return rows

    def window(self, row: int, before: int = BEFORE, after: int = AFTER) -> Window:
        """The tokens around a row, cut at the ends of its context; a character that the window cuts is read whole."""
        context, position = int(self.row_context[row]), int(self.row_position[row])
        start, stop = max(position - before, 0), min(position + after + 1, self.n_ctx)
        wider = max(start - MAX_PARTS, 0)
        texts = self.strings(np.asarray(self.contexts[context, wider : stop + MAX_PARTS]))
        return Window(texts[start - wider : stop - wider], self.row_of[context, start:stop], position - start)

    def wide_window(self, row: int) -> Window:
        """The tokens around a row that have about :data:`WIDE_BEFORE` and :data:`WIDE_AFTER` characters."""
        position = int(self.row_position[row])
        lengths = [len(text) for text in self.strings(self.contexts[int(self.row_context[row])])]
        before = np.cumsum(lengths[:position][::-1]).searchsorted(WIDE_BEFORE, side="right")
        after = np.cumsum(lengths[position + 1 :]).searchsorted(WIDE_AFTER, side="right")
        return self.window(row, int(before), int(after))

    def strings(self, ids: Sequence[int] | np.ndarray) -> list[str]:
        """Consecutive token ids as text that hides nothing; special tokens by their name."""
        texts = token_strings([self.token_bytes[i] for i in ids])
        return [
            self.special_text.get(int(i), "") if self.special[i] else _shorten(text, len(self.token_bytes[i]))
            for i, text in zip(ids, texts, strict=True)
        ]

    def token(self, token: int) -> str:
        """One token id as text for lists, spaces marked."""
        if not 0 <= token < len(self.token_bytes):
            return f"token {token}"
        if self.special[token]:
            return self.special_text[token]
        return visible(self.token_bytes[token], mark_spaces=True, limit=40)

    def domain(self, row: int) -> str:
        """Domain of a row, empty where the text has no labels."""
        code = int(self.row_domain[row])
        return self.domains[code] if 0 <= code < len(self.domains) else ""

    @cached_property
    def _haystack(self) -> tuple[bytes, np.ndarray]:
        """All contexts as one string of bytes (special tokens as 0), and where each token starts."""
        pieces = [
            b"\0" if is_special else piece for piece, is_special in zip(self.token_bytes, self.special, strict=True)
        ]
        lengths = np.array([len(piece) for piece in pieces], dtype=np.int64)
        flat = np.asarray(self.contexts).ravel()
        starts = np.concatenate([[0], np.cumsum(lengths[flat])])
        return b"".join([pieces[i] for i in flat.tolist()]).lower(), starts

    def rows_near(self, query: str, reach: int = REACH) -> Bool[np.ndarray, " n_rows"]:
        """Which rows have the text within ``reach`` tokens, in the same context. Case does not matter."""
        haystack, starts = self._haystack
        spellings = {
            s.encode().lower() for s in (query, query.lower(), query.upper(), query.title(), query.capitalize())
        }
        hits = [m.span() for s in spellings for m in re.finditer(re.escape(s), haystack)] if query else []
        touched = np.zeros(self.contexts.size + 1, dtype=np.int64)
        if hits:
            first, last = np.array(hits, dtype=np.int64).T
            np.add.at(touched, np.searchsorted(starts, first, side="right") - 1, 1)
            np.add.at(touched, np.searchsorted(starts, last - 1, side="right"), -1)
        inside = np.concatenate([[0], np.cumsum(np.cumsum(touched)[:-1] > 0)])
        context = np.asarray(self.row_context, dtype=np.int64)
        position = np.asarray(self.row_position, dtype=np.int64)
        low = context * self.n_ctx + np.maximum(position - reach, 0)
        high = context * self.n_ctx + np.minimum(position + reach, self.n_ctx - 1) + 1
        return inside[high] > inside[low]


def _shorten(text: str, n_bytes: int) -> str:
    return text if len(text) <= MAX_TOKEN else f"{text[:MAX_TOKEN]}… ({n_bytes} bytes)"
