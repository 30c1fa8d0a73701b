"""Care of the store: ``verify``, ``delete`` and ``gc``."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from pipelines.cli.options import STORE, JsonOption, RunArgument, StoreOption
from pipelines.cli.runs import open_named
from pipelines.cli.terminal import EXIT_FAILED, EXIT_USAGE, print_json, say
from results.words import counted, size
from universality.errors import refusal

if TYPE_CHECKING:
    from storage import RunCorrupt


def verify(run_name: RunArgument = None, store: StoreOption = STORE, as_json: JsonOption = False) -> None:
    """Check stored files against their digests.

    Reads every file of a run, or of the whole store where no run is named.
    """
    from storage import open_store

    opened = open_store(store)
    damaged: dict[str, RunCorrupt] = {}
    if run_name is None:
        records = opened.records(damaged, observed=True)
        keys = opened.keys()
        if not keys and not records and not damaged:
            say(f"There is no store at {opened.url}: it holds no run and no artifact. Check --store.")
            raise typer.Exit(EXIT_USAGE)
    else:
        records = [open_named(run_name, store).observed]
        keys = list(opened.present(node["key"] for node in records[0]["nodes"].values()))
    nodes = {fields["key"]: (node, fields) for record in records for node, fields in record["nodes"].items()}
    owner = {key: node for key, (node, _) in nodes.items()} if run_name else {}
    gone = [(node, key) for key, (node, fields) in nodes.items() if fields["status"] == "gone"]
    problems = [
        {"node": owner.get(p.key, ""), "key": p.key, "file": p.file, "reason": p.reason}
        for p in opened.verify(None if run_name is None else keys)
        if p.key not in {key for _, key in gone}
    ]
    problems += [{"node": node, "key": key, "file": "", "reason": "the artifact is gone"} for node, key in gone]
    records = {f"runs/{name}/run.json": str(error) for name, error in damaged.items()}
    problems += [{"node": "", "key": "", "file": file, "reason": reason} for file, reason in records.items()]
    if as_json:
        print_json({"checked": len(keys), "problems": problems})
    for problem in [] if as_json else problems:
        name = problem["node"] or problem["key"]
        subject = f"{name} ({problem['key']}) " if name else ""
        typer.echo(f"{subject}{problem['file']}: {problem['reason']}")
    if problems:
        say("Remove the folders of these keys, then run the recipe again: it computes only what is gone.")
        raise typer.Exit(EXIT_FAILED)
    say(f"{counted(len(keys), 'artifact')} checked: all bytes are those that were written.")


def delete(
    run_name: Annotated[
        str,
        typer.Argument(metavar="RUN", help="Name of a run, the start of it, or a recipe: its newest run."),
    ],
    store: StoreOption = STORE,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Delete a run.

    What it computed stays in the store until `universality gc`, and longer where another run uses it.
    """
    from storage import RunLocked

    run = open_named(run_name, store)
    if (holder := run.holder()) is not None:
        got, remedy = (
            f"computed by process {holder.pid} on {holder.host}",
            "Wait for it, or stop that process.",
        )
        raise RunLocked.worded("state", f"run {run.name!r}", "at rest before it is deleted", got, remedy)
    if not yes and not sys.stdin.isatty():
        got = "neither --yes nor a terminal"
        raise refusal("deletion", f"run {run.name!r}", "confirmed", got, "Give --yes.")
    records = run.store.records()
    others = {node["key"] for record in records if record["name"] != run.name for node in record["nodes"].values()}
    own = list(run.store.present({node["key"] for node in run.record["nodes"].values()} - others))
    n_bytes = sum(sum(run.store.files.walk(f"artifacts/{key}").values()) for key in own)
    freed = f"{counted(len(own), 'artifact')} ({size(n_bytes)}) that no other run uses"
    agreed = yes or typer.confirm(f"Delete run {run.name}? It leaves {freed} to gc.", err=True)
    if agreed:
        run.store.delete_run(run.name)
    if as_json:
        print_json({"run": run.name, "deleted": agreed, "freed_artifacts": len(own), "freed_bytes": n_bytes})
    if not agreed:
        say("Nothing was deleted.")
        raise typer.Exit(EXIT_FAILED)
    say(f"Run {run.name} is deleted. `universality gc` frees {freed}.")


def gc(
    store: StoreOption = STORE,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would go, remove nothing.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Remove artifacts that no run uses."""
    from storage import open_store

    result = open_store(store).gc(dry_run=dry_run)
    if as_json:
        print_json({**asdict(result), "dry_run": dry_run})
        return
    for name in [*result.removed, *result.leftovers]:
        typer.echo(name)
    verb = "would be removed" if dry_run else "removed"
    gone = f"{counted(len(result.removed), 'artifact')} and {counted(len(result.leftovers), 'leftover')}"
    say(f"{gone} {verb} ({size(result.bytes)}); {counted(len(result.kept), 'artifact')} kept.")
