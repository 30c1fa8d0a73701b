"""``universality note`` and ``notes``: what people write of runs, features, pairs and clusters."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipelines.cli.options import STORE, JsonOption, MaybePath, MaybeText, RunArgument, StoreOption
from pipelines.cli.runs import open_named
from pipelines.cli.terminal import console, plain_table, print_json, say
from results.words import counted, moment
from universality.errors import refusal

if TYPE_CHECKING:
    import pandas as pd

    from results.own_notes import Subject
    from results.stored_comparison import StoredComparison

ComparisonOption = Annotated[
    MaybeText, typer.Option("--comparison", metavar="ID", help="Default: the first of the run.", show_default=False)
]


def note(
    run_name: Annotated[
        str, typer.Argument(metavar="RUN", help="Name of a run, the start of it, or a recipe: its newest run.")
    ],
    text: Annotated[
        MaybeText, typer.Argument(metavar="[TEXT]", help='The note; "" takes it back.', show_default=False)
    ] = None,
    of: Annotated[
        MaybeText,
        typer.Option("--of", metavar="ID", help="A feature, pair or cluster of it: m0/12, m0:12-m1:7, 'cluster 3'."),
    ] = None,
    name: Annotated[
        MaybeText, typer.Option("--name", help='What to call it; "" takes that back.', show_default=False)
    ] = None,
    comparison: ComparisonOption = None,
    store: StoreOption = STORE,
    as_json: JsonOption = False,
) -> None:
    """Write or read a note about a run, or name a feature, pair or cluster of it.

    Kept beside the store, in STORE-notes. Lists, screens, the search, reports and atlases show it; nothing is computed
    anew.
    """
    from results.loading import load_comparison
    from results.own_notes import keep_note, read_notes, run_subject

    run = open_named(run_name, store)
    if of is None:
        if name is not None or comparison is not None:
            got = "--name" if name is not None else "--comparison"
            raise refusal("--of", "note", "given with --name and --comparison", f"only {got}", "Say what it is about.")
        subject, stored = run_subject(run.record), None
    else:
        stored = load_comparison(run.name, comparison, run.store)
        subject = find_subject(stored, of)
    kept = read_notes(run.store)
    found = kept.of(subject)
    if text is not None or name is not None:
        within = stored.comparison if stored else ""
        found = keep_note(run.store, subject, run=run.name, comparison=within, name=name, note=text)
    if kept.trouble:
        say(kept.trouble)
    said = {"name": found.name if found else "", "note": found.note if found else ""}
    about = f"run {run.name}" if of is None else f"{subject.kind} {subject.id}"
    if as_json:
        print_json({"run": run.name, "kind": subject.kind, "id": subject.id, **said})
    elif text is not None or name is not None:
        say(f"What you say of {about} is {'kept' if any(said.values()) else 'gone'}.")
    elif any(said.values()):
        typer.echo("\n".join(filter(None, said.values())))
    else:
        say(f'There is no note about {about}. Write one: universality note {run.name} "…"')


def notes(
    run_name: RunArgument = None,
    export: Annotated[
        MaybePath, typer.Option("--export", metavar="FILE", help="Write them to a .csv or .json.", show_default=False)
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Of every run of the store, as they were written.")] = False,
    store: StoreOption = STORE,
    as_json: JsonOption = False,
) -> None:
    """List what people wrote of a run, and named of its features, pairs and clusters.

    A name stays with a dictionary's latent in every run of the store that has the dictionary.
    """
    from results.export import csv_bytes
    from results.named_things import notes_table
    from results.own_notes import one_line, read_notes
    from storage import open_store

    if export is not None and export.suffix not in (".csv", ".json"):
        raise refusal("--export", "notes", "a file that ends in .csv or .json", str(export), "Name it so.")
    run = None if everything else open_named(run_name, store)
    kept = read_notes(open_store(store))
    frame = _all_notes(kept.notes) if run is None else notes_table(run)
    rows: list[dict[str, Any]] = frame.to_dict("records")  # pyright: ignore[reportAssignmentType]
    if kept.trouble:
        say(kept.trouble)
    if export is not None:
        _write(export, csv_bytes(frame) if export.suffix == ".csv" else None, rows)
        say(f"{counted(len(rows), 'note')} written to {export}.")
    if as_json:
        print_json(rows)
    elif rows and export is None:
        from rich.text import Text

        shown = [column for column in frame.columns if column != "written" and frame[column].any()]
        table = plain_table(*("comparison" if column == "comparison_id" else column for column in shown))
        for row in rows:
            table.add_row(*(Text(one_line(str(row[column]))) for column in shown))
        console().print(table)
    elif not rows:
        named = "RUN" if run is None else run.name
        say(f'There are no notes yet. Write one: universality note {named} --of m0/12 --name "…" "…"')


def _all_notes(kept: tuple[Any, ...]) -> pd.DataFrame:
    import pandas as pd

    columns = ["run", "comparison_id", "kind", "id", "name", "note"]
    rows = [{**one.model_dump(include=set(columns)), "written": moment(one.time)} for one in kept]
    return pd.DataFrame(rows, columns=pd.Index([*columns, "written"]), dtype="str")


def _write(path: Path, data: bytes | None, rows: list[dict[str, Any]]) -> None:
    import json

    path.write_bytes(json.dumps(rows, indent=2, ensure_ascii=False).encode() + b"\n" if data is None else data)


def find_subject(stored: StoredComparison, text: str) -> Subject:
    """What a text names: a feature (``m0:12``, ``m0/12``), an assigned pair or a cluster (``cluster 12``, ``12``).

    Raises:
        InputError: nothing of the comparison.
        StoreError: its tables cannot be read.
    """
    from results.feature_lists import find_feature
    from results.ids import PAIR_ID, plain_id
    from results.named_things import subject_of
    from results.pair_lists import find_pair

    plain = plain_id(text.strip())
    cluster = re.fullmatch(r"(?:cluster\s*)?(\d{1,9})", plain, re.IGNORECASE)
    if cluster and (stored.table("clusters")["cluster"] == int(cluster[1])).any():
        return subject_of(stored, "cluster", str(int(cluster[1])))
    if PAIR_ID.match(plain) and (row := find_pair(stored, plain)) is not None:
        return subject_of(stored, "pair", str(row["id"]))
    if find_feature(stored, plain) is not None:
        return subject_of(stored, "feature", plain)
    constraint = "one of its features (m0:12), assigned pairs (m0:12-m1:7) or clusters ('cluster 12')"
    where = f"comparison {stored.comparison!r} of run {stored.name!r}"
    raise refusal("--of", where, constraint, repr(text), "Copy the name from a screen, a table or the report.")
