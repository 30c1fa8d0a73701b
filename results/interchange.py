"""A finished run as files that other programs read: which there are, and how they are written whole."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Literal

from results.feature_records import dictionaries_of
from results.neuronpedia import source_id, write_config, write_source
from results.pair_file import write_pairs
from results.saedashboard import write_batches
from results.stored_comparison import StoredComparison
from storage import Run
from universality.errors import refusal

ExportFormat = Literal["pairs", "neuronpedia", "saedashboard"]
#: Owner of Neuronpedia's rows where none is named.
CREATOR = "universality"


def export_run(
    run: Run,
    comparisons: Iterable[str],
    out: Path,
    export_format: ExportFormat,
    *,
    models: Sequence[str] | None = None,
    creator: str = CREATOR,
) -> list[Path]:
    """Write some comparisons of a run; the same run gives the same bytes.

    Args:
        run: the run.
        comparisons: ids of its comparisons.
        out: folder; what is written must not be there yet.
        export_format: ``pairs``: ``out/<comparison>/pairs.json`` (:mod:`results.pair_file`); ``neuronpedia``:
            ``out/<model>/<layer>-<comparison>-<dictionary>/`` and ``out/config/`` (:mod:`results.neuronpedia`);
            ``saedashboard``: ``out/<comparison>/<dictionary>/`` (:mod:`results.saedashboard`).
        models: ids of dictionaries, for the last two; None for all that have contexts.
        creator: id of the account that Neuronpedia's rows belong to.

    Returns:
        The file of each comparison, or the folder of each dictionary.

    Raises:
        InputError: a place is taken, or no such dictionary. Before anything is written.
        TableMissing: the run has not computed what the files hold.
    """
    writers: dict[Path, Callable[[Path], None]] = {}
    for stored in (StoredComparison(run, comparison) for comparison in comparisons):
        home = out / stored.comparison
        if export_format == "pairs":
            stored.table("pairs")
            writers[home / "pairs.json"] = partial(write_pairs, stored)
            continue
        for record in dictionaries_of(stored, models):
            if export_format == "neuronpedia":
                place = out / record.model / source_id(record)
                writers[place] = partial(write_source, record, creator)
            else:
                writers[home / record.name] = partial(write_batches, record)
    for place in writers:
        if place.exists():
            remedy = "Give another --out, or remove that first."
            raise refusal("--out", "export", "a folder without earlier exports", str(place), remedy)
    for place, write in writers.items():
        place.parent.mkdir(parents=True, exist_ok=True)
        beside = place.with_name(f".{place.name}.unfinished")
        _remove(beside)
        try:
            write(beside)
            beside.replace(place)  # what has its name is whole
        finally:
            _remove(beside)
    if export_format == "neuronpedia":
        write_config(out / "config", creator)
    return list(writers)


def _remove(place: Path) -> None:
    if place.is_dir():
        shutil.rmtree(place)
    place.unlink(missing_ok=True)
