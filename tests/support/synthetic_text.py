"""A small labelled corpus with hostile tokens, packed as the pipeline packs, without any training."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass

import numpy as np
import pandas as pd

BOS = 0
FIRST_WORD = 257

HOSTILE = [
    b"<script>alert(1)</script>",
    b"</div>",
    b"<img src=x onerror=alert(1)>",
    b"![i](http://example.invalid/x.png)",
    b"[l](javascript:alert(1))",
    b":red[danger]",
    b"$x^2$",
    b"`code`",
    b"a|b",
    b'=HYPERLINK("http://example.invalid","x")',
    b"+1",
    b"-2",
    b"@SUM(A1)",
    b"\n",
    b"\n\n",
    b"\t",
    b"\r\n",
    b"\x00",
    b"\x1b[31m",
    b"\xff\xfe",
    b"\xed\xa0\x80",
    b"'\"",
    b"&amp;",
    b"\\textbf{x} % #_^~",
    "\u202eevil\u202c".encode(),
    "\u2066iso\u2069".encode(),
    "zero\u200bwidth".encode(),
    "\ufeff".encode(),
    "e\u0301".encode(),
    "👩\u200d👧".encode(),
    b"a" * 10_000,
]
WORDS = {
    "arabic": ["السلام", " عليكم", " في", " من", " كتاب", " الله", "و", " على", " إلى", " يوم", "،"],
    "base64": [
        "iVBOR",
        "w0KGg",
        "AAAA",
        "NSUhE",
        "UgAA",
        "Zm9v",
        "YmFy",
        "QUJD",
        "+/8=",
        "ERIx",
        "==",
        "a1B2",
    ],
    "chinese": ["中", "文", "学", "习", "的", "我", "们", "是", "国", "人", "。"],
    "dna": ["ACG", "TTA", "GGC", "CAT", "AAA", "TTT", "GAT", "CCC", "ATG", "TGA", "GT", "N"],
    "english": [
        " the",
        " of",
        " and",
        " law",
        " party",
        " shall",
        " agreement",
        " any",
        ",",
        ".",
        " notice",
        " this",
    ],
    "hebrew": ["שלום", " של", " את", " לא", " על", " הוא", "ו", " כי", " ארץ", " יום", "׃"],
    "python": ["def", " self", "(", ")", ":", "\n    ", " return", " =", " None", "import", "_", " if"],
}
DOMAINS = sorted([*WORDS, "hostile"])


@dataclass(frozen=True)
class Text:
    """Everything that the artifacts ``corpus``, ``tokenizer`` and ``tokens`` hold."""

    texts: pd.DataFrame
    vocabulary: pd.DataFrame
    tokenizer_json: bytes
    documents: pd.DataFrame
    arrays: dict[str, np.ndarray]
    domains: list[str]

    @property
    def n_rows(self) -> int:
        return len(self.arrays["row_token"])


def make_text(rng: np.random.Generator, n_documents: int, n_ctx: int) -> Text:
    """Documents of every domain in turn; the first tenth trains, then fit and score by halves."""
    words = [w.encode() for domain in sorted(WORDS) for w in WORDS[domain]]
    table = [b"<|endoftext|>", *(bytes([i]) for i in range(256)), *dict.fromkeys([*words, *HOSTILE])]
    table = list(dict.fromkeys(table))
    token_of = {data: token for token, data in enumerate(table)}
    documents, frame = [], []
    for number in range(n_documents):
        # Chosen by block, so that every domain has documents in every part.
        domain = DOMAINS[number % len(DOMAINS)]
        block = number // len(DOMAINS)
        part = (
            ("sae_a", "sae_b", "validation")[block % 10 // 2 - 2]
            if block % 10 in (4, 6, 8)
            else ("fit", "score")[block % 2]
        )
        tokens = _document(rng, domain, token_of)
        data = b"".join(table[t] for t in tokens)
        documents.append(tokens)
        frame.append(
            {
                "document": number,
                "text": data.decode("utf-8", errors="replace"),
                "domain": domain,
                "source": f"synthetic/{domain}",
                "origin": "synthetic",
                "unit": number,
                "source_group": number,
                "n_bytes": len(data),
                "digest": hashlib.blake2b(data, digest_size=16).hexdigest(),
                "part": part,
                "repeats": 1,
                "n_tokens": len(tokens),
            }
        )
    texts = pd.DataFrame(frame)
    vocabulary = pd.DataFrame(
        {
            "token": np.arange(len(table), dtype=np.int32),
            "bytes": [data.hex() for data in table],
            "text": [data.decode("utf-8", errors="replace") for data in table],
            "special": [token == BOS for token in range(len(table))],
        }
    )
    return Text(
        texts.drop(columns="n_tokens"),
        vocabulary,
        _tokenizer_json(table),
        texts[["document", "domain", "source", "source_group", "part", "n_tokens", "digest"]],
        _pack(documents, texts, n_ctx),
        DOMAINS,
    )


def _document(rng: np.random.Generator, domain: str, token_of: dict[bytes, int]) -> list[int]:
    tokens: list[int] = []
    length = int(rng.integers(70, 140))
    pool = HOSTILE if domain == "hostile" else [w.encode() for w in WORDS[domain]]
    weights = 1.0 / np.arange(1, len(pool) + 1) if domain != "hostile" else np.ones(len(pool))
    while len(tokens) < length:
        data = pool[int(rng.choice(len(pool), p=weights / weights.sum()))]
        split = domain == "chinese" and rng.random() < 0.4
        tokens += [token_of[bytes([b])] for b in data] if split else [token_of[data]]
    return tokens


def _pack(documents: list[list[int]], texts: pd.DataFrame, n_ctx: int) -> dict[str, np.ndarray]:
    """Contexts start with BOS, which also separates documents; fit and score are packed separately."""
    contexts, owners, halves = [], [], []
    for part in ("fit", "score"):
        stream, owner = [], []
        for number in np.flatnonzero(texts["part"] == part):
            stream += [BOS, *documents[number]]
            owner += [-1, *[int(number)] * len(documents[number])]
        step = n_ctx - 1
        for start in range(0, len(stream) - step, step):
            contexts.append([BOS, *stream[start : start + step]])
            owners.append([-1, *owner[start : start + step]])
            halves.append(part == "fit")
    ids, owner_of = np.array(contexts, dtype=np.int32), np.array(owners, dtype=np.int32)
    context, position = np.nonzero((ids != BOS) & (np.arange(n_ctx) >= 1))
    following = np.concatenate([ids[:, 1:], np.full((len(ids), 1), -1, np.int32)], axis=1)
    code = {domain: i for i, domain in enumerate(DOMAINS)}
    domain_of = texts["domain"].map(code).to_numpy()
    document = owner_of[context, position]
    few = ids[: max(len(ids) // 10, 1)]
    return {
        "eval_contexts": ids,
        "row_context": context.astype(np.int32),
        "row_position": position.astype(np.int16),
        "row_token": ids[context, position],
        "row_next_token": following[context, position],
        "row_document": document,
        "row_source": document,
        "row_domain": domain_of[document].astype(np.int16),
        "row_fit": np.array(halves)[context],
        "train_contexts": few,
        "sae_a_contexts": few[: len(few) // 2 + 1],
        "sae_b_contexts": few[len(few) // 2 :],
        "validation_contexts": few[:1],
    }


def _tokenizer_json(table: list[bytes]) -> bytes:
    """A byte-level tokenizer whose ids are those of the table (words without merges: for decoding only)."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    shifted = [byte for byte in range(256) if byte not in set(printable)]
    character = {b: chr(b) for b in printable} | {b: chr(256 + i) for i, b in enumerate(shifted)}
    names = [data.decode() if i == BOS else "".join(character[b] for b in data) for i, data in enumerate(table)]
    added = {"id": BOS, "content": names[BOS], "special": True} | dict.fromkeys(
        ("single_word", "lstrip", "rstrip", "normalized"), False
    )
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    whole = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [added],
        "normalizer": None,
        "pre_tokenizer": byte_level,
        "post_processor": None,
        "decoder": byte_level,
        "model": {"type": "BPE", "vocab": {name: i for i, name in enumerate(names)}, "merges": []},
    }
    return json.dumps(whole).encode()
