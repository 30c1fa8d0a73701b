"""Options that several commands share. Only typer is imported here, so that ``--help`` answers at once."""

from pathlib import Path
from typing import Annotated

import typer

MaybeText = str | None
MaybeTexts = list[str] | None
MaybeInt = int | None
MaybeFloat = float | None
MaybePath = Path | None
#: The store where neither --store nor UNIVERSALITY_STORE says another.
STORE = "runs"
RecipeArgument = Annotated[
    str, typer.Argument(metavar="RECIPE", help="A YAML file, or the name of a shipped recipe (see: recipes).")
]
RunArgument = Annotated[
    MaybeText,
    typer.Argument(
        metavar="[RUN]",
        help="Name of a run (see: ls), the start of it, or a recipe: its newest run. Default: the newest of all.",
        show_default=False,
    ),
]
StoreOption = Annotated[
    str, typer.Option("--store", envvar="UNIVERSALITY_STORE", help="Folder or fsspec URL of the store.")
]
SetOption = Annotated[
    MaybeTexts,
    typer.Option("--set", metavar="A.B=VALUE", help="Override a value of the recipe; repeatable.", show_default=False),
]
NameOption = Annotated[
    MaybeText,
    typer.Option("--name", help="Name of the run; default the recipe's name and a hash of the plan."),
]
NoteOption = Annotated[
    MaybeText,
    typer.Option("--note", metavar="TEXT", help="What this run is for; lists and reports show it.", show_default=False),
]
DeviceOption = Annotated[str, typer.Option("--device", help="auto, cpu or cuda.")]
WorkersOption = Annotated[
    MaybeInt, typer.Option("--workers", min=1, help="Worker processes on this machine; default one per core.")
]
SchedulerOption = Annotated[
    MaybeText,
    typer.Option("--scheduler", metavar="ADDRESS", help="Existing Dask cluster, for example tcp://host:8786."),
]
SerialOption = Annotated[bool, typer.Option("--serial", help="One step after another in this process.")]
GpuSlotsOption = Annotated[
    MaybeInt,
    typer.Option("--gpu-slots", min=1, help="Steps that share a GPU of this machine; default by its memory, 1 to 4."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="No progress; errors only.")]
VerboseOption = Annotated[bool, typer.Option("--verbose", "-v", help="Tracebacks, memory of every step.")]
OutOption = Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder to write into.")]
