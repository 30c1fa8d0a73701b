"""The border where folders of text come in: which files of a folder are data, whatever else lies there."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

from pipelines.corpus.corpus_config import JsonLines, ParquetFiles, TextFolder
from pipelines.corpus.notes import Notes, printable
from universality.errors import refusal

#: Ends of files that other programs put beside data: locks, checksums, signatures, unfinished downloads, old copies.
BESIDE = frozenset({
    ".lock", ".sha256", ".sha512", ".sha1", ".md5", ".crc", ".asc", ".sig", ".tmp", ".temp", ".part", ".partial",
    ".crdownload", ".incomplete", ".download", ".swp", ".swo", ".bak", ".orig", ".rej",
})  # fmt: skip


def matching_files(config: TextFolder | JsonLines | ParquetFiles, notes: Notes | None = None) -> list[tuple[str, Path]]:
    """Files of a source in the order of their names, each with its name relative to ``config.path``.

    Links to folders are followed. Hidden files and folders, and files that other programs put beside data, are passed
    over unless the pattern asks for them by name.

    Args:
        config: a source with ``path`` and ``pattern``.
        notes: takes what was passed over.

    Raises:
        InputError: the path does not exist, no file matches (the text says what is there), or a folder that cannot be
            read or that leads back to itself.
    """
    notes = Notes() if notes is None else notes
    root = Path(config.path).expanduser()
    if root.is_file():
        return [(printable(root.name), root)]
    if not root.is_dir():
        raise refusal("path", f"the {config.kind} source", "a file or folder", str(root), "Correct the path.")
    matches = re.compile(pattern_regex(config.pattern)).fullmatch
    wants_hidden = any(part.startswith(".") for part in config.pattern.split("/"))
    files, ends = [], set()
    for name, path in files_under(root, notes):
        ends.add(path.suffix or path.name)
        if not matches(name):
            continue
        if not wants_hidden and any(part.startswith(".") for part in name.split("/")):
            notes.add("hidden", name)
        elif _is_beside(path.name) and not config.pattern.endswith(path.suffix):
            notes.add("beside", name)
        elif not path.is_file():
            notes.add("nowhere" if path.is_symlink() else "no_file", name)
        else:
            files.append((printable(name), path))
    if not files:
        got = f"{config.pattern!r}, where files end in {sorted(map(printable, ends))[:8]}"
        remedy = "Correct the pattern, or choose another kind of source."
        raise refusal("pattern", str(root), "matched by at least one file", got, remedy)
    return sorted(files)


def files_under(root: Path, notes: Notes | None = None) -> Iterator[tuple[str, Path]]:
    """Everything below a folder that is no folder, with its relative name; links to folders are followed.

    Raises:
        InputError: a folder that cannot be read.
    """

    def unreadable(error: OSError) -> None:
        raise refusal("folder", str(error.filename), "readable", str(error), "Allow reading it, or move it away.")

    # A folder that is reached by two ways is read once: text that stood there twice would be no more text.
    seen = {os.path.realpath(root)}
    for folder, inner, names in os.walk(root, followlinks=True, onerror=unreadable):
        inner.sort()
        for name in [*inner]:
            place = os.path.realpath(os.path.join(folder, name))
            if place in seen:
                inner.remove(name)
                if notes is not None:
                    notes.add("twice", os.path.relpath(os.path.join(folder, name), root))
            seen.add(place)
        for name in sorted(names):
            path = Path(folder, name)
            yield path.relative_to(root).as_posix(), path


def _is_beside(name: str) -> bool:
    return os.path.splitext(name)[1].lower() in BESIDE or name.endswith("~")


def pattern_regex(pattern: str) -> str:
    """A regular expression over relative names with ``/`` for what a glob means, ``**`` for any number of folders."""
    parts = pattern.split("/")
    parts = [part for part, next_ in zip(parts, [*parts[1:], ""], strict=True) if part != "**" or next_ != "**"]
    regex = ""
    for number, part in enumerate(parts):
        last = number == len(parts) - 1
        if part == "**":
            regex += r"(?:[^/]+/)*" + (r"[^/]+" if last else "")
        else:
            regex += _component(part) + ("" if last else "/")
    return f"(?s:{regex})"


def _component(part: str) -> str:
    """One component of a glob; a bracket that is never closed is itself."""
    regex, rest = "", part
    while rest:
        # A first bracket inside is one of the characters: no part of this gives anything back.
        choice = re.match(r"\[([!^]?+)(\]?+[^\]/]*+)\]", rest)
        if choice is not None:
            inner = _characters(choice[2])
            regex += f"[^/{inner}]" if choice[1] else f"[{inner}]" if inner else "(?!)"
            rest = rest[choice.end() :]
            continue
        regex += {"*": "[^/]*", "?": "[^/]"}.get(rest[0], re.escape(rest[0]))
        rest = rest[1:]
    return regex


def _characters(inner: str) -> str:
    """The inside of a bracket as a regular expression knows it; ranges that fall (``z-a``) hold nothing."""
    regex = ""
    while inner:
        is_range = len(inner) > 2 and inner[1] == "-"
        first, last = inner[0], inner[2] if is_range else inner[0]
        regex += f"{re.escape(first)}-{re.escape(last)}" if first <= last else ""
        inner = inner[3:] if is_range else inner[1:]
    return regex
