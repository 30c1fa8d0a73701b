"""Figures of a report, each with the tidy frame behind it."""

from __future__ import annotations

import pandas as pd

from pipelines.report.exhibit import Contents, Exhibit, Page, Tables
from universality.exhibits import frames


def _correlation(tables: Tables, page: Page) -> Contents:
    from universality.exhibits.figures import correlation_figure

    histogram = frames.r_histogram(tables["baselines"], tables["null_quantiles"])
    medians = frames.medians(tables["baselines"], 0.5 if page.tau is None else page.tau)
    chance = frames.chance_level(tables["headline"])
    lines = medians.assign(statistic="median").rename(columns={"median": "value"}).astype({"n": "Int64"})
    if chance is not None:
        line = {"kind": "chance", "measure": "r_held_out", "statistic": "95th percentile", "value": chance}
        lines = pd.concat([lines, pd.DataFrame([line])], ignore_index=True)
    figure = correlation_figure(histogram, medians, chance, columns=page.spans(2))
    return {"": figure, ".csv": histogram, ".lines.csv": lines}


def _classes(tables: Tables, page: Page) -> Contents:
    from universality.exhibits.figures import classes_figure

    curve = frames.class_curve(tables["tau_curve"])
    models = tables["models"]
    primary = [str(m) for m in models.loc[models["role"] == "primary", "model"]]
    matrix = frames.model_matrix(tables["pairs"], primary, tables["baselines"], tables["headline"])
    figure = classes_figure(curve, matrix, page.tau, columns=page.spans(2))
    return {"": figure, ".csv": curve, ".matrix.csv": matrix}


def _domains(tables: Tables, page: Page) -> Contents:
    from universality.exhibits.domain_figures import domains_figure

    frame = frames.domain_frame(tables["domains"])
    return {"": domains_figure(frame, columns=page.spans(1)), ".csv": frame}


def _firing_rates(tables: Tables, page: Page) -> Contents:
    from universality.exhibits.dictionaries import firing_rates_figure

    frame = frames.firing_rates(tables["features"])
    return {"": firing_rates_figure(frame, columns=page.spans(1)), ".csv": frame}


def _frontier(tables: Tables, page: Page) -> Contents:
    from universality.exhibits.sweeps import frontier_figure

    points = frames.sweep_points(tables["sweeps"])
    return {"": frontier_figure(points, tables["sweeps"], columns=page.spans(1)), ".csv": points}


FIGURES: tuple[Exhibit, ...] = (
    Exhibit(
        "figures/correlation",
        ("baselines", "null_quantiles", "headline"),
        "Held-out r of assigned pairs of features, neurons, second dictionaries of the same model and untrained "
        "models beside chance: raw, and with each token's and position's mean removed. Ticks are medians, "
        "percentages count pairs at or above tau; each row is scaled to its highest bin.",
        _correlation,
    ),
    Exhibit(
        "figures/classes",
        ("tau_curve", "pairs", "models", "baselines", "headline"),
        "Share of alive features that are universal, shared or specific, by the finest level that survives, over the "
        "threshold tau; and the median held-out r of every two models with its 95 % interval, on the diagonal the "
        "same-model ceiling.",
        _classes,
    ),
    Exhibit(
        "figures/firing_rates",
        ("features",),
        "How often latents fire: share of each model's latents over the share of tokens on which they do.",
        _firing_rates,
    ),
    Exhibit(
        "figures/frontier",
        ("sweeps",),
        "Sparsity against unexplained variance of a sweep's dictionaries: marks are means over seeds (dots).",
        _frontier,
    ),
    Exhibit(
        "figures/domains",
        ("domains",),
        "Cross-model r of each domain's best latents (dots: median over models, bars: range) beside the same with "
        "token and position means removed, the nearest neuron, and untrained models.",
        _domains,
    ),
)
