"""The options of ``universality compare``: typer's parameters are made from the tables of ``compare_settings``."""

from inspect import Parameter, Signature
from pathlib import Path
from typing import Annotated, Any

import typer

from pipelines.cli.compare_settings import DENSE, OTHERS, ROW_FILES, SETTINGS
from pipelines.cli.options import JsonOption, MaybePath, MaybeTexts, OutOption, VerboseOption


def compare(files: list[Path], out: Path, *, as_json: bool, verbose: bool, **options: Any) -> None:
    """Compare activations of your own.

    One file for each model: scipy sparse .npz, or dense .npy or .npz, (rows, latents), the same rows. Or one YAML file
    that names all files and settings: universality init own-activations.
    """
    from pipelines.cli.compare import ComparisonFiles, compare_command
    from pipelines.cli.compare_file import read_compare_file

    if len(files) == 1 and files[0].suffix in (".yaml", ".yml"):
        files, options = read_compare_file(files[0], options)
    inputs = ComparisonFiles(
        files,
        names=options.pop("names"),
        block=options.pop("block"),
        rows={name: options.pop(name) for name in ROW_FILES},
        others={name: options.pop(name) or [] for name in OTHERS},
        dense={name: options.pop(name) or [] for name in DENSE},
    )
    compare_command(inputs, out, as_json=as_json, root_seed=options.pop("seed"), **options)


def _parameter(name: str, annotation: Any, default: Any = Parameter.empty) -> Parameter:
    return Parameter(name, Parameter.KEYWORD_ONLY, annotation=annotation, default=default)


def _option(name: str, kind: Any, default: Any, words: str, **more: Any) -> Parameter:
    option = typer.Option(f"--{name.replace('_', '-')}", help=words, **more)
    return _parameter(name, Annotated[kind, option], default)


_WORDS = "Activations of each model, or one YAML file."
_FILES = Annotated[list[Path], typer.Argument(metavar="A.npz B.npz ...", help=_WORDS)]
compare.__signature__ = Signature(  # type: ignore[attr-defined]
    [
        _parameter("files", _FILES),
        _parameter("out", OutOption),
        *(_option(name, MaybePath, None, words, metavar="NPY") for name, words in ROW_FILES.items()),
        *(_option(name, MaybeTexts, None, words, metavar="NAME=FILE") for name, words in (OTHERS | DENSE).items()),
        *(_option(name, kind, default, words, **more) for name, (kind, default, more, words) in SETTINGS.items()),
        _parameter("as_json", JsonOption, False),
        _parameter("verbose", VerboseOption, False),
    ]
)
