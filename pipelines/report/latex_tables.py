"""LaTeX tables of a report."""

from __future__ import annotations

import pandas as pd

from pipelines.report.exhibit import Contents, Exhibit, Page, Tables
from universality.exhibits import frames
from universality.exhibits.latex import Column, booktabs

#: Pairs of models listed one by one in the headline table, at most.
MAX_PAIRS_LISTED = 10


def _headline(tables: Tables, page: Page) -> Contents:
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


def _domains(tables: Tables, page: Page) -> Contents:
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


def _models(tables: Tables, page: Page) -> Contents:
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


def _sweeps(tables: Tables, page: Page) -> Contents:
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

LATEX_TABLES: tuple[Exhibit, ...] = (
    Exhibit("tables/headline", ("headline",), _HEADLINE, _headline),
    Exhibit("tables/models", ("models",), _MODELS, _models),
    Exhibit("tables/domains", ("domains",), _DOMAINS, _domains),
    Exhibit("tables/sweeps", ("sweeps",), _SWEEPS, _sweeps),
)
