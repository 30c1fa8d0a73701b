"""What the demo mix must be, byte by byte."""

from __future__ import annotations

from pipelines.corpus.config import CorpusConfig, DemoMix
from pipelines.corpus.errors import CorpusError
from universality.errors import must_be

PINS: dict[str, dict[str, str]] = {"small": {}, "full": {}}


def check(source: DemoMix, config: CorpusConfig, facts: dict[str, dict[str, object]]) -> None:
    """Compare each domain of a mix taken as it is with its pinned digest."""
