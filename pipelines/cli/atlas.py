"""``universality atlas``: a finished run as a folder of pages that open from a file."""

from __future__ import annotations

from typing import Annotated

import typer

from pipelines.cli.options import STORE, JsonOption, MaybeText, OutOption, RunArgument, StoreOption
from pipelines.cli.runs import open_named
from pipelines.cli.terminal import print_json, say
from results.words import counted, size


def atlas(
    out: OutOption,
    run_name: RunArgument = None,
    store: StoreOption = STORE,
    comparison: Annotated[
        MaybeText, typer.Option("--comparison", metavar="ID", help="Default: the first of the run.", show_default=False)
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Write a finished run as pages to send: search, clusters, pairs, features and their contexts.

    DIR/index.html opens from a file, without a server, a network or anything installed. An earlier atlas in DIR is
    replaced.
    """
    from results.atlas.site import write_atlas
    from results.loading import load_comparison

    run = open_named(run_name, store)
    stored = load_comparison(run.name, comparison, run.store)
    done = write_atlas(stored, out, say)
    if as_json:
        print_json({
            "run": run.name, "comparison": stored.comparison, "index": str(done.index), "files": done.n_files,
            "bytes": done.n_bytes, "features": done.n_features, "clusters": done.n_clusters, "pairs": done.n_pairs,
        })  # fmt: skip
    else:
        typer.echo(done.index)
    written = f"{counted(done.n_files, 'file')}, {size(done.n_bytes)}"
    say(f"Atlas of run {run.name}: {written}. Open {done.index} in a browser.")
