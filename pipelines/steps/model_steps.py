"""Steps that make transformers and read their activations."""

import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from typing import Any

import numpy as np

from pipelines.engine.interrupts import resumable
from pipelines.engine.step import Estimate, StepContext, step
from pipelines.errors import TrainingDiverged
from pipelines.estimates import (
    BASE_MEMORY,
    COMPILE_SECONDS,
    IMPORT_SECONDS,
    LAYER_SECONDS,
    TRAINING_FLOPS,
    Sizes,
    flops,
)
from results.public.opening import open_transformer
from results.stored_comparison import vocabulary_of
from storage import Artifact
from universality.errors import InputError, refusal
from universality.seeds import derive_seed
from universality.transformers.transformer_config import is_compiled

logger = logging.getLogger(__name__)

#: Which positions of a batch of contexts become rows: ``keep(number of the first context, contexts) -> mask``.
KeptRows = Callable[[int, np.ndarray], np.ndarray]

#: Contexts on which the held-out loss is measured.
VALIDATION_CONTEXTS = 512


def transformer_cost(sizes: Sizes, params: Mapping[str, Any]) -> Estimate:
    """Forward and backward passes over the training tokens: three forward passes each; Adam's moments in memory."""
    training = params.get("training")
    work = 3 * sizes.token_flops * training["tokens"] if training else 0
    seconds = work / flops(params)
    if training and params.get("device") == "cuda":
        seconds = _gpu_seconds(sizes, training, work)
    kept = 4 * sizes.parameters * len(params.get("checkpoints", ()))
    return Estimate(IMPORT_SECONDS + seconds, 4 * sizes.parameters + kept, BASE_MEMORY + 16 * sizes.parameters + kept)


def _gpu_seconds(sizes: Sizes, training: Mapping[str, Any], work: float) -> float:
    """What so many float operations take there: products at the rate of their precision, and kernels of every step."""
    compiled = is_compiled(sizes.parameters, training["tokens"])
    steps = training["tokens"] / (training["batch_contexts"] * sizes.recipe.n_ctx)
    rate = TRAINING_FLOPS[training.get("precision", "float32")][compiled]
    return COMPILE_SECONDS * compiled + LAYER_SECONDS * sizes.n_layers * steps + work / rate


@step("transformer", version=1, cost=transformer_cost)
def transformer(ctx: StepContext) -> None:
    """Train one transformer from its model seed (or leave it at its random weights)."""
    from universality.transformers.native import build, weights
    from universality.transformers.training import heldout_loss, train
    from universality.transformers.transformer_config import TrainingConfig, TransformerConfig

    p = ctx.params
    tokens = ctx.inputs["tokens"]
    architecture = {**p["architecture"], "d_vocab": ctx.inputs["tokenizer"].json("tokenizer")["d_vocab"]}
    seed = derive_seed(p["root_seed"], "model-init", p["model_seed"])
    model = build(TransformerConfig(**architecture), seed, device=ctx.device)
    validation = tokens.array("validation_contexts")[:VALIDATION_CONTEXTS]
    if p["training"] is None:
        facts = {"heldout_loss": heldout_loss(model, validation), "tokens": 0}
        losses = np.zeros(0, np.float32)
    else:
        config = TrainingConfig(**p["training"])
        steps = config.steps_at(p.get("checkpoints", ()), tokens.array("train_contexts").shape[1])
        with resumable(ctx) as (options,):
            result = train(
                model,
                tokens.array("train_contexts"),
                validation,
                config,
                checkpoints=steps,
                data_seed=derive_seed(p["root_seed"], "data-order", p["data_seed"]),
                **options,
            )
        if result.status != "ok":
            raise TrainingDiverged(
                f"Training of {ctx.node_id} diverged after {result.tokens} tokens (loss not finite). "
                "Lower models.training.lr or raise its warm-up."
            )
        for number, at in enumerate(steps):
            ctx.out.tensors(_checkpoint(number), result.checkpoints[at])
        facts = {"heldout_loss": result.heldout_loss, "tokens": result.tokens}
        losses = result.losses
        if result.warnings:
            ctx.out.facts(warnings=list(result.warnings))
        for warning in result.warnings:
            logger.warning("%s", warning)
    ctx.out.tensors("weights", weights(model))
    ctx.out.json("config", architecture)
    ctx.out.array("losses", losses)
    ctx.out.json("training", facts)
    ctx.out.facts(**facts)


def pretrained_cost(sizes: Sizes, params: Mapping[str, Any]) -> Estimate:
    """Two readings of the weights; what is kept is a few words."""
    return Estimate(IMPORT_SECONDS + 2 * sizes.model_bytes / 3e8, 1000, BASE_MEMORY + sizes.model_bytes)


