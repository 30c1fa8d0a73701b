"""The tables of a run that a report writes, and what a row of each is."""

from collections.abc import Mapping
from dataclasses import replace

import pandas as pd

from results import schema
from results.stored_comparison import StoredComparison
from results.tokenizers import own_vocabulary
from storage import Run
from universality.schema import Column, TableSchema

_PAIRS, _LOGITS = schema.TABLES["pairs"], schema.TABLES["logits"]
_PINNED = replace(_PAIRS, name="pinned", meaning="the pairs that were pinned, in their order")
_ANSWERS = schema.MADE["answers"].under(schema.COMPARISON_ID)
_EXPLAINED = schema.MADE["explained"].under(schema.COMPARISON_ID)
_NAMES = schema.MADE["names"].under(schema.COMPARISON_ID)
_TOKEN_TEXT = Column("token_text", "text", "text", "any", "the token as text")
#: Tables in the order of the README.
TABLES: Mapping[str, TableSchema] = {
    table.name: table
    for stored in schema.TABLES.values()
    for table in ((stored, _PINNED, _NAMES, _ANSWERS, _EXPLAINED) if stored.name == "clusters" else (stored,))
    if table.name not in schema.INNER
} | {"logits": replace(_LOGITS, columns=(*_LOGITS.columns, _TOKEN_TEXT))}
#: Evidence of single latents, many rows each: Parquet only.
EVIDENCE = (
    "candidates", "positions", "cluster_positions", "cluster_links", "latent_domains", "contexts", "histograms",
    "logits",
)  # fmt: skip
#: Tables with more rows come as Parquet only: a spreadsheet could not open them anyway.
MAX_CSV_ROWS = 200_000


def with_token_text(run: Run, logits: pd.DataFrame) -> pd.DataFrame:
    """The table ``logits`` with the text of each token, of its own model's where a run has several tokenizers."""
    texts = pd.Series(index=logits.index, dtype=object)
    for (comparison, model), rows in logits.groupby(["comparison_id", "model"], sort=False):
        vocabulary = own_vocabulary(StoredComparison(run, str(comparison)), str(model))
        texts.loc[rows.index] = rows["token"].map(vocabulary.set_index("token")["text"])
    return logits.assign(token_text=texts)
