"""Nodes of the text, the transformers and their activations."""

from dataclasses import replace
from typing import Any

from pipelines.corpus.fingerprint import corpus_fingerprint, tokenizer_fingerprint
from pipelines.engine.plan import Node
from pipelines.plan.layout_nodes import BATCH_CONTEXTS, Layout, as_json
from pipelines.recipe import NativeModels, Recipe, dictionary_specs, study_cells, training_tokens
from pipelines.tokens.identity import check_own_tokenizer, check_spells, local_content, tokenizer_name
from pipelines.tokens.tokenizer_config import TokenizerConfig
from results.public.ahead import check_model
from results.stored_comparison import (
    CORPUS,
    TOKENIZER,
    TOKENS,
    activations_node,
    aligned_node,
    input_name,
    mix_node,
    tokenizer_node,
    tokens_node,
    transformer_node,
)
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
    if layout.aligned:
        return [layout.node(CORPUS, "corpus", corpus, {}), *_aligned_nodes(layout, tokens, seed)]
    return [
        layout.node(CORPUS, "corpus", corpus, {}),
        layout.node(TOKENIZER, "tokenizer", _tokenizer(*layout.tokenizers.values()), {"corpus": CORPUS}),
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


def _aligned_nodes(layout: Layout, tokens: dict[str, Any], seed: dict[str, int]) -> list[Node]:
    """Of several tokenizers, each with the text that its models are trained on, and the rows that all share."""
    nodes, made, names = [], {"corpus": CORPUS, "documents": tokens_node(0)}, []
    for number, config in enumerate(layout.tokenizers.values()):
        of = tokenizer_node(number)
        names.append(tokenizer_name(config))
        content = local_content(config) if layout.pinned else None
        if content is not None:
            check_spells(content, names[-1])
        nodes += [
            layout.node(of, "model_tokenizer", {**_tokenizer(config), "number": number}, {"corpus": CORPUS}),
            layout.node(
                tokens_node(number), "model_tokens", {"tokens": tokens, **seed}, {"corpus": CORPUS, "tokenizer": of}
            ),
        ]
        made[input_name("tokenizer", number)] = of
    return [
        *nodes,
        layout.node(TOKENS, "shared_rows", {"tokens": tokens, **seed, "names": names}, made),
        layout.node(TOKENIZER, "segments", {}, {"tokens": TOKENS}),
        *(
            layout.node(aligned_node(number), "aligned", {"tokenizer": number}, {"tokens": TOKENS})
            for number in range(len(names))
        ),
    ]


def used_mixes(recipe: Recipe) -> list[str]:
    """Names of the mixes that some model is trained on."""
    used = {name for group in recipe.groups if isinstance(group, NativeModels) for name in group.data or ()}
    return [name for name in recipe.mixes if name in used]


def _tokenizer(config: TokenizerConfig) -> dict[str, Any]:
    """A tokenizer from elsewhere starts contexts with its own token; earlier versions went by a list of usual names."""
    params = {"tokenizer": as_json(config)}
    if config.kind == "train":
        return params
    return {**params, "start": "own", "files": tokenizer_fingerprint(config)}


def transformer_nodes(layout: Layout) -> list[Node]:
    """Every transformer that something reads, and its activations."""
    recipe = layout.recipe
    used = used_models(layout)
    needed = used | {recipe.like(name) for name in recipe.checkpoint_ids if name in used}
    needed |= {recipe.twin(u) for u in layout.untrained if u in used and recipe.member(u).group.floor == "shuffled"}
    nodes: list[Node] = []
    for model in layout.trained:
        if model in needed:
            nodes += _trained(layout, model, used)
    nodes += [_untrained(layout, model) for model in layout.untrained if model in used]
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
            text = layout.read(model) if evaluation else layout.text(model)
            inputs = {"transformer": transformer_node(model), **text}
            nodes.append(layout.training_node(activations_node(model, part), "activations", params, inputs))
    return nodes


def used_models(layout: Layout) -> set[str]:
    """Transformers whose activations something reads: all where models are compared, else those of sweeps, studies."""
    recipe = layout.recipe
    compared = {*layout.trained, *layout.untrained} if recipe.comparisons else set()
    studied = {cell.transformer for study in recipe.studies for cell, _ in study_cells(recipe, study)}
    return compared | studied | {sweep.model for sweep in recipe.sweeps}


def _trained(layout: Layout, model: str, used: set[str]) -> list[Node]:
    """A transformer that is trained here, with those of its checkpoints that are read, or one from elsewhere."""
    recipe, (models, index) = layout.recipe, layout.recipe.member(model)
    if isinstance(models, NativeModels):
        model_seed = models.model_seeds[index]
        data_seed = model_seed if models.data_seeds is None else models.data_seeds[index]
        mix = None if models.data is None else models.data[index]
        node = _native(layout, model, models.of(index), model_seed, data_seed, mix)
        if models.kept:
            node = replace(node, params={**node.params, "checkpoints": models.kept})
        return [node, *_checkpoint_nodes(layout, model, models, index, used)]
    spec = {**as_json(models.models[index]), "untrained_seed": None}
    node = layout.node(transformer_node(model), "pretrained", spec, {"tokenizer": layout.tokenizer(model)})
    if layout.pinned:
        read = recipe.hook_points_of(model)
        said = check_model(spec["name"], spec["revision"], n_ctx=recipe.n_ctx, hook_points=read)
        check_own_tokenizer(spec["name"], recipe.tokenizer_of(model))
        node = replace(node, warnings=said)
    return [node]


def _untrained(layout: Layout, model: str) -> Node:
    """A transformer for the floor."""
    recipe, (models, _) = layout.recipe, layout.recipe.member(model)
    number = layout.untrained.index(model)
    if models.floor == "shuffled":
        params = {"shuffle": ["shuffled", model], "root_seed": recipe.root_seed}
        inputs = {"transformer": transformer_node(recipe.twin(model)), "tokens": layout.tokens(model)}
        own = isinstance(models, NativeModels)  # public weights are shuffled where they are opened, not here
        return layout.training_node(transformer_node(model), "shuffled", params, inputs, holds=own)
    if isinstance(models, NativeModels):
        return _native(layout, model, models.of(recipe.member(model).index), f"untrained-{number}", None)
    spec = {**as_json(models.models[0]), "untrained_seed": number}
    return layout.node(transformer_node(model), "pretrained", spec, {"tokenizer": layout.tokenizer(model)})


def _checkpoint_nodes(layout: Layout, model: str, models: NativeModels, index: int, used: set[str]) -> list[Node]:
    """A trained transformer at those earlier places of its training that something reads."""
    n_ctx, training = layout.recipe.n_ctx, models.of(index)[1]
    inputs = {"transformer": transformer_node(model), "tokens": layout.tokens(model)}
    return [
        layout.training_node(
            transformer_node(f"{model}c{number}"), "checkpoint",
            {"number": number, "tokens": step * training.batch_contexts * n_ctx}, inputs,
        )
        for number, step in enumerate(training.steps_at(models.kept, n_ctx))
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
    inputs = layout.text(model) if mix is None else {**layout.text(model), "tokens": mix_node(mix)}
    return layout.training_node(transformer_node(model), "transformer", params, inputs)
