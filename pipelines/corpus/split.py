"""Deal documents to parts: training halves, validation, fit and score."""

import hashlib
import math
from typing import NamedTuple

import numpy as np
import pandas as pd

from pipelines.corpus.corpus_config import CorpusConfig, SplitConfig
from pipelines.corpus.read import Corpus, read_corpus
from universality.errors import refusal

#: Parts of a corpus. The training part is the two halves ``sae_a`` and ``sae_b`` together.
PARTS = ("sae_a", "sae_b", "validation", "fit", "score")
TRAIN_PARTS = ("sae_a", "sae_b")
#: Parts that never share a source: on the one pairs are chosen, on the other they are measured.
TESTED_PARTS = ("fit", "score")
# Into how many pieces the text that fit or score want of a domain is divided, where documents are short enough.
_PIECES = 20


def fair_shares(
    available: np.ndarray, weights: np.ndarray, total: float, floor: np.ndarray | float = 0.0
) -> np.ndarray:
    """Divide a budget by weights where no one takes more than there is (water filling).

    Args:
        available: what each has, >= 0.
        weights: wanted proportions, >= 0.
        total: the budget.
        floor: what each gets before weights count, an equal share of the budget at most.

    Returns:
        Shares with ``0 <= share <= available`` and sum ``min(total, sum(available))`` up to rounding; beyond the
        floor, all that are not limited by what they have are in proportion to their weights.
    """
    available = np.asarray(available, dtype=float)
    floor = np.minimum(np.minimum(floor, total / max(available.size, 1)), available)
    available, total = available - floor, total - float(floor.sum())
    weights = np.where(available > 0, np.asarray(weights, dtype=float), 0.0)
    shares = np.zeros_like(available)
    open_ = weights > 0
    while open_.any() and total - shares.sum() > 1e-9:
        share = (total - shares[~open_].sum()) * weights / weights[open_].sum()
        full = open_ & (share >= available)
        if not full.any():
            return floor + np.where(open_, share, shares)
        shares[full] = available[full]
        open_ &= ~full
    return floor + shares


def split_corpus(corpus: Corpus, config: SplitConfig, root_seed: int) -> pd.DataFrame:
    """Assign every document to a part, and say how often it stands in training.

    *Fit* and *score* never share a source (``source_group``: a file, chapter, catalogue), so that what is chosen on
    the first is tested on other sources, and each takes text from as many sources as it can: intervals count them.
    Other text of such a source may be validated or trained on. Pieces that are dealt are consecutive documents of a
    unit (of one domain), about ``max_group_bytes`` together, but no more than a twentieth of what fit or score want
    of the domain, or one document.

    Pieces are dealt domain by domain (those of few sources first), in the order of a hash of ``(root_seed, digest of
    the piece's first document)``, the first piece of every source before the second of any:

    1. *fit*, *score* and *validation* get byte quotas: the token budgets of the config times
       ``bytes_per_token``. Fit and score first get the text of ``min_sources`` average documents of every domain (an
       equal share at most); the rest is shared by ``bytes**(1 - balance)`` (validation: all of it, by bytes), no domain
       giving a part more than ``max_fraction`` of itself. So rare scripts get rows they can be measured on, and keep
       most of their text for training.
    2. What is left is training, dealt to the halves ``sae_a`` and ``sae_b`` in stretches of ``max_group_bytes``, the
       smaller half first.
    3. A domain under ``min_share`` of the training bytes is repeated, at most ``max_repeats`` times; copies
       of a document stay in its half. Held-out parts are never repeated.

    A domain with a single source has text in fit or in score, not in both: nothing is measured on it.

    Returns:
        ``corpus.documents`` with two more columns: ``part`` (one of ``PARTS``) and ``repeats`` (>= 1; 1 outside
        training).

    Raises:
        InputError: too little text, or too few sources, for every part to get a document.
    """
    frame = corpus.documents
    quotas = _quotas(frame.groupby("domain", sort=True)["n_bytes"].agg(["sum", "mean"]), config)
    piece = _stretches(frame, {domain: _piece_bytes(quota, config) for domain, quota in quotas.items()})
    stretch = _stretches(frame, dict.fromkeys(quotas, config.max_group_bytes))
    pieces = frame.assign(stretch=stretch).groupby(piece).agg(
        n_bytes=("n_bytes", "sum"), digest=("digest", "first"), domain=("domain", "first"),
        source=("source_group", "first"), stretch=("stretch", "first"),
    )  # fmt: skip
    pieces["hash"] = [hashlib.blake2b(f"{root_seed}/{digest}".encode()).digest() for digest in pieces["digest"]]
    pieces = pieces.sort_values("hash")
    pieces["turn"] = pieces.groupby(["domain", "source"]).cumcount()
    pieces = pieces.sort_values("turn", kind="stable")
    n_sources = pieces.groupby("domain")["source"].nunique()
    tested_in: dict[int, str] = {}
    part_of_piece: dict[int, str] = {}
    for domain in sorted(quotas, key=lambda domain: (n_sources[domain], domain)):
        part_of_piece |= _deal(pieces[pieces["domain"] == domain], quotas[domain], tested_in)
    part = pd.Series(piece, index=frame.index).map(part_of_piece)
    _check_parts(part, frame, config)
    return frame.assign(part=part, repeats=_repeats(frame, part, config))


def _piece_bytes(quota: dict[str, float], config: SplitConfig) -> float:
    """Bytes of a domain that are dealt together; a document is never cut."""
    return max(1.0, min(config.max_group_bytes, quota["fit"] / _PIECES, quota["score"] / _PIECES))


