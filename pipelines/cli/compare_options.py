"""The options of ``universality compare``."""

from pathlib import Path
from typing import Annotated

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
)
from pipelines.cli.terminal import told_errors


def compare(
    files: Annotated[
        list[Path], typer.Argument(metavar="A.npz B.npz ...", help="Activations of each model.")
    ],
    out: OutOption,
    *,
    documents: Annotated[
        MaybePath, typer.Option("--documents", metavar="NPY", help="Document of each row: number or text.")
    ] = None,
    domains: Annotated[
        MaybePath,
        typer.Option("--domains", metavar="NPY", help="Label of each row: number or text; unlocks levels."),
    ] = None,
    tokens: Annotated[
        MaybePath,
        typer.Option(
            "--tokens",
            metavar="NPY",
            help="Token id of each row; with --domains unlocks the levels token, context.",
        ),
    ] = None,
    positions: Annotated[
        MaybePath,
        typer.Option(
            "--positions", metavar="NPY", help="Position of each row in its context; sharpens them."
        ),
    ] = None,
    next_tokens: Annotated[
        MaybePath,
        typer.Option("--next-tokens", metavar="NPY", help="Token id that came after each row, -1 for none."),
    ] = None,
    replicate: Annotated[
        MaybeTexts,
        typer.Option(
            "--replicate",
            metavar="NAME=FILE",
            help="Second dictionary of a model, named after it: the ceiling.",
        ),
    ] = None,
    untrained: Annotated[
        MaybeTexts,
        typer.Option(
            "--untrained",
            metavar="NAME=FILE",
            help="Dictionary of an untrained model, two at least: the floor.",
        ),
    ] = None,
    raw: Annotated[
        MaybeTexts,
        typer.Option(
            "--raw", metavar="NAME=FILE", help="Raw activations (rows, d_in) of a model: neurons, rotations."
        ),
    ] = None,
    untrained_raw: Annotated[
        MaybeTexts,
        typer.Option(
            "--untrained-raw", metavar="NAME=FILE", help="The same of an untrained model: decodable or not."
        ),
    ] = None,
    weights: Annotated[
        MaybeTexts,
        typer.Option("--weights", metavar="NAME=FILE", help="W_dec (latents, d_in): decoder cosines."),
    ] = None,
    logits: Annotated[
        MaybeTexts,
        typer.Option(
            "--logits", metavar="NAME=FILE", help="Map (d_in, d_vocab) from raw activations to the logits."
        ),
    ] = None,
    names: Annotated[
        MaybeText,
        typer.Option("--names", metavar="A,B,...", help="Names of the models; default the file names."),
    ] = None,
    block: Annotated[
        int, typer.Option("--block", min=1, help="Rows that count as one document without --documents.")
    ] = 512,
    root_seed: Annotated[int, typer.Option("--seed", min=0, help="Seed of splits, nulls and intervals.")] = 0,
    tau: Annotated[
        MaybeFloat,
        typer.Option("--tau", min=0.01, max=0.99, help="Held-out r from which two latents are one feature."),
    ] = None,
    min_firings: Annotated[
        MaybeInt,
        typer.Option("--min-firings", min=2, help="Firings, fit and score, that make a latent alive."),
    ] = None,
    n_shifts: Annotated[
        MaybeInt,
        typer.Option("--n-shifts", min=10, help="Shifts of one model against the other: the chance level."),
    ] = None,
    as_json: JsonOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Compare activations of your own.

    One file for each model: scipy sparse .npz, or dense .npy or .npz, (rows, latents), the same rows.
    """
    with told_errors(verbose):
        from pipelines.cli.compare import compare_command

        compare_command(
            files,
            out,
            row_files={
                "documents": documents,
                "domains": domains,
                "tokens": tokens,
                "positions": positions,
                "next_tokens": next_tokens,
            },
            others={"replicates": replicate or [], "untrained": untrained or []},
            dense={
                "raw": raw or [],
                "untrained_raw": untrained_raw or [],
                "weights": weights or [],
                "logits": logits or [],
            },
            names=names,
            block=block,
            as_json=as_json,
            root_seed=root_seed,
            tau=tau,
            min_firings=min_firings,
            n_shifts=n_shifts,
        )
