"""SAEDashboard's JSON: ``batch-N.json`` of a dictionary, as its runner for Neuronpedia writes it.

Source: https://github.com/jbloomAus/SAEDashboard, the outputs of ``neuronpedia-runner``. The format has no place for
labels.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from results.feature_records import DictionaryRecord, FeatureRecord
from results.neuronpedia import bins_of, dataset_of, set_name
from results.stored_comparison import TOKENS

#: Features of one batch, as the runner's default.
BATCH = 128


@dataclass(frozen=True)
class DashboardActivation:
    """One context."""

    bin_min: float
    bin_max: float
    bin_contains: float
    tokens: list[str]
    values: list[float]
    qualifying_token_index: int


@dataclass(frozen=True)
class DashboardFeature:
    """One latent; lists that we do not fill are empty."""

    feature_index: int
    neg_str: list[str]
    neg_values: list[float]
    pos_str: list[str]
    pos_values: list[float]
    frac_nonzero: float
    freq_hist_data_bar_values: list[float]
    freq_hist_data_bar_heights: list[int]
    n_prompts_total: int
    n_tokens_in_prompt: int
    dataset: str
    activations: list[dict[str, Any]]
    neuron_alignment_indices: list[int] = field(default_factory=list)
    neuron_alignment_values: list[float] = field(default_factory=list)
    neuron_alignment_l1: list[float] = field(default_factory=list)
    correlated_neurons_indices: list[int] = field(default_factory=list)
    correlated_neurons_l1: list[float] = field(default_factory=list)
    correlated_neurons_pearson: list[float] = field(default_factory=list)
    correlated_features_indices: list[int] = field(default_factory=list)
    correlated_features_l1: list[float] = field(default_factory=list)
    correlated_features_pearson: list[float] = field(default_factory=list)
    logits_hist_data_bar_heights: list[float] = field(default_factory=list)
    logits_hist_data_bar_values: list[float] = field(default_factory=list)
    decoder_weights_dist: list[float] = field(default_factory=list)


def write_batches(record: DictionaryRecord, folder: Path) -> None:
    """Write the dictionary's batches into a folder that is made here."""
    folder.mkdir()
    head = {"model_id": record.model, "layer": record.layer, "sae_set": set_name(record)}
    shape = record.stored.run.artifact(TOKENS).array("eval_contexts").shape
    features: Iterator[FeatureRecord] = record.features()
    for number in range(-(-record.d_sae // BATCH)):
        with (folder / f"batch-{number}.json").open("wb") as handle:
            handle.write(json.dumps(head).removesuffix("}").encode() + b', "features": [')
            for place, feature in enumerate(islice(features, BATCH)):
                row = vars(_dashboard(record, feature, shape))
                text = json.dumps(row, allow_nan=False)
                handle.write((b",\n" if place else b"\n") + text.encode())
            handle.write(b"\n]}\n")


def _dashboard(record: DictionaryRecord, feature: FeatureRecord, shape: tuple[int, ...]) -> DashboardFeature:
    contexts = [
        DashboardActivation(low, high, share, context.tokens, context.values, context.peak)
        for context, (low, high, share) in zip(feature.contexts, bins_of(feature.contexts), strict=True)
    ]
    return DashboardFeature(
        feature_index=feature.latent, neg_str=feature.lowered[0], neg_values=feature.lowered[1],
        pos_str=feature.raised[0], pos_values=feature.raised[1], frac_nonzero=feature.firing_rate,
        freq_hist_data_bar_values=feature.bins[0], freq_hist_data_bar_heights=feature.bins[1],
        n_prompts_total=shape[0], n_tokens_in_prompt=shape[1], dataset=dataset_of(record),
        activations=[vars(context) for context in contexts],
    )  # fmt: skip
