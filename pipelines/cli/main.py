"""The program ``universality``: its commands and options.

Only typer and the standard library are imported here, so that ``--help`` answers at once; each command
imports what it needs.
"""

from pathlib import Path
from typing import Annotated, Literal

import typer

from pipelines.cli.calibrate import calibrate
from pipelines.cli.compare_options import compare
from pipelines.cli.names import refuse_foreign_rooms
from pipelines.cli.options import (
    DeviceOption,
    JsonOption,
    MaybeText,
    NameOption,
    OutOption,
    QuietOption,
    RecipeArgument,
    RunArgument,
    SetOption,
    StoreOption,
    VerboseOption,
    WorkersOption,
)
from pipelines.cli.terminal import errors_as_sentences

app = typer.Typer(
    name="universality",
    help="Do independently trained transformers learn the same features? Train, compare, report, look.",
    epilog="Start with: universality run quickstart. Exit codes: 0 ok, 1 failed, 2 usage or recipe, "
    "3 partial, 130 interrupted.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

STORE = "runs"


def _version(asked: bool) -> None:
    if asked:
        from universality import __version__

        typer.echo(f"universality {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Hold the options of the program itself."""


@app.command()
def run(
    recipe: RecipeArgument,
    *,
    name: NameOption = None,
    store: StoreOption = STORE,
    overrides: SetOption = None,
    workers: WorkersOption = None,
    scheduler: Annotated[
        MaybeText,
        typer.Option(
            "--scheduler", metavar="ADDRESS", help="Existing Dask cluster, for example tcp://host:8786."
        ),
    ] = None,
    serial: Annotated[bool, typer.Option("--serial", help="One step after another in this process.")] = False,
    device: DeviceOption = "auto",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the plan and stop.")] = False,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Compute everything a recipe describes.

    Run it again to resume after any stop. A finished run computes nothing.
    """
    with errors_as_sentences(verbose):
        from pipelines.cli.execute import choose_executor, run_command
        from pipelines.cli.planning import plan_command

        common = {"store_url": store, "name": name, "device": device, "as_json": as_json}
        executor = choose_executor(workers, scheduler, serial)
        if dry_run:
            plan_command(recipe, overrides or [], workers=workers, **common)
        else:
            run_command(recipe, overrides or [], executor=executor, quiet=quiet, verbose=verbose, **common)


@app.command()
def plan(
    recipe: RecipeArgument,
    *,
    name: NameOption = None,
    store: StoreOption = STORE,
    overrides: SetOption = None,
    workers: WorkersOption = None,
    device: DeviceOption = "auto",
    as_json: JsonOption = False,
) -> None:
    """Show what a run would compute.

    Every step: in the store, stale or to do, with its expected time, disk and memory.
    """
    with errors_as_sentences():
        from pipelines.cli.planning import plan_command

        common = {"store_url": store, "name": name, "device": device, "as_json": as_json}
        plan_command(recipe, overrides or [], workers=workers, **common)


@app.command()
def status(
    run_name: RunArgument = None,
    store: StoreOption = STORE,
    as_json: JsonOption = False,
    watch: Annotated[bool, typer.Option("--watch", help="Keep showing until the run ends.")] = False,
) -> None:
    """Show how far a run is.

    Works from any terminal that reaches the store, while the run goes on elsewhere.
    """
    with errors_as_sentences():
        from pipelines.cli.status import status_command

        status_command(run_name, store, as_json, watch)


@app.command()
def ls(store: StoreOption = STORE, as_json: JsonOption = False) -> None:
    """List the runs of the store, newest first."""
    with errors_as_sentences():
        from pipelines.cli.runs import ls_command

        ls_command(store, as_json)


@app.command()
def show(run_name: RunArgument = None, store: StoreOption = STORE, as_json: JsonOption = False) -> None:
    """Show what a run found.

    The headline per pair, the features by class and level, and the domains.
    """
    with errors_as_sentences():
        from pipelines.cli.runs import show_command

        show_command(run_name, store, as_json)


@app.command()
def recipes(as_json: JsonOption = False) -> None:
    """List the shipped recipes."""
    with errors_as_sentences():
        from pipelines.cli.runs import recipes_command

        recipes_command(as_json)


@app.command()
def report(
    out: OutOption,
    run_name: RunArgument = None,
    store: StoreOption = STORE,
    formats: Annotated[
        str, typer.Option("--format", metavar="LIST", help="Formats of figures: pdf, svg, png.")
    ] = "pdf,svg,png",
    columns: Annotated[
        int | None, typer.Option("--columns", min=1, max=2, help="Columns that every figure spans.")
    ] = None,
    runs: Annotated[
        list[str] | None, typer.Option("--runs", metavar="RUN", help="Other runs beside it; may be repeated.")
    ] = None,
    pairs: Annotated[
        Path | None,
        typer.Option("--pairs", metavar="FILE", help="Pinned pairs of the dashboard, to be shown."),
    ] = None,
    verbose: VerboseOption = False,
) -> None:
    """Write a report of a run for a paper.

    Figures, tables, methods, data and provenance. Exit 3 where the run could not give all of it.
    """
    with errors_as_sentences(verbose):
        from pipelines.cli.outputs import report_command

        report_command(run_name, store, out, formats=formats, columns=columns, pairs=pairs, runs=runs or [])


@app.command()
def dash(
    store: StoreOption = STORE,
    port: Annotated[int, typer.Option("--port", min=1, max=65535, help="Port on 127.0.0.1.")] = 8501,
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open a browser window.")] = False,
) -> None:
    """Open the dashboards on this machine."""
    with errors_as_sentences():
        from pipelines.cli.outputs import dash_command

        dash_command(store, port, browser)


@app.command()
def verify(run_name: RunArgument = None, store: StoreOption = STORE, as_json: JsonOption = False) -> None:
    """Check stored files against their digests.

    Reads every file of a run, or of the whole store where no run is named.
    """
    with errors_as_sentences():
        from pipelines.cli.care import verify_command

        verify_command(run_name, store, as_json)


@app.command()
def delete(
    run_name: Annotated[
        str,
        typer.Argument(metavar="RUN", help="Name of a run, the start of it, or a recipe: its newest run."),
    ],
    store: StoreOption = STORE,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Delete a run.

    What it computed stays in the store until `universality gc`, and longer where another run uses it.
    """
    with errors_as_sentences():
        from pipelines.cli.care import delete_command

        delete_command(run_name, store, yes)


@app.command()
def gc(
    store: StoreOption = STORE,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would go, remove nothing.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Remove artifacts that no run uses."""
    with errors_as_sentences():
        from pipelines.cli.care import gc_command

        gc_command(store, dry_run, as_json)


@app.command()
def doctor(store: StoreOption = STORE, as_json: JsonOption = False) -> None:
    """Check this machine and the store.

    Python, packages, cores, memory, disk, CUDA, demo text and store; each finding comes with what to do.
    """
    with errors_as_sentences():
        from pipelines.cli.doctor import doctor_command

        doctor_command(store, as_json)


@app.command()
def schema(
    kind: Annotated[
        Literal["recipe", "results"], typer.Option(help="Of recipes, or of the results.json of a report.")
    ] = "recipe",
) -> None:
    """Print the JSON schema of recipes.

    Every key with its meaning, type and default; editors can use it.
    """
    with errors_as_sentences():
        from pipelines.cli.runs import schema_command

        schema_command(kind)


app.command()(compare)
app.command()(calibrate)


def entry() -> None:
    """Start the program."""
    refuse_foreign_rooms()
    app()


if __name__ == "__main__":
    entry()
