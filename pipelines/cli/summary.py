"""What a finished run found, from its tables: as JSON values, and as text a person reads.

Pure functions of data frames (columns as documented for the run tables), so that other callers can use
them on any comparison.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from pipelines.cli.terminal import plain_table, titled

if TYPE_CHECKING:
    import pandas as pd
    from rich.console import Console, RenderableType

#: Quantity -> the words for it. All are medians of the held-out r of assigned pairs.
QUANTITIES = {
    "features": "features",
    "neurons": "neurons",
    "null_p95": "chance, 95th percentile",
    "ceiling": "ceiling (same model, second SAE)",
    "untrained": "untrained floor",
    "token_conditional": "features, token-conditional",
}
CLASSES = ("universal", "shared", "specific")
LEVELS = ("context", "token", "domain", "untested", "none")
DOMAIN_COLUMNS = (
    "domain", "model", "latent", "mcc", "auroc", "sensitivity", "specificity",
    "partner_model", "partner_latent", "r", "r_token", "level", "neuron_r", "untrained_r",
)  # fmt: skip


def headline_values(headline: pd.DataFrame) -> dict[str, dict[str, float | None]]:
    """The table ``headline`` as ``{quantity: {"overall": value, "m0-m1": value, …}}``.

    Returns:
        Every quantity of :data:`QUANTITIES`, empty where the run did not measure it; "overall" first.
    """
    values: dict[str, dict[str, float | None]] = {name: {} for name in QUANTITIES}
    for row in headline.itertuples(index=False):
        values.setdefault(str(row.quantity), {})[str(row.pair)] = _number(row.value)
    return {name: dict(sorted(pairs.items(), key=_overall_first)) for name, pairs in values.items()}


def count_values(features: pd.DataFrame) -> dict[str, Any]:
    """Numbers of features by status, class, level, and level within class.

    Features without a class (dead, rare) are counted by status only; those without a matched partner
    have the level ``"none"``.
    """
    classified = features[features["class"].notna()]
    level = classified["level"].astype(object)
    level = level.where(classified["level"].notna(), "none")
    by_class = {
        str(name): _counts(level[classified["class"] == name])
        for name in _ordered(classified["class"], CLASSES)
    }
    return {
        "status": _counts(features["status"]),
        "class": _counts(classified["class"], CLASSES),
        "level": _counts(level, LEVELS),
        "class_by_level": by_class,
    }


def split_comparisons(table: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """The rows of each comparison (or sweep) in the order of the table; one, named "main", without such a column."""
    column = next((name for name in ("comparison_id", "sweep") if name in table), None)
    if column is None:
        yield "main", table
        return
    for name in table[column].drop_duplicates():
        yield str(name), table[table[column] == name].drop(columns=column)


def summary_values(headline: pd.DataFrame, features: pd.DataFrame) -> dict[str, Any]:
    """``headline`` and ``counts`` of the first comparison, and of each under ``comparisons`` if several."""
    of_features = dict(split_comparisons(features))
    each = {
        name: {"headline": headline_values(table), "counts": count_values(of_features[name])}
        for name, table in split_comparisons(headline)
    }
    first = next(iter(each.values()), {"headline": {}, "counts": {}})
    return {**first, "comparisons": each} if len(each) > 1 else dict(first)


def print_summary(
    console: Console,
    headline: pd.DataFrame,
    features: pd.DataFrame,
    domains: pd.DataFrame | None = None,
    indices: pd.DataFrame | None = None,
) -> None:
    """Print, for each comparison, the headline, what casts doubt on it, the counts and the domain table."""
    from rich.markup import escape

    from universality.compare.marks import SHARED_INIT_WORDS, flagged_pairs

    of_indices = dict(split_comparisons(indices)) if indices is not None else {}
    of_features = dict(split_comparisons(features))
    of_domains = dict(split_comparisons(domains)) if domains is not None else {}
    for name, table in split_comparisons(headline):
        console.print(headline_table(name, table))
        for pair in flagged_pairs(of_indices[name]) if name in of_indices else []:
            console.print(f"[bold red]Warning:[/] {escape(pair)}: {SHARED_INIT_WORDS}")
        console.print(counts_table(of_features[name]))
        if name in of_indices and (shares := shares_table(of_indices[name], of_features[name])) is not None:
            console.print(shares)
        if name in of_domains and len(of_domains[name]):
            console.print(domains_table(of_domains[name]))


def sweep_values(sweeps: pd.DataFrame) -> dict[str, list[dict[str, Any]]]:
    """The points of every sweep, means over its seeds, as JSON values by the sweep's id."""
    from results.dictionary_frames import sweep_points

    return {
        name: [
            {str(key): _plain(value) for key, value in row.items()}
            for row in sweep_points(table).to_dict("records")
        ]
        for name, table in split_comparisons(sweeps)
    }


