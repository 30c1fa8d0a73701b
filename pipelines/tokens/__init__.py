"""Tokenizer, contexts and evaluation rows.

``pipelines.tokens.tokenizer_config`` holds the configs (light); the functions load on first use.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipelines.tokens.build import TokenizerResult, TokensResult, build_tokenizer, build_tokens
    from pipelines.tokens.encode import TokenLists, encode_documents
    from pipelines.tokens.evaluation_rows import evaluation_rows
    from pipelines.tokens.packing import context_blocks, pack
    from pipelines.tokens.tokenizer import train_tokenizer
    from pipelines.tokens.vocabulary import vocabulary_table

__all__ = [
    "TokenLists",
    "TokenizerResult",
    "TokensResult",
    "build_tokenizer",
    "build_tokens",
    "context_blocks",
    "encode_documents",
    "evaluation_rows",
    "pack",
    "train_tokenizer",
    "vocabulary_table",
]

_HOMES = {
    "TokenLists": "encode",
    "TokenizerResult": "build",
    "TokensResult": "build",
    "build_tokenizer": "build",
    "build_tokens": "build",
    "context_blocks": "packing",
    "encode_documents": "encode",
    "evaluation_rows": "evaluation_rows",
    "pack": "packing",
    "train_tokenizer": "tokenizer",
    "vocabulary_table": "vocabulary",
}


def __getattr__(name: str) -> object:
    if name in _HOMES:
        return getattr(import_module(f"pipelines.tokens.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
