"""``universality reproduce``: what a paper measured beside what a run of its recipe here measures."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args

import typer

from pipelines.cli import execute, planning
from pipelines.cli.options import (
    STORE,
    DeviceOption,
    GpuSlotsOption,
    JsonOption,
    NameOption,
    QuietOption,
    SchedulerOption,
    SerialOption,
    SetOption,
    StoreOption,
    VerboseOption,
    WorkersOption,
)
from pipelines.cli.terminal import console, plain_table, print_json, titled

if TYPE_CHECKING:
    from collections.abc import Sequence

    from results.reproduction import Reproduced
    from storage import Run

EXIT_NOT_REPRODUCED = 4


def reproduce(
    paper: Annotated[str, typer.Argument(metavar="NAME", help="bricken2023, gurnee2024, paulo2025 or song2025.")],
    *,
    scale: Annotated[
        Literal["laptop", "gpu"], typer.Option("--scale", help="Minutes on two cores, or the larger sister.")
    ] = "laptop",
    name: NameOption = None,
    store: StoreOption = STORE,
    overrides: SetOption = None,
    workers: WorkersOption = None,
    scheduler: SchedulerOption = None,
    serial: SerialOption = False,
    device: DeviceOption = "auto",
    gpu_slots: GpuSlotsOption = None,
    dry_run: Annotated[bool, typer.Option("--plan", "--dry-run", help="Show the plan and stop.")] = False,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Hold a paper's numbers against a run of its recipe here.

    The run is that of `universality run` with the recipe: it resumes, and a finished one computes nothing. Exit 4 where
    a comparable number lies outside its tolerance.
    """
    from results.reproduction import paper_of, reproduced

    said = paper_of(paper)
    recipe = said["recipe"][scale]
    executor = execute.choose_executor(workers, scheduler, serial, gpu_slots)
    if dry_run:
        common = {"name": name, "store": store, "device": device, "as_json": as_json}
        planning.plan(recipe, overrides=overrides, workers=workers, gpu_slots=gpu_slots, **common)
        return
    run, outcome = execute.compute(recipe, name, store, overrides or [], executor, device, quiet=quiet, verbose=verbose)
    rows = reproduced(paper, scale, _tables(run)) if outcome.status in ("done", "partial") else []
    changed = f" (changed here: {', '.join(overrides)})" if overrides else ""
    scales = {"paper_scale": said["scale"], "our_scale": said["ours"][scale] + changed}
    if as_json:
        head = {"name": paper, "title": said["title"], "url": said["url"], "scale": scale, "recipe": recipe, **scales}
        rest = {"n_computed": outcome.n_computed, "errors": outcome.errors}
        print_json(head | {"run": run.name, "status": outcome.status, "quantities": list(map(_json, rows)), **rest})
    elif rows:
        _print(said["title"], run.name, scales, rows)
    failed = any(row.verdict == "fail" for row in rows)
    if code := outcome.exit_code or EXIT_NOT_REPRODUCED * failed:
        raise typer.Exit(code)


def _tables(run: Run) -> dict[str, Any]:
    from results.reproduction import TABLES
    from storage import TableMissing

    tables = {}
    for name in TABLES:
        try:
            tables[name] = run.table(name)
        except TableMissing:  # text without labels has no domains
            continue
    return tables


def _json(row: Reproduced) -> dict[str, Any]:
    plain = {key: None if isinstance(value, float) and math.isnan(value) else value for key, value in vars(row).items()}
    return plain | {"claim": row.claim or None, "floor_passes": row.floor_passes}


def _print(title: str, run_name: str, scales: dict[str, str], rows: Sequence[Reproduced]) -> None:
    """The table, then of each quantity its source and the reason of its tolerance, then the scales in one sentence."""
    from results.reproduction import Verdict
    from results.words import number

    def r(value: float) -> str:
        return number(value, 3)

    out = console()
    table = plain_table("", "quantity", ">paper", ">ours", "range", ">chance", ">floor", "tolerance", "verdict")
    for place, row in enumerate(rows, 1):
        spread = "" if math.isnan(row.low) else f"{r(row.low)} to {r(row.high)}"
        within = " to ".join(f"{end:g}" for end in row.within).replace("-", "−") if row.within else "–"
        numbers = (row.claim or r(row.paper), r(row.ours), spread, r(row.chance), r(row.floor), within)
        table.add_row(str(place), row.quantity, *numbers, row.verdict)
    out.print(titled(f"{title}, and run {run_name}", table))
    for place, row in enumerate(rows, 1):
        as_well = " as well: this says nothing of training" if row.verdict == "pass" else ""
        floor = f" Untrained models pass{as_well}." if row.floor_passes else ""
        out.print(f"{place}. {row.on} ({row.source}). {row.why[:1].upper()}{row.why[1:]}.{floor}", markup=False)
    out.print(f"\nThe paper: {scales['paper_scale']}. Ours: {scales['our_scale']}.", markup=False)
    counts = {verdict: sum(row.verdict == verdict for row in rows) for verdict in get_args(Verdict)}
    out.print(", ".join(f"{n} {verdict}" for verdict, n in counts.items()) + ".", markup=False)
