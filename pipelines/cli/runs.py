"""Commands that list and read: ``ls``, ``show``, ``recipes``, ``schema``."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from pipelines.cli.options import STORE, JsonOption, RunArgument, StoreOption
from pipelines.cli.study_summary import (
    STUDY_TABLES,
    layer_values,
    print_layers,
    print_splits,
    print_studies,
    study_values,
)
from pipelines.cli.summary import print_answer, print_summary, print_sweeps, sweep_values
from pipelines.cli.terminal import console, plain_table, print_json, program, say
from results.progress import gone_sentence, gone_steps
from results.words import duration, moment
from universality.errors import refusal

if TYPE_CHECKING:
    import pandas as pd
    from rich.console import Console

    from storage import Run, RunCorrupt


def open_named(run_name: str | None, store_url: str) -> Run:
    """The run that a person means: by its name, its recipe (the newest of it) or the start of its name.

    Args:
        run_name: an exact name wins over a recipe, a recipe over the start of a name; None for the newest run.
        store_url: the store.

    Raises:
        RunMissing: none fits.
        InputError: the names of several runs start so; the message lists them.
    """
    from storage import RunMissing, open_run, open_store

    store = open_store(store_url)
    try:
        return open_run(run_name, store)
    except RunMissing:
        if run_name is None:
            raise
        records = store.records({})
        of_recipe = [record["name"] for record in records if record["recipe_name"] == run_name]
        candidates = of_recipe[-1:] or [record["name"] for record in records if record["name"].startswith(run_name)]
        if not candidates:
            raise
    if len(candidates) > 1:
        names = ", ".join(candidates)
        constraint = "the name of one run, of a recipe, or the start of one run's name"
        got = f"{run_name!r}, the start of {names}"
        raise refusal("RUN", "this command", constraint, got, "Write more of it.")
    return store.run(candidates[0])


def ls(store: StoreOption = STORE, as_json: JsonOption = False) -> None:
    """List the runs of the store, newest first.

    With the settings in which a run differs from its recipe as shipped, or from other runs of it, and with its note.
    """
    from rich.text import Text

    from results.own_notes import one_line, run_notes
    from results.run_settings import own_settings
    from storage import open_store

    opened = open_store(store)
    damaged: dict[str, RunCorrupt] = {}
    records = opened.records(damaged, observed=True)[::-1]
    own = zip(records, own_settings(records, _as_shipped(records)), run_notes(opened, records), strict=True)
    listed = [
        {
            "name": record["name"], "status": record["status"], "recipe": record["recipe_name"],
            "created": moment(record["created"]), "settings": settings, "note": note,
        }
        for record, settings, note in own
    ]  # fmt: skip
    for error in damaged.values():
        say(f"Left out: {error}")
    if as_json:
        print_json(listed)
        return
    if not records:
        say(f"No runs in {opened.url} yet. Start with: {program()} run quickstart")
        return
    optional = [name for name in ("settings", "note") if any(one[name] for one in listed)]
    table = plain_table("run", "status", "recipe", "created", ">time", *optional)
    for one, record in zip(listed, records, strict=True):
        minute = one["created"][:16].replace("T", " ")
        last = [Text(one_line(one[name], 60)) for name in optional]
        table.add_row(one["name"], one["status"], one["recipe"], minute, duration(record["wall_s"]), *last)
    console().print(table)


def _as_shipped(records: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Every setting of those recipes of runs that ship with the package."""
    from pipelines.recipe import load_recipe, shipped_recipes

    return {name: load_recipe(name).resolved() for name in {r["recipe_name"] for r in records} & {*shipped_recipes()}}


def show(run_name: RunArgument = None, store: StoreOption = STORE, as_json: JsonOption = False) -> None:
    """Show what a run found.

    The headline per pair, the features by class and level, and the domains.
    """
    run = open_named(run_name, store)
    if as_json:
        print_json(run_document(run))
    else:
        print_run(console(), run, store)


def run_document(run: Run) -> dict[str, Any]:
    """``name, status, wall_s, note, headline, counts``, the last two empty while there are no results; ``sweeps``,
    ``studies`` and ``layers`` (of studies) if any."""
    from results.headline import summary_values
    from results.own_notes import run_notes

    record, gone = run.observed, run.missing()
    head: dict[str, Any] = {"name": run.name, "status": record["status"], "wall_s": record["wall_s"]}
    head["note"] = run_notes(run.store, [record])[0]
    if gone:
        head["gone"] = gone
    sweeps = _optional(run, "sweeps")
    if sweeps is not None:
        head["sweeps"] = sweep_values(sweeps)
    contrasts, means = (_optional(run, name) for name in STUDY_TABLES)
    if contrasts is not None and means is not None:
        head["studies"] = study_values(contrasts, means)
    layers = _optional(run, "study_layers")
    if layers is not None:
        head["layers"] = layer_values(layers)
    headline, features = (_optional(run, name) for name in ("headline", "features"))
    if headline is None or features is None:
        return head | {"headline": {}, "counts": {}}
    return head | summary_values(headline, features)


