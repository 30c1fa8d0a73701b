"""What the cost rules of steps share: the sizes of a recipe, and the speed of a machine.

Rates were read off runs of the quickstart on one slow core, all on the same, so that they are true beside each other; a
usual core takes :data:`USUAL` of it. A plan is an order of magnitude, not a promise.
"""

import math
from collections.abc import Collection, Mapping
from typing import Any

from pipelines.loaded_dictionaries import Looked
from pipelines.recipe import NativeModels, Recipe, primary_specs, trained_configs
from universality.transformers.hook_points import Shape

#: What a usual core takes of the seconds that the rules say for a node of the CPU: two of them took 4 min 22 s for a
#: quickstart for which the rules had said 7 min, missing a seventh of its work.
USUAL = 0.55
#: Useful float operations per second: of one CPU thread at these small shapes, and of one GPU.
CPU_FLOPS = 2.5e10
GPU_FLOPS = 2e13
#: The same of a transformer's training step, plain and compiled; tf32 that is not compiled was never measured. With a
#: millisecond a step and layer they come within 1.4 times the steps of one H200 (docs/PERFORMANCE.md).
TRAINING_FLOPS = {"float32": (3.4e13, 3.7e13), "tf32": (5e13, 1.1e14), "bfloat16": (6.3e13, 2e14)}
LAYER_SECONDS = 1e-3
COMPILE_SECONDS = 30.0
#: Seconds to import torch and transformer-lens, once per worker; charged to the steps that need them.
IMPORT_SECONDS = 1.0
#: Resident bytes of a process with torch loaded.
BASE_MEMORY = 700_000_000


class Sizes:
    """What a recipe and its models say of sizes, for the cost rules of its steps.

    Args:
        recipe: the recipe.
        shapes: widths of its models, as far as they are known.
        looked: dictionaries from elsewhere, as far as they were looked at.
        text_bytes: of the corpus at most; None where nobody knows.

    Attributes:
        recipe: the recipe.
        text_tokens: of the corpus at most, by the recipe's bytes per token.
        rows: evaluation rows, fit and score.
        n_compared: dictionaries that the largest comparison compares.
        d_sae: latents of the widest dictionary; of loaded ones that were not looked at the size of common public ones.
        k: latents that fire in a row, of the densest dictionary.
        vocabulary: token ids.
        d_model, d_mlp, n_layers: largest of the transformers; where nothing is known those of a small public model.
        d_in: width of what dictionaries read.
        block_flops: float operations of a token's forward pass through all blocks.
        token_flops: the same with the logits.
        parameters: weights of one transformer.
        model_bytes: resident bytes of one that is open.
        two_sides: resident bytes of a step that holds the latents of two dictionaries.
    """

    def __init__(
        self,
        recipe: Recipe,
        shapes: Mapping[str, Shape],
        looked: Collection[Looked] = (),
        text_bytes: int | None = None,
    ):
        self.recipe = recipe
        split = recipe.split
        self.text_tokens = math.inf if text_bytes is None else max(1, int(text_bytes / split.bytes_per_token))
        most = split.max_fraction * self.text_tokens
        self.rows = int(min(split.fit_tokens, most) + min(split.score_tokens, most))
        self.n_compared = max((len(primary_specs(recipe.model_ids, c)) for c in recipe.comparisons), default=0)
        configs = trained_configs(recipe)
        unseen = len(looked) < sum(len(c.saes) for c in recipe.comparisons)
        d_sae = [*(config.d_sae for config in configs), *(one.d_sae for one in looked)]
        self.d_sae = max([16_384 * unseen, *d_sae])
        k = [*(math.ceil(config.expected_l0) for config in configs), *(one.k or 64 for one in looked)]
        self.k = max([64 * unseen, *k])

        def largest(name: str, default: int) -> int:
            return max(filter(None, (getattr(shape, name) for shape in shapes.values())), default=default)

        self.vocabulary = max(getattr(config, "vocab_size", 0) for config in recipe.tokenizers) or largest(
            "d_vocab", 50_000
        )
        self.d_model, self.n_layers = largest("d_model", 768), largest("n_layers", 12)
        self.d_mlp = largest("d_mlp", 4 * self.d_model)
        read = [(shapes[model], hook) for model in recipe.model_ids for hook in recipe.hook_points_of(model)]
        self.d_in = max(filter(None, (shape.width_at(hook) for shape, hook in read)), default=self.d_model)
        blocks = self.n_layers * (4 * self.d_model**2 + 2 * self.d_model * self.d_mlp)
        unembedding = 2 * self.d_model * self.vocabulary
        self.block_flops = 2 * blocks
        self.token_flops = self.block_flops + unembedding
        self.parameters = blocks + unembedding
        wide = any(isinstance(g, NativeModels) or any(m.dtype == "float32" for m in g.models) for g in recipe.groups)
        self.model_bytes = (4 if wide else 2) * self.parameters
        self.two_sides = BASE_MEMORY + 2 * 24 * self.rows * self.k


def flops(params: Mapping[str, Any]) -> float:
    """Useful float operations per second of the device and threads in a node's params; one CPU thread by default."""
    return GPU_FLOPS if params.get("device") == "cuda" else CPU_FLOPS * params.get("threads", 1)
