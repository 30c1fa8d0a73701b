"""Tidy frames behind the figures and tables of a run: of findings, dictionaries, firing rates and the text."""

import re
import shlex
from collections.abc import Sequence

import numpy as np
import pandas as pd

from results.cautions import few_sources
from results.colours import VERDICT_COLOURS
from results.schema_figures import FIGURES, MEDIANS
from results.words import LEVELS, PARTS, called
from universality.sae.architectures import ARCHITECTURES


def agreement_parts(agreement: pd.DataFrame) -> pd.DataFrame:
    """What the summed r of edges is made of, from the table ``agreement``: columns of figure "agreement".

    Trained models, two dictionaries of one model, untrained models, in this order; kinds without edges have no rows.
    """
    overall = agreement[agreement["pair"] == "overall"].set_index("kind")
    kinds = [kind for kind in ("features", "ceiling", "untrained") if kind in overall.index]
    rows = [
        (
            kind,
            part,
            float(overall.loc[[kind], f"from_{part}"].iloc[0]),
            int(overall.loc[[kind], "n_edges"].iloc[0]),
        )
        for kind in kinds
        for part in PARTS
        if overall.loc[[kind], f"from_{part}"].notna().all()
    ]
    return pd.DataFrame(rows, columns=FIGURES["agreement"].names)


def space_frame(spaces: pd.DataFrame) -> pd.DataFrame:
    """Kinds of coordinates beside each other, in the order of the table ``spaces``: columns of figure "spaces"."""
    return spaces[FIGURES["spaces"].names].reset_index(drop=True)


#: Beside the name of a domain that few sources stand behind.
FEW_MARK = "†"


def index_frame(indices: pd.DataFrame) -> pd.DataFrame:
    """Every index of the table once: the value over all models where there is one, else the mean over their pairs.

    Returns:
        name, pairs (how many; 0 for a value over all models), value, chance, low, high, ceiling, floor. Low and high
        are the interval of a value over all models, else the range over pairs; ceiling is the mean over pairs of two
        dictionaries of one model, floor that over untrained models: over two of them, or, of what only dictionaries of
        one model have (indices of weights), over two dictionaries of one. Missing without such pairs; where no two
        compared dictionaries have the index, pairs and chance are those of the ceiling. In the order of the table.
    """
    rows = []
    for name, of_index in indices.groupby("name", sort=False):
        kinds = {str(kind): _of_kind(rows) for kind, rows in of_index.groupby("kind")}
        ceiling = kinds.get("ceiling")
        floor = kinds.get("untrained", kinds.get("untrained_ceiling"))
        value = kinds.get("features")
        if value is None and ceiling is not None:
            value = ceiling.drop(["value", "low", "high"]).reindex(ceiling.index)
        if value is not None:
            rows.append((name, *value, *(np.nan if of is None else of["value"] for of in (ceiling, floor))))
    frame = pd.DataFrame(rows, columns=["name", "pairs", "value", "chance", "low", "high", "ceiling", "floor"])
    return frame.astype({"pairs": "int64"})


def _of_kind(rows: pd.DataFrame) -> pd.Series:
    """pairs, value, chance, low, high: of all pairs of a kind together, or else means and the range over them."""
    together = rows[~rows["pair"].str.contains("-")]
    if len(together):
        return pd.Series({"pairs": 0, **together.iloc[0][["value", "chance", "low", "high"]]})
    value = rows["value"]
    ends = {"low": value.min(), "high": value.max()}
    return pd.Series({"pairs": len(rows), "value": value.mean(), "chance": rows["chance"].mean(), **ends})


