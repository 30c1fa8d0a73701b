"""What the demo mix must be, byte by byte: two studies that name it have seen the same text."""

from pipelines.corpus.corpus_config import CorpusConfig, DemoMix
from pipelines.corpus.demo import MIX
from pipelines.corpus.packages import INSTALL, text_folder
from universality.errors import refusal

#: sha256 (first 16 hex digits) of each domain's documents, each followed by a zero byte, in reading order; by size of
#: the mix and longest document.
PINS: dict[tuple[str, int], dict[str, str]] = {
    (size, int(longest)): digests for size, by_length in MIX["sha256"].items() for longest, digests in by_length.items()
}


def check(source: DemoMix, config: CorpusConfig, facts: dict[str, dict[str, object]]) -> None:
    """Compare each domain of a mix taken as it is with its pinned digest.

    Does nothing where the config takes less of the mix, or cuts it otherwise.

    Raises:
        InputError: a domain's text differs.
    """
    plain = CorpusConfig(sources=(DemoMix(size=source.size),))
    pins = PINS.get((source.size, config.max_document_bytes))
    if source != plain.sources[0] or config.min_document_bytes != plain.min_document_bytes or pins is None:
        return
    for domain, pinned in pins.items():
        got = str(facts.get(domain, {}).get("sha256", "no text"))[: len(pinned)]
        if got != pinned:
            raise refusal(
                f"domain '{domain}'",
                f"the demo mix '{source.size}'",
                f"text with sha256 {pinned}…",
                got,
                f"A wheel was changed. Remove those in {text_folder()}, then run: {INSTALL}",
            )
