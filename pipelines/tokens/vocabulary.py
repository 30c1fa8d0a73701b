"""The exact bytes of every token."""

import json
import re
from collections.abc import Callable, Collection, Sequence
from functools import cache

import numpy as np
import pandas as pd
from tokenizers import Tokenizer

from pipelines.tokens.identity import what_changes
from universality.errors import refusal, require

#: Ids of a vocabulary, at most: the largest known have a quarter of a million.
MOST_TOKENS = 10_000_000
_BYTE_TOKEN = re.compile(r"<0x([0-9A-Fa-f]{2})>")


@cache
def byte_of_character() -> dict[str, int]:
    """The byte that each character of a byte-level vocabulary stands for.

    Printable Latin-1 bytes stand for themselves; the other 68 are shifted, in order, to U+0100 and up.
    Source: Radford et al. 2019 (GPT-2), its byte encoder; the inverse is ours.
    """
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    shifted = [byte for byte in range(0x100) if byte not in set(printable)]
    return {chr(byte): byte for byte in printable} | {chr(0x100 + i): byte for i, byte in enumerate(shifted)}


def token_bytes(tokenizer: Tokenizer) -> list[bytes]:
    """Bytes of each token id, so that joined in order they are the text's UTF-8.

    Byte-level vocabularies (GPT-2, Pythia, Llama 3, ours) and byte-fallback ones (Llama 2, Gemma) are
    read exactly. WordPiece knows no spaces: a piece that begins a word is written with one in front of it.

    Raises:
        InputError: a vocabulary of another kind, whose tokens are not exact bytes.
    """
    settings = json.loads(tokenizer.to_str())
    added = {token["id"]: token["content"].encode("utf-8") for token in settings["added_tokens"]}
    read = _reader(settings)
    size = max(tokenizer.get_vocab(with_added_tokens=True).values(), default=-1) + 1
    remedy = "Number its tokens 0, 1, …"
    require(size <= MOST_TOKENS, "largest id", "the tokenizer", f"below {MOST_TOKENS:,}", size - 1, remedy)
    table = []
    for token in range(size):
        text = tokenizer.id_to_token(token)
        table.append(added[token] if token in added else b"" if text is None else read(text))
    return table


def vocabulary_table(tokenizer: Tokenizer) -> pd.DataFrame:
    """Vocabulary as a table.

    Returns:
        Columns ``token`` (int32, 0, 1, …), ``bytes`` (hexadecimal), ``text`` (the bytes as UTF-8, with
        U+FFFD for a part of a character), ``special`` (never a row of an evaluation).
    """
    table = token_bytes(tokenizer)
    special = {token["id"] for token in json.loads(tokenizer.to_str())["added_tokens"] if token["special"]}
    return table_of(table, special)


def table_of(pieces: Sequence[bytes], special: Collection[int]) -> pd.DataFrame:
    """The table of :func:`vocabulary_table` of what each token spells, and which are special."""
    return pd.DataFrame(
        {
            "token": np.arange(len(pieces), dtype=np.int32),
            "bytes": [data.hex() for data in pieces],
            "text": [data.decode("utf-8", errors="replace") for data in pieces],
            "special": [token in special for token in range(len(pieces))],
        }
    )


def _reader(settings: dict):
    """The function from a token's string to its bytes that a tokenizer's settings call for."""
    if "ByteLevel" in _types(settings["pre_tokenizer"]) | _types(settings["decoder"]):
        return _byte_level
    if settings["model"].get("byte_fallback"):
        return _byte_fallback
    if is_wordpiece(settings) and what_changes(settings) is None:
        return _word_piece(settings["model"].get("continuing_subword_prefix", "##"))
    raise refusal(
        "vocabulary",
        f"the tokenizer (model {settings['model'].get('type')})",
        "byte-level or with byte fallback, so that every token is exact bytes",
        f"pre-tokenizer {_types(settings['pre_tokenizer']) or 'none'}",
        "Use a byte-level tokenizer (GPT-2, Pythia, Llama 3) or train one: tokenizer.kind=train.",
    )


def is_wordpiece(settings: dict) -> bool:
    """Whether tokens are pieces of words between which spaces are lost."""
    return settings["model"].get("type") == "WordPiece"


def _word_piece(continuing: str) -> Callable[[str], bytes]:
    def read(text: str) -> bytes:
        return (text.removeprefix(continuing) if text.startswith(continuing) else f" {text}").encode("utf-8")

    return read


def _types(node: object) -> set[str]:
    """All ``type`` names in a part of the settings."""
    if isinstance(node, dict):
        here = {node["type"]} if isinstance(node.get("type"), str) else set()
        return here.union(*(_types(value) for value in node.values()))
    if isinstance(node, list):
        return set().union(*(_types(value) for value in node))
    return set()


def _byte_level(text: str) -> bytes:
    table = byte_of_character()
    try:
        return bytes(table[character] for character in text)
    except KeyError:
        return text.encode("utf-8")  # an ordinary token that was added as text


def _byte_fallback(text: str) -> bytes:
    match = _BYTE_TOKEN.fullmatch(text)
    return bytes.fromhex(match[1]) if match else text.replace("▁", " ").encode("utf-8")
