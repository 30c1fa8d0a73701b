"""``universality export-saes``: dictionaries of a run as folders with model cards."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from pipelines.cli.options import STORE, JsonOption, OutOption, RunArgument, StoreOption
from pipelines.cli.runs import open_named
from pipelines.cli.terminal import EXIT_FAILED, print_json, say
from results.words import counted


def export_saes(
    out: OutOption,
    run_name: RunArgument = None,
    store: StoreOption = STORE,
    export_format: Annotated[
        Literal["saelens", "ours"], typer.Option("--format", help="saelens (6 and newer) or ours.")
    ] = "saelens",
    models: Annotated[
        list[str] | None,
        typer.Option("--model", metavar="ID", help="A dictionary, as m0 or m0r; may be repeated. Default all."),
    ] = None,
    licence: Annotated[
        str, typer.Option("--license", metavar="ID", help="For the card, as hubs write it: mit, cc-by-4.0, …")
    ] = "",
    as_json: JsonOption = False,
) -> None:
    """Write the dictionaries that a run trained as folders.

    Weights in the format of SAELens or ours, and a model card with what they are, how good, and how to load them.
    Nothing is sent anywhere. Dictionaries from elsewhere are left out.
    """
    from pipelines.dictionary_export import export_dictionaries

    run = open_named(run_name, store)
    done = export_dictionaries(run, out, export_format, models, licence)
    if as_json:
        written = [{"dictionary": name, "folder": str(folder)} for name, folder in done.written.items()]
        skipped = [{"dictionary": name, "because": why} for name, why in done.skipped.items()]
        print_json({"run": run.name, "format": export_format, "written": written, "skipped": skipped})
    else:
        for folder in done.written.values():
            typer.echo(folder)
    for name, why in done.skipped.items():
        say(f"Left out {name}: {why}.".replace("..", "."))
    if not done.written:
        say(f"Nothing of run {run.name} was written.")
        raise typer.Exit(EXIT_FAILED)
    say(f"{counted(len(done.written), 'folder')} of run {run.name} in {out}, each with its card, README.md.")
