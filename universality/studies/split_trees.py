"""Splitting over the sizes of one model's dictionaries: trees, and counts beside their control and their chance."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd

from universality.compare.pair import Dictionary
from universality.compare.pairing import beyond_tokens
from universality.intervals import centred_interval
from universality.studies.split_study import SplitStudy, TreeCell, TreePair, seeds_by_size
from universality.studies.splitting import ORPHAN, PARENT_KINDS, Outcomes, Parents
from universality.table_schemas import SPLIT_TREE, SPLITS_BY_SIZE


def split_trees(
    study: SplitStudy, model: str, progress: Callable[[int, int], None] = lambda done, of: None
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The tables ``split_tree`` and ``splits_by_size`` of one model.

    Every two sizes are compared, over all ordered pairs of different SAE seeds. Beside the share of each kind stands
    its *control*: dictionaries of the smaller size and another seed, as children, through the same rule; only what is
    beyond it is splitting.

    Args:
        study: has two sizes or more of the model, each with two seeds or more. With two, nothing can be absorbed: that
            takes a third dictionary as a witness.
        model: its id.
        progress: told how many of how many pairs of sizes are done.

    Returns:
        One row per child and dictionary of parents; one row per kind and pair of sizes.

    Raises:
        InputError: too few sizes or seeds.

    Source: ours; feature splitting as in Bricken et al. 2023, absorption as in Chanin et al. 2024.
    """
    seeds = seeds_by_size(study.cells, model)
    tree, counts = [], []
    controls = {size: _counted(study, _seed_pairs(model, size, size, seeds))[0] for size in list(seeds)[:-1]}
    sizes = list(combinations(seeds, 2))
    for done, (small, large) in enumerate(sizes, start=1):
        pairs = _seed_pairs(model, small, large, seeds)
        counted, outcomes = _counted(study, pairs)
        tree += [_tree_rows(study, pair, one) for pair, one in zip(pairs, outcomes, strict=True)]
        counts.append(_compared(study, (model, small, large), counted, controls[small], _by_chance(study, pairs)))
        progress(done, len(sizes))
    made = pd.concat(tree, ignore_index=True), pd.concat(counts, ignore_index=True)
    return SPLIT_TREE.typed(made[0]), SPLITS_BY_SIZE.typed(made[1])


def _seed_pairs(model: str, small: int, large: int, seeds: Mapping[int, list[int]]) -> list[TreePair]:
    return [
        (TreeCell(model, small, s), TreeCell(model, large, t)) for s in seeds[small] for t in seeds[large] if s != t
    ]


@dataclass(frozen=True, eq=False)
class _Counted:
    """Latents by kind, over pairs of seeds.

    Attributes:
        parents: (n_kinds, 1 + n_draws) of the smaller dictionaries, in the order of :data:`PARENT_KINDS`.
        orphans, children: of the larger ones, and all of these.
        witnessed: whether a third dictionary could say what is absorbed.
    """

    parents: np.ndarray
    orphans: int
    children: int
    witnessed: bool = True

    @property
    def counts(self) -> np.ndarray:
        """(n_kinds + 1,) parents by kind, then orphans."""
        return np.append(self.parents[:, 0], self.orphans)

    @property
    def asked(self) -> np.ndarray:
        """(n_kinds + 1,) parents, or children, that could have been of each kind."""
        return np.append(np.full(len(self.parents), self.parents[:, 0].sum()), self.children)

    @property
    def shares(self) -> np.ndarray:
        """(n_kinds + 1, 1 + n_draws) of those asked; NaN for what could not be told."""
        orphans = np.full((1, self.parents.shape[1]), self.orphans)
        shares = np.concatenate([self.parents, orphans]) / np.maximum(self.asked, 1)[:, None]
        if not self.witnessed:
            shares[PARENT_KINDS.index("absorbed")] = np.nan
        return shares


def _tally(outcomes: list[Outcomes], trees: list[Parents], children: list[Dictionary], witnessed: bool) -> _Counted:
    kinds = np.concatenate([one.kind for one in outcomes])
    parents = np.stack([(kinds == number).sum(axis=0) for number in range(len(PARENT_KINDS))])
    found = sum(int((tree.parent >= 0).sum()) for tree in trees)
    alive = sum(child.n_alive for child in children)
    return _Counted(parents, alive - found, alive, witnessed)


