"""``universality calibrate``: how right the comparison is where the truth is known."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipelines.cli.options import JsonOption, MaybeInt, MaybePath, VerboseOption
from pipelines.cli.terminal import console, plain_table, print_json, say, titled

if TYPE_CHECKING:
    import pandas as pd
    from rich.console import Group


#: Classes whose precision and recall are printed.
SHOWN = ("universal", "shared", "specific", "twins")


def calibrate(
    *,
    quick: Annotated[bool, typer.Option("--quick", help="Small worlds, one of each: about a minute.")] = False,
    seeds: Annotated[
        MaybeInt, typer.Option("--seeds", min=1, help="Worlds of each kind; default 3, or 1 with --quick.")
    ] = None,
    root_seed: Annotated[int, typer.Option("--seed", min=0, help="Seed that all worlds derive from.")] = 0,
    threads: Annotated[MaybeInt, typer.Option("--threads", min=1, help="Threads; no figure depends on it.")] = None,
    out: Annotated[
        MaybePath, typer.Option("--out", metavar="DIR", help="Folder for calibration.csv and .parquet.")
    ] = None,
    as_json: JsonOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Measure precision, recall and false discoveries.

    Plants worlds with known features, compares their models with every matcher and says how right that was.
    """
    from universality.planted import calibration

    if out is not None:  # before anything is computed: a folder without rights costs no time
        out.mkdir(parents=True, exist_ok=True)
    settings = calibration.settings_of(calibration.QUICK_SIZES if quick else calibration.SIZES)
    n_seeds = seeds or (1 if quick else 3)
    n_worlds = 0

    def on_world(setting: Any, seed: int) -> None:
        nonlocal n_worlds
        n_worlds += 1
        say(
            f"[{n_worlds}/{len(settings) * n_seeds}] noise {setting.noise:g}, missed {setting.miss:.0%}, "
            f"{setting.n_rows:,} tokens, {setting.n_models} models, world {seed}"
        )

    options = {"n_seeds": n_seeds, "root_seed": root_seed, "threads": threads, "on_world": on_world}
    table = calibration.calibrate(settings, **options)
    summary = calibration.pooled(table)
    if out is not None:
        from results.export import csv_bytes, parquet_bytes

        (out / "calibration.csv").write_bytes(csv_bytes(table))
        (out / "calibration.parquet").write_bytes(parquet_bytes(table))
        say(f"calibration.csv and calibration.parquet in {out}: every world for itself.")
    if as_json:
        print_json(summary.to_dict(orient="records"))
    else:
        console().print(summary_tables(summary))


TITLE = (
    "Precision/recall of classes and of twins. r: median held-out r of true pairs. found: true pairs at "
    "q < .05. FDR: unrelated pairs among those at q < .05. decoys: their edges that got the level context."
)


def summary_tables(summary: pd.DataFrame) -> Group:
    """One table per size, one line per (noise, matcher); precision / recall, of the classes and of twins."""
    from rich.console import Group

    parts: list[Any] = [TITLE, ""]
    for (n_rows, n_models), sized in summary.groupby(["n_rows", "n_models"], sort=False):
        table = plain_table(">noise", ">r", "matcher", *(f">{name}" for name in SHOWN), ">found", ">FDR", ">decoys")
        for (noise, matcher), part in sized.groupby(["noise", "matcher"], sort=False):
            by = part.set_index("class")
            cells = [f"{noise:g}", f"{part['true_r'].iloc[0]:.2f}", str(matcher)]
            cells += [_ratios(by, name) for name in SHOWN]
            cells += [f"{by.loc['pairs', 'recall']:.3f}", f"{by.loc['pairs', 'fdr']:.4f}"]
            table.add_row(*cells, _of(by, "decoy_edges"))
        parts.append(titled(f"{n_rows:,} tokens, {n_models} models", table))
    return Group(*parts)


def _ratios(by: pd.DataFrame, name: str) -> str:
    if name not in by.index:
        return "-"
    return f"{by.loc[name, 'precision']:.2f}/{by.loc[name, 'recall']:.2f}"


def _of(by: pd.DataFrame, name: str) -> str:
    if name not in by.index:
        return "0/0"
    called, correct = (by[column].to_dict()[name] for column in ("n_called", "n_correct"))
    return f"{called - correct}/{called}"
