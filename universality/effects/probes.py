"""Labels that no training and no matching ever saw, told from the text alone: does a matched feature know them too?"""

from __future__ import annotations

import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int
from scipy import sparse

from universality.compare.pair import Dictionary
from universality.effects.controls import hard_exchange
from universality.intervals import percentile_interval
from universality.table_schemas import TABLES

LABELS = (
    "digit", "inside_quotes", "inside_parentheses", "line_start", "indentation", "capitalised", "html_attribute",
    "second_half_of_word", "before_punctuation",
)  # fmt: skip
#: Rows that a label needs in each half.
MIN_ROWS = 50
#: What the best latent of a model must tell beyond chance before it can be said how much of that a partner tells.
LEAST_TOLD = 0.02
_DIGITS, _PUNCTUATION = frozenset(b"0123456789"), frozenset(string.punctuation.encode())
_BLANK, _NEWLINES = frozenset(b" \t"), frozenset(b"\n\r")
_CAPITALS = frozenset(string.ascii_uppercase.encode())
#: Letters of other scripts are bytes of 128 and up.
_LETTERS = frozenset(string.ascii_letters.encode()) | frozenset(range(128, 256))


def text_labels(
    token_bytes: Sequence[bytes], contexts: Int[np.ndarray, "n_contexts n_ctx"], special: Bool[np.ndarray, " d_vocab"]
) -> dict[str, Bool[np.ndarray, "n_contexts n_ctx"]]:
    """Which tokens have each of :data:`LABELS`, by their bytes and those around them in the same document.

    Args:
        token_bytes: what every token spells.
        contexts: token ids.
        special: which token ids are special: a new document begins behind each.

    Returns:
        By label. ``inside_quotes`` (straight double quotes, to the end of the line at most), ``inside_parentheses`` and
        ``html_attribute`` (in a tag, behind its name) say where a token begins; ``line_start`` that it has the first
        character of a line that is no blank, ``indentation`` that it is nothing but blanks in front of that.
    """
    found = {name: np.zeros(contexts.shape, dtype=bool) for name in LABELS}
    for number, context in enumerate(contexts):
        state = _State()
        for place, token in enumerate(context.tolist()):
            if special[token]:
                state = _State()
                continue
            spelled = token_bytes[token]
            if not spelled:
                continue
            if place and not special[context[place - 1]] and spelled[0] in _PUNCTUATION:
                found["before_punctuation"][number, place - 1] = True
            for name in state.labels(spelled):
                found[name][number, place] = True
    return found


@dataclass
class _State:
    """Where in a document we are."""

    quoted: bool = False
    depth: int = 0
    #: Outside a tag, in its name, behind its name.
    tag: int = 0
    opening: bool = False
    blank: bool = True
    last: int = 0
    _found: set[str] = field(default_factory=set)

    def labels(self, spelled: bytes) -> set[str]:
        """Labels of the next token, which is read."""
        inside = {"inside_quotes": self.quoted, "inside_parentheses": self.depth > 0, "html_attribute": self.tag == 2}
        found = {name for name, holds in inside.items() if holds}
        first = spelled.lstrip(b" \t\n\r")[:1]
        if spelled[0] in _LETTERS and self.last in _LETTERS:
            found.add("second_half_of_word")
        elif first and first[0] in _CAPITALS:
            found.add("capitalised")
        if _DIGITS & set(spelled):
            found.add("digit")
        for byte in spelled:
            if self.blank and byte not in _BLANK and byte not in _NEWLINES:
                found.add("line_start")
            self._read(byte)
        if self.blank and spelled[-1] in _BLANK:
            found.add("indentation")
        return found

    def _read(self, byte: int) -> None:
        if byte in _NEWLINES:
            self.quoted, self.blank = False, True
        elif byte not in _BLANK:
            self.blank = False
        if byte == ord('"'):
            self.quoted = not self.quoted
        elif byte == ord("("):
            self.depth += 1
        elif byte == ord(")"):
            self.depth = max(self.depth - 1, 0)
        if self.opening:  # "<" opens a tag only before a letter
            self.tag, self.opening = int(byte in _LETTERS), False
        if byte == ord("<"):
            self.opening = True
        elif byte == ord(">"):
            self.tag = 0
        elif self.tag == 1 and (byte in _BLANK or byte in _NEWLINES):
            self.tag = 2
        self.last = byte