def _counted(study: SplitStudy, pairs: list[TreePair]) -> tuple[_Counted, list[Outcomes]]:
    outcomes, trees = [study.outcomes(*pair) for pair in pairs], [study.parents(*pair) for pair in pairs]
    witnessed = all(study.thirds(*pair) for pair in pairs)
    return _tally(outcomes, trees, [study.cells[child] for _, child in pairs], witnessed), outcomes


def _by_chance(study: SplitStudy, pairs: list[TreePair]) -> tuple[_Counted, _Counted]:
    """Counts with shifted rows, and with exchanged children."""
    children = [study.cells[child] for _, child in pairs]
    by_shift, trees, by_exchange = (list(part) for part in zip(*(study.chance(*pair) for pair in pairs), strict=True))
    same_trees = [study.parents(*pair) for pair in pairs]
    return _tally(by_shift, trees, children, True), _tally(by_exchange, same_trees, children, True)


def _tree_rows(study: SplitStudy, pair: TreePair, outcomes: Outcomes) -> pd.DataFrame:
    """Rows of ``split_tree``: the alive latents of one dictionary under the parents of another."""
    parent, child = pair
    tree, latents = study.parents(*pair), np.flatnonzero(study.cells[pair[1]].alive)
    of, kinds = tree.parent[latents], np.array([*PARENT_KINDS, ORPHAN], dtype=object)
    orphan, r_token = of < 0, np.full(study.cells[child].d_sae, np.nan)
    r_token[tree.edges[1]] = beyond_tokens(study.pair(*pair), *tree.edges)
    return pd.DataFrame(
        {
            "model": child.model,
            "d_sae": child.d_sae,
            "sae_seed": child.sae_seed,
            "latent": latents,
            "parent_d_sae": parent.d_sae,
            "parent_sae_seed": parent.sae_seed,
            "parent_latent": pd.arrays.IntegerArray(of, orphan),
            "r_held_out": np.where(orphan, np.nan, tree.r[latents]),
            "r_token": r_token[latents],
            "inside": np.where(orphan, np.nan, tree.inside[latents]),
            "share": np.where(orphan, np.nan, outcomes.shares[latents]),
            "best": ~orphan & (outcomes.best_child[of] == latents),
            "r2": np.where(orphan, np.nan, outcomes.r2[of, 0]),
            "kind": kinds[np.where(orphan, -1, outcomes.kind[of, 0])],
        }
    )


def _compared(
    study: SplitStudy,
    which: tuple[str, int, int],
    counted: _Counted,
    control: _Counted,
    chance: tuple[_Counted, _Counted],
) -> pd.DataFrame:
    """Rows of ``splits_by_size``: one per kind."""
    shares, excess = counted.shares, counted.shares - control.shares
    shifted_shares, exchanged_shares = (one.shares[:, 0] for one in chance)
    exchanged_shares[-1] = np.nan  # exchanged children are orphans as they were
    intervals = np.array([_interval(values, study.config.confidence) for values in (*shares, *excess)])
    intervals[len(shares) - 1] = intervals[-1] = np.nan  # trees are chosen on fit rows, which nothing resamples
    return pd.DataFrame(
        {
            "model": which[0],
            "d_sae": which[1],
            "child_d_sae": which[2],
            "kind": [*PARENT_KINDS, ORPHAN],
            "n_asked": counted.asked,
            "n": counted.counts,
            "share": shares[:, 0],
            "low": intervals[: len(shares), 0],
            "high": intervals[: len(shares), 1],
            "control": control.shares[:, 0],
            "excess": excess[:, 0],
            "excess_low": intervals[len(shares) :, 0],
            "excess_high": intervals[len(shares) :, 1],
            "shifted": shifted_shares,
            "exchanged": exchanged_shares,
        }
    )


def _interval(values: np.ndarray, confidence: float) -> tuple[float, float]:
    """Of (1 + n_draws,) values, the first of which is that of the data."""
    if np.isnan(values).any():
        return np.nan, np.nan
    return centred_interval(float(values[0]), values[1:], confidence)
