"""``universality status``: how far a run is, read from its record and its events."""

from __future__ import annotations

import sys
import time
from collections import Counter
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipelines.cli.options import STORE, JsonOption, RunArgument, StoreOption
from pipelines.cli.progress import ahead, draw, running_line, step_line
from pipelines.cli.runs import open_named, print_note
from pipelines.cli.streams import reader_has_left
from pipelines.cli.terminal import console, print_json, say
from results.progress import RunProgress, gone_sentence, gone_steps
from results.words import counted
from universality.errors import refusal

if TYPE_CHECKING:
    from storage import Run

#: Seconds between two looks; on a terminal, and elsewhere.
WATCH_PERIOD, WATCH_PERIOD_PLAIN = 1.0, 15.0


def status(
    run_name: RunArgument = None,
    store: StoreOption = STORE,
    as_json: JsonOption = False,
    watch: Annotated[bool, typer.Option("--watch", help="Keep showing until the run ends.")] = False,
) -> None:
    """Show how far a run is.

    Works from any terminal that reaches the store, while the run goes on elsewhere.
    """
    if as_json and watch:
        raise refusal("options", "status", "one of --json and --watch", "both", "Drop one; or read events.jsonl.")
    run = open_named(run_name, store)
    if watch:
        _watch(run)
    if as_json:
        print_json(status_document(run, time.time()))
    else:
        _print(run, time.time())


def status_document(run: Run, now: float) -> dict[str, Any]:
    """Status, node counts, running steps with their progress, failures and the expected rest."""
    from results.own_notes import run_notes

    record, progress = run.observed, RunProgress.of(run.events())
    status = record["status"]
    running = {
        node: {"fraction": round(step.share, 4), "seconds": round(now - step.since, 1), **step.facts}
        for node, step in progress.running.items()
    }
    return {
        "name": run.name,
        "status": status,
        "recipe": record["recipe_name"],
        "note": run_notes(run.store, [record])[0],
        "nodes": dict(Counter(node["status"] for node in record["nodes"].values())),
        "fraction": round(progress.share or 0.0, 4) if status == "running" else None,
        "remaining_s": progress.seconds_left(now) if status == "running" else None,
        "running": running if status == "running" else {},
        "failed": progress.failed,
        "skipped": progress.skipped,
        "gone": gone_steps(record),
        "warnings": [{"node": node, "message": message} for node, message in progress.warnings],
        "wall_s": record["wall_s"],
    }


def _print(run: Run, now: float) -> None:
    document = status_document(run, now)
    out = console()
    counts = ", ".join(f"{n} {status}" for status, n in document["nodes"].items())
    out.print(f"Run {document['name']}: {document['status']} ({counts})", markup=False)
    print_note(out, run)
    if document["status"] == "running":
        progress = RunProgress.of(run.events())
        out.print(f"{100 * (progress.share or 0):.0f} %{ahead(progress, now)}", markup=False)
        for node, step in progress.running.items():
            out.print("  " + step_line(node, step, now), markup=False)
    if document["gone"]:
        out.print(gone_sentence(document["gone"]), markup=False)
    for error in dict.fromkeys(document["failed"].values()):
        nodes = [node for node, said in document["failed"].items() if said == error]
        out.print(f"failed: {', '.join(nodes)}: {error}", markup=False)
    if document["skipped"]:
        out.print(f"skipped: {counted(len(document['skipped']), 'step')} that need what failed", markup=False)
    for warning in document["warnings"]:
        out.print(f"warning: {warning['node']}: {warning['message']}", markup=False)
    if document["status"] in ("interrupted", "partial", "failed", "planned"):
        out.print("The same `universality run` command goes on from here.", markup=False)


def _watch(run: Run) -> None:
    """Show a run until nobody computes it any more; progress goes to stderr as in ``run``."""
    if not sys.stderr.isatty():
        while run.status == "running" and not reader_has_left(sys.stderr):
            say(running_line(RunProgress.of(run.events()), time.time()))
            time.sleep(WATCH_PERIOD_PLAIN)
        return
    from rich.live import Live

    with Live(console=console(stderr=True), auto_refresh=False, transient=True) as live:
        while run.status == "running":
            live.update(draw(RunProgress.of(run.events()), time.time()), refresh=True)
            time.sleep(WATCH_PERIOD)
