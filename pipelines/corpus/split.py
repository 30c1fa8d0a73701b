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


def fair_shares(available: np.ndarray, weights: np.ndarray, total: float) -> np.ndarray:
    """Divide a budget by weights where no one takes more than there is (water filling).

    Args:
        available: what each has, >= 0.
        weights: wanted proportions, >= 0.
        total: the budget.

    Returns:
        Shares with ``0 <= share <= available`` and sum ``min(total, sum(available))`` up to rounding; all
        that are not limited by what they have are in proportion to their weights.
    """
    available = np.asarray(available, dtype=float)
    weights = np.where(available > 0, np.asarray(weights, dtype=float), 0.0)
    shares = np.zeros_like(available)
    open_ = weights > 0
    while open_.any() and total - shares.sum() > 1e-9:
        share = (total - shares[~open_].sum()) * weights / weights[open_].sum()
        full = open_ & (share >= available)
        if not full.any():
            return np.where(open_, share, shares)
        shares[full] = available[full]
        open_ &= ~full
    return shares


def split_corpus(corpus: Corpus, config: SplitConfig, root_seed: int) -> pd.DataFrame:
    """Assign every document to a part, and say how often it stands in training.

    Consecutive documents of a unit (of one domain) form groups of about ``max_group_bytes``, and a group
    never straddles two parts. Files, articles and licences of ordinary size so stay together, which keeps
    a file's names from leaking into the held-out rows; a 400 kB contig or the Bible becomes a few dozen
    groups, without which a domain with one unit could have no held-out rows. For the same reason groups are
    smaller in a thin domain: a quarter of ``max_fraction`` of it, and no more than its fit and score quotas. Texts
    on both sides of a seam are neighbours, never copies.

    Groups are dealt domain by domain, in the order of a hash of ``(root_seed, digest of the group's first
    document)``:

    1. *fit*, *score* and *validation* get byte quotas: the token budgets of the config times
       ``bytes_per_token``, shared among the domains by ``bytes**(1 - balance)`` (validation: by bytes), no
       domain giving a part more than ``max_fraction`` of itself. So rare scripts get rows they can be
       measured on, and keep most of their text for training.
    2. What is left is training, dealt to the halves ``sae_a`` and ``sae_b``, the smaller one first.
    3. A domain under ``min_share`` of the training bytes is repeated, at most ``max_repeats`` times; copies
       of a document stay in its half. Held-out parts are never repeated.

    Returns:
        ``corpus.documents`` with three more columns: ``group``, ``part`` (one of ``PARTS``) and ``repeats``
        (>= 1; 1 outside training).

    Raises:
        InputError: too little text for every part to get a document.
    """
    frame = corpus.documents
    sizes = frame.groupby("domain", sort=True)["n_bytes"].sum()
    quotas = _quotas(sizes, config)
    group = _groups(frame, sizes, quotas, config)
    groups = frame.groupby(group).agg(
        n_bytes=("n_bytes", "sum"), digest=("digest", "first"), domain=("domain", "first")
    )
    part_of_group: dict[int, str] = {}
    for domain, members in groups.groupby("domain", sort=True):
        keys = [hashlib.blake2b(f"{root_seed}/{digest}".encode()).digest() for digest in members["digest"]]
        order = sorted(range(len(keys)), key=keys.__getitem__)
        part_of_group |= _deal(
            members.index.to_numpy()[order], members["n_bytes"].to_numpy()[order], quotas[str(domain)]
        )
    part = pd.Series(group, index=frame.index).map(part_of_group)
    _check_parts(part, frame, len(groups), config)
    return frame.assign(group=group, part=part, repeats=_repeats(frame, part, config))


def _groups(
    frame: pd.DataFrame, sizes: pd.Series, quotas: dict[str, dict[str, float]], config: SplitConfig
) -> np.ndarray:
    """Number of the group of each document: (domain, unit, which stretch of the unit)."""
    limits = {
        domain: max(
            1.0,
            min(
                config.max_group_bytes,
                n_bytes * config.max_fraction / 4,
                quotas[str(domain)]["fit"],
                quotas[str(domain)]["score"],
            ),
        )
        for domain, n_bytes in sizes.items()
    }
    limit = frame["domain"].map(limits)
    before = frame.groupby(["domain", "unit"])["n_bytes"].cumsum() - frame["n_bytes"]
    stretch = (before // limit).astype(np.int64)
    return frame.groupby(["domain", "unit", stretch], sort=True).ngroup().to_numpy()


def _quotas(sizes: pd.Series, config: SplitConfig) -> dict[str, dict[str, float]]:
    """Bytes that fit, score and validation should get of each domain."""
    size = sizes.to_numpy(dtype=float)
    budgets = {
        "fit": (config.fit_tokens, size ** (1 - config.balance)),
        "score": (config.score_tokens, size ** (1 - config.balance)),
        "validation": (config.validation_tokens, size),
    }
    shares = {
        part: fair_shares(size * config.max_fraction, weights, tokens * config.bytes_per_token)
        for part, (tokens, weights) in budgets.items()
    }
    return {
        str(domain): {part: float(share[i]) for part, share in shares.items()}
        for i, domain in enumerate(sizes.index)
    }


def _deal(groups: np.ndarray, sizes: np.ndarray, quotas: dict[str, float]) -> dict[int, str]:
    """Parts of one domain's groups.

    A group goes to the held-out part that misses the largest share of its quota, among those that it would
    not overshoot by more than it fills; if there is none, to training.
    """
    missing = dict(quotas)
    halves = dict.fromkeys(TRAIN_PARTS, 0)
    parts: dict[int, str] = {}
    for group, n_bytes in zip(groups.tolist(), sizes.tolist(), strict=True):
        open_ = [name for name in missing if n_bytes <= 2 * missing[name]]
        if open_:
            part = max(open_, key=lambda name: missing[name] / quotas[name])
            missing[part] -= n_bytes
        else:
            part = min(halves, key=halves.__getitem__)
            halves[part] += n_bytes
        parts[group] = part
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


def _check_parts(part: pd.Series, frame: pd.DataFrame, n_groups: int, config: SplitConfig) -> None:
    empty = sorted(set(PARTS) - set(part))
    if empty:
        constraint = "filled with at least one document each"
        got = f"{n_groups} groups of documents, {int(frame['n_bytes'].sum())} bytes"
        remedy = (
            "Give more text, or lower max_document_bytes of the corpus or max_group_bytes of the split "
            f"({config.max_group_bytes})."
        )
        raise refusal(f"parts {empty}", "the split", constraint, got, remedy)


class CorpusResult(NamedTuple):
    """Documents with their parts, and the manifest to keep with the run.

    ``texts``: document, text, domain, source, origin, group, n_bytes, digest, part, repeats.
    """

    texts: pd.DataFrame
    manifest: dict[str, object]


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
    return CorpusResult(texts, {**corpus.manifest, "parts": facts})
