"""The tokenizer of a run, wherever text becomes the tokens that its models read."""

from __future__ import annotations

from tokenizers import Tokenizer


def load_tokenizer(content: bytes) -> Tokenizer:
    """A tokenizer that encodes text as text: a document that spells a special token does not make one."""
    tokenizer = Tokenizer.from_str(content.decode("utf-8"))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    tokenizer.encode_special_tokens = True
    return tokenizer
