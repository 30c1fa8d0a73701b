"""Read every source of a corpus into labelled, distinct documents."""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pandas as pd

from pipelines.corpus import demo, pinned_digests
from pipelines.corpus.corpus_config import CorpusConfig, DemoMix, HubDataset, Source
from pipelines.corpus.documents import CHAPTER_BYTES, Distinct, Document, Unit, cut, digest_of
from pipelines.corpus.notes import Notes
from pipelines.corpus.packages import PACKAGES
from pipelines.corpus.scripts import majority_script
from universality.errors import refusal


@dataclass(frozen=True)
class Corpus:
    """Distinct documents in reading order, and where they came from.

    Attributes:
        documents: one row each: ``document`` (0, 1, …), ``text``, ``domain``, ``source`` (name of the unit),
            ``origin`` (package, path or dataset), ``unit`` (its number), ``source_group`` (number of what it shares
            a source with), ``n_bytes`` (UTF-8), ``digest``. No two texts are equal, white space aside.
        manifest: ``domains`` (n_documents, bytes, sha256 by domain), ``packages`` (package, version,
            licence), ``dropped`` (documents left out as ``duplicate`` or ``short``), and ``warnings`` if any.
        warnings: what was passed over or mended, in sentences with counts.
    """

    documents: pd.DataFrame
    manifest: dict[str, object]
    warnings: tuple[str, ...] = ()


def read_corpus(config: CorpusConfig) -> Corpus:
    """Read a corpus: sources in order, units cut into documents, duplicates removed.

    A unit (file, row, catalogue, contig, …) is cut at line ends into documents of about
    ``max_document_bytes``. A document whose text was seen before, in any source, is dropped, so that no
    part of a later split can hold a copy of another's.

    The result depends on the config and the text alone, on no seed: all seeds of a study share it.

    Args:
        config: sources and limits.

    Raises:
        InputError: no text, one document only, undecodable bytes, a missing column, a changed demo text.
        SourceMissing: a source is not installed in the version that is pinned.
    """
    documents: list[Document] = []
    dropped: Counter[str] = Counter()
    seen = Distinct()
    groups: dict[tuple[int, str], int] = {}
    notes = Notes()
    for place, source in enumerate(config.sources):
        before = len(documents)
        first_unit = documents[-1].unit + 1 if documents else 0

        def group_of(name: str, place: int = place) -> int:
            return groups.setdefault((place, name), len(groups))

        documents.extend(_documents(source, config, seen, dropped, first_unit, group_of, notes))
        if isinstance(source, DemoMix) and before == 0:
            pinned_digests.check(source, config, _domain_facts(documents))
    _check_enough(documents, config)
    manifest = {
        "domains": _domain_facts(documents),
        "packages": _package_facts(documents),
        "dropped": {reason: dropped[reason] for reason in ("duplicate", "short")},
        **({"warnings": warnings} if (warnings := notes.sentences()) else {}),
    }
    return Corpus(_frame(documents), manifest, tuple(warnings))


class _Budget:
    """Bytes that may still be taken: by domain for the demo mix, in all for other sources."""

    def __init__(self, source: Source) -> None:
        self._by_domain = isinstance(source, DemoMix)
        self._left = demo.caps(source) if isinstance(source, DemoMix) else {"": source.max_bytes}

    def open(self, domain: str) -> bool:
        return self._left[domain if self._by_domain else ""] > 0

    def take(self, domain: str, n_bytes: int) -> None:
        self._left[domain if self._by_domain else ""] -= n_bytes


def _documents(
    source: Source,
    config: CorpusConfig,
    seen: Distinct,
    dropped: Counter[str],
    first_unit: int,
    group_of: Callable[[str], int],
    notes: Notes,
) -> Iterator[Document]:
    """Documents of one source, up to its limits; ``group_of`` numbers the names of source groups."""
    budget = _Budget(source)
    chapters = getattr(source, "group_by", None) == "chapter"
    start, name = 0, ""
    by_script = demo.script_domain if isinstance(source, DemoMix) else majority_script
    for number, unit in enumerate(_units(source, budget, notes), first_unit):
        # A long file is several units of one name: its chapters go on.
        start, name = start if unit.source == name else 0, unit.source
        for text in cut(unit.text, config.max_document_bytes):
            n_bytes = len(text.encode("utf-8"))
            group = unit.group or (f"{name}#{start // CHAPTER_BYTES}" if chapters else name)
            start += n_bytes
            domain = unit.domain or by_script(text)
            if n_bytes < config.min_document_bytes or not text.strip():
                dropped["short"] += 1
            elif not budget.open(domain):
                continue
            elif not seen.add(text):
                dropped["duplicate"] += 1
            else:
                budget.take(domain, n_bytes)
                yield Document(text, domain, name, unit.origin, number, group_of(group), digest_of(text))


def _units(source: Source, budget: _Budget, notes: Notes) -> Iterator[Unit]:
    """Units of one source, lazily: nothing is read once the budget is spent."""
    if isinstance(source, DemoMix):
        for reader in demo.READERS:
            yield from _while_open(reader.units, reader.domains, budget)
    elif isinstance(source, HubDataset):
        from pipelines.corpus.hub import hub_units

        yield from _while_open(lambda: hub_units(source, notes), ("",), budget)
    else:
        from pipelines.corpus.files import file_units

        yield from _while_open(lambda: file_units(source, notes), ("",), budget)


def _while_open(open_reader, domains: tuple[str, ...], budget: _Budget) -> Iterator[Unit]:
    if not any(budget.open(domain) for domain in domains):
        return
    for unit in open_reader():
        yield unit
        if not any(budget.open(domain) for domain in domains):
            return


def _check_enough(documents: list[Document], config: CorpusConfig) -> None:
    if len(documents) > 1:
        return
    got = f"one document, '{documents[0].source}'" if documents else "no text"
    raise refusal(
        "text",
        f"the corpus ({', '.join(source.kind for source in config.sources)})",
        f"at least two documents of {config.min_document_bytes} bytes or more",
        got,
        "Check path, pattern and text_column; give more text; or lower max_document_bytes.",
    )


def _domain_facts(documents: list[Document]) -> dict[str, dict[str, object]]:
    facts: dict[str, dict[str, object]] = {}
    by_domain: dict[str, list[bytes]] = {}
    for document in documents:
        by_domain.setdefault(document.domain, []).append(document.text.encode("utf-8"))
    for domain in sorted(by_domain):
        texts = by_domain[domain]
        digest = hashlib.sha256()
        for text in texts:
            digest.update(text + b"\0")
        facts[domain] = {
            "n_documents": len(texts),
            "bytes": sum(map(len, texts)),
            "sha256": digest.hexdigest(),
        }
    return facts


def _package_facts(documents: list[Document]) -> list[dict[str, str]]:
    origins = {document.origin for document in documents}
    return [
        {"package": package.name, "version": package.version, "licence": package.licence}
        for package in PACKAGES
        if package.name in origins
    ]


def _frame(documents: list[Document]) -> pd.DataFrame:
    frame = pd.DataFrame(documents, columns=list(Document._fields))
    frame.insert(0, "document", range(len(frame)))
    frame.insert(7, "n_bytes", [len(text.encode("utf-8")) for text in frame["text"]])
    return frame