@step("pretrained", version=1, cost=pretrained_cost)
def pretrained(ctx: StepContext) -> None:
    """Pin a model from the hub or a folder: its resolved revision and the digest of its weights."""
    from results.public.hub import check_weights, describe_pretrained

    p = ctx.params
    facts = describe_pretrained(p["name"], p["revision"])
    d_vocab = ctx.inputs["tokenizer"].json("tokenizer")["d_vocab"]
    if d_vocab > facts["d_vocab"]:
        remedy = "Set tokenizer to {kind: hub, name: the model's own}."
        constraint = f"at most {facts['d_vocab']}"
        raise refusal("tokens", f"the tokenizer of {ctx.node_id}", constraint, d_vocab, remedy)
    if p["untrained_seed"] is None:
        check_weights(p["name"], p["revision"])
    ctx.out.json("pretrained", {**p, **facts})
    ctx.out.facts(**facts)
    _compare_tokenizers(ctx)


def _compare_tokenizers(ctx: StepContext) -> None:
    """Hold the run's tokenizer against the model's own, where it has one."""
    from pipelines.tokens.tokenizer import choose_tokenizer, compare_tokenizers
    from pipelines.tokens.tokenizer_config import HubTokenizer

    name, revision = ctx.params["name"], ctx.params["revision"]
    try:
        own = choose_tokenizer(HubTokenizer(name=name, revision=revision), []).content
    except InputError as error:
        ctx.out.facts(tokenizer=f"not compared: {error}")
        return
    warning = compare_tokenizers(own, ctx.inputs["tokenizer"].bytes("tokenizer.json"), name)
    if warning:
        ctx.out.facts(warnings=[warning])
        logger.warning("%s", warning)


@step("shuffled", version=1, cost=transformer_cost)
def shuffled(ctx: StepContext) -> None:
    """A trained transformer with the entries of every weight tensor in another order: a floor."""
    from universality.transformers.native import shuffle_weights

    source, seed = ctx.inputs["transformer"], derive_seed(ctx.params["root_seed"], *ctx.params["shuffle"])
    if source.has("pretrained"):
        # Public weights are never copied: they are shuffled again wherever they are opened.
        ctx.out.json("pretrained", {**source.json("pretrained"), "shuffle_seed": seed})
        return
    model = open_transformer(source, ctx.device)
    shuffle_weights(model, seed)
    _write_derived(ctx, model, 0)


def _checkpoint(number: int) -> str:
    return f"checkpoint-{number}"


def checkpoint_cost(sizes: Sizes, params: Mapping[str, Any]) -> Estimate:
    """Weights opened and written, and the validation text read once."""
    return Estimate(IMPORT_SECONDS, 4 * sizes.parameters, BASE_MEMORY + 8 * sizes.parameters)


@step("checkpoint", version=1, cost=checkpoint_cost)
def checkpoint(ctx: StepContext) -> None:
    """A transformer as it was at a place of its training, as a model of its own."""
    from universality.transformers.native import restored

    source = ctx.inputs["transformer"]
    model = restored(source.json("config"), source.tensors(_checkpoint(ctx.params["number"])), device=ctx.device)
    _write_derived(ctx, model, ctx.params["tokens"])


def _write_derived(ctx: StepContext, model: Any, tokens: int) -> None:
    """Write a transformer that was made of another, after so many training tokens."""
    from universality.transformers.native import weights
    from universality.transformers.training import heldout_loss

    validation = ctx.inputs["tokens"].array("validation_contexts")[:VALIDATION_CONTEXTS]
    facts = {"heldout_loss": heldout_loss(model, validation), "tokens": tokens}
    ctx.out.tensors("weights", weights(model))
    ctx.out.json("config", ctx.inputs["transformer"].json("config"))
    ctx.out.json("training", facts)
    ctx.out.facts(**facts)


def activations_cost(sizes: Sizes, params: Mapping[str, Any]) -> Estimate:
    """A forward pass over the part's tokens, and the writing of what is kept."""
    tokens = sizes.rows if params["part"] == "eval" else int(min(params["max_tokens"], sizes.text_tokens / 2))
    width = 2 if params["dtype"] == "float16" else 4
    size = tokens * sizes.d_in * width * len(params["hook_points"])
    if params["part"] == "eval":  # the maps to the logits beside them
        size += 4 * sizes.d_in * sizes.vocabulary * len(params["hook_points"])
    seconds = IMPORT_SECONDS + 2 * sizes.block_flops * tokens / flops(params) + size / 3e8
    return Estimate(seconds, size, BASE_MEMORY + sizes.model_bytes)


