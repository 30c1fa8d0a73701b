"""``universality export``: a run's results as files of other programs."""

from __future__ import annotations

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
    export_format: Annotated[
        Literal["pairs", "neuronpedia", "saedashboard"],
        typer.Option("--format", help="pairs (one JSON), neuronpedia (bulk JSONL) or saedashboard (JSON)."),
    ] = "pairs",
    models: Annotated[
        list[str] | None,
        typer.Option("--model", metavar="ID", help="A dictionary, as m0; may be repeated. Default all with contexts."),
    ] = None,
    creator: Annotated[
        MaybeText,
        typer.Option("--creator", metavar="ID", help="Account in the Neuronpedia that imports it.", show_default=False),
    ] = None,
    comparison: Annotated[
        MaybeText, typer.Option("--comparison", help="Its id; default all of the run.", show_default=False)
    ] = None,
    store: StoreOption = STORE,
    as_json: JsonOption = False,
) -> None:
    """Write a run's results as files that other programs read.

    Nothing is sent anywhere. docs/FORMATS.md says what every file holds.
    """
    from results.interchange import CREATOR, export_run
    from results.stored_comparison import comparisons_of

    given, where = {"--model": models, "--creator": creator}, f"export --format {export_format}"
    for option in {"pairs": ("--model", "--creator"), "saedashboard": ("--creator",)}.get(export_format, ()):
        legal = "absent: it says nothing here"
        require(not given[option], option, where, legal, repr(given[option]), f"Drop {option}.")
    run = open_named(run_name, store)
    ids = comparisons_of(run.observed)
    one_of = f"one of {', '.join(ids)}"
    require(comparison in (None, *ids), "--comparison", f"run {run.name!r}", one_of, repr(comparison), "Check its id.")
    comparisons = ids if comparison is None else [comparison]
    done = export_run(run, comparisons, out, export_format, models=models, creator=creator or CREATOR)
    if as_json:
        print_json({"run": run.name, "format": export_format, "written": [str(place) for place in done]})
    else:
        for place in done:
            typer.echo(place)
    say(f"{counted(len(done), 'file' if export_format == 'pairs' else 'folder')} of run {run.name} in {out}.")
