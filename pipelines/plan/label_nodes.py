"""Nodes that label latents by rules of the text."""

from collections.abc import Mapping

from pipelines.engine.plan import Node
from pipelines.plan.layout_nodes import Layout, as_json
from results.stored_comparison import TOKENIZER, TOKENS, comparison_node, dictionary_node, input_name, latents_node


def label_nodes(
    layout: Layout, c: str, compared: list[str], untrained: list[str], model_of: Mapping[str, str]
) -> list[Node]:
    """Rules of every compared and untrained dictionary, and all labels of the comparison."""
    params = {
        "comparison_id": c,
        "root_seed": layout.recipe.root_seed,
        "compare": {"min_firings": as_json(layout.recipe.compare)["min_firings"]},
    }
    text = {"tokens": TOKENS, "tokenizer": TOKENIZER}
    gathered, nodes = {**text, "comparison": comparison_node(c)}, []
    for name in [*compared, *untrained]:
        inputs = {**text, "latents": latents_node(c, name)}
        nodes.append(layout.node(dictionary_node("rules", c, name), "rules", params, inputs))
        gathered |= {input_name("rules", name): nodes[-1].id, input_name("latents", name): latents_node(c, name)}
    gathered |= {input_name("evidence", name): dictionary_node("evidence", c, name) for name in compared}
    if layout.aligned:  # what a latent makes likelier are tokens of its own model
        gathered |= {input_name("tokenizer", name): layout.tokenizer(model_of[name]) for name in compared}
    params = {"comparison_id": c, "trained": compared, "untrained": untrained}
    return [*nodes, layout.node(comparison_node(c, "labels"), "labels", params, gathered)]
