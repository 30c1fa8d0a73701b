"""From a recipe to the plan of its run: which steps, on what, under which ids."""

from dataclasses import replace

from pipelines.engine.plan import Node, Plan
from pipelines.plan.comparison_nodes import comparison_nodes
from pipelines.plan.dictionary_nodes import sweep_nodes
from pipelines.plan.heads import check_heads
from pipelines.plan.layout_nodes import BATCH_CONTEXTS, Layout
from pipelines.plan.sources import SHARD_ROWS, data_nodes, transformer_nodes
from pipelines.plan.splitting_nodes import splitting_nodes
from pipelines.plan.study_nodes import study_nodes
from pipelines.recipe import NativeModels, Recipe, trained_configs
from results.stored_comparison import TOKENS

__all__ = ["BATCH_CONTEXTS", "SHARD_ROWS", "build_plan", "planned_nodes"]


def build_plan(recipe: Recipe, device: str = "cpu") -> Plan:
    """Lay out every node of a run.

    Args:
        recipe: what to compute.
        device: where transformers and dictionaries are trained and run, ``"cpu"`` or ``"cuda"``. It is part of their
            params, because it changes bytes.

    Returns:
        A plan whose node ids name the step and its subject, for example ``sae/main/m0``.

    Raises:
        InputError: a dictionary or transformer that cannot be trained on the device, or what is read from elsewhere
            (text, tokenizer, models, dictionaries) is not there or not what it must be.
    """
    for group in recipe.groups:
        if isinstance(group, NativeModels):
            group.training.check_device(device)
    for config in trained_configs(recipe):
        config.check_device(device)
    said = check_heads(recipe)
    nodes = planned_nodes(Layout(recipe, device))
    return Plan([replace(node, warnings=(*node.warnings, *said)) if node.id == TOKENS else node for node in nodes])


def planned_nodes(layout: Layout) -> list[Node]:
    """Every node of a run, in an order in which each comes after what it reads."""
    recipe = layout.recipe
    nodes = [*data_nodes(layout), *transformer_nodes(layout)]
    for comparison in recipe.comparisons:
        nodes += comparison_nodes(layout, comparison)
    for sweep in recipe.sweeps:
        nodes += sweep_nodes(layout, sweep)
    for study in recipe.studies:
        nodes += [*study_nodes(layout, study), *splitting_nodes(layout, study)]
    return nodes
