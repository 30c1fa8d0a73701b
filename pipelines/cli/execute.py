"""``universality run``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from tempfile import NamedTemporaryFile
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipelines.cli import planning
from pipelines.cli.options import (
    STORE,
    DeviceOption,
    GpuSlotsOption,
    JsonOption,
    NameOption,
    NoteOption,
    QuietOption,
    RecipeArgument,
    SchedulerOption,
    SerialOption,
    SetOption,
    StoreOption,
    VerboseOption,
    WorkersOption,
)
from pipelines.cli.progress import choose_display
from pipelines.cli.runs import as_typed, print_run, run_document
from pipelines.cli.terminal import console, print_json, say
from results.words import counted, duration
from universality.errors import refusal

if TYPE_CHECKING:
    from pipelines.engine import Plan, RunOutcome
    from pipelines.engine.executor import Executor
    from pipelines.recipe import Recipe
    from storage import Run, Store


def run(
    recipe: RecipeArgument,
    *,
    name: NameOption = None,
    note: NoteOption = None,
    store: StoreOption = STORE,
    overrides: SetOption = None,
    workers: WorkersOption = None,
    scheduler: SchedulerOption = None,
    serial: SerialOption = False,
    device: DeviceOption = "auto",
    gpu_slots: GpuSlotsOption = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the plan and stop.")] = False,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Compute everything a recipe describes.

    Run it again to resume after any stop. A finished run computes nothing.
    """
    executor = choose_executor(workers, scheduler, serial, gpu_slots)
    if dry_run:
        common = {"name": name, "store": store, "device": device, "as_json": as_json}
        planning.plan(recipe, overrides=overrides, workers=workers, gpu_slots=gpu_slots, **common)
        return
    how = {"quiet": quiet, "verbose": verbose, "note": note}
    computed, outcome = compute(recipe, name, store, overrides or [], executor, device, **how)
    if as_json:
        print_json(outcome_document(computed, outcome))
    elif outcome.status in ("done", "partial"):
        has_results = print_run(console(), computed, store)
        if has_results and not quiet:
            tell_next(computed, store)
    if outcome.exit_code:
        raise typer.Exit(outcome.exit_code)


def compute(
    recipe: str,
    name: str | None,
    store: str,
    overrides: list[str],
    executor: Executor,
    device: str,
    *,
    quiet: bool,
    verbose: bool,
    note: str | None = None,
) -> tuple[Run, RunOutcome]:
    """Compute what a recipe describes, or resume it, and say on stderr how that went.

    A try that computed nothing leaves no run behind, whatever it ended with.
    """
    from results.own_notes import keep_note, run_subject, worded

    planning.check_run_name(name)
    if note is not None:
        worded("", note, "--note")
    read, plan = planning.recipe_and_plan(recipe, overrides, device)

    from pipelines.engine import run_plan
    from storage import open_store

    opened = open_store(store)
    run = open_or_create(opened, read, plan, name)
    had_ended = run.status in ("done", "partial")
    if note is not None:
        keep_note(opened, run_subject(run.record), run=run.name, note=note)
    if not quiet:
        keys = plan.keys()
        for node in plan:
            for warning in node.warnings if not opened.has(keys[node.id]) else ():
                say(f"warning: {node.id}: {warning}")
    display = choose_display(quiet, verbose)
    try:
        outcome = run_plan(plan, opened, run, executor=executor, progress=display)
    except BaseException:
        _drop_empty(run, had_ended)
        raise
    finally:
        display.close()
    kept = outcome.status in ("done", "partial") or not _drop_empty(run, had_ended)
    if not kept:
        outcome = replace(outcome, errors=_with_logs_elsewhere(run.name, outcome.errors))
    tell_outcome(run, outcome, len(plan), quiet, kept)
    return run, outcome


def _drop_empty(run: Run, had_ended: bool) -> bool:
    """Let go of a run that has never ended and computed nothing; whether it is gone. Not where another computes it."""
    from storage import StoreError

    try:
        if had_ended or run.has_work or run.holder() is not None:
            return False
        run.store.delete_run(run.name)
    except StoreError:  # what is wrong is told already, or nobody answers
        return False
    return True


def _with_logs_elsewhere(name: str, errors: Mapping[str, dict[str, str]]) -> dict[str, dict[str, str]]:
    """The errors of a run that is not kept, with their tracebacks in files of the machine's temporary folder."""
    moved: dict[str, str] = {}
    for error in errors.values():
        if error["error"] not in moved:
            begin = f"universality-{name}-"
            with NamedTemporaryFile("w", encoding="utf-8", prefix=begin, suffix=".txt", delete=False) as file:
                file.write(error["traceback"].encode("utf-8", "replace").decode())
            moved[error["error"]] = file.name
    return {node: {**error, "log": moved[error["error"]]} for node, error in errors.items()}


