"""What is looked at before anything is computed: the first text of every source, the tokenizer, how much text."""

from __future__ import annotations

from pathlib import Path

from pipelines.corpus.corpus_config import CorpusConfig, DemoMix, HubDataset, JsonLines, TextFolder
from pipelines.corpus.demo import caps
from pipelines.corpus.files import file_units
from pipelines.corpus.hub import check_installed, hub_units
from pipelines.corpus.listing import matching_files
from pipelines.corpus.packages import PACKAGES, locate
from pipelines.recipe import Recipe
from results.public.ahead import check_tokenizer
from results.words import size

#: Bytes of the demo mix, about.
_DEMO_BYTES = {"small": 8_000_000, "full": 17_000_000}


def check_heads(recipe: Recipe) -> tuple[str, ...]:
    """Read the first text of every source on this machine, and find the tokenizers.

    Returns:
        What to say of the text: parts that ask for more than there is.

    Raises:
        InputError: a column or domain that is not there, text that cannot be read, no tokenizer.
        SourceMissing: a package that holds or reads text is not installed.
    """
    for source in recipe.corpus.sources:
        if isinstance(source, DemoMix):
            caps(source)
            for package in PACKAGES:
                locate(package)
        elif not isinstance(source, HubDataset):
            next(file_units(source), None)
        elif Path(source.name).expanduser().is_dir():
            next(hub_units(source), None)
        else:
            check_installed(source)
    for tokenizer in recipe.tokenizers:
        if tokenizer.kind == "hub":
            check_tokenizer(tokenizer.name, tokenizer.revision)
    there, split, said = most_bytes(recipe.corpus), recipe.split, []
    for name, tokens in (("fit", split.fit_tokens), ("score", split.score_tokens)):
        most = None if there is None else int(split.max_fraction * there / split.bytes_per_token)
        if most is not None and tokens > most:
            said.append(
                f"split.{name}_tokens asks for {tokens:,} tokens and will get about {most:,}: a share of max_fraction "
                f"({split.max_fraction:g}) of at most {size(there)} of text, {split.bytes_per_token:g} bytes each "
                "(bytes_per_token)."
            )
    return tuple(said)


def most_bytes(corpus: CorpusConfig) -> int | None:
    """Bytes of text that a corpus holds at most; None where that is not known without reading it."""
    total = 0
    for source in corpus.sources:
        if isinstance(source, DemoMix):
            total += min(_DEMO_BYTES[source.size], sum(caps(source).values()))
            continue
        files = matching_files(source) if isinstance(source, (TextFolder, JsonLines)) else []
        if not files or any(path.suffix.lower() in (".gz", ".bz2", ".xz") for _, path in files):
            return None
        total += min(sum(path.stat().st_size for _, path in files), source.max_bytes)
    return total