@dataclass(frozen=True, eq=False)
class Probes:
    """Dictionaries probed for labels over the rows of a comparison.

    Attributes:
        dictionaries: by id, all over the same rows.
        labels: (n_rows,) by name.
        weights: (n_resamples, n_sources) how often each source of the score rows is drawn, in rising order.
        confidence: level of the intervals.
    """

    dictionaries: Mapping[str, Dictionary]
    labels: Mapping[str, Bool[np.ndarray, " n_rows"]]
    weights: Float[np.ndarray, "n_resamples n_sources"]
    confidence: float = 0.95

    def table(self, pairs: Sequence[tuple[str, tuple[str, str], pd.DataFrame]]) -> pd.DataFrame:
        """How much of a label the partner of a model's best latent for it tells, beside the best one there.

        Args:
            pairs: kind (matched, ceiling, floor), ids of two dictionaries, their assigned pairs (latent_a, latent_b).

        Returns:
            The columns of the table ``probes``: for every pair of dictionaries both ways, label and kind of partner.
        """
        names = [name for name in self.labels if self._is_there(name)]
        best = {name: self._best(one, names) for name, one in self.dictionaries.items()} if names else {}
        rows = []
        for kind, (a, b), matched in pairs:
            for one, other, sides in ((a, b, ("latent_a", "latent_b")), (b, a, ("latent_b", "latent_a"))):
                own, theirs = (matched[side].to_numpy(np.int64) for side in sides)
                partner = dict(zip(own.tolist(), theirs.tolist(), strict=True))
                kinds = {kind: partner}
                if kind == "matched":
                    exchanged = hard_exchange(self.dictionaries[other], theirs)
                    kinds["hard_exchange"] = {
                        latent: to for latent, to in zip(own.tolist(), exchanged.tolist(), strict=True) if to >= 0
                    }
                for number, name in enumerate(names):
                    latent, mcc = int(best[one][0][number]), float(best[one][1][number])
                    there = int(best[other][0][number])
                    for of, to in kinds.items():
                        rows.append(self._row(name, of, (one, latent, mcc), (other, to.get(latent), there)))
        schema = TABLES["probes"]
        return schema.typed(pd.DataFrame(rows, columns=pd.Index(schema.names)))

    def _is_there(self, name: str) -> bool:
        rows = next(iter(self.dictionaries.values())).rows
        return min(int((self.labels[name] & half).sum()) for half in (rows.fit, rows.score)) >= MIN_ROWS

    def _best(self, one: Dictionary, names: list[str]) -> tuple[np.ndarray, np.ndarray]:
        """(n_labels,) the alive latent with the highest Matthews correlation on fit rows, and that."""
        fit = np.flatnonzero(one.rows.fit)
        marked = np.stack([self.labels[name][fit] for name in names], axis=1).astype(np.float64)
        fires = (one.acts[fit] > 0).astype(np.float64)
        n, s = float(fit.size), marked.sum(axis=0)
        f = np.asarray(fires.sum(axis=0)).ravel()[:, None]
        scale = np.sqrt(f * (n - f)) * np.sqrt(s * (n - s))
        mcc = np.where(scale > 0, (n * np.asarray(fires.T @ marked) - f * s) / np.where(scale > 0, scale, 1.0), 0.0)
        mcc = np.where(one.alive[:, None], mcc, -2.0)
        return mcc.argmax(axis=0), mcc.max(axis=0)

    def _row(
        self, label: str, kind: str, probe: tuple[str, int, float], there: tuple[str, int | None, int]
    ) -> dict[str, object]:
        (a, latent, mcc), (b, partner, best) = probe, there
        rows = self.dictionaries[a].rows
        found: dict[str, object] = {
            "label": label, "kind": kind, "model_a": a, "latent_a": latent, "model_b": b, "latent_b": partner,
            "best_latent": best, "n_rows": int((self.labels[label] & rows.score).sum()), "mcc": mcc,
            "auc": self._area(a, latent, label)[0],
        }  # fmt: skip
        top, tops = self._area(b, best, label)
        found["auc_best"] = top
        if partner is None:
            return found
        area, areas = self._area(b, partner, label)
        found["auc_partner"] = area
        if top - 0.5 < LEAST_TOLD:
            return found
        known = tops - 0.5 >= LEAST_TOLD
        found["transfer"] = (area - 0.5) / (top - 0.5)
        if known.any():
            low, high = percentile_interval((areas[known] - 0.5) / (tops[known] - 0.5), self.confidence)
            found |= {"low": float(low), "high": float(high)}
        return found

    def _area(self, name: str, latent: int, label: str) -> tuple[float, np.ndarray]:
        """AUC of a latent's activation as a detector of a label on score rows, and with the sources drawn anew."""
        if (name, latent, label) not in self._areas:
            one = self.dictionaries[name]
            score = np.flatnonzero(one.rows.score)
            column = np.asarray(one.acts[:, [latent]].todense()).ravel()[score]
            codes = np.unique(one.rows.groups[score], return_inverse=True)[1]
            every = np.vstack([np.ones(self.weights.shape[1]), self.weights])
            areas = weighted_areas(column, self.labels[label][score], codes, every)
            self._areas[name, latent, label] = float(areas[0]), areas[1:]
        return self._areas[name, latent, label]

    _areas: dict[tuple[str, int, str], tuple[float, np.ndarray]] = field(default_factory=dict)


def weighted_areas(
    values: Float[np.ndarray, " n_rows"],
    label: Bool[np.ndarray, " n_rows"],
    groups: Int[np.ndarray, " n_rows"],
    weights: Float[np.ndarray, "n_draws n_groups"],
) -> Float[np.ndarray, " n_draws"]:
    r"""Area under the ROC curve with every row as often as its group was drawn, in [0, 1].

    .. math:: P(x_+ > x_-) + \tfrac12 P(x_+ = x_-)

    Args:
        values: what is to tell the label.
        label: the label.
        groups: group of each row.
        weights: how often each group counts.

    Returns:
        One area per draw; 0.5 where a draw has no row with the label, or none without it.

    Source: Mann and Whitney 1947; drawing whole sources: as for every other interval.
    """
    _, place = np.unique(values, return_inverse=True)
    n_values, n_groups = int(place.max()) + 1 if len(place) else 0, weights.shape[1]
    # Rows of one value and group count together: nearly all values are 0.
    counts = [
        sparse.csr_matrix((np.ones(int(of.sum())), (place[of], groups[of])), shape=(n_values, n_groups))
        for of in (label, ~label)
    ]
    with_label, without = (np.asarray(part @ weights.T) for part in counts)
    below = np.cumsum(without, axis=0) - without / 2
    pairs = with_label.sum(axis=0) * without.sum(axis=0)
    return np.where(pairs > 0, (with_label * below).sum(axis=0) / np.where(pairs > 0, pairs, 1.0), 0.5)
