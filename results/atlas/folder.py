"""The folder of an atlas: written beside its place and moved there whole; only an earlier atlas is replaced."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from universality.errors import refusal

MANIFEST, KIND, SCHEMA = "atlas.json", "universality-atlas", 1
#: Files of the page itself, copied as they are.
STATIC = ("index.html", "atlas.css", "draw.js", "data.js", "pages.js", "lists.js", "atlas.js")


def check_place(place: Path) -> None:
    """Refuse a place where an atlas would replace anything but an atlas.

    Raises:
        InputError: it is a file, or a folder that holds something else.
    """
    if not place.exists():
        return
    if not place.is_dir():
        raise refusal("--out", "atlas", "a folder", f"the file {place}", "Give another --out.")
    names = {path.name for path in place.iterdir()}
    strange = names if not _is_atlas(place) else names - {MANIFEST, "data", *STATIC}
    if strange:
        listed = ", ".join(sorted(strange)[:3])
        got = f"{place}, which holds {listed}{' and more' if len(strange) > 3 else ''}"
        raise refusal("--out", "atlas", "new, empty, or an earlier atlas", got, "Give another --out, or empty it.")


@contextmanager
def whole_folder(place: Path, manifest: dict[str, Any]) -> Iterator[Path]:
    """A folder to write an atlas into, which takes its place once the block has ended well.

    Args:
        place: where it shall stand.
        manifest: what ``atlas.json`` says besides its kind; read after the block.

    Raises:
        InputError: see :func:`check_place`; before and after anything is written.
    """
    place = place.resolve()
    check_place(place)
    place.parent.mkdir(parents=True, exist_ok=True)
    beside, old = (place.with_name(f".{place.name}.{word}") for word in ("unfinished", "replaced"))
    shutil.rmtree(beside, ignore_errors=True)
    beside.mkdir()
    try:
        yield beside
        text = json.dumps({"kind": KIND, "schema": SCHEMA, **manifest}, indent=1, ensure_ascii=False)
        (beside / MANIFEST).write_text(text + "\n", encoding="utf-8")
        check_place(place)  # it may have been filled meanwhile
        shutil.rmtree(old, ignore_errors=True)
        if place.exists():
            place.rename(old)
        beside.rename(place)
        shutil.rmtree(old, ignore_errors=True)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def _is_atlas(place: Path) -> bool:
    try:
        return json.loads((place / MANIFEST).read_text(encoding="utf-8"))["kind"] == KIND
    except (OSError, ValueError, KeyError, TypeError):
        return False
