"""Where features and clusters stand on a map: near each other where they fire alike.

Positions are a picture, never evidence: nothing is tested on them. They are computed once and stored, so that every
screen and the paper show the same picture.
"""

from __future__ import annotations

import hashlib
import warnings
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from universality.brief_repr import brief_repr
from universality.errors import refusal

if TYPE_CHECKING:
    from scipy import sparse

#: More features than these are not embedded: a sample of whole groups is.
MAX_FEATURES = 30_000
#: Neighbours of a feature that the embedding keeps together, itself among them.
N_NEIGHBOURS = 15
#: Least r of two features whose groups are linked.
LINK_R = 0.3
#: Least distance of two groups, as a share of the distance that an even spread over the picture would give them.
_GAP = 0.6
_ROUNDS = 200


@brief_repr
@dataclass(frozen=True, eq=False)
class FeatureMap:
    """A two-dimensional embedding of features, and the neighbours that it was made from.

    Attributes:
        kept: (n_kept,) int64, ascending: the columns that were embedded; all of them up to ``n_most``.
        xy: (n_kept, 2) float32. Only which features are near each other means something: neither axes nor far
            distances do.
        neighbours: (n_kept, k) int64, places in ``kept``; each feature's nearest by r, itself first.
        r: (n_kept, k) float64 in [-1, 1], their Pearson r over the rows.
    """

    kept: np.ndarray
    xy: np.ndarray
    neighbours: np.ndarray
    r: np.ndarray


def feature_map(
    columns: sparse.csc_matrix | sparse.csc_array,
    *,
    seed: int,
    groups: np.ndarray | None = None,
    n_most: int = MAX_FEATURES,
    threads: int = 1,
) -> FeatureMap:
    """Embed features in the plane by the similarity of their activations.

    Exact nearest neighbours by Pearson r among all columns at once, whatever model they are of; UMAP of the distances
    ``1 - r``, started from the classical scaling of r. With fewer than 16 features it is the classical scaling alone.

    The columns are put into an order that depends on their content only. So equal columns in another order, as after
    a permutation of models or of latents, get the same bytes in that order.

    Args:
        columns: (n_rows, n) activations >= 0, one column per feature, none of them constant.
        seed: seed of the embedding, >= 0.
        groups: (n,) int, features that should be sampled together; needed only above ``n_most``.
        n_most: where there are more columns, a sample of at most so many is embedded: whole groups, chosen by a
            digest of their content.
        threads: threads of the correlation; no byte depends on it.

    Returns:
        The map. Empty where there are no columns.

    Raises:
        InputError: a constant column; it has no correlation with anything.

    Source: McInnes, Healy & Melville 2018, "UMAP"; Torgerson 1952 for the classical scaling.
    """
    from scipy import sparse

    order = _content_order(columns)
    if order.size > n_most:
        order = order[_sample(np.arange(order.size) if groups is None else groups[order], n_most)]
    ordered = sparse.csc_matrix(columns)[:, order].astype(np.float64)
    neighbours, r = _nearest(ordered, min(N_NEIGHBOURS, order.size), threads)
    xy = _scaling(ordered)
    if order.size > N_NEIGHBOURS:
        xy = _umap(neighbours, 1.0 - r, xy, seed)
    # From the order of content back to the order of the columns.
    places = np.argsort(order)
    rank = np.empty_like(places)
    rank[places] = np.arange(places.size)
    return FeatureMap(order[places], xy[places].astype(np.float32), rank[neighbours[places]], r[places])


