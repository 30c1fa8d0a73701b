"""The program ``universality``: its commands and options.

Only what is light is imported here, so that ``--help`` answers at once; each command imports what it needs.
"""

from pathlib import Path
from typing import Annotated

import typer

from pipelines.cli.calibrate import calibrate
from pipelines.cli.care import delete, gc, verify
from pipelines.cli.compare_options import compare
from pipelines.cli.names import refuse_foreign_rooms
from pipelines.cli.options import (
    STORE,
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
from pipelines.cli.runs import ls, recipes, schema, show
from pipelines.cli.terminal import in_sentences

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
    from pipelines.cli.execute import choose_executor, run_command
    from pipelines.cli.planning import plan_command

    common = {"store_url": store, "name": name, "device": device, "as_json": as_json}
    executor = choose_executor(workers, scheduler, serial)
    if dry_run:
        plan_command(recipe, overrides or [], workers=workers, **common)
    else:
        run_command(recipe, overrides or [], executor=executor, quiet=quiet, verbose=verbose, **common)


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
    from pipelines.cli.planning import plan_command

    common = {"store_url": store, "name": name, "device": device, "as_json": as_json}
    plan_command(recipe, overrides or [], workers=workers, **common)


def status(
    run_name: RunArgument = None,
    store: StoreOption = STORE,
    as_json: JsonOption = False,
    watch: Annotated[bool, typer.Option("--watch", help="Keep showing until the run ends.")] = False,
) -> None:
    """Show how far a run is.

    Works from any terminal that reaches the store, while the run goes on elsewhere.
    """
    from pipelines.cli.status import status_command

    status_command(run_name, store, as_json, watch)


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
    from pipelines.cli.outputs import report_command

    report_command(run_name, store, out, formats=formats, columns=columns, pairs=pairs, runs=runs or [])


def dash(
    store: StoreOption = STORE,
    port: Annotated[int, typer.Option("--port", min=1, max=65535, help="Port on 127.0.0.1.")] = 8501,
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open a browser window.")] = False,
) -> None:
    """Open the dashboards on this machine."""
    from pipelines.cli.outputs import dash_command

    dash_command(store, port, browser)


def doctor(store: StoreOption = STORE, as_json: JsonOption = False) -> None:
    """Check this machine and the store.

    Python, packages, cores, memory, disk, CUDA, demo text and store; each finding comes with what to do.
    """
    from pipelines.cli.doctor import doctor_command

    doctor_command(store, as_json)


for _command in (
    run, plan, status, ls, show, recipes, report, dash, verify, delete, gc, doctor, schema, compare, calibrate
):  # fmt: skip
    app.command()(in_sentences(_command))


def entry() -> None:
    """Start the program."""
    refuse_foreign_rooms()
    app()


if __name__ == "__main__":
    entry()
