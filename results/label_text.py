"""Rules of text in words: what a reader sees where a latent has a label."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from results.token_text import visible
from universality.labels.views import NO_LETTERS

#: Parts of a rule that its label names; a longer one says how many more there are.
SHOWN = 4
#: Characters of one token that are shown.
_MAX_TOKEN = 24
_START = "the start of a document"


def part_text(family: str, key: tuple[Any, ...], token_bytes: Sequence[bytes]) -> str:
    """One part of a rule.

    Args:
        family: one of :data:`universality.labels.views.FAMILIES`.
        key: what the part is, as :class:`universality.labels.views.View` has it.
        token_bytes: what every token id spells.
    """
    if family in ("token", "tokens", "previous", "bigram"):
        return " + ".join(_token(token, token_bytes) for token in key)
    if family == "domain_token":
        return f"{_token(key[1], token_bytes)} in {key[0]}"
    if family in ("prefix", "suffix"):
        return _quoted(key[0])
    if family == "position":
        first, last = key
        return str(first) if first == last else f"{first}\u2013{last}"
    said = {("repeat", 0): "new", ("repeat", 1): "the last token", ("script", NO_LETTERS): "no letters at all"}
    return said.get((family, key[0]), f"the last {key[0]}" if family == "repeat" else str(key[0]))


def rule_text(family: str, keys: Sequence[tuple[Any, ...]], token_bytes: Sequence[bytes]) -> str:
    """A rule in words.

    Args:
        family: as in :func:`part_text`.
        keys: its parts, those that explain most first; at least one.
        token_bytes: what every token id spells.
    """
    parts = [part_text(family, key, token_bytes) for key in keys]
    if family == "domain_token" and len({domain for domain, _ in keys}) == 1:
        return f"in {keys[0][0]}: {_listed([_token(token, token_bytes) for _, token in keys])}"
    if family == "domain_token" and len({token for _, token in keys}) == 1:
        return f"token {_token(keys[0][1], token_bytes)} in {_listed([str(domain) for domain, _ in keys])}"
    if family == "repeat":
        seen = [part for part in parts if part != "new"]
        told = [f"seen before: {_listed(seen)}"] if seen else []
        return "; ".join([*told, *(["a token not seen before"] if "new" in parts else [])])
    plural = "s" if len(parts) > 1 else ""
    if family == "script" and keys[0][0] == NO_LETTERS:
        return _listed(parts)
    before = {
        "token": "token ", "tokens": f"token{plural} ", "previous": "after ", "prefix": "tokens that begin with ",
        "suffix": "tokens that end in ", "domain": f"domain{plural} ", "script": f"script{plural} ",
        "position": f"position{plural} ",
    }  # fmt: skip
    return before.get(family, "") + _listed(parts)


def promoted_text(family: str, key: tuple[Any, ...], n: int, n_top: int, tokens: Sequence[bytes]) -> str:
    """What a latent makes likelier, in words: what most of its tokens have in common, or the first of them.

    Args:
        family, key, n: of :class:`universality.labels.promoted.Common`.
        n_top: tokens that were looked at.
        tokens: their bytes, most promoted first.
    """
    if family == "tokens":
        return _listed([_quoted(token) for token in tokens])
    return f"{rule_text(family, [key], [])} ({n} of {n_top})"


def _listed(parts: list[str]) -> str:
    more = len(parts) - SHOWN
    return ", ".join(parts[:SHOWN]) + (f" and {more} more" if more > 0 else "")


def _token(token: int, token_bytes: Sequence[bytes]) -> str:
    return _START if token < 0 else _quoted(token_bytes[token])


def _quoted(token: bytes) -> str:
    return f"“{visible(token, mark_spaces=True, limit=_MAX_TOKEN)}”"
