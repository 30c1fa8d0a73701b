"""The program ``universality``: its commands.

Their modules import only what is light, so that ``--help`` answers at once; each command imports what it needs.
"""

import os
from typing import Annotated

import typer

from pipelines.cli.atlas import atlas
from pipelines.cli.calibrate import calibrate
from pipelines.cli.care import delete, gc, verify
from pipelines.cli.compare_options import compare
from pipelines.cli.compare_saes import compare_saes
from pipelines.cli.doctor import doctor
from pipelines.cli.execute import run
from pipelines.cli.explain import explain
from pipelines.cli.export import export
from pipelines.cli.export_saes import export_saes
from pipelines.cli.fetch_text import fetch_text
from pipelines.cli.init import init
from pipelines.cli.names import refuse_foreign_rooms
from pipelines.cli.notes import note, notes
from pipelines.cli.outputs import dash, report
from pipelines.cli.planning import plan
from pipelines.cli.reproduce import reproduce
from pipelines.cli.runs import ls, recipes, schema, show
from pipelines.cli.status import status
from pipelines.cli.steer import steer
from pipelines.cli.streams import settle_streams
from pipelines.cli.terminal import Worded, in_sentences

app = typer.Typer(
    name="universality",
    help="Do independently trained transformers learn the same features? Train, compare, report, look.",
    epilog="Start with: universality run quickstart. Exit codes: 0 ok, 1 failed, 2 usage or recipe, "
    "3 partial, 4 not reproduced, 130 interrupted.",
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


for _command in (
    init, run, plan, status, ls, show, note, notes, recipes, report, dash, verify, delete, gc, doctor, schema, compare,
    compare_saes, calibrate, steer, reproduce, explain, export, export_saes, atlas, fetch_text,
):  # fmt: skip
    app.command(cls=Worded)(in_sentences(_command))


def entry() -> None:
    """Start the program."""
    settle_streams()
    # Jupyter tells every process to draw in its notebook; figures here become files.
    os.environ["MPLBACKEND"] = "agg"
    refuse_foreign_rooms()
    app()


if __name__ == "__main__":
    entry()
