"""Text in, labelled and split documents out.

``pipelines.corpus.corpus_config`` holds the configs (light); the functions load on first use.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipelines.corpus.build import CorpusResult, build_corpus
    from pipelines.corpus.fingerprint import corpus_fingerprint
    from pipelines.corpus.read import Corpus, read_corpus
    from pipelines.corpus.split import split_corpus

__all__ = ["Corpus", "CorpusResult", "build_corpus", "corpus_fingerprint", "read_corpus", "split_corpus"]

_HOMES = {
    "Corpus": "read",
    "CorpusResult": "build",
    "build_corpus": "build",
    "corpus_fingerprint": "fingerprint",
    "read_corpus": "read",
    "split_corpus": "split",
}


def __getattr__(name: str) -> object:
    if name in _HOMES:
        return getattr(import_module(f"pipelines.corpus.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
