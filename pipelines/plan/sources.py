"""Nodes of the text, the transformers and their activations."""

from dataclasses import replace
from typing import Any

from pipelines.corpus.fingerprint import corpus_fingerprint, tokenizer_fingerprint
from pipelines.engine.plan import Node
from pipelines.plan.layout_nodes import BATCH_CONTEXTS, Layout, as_json
from pipelines.recipe import NativeModels, Recipe, dictionary_specs, shaped_like, study_cells, training_tokens
from results.public.hub import check_model
from results.stored_comparison import CORPUS, TOKENIZER, TOKENS, activations_node, mix_node, transformer_node
from universality.transformers.transformer_config import TrainingConfig, TransformerConfig

#: Rows per shard of stored activations.
SHARD_ROWS = 65_536


def data_nodes(layout: Layout) -> list[Node]:
    """Corpus, tokenizer and tokens."""
    recipe = layout.recipe
    split = recipe.split
    tokens = {
        "n_ctx": recipe.n_ctx,
        "fit_tokens": split.fit_tokens,
        "score_tokens": split.score_tokens,
        "balance": split.balance,
        "min_sources": split.min_sources,
        "validation_tokens": split.validation_tokens,
    }
    seed = {"root_seed": recipe.root_seed}
    # Files may change under the same path: what they hold is part of the key.
    held = {"fingerprint": corpus_fingerprint(recipe.corpus)} if layout.pinned else {}
    corpus = {"corpus": as_json(recipe.corpus), **held, "split": as_json(split), **seed}
    return [
        layout.node(CORPUS, "corpus", corpus, {}),
        layout.node(TOKENIZER, "tokenizer", _tokenizer(recipe), {"corpus": CORPUS}),
        layout.node(TOKENS, "tokens", {"tokens": tokens, **seed}, {"corpus": CORPUS, "tokenizer": TOKENIZER}),
        *(
            layout.node(
                mix_node(name), "mix",
                {"name": name, "mix": as_json(recipe.mixes[name]), "tokens": tokens, **seed},
                {"corpus": CORPUS, "tokenizer": TOKENIZER},
            )
            for name in used_mixes(recipe)
        ),
    ]  # fmt: skip


def used_mixes(recipe: Recipe) -> list[str]:
    """Names of the mixes that some model is trained on."""
    data = recipe.models.data if isinstance(recipe.models, NativeModels) else None
    return [name for name in recipe.mixes if name in (data or ())]


def _tokenizer(recipe: Recipe) -> dict[str, Any]:
    """A tokenizer from elsewhere starts contexts with its own token; earlier versions went by a list of usual names."""
    params = {"tokenizer": as_json(recipe.tokenizer)}
    if recipe.tokenizer.kind == "train":
        return params
    return {**params, "start": "own", "files": tokenizer_fingerprint(recipe.tokenizer)}


