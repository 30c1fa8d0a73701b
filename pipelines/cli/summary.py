"""What a finished run found, as text a person reads at a terminal."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pipelines.cli.terminal import plain_table, titled

if TYPE_CHECKING:
    import pandas as pd
    from rich.console import Console, RenderableType

    from results.cautions import Caution

DOMAIN_COLUMNS = (
    "domain", "model", "latent", "mcc", "auroc", "sensitivity", "specificity",
    "partner_model", "partner_latent", "r", "r_token", "level", "neuron_r", "untrained_r",
)  # fmt: skip


def print_summary(
    console: Console, tables: Mapping[str, pd.DataFrame], cautions: Mapping[str, Sequence[Caution]]
) -> None:
    """Print, for each comparison, its conclusions, the headline, what casts doubt on it, counts and domains.

    Args:
        console: where.
        tables: the run's tables by name; ``headline`` and ``features`` at least.
        cautions: what to keep in mind about each comparison, by its id.
    """
    from results.conclusions import conclusions

    for comparison, parts in by_comparison(tables).items():
        if "headline" not in parts:
            continue
        for sentence in conclusions(parts):
            console.print(sentence, markup=False)
        console.print(headline_table(comparison, parts["headline"]))
        print_cautions(console, cautions.get(comparison, ()))
        console.print(counts_table(parts["features"]))
        if "indices" in parts and (shares := shares_table(parts["indices"])) is not None:
            console.print(shares)
        if len(parts.get("domains", ())):
            console.print(domains_table(parts["domains"]))


def print_answer(
    console: Console,
    tables: Mapping[str, pd.DataFrame],
    cautions: Mapping[str, Sequence[Caution]],
    tau: float,
    n_sources: int | None,
) -> None:
    """Print the answer: of every study, then of every comparison, a sentence a line.

    Args:
        console: where.
        tables, cautions: as for :func:`print_summary`.
        tau: threshold on held-out r.
        n_sources: sources behind the rows that are scored; None where it is not known.
    """
    from results.answer import answer, study_answer

    said = []
    if {"study_contrasts", "study_means"} <= tables.keys():
        said += study_answer(tables["study_contrasts"], tables["study_means"])
    compared = by_comparison({name: table for name, table in tables.items() if not name.startswith("study_")})
    for comparison, parts in compared.items():
        sentences = answer(parts, tau, n_sources, cautions.get(comparison, ()))
        said += [f"Comparison {comparison}", *sentences] if sentences and len(compared) > 1 else sentences
    if said:
        console.print("[bold]The answer[/]")
    for sentence in said:
        console.print(sentence, markup=False)


def by_comparison(tables: Mapping[str, pd.DataFrame]) -> dict[str, dict[str, pd.DataFrame]]:
    """The tables of each comparison, by its id."""
    from results.headline import split_comparisons

    parts: dict[str, dict[str, pd.DataFrame]] = {}
    for table, frame in tables.items():
        for comparison, part in split_comparisons(frame):
            parts.setdefault(comparison, {})[table] = part
    return parts


def print_cautions(console: Console, cautions: Sequence[Caution]) -> None:
    """Print what can turn a result around in full, the rest as titles."""
    from rich.markup import escape

    for caution in cautions:
        if caution.severe:
            console.print(f"[bold red]Warning:[/] {escape(caution.plain)}")
    mild = [caution.title.lower() for caution in cautions if not caution.severe]
    if mild:
        console.print(f"Keep in mind: {', '.join(mild)}.", markup=False)


def sweep_values(sweeps: pd.DataFrame) -> dict[str, list[dict[str, Any]]]:
    """The points of every sweep, means over its seeds, as JSON values by the sweep's id."""
    from results.figure_frames import sweep_points
    from results.headline import split_comparisons

    return {
        name: [
            {str(key): _plain(value) for key, value in row.items()} for row in sweep_points(table).to_dict("records")
        ]
        for name, table in split_comparisons(sweeps)
    }


def print_sweeps(console: Console, sweeps: pd.DataFrame) -> None:
    """Print every sweep's points by sparsity; a star marks those that no other beats."""
    from results.figure_frames import sweep_points
    from results.headline import split_comparisons

    for name, points in split_comparisons(sweeps):
        table = plain_table(
            "", "architecture", ">latents", "sparsity", ">L0", ">FVU", ">CE rec.", ">dead", ">cosine", ">seeds",
        )  # fmt: skip
        for row in sweep_points(points).sort_values("l0").to_dict("records"):
            table.add_row(
                "*" if row["frontier"] else "",
                str(row["architecture"]),
                f"{row['d_sae']:,}",
                str(row["sparsity"] or ""),
                *("" if _missing(row[key]) else f"{row[key]:.{digits}f}" for key, digits in _SWEPT),
                str(row["n_seeds"]),
            )
        title = f"Sweep {name}: means over seeds; * no other point is sparser and explains more"
        console.print(titled(title, table))


