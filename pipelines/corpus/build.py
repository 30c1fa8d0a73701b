"""The body of the step ``corpus``: read, split, and what to keep of it."""

from typing import NamedTuple

import pandas as pd

from pipelines.corpus.corpus_config import CorpusConfig, SplitConfig
from pipelines.corpus.read import read_corpus
from pipelines.corpus.split import PARTS, split_corpus


class CorpusResult(NamedTuple):
    """Documents with their parts, and the manifest to keep with the run.

    ``texts``: document, text, domain, source, origin, group, n_bytes, digest, part, repeats.
    """

    texts: pd.DataFrame
    manifest: dict[str, object]


def build_corpus(config: CorpusConfig, split: SplitConfig, root_seed: int) -> CorpusResult:
    """Read and split a corpus. Memory: about four times the bytes of the text kept (see ``max_bytes``)."""
    corpus = read_corpus(config)
    texts = split_corpus(corpus, split, root_seed)
    sizes = texts.pivot_table(index="domain", columns="part", values="n_bytes", aggfunc="sum", fill_value=0)
    repeats = texts.groupby("domain")["repeats"].max()
    facts = {
        str(domain): {part: int(sizes.get(part, {}).get(domain, 0)) for part in PARTS}
        | {"repeats": int(repeats[domain])}
        for domain in sizes.index
    }
    return CorpusResult(texts, {**corpus.manifest, "parts": facts})
