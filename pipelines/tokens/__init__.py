"""Tokenizer, contexts and evaluation rows.

``pipelines.tokens.config`` holds the configs (light); the functions load on first use.
"""

from __future__ import annotations

from importlib import import_module

_HOMES = {
    "build_tokenizer": "pipelines.tokens.build",
    "TokenizerResult": "pipelines.tokens.build",
    "build_tokens": "pipelines.tokens.build",
    "TokensResult": "pipelines.tokens.build",
    "train_tokenizer": "pipelines.tokens.tokenizer",
    "tokenizer_json": "pipelines.tokens.tokenizer",
    "vocabulary_table": "pipelines.tokens.vocabulary",
    "encode_documents": "pipelines.tokens.encode",
    "TokenLists": "pipelines.tokens.encode",
    "pack": "pipelines.tokens.pack",
    "context_blocks": "pipelines.tokens.pack",
    "evaluation_rows": "pipelines.tokens.rows",
}
__all__ = sorted(_HOMES)


def __getattr__(name: str) -> object:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
