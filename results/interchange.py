"""A finished run as files that other programs read: which there are, and how they are written whole."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Literal

from results.pair_file import pair_text
from results.stored_comparison import StoredComparison
from storage import Run
from universality.errors import refusal

ExportFormat = Literal["pairs"]


def export_run(run: Run, comparisons: Iterable[str], out: Path, export_format: ExportFormat) -> list[Path]:
    """Write some comparisons of a run; equal runs give equal bytes.

    Args:
        run: the run.
        comparisons: ids of its comparisons.
        out: folder; what is written must not be there yet.
        export_format: ``pairs``, ``out/<comparison>/pairs.json`` (:mod:`results.pair_file`).

    Returns:
        The files, in the order in which they were written.

    Raises:
        InputError: a file is there already. Before anything is written.
        TableMissing: the run has not computed what the files hold.
    """
    chosen = [StoredComparison(run, comparison) for comparison in comparisons]
    files = [new_place(out / stored.comparison / "pairs.json") for stored in chosen]
    for stored, file in zip(chosen, files, strict=True):
        with whole_file(file) as handle:
            for piece in pair_text(stored):
                handle.write(piece.encode())
    return files


def new_place(place: Path) -> Path:
    """A file or folder that is not there yet. Raises InputError where it is."""
    if place.exists():
        remedy = "Give another --out, or remove that first."
        raise refusal("--out", "export", "a folder without earlier exports", str(place), remedy)
    return place


@contextmanager
def whole_file(place: Path) -> Iterator[IO[bytes]]:
    """A file to write, which gets its name only when the block has ended well."""
    place.parent.mkdir(parents=True, exist_ok=True)
    beside = place.with_name(f".{place.name}.unfinished")
    try:
        with beside.open("wb") as handle:
            yield handle
        beside.replace(place)
    finally:
        beside.unlink(missing_ok=True)
