"""Decoys: latents of several models that look alike because of what they share, and share no more than that.

Given the shared rows, every dictionary draws its own firings.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from universality.planted.events import Events, document_events, draw_rates, louder, mask_events
from universality.planted.kinds import Feature, real
from universality.planted.planted_config import PlantConfig
from universality.planted.text import Text
from universality.rows import split_documents
from universality.seeds import generator

#: Rows of one document in which all features of the kind ``outlier_rows`` are loud.
N_OUTLIER_ROWS = 3


def plant_decoys(
    config: PlantConfig, text: Text, models: tuple[str, ...], root_seed: int, rng: np.random.Generator
) -> list[Feature]:
    """All decoys of a world, in a fixed order: those that share no more than some rows, then loud features."""
    masks: list[tuple[str, np.ndarray, float]] = []
    for number in range(config.n_domain):
        masks.append(("domain", text.domains == number % config.n_domains, float(rng.uniform(0.15, 0.4))))
    for token in decoy_tokens(config, text):
        masks.append(("token", text.tokens == token, float(rng.uniform(0.75, 0.95))))
    for number in range(config.n_position):
        masks.append(("position", text.positions == (7 * number + 3) % config.n_ctx, 0.9))
    for number in range(config.n_document):
        rng = generator(root_seed, "planted-few-documents", number)
        masks.append(("document", _few_documents(config, text, rng), config.document_density))
    for number, (kind, mask) in enumerate(_mixed_masks(config, text, root_seed)):
        rng = generator(root_seed, "planted-decoy-rate", kind, number)
        masks.append((kind, mask, float(rng.uniform(0.85, 1.0))))
    decoys = [
        Feature(kind, models, models, _independent(text, mask, probability, root_seed, number))
        for number, (kind, mask, probability) in enumerate(masks)
    ]
    return decoys + _loud_features(config, text, models, root_seed)


def _independent(
    text: Text, mask: np.ndarray, probability: float, root_seed: int, number: int
) -> Callable[[str], Events]:
    def events(dictionary: str) -> Events:
        rng = generator(root_seed, "planted-decoy", number, dictionary)
        return mask_events(text, mask, probability, rng)

    return events


def _few_documents(config: PlantConfig, text: Text, rng: np.random.Generator) -> np.ndarray:
    """(n_rows,) bool: rows of a few documents drawn without regard to their domain, the same for all models."""
    n_documents = text.starts.size
    chosen = rng.choice(n_documents, size=min(config.document_spread, n_documents), replace=False)
    return np.isin(text.documents, text.documents[text.starts[chosen]])


def _most_frequent(ids: np.ndarray, eligible: np.ndarray, most: float, n: int) -> np.ndarray:
    """The n most frequent ids of the eligible rows that still have at most ``most`` of all rows."""
    counts = np.bincount(ids[eligible])
    counts[counts > most * ids.size] = 0
    return np.argsort(-counts, kind="stable")[:n]


def decoy_tokens(config: PlantConfig, text: Text) -> np.ndarray:
    """The most frequent token ids that still fire at or below ``max_rate``, ``n_token`` of them."""
    counts = np.bincount(text.tokens, minlength=config.d_vocab)
    counts[counts > config.max_rate * text.tokens.size] = 0
    return np.argsort(-counts, kind="stable")[: config.n_token]


def _mixed_masks(config: PlantConfig, text: Text, root_seed: int) -> Iterator[tuple[str, np.ndarray]]:
    """(kind, (n_rows,) bool) of decoys whose rows two properties of a row make together."""
    everywhere = np.ones(text.tokens.size, bool)

    def own(kind: str, number: int) -> np.random.Generator:
        return generator(root_seed, "planted-decoy-rows", kind, number)

    in_domain = text.tokens.astype(np.int64) * config.n_domains + text.domains
    # A token that is at home in one domain would be a token decoy: most of its rows must lie elsewhere.
    abroad = np.bincount(in_domain)[in_domain] <= np.bincount(text.tokens)[text.tokens] / 2
    for key in _most_frequent(in_domain, abroad, config.max_rate, config.n_token_in_domain):
        yield "token_in_domain", in_domain == key
    for number in range(config.n_token_in_documents):
        rng = own("token_in_documents", number)
        ids = rng.permutation(config.d_vocab)
        share = np.bincount(text.tokens, minlength=config.d_vocab)[ids] / text.tokens.size
        few = ids[: 1 + int((share.cumsum() < 0.2).sum())]
        yield "token_in_documents", np.isin(text.tokens, few) & _few_documents(config, text, rng)
    tokens = _most_frequent(text.tokens, everywhere, config.max_rate, config.n_token_or_documents)
    for number, token in enumerate(tokens):
        # As many rows by documents as by the token: neither alone is most of what is shared.
        order = own("token_or_documents", number).permutation(text.starts.size)
        few = order[: 1 + int((text.lengths[order].cumsum() < (text.tokens == token).sum()).sum())]
        yield "token_or_documents", (text.tokens == token) | np.isin(text.documents, few)
    tokens = _most_frequent(text.tokens, everywhere, 4 * config.max_rate, config.n_token_x_position)
    for number, token in enumerate(tokens):
        rng = own("token_x_position", number)
        places = rng.choice(config.n_ctx, size=max(config.n_ctx // 4, 1), replace=False)
        yield "token_x_position", (text.tokens == token) & np.isin(text.positions, places)
    inside = np.diff(text.documents, prepend=-1) == 0
    bigram = np.roll(text.tokens, 1).astype(np.int64) * config.d_vocab + text.tokens
    for key in _most_frequent(bigram, inside, config.max_rate, config.n_bigram):
        yield "bigram", (bigram == key) & inside
    to_end = np.repeat(text.starts + text.lengths, text.lengths) - np.arange(text.tokens.size)
    for number in range(config.n_end_of_document):
        yield "end_of_document", to_end <= 1 + number % 4


def _loud_features(config: PlantConfig, text: Text, models: tuple[str, ...], root_seed: int) -> list[Feature]:
    """Features of one model each that are loud in rows where those of other models are loud too."""
    sinks = (
        text.starts,  # the first row of every document
        np.flatnonzero(text.positions == 0),  # of every context
    )
    outliers = _outlier_rows(text, root_seed)
    features = []
    for model in models:
        kinds = ["outlier_rows"] * config.n_outlier_rows + ["sink_rows"] * config.n_sink_rows
        for number, kind in enumerate(kinds):
            rng = generator(root_seed, "planted-loud", kind, model, number)
            rate = float(draw_rates(config, 1, rng)[0])
            events = document_events(text, rate, 2.0, rng, source_shape=config.source_shape)
            loud = outliers if kind == "outlier_rows" else sinks[number % 2]
            features.append(real(kind, (model,), (model,), louder(events, loud, config.loudness, rng)))
    return features


def _outlier_rows(text: Text, root_seed: int) -> np.ndarray:
    """Rows of one document of the score half that a comparison with the world's own seed makes."""
    rng = generator(root_seed, "planted-outliers")
    fit = split_documents(text.documents, root_seed, text.domains, text.sources)
    long_enough = np.flatnonzero(~fit[text.starts] & (text.lengths >= N_OUTLIER_ROWS))
    document = rng.choice(long_enough)
    return np.sort(text.starts[document] + rng.choice(text.lengths[document], N_OUTLIER_ROWS, replace=False))