def verdict_frame(features: pd.DataFrame) -> pd.DataFrame:
    """Specific features of the table ``features`` by the reason that holds for them, per model and together.

    Returns:
        verdict, one column of counts per model, n, share (of all specific features, 0..1); in the order in which
        reasons are tested, those that never hold left out.
    """
    specific = features.loc[features["class"] == "specific"]
    models = list(dict.fromkeys(features["model"].astype(str)))
    verdict = specific["verdict"].astype(object).where(specific["verdict"].notna(), "untested")
    counts = pd.crosstab(verdict, specific["model"].astype(object)).reindex(columns=models, fill_value=0)
    order = [name for name in VERDICT_COLOURS if name in counts.index]
    frame = counts.loc[[*order, *[name for name in counts.index if name not in order]]]
    n = frame.sum(axis=1)
    frame = frame.assign(n=n, share=n / max(int(n.sum()), 1))
    return frame.rename_axis("verdict").rename_axis(None, axis=1).reset_index()


def domain_frame(domains: pd.DataFrame) -> pd.DataFrame:
    """One row per domain of the table ``domains``: how well its best latents know it, and whether models share them.

    Returns:
        Columns of figure "domains"; domains by falling r, those of few sources last.
    """
    columns = FIGURES["domains"].names
    if domains.empty:
        return pd.DataFrame(columns=columns)
    middle = [of.name for of in MEDIANS]
    numbers = domains[middle].apply(pd.to_numeric, errors="coerce").astype(float)
    groups = domains.assign(**{name: numbers[name] for name in middle}).groupby("domain", observed=True)
    frame = groups[middle].median()
    frame["n_models"] = groups["model"].nunique()
    frame["n_rows"] = groups["n_rows"].max()
    frame["n_sources"] = groups["n_sources"].max() if "n_sources" in domains else pd.NA
    frame["n_sources"] = frame["n_sources"].astype("Int64")
    frame["r_low"], frame["r_high"] = groups["r"].min(), groups["r"].max()
    frame["level"] = groups["level"].agg(_most_frequent)
    frame["few"] = few_sources(frame)
    frame = frame.reset_index().sort_values(["few", "r"], ascending=[True, False], kind="stable")
    return frame[columns].reset_index(drop=True)


def domain_labels(domains: pd.DataFrame) -> list[str]:
    """Names of the domains of :func:`domain_frame`; :data:`FEW_MARK` follows those of few sources."""
    marks = few_sources(domains).map({True: f" {FEW_MARK}", False: ""})
    return (domains["domain"].astype(str).map(called) + marks).tolist()


def _most_frequent(values: pd.Series) -> str:
    counts = values.dropna().astype(str).value_counts()
    return str(sorted(counts[counts == counts.max()].index)[0]) if len(counts) else ""


def joined_models(models: Sequence[str]) -> str:
    """Names of models in one text, those with white space or quotes in quotes; :func:`models_of` takes it apart."""
    return " ".join(name if re.fullmatch(r"[^\s'\"\\]+", name) else shlex.quote(name) for name in models)


def models_of(text: str) -> list[str]:
    """The names that :func:`joined_models` put together."""
    return shlex.split(text)


def membership(features: pd.DataFrame) -> pd.DataFrame:
    """Clusters of the table ``features`` by the set of models that they reach.

    Returns:
        Columns of figure "membership", models of a set in the table's order; sets of more models first, then those of
        more clusters. Features without a partner are clusters of one.
    """
    alive = features.loc[(features["status"] == "alive") & features["cluster"].notna(), ["cluster", "model"]]
    order = {model: place for place, model in enumerate(dict.fromkeys(features["model"].astype(str)))}
    sets = alive.groupby("cluster")["model"].agg(
        lambda models: joined_models(sorted({str(m) for m in models}, key=order.__getitem__))
    )
    sizes = alive.groupby("cluster").size()
    by_set = pd.DataFrame({"models": sets.astype(object), "n": sizes}).groupby("models")["n"]
    frame = by_set.agg(n_clusters="size", n_features="sum").reset_index()
    n_models = [len(models_of(str(models))) for models in frame["models"]]
    frame.insert(1, "n_models", np.asarray(n_models, dtype="int64"))
    keys = ["n_models", "n_clusters", "models"]
    return frame.sort_values(keys, ascending=[False, False, True], ignore_index=True)


