"""The evaluation rows that every model of a comparison shares, and their two halves.

A *row* is one token of one document, and documents are pieces of a *source*: a file, a chapter, a
catalogue. Candidates and assignments are made on the *fit* rows, every score, null and interval on the
*score* rows, and a source lies wholly in one half: pieces of one source are not independent, so a split
inside sources would leak, and an interval that resamples pieces would be too narrow.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from universality.arguments import checked, whole
from universality.brief_repr import brief_repr
from universality.errors import refusal, require
from universality.seeds import generator


@brief_repr
@dataclass(frozen=True, eq=False)
class Rows:
    """What is known about each evaluation row, in the order of the rows of every activation matrix.

    Attributes:
        documents: (n_rows,) int, the document that a row belongs to.
        fit: (n_rows,) bool, True on fit rows; constant within a source.
        domains: (n_rows,) int codes into ``domain_names``, or None.
        domain_names: names of the domains by code, or None.
        tokens: (n_rows,) int token ids, or None.
        positions: (n_rows,) int positions in the context, or None.
        next_tokens: (n_rows,) int id of the token that came next, -1 where none did, or None.
        n_ctx: length of a context in tokens, or None; null offsets avoid its multiples.
        sources: (n_rows,) int, the source that the row's document comes from, or None: every document is one.

    Raises:
        InputError: arrays of unequal length or wrong type, a document of two sources, a document or source in
            both halves, an empty half.
    """

    documents: np.ndarray
    fit: np.ndarray
    domains: np.ndarray | None = None
    domain_names: tuple[str, ...] | None = None
    tokens: np.ndarray | None = None
    positions: np.ndarray | None = None
    n_ctx: int | None = None
    next_tokens: np.ndarray | None = None
    sources: np.ndarray | None = None

    def __post_init__(self) -> None:
        documents = _integers("documents", self.documents, None)
        n_rows = documents.size
        object.__setattr__(self, "documents", documents)
        for name in ("tokens", "positions", "next_tokens", "sources"):
            value = getattr(self, name)
            object.__setattr__(self, name, None if value is None else _integers(name, value, n_rows))
        self._set_domains(n_rows)
        fit = np.asarray(self.fit)
        flags, got = fit.dtype == np.bool_ and fit.shape == (n_rows,), f"shape {fit.shape} of {fit.dtype}"
        remedy = "Give one flag per row, for example from split_documents."
        require(flags, "fit", "rows", f"a boolean array of shape ({n_rows},)", got, remedy)
        object.__setattr__(self, "fit", fit)
        if self.sources is not None:
            _check_sources(documents, self.sources)
        _check_halves(self.groups, fit, "document" if self.sources is None else "source")
        some = self.n_ctx is None or (isinstance(self.n_ctx, (int, np.integer)) and self.n_ctx >= 1)
        require(some, "n_ctx", "rows", "a whole number, at least 1", self.n_ctx, "Leave it out if unknown.")

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
    def groups(self) -> np.ndarray:
        """(n_rows,) int, what is dealt to halves, shifted and resampled as a whole: the source, else the document."""
        return self.documents if self.sources is None else self.sources

    @property
    def n_sources(self) -> np.ndarray | None:
        """(n_domains,) sources of each domain that have score rows: what its figures rest on; None without labels."""
        if self.domains is None or self.domain_names is None:
            return None
        pairs = np.unique(np.stack([self.domains[self.score], self.groups[self.score]]), axis=1)
        return np.bincount(pairs[0], minlength=len(self.domain_names))

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
    check_unmasked("domains", domains)
    labels = np.asarray(domains)
    if labels.ndim == 1 and labels.dtype.kind in "iu" and names is not None:
        names = tuple(str(name) for name in names)
        if labels.size and not (labels.min() >= 0 and labels.max() < len(names)):
            got = f"{labels.min()}..{labels.max()}"
            remedy = "Give a name for every code."
            raise refusal("domains", "rows", f"codes in 0..{len(names) - 1}", got, remedy)
        return labels.astype(np.int32), names
    is_label = labels.ndim == 1 and labels.dtype.kind in "iuUSO"
    got, remedy = f"shape {labels.shape} of {labels.dtype}", "Give one label per row."
    require(is_label, "domains", "rows", "one-dimensional strings or integers", got, remedy)
    if labels.dtype.kind == "O":
        nameless = [label for label in labels if not isinstance(label, (str, int, np.integer))]
        remedy = "Give every row a label, of text or an integer."
        require(not nameless, "domains", "rows", "a label in each", repr(nameless[:1])[1:-1], remedy)
    labels = np.char.decode(labels, "utf-8") if labels.dtype.kind == "S" else labels
    values, codes = np.unique(labels.astype(str) if labels.dtype.kind == "O" else labels, return_inverse=True)
    return codes.astype(np.int32), tuple(str(value) for value in values)


@checked(root_seed=whole())
def split_documents(documents: Any, root_seed: int, domains: Any = None, sources: Any = None) -> np.ndarray:
    """Split documents, by source where sources are given, into a fit half and a score half of about equal rows.

    Sources are shuffled (within each domain where labels are given) and dealt one by one to the half that
    has fewer rows of that domain, then of everything; so each half has about half of every domain. A domain
    with a single source lies wholly in one half, and is measured in neither: see :meth:`Rows.n_sources`.

    Args:
        documents: (n_rows,) int, the document of each row (any order, any ids).
        root_seed: seed of the comparison.
        domains: (n_rows,) labels; a source is dealt with the domain of most of its rows.
        sources: (n_rows,) int, the source of each row; None: every document is its own.

    Returns:
        (n_rows,) bool, True on fit rows; constant within a source, neither half empty.

    Raises:
        InputError: fewer than two documents or sources, or a document of two sources.

    Source: ours.
    """
    groups = _integers("documents", documents, None)
    if sources is not None:
        sources = _integers("sources", sources, groups.size)
        _check_sources(groups, sources)
        groups = sources
    ids, inverse = np.unique(groups, return_inverse=True)
    what, word = ("documents", "document") if sources is None else ("sources", "source")
    remedy = f"Every score is held out by {word}: give the {word} of each row."
    require(ids.size >= 2, what, "rows", "at least two different ids", ids.size, remedy)
    codes = np.zeros(groups.size, np.int32) if domains is None else encode_domains(domains)[0]
    require(codes.size == groups.size, "domains", "rows", f"of length {groups.size}", codes.size, "One per row.")
    return _deal(_count(inverse, codes), lambda code: generator(root_seed, "split", code))[inverse]


def resplits(rows: Rows, root_seed: int, n_resplits: int) -> np.ndarray:
    """(n_resplits, n_groups) bool: the sources dealt to the two halves anew, as :func:`split_documents` deals them.

    True on the fit half; groups in rising order of :attr:`Rows.groups`.
    """
    inverse = np.unique(rows.groups, return_inverse=True)[1].ravel()
    n_rows = _count(inverse, np.zeros(rows.n_rows, np.int32) if rows.domains is None else rows.domains)
    dealt = [
        _deal(n_rows, lambda code, draw=draw: generator(root_seed, "resplit", draw, code))
        for draw in range(n_resplits)
    ]  # fmt: skip
    return np.array(dealt, dtype=bool).reshape(n_resplits, len(n_rows))


def _count(groups: np.ndarray, domains: np.ndarray) -> np.ndarray:
    """(n_groups, n_domains) rows; a file may hold documents of several domains."""
    n_rows = np.zeros((int(groups.max()) + 1, int(domains.max()) + 1), np.int64)
    np.add.at(n_rows, (groups, domains), 1)
    return n_rows


def _deal(n_rows: np.ndarray, shuffler: Callable[[int], np.random.Generator]) -> np.ndarray:
    """(n_groups,) bool: groups of (n_groups, n_domains) rows dealt one by one to the half that has fewer, True: fit."""
    main = n_rows.argmax(axis=1)
    fit = np.zeros(len(n_rows), bool)
    surplus = np.zeros(n_rows.shape[1], np.int64)  # fit rows minus score rows so far, by domain
    for code in np.unique(main):
        members = np.flatnonzero(main == code)
        shuffler(int(code)).shuffle(members)
        for member in members:
            fit[member] = (surplus[code], surplus.sum()) <= (0, 0)
            surplus += n_rows[member] if fit[member] else -n_rows[member]
    return fit


def check_unmasked(name: str, value: Any) -> None:
    """Refuse an array with masked values, which numpy would read as if they were there.

    Raises:
        InputError: says how many there are.
    """
    n_masked = int(np.ma.count_masked(value)) if isinstance(value, np.ma.MaskedArray) else 0
    remedy = "Replace them, or drop their rows everywhere."
    require(n_masked == 0, name, "rows", "without masked values", f"{n_masked} masked", remedy)


def _integers(name: str, value: Any, n_rows: int | None) -> np.ndarray:
    check_unmasked(name, value)
    array = np.asarray(value)
    is_list = array.ndim == 1 and array.dtype.kind in "iu" and array.size
    got, remedy = f"shape {array.shape} of {array.dtype}", "Give one integer per row."
    require(is_list, name, "rows", "a non-empty one-dimensional integer array", got, remedy)
    fits, remedy = n_rows in (None, array.size), "All row arrays describe the same rows."
    require(fits, name, "rows", f"of length {n_rows}", array.size, remedy)
    return array


def _check_sources(documents: np.ndarray, sources: np.ndarray) -> None:
    _, first, code = np.unique(documents, return_index=True, return_inverse=True)
    expected = sources[first][code]
    wrong = np.flatnonzero(sources != expected)
    if wrong.size:
        row = wrong[0]
        got = f"document {documents[row]} of sources {expected[row]} and {sources[row]}"
        remedy = "Give the file, chapter or catalogue that each document was cut from."
        raise refusal("sources", "rows", "constant within each document", got, remedy)


def _check_halves(groups: np.ndarray, fit: np.ndarray, word: str) -> None:
    varies, remedy = fit.any() and not fit.all(), f"Give at least one {word} to each half."
    require(varies, "fit", "rows", "True on some rows and False on others", "one value", remedy)
    both = np.intersect1d(groups[fit], groups[~fit])
    if both.size:
        got = f"{word} {both[0]} in both halves"
        raise refusal("fit", "rows", f"constant within each {word}", got, f"Split by {word}: use split_documents.")
