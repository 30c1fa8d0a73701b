"""What the lists and the search of an atlas know of every feature, cluster and pair: columns, loaded whole."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from results import words
from results.atlas.shards import Numbers, plain_column, text_column
from results.cluster_lists import listed_clusters
from results.ids import feature_ids
from results.label_frames import labelled_clusters, labelled_features
from results.stored_comparison import StoredComparison

#: Tokens at which a feature's strongest contexts peak by which it is found.
PEAKS = 4
#: Columns of a pair, in the order of its row in the details of both sides; numbers of significant digits.
PAIR_NUMBERS = {
    "r_held_out": 3, "r_low": 3, "r_high": 3, "q": 2, "r_joint": 3, "r_joint_low": 3, "r_joint_high": 3, "r_token": 3,
    "margin": 3, "r_effect_both": 3, "r_effect_both_low": 3, "r_effect_both_high": 3, "level_probability": 2,
}  # fmt: skip


class Codes:
    """Numbers for the values of every kind of word, so that a column holds no word twice.

    Attributes:
        domains: names, in the order of the evaluation text.
        kinds: of labels.
    """

    def __init__(self, stored: StoredComparison, domains: Sequence[str]) -> None:
        self.domains, self.kinds = Numbers(domains), Numbers()
        self.fixed = {
            "status": Numbers(["alive", *words.LATENTS]),
            "class": Numbers(words.CLASSES),
            "level": Numbers(words.LEVELS),
            "group": Numbers(words.GROUPS),
            "verdict": Numbers(words.VERDICTS),
            "effect": Numbers(words.EFFECT_CLASSES),
        }
        self.models = Numbers(stored.models())

    def words(self) -> dict[str, list[str]]:
        """The words of every kind by number."""
        names = {name: numbers.names for name, numbers in self.fixed.items()}
        return {**names, "domain": self.domains.names, "kind": self.kinds.names, "model": self.models.names}

    def column(self, frame: pd.DataFrame, column: str, kind: str | None = None) -> list[int | None]:
        """The numbers of a column of words, None where one is missing; all None where the table has none."""
        numbers = {**self.fixed, "domain": self.domains, "kind": self.kinds, "model": self.models}[kind or column]
        return numbers.column(frame.get(column), len(frame))


def feature_columns(
    stored: StoredComparison, features: pd.DataFrame, codes: Codes, peaks: Mapping[str, Counter[int]]
) -> dict[str, Any]:
    """Of every latent of the compared models, in their order: what lists show and the search looks at.

    Args:
        stored: the comparison.
        features: its table ``features``, sorted by model and latent.
        codes: numbers of words.
        peaks: numbers of the texts at which the strongest contexts of a feature peak, by its id.

    Returns:
        Columns of equal length. ``model`` and ``latent`` hold differences to the row before.
    """
    ids = feature_ids(features)
    labels = labelled_features(stored).reindex(ids.to_numpy())
    return {
        "model": _steps(codes.column(features, "model")),
        "latent": _steps(features["latent"].tolist()),
        "cluster": plain_column(features, "cluster", 12),
        **{name: codes.column(features, name) for name in ("status", "class", "level", "group")},
        "domain": codes.column(features, "top_domain", "domain"),
        "label": text_column(labels, "label"),
        "kind": codes.column(labels, "kind"),
        **{name: plain_column(labels, name, 2) for name in ("r", "r_untrained")},
        "peaks": [[text for text, _ in peaks[name].most_common(PEAKS)] if name in peaks else [] for name in ids],
    }


def cluster_columns(stored: StoredComparison, codes: Codes) -> dict[str, Any]:
    """Of every cluster, by its number: what it is, its label, and how much its members agree."""
    clusters = listed_clusters(stored).sort_values("cluster")
    labels = labelled_clusters(stored).reindex(clusters["cluster"].to_numpy())
    return {
        "cluster": _steps(clusters["cluster"].tolist()),
        **{name: codes.column(clusters, name) for name in ("class", "level", "domain")},
        "kind": codes.column(clusters, "label_kind", "kind"),
        "label": text_column(clusters, "label"),
        **{name: plain_column(clusters, name) for name in ("n_models", "completeness", "cohesion", "r_joint")},
        **{name: plain_column(labels, name, 2) for name in ("r", "r_least", "n_explained")},
    }


def pair_columns(pairs: pd.DataFrame, codes: Codes, place: Mapping[str, int]) -> dict[str, Any]:
    """Of every assigned pair (:func:`results.pair_lists.listed_pairs`), the strongest first.

    Args:
        pairs: the pairs.
        codes: numbers of words.
        place: of every feature among :func:`feature_columns`, by its id.
    """
    return {
        **{side: [place[name] for name in feature_ids(pairs, side)] for side in "ab"},
        "r": plain_column(pairs, "r_held_out"),
        "level": codes.column(pairs, "level"),
        "edge": pairs["edge"].astype(int).tolist() if "edge" in pairs else [None] * len(pairs),
    }


def _steps(numbers: Sequence[int | None]) -> list[int]:
    return np.diff(np.array(numbers, dtype=np.int64), prepend=0).tolist()
