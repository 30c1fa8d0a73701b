"""Figures and LaTeX tables of a report, each with the tidy frame behind it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import pandas as pd

from universality.exhibits import frames
from universality.exhibits.latex import Column, booktabs

Tables = Mapping[str, pd.DataFrame]


class Exhibit(NamedTuple):
    """One figure or table of a report.

    Attributes:
        name: relative path without suffix, for example ``figures/correlation``.
        needs: run tables without which it cannot be made.
        caption: what it shows, for README and LaTeX.
        make: run tables of one comparison and its tau -> content by suffix.
    """

    name: str
    needs: tuple[str, ...]
    caption: str
    make: Callable[[Tables, float | None], dict[str, bytes | str | pd.DataFrame]]


def _correlation(tables: Tables, tau: float | None) -> dict[str, bytes | str | pd.DataFrame]:
    from universality.exhibits.figures import correlation_figure
    from universality.exhibits.paper import to_pdf

    histogram = frames.r_histogram(tables["baselines"], tables["null_quantiles"])
    medians = frames.medians(tables["baselines"], 0.5 if tau is None else tau)
    chance = frames.chance_level(tables["headline"])
    lines = medians.assign(statistic="median").rename(columns={"median": "value"}).astype({"n": "Int64"})
    if chance is not None:
        line = {"kind": "null", "measure": "r_held_out", "statistic": "95th percentile", "value": chance}
        lines = pd.concat([lines, pd.DataFrame([line])], ignore_index=True)
    figure = correlation_figure(histogram, medians, chance)
    return {".pdf": to_pdf(figure), ".csv": histogram, ".lines.csv": lines}


def _classes(tables: Tables, tau: float | None) -> dict[str, bytes | str | pd.DataFrame]:
    from universality.exhibits.figures import classes_figure
    from universality.exhibits.paper import to_pdf

    curve = frames.class_curve(tables["tau_curve"])
    models = tables["models"]
    primary = [str(m) for m in models.loc[models["role"] == "primary", "model"]]
    matrix = frames.model_matrix(tables["pairs"], primary, tables["baselines"])
    return {".pdf": to_pdf(classes_figure(curve, matrix, tau)), ".csv": curve, ".matrix.csv": matrix}


def _domains(tables: Tables, tau: float | None) -> dict[str, bytes | str | pd.DataFrame]:
    from universality.exhibits.domain_figures import domains_figure
    from universality.exhibits.paper import to_pdf

    frame = frames.domain_frame(tables["domains"])
    return {".pdf": to_pdf(domains_figure(frame)), ".csv": frame}


#: Pairs of models listed one by one in the headline table, at most.
MAX_PAIRS_LISTED = 10


def _headline_tex(tables: Tables, tau: float | None) -> dict[str, bytes | str | pd.DataFrame]:
    frame = frames.headline_frame(tables["headline"])
    overall = frame[frame["pair"] == "overall"].assign(row=lambda t: t["label"])
    each = frame[(frame["quantity"] == "features") & (frame["pair"] != "overall")].assign(
        row=lambda t: t["pair"]
    )
    listed = len(each) if len(each) <= MAX_PAIRS_LISTED else 0
    rows = pd.concat([overall, each[:listed]], ignore_index=True)
    rows["interval"] = [_interval(low, high) for low, high in zip(rows["low"], rows["high"], strict=True)]
    columns = [
        Column("row", "quantity"),
        Column("value", "median r", 2),
        Column("interval", "95 % interval"),
        Column("n", "n"),
    ]
    groups = {0: "all pairs of models", len(overall): "SAE features, by pair of models"} if listed else None
    return {".tex": booktabs(rows, columns, caption=_HEADLINE, label="tab:headline", groups=groups)}


def _domains_tex(tables: Tables, tau: float | None) -> dict[str, bytes | str | pd.DataFrame]:
    frame = frames.domain_frame(tables["domains"])
    columns = [
        Column("domain", "domain"),
        Column("auroc", "AUROC", 2),
        Column("sensitivity", "sens.", 2),
        Column("specificity", "spec.", 2),
        Column("r", "r", 2),
        Column("r_token", "r token", 2),
        Column("neuron_r", "neuron", 2),
        Column("untrained_r", "untrained", 2),
        Column("level", "level"),
    ]
    return {".tex": booktabs(frame, columns, caption=_DOMAINS, label="tab:domains")}


def _firing_rates(tables: Tables, tau: float | None) -> dict[str, bytes | str | pd.DataFrame]:
    from universality.exhibits.dictionaries import firing_rates_figure
    from universality.exhibits.paper import to_pdf

    frame = frames.firing_rates(tables["features"])
    return {".pdf": to_pdf(firing_rates_figure(frame)), ".csv": frame}


def _models_tex(tables: Tables, tau: float | None) -> dict[str, bytes | str | pd.DataFrame]:
    if "fvu" not in tables["models"]:  # activations came without their dictionaries
        return {}
    frame = frames.dictionary_frame(tables["models"])
    columns = [
        Column("model", "model"),
        Column("role", "role"),
        Column("architecture", "architecture"),
        Column("d_sae", "latents"),
        Column("sparsity", "sparsity"),
        Column("fvu", "FVU", 3),
        Column("l0", "L0", 1),
        Column("ce_recovered", "CE rec.", 2),
        Column("n_alive", "alive"),
        Column("n_dense", "dense"),
        Column("heldout_loss", "loss", 2),
    ]
    return {".tex": booktabs(frame, columns, caption=_MODELS, label="tab:models")}


def _frontier(tables: Tables, tau: float | None) -> dict[str, bytes | str | pd.DataFrame]:
    from universality.exhibits.paper import to_pdf
    from universality.exhibits.sweeps import frontier_figure

    points = frames.sweep_points(tables["sweeps"])
    return {".pdf": to_pdf(frontier_figure(points, tables["sweeps"])), ".csv": points}


def _sweeps_tex(tables: Tables, tau: float | None) -> dict[str, bytes | str | pd.DataFrame]:
    points = frames.sweep_points(tables["sweeps"])
    points["best"] = points["frontier"].map({True: "yes", False: ""})
    columns = [
        Column("architecture", "architecture"),
        Column("d_sae", "latents"),
        Column("sparsity", "sparsity"),
        Column("n_seeds", "seeds"),
        Column("l0", "L0", 1),
        Column("fvu", "FVU", 3),
        Column("ce_recovered", "CE rec.", 2),
        Column("dead_fraction", "dead", 2),
        Column("seed_cosine", "cosine", 2),
        Column("best", "frontier"),
    ]
    return {".tex": booktabs(points, columns, caption=_SWEEPS, label="tab:sweeps")}


def _interval(low: float, high: float) -> str | None:
    return None if pd.isna(low) or pd.isna(high) else f"{low:.2f} to {high:.2f}"


_HEADLINE = (
    "Correlation of assigned pairs across models, median over pairs, on held-out documents. Chance is the 95th "
    "percentile of the maximum over candidates under shifted documents; n counts pairs, for chance null values."
)
_DOMAINS = (
    "Best latent of each model per domain, median over models, on held-out documents: how well it tells the domain, "
    "its correlation r with its partner in another model, the same with token and position means removed, the nearest "
    "neuron, and the same in untrained models."
)
_MODELS = (
    "Dictionaries and their models. FVU: fraction of variance unexplained, L0: active latents per token, CE rec.: "
    "share of the loss between zeros and the clean activations that the reconstruction recovers, all on held-out "
    "documents; loss: held-out cross-entropy of the transformer, nats per token."
)
_SWEEPS = (
    "Dictionaries of one model by setting, means over SAE seeds on held-out documents. FVU: fraction of variance "
    "unexplained, L0: active latents per token, CE rec.: share of the loss between zeros and the clean activations "
    "that the reconstruction recovers, cosine: mean over latents of the largest decoder cosine to another seed's, "
    "frontier: no other setting is sparser and explains more."
)

EXHIBITS: tuple[Exhibit, ...] = (
    Exhibit("tables/headline", ("headline",), _HEADLINE, _headline_tex),
    Exhibit("tables/models", ("models",), _MODELS, _models_tex),
    Exhibit("tables/domains", ("domains",), _DOMAINS, _domains_tex),
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
        ("tau_curve", "pairs", "models", "baselines"),
        "Left: share of alive features that are universal, shared or specific, by the finest level that survives, over "
        "the threshold tau. Right: median held-out r of every two models; the diagonal is the same-model ceiling.",
        _classes,
    ),
    Exhibit(
        "figures/firing_rates",
        ("features",),
        "How often latents fire: share of each model's latents over the share of tokens on which they do.",
        _firing_rates,
    ),
    Exhibit("tables/sweeps", ("sweeps",), _SWEEPS, _sweeps_tex),
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
