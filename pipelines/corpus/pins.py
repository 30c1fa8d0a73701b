"""What the demo mix must be, byte by byte: two studies that name it have seen the same text."""

from __future__ import annotations

from pipelines.corpus.config import CorpusConfig, DemoMix
from pipelines.corpus.errors import CorpusError
from pipelines.corpus.packages import INSTALL
from universality.errors import must_be

#: sha256 (first 16 hex digits) of each domain's documents, each followed by a zero byte, in reading order.
PINS: dict[str, dict[str, str]] = {"small": {}, "full": {}}


def check(source: DemoMix, config: CorpusConfig, facts: dict[str, dict[str, object]]) -> None:
    """Compare each domain of a mix taken as it is with its pinned digest.

    Does nothing where the config takes less of the mix, or cuts it otherwise.

    Raises:
        CorpusError: a domain's text differs.
    """
    plain = CorpusConfig(sources=(DemoMix(size=source.size),))
    if source != plain.sources[0] or (config.max_document_bytes, config.min_document_bytes) != (
        plain.max_document_bytes,
        plain.min_document_bytes,
    ):
        return
    for domain, pinned in PINS[source.size].items():
        got = str(facts.get(domain, {}).get("sha256", "no text"))[: len(pinned)]
        if got != pinned:
            raise CorpusError(
                must_be(
                    f"domain '{domain}'",
                    f"the demo mix '{source.size}'",
                    f"text with sha256 {pinned}…",
                    got,
                    f"A data file was changed after installation. Reinstall: {INSTALL} --force-reinstall",
                )
            )
