"""Split trees: which latents of a larger dictionary are parts of which of a smaller one, and what became of these.

Both dictionaries are of one model, with different initial directions. (A dictionary draws its first directions from its
seed alone: of two sizes with one seed the smaller starts as a part of the larger, and would be found again for that.)
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
from scipy import sparse

from universality.compare.chance import PairNull, side_p
from universality.compare.compare_config import CompareConfig
from universality.compare.pair import Dictionary, DictionaryPair
from universality.correlation import correlate
from universality.correlation.pairs import correlate_pairs, prepared_pairs
from universality.correlation.top import TopSimilarity
from universality.intervals import GroupMoments
from universality.matching import Gram, KToOne, k_to_1
from universality.nulls import benjamini_hochberg, shifted_rows
from universality.seeds import generator
from universality.verdicts import splits_hold

#: (n_edges,) latents of the smaller dictionary, and of the larger one.
Edges = tuple[np.ndarray, np.ndarray]
#: Share of a child's rows on which its parent fires, at least.
PARENT_SHARE = 0.5
#: R² that all other children together add to the best one, below which they add nothing.
KEPT_GAIN = 0.05
#: Share of the rows of a latent on which another is silent that ought to fire there.
SILENT_SHARE = 0.2
#: What becomes of a latent in a larger dictionary, in the order in which it is tried.
PARENT_KINDS = ("split", "absorbed", "kept", "undecided", "lost")
#: What a child without a parent is.
ORPHAN = "orphan"


@dataclass(frozen=True, eq=False)
class Parents:
    """The parent of each latent of a larger dictionary (a child) among the latents of a smaller one.

    Attributes:
        parent: (n_children,) its latent, -1 for orphans and for latents that are not alive.
        r_fit, r: (n_children,) correlation with the parent on fit and on score rows, 0 without one.
        inside: (n_children,) share of the child's score rows on which the parent fires, 0 without one.
    """

    parent: np.ndarray
    r_fit: np.ndarray
    r: np.ndarray
    inside: np.ndarray

    @property
    def edges(self) -> Edges:
        """(n_edges,) parents and their children."""
        children = np.flatnonzero(self.parent >= 0)
        return self.parent[children], children

    def to_array(self) -> np.ndarray:
        """(4, n_children) all content, for storage."""
        return np.stack([self.parent, self.r_fit, self.r, self.inside])

    @classmethod
    def from_array(cls, stored: np.ndarray) -> Parents:
        """The inverse of :meth:`to_array`."""
        return cls(stored[0].astype(np.int64), *stored[1:])


def find_parents(pair: DictionaryPair, null: PairNull) -> Parents:
    """Parents of the latents of ``pair.b`` among those of ``pair.a``.

    The parent is the latent of highest r among those that fire on at least half of the child's rows, both on fit rows;
    the child is an orphan if there is none, or if its held-out r is within chance (q over all alive children).

    Args:
        pair: the smaller dictionary and the larger one.
        null: maxima of each child over the latents of the smaller dictionary, as ``plain_b``.
    """
    config, n = pair.config, pair.b.d_sae
    listed, r_fit = correlate(*pair.fit, top=config.top, threads=pair.threads).top_b(config.top)
    child, place = np.nonzero((listed >= 0) & (r_fit > 0))
    inside = correlate_pairs(*pair.fit, listed[child, place], child, threads=pair.threads).p_a_given_b
    holds = np.zeros(listed.shape, dtype=bool)
    holds[child, place] = inside >= PARENT_SHARE
    first, child = holds.argmax(axis=1), np.flatnonzero(holds.any(axis=1))  # lists fall in r
    parent = listed[child, first[child]].astype(np.int64)
    held_out = prepared_pairs(pair.a.score_side, pair.b.score_side, parent, child, threads=pair.threads)
    # Orphans count as p = 1: whatever is not a child is a child that was not found.
    p = side_p(held_out.r, child, pair.b, null.plain_b, config, config.alpha / max(pair.b.n_alive, 1))
    found = benjamini_hochberg(p, m=pair.b.n_alive) < config.alpha
    child = child[found]
    out = Parents(np.full(n, -1, np.int64), np.zeros(n), np.zeros(n), np.zeros(n))
    out.parent[child], out.r_fit[child] = parent[found], r_fit[child, first[child]]
    out.r[child], out.inside[child] = held_out.r[found], held_out.p_a_given_b[found]
    return out


@dataclass(frozen=True, eq=False)
class Outcomes:
    """What became of each latent of a smaller dictionary in a larger one.

    Attributes:
        best_child: (n_parents,) its child of highest r on fit rows, -1 without one.
        r, r2: (n_parents, 1 + n_draws) held-out r with that child, and R² of the best non-negative combination of
            children; first over all sources, then over draws of them. 0 without children.
        kind: (n_parents, 1 + n_draws) places in :data:`PARENT_KINDS`; -1 for latents that are not alive.
        shares: (n_children,) share of its parent's combination that a child carries, 0 for one that is no piece.
    """

    best_child: np.ndarray
    r: np.ndarray
    r2: np.ndarray
    kind: np.ndarray
    shares: np.ndarray


def judge_parents(
    pair: DictionaryPair,
    edges: Edges,
    weights: np.ndarray,
    silent: Edges | None = None,
    grams: tuple[Gram, Gram] | None = None,
) -> Outcomes:
    """What became of the latents of ``pair.a`` in ``pair.b``, given whose children are whose.

    In this order: *split* if a non-negative combination of children reaches R² >= tau² and ``split_gain`` more than
    the best child alone; *absorbed* if the best child has r >= tau and there is a third latent on whose rows the parent
    is silent though it ought to fire there (:func:`silent_parents`); *kept* if r >= tau and the combination adds less
    than 0.05; *undecided* if r >= tau or R² >= tau², and none of these; else *lost*. Children, weights and pieces are
    chosen on fit rows; r and R² are of score rows.

    Args:
        pair: the smaller dictionary and the larger one.
        edges: (n_edges,) parents and their children, each child once.
        weights: (1 + n_draws, n_sources) how often each source of the score rows counts; ones first.
        silent: from :func:`silent_parents`; None: nothing is absorbed.
        grams: :func:`~universality.matching.gram_of` of ``pair.b`` on fit and score rows, if made before.
    """
    config, a, b = pair.config, pair.a, pair.b
    tree = _listed(pair, edges)
    pieces = k_to_1(
        a.fit, a.score, b.fit, b.score, tree,
        n_candidates=config.split_candidates, n_pieces=config.split_pieces, piece_share=config.split_piece_share,
        grams=grams, threads=pair.threads,
    )  # fmt: skip
    best_child = tree.top_a(1)[0][:, 0].astype(np.int64)
    r, r2 = (np.zeros((a.d_sae, len(weights))) for _ in range(2))
    has, groups = np.flatnonzero(best_child >= 0), pair.rows.groups[pair.rows.score]
    r[has] = GroupMoments(a.score, b.score, groups).correlations(has, best_child[has], weights)
    r2[has] = GroupMoments(a.score, _combined(pieces, b), groups).explained(has, has, weights)
    absorbed = np.zeros(a.d_sae, dtype=bool)
    if silent is not None:
        parent, child = silent
        absorbed[parent[best_child[parent] != child]] = True
    shares = np.zeros(b.d_sae)
    at, slot = np.nonzero(pieces.pieces >= 0)
    shares[pieces.pieces[at, slot]] = pieces.shares[at, slot]
    kind = np.where(a.alive[:, None], _kinds(r, r2, absorbed[:, None], config), -1)
    return Outcomes(best_child, r, r2, kind, shares)


def _kinds(r: np.ndarray, r2: np.ndarray, absorbed: np.ndarray, config: CompareConfig) -> np.ndarray:
    same = r >= config.tau
    holds = (
        splits_hold(r2, r, config.tau, config.split_gain),
        same & absorbed,
        same & (r2 - r**2 < KEPT_GAIN),
        same | (r2 >= config.tau**2),
    )
    return np.select(holds, range(len(holds)), len(holds))


def _listed(pair: DictionaryPair, edges: Edges) -> TopSimilarity:
    """The children of each parent with r on fit rows, as a list of candidates."""
    order = np.lexsort(edges[::-1])
    parent, child = (side[order] for side in edges)
    r = correlate_pairs(*pair.fit, parent, child, threads=pair.threads).r
    n_a, n_b, n_rows = pair.a.d_sae, pair.b.d_sae, pair.a.fit.shape[0]
    return TopSimilarity(n_a, n_b, n_rows, parent, child, r, np.ones(n_a), np.ones(n_b), n_b)


def _combined(pieces: KToOne, children: Dictionary) -> sparse.csr_matrix:
    """(n_score_rows, n_parents) the weighted sum of each parent's pieces."""
    parent, slot = np.nonzero(pieces.pieces >= 0)
    entries = pieces.weights[parent, slot], (pieces.pieces[parent, slot], parent)
    shape = children.d_sae, len(pieces.pieces)
    return sparse.csr_matrix(children.score @ sparse.csr_matrix(entries, shape=shape))


