"""``universality run``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

from pipelines.cli.environment import environment
from pipelines.cli.progress import choose_display
from pipelines.cli.runs import print_run, run_document
from pipelines.cli.terminal import console, print_json, say
from pipelines.errors import RecipeError
from results.words import counted, duration
from universality.errors import must_be

if TYPE_CHECKING:
    from pipelines.engine import Plan, RunOutcome
    from pipelines.engine.executor import Executor
    from pipelines.recipe import Recipe
    from storage import Run, Store


def run_command(
    recipe_name: str,
    overrides: list[str],
    *,
    store_url: str,
    name: str | None,
    device: str,
    executor: Executor,
    as_json: bool = False,
    quiet: bool = False,
    verbose: bool = False,
) -> None:
    """Compute a recipe and print what it found.

    Args:
        recipe_name: file or shipped recipe.
        overrides: ``a.b=value`` texts.
        store_url: the store.
        name: of the run; default :func:`default_name`.
        device: auto, cpu or cuda.
        executor: from :func:`choose_executor`.
        as_json: print one JSON document instead of tables.
        quiet: no progress.
        verbose: tracebacks and the memory of every step.
    """
    recipe, plan = recipe_and_plan(recipe_name, overrides, device)

    from pipelines.engine import run_plan
    from storage import open_store

    store = open_store(store_url)
    run = open_or_create(store, recipe, plan, name)
    display = choose_display(quiet, verbose)
    try:
        outcome = run_plan(plan, store, run, executor=executor, progress=display)
    finally:
        display.close()
    tell_outcome(run, outcome, len(plan), quiet)
    if as_json:
        print_json(outcome_document(run, outcome))
    elif outcome.status in ("done", "partial"):
        print_run(console(), run)
        if not quiet:
            tell_next(run, store_url)
    if outcome.exit_code:
        raise typer.Exit(outcome.exit_code)


def recipe_and_plan(recipe_name: str, overrides: list[str], device: str) -> tuple[Recipe, Plan]:
    """Load a recipe and expand it into nodes for the device that the word stands for."""
    from pipelines.engine.machine import choose_device
    from pipelines.plan import build_plan
    from pipelines.recipe import load_recipe

    recipe = load_recipe(recipe_name, overrides)
    return recipe, build_plan(recipe, device=choose_device(device))


def default_name(recipe: Recipe, plan: Plan) -> str:
    """The recipe's name and a hash of the plan: the same recipe resumes its run, a changed one does not."""
    return f"{recipe.recipe}-{plan.digest()}"


def choose_executor(workers: int | None, scheduler: str | None, serial: bool) -> Executor:
    """The executor that the options ask for; Dask on this machine by default.

    Raises:
        RecipeError: more than one of the three is set.
    """
    given = {"--workers": workers is not None, "--scheduler": scheduler is not None, "--serial": serial}
    chosen = [option for option, is_set in given.items() if is_set]
    if len(chosen) > 1:
        constraint = "at most one of --workers, --scheduler, --serial"
        raise RecipeError(must_be("options", "run", constraint, chosen, "Drop all but one."))
    if serial:
        from pipelines.engine.serial import SerialExecutor

        return SerialExecutor()
    from pipelines.engine.cluster import DaskExecutor

    return DaskExecutor(workers, scheduler)


def open_or_create(store: Store, recipe: Recipe, plan: Plan, name: str | None) -> Run:
    """The run to compute: a new one, or the one of that name to resume.

    An explicit name may hold an older plan of the same recipe; the run then goes over to the new plan,
    and whatever is still valid is reused.

    Raises:
        RecipeError: the name belongs to a run of another recipe.
    """
    from storage import RunMissing

    run_name = name or default_name(recipe, plan)
    nodes = {node.id: {"step": node.step, "key": plan.keys()[node.id]} for node in plan}
    try:
        run = store.run(run_name)
    except RunMissing:
        return store.create_run(
            run_name,
            recipe_name=recipe.recipe,
            recipe=recipe.resolved(),
            nodes=nodes,
            environment=environment(),
        )
    if run.record["recipe_name"] != recipe.recipe:
        constraint = f"the name of a run of recipe {recipe.recipe!r}, or a new one"
        got = f"{run_name!r}, a run of recipe {run.record['recipe_name']!r}"
        remedy = "Choose another name."
        raise RecipeError(must_be("--name", "this command", constraint, got, remedy))
    return run


def tell_outcome(run: Run, outcome: RunOutcome, n_nodes: int, quiet: bool) -> None:
    """Say on stderr how the run ended; failures also when quiet."""
    for node_id, failure in outcome.errors.items():
        say(f"{node_id} failed: {failure['error']}\n  traceback: {failure['log']}")
    if outcome.status == "interrupted":
        say(f"Interrupted; everything finished is kept. The same command goes on with run {run.name}.")
    elif outcome.status in ("partial", "failed"):
        counts = {
            status: list(outcome.nodes.values()).count(status) for status in ("done", "failed", "skipped")
        }
        said = ", ".join(f"{n} {status}" for status, n in counts.items())
        say(f"Run {run.name} is {outcome.status}: {said} of {n_nodes} steps. The same command tries again.")
    elif not quiet and outcome.n_computed == 0:
        say(f"Run {run.name}: nothing to compute, all {n_nodes} steps are in the store.")
    elif not quiet:
        reused = f", {outcome.n_reused} reused" if outcome.n_reused else ""
        say(
            f"Run {run.name}: {counted(outcome.n_computed, 'step')} computed{reused} in {duration(outcome.wall_s)}."
        )


def tell_next(run: Run, store_url: str) -> None:
    """The commands that people type next."""
    store = "" if store_url == "runs" else f" --store {store_url}"
    say(
        "Next:\n"
        f"  universality dash{store}\n"
        f"  universality report {run.name} --out report{store}\n"
        f"  universality show {run.name}{store}"
    )


def outcome_document(run: Run, outcome: RunOutcome) -> dict[str, Any]:
    """What ``run --json`` prints: ``show --json`` and what this call did."""
    return run_document(run) | {
        "n_computed": outcome.n_computed,
        "n_reused": outcome.n_reused,
        "nodes": outcome.nodes,
        "errors": outcome.errors,
    }
