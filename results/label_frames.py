"""Labels by rule: of a feature or a cluster, and how far rules go in compared and in untrained models."""

from __future__ import annotations

from collections.abc import Collection

import pandas as pd

from results.ids import feature_ids
from results.remembering import remembered
from results.stored_comparison import StoredComparison
from results.words import LABEL_FAMILIES, number, share
from universality.labels.views import LEAST_R

#: In the place of a family: no rule says enough.
NO_RULE = "no rule"
_COLUMNS = ["family", "label", "explained", "r", "r_untrained", "n_parts", "promotes"]


@remembered()
def labelled_features(stored: StoredComparison) -> pd.DataFrame:
    """Labels of every feature of the compared models, by its id ("m0:12"); no rows where the run has none.

    Columns of the table ``labels`` without its key, and ``kind``: the family in words, or :data:`NO_RULE`.
    """
    labels = stored.optional("labels")
    if labels is None:
        return pd.DataFrame(columns=[*_COLUMNS, "kind"])
    own = labels[labels["model"].isin(stored.models()).to_numpy()]
    kind = own["family"].map(LABEL_FAMILIES).where(own["explained"], NO_RULE)
    return own[_COLUMNS].assign(kind=kind).set_index(pd.Index(feature_ids(own)))


@remembered()
def labelled_clusters(stored: StoredComparison) -> pd.DataFrame:
    """The table ``cluster_labels`` by cluster, ``kind`` as in :func:`labelled_features`; no rows without any."""
    labels = stored.optional("cluster_labels")
    if labels is None:
        return pd.DataFrame(columns=["label", "r", "r_least", "n_members", "n_models", "n_explained", "kind"])
    kind = labels["family"].map(LABEL_FAMILIES).where(labels["n_explained"] > 0, NO_RULE)
    return labels.assign(kind=kind).set_index("cluster")


def with_labels(stored: StoredComparison, frame: pd.DataFrame, ids: pd.Series, suffix: str = "") -> pd.DataFrame:
    """A frame with ``label`` and ``label_kind`` of the features ``ids``, one per row; missing where there are none."""
    labels = labelled_features(stored).reindex(ids.to_numpy())
    return frame.assign(
        **{f"label{suffix}": labels["label"].to_numpy(), f"label_kind{suffix}": labels["kind"].to_numpy()}
    )


def kinds_in(kinds: pd.Series) -> list[str]:
    """The kinds of labels that occur, what no rule explains first."""
    present = set(kinds.dropna())
    return [kind for kind in (NO_RULE, *LABEL_FAMILIES.values()) if kind in present]


def label_summary(labels: pd.DataFrame, compared: Collection[str]) -> pd.DataFrame:
    """How far rules go, over all features and by family, the most frequent first.

    Args:
        labels: the run's table ``labels``.
        compared: ids of its compared models; the others are untrained.

    Returns:
        ``kind`` (the family in words, "all", or :data:`NO_RULE`); of compared models ``n`` features, ``share`` of
        all, ``r`` (median on score rows) and ``r_untrained`` (median of what the same rules foretell of untrained
        models); of these models' own rules ``n_floor``, ``share_floor``, ``r_floor``. Medians are missing where there
        is no feature, floors where no model is untrained.
    """
    floor = ~labels["model"].isin(list(compared)).to_numpy()
    kind = labels["family"].map(LABEL_FAMILIES).where(labels["explained"], NO_RULE)
    names = kind[~floor].value_counts().index.tolist()
    order = [*[name for name in names if name != NO_RULE], *sorted(set(kind[floor]) - {*names, NO_RULE}), NO_RULE]
    rows = []
    for name in ["all", *order]:
        of = (kind == name).to_numpy() | (name == "all")
        own, its = labels[of & ~floor], labels[of & floor]
        rows.append(
            {
                "kind": name, "n": len(own), "share": len(own) / max((~floor).sum(), 1),
                "r": own["r"].median(), "r_untrained": own["r_untrained"].median(), "n_floor": len(its),
                "share_floor": len(its) / floor.sum() if floor.any() else float("nan"), "r_floor": its["r"].median(),
            }
        )  # fmt: skip
    return pd.DataFrame(rows)


def label_sentence(labels: pd.DataFrame | None, compared: Collection[str]) -> str:
    """How much of features rules of the text say, beside untrained models; empty where the run has no labels.

    Args:
        labels, compared: as for :func:`label_summary`.
    """
    if labels is None or labels.empty:
        return ""
    by_kind = {row["kind"]: row for row in label_summary(labels, compared).to_dict("records")}
    of, none = by_kind["all"], by_kind[NO_RULE]
    floor = f"; of features of untrained models {number(of['r_floor'])}" if none["n_floor"] else ""
    same = (
        f", and the same rules latents of these at {number(of['r_untrained'])}" if pd.notna(of["r_untrained"]) else ""
    )
    rest = f" {share(none['share'])} follow no rule at r = {LEAST_R:g}"
    beside = f" (untrained models {share(none['share_floor'])})" if none["n_floor"] else ""
    return (
        "Rules of the text (a token, a domain, a pair of tokens and the like), one for each feature, foretell features "
        f"on rows that taught them nothing at a median r of {number(of['r'])}{floor}{same}.{rest}{beside}."
    )
