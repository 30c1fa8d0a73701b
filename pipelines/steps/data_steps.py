"""Steps from text to token contexts and evaluation rows."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import TypeAdapter

from pipelines.corpus.corpus_config import CorpusConfig, SplitConfig
from pipelines.engine.step import Estimate, StepContext, step
from pipelines.estimates import BASE_MEMORY
from pipelines.steps.run_tables import write_table
from pipelines.tokens.tokenizer_config import SEPARATOR, TokenizerConfig, TokensConfig
from results.stored_comparison import input_name, vocabulary_of

if TYPE_CHECKING:
    from pandas import DataFrame

    from pipelines.tokens.build import TokenizerResult
    from storage import Artifact

logger = logging.getLogger(__name__)

#: Contexts per shard of a training part.
SHARD_CONTEXTS = 16_384


def text_cost(sizes: Any, params: Any) -> Estimate:
    """Cost of any step over the whole text, whatever its size: seconds beside the trainings."""
    return Estimate(seconds=4.0, bytes=20_000_000, memory=BASE_MEMORY)


@step("corpus", version=2, cost=text_cost, tables=["texts"])
def corpus(ctx: StepContext) -> None:
    """Read the sources and deal their documents to parts."""
    from pipelines.corpus.split import build_corpus

    result = build_corpus(
        CorpusConfig(**ctx.params["corpus"]), SplitConfig(**ctx.params["split"]), ctx.params["root_seed"]
    )
    write_table(ctx, "texts", result.texts)
    ctx.out.json("corpus", result.manifest)
    ctx.out.facts(**result.manifest)
    for warning in result.warnings:
        logger.warning("%s", warning)


@step("tokenizer", version=1, cost=text_cost, tables=["vocabulary"])
def tokenizer(ctx: StepContext) -> None:
    """Train or load the tokenizer."""
    write_table(ctx, "vocabulary", _make_tokenizer(ctx))


# A run's table is that of all its nodes: what is said of one of several tokenizers has a table of its own.
@step("model_tokenizer", version=1, cost=text_cost, tables=["model_vocabulary"])
def model_tokenizer(ctx: StepContext) -> None:
    """Train or load one of several tokenizers."""
    write_table(ctx, "model_vocabulary", _make_tokenizer(ctx), tokenizer=f"t{ctx.params['number']}")


def _make_tokenizer(ctx: StepContext) -> DataFrame:
    """Store a tokenizer; gives its vocabulary."""
    from pipelines.tokens.build import build_tokenizer

    config = TypeAdapter(TokenizerConfig).validate_python(ctx.params["tokenizer"])
    result = build_tokenizer(ctx.inputs["corpus"].table("texts"), config)
    ctx.out.bytes("tokenizer.json", result.content)
    ctx.out.json("tokenizer", result.facts)
    ctx.out.facts(**result.facts)
    if config.kind != "train":
        start = result.vocabulary["text"][result.facts["bos"]]
        ctx.out.facts(bos_token=start, **({"warnings": list(result.notes)} if result.notes else {}))
        logger.info("Contexts start with the token %r.", start)
    for note in result.notes:
        logger.warning("%s", note)
    return result.vocabulary


@step("tokens", version=2, cost=text_cost, tables=["documents"])
def tokens(ctx: StepContext) -> None:
    """Pack every part into contexts and lay out the evaluation rows."""
    write_table(ctx, "documents", _make_tokens(ctx))


@step("model_tokens", version=1, cost=text_cost)
def model_tokens(ctx: StepContext) -> None:
    """The same under one of several tokenizers: what its models are trained on."""
    ctx.out.array("document_tokens", _make_tokens(ctx)["n_tokens"].to_numpy())


def _make_tokens(ctx: StepContext) -> DataFrame:
    """Store contexts and rows; gives the documents."""
    from pipelines.tokens.build import build_tokens

    result = build_tokens(
        ctx.inputs["corpus"].table("texts"),
        _stored_tokenizer(ctx.inputs["tokenizer"]),
        TokensConfig(**ctx.params["tokens"]),
        ctx.params["root_seed"],
    )
    for name, array in result.arrays.items():
        ctx.out.array(name, array)
    _write_contexts(ctx, result.streams)
    ctx.out.json("domains", result.domains)
    ctx.out.facts(**result.facts)
    return result.documents


def _stored_tokenizer(made: Artifact) -> TokenizerResult:
    from pipelines.tokens.build import TokenizerResult

    return TokenizerResult(made.bytes("tokenizer.json"), vocabulary_of(made), made.json("tokenizer"))


@step("shared_rows", version=1, cost=text_cost, tables=["coverage", "documents"])
def shared_rows(ctx: StepContext) -> None:
    """Of a run with several tokenizers, the evaluation rows that all of them share, in segments and in all tokens."""
    from pipelines.tokens.build import documents_table
    from pipelines.tokens.shared_rows import evaluation_of

    texts = ctx.inputs["corpus"].table("texts")
    result = evaluation_of(
        texts,
        [_stored_tokenizer(ctx.inputs[input_name("tokenizer", i)]) for i in range(len(ctx.params["names"]))],
        ctx.params["names"],
        TokensConfig(**ctx.params["tokens"]),
        ctx.params["root_seed"],
    )
    for name, array in result.arrays.items():
        ctx.out.array(name, array)
    ctx.out.json("domains", result.domains)
    ctx.out.json("segments", result.vocabulary["bytes"].tolist())
    write_table(ctx, "coverage", result.coverage)
    # Tokens of documents are those of the first tokenizer.
    write_table(ctx, "documents", documents_table(texts, ctx.inputs["documents"].array("document_tokens")))
    ctx.out.facts(**result.facts)
    for warning in result.facts.get("warnings", ()):  # type: ignore[attr-defined]
        logger.warning("%s", warning)


@step("segments", version=1, cost=text_cost, tables=["vocabulary"])
def segments(ctx: StepContext) -> None:
    """What the segments of an evaluation spell, in the place of a vocabulary; nothing is encoded by them."""
    from pipelines.tokens.vocabulary import table_of

    pieces = [bytes.fromhex(piece) for piece in ctx.inputs["tokens"].json("segments")]
    write_table(ctx, "vocabulary", table_of(pieces, {SEPARATOR}))
    ctx.out.json("tokenizer", {"d_vocab": len(pieces), "bos": SEPARATOR})


@step("aligned", version=1, cost=text_cost)
def aligned(ctx: StepContext) -> None:
    """Of an evaluation, contexts in the tokens of one tokenizer, and the token that ends at each row."""
    tokens, suffix = ctx.inputs["tokens"], f".t{ctx.params['tokenizer']}"
    for name in tokens.names("arrays"):
        if name.endswith(suffix):
            ctx.out.array(name.removesuffix(suffix), tokens.array(name))
    for name in ("row_context", "row_document", "row_source", "row_domain", "row_fit"):
        ctx.out.array(name, tokens.array(name))
    ctx.out.json("domains", tokens.json("domains"))


def _write_contexts(ctx: StepContext, streams: Mapping[str, Iterable[np.ndarray]]) -> None:
    """Store contexts block by block."""
    for name, blocks in streams.items():
        with ctx.out.stream(name, "int32", (ctx.params["tokens"]["n_ctx"],), shard_rows=SHARD_CONTEXTS) as stream:
            for block in blocks:
                stream.write(block)


@step("mix", version=1, cost=text_cost)
def mix(ctx: StepContext) -> None:
    """Pack the training contexts of a mix; transformers read it in the place of ``tokens``."""
    from pipelines.corpus.mix import MixConfig, mix_mask
    from pipelines.tokens.build import build_mix_tokens

    p, texts = ctx.params, ctx.inputs["corpus"].table("texts")
    streams, facts = build_mix_tokens(
        texts,
        mix_mask(texts, MixConfig(**p["mix"]), p["name"], p["root_seed"]),
        _stored_tokenizer(ctx.inputs["tokenizer"]),
        TokensConfig(**p["tokens"]),
        p["root_seed"],
    )
    _write_contexts(ctx, streams)
    ctx.out.json("mix", facts)
    ctx.out.facts(**facts)