def choose_executor(workers: int | None, scheduler: str | None, serial: bool, gpu_slots: int | None = None) -> Executor:
    """The executor that the options ask for; Dask on this machine by default.

    Raises:
        InputError: more than one of the three is set, or slots of a GPU for one of the last two.
    """
    given = {"--workers": workers is not None, "--scheduler": scheduler is not None, "--serial": serial}
    chosen = [option for option, is_set in given.items() if is_set]
    if len(chosen) > 1:
        constraint = "at most one of --workers, --scheduler, --serial"
        raise refusal("options", "run", constraint, chosen, "Drop all but one.")
    if gpu_slots is not None and (serial or scheduler is not None):
        remedy = "Drop one of them." if serial else 'Start that many workers for each GPU, with --resources "GPU=1".'
        raise refusal("--gpu-slots", "run", f"absent beside {chosen[0]}", gpu_slots, remedy)
    if serial:
        from pipelines.engine.executor import SerialExecutor

        return SerialExecutor()
    from pipelines.engine.cluster import DaskExecutor

    return DaskExecutor(workers, scheduler, gpu_slots=gpu_slots)


def open_or_create(store: Store, recipe: Recipe, plan: Plan, name: str | None) -> Run:
    """The run to compute: a new one, or the one of that name to resume.

    An explicit name may hold an older plan of the same recipe. The run then goes over to the new plan, record and all,
    and whatever is still valid is reused; but not where that would put results of other settings in the place of
    results that it has.

    Raises:
        InputError: the name belongs to a run of another recipe, or to one with results of other settings.
        RunLocked: another process is computing that run.
    """
    from pipelines.cli.environment import environment
    from storage import RunMissing

    run_name = name or planning.default_name(recipe, plan)
    nodes = {node.id: {"step": node.step, "key": plan.keys()[node.id], "status": "planned"} for node in plan}
    said = {"recipe": recipe.resolved(), "environment": environment()}
    try:
        run = store.run(run_name)
    except RunMissing:
        return store.create_run(run_name, recipe_name=recipe.recipe, nodes=nodes, **said)
    record = run.record
    if record["recipe_name"] != recipe.recipe:
        constraint = f"the name of a run of recipe {recipe.recipe!r}, or a new one"
        got = f"{run_name!r}, a run of recipe {record['recipe_name']!r}"
        raise refusal("--name", "this command", constraint, got, "Choose another name.")
    same_nodes = [(node, fields["key"]) for node, fields in record["nodes"].items()] == list(plan.keys().items())
    if same_nodes and record["recipe"] == said["recipe"]:
        return run
    planning.refuse_replacing(run, plan, said["recipe"])
    with run.lock():
        run.update(**said, **({} if same_nodes else {"nodes": nodes}))
    return run


def tell_outcome(run: Run, outcome: RunOutcome, n_nodes: int, quiet: bool, kept: bool = True) -> None:
    """Say on stderr how the run ended; failures also when quiet."""
    first = {failure["error"]: (node, failure["log"]) for node, failure in reversed(outcome.errors.items())}
    if quiet:  # else each was told when it failed
        for error, (node, _) in reversed(first.items()):
            say(f"failed: {node}: {error}")
    if outcome.status == "interrupted":
        on = f"everything finished is kept. The same command goes on with run {run.name}."
        say(f"Interrupted; {on}" if kept else "Interrupted before anything was computed; no run is kept.")
    elif outcome.status in ("partial", "failed"):
        done, failed, skipped = (list(outcome.nodes.values()).count(status) for status in ("done", "failed", "skipped"))
        which = ", ".join(list(outcome.errors)[:3]) + (", …" if len(outcome.errors) > 3 else "")
        said = f"{done} done, {failed} failed ({which}), {skipped} skipped"
        again = "The same command tries again." if kept else "Nothing was computed, so no run is kept."
        say(f"Run {run.name} is {outcome.status}: {said} of {n_nodes} steps. {again}")
        say("Logs: " + ", ".join(log for _, log in list(reversed(first.values()))[:3]))
    elif not quiet and outcome.n_computed == 0:
        say(f"Run {run.name}: nothing to compute, all {n_nodes} steps are in the store.")
    elif not quiet:
        reused = f", {outcome.n_reused} reused" if outcome.n_reused else ""
        say(f"Run {run.name}: {counted(outcome.n_computed, 'step')} computed{reused} in {duration(outcome.wall_s)}.")


def tell_next(run: Run, store: str) -> None:
    """The commands that people type next."""
    commands = "dash", f"report {run.name} --out report", f"show {run.name}"
    say("\n".join(["Next:", *(f"  {as_typed(command, store)}" for command in commands)]))


def outcome_document(run: Run, outcome: RunOutcome) -> dict[str, Any]:
    """What ``run --json`` prints: ``show --json`` and what this call did; ``kept`` is false where it left no run."""
    from storage import RunMissing

    try:
        document = {**run_document(run), "kept": True}
    except RunMissing:
        document = {"name": run.name, "status": outcome.status, "wall_s": outcome.wall_s, "headline": {}, "counts": {}}
        document |= {"note": "", "kept": False}
    return document | {
        "n_computed": outcome.n_computed,
        "n_reused": outcome.n_reused,
        "nodes": outcome.nodes,
        "errors": outcome.errors,
    }
