"""The kinds of planted features, and what a comparison should say of each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from universality.planted.events import Events


class Kind(NamedTuple):
    """What is promised of the latents of one kind; None where nothing is.

    Attributes:
        expected_class: universal, shared or specific.
        level: what two such latents share; an edge between them must not be called any finer.
        verdict: toward a model that lacks the feature.
        alone: group of a feature that no other model holds; one that others hold is ``partnered``.
        decoy: whether latents of two models look alike without being one feature.
        paired: whether each latent has one right partner in every model that holds the feature.
    """

    expected_class: str | None = None
    level: str | None = None
    verdict: str | None = None
    alone: str | None = None
    decoy: bool = False
    paired: bool = False


_EVERYWHERE = Kind("universal", "context", paired=True)

KINDS = {
    "universal": _EVERYWHERE,
    "shared": Kind("shared", "context", "absent", paired=True),
    "specific": Kind("specific", None, "absent", "missing"),
    "unstable": Kind("specific", None, "unstable", "unstable"),
    "decodable": Kind("specific", None, "decodable", "rearranged"),
    "whole": Kind("specific", None, "split", "rearranged"),
    "piece": Kind(None, "context", "part_of", "rearranged"),
    "twin": _EVERYWHERE,
    "heavy": _EVERYWHERE,
    # The feature that misses events in one model, and the one that has these events.
    "absorbed": _EVERYWHERE,
    "absorbing": _EVERYWHERE,
    # Any member of a family, and any copy, may be the partner: which one is left to chance.
    "family": Kind("universal", "context"),
    "copied": Kind("universal", "context"),
    "copy": Kind("specific", "context", "contested", "rearranged"),
    # A whole that is nearly one of its pieces counts as split all the same.
    "dominant_whole": Kind(None, "context", "split", "rearranged"),
    "dominant_piece": Kind(None, "context", "part_of", "rearranged"),
    "domain": Kind(level="domain", decoy=True),
    "document": Kind(level="document", decoy=True),
    "token": Kind(level="token", decoy=True),
    "position": Kind(level="token", decoy=True),
    "token_or_documents": Kind(level="token", decoy=True),
    "token_x_position": Kind(level="bigram", decoy=True),
    "end_of_document": Kind(level="token", decoy=True),
    "token_in_domain": Kind(level="token_x_domain", decoy=True),
    "token_in_documents": Kind(level="token_x_domain", decoy=True),
    "bigram": Kind(level="bigram", decoy=True),
    # Features of one model that are loud where those of other models are loud too.
    "outlier_rows": Kind("specific", "document", "absent", "missing", decoy=True),
    "sink_rows": Kind(None, "token", decoy=True),
}  # fmt: skip
DECOYS = tuple(name for name, kind in KINDS.items() if kind.decoy)


@dataclass(frozen=True, eq=False)
class Feature:
    """One planted feature.

    Attributes:
        kind: a key of :data:`KINDS`.
        models: models whose dictionary holds a latent for it.
        raw_models: models whose raw activations carry its direction.
        events: maps a dictionary id to the true events there; decoys draw their own for each dictionary.
        whole: number of the family's first feature: of the whole for its pieces, of the copied feature for
            its copies, of the first twin or near-duplicate for all of them; -1 for features without family.
        in_replicate: whether a replicate dictionary holds it too.
    """

    kind: str
    models: tuple[str, ...]
    raw_models: tuple[str, ...]
    events: Callable[[str], Events]
    whole: int = -1
    in_replicate: bool = field(default=True)

    @property
    def expected_group(self) -> str | None:
        """partnered, rearranged, unstable, missing, or None."""
        kind = KINDS[self.kind]
        shared = len(self.models) > 1 and not kind.decoy and self.kind != "dominant_whole"
        return "partnered" if shared else kind.alone


def real(kind: str, models: tuple[str, ...], carriers: tuple[str, ...], events: Events, whole: int = -1) -> Feature:
    """A feature that happens in the same rows wherever it is held."""
    return Feature(kind, models, carriers, lambda _: events, whole, kind != "unstable")
