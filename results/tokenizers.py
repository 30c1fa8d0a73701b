"""Tokenizers of a run whose models have several: whose is which, what each model reads, and how much all share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from results.evaluation_text import EvaluationText, Window
from results.remembering import remembered
from results.stored_comparison import TOKENIZER, TOKENS, StoredComparison, latents_node, tokenizer_node, vocabulary_of
from storage.errors import ArtifactMissing

if TYPE_CHECKING:
    from storage import Artifact


def aligned(record: Mapping[str, Any]) -> bool:
    """Whether rows of a run are bytes that several tokenizers share; groups of models may hold the same one."""
    return tokenizer_node(0) in (record.get("nodes") or {})


def several_tokenizers(stored: StoredComparison) -> bool:
    """Whether rows are bytes that tokenizers share, and what stands in the place of tokens is what lies between."""
    return aligned(stored.record)


@remembered(64)
def own_text(stored: StoredComparison, dictionary: str) -> EvaluationText:
    """The evaluation text in the tokens that the model of a dictionary reads; rows are those of ``stored.text``."""
    if not several_tokenizers(stored):
        return stored.text
    tokens = _read_by(stored, dictionary, "tokens")
    rows = ("row_context", "row_position", "row_domain", "row_document")
    return EvaluationText.build(
        contexts=np.asarray(tokens.array("eval_contexts")[:]),
        domains=tokens.json("domains"),
        vocabulary=own_vocabulary(stored, dictionary),
        **{name: np.asarray(tokens.array(name)[:]) for name in rows},
    )


@remembered(64)
def own_vocabulary(stored: StoredComparison, dictionary: str) -> pd.DataFrame:
    """The vocabulary of the model of a dictionary: token, bytes, text, special."""
    several = several_tokenizers(stored)
    return vocabulary_of(_read_by(stored, dictionary, "tokenizer") if several else stored.run.artifact(TOKENIZER))


def own_window(stored: StoredComparison, dictionary: str, window: Window) -> Window:
    """The bytes of a window of ``stored.text`` in the tokens that the model of a dictionary reads."""
    text, rows = own_text(stored, dictionary), window.rows[window.rows >= 0]
    first, last, peak = int(rows[0]), int(rows[-1]), int(window.rows[window.peak])
    context = int(text.row_context[peak])
    # The tokens of the first row begin behind the row before it, or where the context does; a separator between them
    # stands in both or in neither.
    known = first > 0 and int(text.row_context[first - 1]) == context
    start, stop = int(text.row_position[first - 1]) + 1 if known else 0, int(text.row_position[last]) + 1
    start += int(window.rows[0] >= 0 and text.special[text.contexts[context, start]])
    strings = text.strings(text.contexts[context, start:stop])
    return Window(strings, text.row_of[context, start:stop], int(text.row_position[peak]) - start)


def own_tokenizer(stored: StoredComparison, dictionary: str) -> Any:
    """The tokenizer of the model of a dictionary (of the package ``tokenizers``)."""
    from universality.transformers.tokenizer import load_tokenizer

    if not several_tokenizers(stored):
        return stored.tokenizer()
    return load_tokenizer(_read_by(stored, dictionary, "tokenizer").bytes("tokenizer.json"))


def tokenizer_of(stored: StoredComparison, dictionary: str) -> str:
    """Which of the run's tokenizers that is: ``t0``, ``t1``, …; empty where all models share one."""
    if not several_tokenizers(stored):
        return ""
    return f"t{_read_by(stored, dictionary, 'tokenizer').manifest['params']['number']}"


def coverage_frame(coverage: pd.DataFrame, names: Mapping[str, str] | None = None) -> pd.DataFrame:
    """One line per tokenizer: how many of its tokens are rows, over all text and in the domain that has fewest.

    Args:
        coverage: table ``coverage``.
        names: what people call each; by default t0, t1, ….
    """
    whole = coverage[coverage["domain"] == ""].drop(columns="domain")
    named = coverage[coverage["domain"] != ""].sort_values("coverage", kind="stable").drop_duplicates("tokenizer")
    lowest = named.set_index("tokenizer")[["domain", "coverage"]].add_prefix("lowest_")
    frame = whole.merge(lowest, left_on="tokenizer", right_index=True, how="left")
    called = [(names or {}).get(of, of) for of in frame["tokenizer"].astype(str)]
    return frame.assign(name=called).sort_values("tokenizer", kind="stable", ignore_index=True)


@remembered()
def tokenizers_frame(stored: StoredComparison) -> pd.DataFrame | None:
    """:func:`coverage_frame` with the compared models of each tokenizer; None where all share one."""
    coverage = stored.optional("coverage") if several_tokenizers(stored) else None
    if coverage is None:
        return None
    called = stored.run.artifact(TOKENS).manifest["facts"]["tokenizers"]
    frame = coverage_frame(coverage, {f"t{number}": name for number, name in enumerate(called)})
    models: dict[str, list[str]] = {}
    for model in stored.models():
        models.setdefault(tokenizer_of(stored, model), []).append(model)
    return frame.assign(models=[", ".join(models.get(of, [])) for of in frame["tokenizer"]])


def _read_by(stored: StoredComparison, dictionary: str, what: str) -> Artifact:
    """What the latents of a dictionary were made from."""
    node = latents_node(stored.comparison, dictionary)
    key = stored.run.artifact(node).manifest["inputs"].get(what)
    if key is None:
        raise ArtifactMissing(f"The step {node} does not say its {what}.")
    return stored.run.store.get(key)