#: Columns of a sweep's table, and their digits.
_SWEPT = (("l0", 1), ("fvu", 3), ("ce_recovered", 2), ("dead_fraction", 2), ("seed_cosine", 2))


def _plain(value: Any) -> Any:
    """A JSON value: NaN is null, numpy's scalars are Python's."""
    item = getattr(value, "item", None)
    value = item() if callable(item) else value
    return None if isinstance(value, float) and math.isnan(value) else value


def headline_table(comparison: str, headline: pd.DataFrame) -> RenderableType:
    """Median held-out r per quantity: overall with its interval, then each pair."""
    from results.headline import QUANTITIES

    title = f"Comparison {comparison}: median held-out r of assigned pairs"
    table = plain_table("quantity", ">overall", "95 % interval", "pairs")
    for name, quantity in QUANTITIES.items():
        rows = headline[headline["quantity"] == name]
        overall = rows[rows["pair"] == "overall"]
        pairs = rows[rows["pair"] != "overall"]
        table.add_row(
            quantity.label,
            _r(overall["value"].iloc[0]) if len(overall) else "not measured",
            _interval(overall),
            "  ".join(f"{row.pair} {_r(row.value)}" for row in pairs.itertuples(index=False)),
        )
    return titled(title, table)


def counts_table(features: pd.DataFrame) -> RenderableType:
    """Alive features by group and level, with the shares; dead and rare ones in the caption."""
    from results.headline import count_values
    from results.words import called

    counts = count_values(features)
    levels = list(counts["level"])
    column = "group" if "group" in counts else "class"
    total = sum(counts[column].values())
    status = ", ".join(f"{n:,} {name}" for name, n in counts["status"].items())
    table = plain_table(column, *(f">{title}" for title in ("features", "share", *map(called, levels))))
    for name, n in counts[column].items():
        by_level = counts[f"{column}_by_level"][name]
        share = f"{100 * n / total:.1f} %"
        table.add_row(name, f"{n:,}", share, *(f"{by_level.get(level, 0):,}" for level in levels))
    return titled(f"Features by {column} and level ({status})", table)


def shares_table(indices: pd.DataFrame) -> RenderableType | None:
    """Matched shares of two models by level beside those of untrained models and of two dictionaries of one model.

    Returns:
        Means over pairs; None where the table has no such index.
    """
    from results.figure_frames import index_frame
    from results.words import called

    frame = index_frame(indices[indices["name"].str.startswith("shared_fraction")])
    if frame.empty:
        return None
    table = plain_table("level", ">two models", ">untrained (floor)", ">one model (ceiling)", ">chance")
    for row in frame.to_dict("records"):
        level = str(row["name"]).removeprefix("shared_fraction").lstrip("_") or "any"
        table.add_row(called(level), *(_r(row[key]) for key in ("value", "floor", "ceiling", "chance")))
    return titled("Share of latents matched beyond chance with r at the threshold or above", table)


def domains_table(domains: pd.DataFrame) -> RenderableType:
    """Each model's best latent per domain, its partner in another model, and what it is not."""
    from results.cautions import FEW_DOMAIN_SOURCES, few_sources
    from results.words import called

    table = plain_table(
        "domain", "latent", ">mcc", ">auroc", ">sens", ">spec",
        "partner", ">r", ">r tok.", "level", ">neuron", ">untr.",
    )  # fmt: skip
    before = None
    few = few_sources(domains).tolist()
    for row, is_example in zip(domains[list(DOMAIN_COLUMNS)].to_dict("records"), few, strict=True):
        domain = called(str(row["domain"])) + " †" * is_example
        has_partner = not _missing(row["partner_latent"])
        table.add_row(
            "" if domain == before else domain,
            f"{row['model']}/{int(row['latent'])}",
            *(_r(row[name]) for name in ("mcc", "auroc", "sensitivity", "specificity")),
            f"{row['partner_model']}/{int(row['partner_latent'])}" if has_partner else "",
            *(_r(row[name]) for name in ("r", "r_token")),
            "" if _missing(row["level"]) else called(str(row["level"])),
            *(_r(row[name]) for name in ("neuron_r", "untrained_r")),
        )
        before = domain
    note = f" († text of fewer than {FEW_DOMAIN_SOURCES} sources)" if any(few) else ""
    return titled(f"Domains: each model's best latent, and its partner in another model{note}", table)


def _missing(value: Any) -> bool:
    import pandas as pd

    return value is None or bool(pd.isna(value))


def _number(value: Any) -> float | None:
    return None if _missing(value) or not math.isfinite(value) else float(value)


def _r(value: Any) -> str:
    number = _number(value)
    return "-" if number is None else f"{number:.2f}"


def _interval(overall: pd.DataFrame) -> str:
    if not len(overall) or _missing(overall["low"].iloc[0]):
        return ""
    return f"{_r(overall['low'].iloc[0])} to {_r(overall['high'].iloc[0])}"
