"""What a node is expected to cost. Guides order and `plan`; never a result.

Rates were read off runs of the quickstart on one core; a plan is an order of magnitude, not a promise.
"""

from __future__ import annotations

import math
from typing import Any

from pipelines.engine.plan import Estimate
from pipelines.recipe import NativeModels, Recipe, model_ids, trained_configs, training_tokens
from universality.feature_map import MAX_FEATURES
from universality.sae.sae_config import TOP_K_FAMILY, SAETrainingConfig
from universality.sae.stream import MEASURED_BLOCK, SAMPLE_ROWS, rows_to_measure

#: Useful float operations per second: of one CPU thread at these small shapes, and of one GPU.
CPU_FLOPS = 2.5e10
GPU_FLOPS = 2e13
#: A step of a dictionary under autograd against one of TopK's kernels, measured at d_in 256, d_sae 4096: 5.5 to 9.7.
DENSE_FACTOR = 7.5
#: Seconds to import torch and transformer-lens, once per worker; charged to the steps that need them.
IMPORT_SECONDS = 1.0
#: Seconds to import umap-learn, which compiles as it is imported.
EMBEDDING_IMPORT_SECONDS = 8.0
#: Resident bytes of a process with torch loaded.
BASE_MEMORY = 700_000_000


def of(recipe: Recipe, step: str, node_id: str, params: dict[str, Any]) -> Estimate:
    """Expected cost of one node.

    Args:
        recipe: the recipe.
        step: name of the step.
        node_id: id of the node.
        params: params of the node.

    Returns:
        Seconds on the node's own device, bytes of its artifact, peak memory of its process.
    """
    rule = _RULES.get(step, _comparing)
    return rule(_Sizes(recipe), node_id, params)


class _Sizes:
    def __init__(self, recipe: Recipe):
        self.recipe = recipe
        self.rows = recipe.split.fit_tokens + recipe.split.score_tokens
        # Nothing is opened to plan: loaded dictionaries count with the size of common public ones.
        known = trained_configs(recipe)
        loaded = any(c.sae is None for c in recipe.comparisons)
        self.d_sae = max([16_384 * loaded, *(config.d_sae for config in known)])
        self.k = max([64 * loaded, *(math.ceil(config.expected_l0) for config in known)])
        models = recipe.models
        self.vocabulary = vocabulary = getattr(recipe.tokenizer, "vocab_size", 50_000)
        if isinstance(models, NativeModels):
            shape = models.architecture
            self.d_model = shape.d_model
            self.d_mlp = shape.d_mlp or 4 * shape.d_model
            self.n_layers = shape.n_layers
        else:  # nothing is opened to plan: the size of a small public model
            self.d_model, self.d_mlp, self.n_layers = 768, 3072, 12
        hooks = [reader.hook_point for reader in (*recipe.comparisons, *recipe.sweeps)]
        self.d_in = self.d_mlp if any("mlp.hook_post" in hook for hook in hooks) else self.d_model
        attention = 4 * self.d_model**2
        self.block_flops = 2 * self.n_layers * (attention + 2 * self.d_model * self.d_mlp)
        self.token_flops = self.block_flops + 2 * self.d_model * vocabulary
        self.parameters = (
            self.n_layers * (attention + 2 * self.d_model * self.d_mlp) + 2 * self.d_model * vocabulary
        )


def _flops(params: dict[str, Any]) -> float:
    return GPU_FLOPS if params.get("device") == "cuda" else CPU_FLOPS * params.get("threads", 1)


def _data(sizes: _Sizes, node_id: str, params: dict[str, Any]) -> Estimate:
    return Estimate(seconds=4.0, bytes=20_000_000, memory=BASE_MEMORY)


def _transformer(sizes: _Sizes, node_id: str, params: dict[str, Any]) -> Estimate:
    training = params.get("training")
    tokens = training["tokens"] if training else 0
    seconds = IMPORT_SECONDS + 3 * sizes.token_flops * tokens / _flops(params)
    return Estimate(seconds, 4 * sizes.parameters, BASE_MEMORY + 16 * sizes.parameters)


