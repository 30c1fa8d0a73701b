"""Which domain a token was written in, by a naive Bayes classifier that is fitted on the run's own text."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from universality.brief_repr import brief_repr
from universality.errors import require

#: Tokens on either side of a token that judge it with it.
REACH = 4
#: Tokens of the whole text's frequencies that each domain's counts are smoothed with.
PRIOR_TOKENS = 200.0
#: Share of a domain's letters in one script above which the script stands for the domain.
OWN_SCRIPT = 0.5


@brief_repr
@dataclass(frozen=True, eq=False)
class DomainJudge:
    """Token frequencies of every domain, fitted on fit rows, and how often they are right on score rows.

    A token belongs to the domain under which the tokens at most :data:`REACH` away from it, itself among them, are
    likeliest: ``argmax_d sum_t log P(t | d)``, all domains alike beforehand. It knows which tokens are written near
    each other and not whether they make sense: a model that repeats one token of a domain has its share at 1, so the
    share of distinct tokens stands beside it.

    Attributes:
        domains: their names, by code.
        log_p: log P(token | domain).
        hit: share of the domain's tokens that are told right, on score rows; NaN for a domain without any.
        false_alarm: share of all other domains' tokens that are taken for this one.

    Source: naive Bayes with unigrams, as in any textbook; the window: ours.
    """

    domains: list[str]
    log_p: Float[np.ndarray, "n_domains d_vocab"]
    hit: Float[np.ndarray, " n_domains"]
    false_alarm: Float[np.ndarray, " n_domains"]

    def judge(self, tokens: Int[np.ndarray, "n_texts n_tokens"]) -> Int[np.ndarray, "n_texts n_tokens"]:
        """Code of each token's domain; the rows are texts of their own."""
        texts = np.asarray(tokens)
        segments = np.repeat(np.arange(len(texts)), texts.shape[1])
        return _likeliest(self.log_p, texts.ravel(), segments).reshape(texts.shape)

    def share(self, tokens: Int[np.ndarray, "n_texts n_tokens"], domain: str) -> float:
        """Share of the tokens that belong to a domain, 0..1.

        Raises:
            InputError: the run has no such domain.
        """
        return float((self.judge(tokens) == self.code(domain)).mean())

    def code(self, domain: str) -> int:
        """Number of a domain."""
        legal = f"one of {', '.join(self.domains)}"
        require(domain in self.domains, "domain", "this run", legal, repr(domain), "Check its name.")
        return self.domains.index(domain)


def fit_judge(
    tokens: Int[np.ndarray, " n_rows"],
    domains: Int[np.ndarray, " n_rows"],
    segments: Int[np.ndarray, " n_rows"],
    fit: Bool[np.ndarray, " n_rows"],
    names: Sequence[str],
    d_vocab: int,
) -> DomainJudge:
    """Fit token frequencies on fit rows, and count on score rows how often they tell the domain.

    Args:
        tokens: token id of each row.
        domains: domain code of each row, below 0 where it has none.
        segments: number of the piece of text that a row lies in (a document within a context), rising; windows do not
            reach from one into the next.
        fit: rows to fit on; all others are scored.
        names: domains by code.
        d_vocab: number of token ids.

    Raises:
        InputError: fewer than two domains have fit rows.
    """
    n = len(names)
    known = fit & (domains >= 0)
    counts = np.bincount(domains[known].astype(np.int64) * d_vocab + tokens[known], minlength=n * d_vocab)
    counts = counts.reshape(n, d_vocab).astype(np.float64)
    sizes = counts.sum(axis=1)
    remedy = "A corpus with labels of several domains is needed."
    require((sizes > 0).sum() > 1, "domains", "the text", "at least 2 with fit rows", int((sizes > 0).sum()), remedy)
    everywhere = (counts.sum(axis=0) + 1) / (counts.sum() + d_vocab)
    log_p = np.log((counts + PRIOR_TOKENS * everywhere) / (sizes[:, None] + PRIOR_TOKENS))
    log_p[sizes == 0] = -np.inf  # nothing is known of them
    scored = ~fit & (domains >= 0)
    told = _likeliest(log_p, tokens[scored], segments[scored])
    table = np.bincount(domains[scored].astype(np.int64) * n + told, minlength=n * n).reshape(n, n).astype(float)
    own, right = table.sum(axis=1), np.diag(table)
    others = table.sum() - own
    hit = np.divide(right, own, out=np.full(n, np.nan), where=own > 0)
    false_alarm = np.divide(table.sum(axis=0) - right, others, out=np.full(n, np.nan), where=others > 0)
    return DomainJudge([str(name) for name in names], log_p, hit, false_alarm)


def _likeliest(log_p: np.ndarray, tokens: np.ndarray, segments: np.ndarray) -> np.ndarray:
    """(n,) code of the likeliest domain in the window around each token, cut at the ends of its segment."""
    n = len(tokens)
    if n == 0:
        return np.zeros(0, dtype=np.int64)
    first = np.searchsorted(segments, segments, side="left")
    last = np.searchsorted(segments, segments, side="right")
    low = np.maximum(np.arange(n) - REACH, first)
    high = np.minimum(np.arange(n) + REACH + 1, last)
    usable = np.flatnonzero(np.isfinite(log_p[:, 0]))
    best, winner = np.full(n, -np.inf), np.zeros(n, dtype=np.int64)
    for code in usable:  # one domain after the other: 26 of them over 10^5 rows would be much at once
        total = np.concatenate([[0.0], np.cumsum(log_p[code, tokens])])
        value = total[high] - total[low]
        better = value > best
        best[better], winner[better] = value[better], code
    return winner


def script_of(text: str) -> str | None:
    """The script that more than half of a text's letters are of, unless that is Latin; None where there is none.

    The script is the first word of a letter's Unicode name: ARABIC, HEBREW, CJK, …
    """
    counts = Counter(filter(None, map(_script, text)))
    name, n = counts.most_common(1)[0] if counts else ("LATIN", 0)
    return name if name != "LATIN" and n > OWN_SCRIPT * counts.total() else None


def script_share(texts: Sequence[str], script: str) -> float:
    """Share of the characters that are letters of a script, spaces left out; 0 for texts without any character."""
    seen = [_script(character) for text in texts for character in text if not character.isspace()]
    return sum(found == script for found in seen) / len(seen) if seen else 0.0


def _script(character: str) -> str | None:
    return unicodedata.name(character, "").partition(" ")[0] if character.isalpha() else None
