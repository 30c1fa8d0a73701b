"""The numbers that stand for a whole comparison: their names everywhere, and how they are read off its tables."""

import math
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import pandas as pd

from results.words import CLASSES, GROUPS, LEVELS
from universality.table_schemas import HEADLINE


class Quantity(NamedTuple):
    """One quantity of the table ``headline``: the median held-out r of assigned pairs, or a chance level.

    Attributes:
        label: in tables of the report and of the terminal.
        title: on a card of the overview.
        short: where a figure has little room.
        meaning: help of the card.
        macro: part of the names of its LaTeX macros.
        over: what the median or quantile is taken over.
    """

    label: str
    title: str
    short: str
    meaning: str
    macro: str
    over: str


#: By name in the table ``headline``, in reading order.
QUANTITIES: dict[str, Quantity] = {
    "features": Quantity(
        "SAE features", "Features", "SAE features",
        "Median correlation of matched SAE features of two models, over text that was not used to match them. Matching "
        "is one-to-one: every feature has at most one partner in the other model.",
        "Features", "assigned pairs of features",
    ),
    "token_conditional": Quantity(
        "SAE features, token-conditional", "Beyond the token", "token-conditional",
        "The same pairs after each token's and each position's mean has been taken away. What is left is agreement "
        "about context, not about which token stands there.",
        "TokenConditional", "assigned pairs of features, token and position means removed",
    ),
    "ceiling": Quantity(
        "same model, other SAE seed (ceiling)", "Ceiling", "ceiling",
        "Two SAEs of one and the same model, with another seed and other training text. Features of different models "
        "can hardly be expected to agree better than this.",
        "Ceiling", "assigned pairs of features of two dictionaries of one model",
    ),
    "neurons": Quantity(
        "neurons", "Neurons", "neurons",
        "The same estimate for the raw activations that the SAEs read, one neuron at a time. Neurons have another "
        "floor than features: whether features beat their space is seen beside random directions and untrained models.",
        "Neurons", "assigned pairs of neurons",
    ),
    "untrained": Quantity(
        "untrained models (floor)", "Untrained floor", "untrained",
        "The same pipeline on models with random weights. They share the tokenizer and the text, so their features "
        "agree as far as tokens and positions alone can make them.",
        "Untrained", "assigned pairs of features of untrained models",
    ),
    "null_p95": Quantity(
        "chance, 95th percentile", "Chance, 95 %", "chance, p95",
        "One model's text is shifted against the other's by whole documents. The best of all candidates stays below "
        "this value for 95 % of the features.",
        "Chance", "maxima under shifted documents",
    ),
}  # fmt: skip
#: The order of quantities in ``show --json`` and ``results.json``.
_IN_JSON = ("features", "neurons", "null_p95", "ceiling", "untrained", "token_conditional")


def split_comparisons(table: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """The rows of each comparison, sweep or study in the table's order; one, named "main", without such a column."""
    column = next((name for name in ("comparison_id", "sweep", "study_id") if name in table), None)
    if column is None:
        yield "main", table
        return
    for name in table[column].drop_duplicates():
        yield str(name), table[table[column] == name].drop(columns=column)


def headline_frame(headline: pd.DataFrame) -> pd.DataFrame:
    """The table ``headline`` of one comparison with labels, in reading order.

    Returns:
        The columns of the table, label as the second of them; by quantity, "overall" before single pairs.
    """
    frame = headline.loc[headline["quantity"].isin(list(QUANTITIES))]
    order = {name: position for position, name in enumerate(QUANTITIES)}
    places = {"q": frame["quantity"].map(order), "p": frame["pair"] != "overall", "s": frame["pair"]}
    frame = frame.loc[pd.DataFrame(places).sort_values(["q", "p", "s"]).index, HEADLINE.names]
    labels = frame["quantity"].map({name: quantity.label for name, quantity in QUANTITIES.items()})
    frame.insert(1, "label", labels)
    return frame.reset_index(drop=True)


def overall_rows(headline: pd.DataFrame) -> dict[str, dict[str, Any]]:
    """The rows over all pairs of models by quantity, in reading order; those without a value are left out."""
    frame = headline_frame(headline)
    measured = frame[(frame["pair"] == "overall") & frame["value"].notna()]
    records: list[dict[Any, Any]] = measured.to_dict("records")
    return {row["quantity"]: row for row in records}


def overall_values(headline: pd.DataFrame) -> dict[str, float]:
    """The value over all pairs of models of every quantity that was measured."""
    return {name: float(row["value"]) for name, row in overall_rows(headline).items()}


def headline_values(headline: pd.DataFrame) -> dict[str, dict[str, float | None]]:
    """The table ``headline`` of one comparison as ``{quantity: {"overall": value, "m0-m1": value, …}}``.

    Returns:
        Every quantity of :data:`QUANTITIES`, empty where the run did not measure it; "overall" first; None for what is
        not a number.
    """
    values: dict[str, dict[str, float | None]] = {name: {} for name in _IN_JSON}
    for quantity, pair, value in headline[["quantity", "pair", "value"]].itertuples(index=False):
        number = None if pd.isna(value) or not math.isfinite(value) else float(value)
        values.setdefault(str(quantity), {})[str(pair)] = number
    return {name: dict(sorted(r.items(), key=lambda item: item[0] != "overall")) for name, r in values.items()}


def count_values(features: pd.DataFrame) -> dict[str, Any]:
    """Numbers of features by status, group, class, level, and level within group and within class.

    Features without a class (dead, rare) are counted by status only; those without a matched partner
    have the level ``"none"``.
    """
    classified = features[features["class"].notna()]
    level = classified["level"].astype(object)
    level = level.where(classified["level"].notna(), "none")
    by = {
        column: _counts(classified[column], tuple(order))
        for column, order in (("group", GROUPS), ("class", CLASSES))
        if column in classified  # runs of before have no groups
    }
    return {
        "status": _counts(features["status"]),
        **by,
        "level": _counts(level, (*LEVELS, "none")),
        **{
            f"{column}_by_level": {name: _counts(level[classified[column] == name]) for name in names}
            for column, names in by.items()
        },
    }


def summary_values(headline: pd.DataFrame, features: pd.DataFrame) -> dict[str, Any]:
    """``headline`` and ``counts`` of the first comparison, and of each under ``comparisons`` if several."""
    of_features = dict(split_comparisons(features))
    each = {
        name: {"headline": headline_values(table), "counts": count_values(of_features[name])}
        for name, table in split_comparisons(headline)
    }
    first = next(iter(each.values()), {"headline": {}, "counts": {}})
    return {**first, "comparisons": each} if len(each) > 1 else dict(first)


def _counts(values: pd.Series, order: Sequence[str] = ()) -> dict[str, int]:
    """How often each value stands there: those of an order first, then by name."""
    n = {str(name): int(count) for name, count in values.value_counts().items() if count}
    return {name: n[name] for name in [*(name for name in order if name in n), *sorted(set(n) - set(order))]}