def _activations(sizes: _Sizes, node_id: str, params: dict[str, Any]) -> Estimate:
    tokens = params["max_tokens"] or sizes.rows
    width = 2 if params["dtype"] == "float16" else 4
    size = tokens * sizes.d_in * width * len(params["hook_points"])
    if params["part"] == "eval":  # the maps to the logits beside them
        size += 4 * sizes.d_in * sizes.vocabulary * len(params["hook_points"])
    return Estimate(
        IMPORT_SECONDS + 2 * sizes.block_flops * tokens / _flops(params) + size / 3e8, size, BASE_MEMORY
    )


def _sae(sizes: _Sizes, node_id: str, params: dict[str, Any]) -> Estimate:
    config, d_in = SAETrainingConfig.model_validate(params["config"]), sizes.d_in
    weights = 8 * d_in * config.d_sae
    seconds = 5 * 2 * d_in * config.d_sae * config.tokens / (2 * _flops(params))
    memory = BASE_MEMORY + 4 * weights + min(config.buffer_bytes, 4 * d_in * training_tokens(sizes.recipe))
    if _dense(config, params):
        seconds *= DENSE_FACTOR
    times, rows = _fresh_starts(sizes, config)
    seconds += times * 2 * 2 * d_in * config.d_sae * rows / _flops(params)
    memory += max(_held_by_a_step(config, params), _held_by_a_fresh_start(sizes, config))
    if "live" in params:
        seconds += 2 * sizes.block_flops * _computed_rows(sizes, config, params) / _flops(params)
        batch = params["live"]["batch_contexts"] * sizes.recipe.n_ctx
        memory += 4 * sizes.parameters + 4 * batch * (4 * sizes.d_model + sizes.d_mlp)
    return Estimate(IMPORT_SECONDS + seconds, weights, memory)


def _dense(config: SAETrainingConfig, params: dict[str, Any]) -> bool:
    """Whether activations and gradients are dense, in the measure of :data:`DENSE_FACTOR`."""
    return config.architecture not in (TOP_K_FAMILY if params.get("device") != "cuda" else ("topk",))


def _held_by_a_step(config: SAETrainingConfig, params: dict[str, Any]) -> int:
    """Bytes of dense activations and gradients, (batch_rows, d_sae) each."""
    return 6 * 4 * config.batch_rows * config.d_sae if _dense(config, params) else 0


def _fresh_starts(sizes: _Sizes, config: SAETrainingConfig) -> tuple[int, int]:
    """How often dead latents start afresh, and the rows that losses are measured on each time."""
    return len(config.resampling(config.n_steps)), min(
        rows_to_measure(sizes.d_in), training_tokens(sizes.recipe)
    )


def _held_by_a_fresh_start(sizes: _Sizes, config: SAETrainingConfig) -> int:
    """Bytes of these rows as read, scaled and centred, and of the dense activations of a block of them."""
    times, rows = _fresh_starts(sizes, config)
    return 4 * (3 * rows * sizes.d_in + 3 * MEASURED_BLOCK * config.d_sae) if times else 0


def _sweep_sae(sizes: _Sizes, node_id: str, params: dict[str, Any]) -> Estimate:
    one, n_seeds = _sae(sizes, node_id, params), params["n_seeds"]
    own = 4 * one.bytes  # with gradients and moments, of the other seeds
    if params.get("device") == "cuda":  # where all take their step as one
        own += _held_by_a_step(SAETrainingConfig.model_validate(params["config"]), params)
    memory = one.memory + (n_seeds - 1) * own
    return Estimate(IMPORT_SECONDS + n_seeds * (one.seconds - IMPORT_SECONDS), n_seeds * one.bytes, memory)


