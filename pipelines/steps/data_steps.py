"""Steps from text to token contexts and evaluation rows."""

import logging
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from pydantic import TypeAdapter

from pipelines.corpus.corpus_config import CorpusConfig, SplitConfig
from pipelines.engine.step import Estimate, StepContext, step
from pipelines.estimates import BASE_MEMORY
from pipelines.steps.run_tables import write_table
from pipelines.tokens.tokenizer_config import TokenizerConfig, TokensConfig

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
    from pipelines.tokens.build import build_tokenizer

    config = TypeAdapter(TokenizerConfig).validate_python(ctx.params["tokenizer"])
    result = build_tokenizer(ctx.inputs["corpus"].table("texts"), config)
    ctx.out.bytes("tokenizer.json", result.content)
    write_table(ctx, "vocabulary", result.vocabulary)
    ctx.out.json("tokenizer", result.facts)
    ctx.out.facts(**result.facts)
    if config.kind != "train":
        start = result.vocabulary["text"][result.facts["bos"]]
        ctx.out.facts(bos_token=start, **({"warnings": list(result.notes)} if result.notes else {}))
        logger.info("Contexts start with the token %r.", start)
    for note in result.notes:
        logger.warning("%s", note)


@step("tokens", version=2, cost=text_cost, tables=["documents"])
def tokens(ctx: StepContext) -> None:
    """Pack every part into contexts and lay out the evaluation rows."""
    from pipelines.tokens.build import TokenizerResult, build_tokens

    made = ctx.inputs["tokenizer"]
    result = build_tokens(
        ctx.inputs["corpus"].table("texts"),
        TokenizerResult(made.bytes("tokenizer.json"), made.table("vocabulary"), made.json("tokenizer")),
        TokensConfig(**ctx.params["tokens"]),
        ctx.params["root_seed"],
    )
    for name, array in result.arrays.items():
        ctx.out.array(name, array)
    _write_contexts(ctx, result.streams)
    ctx.out.json("domains", result.domains)
    write_table(ctx, "documents", result.documents)
    ctx.out.facts(**result.facts)


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
    from pipelines.tokens.build import TokenizerResult, build_mix_tokens

    p, made, texts = ctx.params, ctx.inputs["tokenizer"], ctx.inputs["corpus"].table("texts")
    streams, facts = build_mix_tokens(
        texts,
        mix_mask(texts, MixConfig(**p["mix"]), p["name"], p["root_seed"]),
        TokenizerResult(made.bytes("tokenizer.json"), made.table("vocabulary"), made.json("tokenizer")),
        TokensConfig(**p["tokens"]),
        p["root_seed"],
    )
    _write_contexts(ctx, streams)
    ctx.out.json("mix", facts)
    ctx.out.facts(**facts)
