"""The labelled demo mix: which reader feeds which domain, how much of each, and the pins."""

import tomllib
from collections.abc import Callable, Iterator
from importlib.resources import files
from typing import Any, NamedTuple

from pipelines.corpus import demo_readers as readers
from pipelines.corpus.corpus_config import DemoMix
from pipelines.corpus.documents import Unit
from pipelines.corpus.scripts import SCRIPTS, majority_script
from pipelines.errors import nearest
from universality.errors import refusal


class Reader(NamedTuple):
    """A lazy source of units and the domains its documents may get."""

    units: Callable[[], Iterator[Unit]]
    domains: tuple[str, ...]


# English prose and code are Latin too: the script alone is not the domain.
_LATIN = "latin_i18n"
_SCRIPT_DOMAINS = tuple(_LATIN if script == "latin" else script for script in SCRIPTS)

# Running prose first, then interface texts, then word lists: a capped script keeps its best text.
READERS = (
    Reader(readers.english_prose, ("english_prose",)),
    Reader(readers.tech_docs_html, ("tech_docs_html",)),
    Reader(readers.python, ("python",)),
    Reader(readers.html, ("html",)),
    Reader(readers.js_css, ("js_css",)),
    Reader(readers.legal, ("legal",)),
    Reader(readers.dna, ("dna",)),
    Reader(readers.protein, ("protein",)),
    Reader(readers.base64_text, ("base64",)),
    Reader(readers.hexadecimal, ("hex",)),
    Reader(readers.running_i18n, _SCRIPT_DOMAINS),
    Reader(readers.interface_i18n, _SCRIPT_DOMAINS),
    Reader(readers.names_i18n, _SCRIPT_DOMAINS),
)
DOMAINS = tuple(dict.fromkeys(domain for reader in READERS for domain in reader.domains))

_EVERYTHING = 1_000_000_000
#: By ``caps`` and ``sha256``, then by size of the mix and by domain.
MIX: dict[str, Any] = tomllib.loads((files("pipelines") / "corpus" / "demo.toml").read_text(encoding="utf-8"))


def caps(config: DemoMix) -> dict[str, int]:
    """Bytes of each domain to take at most; 0 for a domain that is not wanted.

    Raises:
        InputError: a domain that the mix does not have.
    """
    given = config.max_bytes if isinstance(config.max_bytes, dict) else {}
    for name in [*(config.domains or ()), *given]:
        if name not in DOMAINS:
            remedy = f"Correct it.{nearest(name, DOMAINS)}"
            raise refusal("domain", "the demo mix", f"one of {list(DOMAINS)}", repr(name), remedy)
    chosen = config.domains or DOMAINS
    ceiling = config.max_bytes if isinstance(config.max_bytes, int) else _EVERYTHING
    table = {domain: MIX["caps"][config.size].get(domain, _EVERYTHING) for domain in DOMAINS} | given
    return {domain: min(cap, ceiling) if domain in chosen else 0 for domain, cap in table.items()}


def script_domain(text: str) -> str:
    """The domain of a document of the i18n sources: its majority script."""
    script = majority_script(text)
    return _LATIN if script == "latin" else script