def _sweep_quality(sizes: _Sizes, node_id: str, params: dict[str, Any]) -> Estimate:
    products = 4 * sizes.d_in * params["config"]["d_sae"] * sizes.rows / 2
    seconds = IMPORT_SECONDS + params["n_seeds"] * (1.0 + products / _flops(params))
    return Estimate(seconds, 10_000, BASE_MEMORY + 8 * sizes.d_in * params["config"]["d_sae"])


def _sweep(sizes: _Sizes, node_id: str, params: dict[str, Any]) -> Estimate:
    return Estimate(1.0, 20_000, BASE_MEMORY)


def _computed_rows(sizes: _Sizes, config: SAETrainingConfig, params: dict[str, Any]) -> int:
    """Rows that a live training computes: samples, the look at the norms, and every filling of the buffer."""
    n_rows, n_ctx = params["live"]["max_tokens"], sizes.recipe.n_ctx
    times, measured = _fresh_starts(sizes, config)
    # Every row of a sample from another context, at worst.
    samples = min(SAMPLE_ROWS * n_ctx, n_rows) + times * min(measured * n_ctx, n_rows)
    norms = 0 if params.get("max_norm") is None else n_rows
    # Data that fit the buffer are computed once for all passes.
    return samples + norms + (n_rows if 4 * sizes.d_in * n_rows <= config.buffer_bytes else config.tokens)


def _loaded_sae(sizes: _Sizes, node_id: str, params: dict[str, Any]) -> Estimate:
    weights = 8 * sizes.d_in * sizes.d_sae
    return Estimate(IMPORT_SECONDS + weights / 3e8, weights, BASE_MEMORY + 3 * weights)


def _latents(sizes: _Sizes, node_id: str, params: dict[str, Any]) -> Estimate:
    seconds = IMPORT_SECONDS + 4 * sizes.d_in * sizes.d_sae * sizes.rows / _flops(params)
    return Estimate(seconds, 16 * sizes.rows * sizes.k, BASE_MEMORY + 24 * sizes.rows * sizes.k)


def _similarity(sizes: _Sizes, node_id: str, params: dict[str, Any]) -> Estimate:
    products = sizes.rows / 2 * sizes.k**2
    return Estimate(0.5 + products / 3e8, 16 * 64 * sizes.d_sae, _two_sides(sizes))


def _null(sizes: _Sizes, node_id: str, params: dict[str, Any]) -> Estimate:
    shifts = 2 * params["compare"]["n_shifts"]
    return Estimate(
        0.5 + shifts * sizes.rows / 2 * sizes.k**2 / 3e8, 16 * shifts * sizes.d_sae, _two_sides(sizes)
    )


def _comparing(sizes: _Sizes, node_id: str, params: dict[str, Any]) -> Estimate:
    return Estimate(2.0 + sizes.rows * sizes.k / 3e6, 100 * sizes.d_sae, _two_sides(sizes))


def _layout(sizes: _Sizes, node_id: str, params: dict[str, Any]) -> Estimate:
    """Correlation of all features of all models at once, then an embedding of at most so many."""
    n_models = len(model_ids(sizes.recipe))
    features = min(n_models * sizes.d_sae, MAX_FEATURES)
    active = features * sizes.k / sizes.d_sae
    seconds = EMBEDDING_IMPORT_SECONDS + sizes.rows * active**2 / 1e8 + features / 1000
    return Estimate(seconds, 40 * features, round(BASE_MEMORY + 60 * sizes.rows * active))


def _two_sides(sizes: _Sizes) -> int:
    return BASE_MEMORY + 2 * 24 * sizes.rows * sizes.k


_RULES = {
    "corpus": _data,
    "tokenizer": _data,
    "tokens": _data,
    "transformer": _transformer,
    "pretrained": _transformer,
    "shuffled": _transformer,
    "activations": _activations,
    "sae": _sae,
    "loaded_sae": _loaded_sae,
    "latents": _latents,
    "sweep_sae": _sweep_sae,
    "sweep_quality": _sweep_quality,
    "sweep": _sweep,
    "similarity": _similarity,
    "null": _null,
    "layout": _layout,
}