def print_sweeps(console: Console, sweeps: pd.DataFrame) -> None:
    """Print every sweep's points by sparsity; a star marks those that no other beats."""
    from results.dictionary_frames import sweep_points

    for name, found in split_comparisons(sweeps):
        table = plain_table(
            "",
            "architecture",
            ">latents",
            "sparsity",
            ">L0",
            ">FVU",
            ">CE rec.",
            ">dead",
            ">cosine",
            ">seeds",
        )
        for row in sweep_points(found).sort_values("l0").to_dict("records"):
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
    title = f"Comparison {comparison}: median held-out r of assigned pairs"
    table = plain_table("quantity", ">overall", "95 % interval", "pairs")
    for quantity, words in QUANTITIES.items():
        rows = headline[headline["quantity"] == quantity]
        overall = rows[rows["pair"] == "overall"]
        pairs = rows[rows["pair"] != "overall"]
        table.add_row(
            words,
            _r(overall["value"].iloc[0]) if len(overall) else "not measured",
            _interval(overall),
            "  ".join(f"{row.pair} {_r(row.value)}" for row in pairs.itertuples(index=False)),
        )
    return titled(title, table)


def counts_table(features: pd.DataFrame) -> RenderableType:
    """Alive features by class and level, with the shares; dead and rare ones in the caption."""
    counts = count_values(features)
    levels = [level for level in LEVELS if level in counts["level"]]
    levels += [level for level in counts["level"] if level not in levels]
    total = sum(counts["class"].values())
    status = ", ".join(f"{n:,} {name}" for name, n in counts["status"].items())
    right = [f">{title}" for title in ("features", "share", *levels)]
    table = plain_table("class", *right)
    for name, n in counts["class"].items():
        by_level = counts["class_by_level"][name]
        share = f"{100 * n / total:.1f} %"
        table.add_row(name, f"{n:,}", share, *(f"{by_level.get(level, 0):,}" for level in levels))
    return titled(f"Features by class and level ({status})", table)


def shares_table(indices: pd.DataFrame, features: pd.DataFrame) -> RenderableType | None:
    """Matched shares of two models by level beside those of untrained models and of two dictionaries of one model.

    Returns:
        Medians over pairs of models; None where the table has no such index.
    """
    from results.finding_frames import index_frame

    models = [str(model) for model in features["model"].drop_duplicates()]
    frame = index_frame(indices[indices["name"].str.startswith("shared_fraction")], models)
    if frame.empty:
        return None
    table = plain_table("level", ">two models", ">untrained (floor)", ">one model (ceiling)", ">chance")
    for row in frame.to_dict("records"):
        level = str(row["name"]).removeprefix("shared_fraction").lstrip("_") or "any"
        table.add_row(level, *(_r(row[key]) for key in ("value", "floor", "ceiling", "chance")))
    return titled("Share of latents matched beyond chance with r at the threshold or above", table)


def domains_table(domains: pd.DataFrame) -> RenderableType:
    """Each model's best latent per domain, its partner in another model, and what it is not."""
    table = plain_table(
        "domain", "latent", ">mcc", ">auroc", ">sens", ">spec",
        "partner", ">r", ">r tok.", "level", ">neuron", ">untr.",
    )  # fmt: skip
    before = None
    for row in domains[list(DOMAIN_COLUMNS)].to_dict("records"):
        domain = str(row["domain"])
        has_partner = not _missing(row["partner_latent"])
        table.add_row(
            "" if domain == before else domain,
            f"{row['model']}/{int(row['latent'])}",
            *(_r(row[name]) for name in ("mcc", "auroc", "sensitivity", "specificity")),
            f"{row['partner_model']}/{int(row['partner_latent'])}" if has_partner else "",
            *(_r(row[name]) for name in ("r", "r_token")),
            "" if _missing(row["level"]) else str(row["level"]),
            *(_r(row[name]) for name in ("neuron_r", "untrained_r")),
        )
        before = domain
    return titled("Domains: each model's best latent, and its partner in another model", table)


def _counts(values: pd.Series, order: tuple[str, ...] = ()) -> dict[str, int]:
    found = values.value_counts()
    return {str(name): int(found[name]) for name in _ordered(values, order)}


def _ordered(values: pd.Series, order: tuple[str, ...]) -> list[Any]:
    present = set(values.dropna().unique())
    return [name for name in order if name in present] + sorted(present - set(order), key=str)


def _overall_first(item: tuple[str, Any]) -> bool:
    return item[0] != "overall"


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
