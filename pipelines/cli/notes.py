"""``universality note``: what people write of runs."""

from __future__ import annotations

from typing import Annotated

import typer

from pipelines.cli.options import STORE, JsonOption, StoreOption
from pipelines.cli.runs import open_named
from pipelines.cli.terminal import print_json, say


def note(
    run_name: Annotated[
        str, typer.Argument(metavar="RUN", help="Name of a run, the start of it, or a recipe: its newest run.")
    ],
    text: Annotated[
        str | None, typer.Argument(metavar="[TEXT]", help='The note; "" takes it back.', show_default=False)
    ] = None,
    store: StoreOption = STORE,
    as_json: JsonOption = False,
) -> None:
    """Write a note about a run, or read it.

    Notes are kept beside the store, in STORE-notes. Lists, screens, reports and atlases show them; nothing is computed
    anew.
    """
    from results.own_notes import keep_note, read_notes, run_subject

    run = open_named(run_name, store)
    subject = run_subject(run.record)
    kept = read_notes(run.store)
    if text is not None:
        said = keep_note(run.store, subject, run=run.name, note=text).note
    else:
        said = found.note if (found := kept.of(subject)) else ""
    if kept.trouble:
        say(kept.trouble)
    if as_json:
        print_json({"run": run.name, "note": said})
    elif text is not None:
        say(f"The note about run {run.name} is {'kept' if said else 'gone'}.")
    elif said:
        typer.echo(said)
    else:
        say(f'There is no note about run {run.name}. Write one: universality note {run.name} "…"')