def firing_rates(features: pd.DataFrame, *, per_decade: int = 4) -> pd.DataFrame:
    """Histogram of firing rates per model, in bins of equal width on a logarithmic axis.

    Args:
        features: table ``features``.
        per_decade: bins per factor of ten.

    Returns:
        Columns of figure "firing_rates": half-open bins up to 1 (which the last one includes), the same for all models,
        and before them a bin from 0 to 0 of latents that never fire.
    """
    rate = features["firing_rate"].to_numpy(float)
    lowest = min(-1, int(np.floor(np.log10(rate[rate > 0].min(initial=1.0)) * per_decade)))
    edges = 10.0 ** (np.arange(lowest, 1) / per_decade)
    parts = []
    for model, of_model in features.groupby("model", sort=False)["firing_rate"]:
        rates = of_model.to_numpy(float)
        # The lowest edge is rounded, and must not lose the rate that it was made from.
        n = np.append((rates == 0).sum(), np.histogram(rates[rates > 0].clip(edges[0]), edges)[0])
        bins = {"left": np.append(0.0, edges[:-1]), "right": np.append(0.0, edges[1:])}
        parts.append(pd.DataFrame({"model": model, **bins, "n": n, "fraction": n / max(len(rates), 1)}))
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=FIGURES["firing_rates"].names)


#: Columns of the table ``models`` that papers list.
LISTED = ("model", "role", "architecture", "d_sae", "sparsity", "fvu", "l0", "ce_recovered", "n_alive", "n_dense",
          "heldout_loss")  # fmt: skip


def dictionary_frame(models: pd.DataFrame) -> pd.DataFrame:
    """One row per dictionary, with those columns of the table ``models`` that papers list (:data:`LISTED`)."""
    # Runs of earlier versions lack some.
    return models.reindex(columns=list(LISTED)).reset_index(drop=True)


def sweep_points(sweeps: pd.DataFrame) -> pd.DataFrame:
    """One row per point of a sweep: means over the seeds that ended well.

    Args:
        sweeps: rows of one sweep in the table ``sweeps``.

    Returns:
        Columns of figure "frontier"; in the order of the sweep. Numbers of a point without such a seed are NaN.
    """
    measured = ["l0", "fvu", "ce_recovered", "kl_recovered", "dead_fraction", "n_dense"]
    fixed = ["architecture", "d_sae", "sparsity", "seed_cosine", "frontier"]
    good = sweeps["status"] == "ok"
    values = sweeps[measured].astype(float).where(good).assign(point=sweeps["point"], n_seeds=good)
    means = values.groupby("point", sort=False).agg({**dict.fromkeys(measured, "mean"), "n_seeds": "sum"})
    frame = sweeps.groupby("point", sort=False)[fixed].first().join(means).reset_index()
    labels = {name: kind.label for name, kind in ARCHITECTURES.items()}
    series = frame["architecture"].astype(str).replace(labels) + ", " + frame["d_sae"].map("{:,}".format) + " latents"
    return frame.assign(series=series)[FIGURES["frontier"].names]


