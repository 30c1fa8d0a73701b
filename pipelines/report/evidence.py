"""What a report shows of single features: the text that they fire on, read from the run's own rows."""

import numpy as np
import pandas as pd

from pipelines.report.figures.case_figures import CaseStudy, Context
from results.colours import SIDE_COLOURS, model_colours
from results.firing import Firing, consensus_rows, distinct, rows_of_choice
from results.frames import cluster_domains
from results.ids import feature_id
from results.pair_lists import find_pair
from results.pair_verdict import pair_verdict
from results.stored_comparison import StoredComparison
from results.token_text import PART_MARK, pieces_of
from results.words import LEVELS, called
from storage import Run

#: Tokens around the peak that a case may show, as far as they fit.
BEFORE, AFTER = 24, 16
#: Contexts of a cluster; and of a pair, by choice of rows.
N_CONTEXTS = 3
PAIR_CONTEXTS = (("both", 2, ""), ("a_only", 1, "only {a}"), ("b_only", 1, "only {b}"))
#: Characters shown before and after a token.
ROOM = 24
#: Rows looked through for contexts that differ.
LOOK = 2_000
#: Features of a cluster that are drawn, at most.
MAX_SIDES = 8


class Evidence:
    """Text and activations of one comparison of a run, read when they are asked for.

    Args:
        run: the run; text and latents that it lacks raise a :class:`storage.StoreError`.
        comparison: id of the comparison.
    """

    def __init__(self, run: Run, comparison: str) -> None:
        self._stored = StoredComparison(run, comparison)

    def cluster(self, row: pd.Series, models: list[str]) -> CaseStudy:
        """A cluster with the contexts in which all its features together are strongest.

        Args:
            row: of the table ``clusters``.
            models: ids of all models, for their colours.
        """
        members, firings, strongest = self._members(row)
        colours = model_colours(models)
        rows = self._distinct(strongest, N_CONTEXTS)
        rate = 100 * float(np.mean([side.rate for side in firings]))
        remark = (
            f"{row['class']}, {called(str(row['level']))}; {row['n_models']}/{len(models)} models; cohesion "
            f"{row['cohesion']:.2f}; firing rate {rate:.2g} %"
        )
        sides = [(feature_id(model, latent), colours.get(model, SIDE_COLOURS["a"])) for model, latent in members]
        contexts = [self._context(place, firings, called(self._stored.text.domain(place))) for place in rows]
        return CaseStudy(f"cluster {row['cluster']}", remark, sides, contexts)

    def line(self, row: pd.Series) -> Context:
        """The context in which a cluster's features together are strongest.

        Args:
            row: of the table ``clusters``.
        """
        _, firings, strongest = self._members(row)
        return self._context(int(strongest[0]), firings, "")

    def strongest(self, row: pd.Series) -> tuple[str, str, str]:
        """The token on which a cluster's features together are strongest, with what stands around it.

        Args:
            row: of the table ``clusters``.

        Returns:
            Text before, the token, text after, as :func:`results.token_text.token_strings` writes it: whole letters, of
            which several tokens may have a part.
        """
        context = self.line(row)
        pieces = pieces_of(context.tokens)
        first = sum(piece.tokens.stop <= context.peak for piece in pieces)
        last = sum(piece.tokens.start <= context.peak for piece in pieces)
        before, token, after = (
            "".join(piece.text for piece in part) for part in (pieces[:first], pieces[first:last], pieces[last:])
        )
        # What is cut at the ends of the window is left out.
        return before.lstrip(PART_MARK)[-ROOM:], token, after.rstrip(PART_MARK)[:ROOM]

    def pair(self, row: pd.Series) -> CaseStudy:
        """A pair of latents with contexts where both fire, and where only one does.

        Args:
            row: of the table ``pairs``.
        """
        names = [feature_id(row[f"model_{side}"], row[f"latent_{side}"]) for side in "ab"]
        firings = [self._stored.firing(str(row[f"model_{side}"]), int(row[f"latent_{side}"])) for side in "ab"]
        contexts = []
        for choice, n, note in PAIR_CONTEXTS:
            for place in self._distinct(rows_of_choice(choice, *firings), n):
                words = "; ".join(
                    part
                    for part in (note.format(a=names[0], b=names[1]), called(self._stored.text.domain(place)))
                    if part
                )
                contexts.append(self._context(place, firings, words))
        remark = f"held-out r {row['r_held_out']:.2f}, {called(str(row['level']))}, q {row['q']:.2g}"
        sides = list(zip(names, SIDE_COLOURS.values(), strict=True))
        return CaseStudy(" and ".join(names), remark, sides, contexts)

    def verdict(self, row: pd.Series) -> str:
        """Whether a pair (of the table ``pairs``) is real, in the sentence that its screen begins with."""
        names = [feature_id(row[f"model_{side}"], row[f"latent_{side}"]) for side in "ab"]
        listed = find_pair(self._stored, "-".join(names))
        assert listed is not None
        return pair_verdict(self._stored, listed).sentence

    def _members(self, row: pd.Series) -> tuple[list[tuple[str, int]], list[Firing], np.ndarray]:
        """The features of a cluster, where each fires, and the rows in the order of their mean share."""
        names = [member.rsplit(":", 1) for member in str(row["members"]).split(";")][:MAX_SIDES]
        members = [(model, int(latent)) for model, latent in names]
        firings = [self._stored.firing(*member) for member in members]
        return members, firings, consensus_rows(firings)[0]

    def _distinct(self, rows: np.ndarray, limit: int) -> list[int]:
        text = self._stored.text
        return distinct(rows[:LOOK], lambda row: text.contexts[int(text.row_context[row])].tobytes(), limit)

    def _context(self, row: int, firings: list[Firing], note: str) -> Context:
        window = self._stored.text.window(row, BEFORE, AFTER)
        shares = np.stack([side.at(window.rows) / (side.maximum or 1.0) for side in firings])
        return Context(window.tokens, shares, window.peak, note)


def clusters_to_show(clusters: pd.DataFrame, features: pd.DataFrame, n: int = 6) -> pd.DataFrame:
    """Universal clusters worth reading: of every level the most cohesive ones, each of another domain.

    Args:
        clusters: table ``clusters``.
        features: table ``features``; it tells the domain of a cluster.
        n: clusters, at most; the same number of each level as far as there are as many.

    Returns:
        Rows of ``clusters``, levels from the finest to the coarsest.
    """
    domains = cluster_domains(features)
    universal = clusters.loc[clusters["class"] == "universal"].sort_values(
        ["cohesion", "cluster"], ascending=[False, True]
    )
    levels = [level for level in LEVELS if (universal["level"] == level).any()]
    chosen = []
    for place, level in enumerate(levels):
        of_level = universal.loc[universal["level"] == level]
        topics = of_level["cluster"].map(domains).fillna("")
        share = n // len(levels) + (place < n % len(levels))
        chosen.append(of_level.loc[~topics.duplicated()].head(share))
    return pd.concat(chosen) if chosen else universal
