"""What a tokenizer is, by its content: two that spell every text alike are one, whatever they are called."""

from __future__ import annotations

import hashlib
import json
from functools import cache
from pathlib import Path
from typing import Any

from pipelines.tokens.tokenizer_config import HubTokenizer, TokenizerConfig, TrainedTokenizer
from universality.errors import InputError, refusal

#: Parts of a ``tokenizer.json`` that decide which tokens a text becomes.
_PARTS = ("model", "normalizer", "pre_tokenizer", "added_tokens")
#: What changes ordinary text before it becomes tokens, so that no byte of it keeps its place.
_CHANGES = {
    "NFKC": "writes compatible characters alike (NFKC)",
    "NFKD": "takes characters apart (NFKD)",
    "NFD": "takes accents from their letters (NFD)",
    "Lowercase": "writes all letters small",
    "StripAccents": "drops accents",
    "Nmt": "drops and replaces characters (Nmt)",
    "Precompiled": "replaces characters by a table of its own",
    "Strip": "drops spaces at the ends",
}


def tokenizer_name(config: TokenizerConfig) -> str:
    """What people call a tokenizer: where it comes from, or the size of one that is trained."""
    if isinstance(config, TrainedTokenizer):
        learned = f" from {' and '.join(config.learn_from)}" if config.learn_from else ""
        return f"trained here{learned}, {config.vocab_size:,} tokens"
    return config.path if config.kind == "file" else config.name


@cache
def identity(config: TokenizerConfig) -> str:
    """What a tokenizer holds, as far as that can be known before anything is computed: else what is said of it.

    One that is trained is known by its settings, for it learns from the same text as every other of its run.
    """
    if isinstance(config, TrainedTokenizer):
        return str(config)
    from pipelines.tokens.tokenizer import choose_tokenizer

    try:
        chosen = choose_tokenizer(config, [])
        # Contexts of equal tokenizers that start with different tokens are different.
        return f"{content_digest(chosen.content)} {config.bos_token or chosen.start}"
    except InputError:  # the step says so, with the reason; a hub may be out of reach only now
        return str(config)


def check_own_tokenizer(model: str, used: TokenizerConfig) -> None:
    """Hold the tokenizer that a model is to read against the one that a local model brings along, before anything runs.

    Raises:
        InputError: an id stands for different tokens: a model would read another text than was written.
    """
    from pipelines.tokens.tokenizer import compare_tokenizers

    own, content = local_content(HubTokenizer(name=model)), local_content(used)
    # Of the hub, the step that pins a model does the same.
    if own is not None and content is not None and own != content:
        compare_tokenizers(own, content, model)


def local_content(config: TokenizerConfig) -> bytes | None:
    """The ``tokenizer.json`` of a tokenizer on this machine; None of any other."""
    if isinstance(config, TrainedTokenizer):
        return None
    path = Path(config.path if config.kind == "file" else config.name).expanduser()
    path = path if config.kind == "file" else path / "tokenizer.json"
    return path.read_bytes() if path.is_file() else None


def content_digest(content: bytes) -> str:
    """32 hex characters over vocabulary, merges, normaliser, pre-tokenizer and added tokens of a ``tokenizer.json``."""
    settings = json.loads(content)
    held = json.dumps([settings.get(part) for part in _PARTS], sort_keys=True)
    return hashlib.blake2b(held.encode(), digest_size=16).hexdigest()


def check_spells(content: bytes, name: str) -> None:
    """Refuse a tokenizer that changes the text which it reads: its tokens spell other bytes than were written.

    One that only composes characters (NFC) passes: text is nearly always written so, and documents that are not are
    left out and counted.

    Raises:
        InputError: it names what the tokenizer does.
    """
    change = what_changes(json.loads(content))
    if change is not None:
        got, remedy = f"one that {change}", "Compare models of this tokenizer with each other, or choose others."
        raise refusal("tokenizer", name, "one that keeps the bytes of the text, as others split it", got, remedy)


def what_changes(settings: dict[str, Any]) -> str | None:
    """What the settings of a tokenizer do to ordinary text before it becomes tokens; None where they keep it."""
    for part in _normalizers(settings.get("normalizer")):
        kind = str(part.get("type"))
        if kind == "BertNormalizer" and (part.get("lowercase") or part.get("strip_accents")):
            return "writes all letters small or drops accents"
        if kind in _CHANGES:
            return _CHANGES[kind]
    return None


def _normalizers(part: Any) -> list[dict[str, Any]]:
    if not isinstance(part, dict):
        return []
    return [part, *(inner for one in part.get("normalizers") or [] for inner in _normalizers(one))]
