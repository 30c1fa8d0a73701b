"""Tables of a report for readers."""

from __future__ import annotations

import pandas as pd

from pipelines.report.exhibit import Contents, Exhibit, Listing, Page, Tables
from pipelines.report.latex import Column
from results import dictionary_frames, finding_frames
from results.headline import headline_frame

#: Models with a column of their own, at most; clusters listed.
MAX_MODELS_LISTED, CLUSTERS_LISTED = 8, 12
#: Pairs of models listed one by one in the headline table, at most.
MAX_PAIRS_LISTED = 10


def _headline(tables: Tables, page: Page) -> Contents:
    frame = headline_frame(tables["headline"])
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
    return {"": Listing(rows, columns, "tab:headline", groups)}


def _domains(tables: Tables, page: Page) -> Contents:
    frame = finding_frames.domain_frame(tables["domains"])
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
    return {"": Listing(frame, columns, "tab:domains")}


def _models(tables: Tables, page: Page) -> Contents:
    if "fvu" not in tables["models"]:  # activations came without their dictionaries
        return {}
    frame = dictionary_frames.dictionary_frame(tables["models"])
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
    return {"": Listing(frame, columns, "tab:models")}


def _sweeps(tables: Tables, page: Page) -> Contents:
    points = dictionary_frames.sweep_points(tables["sweeps"])
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
    return {"": Listing(points, columns, "tab:sweeps")}


def _interval(low: float, high: float) -> str | None:
    return None if pd.isna(low) or pd.isna(high) else f"{low:.2f} to {high:.2f}"


def _indices(tables: Tables, page: Page) -> Contents:
    models = [str(model) for model in tables["features"]["model"].drop_duplicates()]
    frame = finding_frames.index_frame(tables["indices"], models)
    frame["over"] = [f"{n} pairs" if n else "all models" for n in frame["pairs"]]
    frame["interval"] = [_interval(low, high) for low, high in zip(frame["low"], frame["high"], strict=True)]
    columns = [
        Column("name", "index"),
        Column("over", "over"),
        Column("value", "value", 2),
        Column("interval", "interval or range"),
        Column("chance", "chance", 2),
        Column("floor", "untrained", 2),
        Column("ceiling", "ceiling", 2),
    ]
    return {"": Listing(frame, columns, "tab:indices")}


def _verdicts(tables: Tables, page: Page) -> Contents:
    frame = finding_frames.verdict_frame(tables["features"])
    models = [name for name in frame.columns if name not in ("verdict", "n", "share")]
    frame["percent"] = 100 * frame["share"]
    shown = models if len(models) <= MAX_MODELS_LISTED else []
    columns = [
        Column("verdict", "reason"),
        *[Column(name, name) for name in shown],
        Column("n", "all"),
        Column("percent", "percent", 1),
    ]
    return {"": Listing(frame, columns, "tab:verdicts")}


def _clusters(tables: Tables, page: Page) -> Contents:
    from pipelines.report.evidence import clusters_to_show

    if page.evidence is None:
        return {}
    chosen = clusters_to_show(tables["clusters"], tables["features"], CLUSTERS_LISTED)
    domain = tables["features"].dropna(subset=["cluster"]).groupby("cluster")["top_domain"].first()
    lines = [page.evidence.strongest(row) for _, row in chosen.iterrows()]
    frame = pd.DataFrame(lines, columns=["before", "token", "after"]).assign(
        cluster=chosen["cluster"].to_numpy(),
        level=chosen["level"].to_numpy(),
        cohesion=chosen["cohesion"].to_numpy(float),
        domain=chosen["cluster"].map(domain).fillna("").to_numpy(),
    )
    columns = [
        Column("cluster", "cluster"),
        Column("level", "level"),
        Column("cohesion", "cohesion", 2),
        Column("domain", "domain"),
        Column("before", "text before", token=True),
        Column("token", "strongest at", token=True),
        Column("after", "after", token=True),
    ]
    return {"": Listing(frame, columns, "tab:clusters")}


def _pinned(tables: Tables, page: Page) -> Contents:
    frame = tables["pinned"]
    names = {
        side: frame[f"model_{side}"].astype(str) + ":" + frame[f"latent_{side}"].astype(str) for side in "ab"
    }
    frame = frame.assign(a=names["a"], b=names["b"])
    frame["interval"] = [
        _interval(low, high) for low, high in zip(frame["r_low"], frame["r_high"], strict=True)
    ]
    columns = [
        Column("a", "latent"),
        Column("b", "partner"),
        Column("r_held_out", "r", 2),
        Column("interval", "95 % interval"),
        Column("q", "q", 4),
        Column("r_token", "r token", 2),
        Column("margin_a", "margin", 2),
        Column("margin_b", "of partner", 2),
        Column("level", "level"),
    ]
    return {"": Listing(frame, columns, "tab:pinned")}


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
_INDICES = (
    "Published and own indices of similarity beside their chance levels. Over all models at once where the index has "
    "such a value, with its 95 % interval; else the median over pairs of models (directed indices count either "
    "direction) with the range over pairs. Untrained: the same of untrained models; ceiling: of two dictionaries of "
    "one model."
)
_VERDICTS = "Features without a partner in any other model, by the first reason that holds for them."
_CLUSTERS = (
    "Universal clusters, the most cohesive of every level and of different domains, at the token on which all their "
    "features together are strongest. Cohesion: mean held-out r of members of different models."
)
_PINNED = (
    "Chosen pairs of latents: held-out r, its false-discovery rate q against the maximum over candidates, r with "
    "token and position means removed, and the margin to the best alternative from either side."
)
_SWEEPS = (
    "Dictionaries of one model by setting, means over SAE seeds on held-out documents. FVU: fraction of variance "
    "unexplained, L0: active latents per token, CE rec.: share of the loss between zeros and the clean activations "
    "that the reconstruction recovers, cosine: mean over latents of the largest decoder cosine to another seed's, "
    "frontier: no other setting is sparser and explains more."
)

READING_TABLES: tuple[Exhibit, ...] = (
    Exhibit("tables/headline", ("headline",), _HEADLINE, _headline),
    Exhibit("tables/models", ("models",), _MODELS, _models),
    Exhibit("tables/domains", ("domains",), _DOMAINS, _domains),
    Exhibit("tables/indices", ("indices", "features"), _INDICES, _indices),
    Exhibit("tables/clusters", ("clusters", "features"), _CLUSTERS, _clusters),
    Exhibit("tables/verdicts", ("features",), _VERDICTS, _verdicts),
    Exhibit("tables/pinned", ("pinned",), _PINNED, _pinned),
    Exhibit("tables/sweeps", ("sweeps",), _SWEEPS, _sweeps),
)
