"""Steps that train dictionaries and encode the shared evaluation rows with them."""

from __future__ import annotations

import numpy as np

from pipelines.engine.step import StepContext, step
from pipelines.errors import TrainingDiverged
from pipelines.steps.models import open_transformer
from universality.seeds import derive_seed

#: Evaluation rows encoded at once; bounds the dense pre-activations in memory.
ENCODE_ROWS = 8192
#: Contexts of the score part whose loss is measured with the reconstruction spliced in.
SPLICED_CONTEXTS = 64


@step("sae", version=1)
def sae(ctx: StepContext) -> None:
    """Train one dictionary on the stored activations of one model."""
    from universality.sae.training import SAETrainingConfig, train_sae

    p = ctx.params
    result = train_sae(
        ctx.inputs["activations"].array(p["hook_point"]),
        SAETrainingConfig(**p["config"]),
        sae_seed=derive_seed(p["root_seed"], "sae", p["comparison_id"], *p["sae_seed"]),
        state=ctx.checkpoint.load(),
        on_state=ctx.checkpoint.save,
        progress=ctx.progress,
        device=ctx.device,
    )
    if result.status != "ok":
        raise TrainingDiverged(
            f"Training of {ctx.node_id} ended as {result.status!r}. Lower comparisons.sae.lr or raise its warm-up."
        )
    config, tensors = result.sae.to_tensors()
    ctx.out.tensors("sae.safetensors", tensors)
    ctx.out.json("sae", config)
    ctx.out.array("init_cosine", result.init_cosine)
    quality = {"fvu": result.fvu, "l0": result.l0, "dead_fraction": result.dead_fraction}
    ctx.out.json("quality", quality)
    ctx.out.facts(**quality)
