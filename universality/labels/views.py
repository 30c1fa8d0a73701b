"""What a row is, by its text alone: its token, how that begins and ends, what stood before, where it is, and of what.

Every way to look at a row is a *view*: it puts each row into at most one part, and a rule is some parts of one view.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from jaxtyping import Bool, Int

from universality.rows import Rows

#: Families of rules, the plainest first, by the view that they read, and how many parts a rule of each may have.
FAMILIES = {
    "token": 1, "domain": 3, "script": 3, "class": 3, "position": 6, "repeat": 4, "prefix": 4, "suffix": 4,
    "tokens": 16, "previous": 8, "domain_token": 16, "bigram": 16,
}  # fmt: skip
#: A plainer family is preferred to one that foretells no more than this above it.
TOLERANCE = 0.02
#: A rule of a lower r on the score rows explains nothing that deserves its name.
LEAST_R = 0.3
#: Script of a token without letters.
NO_LETTERS = "no letters"
#: Bytes of a token that a prefix or a suffix has.
AFFIXES = (1, 2, 3, 4)
AFFIX_CUTS = {"prefix": lambda text, n: text[:n], "suffix": lambda text, n: text[-n:]}
#: As many last tokens as are looked for earlier in a context.
LONGEST_REPEAT = 4
#: Stands in front of what ends a script's part in the name of a character.
_SCRIPT = re.compile(r" (SMALL|CAPITAL|MODIFIER|LETTER|UNIFIED|COMPATIBILITY|SYLLABLE|VOWEL|SIGN|IDEOGRAPH)\b.*")


@dataclass(frozen=True, eq=False)
class View:
    """One way to put rows into parts.

    Attributes:
        family: one of :data:`FAMILIES`.
        parts: (n_rows,) int32 part of each row, -1 for none.
        keys: what each part is: ``token`` and ``tokens`` (token,); ``previous`` (token,), -1 behind a special token;
            ``bigram`` (token before, token); ``domain_token`` (domain, token); ``prefix`` and ``suffix`` (bytes,);
            ``domain``, ``script``, ``class`` (word,); ``position`` (first, last); ``repeat`` (n tokens,).
    """

    family: str
    parts: Int[np.ndarray, " n_rows"]
    keys: Sequence[tuple[Any, ...]]


def text_views(
    rows: Rows,
    token_bytes: Sequence[bytes],
    special: Bool[np.ndarray, " d_vocab"],
    contexts: Int[np.ndarray, "n_contexts n_ctx"],
    row_context: Int[np.ndarray, " n_rows"],
    row_position: Int[np.ndarray, " n_rows"],
) -> list[View]:
    """Every view of the rows of a comparison, in the order of :data:`FAMILIES`; views of domains where rows have them.

    Args:
        rows: their domains.
        token_bytes: what every token spells.
        special: which token ids are special: a new document begins behind each.
        contexts: token ids.
        row_context: context of each row.
        row_position: its place there, 1 and up.
    """
    contexts, at = np.asarray(contexts), (np.asarray(row_context, np.int64), np.asarray(row_position, np.int64))
    here, before = contexts[at].astype(np.int64), contexts[at[0], at[1] - 1].astype(np.int64)
    before = np.where(special[before], -1, before)
    of_token = _numbered(here)
    views = [View("token", *of_token)]
    if rows.domains is not None and rows.domain_names is not None:
        views.append(View("domain", rows.domains.astype(np.int32), [(name,) for name in rows.domain_names]))
    kinds = _kinds(contexts, token_bytes, special)
    views += [_worded(family, kinds[family][at]) for family in ("script", "class")]
    views.append(_worded("class", kinds["class"][at], kinds["begins"][at]))
    views += [
        _position(at[1]),
        View("repeat", _repeats(contexts, special)[at], [(n,) for n in range(LONGEST_REPEAT + 1)]),
    ]
    for family, cut in AFFIX_CUTS.items():
        views += [_affix(family, n, here, [cut(text, n) for text in token_bytes]) for n in AFFIXES]
    views += [View("tokens", *of_token), View("previous", *_numbered(before))]
    if rows.domains is not None and rows.domain_names is not None:
        parts, keys = _numbered(rows.domains, here)
        views.append(View("domain_token", parts, [(rows.domain_names[domain], token) for domain, token in keys]))
    views.append(View("bigram", *_numbered(before, here)))
    order = list(FAMILIES)
    return sorted(views, key=lambda view: order.index(view.family))


def vocabulary_views(token_bytes: Sequence[bytes], special: Bool[np.ndarray, " d_vocab"]) -> list[View]:
    """Script, class, prefixes and suffixes of every token id, alone and in place of rows; special ones in no part."""
    looked = [_looked_at("".join(_characters([text]))) for text in token_bytes]
    views = []
    for family, words in zip(("script", "class"), zip(*(of[:2] for of in looked), strict=True), strict=True):
        views.append(_worded(family, np.where(special, "", np.array(words))))
    every = np.arange(len(token_bytes))
    for family, cut in AFFIX_CUTS.items():
        views += [_affix(family, n, every, [cut(text, n) for text in token_bytes]) for n in AFFIXES]
    return views


def _numbered(*columns: np.ndarray) -> tuple[np.ndarray, list[tuple[int, ...]]]:
    """Parts of rows that are equal in all columns, and these values."""
    code, sizes = np.zeros(columns[0].size, np.int64), []
    for column in columns:
        values, of = np.unique(column, return_inverse=True)
        sizes.append(values)
        code = code * values.size + of.ravel()
    found, parts = np.unique(code, return_inverse=True)
    keys = []
    for values in reversed(sizes):
        found, place = np.divmod(found, values.size)
        keys.append(values[place].tolist())
    return parts.ravel().astype(np.int32), list(zip(*reversed(keys), strict=True))


def _worded(family: str, *words: np.ndarray) -> View:
    """Parts of rows with equal words; rows with an empty word are in none."""
    joined = words[0] if len(words) == 1 else np.char.add(np.char.add(words[0], " "), words[1])
    found, parts = np.unique(joined, return_inverse=True)
    empty = np.any([of == "" for of in words], axis=0)
    return View(family, np.where(empty, -1, parts.ravel()).astype(np.int32), [(str(word),) for word in found])


def _affix(family: str, n: int, here: np.ndarray, of_token: list[bytes]) -> View:
    """Parts of rows whose tokens begin (or end) alike; tokens of fewer bytes are in none."""
    keys = sorted({text for text in of_token if len(text) == n})
    number = {text: place for place, text in enumerate(keys)}
    return View(family, np.array([number.get(text, -1) for text in of_token], np.int32)[here], [(key,) for key in keys])


def _position(position: np.ndarray) -> View:
    """Parts by position: 1, 2, 3 to 4, 5 to 8, …: each twice as long as the one before."""
    parts = np.ceil(np.log2(np.maximum(position, 1))).astype(np.int32)
    keys = [(1, 1), *((2 ** (n - 1) + 1, 2**n) for n in range(1, int(parts.max(initial=0)) + 1))]
    return View("position", parts, keys)


def _repeats(contexts: np.ndarray, special: np.ndarray) -> np.ndarray:
    """(n_contexts, n_ctx) how many tokens up to here, :data:`LONGEST_REPEAT` at most, stood before in this document."""
    n, n_ctx = contexts.shape
    special = special[contexts]
    document = np.cumsum(special.ravel()) + np.repeat(np.arange(n), n_ctx)  # a context begins one too
    whole, found = document, np.zeros(contexts.size, np.int32)
    tokens, places = contexts.ravel().astype(np.int64), np.arange(contexts.size)
    for length in range(1, LONGEST_REPEAT + 1):
        if length > 1:  # a longer text is the one a token shorter, and this token
            whole = np.r_[-1, whole[:-1]]
        values = np.unique(tokens, return_inverse=True)[1].ravel()
        _, first, whole = np.unique(whole * (values.max() + 1) + values, return_index=True, return_inverse=True)
        whole = whole.ravel()
        inside = places >= length - 1
        inside[length - 1 :] &= document[length - 1 :] == document[: contexts.size - length + 1]
        found[inside & (first[whole] < places)] = length
        whole = np.where(inside, whole, -1 - places)
    return np.where(special, 0, found.reshape(n, n_ctx))


def _kinds(contexts: np.ndarray, token_bytes: Sequence[bytes], special: np.ndarray) -> dict[str, np.ndarray]:
    """Script and class of every token of the contexts, and whether it begins a word, as words; empty for special ones.

    A character whose bytes lie in several tokens is told of each of them: the text is decoded as a whole.
    """
    found = {name: np.zeros(contexts.shape, dtype="U32") for name in ("script", "class", "begins")}
    for number, context in enumerate(contexts.tolist()):
        pieces, inside = _characters([b"" if special[token] else token_bytes[token] for token in context]), False
        for place, (token, text) in enumerate(zip(context, pieces, strict=True)):
            if special[token]:
                inside = False
                continue
            script, kind, letter_first, ends = _looked_at(text)
            found["script"][number, place], found["class"][number, place] = script, kind
            if letter_first:
                continues = inside and not text.startswith(" ")
                found["begins"][number, place] = "inside a word" if continues else "at a word's start"
            inside = ends
    return found


def _characters(tokens: list[bytes]) -> list[str]:
    """Of every token the characters that it has bytes of."""
    owner = [place for place, token in enumerate(tokens) for _ in token]
    texts: list[list[str]] = [[] for _ in tokens]
    at = 0
    for character in b"".join(tokens).decode("utf-8", "surrogateescape"):
        length = 1 if "\udc80" <= character <= "\udcff" else len(character.encode())
        for place in dict.fromkeys(owner[at : at + length]):
            texts[place].append(character)
        at += length
    return ["".join(text) for text in texts]


@cache
def _looked_at(text: str) -> tuple[str, str, bool, bool]:
    """Script and class of a token's text; whether it begins with a letter, spaces aside, and ends with one."""
    body = text.strip(" ")
    letters = [character for character in body if unicodedata.category(character)[0] in "LM"]
    script = _script(letters[0]) if letters else NO_LETTERS
    return script, _class(body, letters), body[:1] in letters, text[-1:] in letters


@cache
def _script(letter: str) -> str:
    return _SCRIPT.sub("", unicodedata.name(letter, "UNNAMED")).split(" WITH ")[0].title()


def _class(body: str, letters: list[str]) -> str:
    """What kind of characters a token without its outer spaces is made of."""
    kinds = {unicodedata.category(character)[0] for character in body}
    cased = any(character.isupper() or character.islower() for character in body)
    rules = {
        "spaces": not body,
        "line breaks": body.isspace() and not {"\n", "\r"}.isdisjoint(body),
        "tabs and other blanks": body.isspace(),
        "letters without case": kinds <= {"L", "M"} and not cased,
        "lower-case letters": kinds <= {"L", "M"} and body.islower(),
        "capital letters": kinds <= {"L", "M"} and body.isupper(),
        "capitalised letters": kinds <= {"L", "M"} and body[1:].islower(),
        "letters of mixed case": kinds <= {"L", "M"},
        "digits": kinds == {"N"},
        "letters and digits": bool(letters) and kinds <= {"L", "M", "N"},
        "punctuation": kinds <= {"P", "S"},
        "parts of characters": kinds == {"C"},
    }
    return next((name for name, holds in rules.items() if holds), "mixed characters")
