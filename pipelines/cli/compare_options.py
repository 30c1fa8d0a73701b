"""The options of ``universality compare``: one row of a table each, from which typer's parameters are made."""

from inspect import Parameter, Signature
from pathlib import Path
from typing import Annotated, Any

import typer

from pipelines.cli.options import (
    JsonOption,
    MaybeFloat,
    MaybeInt,
    MaybePath,
    MaybeText,
    MaybeTexts,
    OutOption,
    VerboseOption,
)  # fmt: skip

#: Files with one value for each row: what ``--help`` says, by name.
ROW_FILES = {
    "documents": "Document of each row: number or text.",
    "sources": "File or chapter that each row's document was cut from: number or text.",
    "domains": "Label of each row: number or text; unlocks levels.",
    "tokens": "Token id of each row; with --domains unlocks the levels token, context.",
    "positions": "Position of each row in its context; sharpens them.",
    "next_tokens": "Token id that came after each row, -1 for none.",
}
#: Further dictionaries, and dense matrices, each NAME=FILE.
OTHERS = {
    "replicate": "Second dictionary of a model, named after it: the ceiling.",
    "untrained": "Dictionary of an untrained model, two at least: the floor.",
}
DENSE = {
    "raw": "Raw activations (rows, d_in) of a model: neurons, rotations.",
    "untrained_raw": "The same of an untrained model: decodable or not.",
    "weights": "W_dec (latents, d_in): decoder cosines.",
    "logits": "Map (d_in, d_vocab) from raw activations to the logits.",
}
#: Settings of the comparison: type, default, bounds, words.
SETTINGS: dict[str, tuple[Any, Any, dict[str, Any], str]] = {
    "names": (MaybeText, None, {"metavar": "A,B,..."}, "Names of the models; default the file names."),
    "block": (int, 512, {"min": 1}, "Rows that count as one document without --documents."),
    "seed": (int, 0, {"min": 0}, "Seed of splits, nulls and intervals."),
    "tau": (MaybeFloat, None, {"min": 0.01, "max": 0.99}, "Held-out r from which two latents are one feature."),
    "min_firings": (MaybeInt, None, {"min": 2}, "Firings, fit and score, that make a latent alive."),
    "n_shifts": (MaybeInt, None, {"min": 10}, "Shifts of one model against the other: the chance level."),
}  # fmt: skip


def compare(files: list[Path], out: Path, *, as_json: bool, verbose: bool, **options: Any) -> None:
    """Compare activations of your own.

    One file for each model: scipy sparse .npz, or dense .npy or .npz, (rows, latents), the same rows.
    """
    from pipelines.cli.compare import ComparisonFiles, compare_command

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


_FILES = Annotated[list[Path], typer.Argument(metavar="A.npz B.npz ...", help="Activations of each model.")]
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
