"""The evaluation rows that every model of a comparison shares, and their two halves.

A *row* is one token of one document. Candidates and assignments are made on the *fit* rows, every
score, null and interval on the *score* rows, and a document lies wholly in one half: rows of one
document are not independent, so a split inside documents would leak.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from universality.errors import InputError, must_be, require
from universality.seeds import generator


@dataclass(frozen=True, eq=False)
class Rows:
    """What is known about each evaluation row, in the order of the rows of every activation matrix.

    Attributes:
        documents: (n_rows,) int, the document that a row belongs to.
        fit: (n_rows,) bool, True on fit rows; constant within a document.
        domains: (n_rows,) int codes into ``domain_names``, or None.
        domain_names: names of the domains by code, or None.
        tokens: (n_rows,) int token ids, or None.
        positions: (n_rows,) int positions in the context, or None.
        next_tokens: (n_rows,) int id of the token that came next, -1 where none did, or None.
        n_ctx: length of a context in tokens, or None; null offsets avoid its multiples.

    Raises:
        InputError: arrays of unequal length or wrong type, a document in both halves, an empty half.
    """

    documents: np.ndarray
    fit: np.ndarray
    domains: np.ndarray | None = None
    domain_names: tuple[str, ...] | None = None
    tokens: np.ndarray | None = None
    positions: np.ndarray | None = None
    n_ctx: int | None = None
    next_tokens: np.ndarray | None = None

    def __post_init__(self) -> None:
        documents = _integers("documents", self.documents, None)
        n_rows = documents.size
        object.__setattr__(self, "documents", documents)
        for name in ("tokens", "positions", "next_tokens"):
            value = getattr(self, name)
            object.__setattr__(self, name, None if value is None else _integers(name, value, n_rows))
        self._set_domains(n_rows)
        fit = np.asarray(self.fit)
        flags, got = fit.dtype == np.bool_ and fit.shape == (n_rows,), f"shape {fit.shape} of {fit.dtype}"
        remedy = "Give one flag per row, for example from split_documents."
        require(flags, "fit", "rows", f"a boolean array of shape ({n_rows},)", got, remedy)
        object.__setattr__(self, "fit", fit)
        _check_halves(documents, fit)
        some = self.n_ctx is None or self.n_ctx >= 1
        require(some, "n_ctx", "rows", "at least 1", self.n_ctx, "Leave it out if unknown.")

    def _set_domains(self, n_rows: int) -> None:
        if self.domains is None:
            object.__setattr__(self, "domain_names", None)
            return
        codes, names = encode_domains(self.domains, self.domain_names)
        fits = codes.shape == (n_rows,)
        require(fits, "domains", "rows", f"of shape ({n_rows},)", codes.shape, "Give one label per row.")
        object.__setattr__(self, "domains", codes)
        object.__setattr__(self, "domain_names", names)

    @property
    def n_rows(self) -> int:
        """Number of rows, both halves together."""
        return int(self.documents.size)

    @property
    def score(self) -> np.ndarray:
        """(n_rows,) bool, True on the rows that no candidate or assignment was chosen on."""
        return ~self.fit


def encode_domains(domains: Any, names: Any = None) -> tuple[np.ndarray, tuple[str, ...]]:
    """Turn domain labels into codes and names.

    Args:
        domains: (n_rows,) strings, or int codes.
        names: names by code; for int codes without names the numbers themselves are the names.

    Returns:
        int32 codes (n_rows,) and the names; names of strings are sorted.

    Raises:
        InputError: a code without a name, or labels that are neither strings nor integers.
    """
    labels = np.asarray(domains)
    if labels.ndim == 1 and labels.dtype.kind in "iu" and names is not None:
        names = tuple(str(name) for name in names)
        if labels.size and not (labels.min() >= 0 and labels.max() < len(names)):
            got = f"{labels.min()}..{labels.max()}"
            remedy = "Give a name for every code."
            raise InputError(must_be("domains", "rows", f"codes in 0..{len(names) - 1}", got, remedy))
        return labels.astype(np.int32), names
    is_label = labels.ndim == 1 and labels.dtype.kind in "iuUSO"
    got, remedy = f"shape {labels.shape} of {labels.dtype}", "Give one label per row."
    require(is_label, "domains", "rows", "one-dimensional strings or integers", got, remedy)
    values, codes = np.unique(labels.astype(str) if labels.dtype.kind == "O" else labels, return_inverse=True)
    return codes.astype(np.int32), tuple(str(value) for value in values)


def split_documents(documents: Any, root_seed: int, domains: Any = None) -> np.ndarray:
    """Split documents into a fit half and a score half of about equal rows.

    Documents are shuffled (within each domain where labels are given) and dealt one by one to the half
    that has fewer rows of that domain, then of everything; so each half has about half of every domain.

    Args:
        documents: (n_rows,) int, the document of each row (any order, any ids).
        root_seed: seed of the comparison.
        domains: (n_rows,) labels; a document's domain is that of its first row.

    Returns:
        (n_rows,) bool, True on fit rows; constant within a document, neither half empty.

    Raises:
        InputError: fewer than two documents.

    Source: ours.
    """
    documents = _integers("documents", documents, None)
    ids, first, inverse, n_rows = np.unique(
        documents, return_index=True, return_inverse=True, return_counts=True
    )
    remedy = "Every score is held out by document: give the document of each row."
    require(ids.size >= 2, "documents", "rows", "at least two different ids", ids.size, remedy)
    codes = np.zeros(ids.size, np.int32)
    if domains is not None:
        codes = encode_domains(domains)[0][first]
    fit = np.zeros(ids.size, bool)
    overall = 0  # fit rows minus score rows so far
    for code in np.unique(codes):
        members = np.flatnonzero(codes == code)
        generator(root_seed, "split", int(code)).shuffle(members)
        surplus = 0
        for member in members:
            fit[member] = (surplus, overall) <= (0, 0)
            step = int(n_rows[member]) if fit[member] else -int(n_rows[member])
            surplus += step
            overall += step
    return fit[inverse]


def _integers(name: str, value: Any, n_rows: int | None) -> np.ndarray:
    array = np.asarray(value)
    is_list = array.ndim == 1 and array.dtype.kind in "iu" and array.size
    got, remedy = f"shape {array.shape} of {array.dtype}", "Give one integer per row."
    require(is_list, name, "rows", "a non-empty one-dimensional integer array", got, remedy)
    fits, remedy = n_rows in (None, array.size), "All row arrays describe the same rows."
    require(fits, name, "rows", f"of length {n_rows}", array.size, remedy)
    return array


def _check_halves(documents: np.ndarray, fit: np.ndarray) -> None:
    varies, remedy = fit.any() and not fit.all(), "Give at least one document to each half."
    require(varies, "fit", "rows", "True on some rows and False on others", "one value", remedy)
    both = np.intersect1d(documents[fit], documents[~fit])
    if both.size:
        got = f"document {both[0]} in both halves"
        remedy = "Split by document, for example with split_documents."
        raise InputError(must_be("fit", "rows", "constant within each document", got, remedy))
