"""A device is held by the steps that compute on it, and by no other: whoever holds one keeps others waiting."""

import ast
import inspect
from types import FunctionType

from pipelines.engine import registered_steps
from pipelines.plan import build_plan
from pipelines.plan.layout_nodes import Layout
from pipelines.plan.sources import transformer_nodes
from pipelines.recipe import load_recipe

SWEEP = "sweeps=[{id: k, hook_point: blocks.0.mlp.hook_post, sae: {d_sae: 64, k: 2, tokens: 2048}, vary: {k: [2, 4]}}]"


def uses_device(function, seen):
    """Whether a function, or one of the steps' modules that it names, reads ``ctx.device``."""
    if function in seen:
        return False
    seen.add(function)
    inside = list(ast.walk(ast.parse(inspect.getsource(function))))
    if any(isinstance(part, ast.Attribute) and ast.unparse(part) == "ctx.device" for part in inside):
        return True
    named = (function.__globals__.get(part.id) for part in inside if isinstance(part, ast.Name))
    ours = [each for each in named if isinstance(each, FunctionType) and each.__module__.startswith("pipelines.steps")]
    return any(uses_device(each, seen) for each in ours)


def held(recipe, *changes):
    return {node.step for node in build_plan(load_recipe(recipe, list(changes)), "cuda") if node.device == "cuda"}


def test_the_steps_that_hold_a_device_are_those_that_use_it():
    shipped = {"transformer", "activations", "sae", "latents", "evidence", "steering"}
    assert held("tiny") == shipped
    everywhere = held("tiny") | held("tiny", SWEEP) | held("tiny", "models.floor=shuffled")
    everywhere |= held("tiny", "comparisons.0.hook_point=blocks.0.hook_resid_pre") | held("emergence")
    everywhere |= held("tiny", "mixes={a: {without: [dna]}}", "models.data=[a, null]")
    assert everywhere >= shipped | {"sweep_sae", "sweep_quality", "shuffled", "fingerprints", "effects"}
    ours = {name: step for name, step in registered_steps().items() if step.module.startswith("pipelines.steps")}
    using = {name for name, step in ours.items() if uses_device(step.function, set())}
    # It shares what opens a model with ``steering``, and has none among its inputs.
    assert not any("transformer" in name for name in build_plan(load_recipe("tiny"))["steering_clusters/main"].inputs)
    # Trying what follows from a hook point takes one short pass, on the CPU.
    assert everywhere == using - {"steering_clusters", "readouts"}


def test_shuffling_public_weights_holds_none():
    """They are opened, and shuffled, by whoever reads them."""
    models = "models={kind: pretrained, models: [{name: EleutherAI/pythia-14m}, {name: EleutherAI/pythia-70m}]}"
    recipe = load_recipe("tiny", [models, "models.floor=shuffled", "tokenizer={kind: hub, name: gpt2}"])
    nodes = {node.id: node for node in transformer_nodes(Layout(recipe, "cuda", pinned=False))}
    assert nodes["transformer/u0"].device == "cpu"
    assert nodes["transformer/u0"].params["device"] == "cuda", "its key is what it was"
