"""Frames behind the map and the graph: what stands where, and which colour it has."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
import pandas as pd

from results import words
from results.cluster_lists import listed_clusters
from results.colours import CLASS_COLOURS, GREY, LEVEL_COLOURS, NO_PARTNER_COLOUR, OKABE_ITO, model_colours
from results.export import graphml, named_graph
from results.ids import feature_ids
from results.label_frames import with_labels
from results.pair_lists import listed_pairs
from results.remembering import remembered
from results.stored_comparison import StoredComparison

#: Points that are drawn at once; of more a sample is.
MAX_POINTS = 10_000
#: Clusters that are drawn at once, those in most models first.
MAX_NODES = 3_000
NO_PARTNER = "no partner"
#: From the rarest to the most frequent fifth; one scale that reads on light and on dark.
RATE_COLOURS = ("#7B6FD0", "#4C8FC4", "#1FA187", "#7AC143", "#E0A800")
#: There are not more colours that everybody can tell apart; further domains have them again, in other shapes.
_DOMAIN_CYCLE = ("blue", "vermillion", "green", "purple", "orange", "sky", "yellow")
_SHAPES = ("circle", "triangle", "diamond", "rect")
#: Points of one kind are together that are joined by steps of at most this share of the plane's diagonal, and so many
#: of them, or this share of all points, have a name.
_STEP, _LEAST, _LEAST_SHARE = 0.035, 4, 0.006


@dataclass(frozen=True)
class ColourGroup:
    """Points of one colour.

    Attributes:
        name: what they have in common, as the legend says it.
        colour: ``#RRGGBB``.
        members: (n,) bool, which rows of the frame.
        shape: circle, triangle, diamond or rect.
    """

    name: str
    colour: str
    members: np.ndarray
    shape: str = "circle"


@dataclass(frozen=True)
class Island:
    """Points of one kind that lie together: what they are about, their middle, and how many they are."""

    name: str
    x: float
    y: float
    n: int


@remembered()
def placed_features(stored: StoredComparison) -> pd.DataFrame:
    """Every alive feature that has a place on the map.

    Columns of table ``features``, and ``id``, ``x``, ``y``, ``domain`` (of its strongest activations), ``label`` (by
    rule) and ``pair`` (id of its pair with the highest held-out r; missing where it has none).

    Raises:
        TableMissing: the run has no positions.
    """
    features, places = stored.table("features"), stored.table("positions")
    frame = places.merge(features, on=["model", "latent"], how="left", validate="one_to_one")
    frame["id"] = feature_ids(frame)
    frame["domain"] = frame["top_domain"] if "top_domain" in frame.columns else None
    pairs = listed_pairs(stored)
    sides = pd.concat([pairs[["id"]].assign(feature=feature_ids(pairs, side)) for side in "ab"])
    # Pairs come strongest first, so the first one of a feature is its best.
    best = sides.sort_index(kind="stable").drop_duplicates("feature").set_index("feature")["id"]
    return with_labels(stored, frame.assign(pair=frame["id"].map(best)), frame["id"])


@remembered()
def placed_clusters(stored: StoredComparison) -> pd.DataFrame:
    """Every cluster of two and more models that has a place.

    Columns of :func:`results.cluster_lists.listed_clusters`, and ``x`` and ``y``. Those in most models come first, of
    equally many the most cohesive.

    Raises:
        TableMissing: the run has no positions.
    """
    frame = stored.table("cluster_positions").merge(listed_clusters(stored), on="cluster", how="left")
    order = ["n_models", "cohesion", "cluster"]
    return frame.sort_values(order, ascending=[False, False, True], ignore_index=True)


def graph_file(stored: StoredComparison, form: str) -> bytes:
    """The whole graph of features, as ``universality compare`` writes it.

    Args:
        stored: the comparison.
        form: ``graphml`` or ``json``.
    """
    import networkx as nx

    named = named_graph(stored.graph())
    if form == "graphml":
        return graphml(named)
    return json.dumps(nx.node_link_data(named, edges="edges"), indent=2, ensure_ascii=False).encode()


def sampled(frame: pd.DataFrame, most: int = MAX_POINTS) -> pd.DataFrame:
    """The frame, or a sample of ``most`` rows that is the same every time, in the same order."""
    if len(frame) <= most:
        return frame
    return frame.iloc[np.sort(np.random.default_rng(0).permutation(len(frame))[:most])]


def islands(frame: pd.DataFrame) -> list[Island]:
    """What parts of the plane are about: every domain where its points lie together, the largest first.

    Of text of fewer than two domains, labels by rule in their place.

    Args:
        frame: x, y, domain, and label where there is one.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components
    from scipy.spatial import cKDTree

    about = frame["domain"] if frame["domain"].nunique() > 1 or "label" not in frame else frame["label"]
    places, found = frame[["x", "y"]].to_numpy(float), []
    least = max(_LEAST, _LEAST_SHARE * len(frame))
    for name, rows in frame.groupby(about.astype(object), sort=False).indices.items():
        if len(rows) < least:
            continue
        here = places[rows]
        near = cKDTree(here).query_pairs(_STEP * float(np.linalg.norm(np.ptp(places, axis=0))), output_type="ndarray")
        joined = coo_array((np.ones(len(near)), (near[:, 0], near[:, 1])), shape=(len(rows), len(rows)))
        together = connected_components(joined, directed=False)[1]
        for part, n in enumerate(np.bincount(together)):
            if n >= least:
                x, y = np.median(here[together == part], axis=0)
                found.append(Island(str(name), float(x), float(y), int(n)))
    return sorted(found, key=lambda island: (-island.n, island.name, island.x))


