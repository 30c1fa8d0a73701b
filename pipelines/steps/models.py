"""Steps that make transformers and read their activations."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from pipelines.engine.step import StepContext, step
from pipelines.errors import TrainingDiverged
from universality.seeds import derive_seed

if TYPE_CHECKING:
    from storage import Artifact

#: Seconds between two training checkpoints: an interrupt loses at most this much work.
CHECKPOINT_SECONDS = 20.0


@step("transformer", version=1)
def transformer(ctx: StepContext) -> None:
    """Train one transformer from its model seed (or leave it at its random weights)."""
    from universality.transformers.config import TrainingConfig, TransformerConfig
    from universality.transformers.native import build, weights
    from universality.transformers.training import train

    p = ctx.params
    model = build(TransformerConfig(**p["architecture"]), derive_seed(p["root_seed"], "model-init", p["model_seed"]))
    tokens = ctx.inputs["tokens"]
    result = train(
        model,
        tokens.array("train_contexts"),
        tokens.array("validation_contexts"),
        TrainingConfig(**p["training"]) if p["training"] else TrainingConfig(tokens=0),
        data_seed=derive_seed(p["root_seed"], "data-order", p["data_seed"]),
        state=ctx.checkpoint.load(),
        on_state=throttled_save(ctx),
        progress=ctx.progress,
    )
    if result.status != "ok":
        raise TrainingDiverged(
            f"Training of {ctx.node_id} diverged after {result.tokens} tokens (loss not finite). "
            "Lower models.training.lr or raise its warm-up."
        )
    ctx.out.tensors("weights", weights(model))
    ctx.out.json("config", p["architecture"])
    ctx.out.json("training", {"heldout_loss": result.heldout_loss, "tokens": result.tokens, "losses": result.losses})
    ctx.out.facts(heldout_loss=result.heldout_loss, tokens=result.tokens)


@step("pretrained", version=1)
def pretrained(ctx: StepContext) -> None:
    """Pin a model from the hub or a folder: its resolved revision and the digest of its weights."""
    from pipelines.hub import describe_pretrained

    p = ctx.params
    facts = describe_pretrained(p["name"], p["revision"])
    ctx.out.json("pretrained", {**p, **facts})
    ctx.out.facts(**facts)


def open_transformer(artifact: Artifact, device: str) -> Any:
    """The transformer bridge of a ``transformer`` or ``pretrained`` artifact, in evaluation mode."""
    if artifact.has("pretrained"):
        from pipelines.hub import load_pretrained

        spec = artifact.json("pretrained")
        return load_pretrained(spec["name"], spec["revision"], device=device, untrained_seed=spec["untrained_seed"])
    from universality.transformers.config import TransformerConfig
    from universality.transformers.native import build, load_weights

    model = build(TransformerConfig(**artifact.json("config")), 0)
    load_weights(model, artifact.tensors("weights"))
    return model.to(device)


def kept_positions(contexts: np.ndarray, special: np.ndarray) -> np.ndarray:
    """Which positions of training contexts the dictionaries see: neither the first one nor a special token.

    The first position holds an attention sink with an outlier norm, and separators carry no text; evaluation rows
    leave both out in the same way.
    """
    kept = ~np.isin(contexts, special)
    kept[:, 0] = False
    return kept


@step("activations", version=1)
def activations(ctx: StepContext) -> None:
    """Activations at the hook points for one part of the corpus, rows in order, sharded."""
    from universality.transformers.harvest import harvest

    p = ctx.params
    tokens, special = ctx.inputs["tokens"], special_tokens(ctx.inputs["tokenizer"])
    contexts = tokens.array(f"{p['part']}_contexts")
    if p["max_tokens"] is not None:
        contexts = contexts[: -(-int(p["max_tokens"]) // (contexts.shape[1] - 1))]
    model = open_transformer(ctx.inputs["transformer"], ctx.device)
    dtype = np.dtype(p["dtype"])
    streams: dict[str, Any] = {}
    n_rows = done = 0
    try:
        for batch in _batches(contexts, p["batch_contexts"]):
            kept = kept_positions(batch, special)
            for found in harvest(model, batch, p["hook_points"], batch_contexts=len(batch), device=ctx.device):
                for hook_point, values in found.items():
                    if hook_point not in streams:
                        streams[hook_point] = ctx.out.stream(
                            hook_point, dtype, values.shape[2:], shard_rows=p["shard_rows"]
                        ).__enter__()
                    streams[hook_point].write(_as_dtype(values[kept], dtype, ctx.node_id))
            n_rows += int(kept.sum())
            done += len(batch)
            ctx.progress(done, len(contexts))
    except BaseException as error:
        for stream in streams.values():
            stream.__exit__(type(error), error, error.__traceback__)
        raise
    for stream in streams.values():
        stream.__exit__(None, None, None)
    ctx.out.facts(n_rows=n_rows)


def special_tokens(tokenizer: Artifact) -> np.ndarray:
    """Ids of the special tokens."""
    vocabulary = tokenizer.table("vocabulary", columns=["token", "special"])
    return vocabulary.loc[vocabulary["special"], "token"].to_numpy()


def throttled_save(ctx: StepContext) -> Any:
    """A callback for training loops: saves the state when the last save is old enough."""
    import time

    last = time.monotonic()

    def save(make_state: Any) -> None:
        nonlocal last
        if time.monotonic() - last >= CHECKPOINT_SECONDS:
            ctx.checkpoint.save(*make_state())
            last = time.monotonic()

    return save


def _batches(contexts: np.ndarray, size: int) -> Iterator[np.ndarray]:
    for start in range(0, len(contexts), size):
        yield np.asarray(contexts[start : start + size])


def _as_dtype(values: np.ndarray, dtype: np.dtype, where: str) -> np.ndarray:
    cast = values.astype(dtype, copy=False)
    if dtype == np.float16 and not np.isfinite(cast).all():
        raise OverflowError(
            f"Activations of {where} must fit float16; got {float(np.abs(values).max()):.3g}. "
            "Set activation_dtype: float32."
        )
    return cast
