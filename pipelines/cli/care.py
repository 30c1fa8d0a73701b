"""Care of the store: ``verify``, ``delete`` and ``gc``."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import typer

from pipelines.cli.runs import open_named
from pipelines.cli.terminal import EXIT_FAILED, EXIT_USAGE, print_json, say
from results.words import counted, size
from universality.errors import InputError, must_be

if TYPE_CHECKING:
    from storage import Run


def verify_command(run_name: str | None, store_url: str, as_json: bool) -> None:
    """Check the digests of a run's artifacts, or of all; exit 1 when something is wrong."""
    from storage import open_store

    store = open_store(store_url)
    if run_name is None:
        keys, owner = store.keys(), {}
        missing: list[str] = []
        if not keys and not store.runs():
            say(f"There is no store at {store.url}: it holds no run and no artifact. Check --store.")
            raise typer.Exit(EXIT_USAGE)
    else:
        nodes = open_named(run_name, store_url).record["nodes"]
        owner = {node["key"]: node_id for node_id, node in nodes.items()}
        keys = [key for key in owner if store.has(key)]
        missing = [key for key in owner if key not in set(keys) and nodes[owner[key]]["status"] == "done"]
    problems = [
        {"node": owner.get(p.key, ""), "key": p.key, "file": p.file, "reason": p.reason}
        for p in store.verify(keys)
    ]
    problems += [
        {"node": owner[key], "key": key, "file": "", "reason": "the artifact is gone"} for key in missing
    ]
    if as_json:
        print_json({"checked": len(keys), "problems": problems})
    for problem in [] if as_json else problems:
        name = problem["node"] or problem["key"]
        typer.echo(f"{name} ({problem['key']}) {problem['file']}: {problem['reason']}")
    if problems:
        say("Remove the folders of these keys, then run the recipe again: it computes only what is gone.")
        raise typer.Exit(EXIT_FAILED)
    say(f"{counted(len(keys), 'artifact')} checked: all bytes are those that were written.")


def delete_command(run_name: str, store_url: str, yes: bool) -> None:
    """Forget a run: its record, events and logs. Artifacts stay until :func:`gc_command`, those of other runs longer.

    Raises:
        RunLocked: a live process is computing the run.
        InputError: nobody can be asked for confirmation, and ``--yes`` is not given.
        Exit: 1 where the answer is no.
    """
    from storage import RunLocked

    run = open_named(run_name, store_url)
    if (holder := run.holder()) is not None:
        got, remedy = (
            f"computed by process {holder.pid} on {holder.host}",
            "Wait for it, or stop that process.",
        )
        raise RunLocked(must_be("state", f"run {run.name!r}", "at rest before it is deleted", got, remedy))
    if not yes and not sys.stdin.isatty():
        got = "neither --yes nor a terminal"
        raise InputError(must_be("deletion", f"run {run.name!r}", "confirmed", got, "Give --yes."))
    store = run.store
    others = {node["key"] for other in store.runs() if other.name != run.name for node in _nodes(other)}
    own = [key for key in {node["key"] for node in _nodes(run)} - others if store.has(key)]
    n_bytes = sum(file["bytes"] for key in own for file in store.get(key).manifest["files"].values())
    freed = f"{counted(len(own), 'artifact')} ({size(n_bytes)}) that no other run uses"
    if not yes and not typer.confirm(f"Delete run {run.name}? It leaves {freed} to gc.", err=True):
        say("Nothing was deleted.")
        raise typer.Exit(EXIT_FAILED)
    store.delete_run(run.name)
    say(f"Run {run.name} is deleted. `universality gc` frees {freed}.")


def _nodes(run: Run) -> list[dict[str, Any]]:
    return list(run.record["nodes"].values())


def gc_command(store_url: str, dry_run: bool, as_json: bool) -> None:
    """Remove what no run uses."""
    from storage import open_store

    result = open_store(store_url).gc(dry_run=dry_run)
    if as_json:
        print_json({**asdict(result), "dry_run": dry_run})
        return
    for name in [*result.removed, *result.leftovers]:
        typer.echo(name)
    verb = "would be removed" if dry_run else "removed"
    gone = f"{counted(len(result.removed), 'artifact')} and {counted(len(result.leftovers), 'leftover')}"
    say(f"{gone} {verb} ({size(result.bytes)}); {counted(len(result.kept), 'artifact')} kept.")
