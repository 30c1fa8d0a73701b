"""Text in, labelled and split documents out.

``pipelines.corpus.config`` holds the configs (light); the functions load on first use.
"""

from __future__ import annotations

from importlib import import_module

_HOMES = {
    "read_corpus": "pipelines.corpus.read",
    "Corpus": "pipelines.corpus.read",
    "split_corpus": "pipelines.corpus.split",
    "build_corpus": "pipelines.corpus.build",
    "CorpusResult": "pipelines.corpus.build",
    "corpus_fingerprint": "pipelines.corpus.fingerprint",
}
__all__ = sorted(_HOMES)


def __getattr__(name: str) -> object:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
