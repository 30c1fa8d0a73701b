"""Mixes: named parts of a corpus that single transformers are trained on, while all are read on the same text."""

from __future__ import annotations

import hashlib
from typing import Literal

import numpy as np
import pandas as pd
from pydantic import Field, model_validator

from pipelines.corpus.split import TRAIN_PARTS
from universality.config import Frozen
from universality.errors import refusal


class MixConfig(Frozen):
    """Which training documents of the corpus a transformer sees; fit, score and validation are the same for all."""

    domains: tuple[str, ...] | None = Field(None, min_length=1, description="Domains to keep; all of them if not set.")
    without: tuple[str, ...] = Field((), description="Domains to leave out.")
    half: Literal["first", "second"] | None = Field(
        None,
        description="Keep one of two random halves of every domain's sources: what two models see of one kind of text. "
        "Both halves of all domains are the placebo of a comparison of data.",
    )

    @model_validator(mode="after")
    def _says_something(self) -> MixConfig:
        if self.domains is not None and self.without:
            raise ValueError("a mix must say either domains or without; got both")
        if self.domains is None and not self.without and self.half is None:
            raise ValueError("a mix must leave something out; got none of domains, without and half")
        return self


def mix_mask(texts: pd.DataFrame, mix: MixConfig, name: str, root_seed: int) -> np.ndarray:
    """Which documents of the training part belong to a mix.

    Args:
        texts: table of :func:`pipelines.corpus.split.build_corpus`.
        mix: what to keep.
        name: of the mix, for errors.
        root_seed: deals each domain's sources to the two halves, in the order of a hash.

    Returns:
        (n_documents,) bool; False for all documents that are not trained on.

    Raises:
        InputError: a domain that the corpus does not have, or nothing is left.
    """
    known = sorted(str(domain) for domain in texts["domain"].unique())
    for domain in (*(mix.domains or ()), *mix.without):
        if domain not in known:
            raise refusal("domain", f"mix {name!r}", f"one of {', '.join(known)}", repr(domain), "Name one of these.")
    domains = texts["domain"].astype(str)
    kept = (
        texts["part"].isin(TRAIN_PARTS) & domains.isin(mix.domains or known) & ~domains.isin(mix.without)
    ).to_numpy()
    if mix.half is not None:
        kept = kept & (_first_half(texts, root_seed) == (mix.half == "first"))
    if not kept.any():
        raise refusal("training documents", f"mix {name!r}", "at least one", 0, "Leave less out, or give more text.")
    return kept


def _first_half(texts: pd.DataFrame, root_seed: int) -> np.ndarray:
    """(n_documents,) bool: whether a document's source is in the first half of its domain's training sources."""
    trained = texts["part"].isin(TRAIN_PARTS)
    sizes = texts[trained].groupby(["domain", "source_group"])["n_bytes"].sum().reset_index()
    texts_of = zip(sizes["domain"], sizes["source_group"], strict=True)
    sizes["hash"] = [hashlib.blake2b(f"{root_seed}/half/{d}/{s}".encode()).hexdigest() for d, s in texts_of]
    sizes = sizes.sort_values(["domain", "hash"])
    # The smaller half takes the next source, so that a long one does not leave the other half without text.
    first: set[tuple[object, object]] = set()
    for domain, sources in sizes.groupby("domain", sort=False):
        taken = [0, 0]
        for source, n_bytes in zip(sources["source_group"], sources["n_bytes"], strict=True):
            side = int(taken[1] < taken[0])
            taken[side] += n_bytes
            if side == 0:
                first.add((domain, source))
    return np.array([key in first for key in zip(texts["domain"], texts["source_group"], strict=True)], dtype=bool)