def print_run(out: Console, run: Run, store: str) -> bool:
    """Print the summary of a run, or what there is instead of results; whether there are any."""
    from results.answer import TABLES as ANSWERED
    from results.cautions import stored_cautions
    from results.conclusions import TABLES as CONCLUDED
    from results.stored_comparison import StoredComparison, comparisons_of

    record = run.observed
    took = f" in {duration(record['wall_s'])}" if record["wall_s"] else ""
    out.print(f"Run {run.name}: {record['status']}{took}, recipe {record['recipe_name']}", markup=False)
    print_note(out, run)
    if gone := gone_steps(record):
        out.print(gone_sentence(gone), markup=False)
    recipe = record["recipe"] or {}
    if any(comparison.get("sae") for comparison in recipe.get("comparisons", ())):
        out.print(training_rows_sentence(recipe), markup=False)
    sweeps = _optional(run, "sweeps")
    if sweeps is not None:
        print_sweeps(out, sweeps)
    contrasts, means = (_optional(run, name) for name in STUDY_TABLES)
    if contrasts is not None and means is not None:
        print_studies(out, contrasts, means)
    layers = _optional(run, "study_layers")
    if layers is not None:
        print_layers(out, layers)
    splits = _optional(run, "splits_by_size")
    if splits is not None:
        print_splits(out, splits)
    names = {"headline", "domains", *ANSWERED, *CONCLUDED, *STUDY_TABLES}
    tables = {name: table for name in names if (table := _optional(run, name)) is not None}
    studies = {name: tables.pop(name) for name in STUDY_TABLES if name in tables}
    if not recipe.get("comparisons") and (sweeps is not None or means is not None):
        print_answer(out, studies, {}, 0.0, None)
        return True
    if not {"headline", "features"} <= tables.keys():
        out.print(f"No results yet. See: {as_typed(f'status {run.name}', store)}", markup=False, soft_wrap=True)
        return sweeps is not None or means is not None
    compared = {name: StoredComparison(run, name, record) for name in comparisons_of(record)}
    cautions = {name: stored_cautions(stored) for name, stored in compared.items()}
    print_summary(out, tables, cautions)
    any_of = next(iter(compared.values()))
    print_answer(out, tables | studies, cautions, any_of.tau, any_of.n_score_sources)
    return True


def print_note(out: Console, run: Run) -> None:
    """What somebody wrote of a run, if anything."""
    from results.own_notes import run_notes

    if note := run_notes(run.store, [run.record])[0]:
        out.print(f"Note: {note}", markup=False)


def as_typed(command: str, store: str) -> str:
    """A command with what names its store, to be pasted into a shell."""
    return f"{program()} {command}" + ("" if store == "runs" else f" --store {shlex.quote(store)}")


def training_rows_sentence(recipe: dict[str, Any]) -> str:
    """Which rows the dictionaries of a recipe are trained on, in words; recipes of older runs mean the defaults."""
    said = recipe.get("training_rows") or {}
    special = "special tokens too" if said.get("special_tokens") else "no special tokens"
    most = said.get("max_norm")
    norm = "rows of any norm" if most is None else f"rows of at most {most:g} times the median norm"
    source = recipe.get("activation_source", "stored")
    first = said.get("first_position", 1)
    return f"Dictionaries are trained on positions from {first} on, {special}, {norm}; activations {source}."


def _optional(run: Run, name: str) -> pd.DataFrame | None:
    """A table that not every run has: a corpus without labels has no domains."""
    from results.older_runs import as_of_now
    from storage import TableMissing

    try:
        return as_of_now(name, run.table(name), run.record)
    except TableMissing:
        return None


def recipes(as_json: JsonOption = False) -> None:
    """List the shipped recipes."""
    from pipelines.recipe import shipped_recipes

    descriptions = shipped_recipes()
    if as_json:
        print_json(descriptions)
        return
    from rich.table import Table

    table = Table.grid(padding=(0, 3))
    for name, description in descriptions.items():
        table.add_row(name, description)
    console().print(table)


def schema(
    kind: Annotated[
        Literal["recipe", "results", "pairs"],
        typer.Option(help="Of recipes, of the results.json of a report, or of the pairs.json of an export."),
    ] = "recipe",
) -> None:
    """Print the JSON schema of recipes.

    Every key with its meaning, type and default; editors can use it.
    """
    if kind == "results":
        from pipelines.report.results_schema import results_schema

        print_json(results_schema())
        return
    if kind == "pairs":
        from results.pair_file import pair_schema

        print_json(pair_schema())
        return
    from pipelines.recipe import Recipe

    print_json(Recipe.model_json_schema())
