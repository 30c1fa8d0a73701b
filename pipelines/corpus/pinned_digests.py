"""What the demo mix must be, byte by byte: two studies that name it have seen the same text."""

from pipelines.corpus.corpus_config import CorpusConfig, DemoMix
from pipelines.corpus.packages import INSTALL
from universality.errors import refusal

#: sha256 (first 16 hex digits) of each domain's documents, each followed by a zero byte, in reading order; by size of
#: the mix and longest document.
PINS: dict[tuple[str, int], dict[str, str]] = {
    ("small", 2048): {
        "arabic": "a3c0c89166d53fc6",
        "armenian": "4cc6d05072bd6058",
        "base64": "7800160fa5a1edfb",
        "bengali": "bf3b92bb8943e88b",
        "cyrillic": "ca1f4b1adab94ad7",
        "devanagari": "00a081c1a2f02d92",
        "dna": "c3293c7b3fdad767",
        "english_prose": "2db4b5a0aae04e93",
        "ethiopic": "9283aa7d84d08c90",
        "georgian": "06b80e4edb05906c",
        "greek": "6507c05ea0d328aa",
        "han": "e90065adf2bbd91a",
        "hangul": "b0217bfe60db0496",
        "hebrew": "887e56f981058c35",
        "hex": "1088782678421353",
        "html": "0058ce7806f32ce6",
        "js_css": "461fef39ee760ebf",
        "kana": "67ae0e149ea14bad",
        "latin_i18n": "63cc761dbe24c280",
        "legal": "277911188ba7290b",
        "other_script": "220f6c7642c9d8a3",
        "protein": "d91509f4c6b5a6be",
        "python": "6ec7bb2f37234490",
        "tamil": "830748a4bc3e6c68",
        "tech_docs_html": "7c732dfab93cc81b",
        "thai": "f18c4f8d62538487",
    },
    ("small", 1024): {
        "arabic": "410bffc6f9798bfa",
        "armenian": "0a492dd64a76c775",
        "base64": "ef64e692b0f9262b",
        "bengali": "0f1443331a10a156",
        "cyrillic": "488830adb9f50341",
        "devanagari": "12fcb2f049ab5fb0",
        "dna": "da26291938588ab4",
        "english_prose": "da25783daa85972c",
        "ethiopic": "772c7aa81014c389",
        "georgian": "1dce9d028bda2fd6",
        "greek": "d01cf25455be5d2f",
        "han": "32600457fc9e59aa",
        "hangul": "d11231cdfe728f2b",
        "hebrew": "0669907ba02677b6",
        "hex": "32bcee14926a59fe",
        "html": "7b303a941f617778",
        "js_css": "32f386280cefcc9f",
        "kana": "b628ec9719d85270",
        "latin_i18n": "64eb35291b5048c1",
        "legal": "eedcd64cf31859a2",
        "other_script": "062e52344b3a1c00",
        "protein": "a10fd89b0b1ca4de",
        "python": "36a44550dfb948d5",
        "tamil": "2aca03a3a17f7f3b",
        "tech_docs_html": "9921dcd25c7d1dae",
        "thai": "7ef98dcbb7969d55",
    },
    ("full", 2048): {
        "arabic": "a3c0c89166d53fc6",
        "armenian": "4cc6d05072bd6058",
        "base64": "3cf245c5644c7e7d",
        "bengali": "bf3b92bb8943e88b",
        "cyrillic": "eacccd55ebf3df0f",
        "devanagari": "00a081c1a2f02d92",
        "dna": "c3293c7b3fdad767",
        "english_prose": "593fc911434c5483",
        "ethiopic": "9283aa7d84d08c90",
        "georgian": "06b80e4edb05906c",
        "greek": "6507c05ea0d328aa",
        "han": "e90065adf2bbd91a",
        "hangul": "b0217bfe60db0496",
        "hebrew": "887e56f981058c35",
        "hex": "2cadde7f5364a8d3",
        "html": "0058ce7806f32ce6",
        "js_css": "2e7b7a906f0bb98c",
        "kana": "67ae0e149ea14bad",
        "latin_i18n": "96140f552375d18f",
        "legal": "277911188ba7290b",
        "other_script": "2da4ee5da7d0398b",
        "protein": "87d33514da418ec6",
        "python": "428293ed5116eb1c",
        "tamil": "830748a4bc3e6c68",
        "tech_docs_html": "2ef070a65cb19b2b",
        "thai": "f18c4f8d62538487",
    },
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
                f"A data file was changed after installation. Reinstall: {INSTALL} --force-reinstall",
            )
