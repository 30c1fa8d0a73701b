"""Documents to token ids."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from tokenizers import Tokenizer

from universality.transformers.tokenizer import encoding

_BATCH_BYTES = 2_000_000


@dataclass(frozen=True)
class TokenLists:
    """Token ids of many documents in one array.

    Attributes:
        tokens: (n_tokens,) int32, document after document.
        offsets: (n_documents + 1,) int64; document ``i`` is ``tokens[offsets[i]:offsets[i + 1]]``.
    """

    tokens: np.ndarray
    offsets: np.ndarray

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, document: int) -> np.ndarray:
        return self.tokens[self.offsets[document] : self.offsets[document + 1]]

    @property
    def lengths(self) -> np.ndarray:
        """(n_documents,) tokens of each document."""
        return np.diff(self.offsets)


def encode_documents(tokenizer: Tokenizer, texts: Sequence[str]) -> TokenLists:
    """Encode documents without adding special tokens.

    Works in batches of about 2 MB of text, since the library's own result takes some hundred bytes a
    token; what is kept takes four.

    Args:
        tokenizer: from :func:`universality.transformers.tokenizer.load_tokenizer`.
        texts: documents.

    Raises:
        InputError: the tokenizer cannot.
    """
    blocks: list[np.ndarray] = []
    lengths: list[int] = []
    batch: list[str] = []
    n_characters = 0
    for i, text in enumerate(texts):
        batch.append(text)
        n_characters += len(text)
        if n_characters >= _BATCH_BYTES or i == len(texts) - 1:
            with encoding():
                encoded = tokenizer.encode_batch_fast(batch, add_special_tokens=False)
            for document in encoded:
                ids = np.asarray(document.ids, dtype=np.int32)
                blocks.append(ids)
                lengths.append(len(ids))
            batch, n_characters = [], 0
    tokens = np.concatenate(blocks) if blocks else np.empty(0, np.int32)
    return TokenLists(tokens, np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)]).astype(np.int64))
