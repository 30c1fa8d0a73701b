"""``universality init``: a commented file to start from."""

from importlib.resources import files
from pathlib import Path
from typing import Annotated

import typer

from pipelines.cli.options import MaybePath
from pipelines.cli.terminal import program, say
from pipelines.errors import nearest
from universality.errors import refusal

#: What each file is for, and the command that it is given to.
KINDS = {
    "quickstart": "plan {0}",
    "pretrained": "plan {0}",
    "own-saes": "plan {0}",
    "own-activations": "compare {0} --out results",
}


def init(
    kind: Annotated[str, typer.Argument(metavar="[KIND]", help=f"One of {', '.join(KINDS)}.")] = "quickstart",
    out: Annotated[
        MaybePath, typer.Option("--out", "-o", metavar="FILE", help="A new file; default standard output.")
    ] = None,
) -> None:
    """Print a commented recipe to start from.

    Lines marked EDIT are yours: models, dictionaries, text. For example: universality init own-saes > my.yaml
    """
    text = starter(kind)
    if out is None:
        typer.echo(text, nl=False)
    else:
        write_new(out, text)
    name = "my.yaml" if out is None else str(out)
    say(f"Edit the lines marked EDIT, then: {program()} {KINDS[kind].format(name)}")


def starter(kind: str) -> str:
    """The text of a file to start from.

    Raises:
        InputError: there is none of that kind.
    """
    if kind not in KINDS:
        remedy = f"Take one of them.{nearest(kind, KINDS)}"
        raise refusal("KIND", "init", f"one of {', '.join(KINDS)}", kind, remedy)
    return files("pipelines").joinpath("starters", f"{kind}.yaml").read_text(encoding="utf-8")


def write_new(path: Path, text: str) -> None:
    """Write a file that is not there yet.

    Raises:
        InputError: it is there.
    """
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise refusal("--out", "init", "a new file", str(path), "Give another name, or remove that file.") from None