def transformer_nodes(layout: Layout) -> list[Node]:
    """Every transformer that something reads, and its activations."""
    recipe, models = layout.recipe, layout.recipe.models
    nodes: list[Node] = []
    used = used_models(layout)
    needed = used | {shaped_like(recipe, name) for name in recipe.checkpoint_ids if name in used}
    sources = {_shuffled_from(layout, index) for index, u in enumerate(layout.untrained) if u in used}
    for index, model in enumerate(layout.trained):
        if model not in needed and not (models.floor == "shuffled" and model in sources):
            continue
        if isinstance(models, NativeModels):
            model_seed = models.model_seeds[index]
            data_seed = model_seed if models.data_seeds is None else models.data_seeds[index]
            mix = None if models.data is None else models.data[index]
            node = _native(layout, model, models.of(index), model_seed, data_seed, mix)
            if models.kept:
                node = replace(node, params={**node.params, "checkpoints": models.kept})
            nodes += [node, *_checkpoint_nodes(layout, model, models.of(index)[1], used)]
        else:
            spec = {**as_json(models.models[index]), "untrained_seed": None}
            node = layout.node(transformer_node(model), "pretrained", spec, {"tokenizer": TOKENIZER})
            if layout.pinned:
                read = recipe.hook_points_of(model)
                said = check_model(spec["name"], spec["revision"], n_ctx=recipe.n_ctx, hook_points=read)
                node = replace(node, warnings=said)
            nodes.append(node)
    for index, model in enumerate(layout.untrained):
        if model not in used:
            continue
        if models.floor == "shuffled":
            source = _shuffled_from(layout, index)
            params = {"shuffle": ["shuffled", model], "root_seed": recipe.root_seed}
            inputs = {"transformer": transformer_node(source), "tokens": TOKENS}
            own = isinstance(models, NativeModels)  # public weights are shuffled where they are opened, not here
            nodes.append(layout.training_node(transformer_node(model), "shuffled", params, inputs, holds=own))
        elif isinstance(models, NativeModels):
            nodes.append(_native(layout, model, models.of(index), f"untrained-{index}", None))
        else:
            spec = {**as_json(models.models[0]), "untrained_seed": index}
            nodes.append(layout.node(transformer_node(model), "pretrained", spec, {"tokenizer": TOKENIZER}))
    trained_on = {
        (spec.model, spec.data_part)
        for c in recipe.comparisons
        for spec in dictionary_specs(recipe, c)
        if spec.id not in c.loaded
    } | {(sweep.model, "sae_a") for sweep in recipe.sweeps}
    trained_on |= {(spec.model, spec.data_part) for study in recipe.studies for _, spec in study_cells(recipe, study)}
    for model in [*layout.trained, *recipe.checkpoint_ids, *layout.untrained]:
        if model not in used:
            continue
        stored = recipe.activation_source == "stored"
        parts = [part for part in ("sae_a", "sae_b") if stored and (model, part) in trained_on]
        for part in [*parts, "eval"]:
            evaluation = part == "eval"
            params = {
                "part": part,
                "hook_points": recipe.hook_points_of(model),
                "max_tokens": None if evaluation else training_tokens(recipe),
                "dtype": "float32" if evaluation else recipe.activation_dtype,
                "batch_contexts": BATCH_CONTEXTS,
                "shard_rows": SHARD_ROWS,
                **({} if evaluation else recipe.training_rows.positions),
            }
            inputs = {"transformer": transformer_node(model), "tokens": TOKENS, "tokenizer": TOKENIZER}
            nodes.append(layout.training_node(activations_node(model, part), "activations", params, inputs))
    return nodes


def used_models(layout: Layout) -> set[str]:
    """Transformers whose activations something reads: all where models are compared, else those of sweeps, studies."""
    recipe = layout.recipe
    compared = {*layout.trained, *layout.untrained} if recipe.comparisons else set()
    studied = {cell.transformer for study in recipe.studies for cell, _ in study_cells(recipe, study)}
    return compared | studied | {sweep.model for sweep in recipe.sweeps}


def _shuffled_from(layout: Layout, index: int) -> str:
    """The trained model whose weights the untrained one of that number has in another order."""
    return layout.trained[index % len(layout.trained)]


def _checkpoint_nodes(layout: Layout, model: str, training: TrainingConfig, used: set[str]) -> list[Node]:
    """A trained transformer at those earlier places of its training that something reads."""
    models, n_ctx = layout.recipe.models, layout.recipe.n_ctx
    kept = models.kept if isinstance(models, NativeModels) else []
    steps = training.steps_at(kept, n_ctx)
    inputs = {"transformer": transformer_node(model), "tokens": TOKENS}
    return [
        layout.training_node(
            transformer_node(f"{model}c{number}"), "checkpoint",
            {"number": number, "tokens": step * training.batch_contexts * n_ctx}, inputs,
        )
        for number, step in enumerate(steps)
        if f"{model}c{number}" in used
    ]  # fmt: skip


def _native(
    layout: Layout,
    model: str,
    kind: tuple[TransformerConfig, TrainingConfig],
    model_seed: int | str,
    data_seed: int | None,
    mix: str | None = None,
) -> Node:
    """A native transformer of a shape and training; without a data seed it keeps its random weights."""
    shape, training = kind
    params = {
        "architecture": {**as_json(shape), "n_ctx": max(shape.n_ctx, layout.recipe.n_ctx)},
        "training": None if data_seed is None else as_json(training),
        "model_seed": model_seed,
        "data_seed": data_seed,
        "root_seed": layout.recipe.root_seed,
    }
    inputs = {"tokens": TOKENS if mix is None else mix_node(mix), "tokenizer": TOKENIZER}
    return layout.training_node(transformer_node(model), "transformer", params, inputs)
