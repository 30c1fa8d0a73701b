"""Where text comes from and how it is split. Every field is documented: the schema is the manual."""

from __future__ import annotations

import codecs
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, field_validator, model_validator

from universality.config import Frozen


def _relative(pattern: str) -> str:
    parts = pattern.split("/")
    if not pattern.strip() or pattern.startswith("/") or ".." in parts or "" in parts[:-1]:
        raise ValueError("pattern must be relative to path, as '**/*.txt' is")
    return pattern


Pattern = Annotated[str, AfterValidator(_relative)]


class DemoMix(Frozen):
    """The labelled mix of docs/CORPUS.md, read from data packages of the ``demo`` extra."""

    kind: Literal["demo"] = "demo"
    size: Literal["small", "full"] = Field(
        default="small",
        description="How much of the big domains is taken: 'small' about 8 MB, 'full' about 17 MB.",
    )
    domains: tuple[str, ...] | None = Field(default=None, description="Domains to keep; all of them if not set.")
    max_bytes: int | dict[str, int] = Field(
        default_factory=dict,
        description="Fewer bytes than `size` gives: one number for every domain, or a number by domain.",
    )


class _Labelled(Frozen):
    domain: str = Field(default="text", description="Label of every document, unless a column or the script gives one.")
    domain_by_script: bool = Field(
        default=False,
        description="Label each document by its majority script (arabic, cyrillic, …, other_script).",
    )
    max_bytes: int = Field(
        default=256_000_000, gt=0, description="UTF-8 bytes to read at most; bounds the memory used."
    )
    max_units: int | None = Field(default=None, gt=0, description="Files or rows to read at most.")


class _Columns(_Labelled):
    text_column: str = Field(default="text", description="Column that holds the text.")
    domain_column: str | None = Field(default=None, description="Column that holds the domain label, if there is one.")
    group_column: str | None = Field(
        default=None,
        description="Column that names the source of a row (author, book, site), if rows of one source may be "
        "alike; it goes before group_by.",
    )


class TextFolder(_Labelled):
    """Plain-text files, one unit each."""

    kind: Literal["text"] = "text"
    path: str = Field(description="A folder, or one file.")
    pattern: Pattern = Field(default="**/*.txt", description="Which files of the folder, as a glob.")
    encoding: str = Field(default="utf-8", description="Encoding of the files.")
    domain_by_folder: bool = Field(default=False, description="Label each file by the first folder below `path`.")
    group_by: Literal["file", "folder", "chapter"] = Field(
        default="file",
        description="What counts as one source, of which fit and score never both get text: each file, all files of "
        "a folder, or every 16 kB of a file (for a few long files).",
    )

    @field_validator("encoding")
    @classmethod
    def _known(cls, encoding: str) -> str:
        try:
            text = "a".encode(encoding)  # codecs that are none of text (hex, zlib, rot13) refuse
            codecs.getincrementaldecoder(encoding)().decode(text, final=True)
        except (LookupError, ValueError) as error:
            raise ValueError(f"no encoding {encoding!r} of text; use 'utf-8', 'latin-1', 'utf-16', …") from error
        return encoding


_GROUP_ROWS: Any = Field(
    default="row",
    description="What counts as one source, of which fit and score never both get text: each row, all rows of a file, "
    "those of all files of a folder, or every 16 kB of a row.",
)


class JsonLines(_Columns):
    """JSON Lines files (also .gz), one unit a line."""

    kind: Literal["jsonl"] = "jsonl"
    path: str = Field(description="A folder, or one file.")
    pattern: Pattern = Field(default="**/*.jsonl*", description="Which files of the folder, as a glob.")
    group_by: Literal["row", "file", "folder", "chapter"] = _GROUP_ROWS


class ParquetFiles(_Columns):
    """Parquet files, one unit a row."""

    kind: Literal["parquet"] = "parquet"
    path: str = Field(description="A folder, or one file.")
    pattern: Pattern = Field(default="**/*.parquet", description="Which files of the folder, as a glob.")
    group_by: Literal["row", "file", "folder", "chapter"] = _GROUP_ROWS


class HubDataset(_Columns):
    """A Hugging Face dataset, streamed: a hub id, a `save_to_disk` folder, or a folder of data files."""

    kind: Literal["hub"] = "hub"
    name: str = Field(description="Hub id (owner/name) or a local folder.")
    config: str | None = Field(default=None, description="Configuration of the dataset, e.g. '20231101.en'.")
    split: str = Field(default="train", description="Split of the dataset.")
    revision: str | None = Field(default=None, description="Git revision of a hub dataset; set it to be reproducible.")
    group_by: Literal["row", "chapter"] = Field(
        default="row",
        description="What counts as one source, of which fit and score never both get text: each row, or every 16 kB "
        "of a row.",
    )


Source = Annotated[DemoMix | TextFolder | JsonLines | ParquetFiles | HubDataset, Field(discriminator="kind")]


class CorpusConfig(Frozen):
    """Sources, and how their text is cut into documents."""

    sources: tuple[Source, ...] = Field(default=(DemoMix(),), min_length=1, description="Where the text comes from.")
    max_document_bytes: int = Field(
        default=2_048,
        ge=64,
        le=1_000_000,
        description="Longest document in UTF-8 bytes: longer units are cut at line ends. Fit and score take "
        "whole documents from as many sources as they can, so that many short ones beat few long ones.",
    )
    min_document_bytes: int = Field(default=48, ge=1, description="Shorter documents are dropped (and counted).")

    @model_validator(mode="after")
    def _ordered(self) -> CorpusConfig:
        if self.min_document_bytes >= self.max_document_bytes:
            raise ValueError("min_document_bytes must be below max_document_bytes")
        return self


class SplitConfig(Frozen):
    """How documents are dealt to parts, source by source, and what is repeated in training."""

    fit_tokens: int = Field(default=100_000, gt=0, description="Evaluation tokens on which pairs are chosen.")
    score_tokens: int = Field(default=100_000, gt=0, description="Evaluation tokens on which pairs are scored.")
    validation_tokens: int = Field(default=50_000, gt=0, description="Tokens for the held-out loss of models and SAEs.")
    bytes_per_token: float = Field(
        default=4.0,
        gt=0,
        description="Bytes set aside for each evaluation token, before the tokenizer is known.",
    )
    max_group_bytes: int = Field(
        default=16_384,
        ge=1,
        description="Consecutive documents of one unit stay in the same part up to about this many bytes; fewer "
        "where a part would else have few sources of a domain.",
    )
    min_sources: int = Field(
        default=5,
        ge=1,
        description="Sources that fit and score should each have of every domain that has them, as long as no domain "
        "takes more than an equal share for it.",
    )
    max_fraction: float = Field(
        default=0.2,
        gt=0,
        lt=0.33,
        description="Largest share of a domain that fit, score or validation may each take.",
    )
    balance: float = Field(
        default=0.5,
        ge=0,
        le=1,
        description="Domains' shares of the evaluation rows: 0 as in the corpus, 1 all equal, between: by "
        "bytes**(1 - balance).",
    )
    min_share: float = Field(
        default=0.02,
        ge=0,
        le=0.5,
        description="Domains below this share of the training bytes are repeated in training.",
    )
    max_repeats: int = Field(
        default=4, ge=1, description="How often such a document stands in the training part at most."
    )
    repeats: dict[str, int] = Field(
        default_factory=dict, description="Fixed number of repeats by domain, instead of the two rules above."
    )