@step("activations", version=1, cost=activations_cost)
def activations(ctx: StepContext) -> None:
    """Activations at the hook points for one part of the corpus, rows in order, sharded."""
    from universality.transformers.harvest import harvest

    p = ctx.params
    tokens = ctx.inputs["tokens"]
    contexts = part_contexts(tokens, p["part"], p["max_tokens"])
    keep = (
        _evaluation_rows(tokens)
        if p["part"] == "eval"
        else positions_that_count(ctx.inputs["tokenizer"], p.get("positions"))
    )
    _check_positions(ctx, contexts.shape[1])
    model = open_transformer(ctx.inputs["transformer"], ctx.device)
    if p["part"] == "eval":
        _keep_logit_maps(ctx, model, p["hook_points"])
    dtype, size = np.dtype(p["dtype"]), p["batch_contexts"]
    streams: dict[str, Any] = {}
    n_rows = 0
    with ExitStack() as stack:
        for start in range(0, len(contexts), size):
            batch = np.asarray(contexts[start : start + size])
            counts = keep(start, batch)
            for batch_activations in harvest(model, batch, p["hook_points"], batch_contexts=size, device=ctx.device):
                for hook_point, values in batch_activations.items():
                    check_finite(values, hook_point, ctx.node_id)
                    if hook_point not in streams:
                        stream = ctx.out.stream(hook_point, dtype, values.shape[2:], shard_rows=p["shard_rows"])
                        streams[hook_point] = stack.enter_context(stream)
                    streams[hook_point].write(_as_dtype(values[counts], dtype, ctx.node_id))
            n_rows += int(counts.sum())
            ctx.progress(start + len(batch), len(contexts))
    ctx.out.facts(n_rows=n_rows)


def _check_positions(ctx: StepContext, n_ctx: int) -> None:
    """Contexts that a model from elsewhere has no positions for are refused; those beyond its training are told."""
    if not ctx.inputs["transformer"].has("pretrained"):
        return
    from results.public.checkpoints import check_positions
    from results.public.hub import read_config

    spec = ctx.inputs["transformer"].json("pretrained")
    warning = check_positions(spec["name"], read_config(spec["name"], spec["revision"]), n_ctx)
    if warning:
        ctx.out.facts(warnings=[warning])
        logger.warning("%s", warning)


def _keep_logit_maps(ctx: StepContext, model: Any, hook_points: Sequence[str]) -> None:
    """Beside the activations, what the comparison needs to know of their effect on the logits."""
    from universality.transformers.harvest import logit_weights

    for hook_point in hook_points:
        try:
            ctx.out.array(f"logit_map.{hook_point}", logit_weights(model, hook_point))
        except InputError as error:  # no linear path from there to the logits: said, not guessed
            ctx.out.facts(**{f"logit_map.{hook_point}": str(error)})


def part_contexts(tokens: Artifact, part: str, max_tokens: int | None) -> Any:
    """The first contexts of a part of the corpus that hold ``max_tokens`` positions after their first; default all."""
    contexts = tokens.array(f"{part}_contexts")
    return contexts if max_tokens is None else contexts[: -(-int(max_tokens) // (contexts.shape[1] - 1))]


def positions_that_count(tokenizer: Artifact, positions: Mapping[str, Any] | None) -> KeptRows:
    """What the dictionaries are trained on; without a policy of its own, as :func:`training_rows`."""
    if positions is None:
        return training_rows(special_tokens(tokenizer))
    special = np.empty(0, np.int64) if positions["special_tokens"] else special_tokens(tokenizer)
    return training_rows(special, positions["first_position"])


def training_rows(special: np.ndarray, first_position: int = 1) -> KeptRows:
    """Neither the first position nor a special token.

    The first position holds an attention sink with an outlier norm, and separators carry no text; evaluation rows
    leave both out in the same way.
    """

    def keep(start: int, batch: np.ndarray) -> np.ndarray:
        counts = ~np.isin(batch, special)
        counts[:, :first_position] = False
        return counts

    return keep


def _evaluation_rows(tokens: Artifact) -> KeptRows:
    """Exactly the evaluation rows, in their order."""
    context, position = tokens.array("row_context"), tokens.array("row_position")

    def keep(start: int, batch: np.ndarray) -> np.ndarray:
        low, high = np.searchsorted(context, [start, start + len(batch)])
        counts = np.zeros(batch.shape, dtype=bool)
        counts[context[low:high] - start, position[low:high]] = True
        return counts

    return keep


def special_tokens(tokenizer: Artifact) -> np.ndarray:
    """Ids of the special tokens."""
    vocabulary = vocabulary_of(tokenizer, ["token", "special"])
    return vocabulary.loc[vocabulary["special"], "token"].to_numpy()


def check_finite(values: np.ndarray, hook_point: str, where: str) -> None:
    """NaN would make latents silent instead of wrong to see."""
    finite = np.isfinite(values)
    if not finite.all():
        got = f"{finite.size - int(finite.sum())} NaN or infinite values at {hook_point}"
        remedy = "Take another checkpoint: its weights overflow on this text."
        raise refusal("every activation", where, "finite", got, remedy)


def _as_dtype(values: np.ndarray, dtype: np.dtype, where: str) -> np.ndarray:
    cast = values.astype(dtype, copy=False)
    if dtype == np.float16 and not np.isfinite(cast).all():
        raise OverflowError(
            f"Activations of {where} must fit float16; got {float(np.abs(values).max()):.3g}. "
            "Set activation_dtype: float32."
        )
    return cast
