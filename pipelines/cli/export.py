"""``universality export``: a run's results as files of other programs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from pipelines.cli.options import STORE, JsonOption, MaybeText, OutOption, RunArgument, StoreOption
from pipelines.cli.runs import open_named
from pipelines.cli.terminal import print_json, say
from results.words import counted
from universality.errors import require


def export(
    out: OutOption,
    run_name: RunArgument = None,
    export_format: Annotated[Literal["pairs"], typer.Option("--format", help="pairs: one JSON of pairs.")] = "pairs",
    comparison: Annotated[
        MaybeText, typer.Option("--comparison", help="Its id; default all of the run.", show_default=False)
    ] = None,
    store: StoreOption = STORE,
    as_json: JsonOption = False,
) -> None:
    """Write a run's results as files that other programs read.

    Nothing is sent anywhere. docs/FORMATS.md says what every file holds.
    """
    from results.interchange import export_run
    from results.stored_comparison import comparisons_of

    run = open_named(run_name, store)
    ids = comparisons_of(run.observed)
    one_of = f"one of {', '.join(ids)}"
    require(comparison in (None, *ids), "--comparison", f"run {run.name!r}", one_of, repr(comparison), "Check its id.")
    files = export_run(run, ids if comparison is None else [comparison], Path(out), export_format)
    if as_json:
        print_json({"run": run.name, "format": export_format, "files": [str(file) for file in files]})
    else:
        for file in files:
            typer.echo(file)
    say(f"{counted(len(files), 'file')} of run {run.name} in {out}.")
