"""Nodes that say what features do to predictions."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from pipelines.engine.plan import Node
from pipelines.plan.layout_nodes import Layout, as_json
from pipelines.recipe import ComparisonConfig, NativeModels, PretrainedModels
from pipelines.recipe.parts import size_of
from results.stored_comparison import (
    TOKENIZER,
    TOKENS,
    activations_node,
    comparison_node,
    dictionary_node,
    input_name,
    latents_node,
    pair_node,
    sae_node,
    transformer_node,
)
from universality.compare.pair_plan import PairPlan, pair_name
from universality.transformers.hook_points import AFTER_MLP

#: Settings that steps of their own read, and no other.
_OWN = {"probes", "explanations", "steering"}
#: What the partners of a kind of pair are called.
_KINDS = {"features": "matched", "ceiling": "ceiling", "untrained": "floor"}


def effect_nodes(
    layout: Layout, comparison: ComparisonConfig, plan: PairPlan, model_of: Mapping[str, str]
) -> list[Node]:
    """Fingerprints of dictionaries, effects of pairs (but for replicates of untrained models), and their table."""
    recipe, c = layout.recipe, comparison.id
    if recipe.effects is None or not layout.one_readout(comparison):
        return []
    rerun = any(_runs_again(group, comparison.hook_point) for group in recipe.groups)
    unread = _OWN if rerun else _OWN | {"per_latent", "latents"}
    params = {
        "comparison_id": c,
        "effects": recipe.effects.model_dump(mode="json", exclude=unread),
        "hook_point": comparison.hook_point,
        "root_seed": recipe.root_seed,
        "rerun": rerun,
    }
    make = layout.training_node if rerun else layout.node
    kinds = {"features": plan.model_pairs, "ceiling": plan.replicate_pairs, "untrained": plan.untrained_pairs}
    pairs = [(kind, pair) for kind, of_kind in kinds.items() for pair in of_kind]
    nodes = _readouts(layout, comparison, sorted({model_of[name] for name in _names(pairs)})) if rerun else []
    tried = {"readouts": nodes[0].id} if nodes else {}
    nodes += _choice_nodes(layout, c, params, pairs, model_of, tried) if rerun else []
    choice = {"choice": comparison_node(c, "ablation_choice"), **tried} if rerun else {}
    for name in _names(pairs):
        inputs = {"tokens": TOKENS, "latents": latents_node(c, name), **_model_of(c, name, model_of), **choice}
        if rerun:
            inputs["attributions"] = dictionary_node("attributions", c, name)
        nodes.append(make(dictionary_node("fingerprints", c, name), "fingerprints", {**params, "id": name}, inputs))
    compare = as_json(recipe.compare)
    params["compare"] = {name: compare[name] for name in ("tau", "min_firings", "n_resamples", "confidence")}
    gathered = {}
    for kind, pair in pairs:
        name, inputs = pair_name(pair), {"tokens": TOKENS, **choice}
        for side, dictionary in zip("ab", pair, strict=True):
            inputs |= {
                side: latents_node(c, dictionary),
                f"fingerprints_{side}": dictionary_node("fingerprints", c, dictionary),
            }
            if rerun:
                inputs[f"attributions_{side}"] = dictionary_node("attributions", c, dictionary)
            inputs |= {f"{what}_{side}": node for what, node in _model_of(c, dictionary, model_of).items()}
        inputs |= {step: pair_node(step, c, name) for step in ("matching", "similarity")}
        node = make(pair_node("effects", c, name), "effects", {**params, "ids": list(pair), "kind": kind}, inputs)
        nodes.append(node)
        gathered[input_name("effects", name)] = node.id
    params["pairs"] = [list(pair) for _, pair in pairs]
    if recipe.effects.probes:
        nodes.append(_pairs_node(layout, c, "probes", params, pairs, {"tokenizer": TOKENIZER}))
    if recipe.effects.explanations:
        nodes.append(_pairs_node(layout, c, "explanations", params, pairs))
    nodes.append(
        layout.node(
            comparison_node(c, "effect_agreement"), "effect_agreement", params, {"tokens": TOKENS, **tried, **gathered}
        )
    )
    return nodes


def _names(pairs: list) -> list[str]:
    """Dictionaries of some pairs, each once."""
    return list(dict.fromkeys(name for _, pair in pairs for name in pair))


def _choice_nodes(
    layout: Layout, c: str, params: dict, pairs: list, model_of: Mapping[str, str], tried: Mapping[str, str]
) -> list[Node]:
    """First-order effects of every dictionary, and the latents that are ablated by them."""
    nodes, gathered = [], {**tried}
    for name in _names(pairs):
        inputs = {"tokens": TOKENS, "latents": latents_node(c, name), **_model_of(c, name, model_of), **tried}
        screen = {**params, "id": name, "effects": {"rows": params["effects"]["rows"]}}
        nodes.append(layout.training_node(dictionary_node("attributions", c, name), "attributions", screen, inputs))
        gathered[input_name("attributions", name)] = nodes[-1].id
    for _, pair in pairs:
        for step in ("matching", "similarity"):
            gathered[input_name(step, pair_name(pair))] = pair_node(step, c, pair_name(pair))
    chosen = {name: params[name] for name in ("comparison_id", "root_seed", "rerun")}
    chosen |= {"effects": {"latents": params["effects"]["latents"]}, "pairs": [list(pair) for _, pair in pairs]}
    chosen["kinds"] = [kind for kind, _ in pairs]
    nodes.append(layout.node(comparison_node(c, "ablation_choice"), "ablation_choice", chosen, gathered))
    return nodes


def _pairs_node(
    layout: Layout, c: str, step: str, params: dict, pairs: list, more: Mapping[str, str] = MappingProxyType({})
) -> Node:
    """What is asked of the text and of assigned partners alone: probes, explanations."""
    made = {name: params[name] for name in ("comparison_id", "root_seed", "compare", "pairs")}
    inputs = {"tokens": TOKENS, **more}
    for _, pair in pairs:
        inputs |= {input_name("latents", name): latents_node(c, name) for name in pair}
        inputs[input_name("matching", pair_name(pair))] = pair_node("matching", c, pair_name(pair))
    made["kinds"] = [_KINDS[kind] for kind, _ in pairs]
    return layout.node(comparison_node(c, step), step, made, inputs)


def _model_of(c: str, dictionary: str, model_of: Mapping[str, str]) -> dict[str, str]:
    """A dictionary, the model that it reads, and what it reads there."""
    model = model_of[dictionary]
    return {
        "sae": sae_node(c, dictionary),
        "transformer": transformer_node(model),
        "activations": activations_node(model, "eval"),
    }


def _runs_again(group: NativeModels | PretrainedModels, hook_point: str) -> bool:
    """Whether a model must run again for every firing, as far as can be told without opening it."""
    if not isinstance(group, NativeModels):
        return True
    layer, _, site = hook_point.removeprefix("blocks.").partition(".")
    shapes = [group.of(index)[0] for index in range(size_of(group))]
    return not all(
        layer == str(shape.n_layers - 1) and site in AFTER_MLP and shape.output_logits_soft_cap <= 0 for shape in shapes
    )


def _readouts(layout: Layout, comparison: ComparisonConfig, models: list[str]) -> list[Node]:
    """Of public models, the step that tries whether they must: none where that is known."""
    layer, _, site = comparison.hook_point.removeprefix("blocks.").partition(".")
    if (
        any(isinstance(group, NativeModels) for group in layout.recipe.groups)
        or not layer.isdigit()
        or site not in AFTER_MLP
    ):
        return []
    inputs = {node: node for node in map(transformer_node, models)}
    node = comparison_node(comparison.id, "readouts")
    return [layout.node(node, "readouts", {"hook_point": comparison.hook_point}, inputs)]