def r_by_rate(pairs: pd.DataFrame, features: pd.DataFrame, *, per_decade: int = 8, step: float = 0.04) -> pd.DataFrame:
    """Assigned pairs by firing rate and held-out r; each counts for both of its latents.

    Args:
        pairs: table ``pairs``.
        features: table ``features``.
        per_decade: bins of the firing rate per factor of ten.
        step: width of the bins of r.

    Returns:
        Columns of figure "r_by_rate": half-open bins that hold anything, in the order of left and bottom.
    """
    rates = features.set_index(["model", "latent"])["firing_rate"]
    parts = []
    for side in "ab":
        keys = pd.MultiIndex.from_frame(pairs[[f"model_{side}", f"latent_{side}"]])
        parts.append(pd.DataFrame({"rate": rates.reindex(keys).to_numpy(float), "r": pairs["r_held_out"].to_numpy()}))
    both = pd.concat(parts, ignore_index=True).dropna()
    both = both[both["rate"] > 0]
    across = np.floor(np.log10(both["rate"]) * per_decade + 1e-9).clip(upper=-1).astype("int64")
    up = np.floor(both["r"] / step + 1e-9).clip(upper=round(1 / step) - 1).astype("int64")
    counts = pd.DataFrame({"across": across, "up": up}).groupby(["across", "up"]).size()
    place = counts.index.to_frame(index=False) if len(counts) else pd.DataFrame({"across": [], "up": []})
    return pd.DataFrame(
        {
            "left": 10.0 ** (place["across"] / per_decade),
            "right": 10.0 ** ((place["across"] + 1) / per_decade),
            "bottom": (place["up"] * step).round(9),
            "top": ((place["up"] + 1) * step).round(9),
            "n": counts.to_numpy(),
        }
    )


def median_by_rate(bins: pd.DataFrame) -> pd.DataFrame:
    """Median r per bin of the firing rate, interpolated within its bin of r.

    Returns:
        Columns of figure "r_by_rate.median"; bins of fewer than 5 are left out.
    """
    rows = []
    for _, column in bins.groupby("left"):
        n = int(column["n"].sum())
        if n >= 5:
            ordered = column.sort_values("bottom")
            reached = ordered["n"].cumsum().to_numpy()
            at = int(np.searchsorted(reached, n / 2))
            before = reached[at - 1] if at else 0
            inside = (n / 2 - before) / ordered["n"].iloc[at]
            low, high = ordered["bottom"].iloc[at], ordered["top"].iloc[at]
            rows.append((np.sqrt(column["left"].iloc[0] * column["right"].iloc[0]), low + inside * (high - low), n))
    return pd.DataFrame(rows, columns=["rate", "r", "n"])


def level_shares(indices: pd.DataFrame) -> pd.DataFrame:
    """Features with a partner by level, between models, in one, and between untrained ones, from the table ``indices``.

    Returns:
        Columns of figure "levels"; of every kind all levels together first, then from the finest on.
    """
    shares = indices[indices["name"].str.startswith("shared_fraction")]
    rows = []
    for kind in ("features", "ceiling", "untrained", "untrained_ceiling"):
        of_kind = shares[shares["kind"] == kind]
        for level in ("any", *LEVELS):
            own = of_kind[of_kind["name"] == ("shared_fraction" if level == "any" else f"shared_fraction_{level}")]
            if len(own):
                n, value, chance, low, high = _of_kind(own)
                ends = (np.nan, np.nan) if n else (low, high)  # a range over pairs is no interval
                rows.append((kind, level, value, *ends, chance))
    return pd.DataFrame(rows, columns=FIGURES["levels"].names)


#: Part of the text -> parts of the table ``documents`` that it is made of.
TEXT_PARTS = {"training": ("sae_a", "sae_b"), "fit": ("fit",), "score": ("score",)}


def domain_sources(documents: pd.DataFrame) -> pd.DataFrame:
    """Documents, sources and tokens of every domain by part of the text, from the table ``documents``.

    Returns:
        Columns of figure "sources"; domains of most score sources first, zeros included.
    """
    domains = sorted(documents["domain"].astype(str).unique())
    rows = []
    for part, names in TEXT_PARTS.items():
        of_part = documents[documents["part"].isin(names)]
        for domain in domains:
            of = of_part[of_part["domain"] == domain]
            rows.append((domain, part, len(of), of["source_group"].nunique(), int(of["n_tokens"].sum())))
    frame = pd.DataFrame(rows, columns=FIGURES["sources"].names)
    n = frame[frame["part"] == "score"].set_index("domain")["n_sources"]
    ordered = frame.assign(n=frame["domain"].map(n)).sort_values(
        ["n", "domain"], ascending=[False, True], kind="stable"
    )
    return ordered.drop(columns="n").reset_index(drop=True)