def silent_parents(pair: DictionaryPair, witnesses: Iterable[tuple[np.ndarray, Parents]]) -> Edges:
    """Latents of ``pair.a``, and latents of ``pair.b`` on whose rows they are silent though they ought to fire there.

    One ought to fire there because its partner in another dictionary of the same size is the parent of that latent;
    silent means on more than 0.2 of the score rows.

    Args:
        pair: the smaller dictionary and the larger one.
        witnesses: of further dictionaries of the smaller size: the latent of ``pair.a`` that is the partner of each of
            theirs, -1 if none, and the parents of ``pair.b`` among them.
    """
    found = [(np.zeros(0, np.int64),) * 2]
    for partner, parents in witnesses:
        theirs, child = parents.edges
        mine = partner[theirs]
        mine, child = mine[mine >= 0], child[mine >= 0]
        sides = pair.a.score_side, pair.b.score_side
        silent = prepared_pairs(*sides, mine, child, threads=pair.threads).p_a_given_b < 1 - SILENT_SHARE
        found.append((mine[silent], child[silent]))
    mine, child = (np.concatenate(side) for side in zip(*found, strict=True))
    return mine, child


def shifted(dictionary: Dictionary, root_seed: int) -> Dictionary:
    """The same latents, their rows shifted by whole sources within each half: what chance makes of a tree."""
    rows, meets = dictionary.rows, np.arange(dictionary.rows.n_rows)
    for half, mask in (("fit", rows.fit), ("score", rows.score)):
        here = np.flatnonzero(mask)
        draw = generator(root_seed, f"splitting-shift-{half}", dictionary.name)
        sources = rows.groups[here]
        meets[here] = here[shifted_rows(rows.documents[here], generator=draw, n_ctx=rows.n_ctx, sources=sources)]
    return replace(dictionary, acts=dictionary.acts[meets])


def exchanged(children: np.ndarray, firings: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(n_edges,) children that change places with others whose firings are in the same half-octave."""
    out, octave = children.copy(), np.floor(2 * np.log2(np.maximum(firings[children], 1)))
    for value in np.unique(octave):
        # In one circle, so that none keeps its place unless it is alone.
        circle = rng.permutation(np.flatnonzero(octave == value))
        out[circle] = children[np.roll(circle, 1)]
    return out
