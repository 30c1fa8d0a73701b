"""What the demo mix must be, byte by byte: two studies that name it have seen the same text."""

from pipelines.corpus.corpus_config import CorpusConfig, DemoMix
from pipelines.corpus.packages import INSTALL
from universality.errors import refusal

#: sha256 (first 16 hex digits) of each domain's documents, each followed by a zero byte, in reading order.
PINS: dict[str, dict[str, str]] = {
    "small": {
        "arabic": "27e340d1b9c83c12",
        "armenian": "f0a38ab697c88286",
        "base64": "7800160fa5a1edfb",
        "bengali": "e1e8db3426bdfb80",
        "cyrillic": "ca1f4b1adab94ad7",
        "devanagari": "d3133372aceed5d4",
        "dna": "c2f7619621cc1657",
        "english_prose": "2db4b5a0aae04e93",
        "ethiopic": "ea96eed479a4c431",
        "georgian": "93c05dc124caab2f",
        "greek": "cd101f2d0e4efce9",
        "han": "6dea2ae7704d1b47",
        "hangul": "9ea59a6179ab193c",
        "hebrew": "ae9c50cbc26db949",
        "hex": "1088782678421353",
        "html": "0058ce7806f32ce6",
        "js_css": "461fef39ee760ebf",
        "kana": "346f796366856032",
        "latin_i18n": "63cc761dbe24c280",
        "legal": "277911188ba7290b",
        "other_script": "220f6c7642c9d8a3",
        "protein": "d91509f4c6b5a6be",
        "python": "6ec7bb2f37234490",
        "tamil": "7eb09e7d445bcd84",
        "tech_docs_html": "1c791da5ed1795de",
        "thai": "d11ed765ffe3aa04",
    },
    "full": {
        "arabic": "27e340d1b9c83c12",
        "armenian": "f0a38ab697c88286",
        "base64": "3cf245c5644c7e7d",
        "bengali": "e1e8db3426bdfb80",
        "cyrillic": "8ae02ca0d1f5bf43",
        "devanagari": "d3133372aceed5d4",
        "dna": "c2f7619621cc1657",
        "english_prose": "593fc911434c5483",
        "ethiopic": "ea96eed479a4c431",
        "georgian": "93c05dc124caab2f",
        "greek": "cd101f2d0e4efce9",
        "han": "6dea2ae7704d1b47",
        "hangul": "9ea59a6179ab193c",
        "hebrew": "ae9c50cbc26db949",
        "hex": "2cadde7f5364a8d3",
        "html": "0058ce7806f32ce6",
        "js_css": "2e7b7a906f0bb98c",
        "kana": "346f796366856032",
        "latin_i18n": "96140f552375d18f",
        "legal": "277911188ba7290b",
        "other_script": "2da4ee5da7d0398b",
        "protein": "87d33514da418ec6",
        "python": "428293ed5116eb1c",
        "tamil": "7eb09e7d445bcd84",
        "tech_docs_html": "c1ad00d51cd81d2b",
        "thai": "d11ed765ffe3aa04",
    },
}


def check(source: DemoMix, config: CorpusConfig, facts: dict[str, dict[str, object]]) -> None:
    """Compare each domain of a mix taken as it is with its pinned digest.

    Does nothing where the config takes less of the mix, or cuts it otherwise.

    Raises:
        InputError: a domain's text differs.
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
            raise refusal(
                f"domain '{domain}'",
                f"the demo mix '{source.size}'",
                f"text with sha256 {pinned}…",
                got,
                f"A data file was changed after installation. Reinstall: {INSTALL} --force-reinstall",
            )
