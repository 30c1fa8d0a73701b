"""The dictionaries of a study of splitting, and what its tables share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

import numpy as np

from universality.compare.chance import PairNull, pair_null
from universality.compare.compare_config import CompareConfig
from universality.compare.pair import Dictionary, DictionaryPair
from universality.errors import refusal
from universality.matching import Gram, gram_of
from universality.seeds import generator
from universality.studies.partners import Partners, find_partners
from universality.studies.splitting import (
    Outcomes,
    Parents,
    exchanged,
    find_parents,
    judge_parents,
    shifted,
    silent_parents,
)


class TreeCell(NamedTuple):
    """Which dictionary of a study of splitting."""

    model: str
    d_sae: int
    sae_seed: int


#: The dictionary of the parents, and that of the children.
TreePair = tuple[TreeCell, TreeCell]


def seeds_by_size(cells: Iterable[TreeCell], model: str) -> dict[int, list[int]]:
    """SAE seeds of a model's dictionaries by d_sae, both rising.

    Raises:
        InputError: fewer than two sizes, or a size with one seed.
    """
    seeds: dict[int, list[int]] = {}
    for cell in sorted(cell for cell in cells if cell.model == model):
        seeds.setdefault(cell.d_sae, []).append(cell.sae_seed)
    where = f"model {model!r}"
    if len(seeds) < 2:
        raise refusal("d_sae", where, "two sizes or more", list(seeds), "Train dictionaries of several sizes.")
    alone = [d_sae for d_sae, own in seeds.items() if len(own) < 2]
    if alone:
        remedy = "The control is a dictionary of equal size and another seed: train two or more, better three."
        raise refusal("SAE seeds", where, "two or more at every d_sae", f"one at d_sae {alone}", remedy)
    return seeds


@dataclass(frozen=True, eq=False)
class SplitStudy:
    """Dictionaries of one model or several; what is computed of two of them is computed once.

    Attributes:
        cells: the dictionaries, all over the same rows.
        config, root_seed, threads: settings.
        trees: parents that are known, by the two dictionaries; those that are asked for are added.
    """

    cells: Mapping[TreeCell, Dictionary]
    config: CompareConfig
    root_seed: int
    threads: int | None = None
    trees: dict[TreePair, Parents] = field(default_factory=dict)
    _nulls: dict[TreePair, PairNull] = field(default_factory=dict)
    _partners: dict[TreePair, Partners] = field(default_factory=dict)
    _grams: dict[TreeCell, tuple[Gram, Gram]] = field(default_factory=dict)

    def pair(self, parent: TreeCell, child: TreeCell) -> DictionaryPair:
        """Two dictionaries, that of the parents first."""
        return DictionaryPair(self.cells[parent], self.cells[child], self.config, self.root_seed, self.threads)

    def null(self, parent: TreeCell, child: TreeCell) -> PairNull:
        """Maxima under shifts, computed once for both directions."""
        if (child, parent) in self._nulls:
            return self._nulls[child, parent].swapped()
        if (parent, child) not in self._nulls:
            self._nulls[parent, child] = pair_null(self.pair(parent, child), within_domains=False)
        return self._nulls[parent, child]

    def parents(self, parent: TreeCell, child: TreeCell) -> Parents:
        """The tree of two dictionaries, computed once."""
        if (parent, child) not in self.trees:
            self.trees[parent, child] = find_parents(self.pair(parent, child), self.null(parent, child))
        return self.trees[parent, child]

    def partners(self, a: TreeCell, b: TreeCell) -> Partners:
        """One-to-one partners in another dictionary, computed once for both directions."""
        if (b, a) in self._partners:
            return self._partners[b, a].swapped(self.cells[a].d_sae)
        if (a, b) not in self._partners:
            self._partners[a, b] = find_partners(self.pair(a, b), self.weights)
        return self._partners[a, b]

    def grams(self, cell: TreeCell) -> tuple[Gram, Gram]:
        """Correlations of a dictionary with itself, on fit and on score rows."""
        if cell not in self._grams:
            own = self.cells[cell]
            self._grams[cell] = gram_of(own.fit, self.threads), gram_of(own.score, self.threads)
        return self._grams[cell]

    @cached_property
    def weights(self) -> np.ndarray:
        """(1 + n_resamples, n_sources) how often each source of the score rows counts; the first is once each."""
        rows = next(iter(self.cells.values())).rows
        n = np.unique(rows.groups[rows.score]).size
        draw = generator(self.root_seed, "document-bootstrap")
        drawn = draw.multinomial(n, np.full(n, 1 / n), size=self.config.n_resamples)
        return np.concatenate([np.ones((1, n), drawn.dtype), drawn])

    def thirds(self, parent: TreeCell, child: TreeCell) -> list[TreeCell]:
        """Dictionaries like that of the parents, with a seed that neither of the two has."""
        used = parent.sae_seed, child.sae_seed
        return [cell for cell in self.cells if cell[:2] == parent[:2] and cell.sae_seed not in used]

    def outcomes(self, parent: TreeCell, child: TreeCell) -> Outcomes:
        """What became of each parent. A third dictionary of its size says where it is silent and ought not to be."""
        partners = {third: self.partners(third, parent) for third in self.thirds(parent, child)}
        witnesses = [
            (np.where(one.holds[:, 0], one.partner, -1), self.parents(third, child)) for third, one in partners.items()
        ]
        pair, edges = self.pair(parent, child), self.parents(parent, child).edges
        return judge_parents(pair, edges, self.weights, silent_parents(pair, witnesses), self.grams(child))

    def chance(self, parent: TreeCell, child: TreeCell) -> tuple[Outcomes, Parents, Outcomes]:
        """What becomes of parents by chance, and the tree behind it: rows shifted; then children exchanged."""
        pair, once = self.pair(parent, child), self.weights[:1]
        moved = DictionaryPair(pair.a, shifted(pair.b, self.root_seed), self.config, self.root_seed, self.threads)
        tree = find_parents(moved, self.null(parent, child))
        rng = generator(self.root_seed, "splitting-exchange", pair.a.name, pair.b.name)
        parents, children = self.parents(parent, child).edges
        others = exchanged(children, pair.b.statistics.firings_fit, rng)
        by_exchange = judge_parents(pair, (parents, others), once, grams=self.grams(child))
        return judge_parents(moved, tree.edges, once, grams=self.grams(child)), tree, by_exchange
