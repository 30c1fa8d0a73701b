"""What a reader should keep in mind about a run, read off its tables: each caution is a title and a sentence."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import pandas as pd

from results import words
from universality.compare.marks import SHARED_INIT_WORDS, flagged_pairs

#: Limits beyond which a number is worth a warning; all of them ours.
DEAD_FRACTION = 0.3
CE_RECOVERED = 0.5
FVU = 0.5
RARE_SHARE = 0.3


class Caution(NamedTuple):
    """Something to keep in mind. Severe ones can turn a result around, the others blur it."""

    severe: bool
    title: str
    sentence: str


def cautions(
    models: pd.DataFrame,
    pairs: pd.DataFrame | None,
    headline: pd.DataFrame | None,
    indices: pd.DataFrame | None = None,
) -> list[Caution]:
    """Everything worth a warning, severe ones first.

    Args:
        models: table ``models``.
        pairs: table ``pairs`` or None.
        headline: table ``headline`` or None.
        indices: table ``indices`` or None.
    """
    found = [*_shared_init(models, indices), *_sae_quality(models), *_few_tokens(models)]
    if pairs is not None:
        found += _untested_levels(pairs)
    if headline is not None:
        found += _missing_quantities(headline)
    return sorted(found, key=lambda caution: not caution.severe)


def _shared_init(models: pd.DataFrame, indices: pd.DataFrame | None) -> Iterator[Caution]:
    primary = models[models["role"] == "primary"]
    if primary["sae_seed"].notna().all() and primary["sae_seed"].duplicated().any():
        yield Caution(
            True,
            "SAEs share an initialisation",
            f"Models {_names(primary[primary['sae_seed'].duplicated(keep=False)])} use the same SAE seed. "
            "Equal initialisations alone can make dictionaries agree; the correlations here may be an echo of it.",
        )
    for pair in flagged_pairs(indices) if indices is not None else []:
        yield Caution(True, f"{pair} look like dictionaries of one start", f"In {pair}, {SHARED_INIT_WORDS}")


def _sae_quality(models: pd.DataFrame) -> Iterator[Caution]:
    primary = models[models["role"] == "primary"]
    dead = primary[primary["dead_fraction"] > DEAD_FRACTION]
    if len(dead):
        worst = words.share(float(dead["dead_fraction"].max()))
        yield Caution(
            False,
            "Many dead latents",
            f"Up to {worst} of the latents of {_names(dead)} never fire. They are counted, not compared; "
            "a smaller dictionary or more SAE training would use them.",
        )
    poor = primary[(primary["ce_recovered"] < CE_RECOVERED) | (primary["fvu"] > FVU)]
    if len(poor):
        yield Caution(
            True,
            "SAEs reconstruct poorly",
            f"In {_names(poor)} more than half of the variance or of the loss is not recovered. "
            "Features of such dictionaries say little about the model.",
        )


def _few_tokens(models: pd.DataFrame) -> Iterator[Caution]:
    primary = models[models["role"] == "primary"]
    alive_and_rare = (primary["n_alive"] + primary["n_rare"]).clip(lower=1)
    rare = primary[primary["n_rare"] / alive_and_rare > RARE_SHARE]
    if len(rare):
        yield Caution(
            False,
            "Little evaluation text",
            f"In {_names(rare)} more than {RARE_SHARE:.0%} of the latents that fire do so too rarely to be compared. "
            "More evaluation tokens would bring them in.",
        )


def _untested_levels(pairs: pd.DataFrame) -> Iterator[Caution]:
    if len(pairs) and (pairs["level"] == "untested").all():
        yield Caution(
            True,
            "No level was tested",
            "Without token ids and domain labels nobody can tell a shared feature from a shared token or domain.",
        )


def _missing_quantities(headline: pd.DataFrame) -> Iterator[Caution]:
    known = set(headline.loc[headline["value"].notna(), "quantity"])
    for quantity, sentence in (
        ("ceiling", "Without second SAEs of the same models nobody knows how much agreement was possible."),
        ("untrained", "Without untrained models nobody knows how much agreement the text alone brings."),
    ):
        if quantity not in known:
            yield Caution(False, f"No {words.QUANTITIES[quantity][0].lower()} in this run", sentence)


def _names(models: pd.DataFrame) -> str:
    return ", ".join(models["model"].astype(str))