def _stretches(frame: pd.DataFrame, limits: dict[str, float]) -> np.ndarray:
    """Number of each document's stretch of its unit (of one domain and source), as long as the limit of the domain."""
    keys = ["domain", "unit", "source_group"]
    before = frame.groupby(keys)["n_bytes"].cumsum() - frame["n_bytes"]
    number = (before // frame["domain"].map(limits)).astype(np.int64)
    return frame.groupby([*keys, number], sort=True).ngroup().to_numpy()


def _quotas(sizes: pd.DataFrame, config: SplitConfig) -> dict[str, dict[str, float]]:
    """Bytes that fit, score and validation should get of each domain; ``sizes``: its bytes and mean document."""
    size = sizes["sum"].to_numpy(dtype=float)
    floor = config.min_sources * sizes["mean"].to_numpy(dtype=float)
    budgets = {
        "fit": (config.fit_tokens, size ** (1 - config.balance), floor),
        "score": (config.score_tokens, size ** (1 - config.balance), floor),
        "validation": (config.validation_tokens, size, np.zeros(size.size)),
    }
    shares = {
        part: fair_shares(size * config.max_fraction, weights, tokens * config.bytes_per_token, floor)
        for part, (tokens, weights, floor) in budgets.items()
    }
    return {
        str(domain): {part: float(share[i]) for part, share in shares.items()} for i, domain in enumerate(sizes.index)
    }


def _deal(pieces: pd.DataFrame, quotas: dict[str, float], tested_in: dict[int, str]) -> dict[int, str]:
    """Parts of one domain's pieces.

    A piece goes to the held-out part that misses the largest share of its quota, among those that it would
    not overshoot by more than it fills, and that its source is not barred from; if there is none, to training.

    Args:
        pieces: by number, in the order of dealing: n_bytes, source, stretch.
        quotas: bytes by held-out part.
        tested_in: fit or score, by source that has given text to one of them; what is dealt is added.
    """
    missing = dict(quotas)
    halves: dict[str, int] = dict.fromkeys(TRAIN_PARTS, 0)
    half_of: dict[int, str] = {}
    parts: dict[int, str] = {}
    columns = (pieces[name].tolist() for name in ("n_bytes", "source", "stretch"))
    for piece, n_bytes, source, stretch in zip(pieces.index.tolist(), *columns, strict=True):
        open_ = [
            name
            for name in missing
            if n_bytes <= 2 * missing[name] and (name not in TESTED_PARTS or tested_in.get(source, name) == name)
        ]
        if open_:
            part = max(open_, key=lambda name: missing[name] / quotas[name])
            missing[part] -= n_bytes
            if part in TESTED_PARTS:
                tested_in[source] = part
        else:
            part = half_of.setdefault(stretch, min(halves, key=halves.__getitem__))
            halves[part] += n_bytes
        parts[piece] = part
    return parts


def _repeats(frame: pd.DataFrame, part: pd.Series, config: SplitConfig) -> np.ndarray:
    in_training = part.isin(TRAIN_PARTS).to_numpy()
    trained = frame.loc[in_training].groupby("domain")["n_bytes"].sum()
    floor = config.min_share * trained.sum()
    repeats = {
        domain: config.repeats.get(str(domain), min(config.max_repeats, max(1, math.ceil(floor / n_bytes))))
        for domain, n_bytes in trained.items()
    }
    by_document = frame["domain"].map(repeats).fillna(1).to_numpy(dtype=np.int64)
    return np.where(in_training, by_document, 1)


def _check_parts(part: pd.Series, frame: pd.DataFrame, config: SplitConfig) -> None:
    empty = sorted(set(PARTS) - set(part))
    if not empty:
        return
    n_sources = frame["source_group"].nunique()
    remedy = (
        f"Give more text, or lower max_document_bytes of the corpus or max_group_bytes of the split "
        f"({config.max_group_bytes})."
    )
    if n_sources < 2 and not set(empty).isdisjoint(TESTED_PARTS):
        remedy = (
            "Fit and score never share a source: give more text in a second file, or set group_by: chapter for the "
            "source of the corpus, so that every 16 kB count as one."
        )
    got = f"{len(frame)} documents of {n_sources} sources, {int(frame['n_bytes'].sum())} bytes"
    raise refusal(f"parts {empty}", "the split", "filled with at least one document each", got, remedy)


class CorpusResult(NamedTuple):
    """Documents with their parts, the manifest to keep with the run, and what to warn of.

    ``texts``: document, text, domain, source, origin, unit, source_group, n_bytes, digest, part, repeats.
    """

    texts: pd.DataFrame
    manifest: dict[str, object]
    warnings: tuple[str, ...] = ()


def build_corpus(config: CorpusConfig, split: SplitConfig, root_seed: int) -> CorpusResult:
    """Read and split a corpus. Memory: about four times the bytes of the text kept (see ``max_bytes``)."""
    corpus = read_corpus(config)
    texts = split_corpus(corpus, split, root_seed)
    sizes = texts.pivot_table(index="domain", columns="part", values="n_bytes", aggfunc="sum", fill_value=0)
    repeats = texts.groupby("domain")["repeats"].max()
    facts = {
        str(domain): {part: int(sizes.get(part, {}).get(domain, 0)) for part in PARTS}
        | {"repeats": int(repeats[domain])}
        for domain in sizes.index
    }
    return CorpusResult(texts, {**corpus.manifest, "parts": facts}, corpus.warnings)
