"""Nodes of a comparison: pairs of dictionaries, and what is made of them all."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from pipelines.engine.plan import Node
from pipelines.plan.dictionary_nodes import dictionary_nodes
from pipelines.plan.effect_nodes import effect_nodes
from pipelines.plan.label_nodes import label_nodes
from pipelines.plan.layout_nodes import Layout, as_json
from pipelines.plan.steering_nodes import steering_nodes
from pipelines.plan.study_nodes import unseen_nodes
from pipelines.recipe import ComparisonConfig, DictionarySpec, dictionary_specs
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
from universality.compare.pair_plan import Pair, PairPlan, check_equal_numbers, pair_name

_NO_EFFECTS = (
    "What features do to predictions (effects, probes, steering) is left out: models with several tokenizers or hook "
    "points have no predictions in common.",
)


_NO_EFFECTS = (
    "What features do to predictions (effects, probes, steering) is left out: models with several tokenizers or hook "
    "points have no predictions in common.",
)


def comparison_nodes(layout: Layout, comparison: ComparisonConfig) -> list[Node]:
    """Dictionaries, pairs, and what is made of them all."""
    c = comparison.id
    specs = {spec.id: spec for spec in dictionary_specs(layout.recipe, comparison)}
    compared, untrained = (
        [spec.id for spec in specs.values() if spec.role == role] for role in ("primary", "untrained")
    )
    replicate_of = {spec.id: spec.replicate_of for spec in specs.values() if spec.replicate_of is not None}
    model_of = {name: spec.model for name, spec in specs.items()}
    plan = PairPlan(tuple(compared), replicate_of, tuple(untrained), model_of)
    several = comparison.hook_points is not None
    nodes: list[Node] = []
    for spec in specs.values():
        nodes += dictionary_nodes(layout, comparison, spec)
    # Two dictionaries of one model read the very same neurons.
    raw_pairs = [(a, b) for a, b in plan.model_pairs if specs[a].model != specs[b].model]
    raw_pairs = raw_pairs if comparison.neurons else []
    floor_pairs = plan.untrained_pairs if raw_pairs else ()
    settings = {
        "comparison_id": c,
        "compare": as_json(layout.recipe.compare),
        "root_seed": layout.recipe.root_seed,
    }
    for pair in plan.all:
        nodes += _pair_nodes(layout, c, pair, model_of, settings)
    if comparison.same_index:
        nodes += _same_index_nodes(layout, comparison, plan, model_of, settings)
    for number, pairs in enumerate((raw_pairs, floor_pairs)):
        nodes += _space_nodes(layout, comparison, pairs, model_of, {**settings, "intervals": number == 0})
    inputs = {"tokens": TOKENS, "tokenizer": TOKENIZER}
    for dictionary in specs:
        inputs[input_name("latents", dictionary)] = latents_node(c, dictionary)
        inputs[input_name("sae", dictionary)] = sae_node(c, dictionary)
    # Under the dictionary's own id: what the step reads of a model, it reads for one of its dictionaries.
    for dictionary in [*compared, *untrained]:
        model = specs[dictionary].model
        inputs[input_name("activations", dictionary)] = activations_node(model, "eval")
        inputs[input_name("transformer", dictionary)] = transformer_node(model)
    for step, pairs in (
        ("similarity", plan.all),
        ("null", plan.all),
        ("matching", plan.all),
        ("spaces", (*raw_pairs, *floor_pairs)),
    ):
        inputs |= {input_name(step, name): pair_node(step, c, name) for name in map(pair_name, pairs)}
    roles = {
        "hook_point": comparison.hook_point,
        **({"hook_points": {name: layout.place(comparison, of) for name, of in model_of.items()}} if several else {}),
        "trained": compared,
        "replicates": replicate_of,
        "untrained": untrained,
        **({"several_tokenizers": True} if layout.aligned else {}),
    }
    nodes += effect_nodes(layout, comparison, plan, model_of)
    node = layout.node(comparison_node(c), "comparison", {**settings, **roles}, inputs)
    said = () if layout.one_readout(comparison) or layout.recipe.effects is None else _NO_EFFECTS
    nodes.append(replace(node, warnings=said))
    nodes += unseen_nodes(layout, comparison, plan, model_of, settings)
    nodes += steering_nodes(layout, comparison, compared, model_of)
    for dictionary in compared:
        nodes.append(_evidence_node(layout, comparison, specs[dictionary]))
    nodes += label_nodes(layout, c, compared, untrained, model_of)
    inputs = {input_name("latents", dictionary): latents_node(c, dictionary) for dictionary in compared}
    params = {"comparison_id": c, "root_seed": layout.recipe.root_seed}
    nodes.append(
        layout.node(comparison_node(c, "layout"), "layout", params, {**inputs, "comparison": comparison_node(c)})
    )
    return nodes


def _pair_nodes(layout: Layout, c: str, pair: Pair, model_of: dict[str, str], settings: dict[str, Any]) -> list[Node]:
    name, read = pair_name(pair), layout.read_by([model_of[one] for one in pair])
    sides = {"tokens": read, "a": latents_node(c, pair[0]), "b": latents_node(c, pair[1])}
    params = {**settings, "ids": list(pair)}
    # Only what a step reads is in its key: another tau repeats neither correlations nor nulls.
    compare = settings["compare"]
    candidates = {**params, "compare": {name: compare[name] for name in ("top", "min_firings")}}
    chance = {**params, "compare": {name: compare[name] for name in ("n_shifts", "min_firings")}}
    return [
        layout.node(pair_node("similarity", c, name), "similarity", candidates, sides),
        layout.node(pair_node("null", c, name), "null", chance, sides),
        layout.node(
            pair_node("matching", c, name),
            "matching",
            params,
            {**sides, "similarity": pair_node("similarity", c, name), "null": pair_node("null", c, name)},
        ),
    ]


def _same_index_nodes(
    layout: Layout, comparison: ComparisonConfig, plan: PairPlan, model_of: dict[str, str], settings: dict[str, Any]
) -> list[Node]:
    """Latents of equal number, of pairs of models and of the floor's."""
    c, kinds = comparison.id, {pair: kind for kind in ("features", "untrained") for pair in plan.by_kind[kind]}
    known = {
        name: layout.latents_of(comparison, name) for name in dict.fromkeys(name for pair in kinds for name in pair)
    }
    check_equal_numbers({name: n for name, n in known.items() if n is not None}, f"comparison {c!r}")
    compare = {"min_firings": settings["compare"]["min_firings"]}
    nodes = []
    for pair, kind in kinds.items():
        name = pair_name(pair)
        inputs = {"tokens": layout.read_by([model_of[one] for one in pair])}
        inputs |= {
            "a": latents_node(c, pair[0]),
            "b": latents_node(c, pair[1]),
            "matching": pair_node("matching", c, name),
        }
        params = {**settings, "compare": compare, "ids": list(pair), "kind": kind}
        nodes.append(layout.node(pair_node("same_index", c, name), "same_index", params, inputs))
    return nodes