def group_links(
    groups: np.ndarray, neighbours: np.ndarray, r: np.ndarray, least: float = LINK_R
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pairs of groups with members that are among each other's nearest features.

    Args:
        groups: (n,) int, group of each feature; features of group -1 are left out.
        neighbours: (n, k), as in :class:`FeatureMap`.
        r: (n, k) their correlations.
        least: least r of a link.

    Returns:
        ``(group_a, group_b, r)``: each pair once, ``group_a < group_b``, sorted; r the highest of any two members
        that are listed as neighbours.
    """
    here = np.repeat(groups, neighbours.shape[1])
    there, r = groups[neighbours.ravel()], r.ravel()
    linked = (here != there) & (here >= 0) & (there >= 0) & (r >= least)
    ends = np.sort(np.stack([here[linked], there[linked]], axis=1), axis=1)
    pairs, of = np.unique(ends, axis=0, return_inverse=True)
    best = np.full(len(pairs), -1.0)
    np.maximum.at(best, of.ravel(), r[linked])
    return pairs[:, 0], pairs[:, 1], best


def group_positions(groups: np.ndarray, xy: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where groups stand: at the mean of their members, pushed apart until none hides another.

    Args:
        groups: (n,) int, group of each feature; features of group -1 are left out.
        xy: (n, 2) positions of the features.

    Returns:
        ``(ids (n_groups,) ascending, xy (n_groups, 2) float32)``. Depends on the members' positions alone.
    """
    ids, of = np.unique(groups[groups >= 0], return_inverse=True)
    sizes = np.bincount(of, minlength=ids.size)
    sums = [np.bincount(of, weights=xy[groups >= 0, axis], minlength=ids.size) for axis in (0, 1)]
    return ids, _pushed_apart(np.stack(sums, axis=1) / sizes[:, None]).astype(np.float32)


def _content_order(columns: sparse.csc_matrix | sparse.csc_array) -> np.ndarray:
    """Columns by a digest of their content: an order that knows no model and no number, yet looks like chance."""
    from scipy import sparse

    plain = sparse.csc_matrix(columns)
    if not plain.has_sorted_indices:
        plain = plain.sorted_indices()
    digests = []
    for first, last in zip(plain.indptr[:-1], plain.indptr[1:], strict=True):
        digest = hashlib.blake2b(plain.indices[first:last].astype("<i8").tobytes(), digest_size=16)
        digest.update(plain.data[first:last].astype("<f8").tobytes())
        digests.append(digest.digest())
    return np.array(sorted(range(len(digests)), key=digests.__getitem__), dtype=np.int64)


def _sample(groups: np.ndarray, n_most: int) -> np.ndarray:
    """Which of the features, in their order of content, belong to the first groups that fit into ``n_most``."""
    ids, first, of, sizes = np.unique(groups, return_index=True, return_inverse=True, return_counts=True)
    by_first = np.argsort(first)
    fits = np.zeros(ids.size, dtype=bool)
    fits[by_first] = np.cumsum(sizes[by_first]) <= n_most
    return fits[of.ravel()]


def _nearest(columns: sparse.csc_matrix, k: int, threads: int) -> tuple[np.ndarray, np.ndarray]:
    """(n, k) nearest columns and their r, each column itself first."""
    from scipy import sparse

    from universality.correlation import correlate

    if not k:
        return np.zeros((0, 0), dtype=np.int64), np.zeros((0, 0))
    rows = sparse.csr_matrix(columns)
    neighbours, r = correlate(rows, rows, top=k, threads=threads).top_a(k)
    if (neighbours < 0).any():
        constant = int((neighbours < 0).any(axis=1).argmax())
        raise refusal("columns", "a feature map", "not constant", f"column {constant}", "Keep alive latents only.")
    own = np.arange(len(neighbours))[:, None]
    own_first = np.argsort(neighbours != own, axis=1, kind="stable")
    neighbours, r = (np.take_along_axis(values, own_first, axis=1) for values in (neighbours, r))
    # Among more than k equal columns a column may miss in its own list.
    neighbours[:, 0], r[:, 0] = own[:, 0], 1.0
    return neighbours.astype(np.int64), r


def _scaling(columns: sparse.csc_matrix) -> np.ndarray:
    """(n, 2) classical scaling: for distances ``sqrt(2 (1 - r))`` these are the main axes of the centred r."""
    from scipy.sparse.linalg import LinearOperator, eigsh

    n_rows, n = columns.shape
    if n < 3:
        return np.stack([np.arange(n, dtype=np.float64), np.zeros(n)], axis=1)
    mean = np.asarray(columns.mean(axis=0)).ravel()
    square = np.asarray(columns.multiply(columns).mean(axis=0)).ravel()
    scale = 1.0 / np.sqrt((square - mean**2) * n_rows)

    def centred_r(v: np.ndarray) -> np.ndarray:
        v = (v.ravel() - v.mean()) * scale
        rows = columns @ v - mean @ v
        back = (columns.T @ rows - mean * rows.sum()) * scale
        return back - back.mean()

    product = LinearOperator((n, n), matvec=centred_r, dtype=np.float64)
    if n <= N_NEIGHBOURS:
        values, axes = np.linalg.eigh(product @ np.eye(n))
    else:
        # Any start that is not orthogonal to the axes will do; it must be the same every time.
        values, axes = eigsh(product, k=2, v0=np.cos(np.arange(1.0, n + 1)), tol=1e-6)
    main = np.argsort(values)[::-1][:2]
    return axes[:, main] * np.sqrt(np.maximum(values[main], 0.0))


def _umap(neighbours: np.ndarray, distances: np.ndarray, start: np.ndarray, seed: int) -> np.ndarray:
    with warnings.catch_warnings():
        # Its parametric variant wants tensorflow.
        warnings.filterwarnings("ignore", category=ImportWarning)
        warnings.filterwarnings("ignore", message=".*Tensorflow not installed")
        # New points are never placed, so no search index is needed.
        warnings.filterwarnings("ignore", message=r"precomputed_knn\[2\]")
        from umap import UMAP, umap_

        for kernel in (umap_.smooth_knn_dist, umap_.compute_membership_strengths):
            # Compiled once and kept; where no folder can be written, eight seconds in every process.
            with suppress(RuntimeError):
                kernel.enable_caching()
        embedding = UMAP(
            n_neighbors=neighbours.shape[1],
            precomputed_knn=(neighbours, distances.astype(np.float32)),
            init=(10.0 * start / max(np.abs(start).max(), 1e-12)).astype(np.float32),
            min_dist=0.3,
            random_state=seed % 2**32,
            n_jobs=1,
        ).fit_transform(start.astype(np.float32))
    return np.asarray(embedding)


def _pushed_apart(xy: np.ndarray) -> np.ndarray:
    """(n, 2) positions with no two much nearer than a gap; the picture keeps its shape."""
    from scipy.spatial import cKDTree

    xy, n = xy.copy(), len(xy)
    if n < 2:
        return xy
    sides = np.ptp(xy, axis=0)
    gap = _GAP * np.sqrt(max(sides[0] * sides[1], 1e-6) / n)
    for _ in range(_ROUNDS):
        pairs = cKDTree(xy).query_pairs(0.98 * gap, output_type="ndarray")
        if not len(pairs):
            break
        pairs = pairs[np.lexsort(pairs.T)]
        away = xy[pairs[:, 1]] - xy[pairs[:, 0]]
        distance = np.hypot(away[:, 0], away[:, 1])
        # Two that stand on one spot leave it in directions that differ from pair to pair.
        turn = 2.4 * pairs[:, 0]
        flat = np.stack([np.cos(turn), np.sin(turn)], axis=1)
        away = np.where(distance[:, None] > 1e-9, away / np.maximum(distance, 1e-9)[:, None], flat)
        push = 0.3 * (gap - distance)[:, None] * away
        for axis in (0, 1):
            xy[:, axis] += np.bincount(pairs[:, 1], weights=push[:, axis], minlength=n)
            xy[:, axis] -= np.bincount(pairs[:, 0], weights=push[:, axis], minlength=n)
    return xy