def _by_values(frame: pd.DataFrame, column: str, colours: dict[str, str]) -> list[ColourGroup]:
    values = frame[column].astype(object)
    return [ColourGroup(name, colour, (values == name).to_numpy()) for name, colour in colours.items()]


def _by_level(frame: pd.DataFrame) -> list[ColourGroup]:
    # A feature without a partner has no match whose level could be tested.
    unmatched = (frame["class"] == "specific").to_numpy()
    groups = [
        ColourGroup(words.called(group.name), group.colour, group.members & ~unmatched)
        for group in _by_values(frame, "level", LEVEL_COLOURS)
    ]
    return [*groups, ColourGroup(NO_PARTNER, NO_PARTNER_COLOUR, unmatched)]


def _by_domain(frame: pd.DataFrame, whole: pd.DataFrame) -> list[ColourGroup]:
    """A colour and a shape for each domain, by how frequent it is in the whole run.

    Where no more domains are left than there are colours, no two of them have one.
    """
    order = [str(domain) for domain in whole["domain"].value_counts().index]
    marks = list(product(_SHAPES, _DOMAIN_CYCLE))
    drawn = {domain: mark for domain, mark in zip(order, marks, strict=False) if (frame["domain"] == domain).any()}
    if len(drawn) <= len(_DOMAIN_CYCLE):
        first = {colour: domain for domain, (_, colour) in reversed(drawn.items())}
        free = iter([colour for colour in _DOMAIN_CYCLE if colour not in first])
        drawn = {d: (s, colour if first[colour] == d else next(free)) for d, (s, colour) in drawn.items()}
    values = frame["domain"].astype(object)
    groups = [
        ColourGroup(domain, OKABE_ITO[colour], (values == domain).to_numpy(), shape)
        for domain, (shape, colour) in drawn.items()
    ]
    return [*groups, ColourGroup("all other domains", GREY, ~values.isin(list(drawn)).to_numpy())]


def _by_rate(frame: pd.DataFrame, whole: pd.DataFrame) -> list[ColourGroup]:
    """Fifths of the run, since dictionaries differ by orders of magnitude in how often their latents fire."""
    rates = frame["firing_rate"].to_numpy(float)
    ends = np.quantile(whole["firing_rate"].to_numpy(float), [0.2, 0.4, 0.6, 0.8])
    of = np.searchsorted(ends, rates, side="left")
    groups = []
    for place, colour in enumerate(RATE_COLOURS):
        members = of == place
        if members.any():
            low, high = words.rate(rates[members].min()), words.rate(rates[members].max())
            groups.append(ColourGroup(low if low == high else f"{low} to {high}", colour, members))
    return groups


#: What the map can be coloured by.
COLOURINGS: dict[str, Callable[[pd.DataFrame, pd.DataFrame, Sequence[str]], list[ColourGroup]]] = {
    "Class": lambda frame, whole, models: _by_values(frame, "class", CLASS_COLOURS),
    "Level": lambda frame, whole, models: _by_level(frame),
    "Model": lambda frame, whole, models: _by_values(frame, "model", model_colours(models)),
    "Domain": lambda frame, whole, models: _by_domain(frame, whole),
    "Firing rate": lambda frame, whole, models: _by_rate(frame, whole),
}


def colour_groups(frame: pd.DataFrame, by: str, models: Sequence[str], whole: pd.DataFrame) -> list[ColourGroup]:
    """The points of a frame by colour; every point is in exactly one group, and no group is empty.

    Args:
        frame: rows of :func:`placed_features`.
        by: a name of :data:`COLOURINGS`.
        models: all models of the run, in its order.
        whole: all of :func:`placed_features`: a filter changes no colour.
    """
    return [group for group in COLOURINGS[by](frame, whole, models) if group.members.any()]


def point_words(frame: pd.DataFrame) -> list[str]:
    """Of each feature its class, level, best r, firing rate and domain, in one line."""
    return [
        " · ".join(
            part
            for part in (
                str(kind),
                "" if kind == "specific" else f"level {level}",
                f"best r {words.number(r)}",
                f"fires on {words.rate(rate)}",
                "" if pd.isna(domain) else str(domain),
            )
            if part
        )
        for kind, level, r, rate, domain in frame[["class", "level", "best_r", "firing_rate", "domain"]].itertuples(
            index=False, name=None
        )
    ]
