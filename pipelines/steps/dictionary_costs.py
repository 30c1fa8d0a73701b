"""What dictionaries cost: their training from stored or live rows, loading, encoding and judging.

A rule takes the recipe's sizes and a node's params and gives an Estimate.
"""

from collections.abc import Mapping
from typing import Any

from pipelines.engine.step import Estimate
from pipelines.estimates import BASE_MEMORY, IMPORT_SECONDS, Sizes, flops
from pipelines.recipe import training_tokens
from universality.sae.sae_config import SAETrainingConfig
from universality.sae.stream import MEASURED_BLOCK, SAMPLE_ROWS, rows_to_measure

Params = Mapping[str, Any]

#: On a GPU: what every step takes however small it is, what every dictionary in it adds for what is bound by memory and
#: launches, and the rate of its three products. Within 1.35 times the steps of one H200, 4,096 rows each, as they were
#: before they became graphs that are looked at once in 50 (docs/PERFORMANCE.md): upper bounds since.
STEP_SECONDS, DICTIONARY_SECONDS = 1.3e-3, 0.7e-3
PRODUCT_FLOPS = {"float32": 3.3e13, "bfloat16": 1.17e14}
#: Times that dense activations and their gradients are read or written more (counted), and bytes per second of a GPU.
DENSE_PASSES, GPU_BANDWIDTH = 10, 2e12
#: A step of a dictionary under autograd against one of TopK's kernels, measured at d_in 256, d_sae 4096: 5.5 to 9.7.
DENSE_FACTOR = 7.5


def sae_cost(sizes: Sizes, params: Params) -> Estimate:
    """The training of one dictionary."""
    config, d_in = SAETrainingConfig.model_validate(params["config"]), sizes.d_in
    weights = 8 * d_in * config.d_sae
    seconds = 5 * 2 * d_in * config.d_sae * config.tokens / (2 * flops(params))
    memory = BASE_MEMORY + 4 * weights + min(config.buffer_bytes, 4 * d_in * training_tokens(sizes.recipe))
    if params.get("device") == "cuda":
        seconds = gpu_seconds(config, d_in)
    elif _dense(config, params):
        seconds *= DENSE_FACTOR
    times, rows = _fresh_starts(sizes, config)
    seconds += times * 2 * 2 * d_in * config.d_sae * rows / flops(params)
    memory += max(_step_bytes(config, params), _fresh_start_bytes(sizes, config))
    if "live" in params:
        seconds += 2 * sizes.block_flops * _computed_rows(sizes, config, params) / flops(params)
        batch = params["live"]["batch_contexts"] * sizes.recipe.n_ctx
        memory += sizes.model_bytes + 4 * batch * (4 * sizes.d_model + sizes.d_mlp)
    return Estimate(IMPORT_SECONDS + seconds, weights, memory)


def gpu_seconds(config: SAETrainingConfig, d_in: int, n_seeds: int = 1) -> float:
    """What the steps of so many dictionaries take on a GPU, all as one."""
    latents = config.batch_rows * config.d_sae
    each = DICTIONARY_SECONDS + 3 * 2 * d_in * latents / PRODUCT_FLOPS[config.precision]
    if "cuda" not in config.kind.sparse_on:
        each += DENSE_PASSES * 4 * latents / GPU_BANDWIDTH
    return config.n_steps * (STEP_SECONDS + n_seeds * each)


def _dense(config: SAETrainingConfig, params: Params) -> bool:
    """Whether activations and gradients are dense, in the measure of :data:`DENSE_FACTOR`."""
    return ("cuda" if params.get("device") == "cuda" else "cpu") not in config.kind.sparse_on


def _step_bytes(config: SAETrainingConfig, params: Params) -> int:
    """Bytes of dense activations and gradients, (batch_rows, d_sae) each; 0 where they stay sparse."""
    return 6 * 4 * config.batch_rows * config.d_sae if _dense(config, params) else 0


def _fresh_starts(sizes: Sizes, config: SAETrainingConfig) -> tuple[int, int]:
    """How often dead latents start afresh, and the rows that losses are measured on each time."""
    rows = min(rows_to_measure(sizes.d_in), training_tokens(sizes.recipe))
    return len(config.resampling(config.n_steps)), rows


def _fresh_start_bytes(sizes: Sizes, config: SAETrainingConfig) -> int:
    """Bytes of these rows as read, scaled and centred, and of the dense activations of a block of them."""
    times, rows = _fresh_starts(sizes, config)
    return 4 * (3 * rows * sizes.d_in + 3 * MEASURED_BLOCK * config.d_sae) if times else 0


def _computed_rows(sizes: Sizes, config: SAETrainingConfig, params: Params) -> int:
    """Rows that a live training computes: samples, the look at the norms, and every filling of the buffer."""
    n_rows, n_ctx = params["live"]["max_tokens"], sizes.recipe.n_ctx
    times, measured = _fresh_starts(sizes, config)
    # Every row of a sample from another context, at worst.
    samples = min(SAMPLE_ROWS * n_ctx, n_rows) + times * min(measured * n_ctx, n_rows)
    norms = 0 if params.get("max_norm") is None else n_rows
    # Data that fit the buffer are computed once for all passes.
    return samples + norms + (n_rows if 4 * sizes.d_in * n_rows <= config.buffer_bytes else config.tokens)


def sweep_sae_cost(sizes: Sizes, params: Params) -> Estimate:
    """The trainings of one point of a sweep, one per seed, in one process."""
    one, n_seeds = sae_cost(sizes, params), params["n_seeds"]
    own = 4 * one.bytes  # with gradients and moments, of the other seeds
    seconds = n_seeds * (one.seconds - IMPORT_SECONDS)
    if params.get("device") == "cuda":  # where all take their step as one
        config = SAETrainingConfig.model_validate(params["config"])
        own += _step_bytes(config, params)
        together, alone = (gpu_seconds(config, sizes.d_in, n) for n in (n_seeds, 1))
        seconds = one.seconds - IMPORT_SECONDS + together - alone
    memory = one.memory + (n_seeds - 1) * own
    return Estimate(IMPORT_SECONDS + seconds, n_seeds * one.bytes, memory)


def sweep_quality_cost(sizes: Sizes, params: Params) -> Estimate:
    """Every dictionary of a point over the score rows."""
    products = 4 * sizes.d_in * params["config"]["d_sae"] * sizes.rows / 2
    seconds = IMPORT_SECONDS + params["n_seeds"] * (1.0 + products / flops(params))
    return Estimate(seconds, 10_000, BASE_MEMORY + 8 * sizes.d_in * params["config"]["d_sae"])


def loaded_sae_cost(sizes: Sizes, params: Params) -> Estimate:
    """Reading a dictionary and writing it again."""
    weights = 8 * sizes.d_in * sizes.d_sae
    return Estimate(IMPORT_SECONDS + weights / 3e8, weights, BASE_MEMORY + 3 * weights)


def latents_cost(sizes: Sizes, params: Params) -> Estimate:
    """One encoding of all evaluation rows."""
    seconds = IMPORT_SECONDS + 2 * sizes.d_in * sizes.d_sae * sizes.rows / flops(params)
    return Estimate(seconds, 16 * sizes.rows * sizes.k, BASE_MEMORY + sizes.model_bytes + 24 * sizes.rows * sizes.k)
