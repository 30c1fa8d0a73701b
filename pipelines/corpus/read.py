"""Read every source of a corpus into labelled, distinct documents."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

import pandas as pd

from pipelines.corpus import demo, demo_readers, pins
from pipelines.corpus.config import (
    CorpusConfig,
    DemoMix,
    HubDataset,
    JsonLines,
    ParquetFiles,
    Source,
    TextFolder,
)
from pipelines.corpus.documents import Distinct, Document, Unit, cut, digest_of
from pipelines.corpus.errors import CorpusError
from pipelines.corpus.scripts import majority_script
from universality.errors import must_be


@dataclass(frozen=True)
class Corpus:
    """Distinct documents in reading order, and where they came from.

    Attributes:
        documents: one row each: ``document`` (0, 1, …), ``text``, ``domain``, ``source`` (unit), ``origin``
            (package or path), ``group`` (rows of one group must stay in one part), ``n_bytes`` (UTF-8),
            ``digest``. No two texts are equal, white space aside.
        manifest: ``domains`` (n_documents, bytes, sha256 by domain), ``packages`` (name, version, licence),
            ``dropped`` (documents left out as ``duplicate`` or ``short``).
    """

    documents: pd.DataFrame
    manifest: dict[str, object]


def read_corpus(config: CorpusConfig) -> Corpus:
    """Read a corpus: sources in order, units cut into documents, duplicates removed.

    A unit (file, row, catalogue, contig, …) is cut at line ends into documents of about
    ``max_document_bytes``. Consecutive documents of a unit form groups of at most ``max_group_bytes``
    (default 16 kB), and a group never straddles two parts. So whole files, articles and licences of
    ordinary size stay together, which keeps a file's names from leaking into the held-out rows, while a
    400 kB contig or the Bible becomes a few dozen groups, without which a domain with one unit could have
    no held-out rows at all. The texts at the seams are neighbours, not copies.

    The result depends on the config and the text alone, on no seed, so that all seeds of a study share it.

    Args:
        config: sources and limits.

    Raises:
        CorpusError: no text, one document only, undecodable bytes, a missing column, a changed demo text.
        SourceMissing: a source is not installed in the version that is pinned.
    """
    kept: list[Document] = []
    dropped: Counter[str] = Counter()
    seen = Distinct()
    first_group = 0
    for source in config.sources:
        before = len(kept)
        kept.extend(_documents(source, config, seen, dropped, first_group))
        first_group = kept[-1].group + 1 if kept else 0
        if isinstance(source, DemoMix):
            pins.check(source, config, _domain_facts(kept[before:]))
    _check_enough(kept, config)
    return Corpus(
        documents=_frame(kept),
        manifest={
            "domains": _domain_facts(kept),
            "packages": _packages(kept),
            "dropped": {"duplicate": dropped["duplicate"], "short": dropped["short"]},
        },
    )


def _documents(
    source: Source, config: CorpusConfig, seen: Distinct, dropped: Counter[str], group: int
) -> Iterator[Document]:
    """Documents of one source, up to its limits."""
    left: dict[str, int] = (
        demo.caps(source) if isinstance(source, DemoMix) else defaultdict(lambda: source.max_bytes)
    )
    for unit in _units(source, left):
        held = 0
        for piece in cut(unit.text, config.max_document_bytes):
            domain = unit.domain or majority_script(piece)
            n_bytes = len(piece.encode("utf-8"))
            if n_bytes < config.min_document_bytes:
                dropped["short"] += 1
            elif left[domain] <= 0:
                continue
            elif not seen.add(piece):
                dropped["duplicate"] += 1
            else:
                if held and held + n_bytes > config.max_group_bytes:
                    group, held = group + 1, 0
                held += n_bytes
                left[domain] -= n_bytes
                yield Document(piece, domain, unit.source, unit.origin, group, digest_of(piece))
        group += 1


def _units(source: Source, left: dict[str, int]) -> Iterator[Unit]:
    """Units of one source, lazily; a reader of the mix stops once its domains are full."""
    if isinstance(source, DemoMix):
        for reader in demo.READERS:
            if any(left[domain] > 0 for domain in reader.domains):
                for unit in reader.units():
                    yield unit
                    if all(left[domain] <= 0 for domain in reader.domains):
                        break
    elif isinstance(source, HubDataset):
        from pipelines.corpus.hub import hub_units

        yield from hub_units(source)
    else:
        from pipelines.corpus import files

        kinds = {TextFolder: files.text_units, JsonLines: files.json_units, ParquetFiles: files.parquet_units}
        yield from kinds[type(source)](source)


def _check_enough(documents: list[Document], config: CorpusConfig) -> None:
    where = ", ".join(source.kind for source in config.sources)
    if not documents:
        raise CorpusError(
            must_be(
                "text",
                f"the corpus ({where})",
                f"at least two documents of {config.min_document_bytes} bytes or more",
                "none",
                "Check the path, pattern and text column, or lower min_document_bytes.",
            )
        )
    if documents[0].group == documents[-1].group:
        raise CorpusError(
            must_be(
                "text",
                f"the corpus ({where})",
                f"more than one unit, or larger than max_group_bytes ({config.max_group_bytes})",
                f"{len(documents)} document(s) of '{documents[0].source}'",
                "Give more text, or lower max_group_bytes so that the unit can be split.",
            )
        )


def _domain_facts(documents: list[Document]) -> dict[str, dict[str, object]]:
    digests: dict[str, hashlib._Hash] = {}
    n_bytes: Counter[str] = Counter()
    n_documents: Counter[str] = Counter()
    for document in documents:
        data = document.text.encode("utf-8")
        n_bytes[document.domain] += len(data)
        n_documents[document.domain] += 1
        digests.setdefault(document.domain, hashlib.sha256()).update(data + b"\0")
    return {
        domain: {
            "n_documents": n_documents[domain],
            "bytes": n_bytes[domain],
            "sha256": digests[domain].hexdigest(),
        }
        for domain in sorted(digests)
    }


def _packages(documents: list[Document]) -> list[dict[str, str]]:
    origins = {document.origin for document in documents}
    return [
        {"package": package.name, "version": package.version, "licence": package.licence}
        for package in demo_readers.PACKAGES
        if package.name in origins
    ]


def _frame(documents: list[Document]) -> pd.DataFrame:
    frame = pd.DataFrame(documents, columns=list(Document._fields))
    frame.insert(0, "document", range(len(frame)))
    frame.insert(6, "n_bytes", [len(text.encode("utf-8")) for text in frame["text"]])
    return frame