def _space_nodes(
    layout: Layout,
    comparison: ComparisonConfig,
    pairs: Sequence[Pair],
    model_of: dict[str, str],
    settings: dict[str, Any],
) -> list[Node]:
    """Other coordinates of what the dictionaries read, and how well those of two models agree."""
    c, compare = comparison.id, settings["compare"]
    params = {"root_seed": settings["root_seed"]}
    place_of = {name: layout.place(comparison, model) for name, model in model_of.items()}
    nodes = []
    for name in dict.fromkeys(name for pair in pairs for name in pair):
        inputs = {"latents": latents_node(c, name), "activations": activations_node(model_of[name], "eval")}
        made = {**params, "hook_point": place_of[name], "compare": {"min_firings": compare["min_firings"]}, "id": name}
        nodes.append(
            layout.node(
                dictionary_node("coordinates", c, name),
                "coordinates",
                made,
                {"tokens": layout.read(model_of[name])["tokens"], **inputs},
            )
        )
    read = ("min_firings", "unmatched", "n_resamples", "n_rotations")
    params |= {"compare": {name: compare[name] for name in read}, "intervals": settings["intervals"]}
    for pair in pairs:
        inputs = {"tokens": layout.read_by([model_of[name] for name in pair])}
        for side, name in zip("ab", pair, strict=True):
            inputs |= {
                side: latents_node(c, name),
                f"activations_{side}": activations_node(model_of[name], "eval"),
                f"coordinates_{side}": dictionary_node("coordinates", c, name),
            }
        places = [place_of[name] for name in pair]
        read = {"hook_point": places[0], **({} if len(set(places)) == 1 else {"hook_points": places})}
        node = pair_node("spaces", c, pair_name(pair))
        nodes.append(layout.node(node, "spaces", {**params, **read, "ids": list(pair)}, inputs))
    return nodes


def _evidence_node(layout: Layout, comparison: ComparisonConfig, spec: DictionarySpec) -> Node:
    c = comparison.id
    params = {
        "evidence": as_json(layout.recipe.evidence),
        "compare": as_json(layout.recipe.compare),
        "root_seed": layout.recipe.root_seed,
        "comparison_id": c,
        "hook_point": layout.place(comparison, spec.model),
        "model": spec.id,
    }
    inputs = {
        "latents": latents_node(c, spec.id),
        "sae": sae_node(c, spec.id),
        "transformer": transformer_node(spec.model),
        "tokens": layout.read(spec.model)["tokens"],
    }
    # On a device the last digits of what latents promote differ; on the CPU they depend on neither threads nor device.
    node = layout.node if layout.device == "cpu" else layout.training_node
    return node(dictionary_node("evidence", c, spec.id), "evidence", params, inputs)
