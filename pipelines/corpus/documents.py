"""Units of text cut into documents, without duplicates."""

import hashlib
from collections.abc import Iterable, Iterator
from typing import NamedTuple

#: Bytes of a chapter, where a text has no parts of its own.
CHAPTER_BYTES = 16_384


class Unit(NamedTuple):
    """One file, row, catalogue, sequence, … of a source, before it is cut."""

    source: str  # for people, e.g. "django/utils/text.py"; unique within its origin
    domain: str | None  # None: by the majority script of each document
    text: str
    origin: str = ""  # package or path that the text came from
    group: str | None = None  # what it shares a source with: its file, folder, author, …; None: it is its own source


class Document(NamedTuple):
    """A piece of a unit: what is packed as a whole."""

    text: str
    domain: str
    source: str
    origin: str
    unit: int  # number of the unit, over all sources of the recipe
    source_group: int  # number of the file, chapter, catalogue, …: what fit and score never share
    digest: str  # blake2b-128 of the UTF-8 text, hexadecimal


def digest_of(text: str) -> str:
    """blake2b-128 of the UTF-8 text, hexadecimal."""
    return hashlib.blake2b(text.encode("utf-8"), digest_size=16).hexdigest()


def hashed_order(names: Iterable[str]) -> list[str]:
    """Names in the order of their hash: mixed, and the same everywhere and for every seed."""
    return sorted(names, key=lambda name: (hashlib.blake2b(name.encode("utf-8")).digest(), name))


def cut(text: str, max_bytes: int) -> list[str]:
    """Cut a text at line ends into pieces of at most ``max_bytes`` UTF-8 bytes.

    A line that is longer is cut after white space, and where there is none between characters. A last
    piece of less than an eighth of the limit joins the piece before it, so that no crumbs are left:
    a piece may then hold up to 9/8 of the limit.

    Returns:
        Pieces whose concatenation is ``text``.
    """
    pieces: list[str] = []
    piece: list[str] = []
    size = 0
    for line in text.splitlines(keepends=True):
        # A character takes at most four bytes: most lines need no closer look.
        for part in (line,) if len(line) * 4 <= max_bytes else _short_enough(line, max_bytes):
            n_bytes = len(part) if part.isascii() else len(part.encode("utf-8"))
            if piece and size + n_bytes > max_bytes:
                pieces.append("".join(piece))
                piece, size = [], 0
            piece.append(part)
            size += n_bytes
    if pieces and size * 8 < max_bytes:
        pieces[-1] += "".join(piece)
    elif piece:
        pieces.append("".join(piece))
    return pieces


def _short_enough(line: str, max_bytes: int) -> Iterator[str]:
    """A line as it is, or in parts of at most ``max_bytes`` bytes, cut after white space if possible."""
    start = 0
    while start < len(line):
        # No character takes less than a byte, so this window is enough, however long the line.
        window = line[start : start + max_bytes]
        head = window.encode("utf-8")[:max_bytes].decode("utf-8", errors="ignore")
        if start + len(head) < len(line):
            at = max(head.rfind(" "), head.rfind("\t")) + 1
            head = head[:at] if at > len(head) // 2 else head
        yield head
        start += len(head)


class Distinct:
    """Remembers texts, white space aside, and says whether one is new. 16 bytes a text."""

    def __init__(self) -> None:
        self._seen: set[bytes] = set()

    def add(self, text: str) -> bool:
        """True the first time a text (white space aside) is seen."""
        key = hashlib.blake2b(" ".join(text.split()).encode("utf-8"), digest_size=16).digest()
        if key in self._seen:
            return False
        self._seen.add(key)
        return True
