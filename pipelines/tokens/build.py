"""The bodies of the steps ``tokenizer`` and ``tokens``."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from pipelines.corpus.split import TRAIN_PARTS
from pipelines.tokens.encode import TokenLists, encode_documents
from pipelines.tokens.evaluation_rows import choose_documents, evaluation_rows, one_of_each_first
from pipelines.tokens.packing import Packed, context_blocks, pack
from pipelines.tokens.tokenizer import bos_id, choose_tokenizer
from pipelines.tokens.tokenizer_config import TokenizerConfig, TokensConfig, TrainedTokenizer
from pipelines.tokens.vocabulary import vocabulary_table
from universality.errors import refusal
from universality.seeds import generator
from universality.transformers.tokenizer import load_tokenizer

# Enough for a stable vocabulary; pre-tokenizing is most of the cost.
_BYTES_PER_ENTRY = 2_000
#: What the training of a transformer reads.
TRANSFORMER_STREAMS = ("train", "validation")


class TokenizerResult(NamedTuple):
    """What the artifact ``tokenizer`` holds."""

    content: bytes  # tokenizer.json
    vocabulary: pd.DataFrame
    facts: dict[str, int]  # d_vocab, bos
    notes: tuple[str, ...] = ()  # what was changed of a tokenizer from elsewhere


class TokensResult(NamedTuple):
    """What the artifact ``tokens`` holds. Streams are lazy: write each one block by block."""

    arrays: dict[str, np.ndarray]  # eval_contexts, row_*
    streams: dict[str, Iterator[np.ndarray]]  # train_, sae_a_, sae_b_, validation_contexts
    domains: list[str]
    documents: pd.DataFrame
    facts: dict[str, object]


def build_tokenizer(texts: pd.DataFrame, config: TokenizerConfig) -> TokenizerResult:
    """The tokenizer of a run, and its vocabulary.

    Args:
        texts: table of :func:`pipelines.corpus.split.build_corpus`. One is trained on the training part only,
            repeats included: they raise rare scripts in the vocabulary as they do in training.
        config: train, file or hub.
    """
    parts = (config.learn_from if isinstance(config, TrainedTokenizer) else None) or TRAIN_PARTS
    training = texts[texts["part"].isin(parts)]
    repeated = training.loc[training.index.repeat(training["repeats"])]
    if isinstance(config, TrainedTokenizer):
        limit = config.max_train_bytes or _BYTES_PER_ENTRY * config.vocab_size
        repeated = repeated[_evenly(repeated["n_bytes"].to_numpy(), limit)]
    chosen = choose_tokenizer(config, repeated["text"])
    tokenizer = load_tokenizer(chosen.content)
    vocabulary = vocabulary_table(tokenizer)
    said = chosen.start if isinstance(config, TrainedTokenizer) else config.bos_token or chosen.start
    bos = bos_id(tokenizer, said)
    vocabulary.loc[bos, "special"] = True
    return TokenizerResult(chosen.content, vocabulary, {"d_vocab": len(vocabulary), "bos": bos}, chosen.notes)


def _evenly(sizes: np.ndarray, limit: int) -> np.ndarray:
    """Mask of about ``limit`` bytes of documents, spread evenly over their order.

    A corpus is in the order of its sources, so each source and domain keeps its share.
    """
    share = min(1.0, limit / max(int(sizes.sum()), 1))
    taken = np.floor(np.arange(len(sizes) + 1) * share)
    return np.diff(taken) > 0


def build_tokens(texts: pd.DataFrame, tokenizer: TokenizerResult, config: TokensConfig, root_seed: int) -> TokensResult:
    """Encode a split corpus, pack it, and lay out the evaluation rows.

    Memory: four bytes a token for the whole corpus, plus one block of contexts at a time.

    Args:
        texts: table of :func:`pipelines.corpus.split.build_corpus`.
        tokenizer: result of :func:`build_tokenizer`.
        config: contexts and budgets.
        root_seed: orders the evaluation documents; ``config.data_seed`` those of training.

    Raises:
        InputError: a part has less than one context of text.
    """
    lists = encode_documents(load_tokenizer(tokenizer.content), texts["text"].tolist())
    bos = tokenizer.facts["bos"]
    domains = sorted(str(domain) for domain in texts["domain"].unique())
    codes = pd.Categorical(texts["domain"], categories=domains).codes.astype(np.int16)
    weights = np.bincount(codes, lists.lengths, minlength=len(domains)) ** (1 - config.balance)
    part, sources = texts["part"].to_numpy(), texts["source_group"].to_numpy()
    sides: dict[str, Packed] = {}
    for name, n_tokens in (("fit", config.fit_tokens), ("score", config.score_tokens)):
        members = generator(root_seed, f"{name}-documents").permutation(np.flatnonzero(part == name))
        _check_length(int(lists.lengths[members].sum()), name, config.n_ctx)
        # From as many sources as there are.
        members = members[one_of_each_first(sources[members])]
        chosen = choose_documents(lists.lengths[members], codes[members], weights, n_tokens, config.min_sources)
        sides[name] = pack(lists, members[chosen], config.n_ctx, bos)
    arrays = evaluation_rows(
        sides["fit"], sides["score"], codes, sources, tokenizer.vocabulary["special"].to_numpy(dtype=bool)
    )
    documents = documents_table(texts, lists.lengths)
    return TokensResult(
        arrays,
        _streams(lists, texts, config, bos, root_seed),
        domains,
        documents,
        {**row_facts(arrays, domains), "n_tokens": int(documents["n_tokens"].sum())},
    )


def documents_table(texts: pd.DataFrame, n_tokens: np.ndarray) -> pd.DataFrame:
    """The table ``documents`` of texts and how many tokens each has."""
    documents = texts[["document", "domain", "source", "source_group", "part", "digest"]].copy()
    documents.insert(5, "n_tokens", n_tokens)
    return documents


def build_mix_tokens(
    texts: pd.DataFrame, kept: np.ndarray, tokenizer: TokenizerResult, config: TokensConfig, root_seed: int
) -> tuple[dict[str, Iterator[np.ndarray]], dict[str, object]]:
    """The training contexts of a mix, and the validation contexts of the whole corpus: what a transformer reads.

    Args:
        texts: table of :func:`pipelines.corpus.split.build_corpus`.
        kept: (n_documents,) bool, :func:`pipelines.corpus.mix.mix_mask`.
        tokenizer, config, root_seed: as for :func:`build_tokens`.

    Returns:
        Streams ``train_contexts`` and ``validation_contexts``, lazy; and facts: documents and tokens of the mix, the
        domains it has, and those of the corpus that it never sees.

    Raises:
        InputError: less than one context of text.
    """
    wanted = texts[kept | (texts["part"] == "validation").to_numpy()]
    lists = encode_documents(load_tokenizer(tokenizer.content), wanted["text"].tolist())
    streams = _streams(lists, wanted, config, tokenizer.facts["bos"], root_seed, TRANSFORMER_STREAMS)
    trained = wanted["part"].isin(TRAIN_PARTS).to_numpy()
    seen = sorted({str(domain) for domain in wanted.loc[trained, "domain"]})
    facts: dict[str, object] = {
        "n_documents": int(trained.sum()),
        "n_tokens": int(lists.lengths[trained].sum()),
        "domains": seen,
        "unseen": sorted({str(domain) for domain in texts["domain"]} - set(seen)),
    }
    return streams, facts


def _check_length(n_tokens: int, part: str, n_ctx: int) -> None:
    if n_tokens < n_ctx - 1:
        constraint = f"at most {n_tokens + 1}, one more than all its tokens"
        remedy = "Lower n_ctx, or give more text."
        raise refusal("n_ctx", f"the part '{part}'", constraint, n_ctx, remedy)


def _streams(
    lists: TokenLists,
    texts: pd.DataFrame,
    config: TokensConfig,
    bos: int,
    root_seed: int,
    names: tuple[str, ...] = (*TRANSFORMER_STREAMS, "sae_a", "sae_b"),
) -> dict[str, Iterator[np.ndarray]]:
    """Contexts of each training part and of validation, packed when asked for."""
    part = texts["part"].to_numpy()
    repeats = texts["repeats"].to_numpy()
    streams = {}
    held_out = int(lists.lengths[part == "validation"].sum())
    for name, parts, n_tokens in (
        ("train", TRAIN_PARTS, config.train_tokens),
        ("sae_a", ("sae_a",), config.sae_tokens),
        ("sae_b", ("sae_b",), config.sae_tokens),
        ("validation", ("validation",), min(config.validation_tokens, held_out)),
    ):
        if name not in names:
            continue
        members = np.flatnonzero(np.isin(part, parts))
        _check_length(int(lists.lengths[members].sum()), name, config.n_ctx)
        streams[f"{name}_contexts"] = context_blocks(
            lists,
            np.repeat(members, repeats[members]),
            n_ctx=config.n_ctx,
            bos=bos,
            n_tokens=n_tokens,
            generator=generator(root_seed, f"{name}-contexts", config.data_seed),
        )
    return streams


def row_facts(arrays: dict[str, np.ndarray], domains: Sequence[str]) -> dict[str, object]:
    """How many evaluation rows there are: all, those of the fit half, and of each domain in both halves."""
    fit = arrays["row_fit"]
    rows = {
        name: np.bincount(arrays["row_domain"][mask], minlength=len(domains)).tolist()
        for name, mask in (("fit", fit), ("score", ~fit))
    }
    return {
        "n_rows": len(fit),
        "n_fit": int(fit.sum()),
        "rows_by_domain": {
            str(domain): {"fit": rows["fit"][code], "score": rows["score"][code]} for code, domain in enumerate(domains)
        },
    }
