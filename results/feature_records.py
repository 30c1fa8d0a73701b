"""What a run knows of single latents, one after another, for files of other programs; in bounded memory."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from results.evaluation_text import AFTER, BEFORE, EvaluationText
from results.label_frames import labelled_features
from results.stored_comparison import StoredComparison, dictionary_node
from results.token_text import visible
from results.tokenizers import own_text
from storage.errors import TableMissing
from universality.errors import refusal

EVIDENCE = ("contexts", "histograms", "logits")
#: Significant digits of activations and logits: what float32 holds, nearly.
DIGITS = 6


@dataclass(frozen=True)
class Context:
    """One place where a latent fires.

    Attributes:
        kind: ``top``, or ``quantile``.
        group: tenth of all contexts by their peaks, 9 the highest; 0 for ``top``.
        tokens: their texts; together they are the text around the peak.
        values: activation on each; 0 on special tokens.
        peak: index of the highest.
    """

    kind: str
    group: int
    tokens: list[str]
    values: list[float]
    peak: int


@dataclass(frozen=True)
class FeatureRecord:
    """One latent.

    Attributes:
        latent: its number.
        firing_rate: share of evaluation rows on which it fires.
        max_activation: the largest activation on them.
        bins: centres of the histogram of positive activations, and how many lie in each.
        raised, lowered: tokens whose logits it changes most, and by how much per unit of activation.
        contexts: where it fires, the strongest first, then by tenth from the lowest; empty for dead latents.
        label: row of the table ``labels`` where a rule explains the latent, else None.
    """

    latent: int
    firing_rate: float
    max_activation: float
    bins: tuple[list[float], list[int]]
    raised: tuple[list[str], list[float]]
    lowered: tuple[list[str], list[float]]
    contexts: list[Context]
    label: dict[str, Any] | None


@dataclass(frozen=True)
class DictionaryRecord:
    """A dictionary of a comparison, as other programs name things.

    Attributes:
        stored: the comparison.
        name: id of the dictionary in it.
        model: name of its transformer: as published, or the run's name and its id.
        layer: number of the block that it reads.
        hook_point: where it reads.
        d_sae: number of its latents.
    """

    stored: StoredComparison
    name: str
    model: str
    layer: int
    hook_point: str
    d_sae: int

    @cached_property
    def text(self) -> TokenTexts:
        """Token ids as text."""
        return TokenTexts(own_text(self.stored, self.name))

    def features(self) -> Iterator[FeatureRecord]:
        """Every latent, dead ones too, in their order."""
        artifact = self.stored.run.artifact(dictionary_node("evidence", self.stored.comparison, self.name))
        contexts, histograms, logits = (_ByLatent(artifact.table(name), self.d_sae) for name in EVIDENCE)
        features = self.stored.table("features")
        own = features[features["model"] == self.name].set_index("latent")
        labels = labelled_features(self.stored)
        labels = labels[labels["explained"].astype(bool)]
        said = {str(name): dict(zip(labels.columns, row, strict=True)) for name, *row in labels.itertuples()}
        rates, peaks = (own[name].to_dict() for name in ("firing_rate", "max_activation"))
        for latent in range(self.d_sae):
            bins, tokens = histograms.rows(latent), logits.rows(latent)
            centres = (bins["left"] + bins["right"]) / 2
            yield FeatureRecord(
                latent=latent,
                firing_rate=float(rates[latent]),
                max_activation=_digits(peaks[latent]),
                bins=([_digits(x) for x in centres], bins["count"].tolist()),
                raised=self._tokens(tokens, "top"),
                lowered=self._tokens(tokens, "bottom"),
                contexts=list(self._contexts(latent, contexts.rows(latent))),
                label=said.get(f"{self.name}:{latent}"),
            )

    def _tokens(self, rows: dict[str, np.ndarray], side: str) -> tuple[list[str], list[float]]:
        of = rows["side"] == side
        return [self.text.one(int(i)) for i in rows["token"][of]], [_digits(x) for x in rows["value"][of]]

    def _contexts(self, latent: int, rows: dict[str, np.ndarray]) -> Iterator[Context]:
        shown = np.flatnonzero((rows["kind"] != "random") & (rows["value"] > 0))
        if not shown.size:
            return
        text, firing = own_text(self.stored, self.name), self.stored.firing(self.name, latent)
        peaks = rows["row"][shown]
        spans = [
            (int(context), slice(max(position - BEFORE, 0), min(position + AFTER + 1, text.n_ctx)))
            for context, position in zip(text.row_context[peaks], map(int, text.row_position[peaks]), strict=True)
        ]
        values = firing.at(np.concatenate([text.row_of[span] for span in spans])).tolist()
        for place, row, span in zip(shown, peaks, spans, strict=True):
            tokens = self.text.several(text.contexts[span].tolist())
            own, values = [_digits(x) for x in values[: len(tokens)]], values[len(tokens) :]
            peak = int(text.row_position[row]) - span[1].start
            yield Context(str(rows["kind"][place]), int(rows["group"][place]), tokens, own, peak)


class TokenTexts:
    """Token ids as text that joins to the text itself.

    A character whose bytes lie in several tokens stands at the last of them, the others are empty there; bytes that
    make no character become U+FFFD. Special tokens stand by their names.
    """

    def __init__(self, text: EvaluationText) -> None:
        self.text = text
        self.whole = [
            text.special_text.get(token, "") if text.special[token] else _decoded(data)
            for token, data in enumerate(text.token_bytes)
        ]

    def one(self, token: int) -> str:
        r"""A token by itself; bytes that make no character as ``\xNN``."""
        whole = self.whole[token]
        return visible(self.text.token_bytes[token]) if whole is None else whole

    def several(self, ids: Sequence[int]) -> list[str]:
        """Consecutive tokens."""
        whole = [self.whole[i] for i in ids]
        texts = [text for text in whole if text is not None]
        if len(texts) == len(whole):
            return texts
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        texts = []
        for token in ids:
            if self.text.special[token]:  # what is begun before it is not completed behind it
                rest = decoder.decode(b"", final=True)
                texts[-1:] = [text + rest for text in texts[-1:]]
                texts.append(self.text.special_text.get(token, ""))
            else:
                texts.append(decoder.decode(self.text.token_bytes[token]))
        texts[-1] += decoder.decode(b"", final=True)
        return texts


def _decoded(data: bytes) -> str | None:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return None


class _ByLatent:
    """Rows of a table that is sorted by latent."""

    def __init__(self, table: pd.DataFrame, n_latents: int) -> None:
        latents = table["latent"].to_numpy()
        if not (np.diff(latents) >= 0).all():  # steps write it so; a stable sort keeps the order of each latent's rows
            table = table.sort_values("latent", kind="stable")
            latents = table["latent"].to_numpy()
        self.starts = np.searchsorted(latents, np.arange(n_latents + 1))
        self.columns = {str(name): table[name].to_numpy() for name in table.columns}

    def rows(self, latent: int) -> dict[str, np.ndarray]:
        span = slice(self.starts[latent], self.starts[latent + 1])
        return {name: values[span] for name, values in self.columns.items()}


def _digits(value: float) -> float:
    return float(f"{value:.{DIGITS}g}") if value else 0.0


def dictionaries_of(stored: StoredComparison, names: Sequence[str] | None) -> list[DictionaryRecord]:
    """Dictionaries whose latents have evidence.

    Args:
        stored: the comparison.
        names: their ids; None for all of them.

    Raises:
        InputError: no such dictionary, one without contexts, or one that reads no block.
        TableMissing: the run has contexts of none yet.
    """
    where = f"comparison {stored.comparison!r} of run {stored.name!r}"
    models = {str(row["model"]): row for row in stored.table("models").to_dict("records")}
    nodes = stored.run.observed["nodes"]
    have = [
        name
        for name in models
        if nodes.get(dictionary_node("evidence", stored.comparison, name), {}).get("status") == "done"
    ]
    if not have:
        raise TableMissing(f"No step of {where} that gathers contexts has finished: run its recipe to the end.")
    unknown = [name for name in names or () if name not in have]
    if unknown:
        legal = f"a dictionary with contexts: {', '.join(have)}"
        raise refusal("--model", where, legal, ", ".join(unknown), "Replicates and untrained models have none.")
    return [_record(stored, name, models[name], where) for name in names or have]


def _record(stored: StoredComparison, name: str, row: Mapping[Any, Any], where: str) -> DictionaryRecord:
    hook_point = str(row["hook_point"])
    block = re.match(r"blocks\.(\d+)\.", hook_point)
    if block is None:
        remedy = "Use --format pairs."
        raise refusal(f"hook point of {name}", where, "in a block, for these formats name a layer", hook_point, remedy)
    transformer = stored.transformer_artifact(name)
    if transformer.has("pretrained"):
        model = str(transformer.json("pretrained")["name"]).rpartition("/")[2]
    else:
        keys = {fields["key"]: node for node, fields in stored.record["nodes"].items()}
        model = f"{stored.name}-{keys[transformer.key].rpartition('/')[2]}"
    return DictionaryRecord(stored, name, slug(model), int(block[1]), hook_point, int(row["d_sae"]))


def slug(text: str) -> str:
    """A name for addresses and folders: letters, digits, ``.``, ``_`` and ``-``."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip(".-") or "unnamed"
