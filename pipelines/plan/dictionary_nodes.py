"""Nodes of dictionaries: trained or loaded, and those of sweeps."""

from dataclasses import replace
from typing import Any

from pipelines.engine.plan import Node
from pipelines.hub_dictionaries import sae_commit, sae_files, sae_source
from pipelines.loaded_dictionaries import check_width, hook_point_doubts
from pipelines.plan.layout_nodes import BATCH_CONTEXTS, Layout, as_json
from pipelines.recipe import ComparisonConfig, DictionarySpec, LoadedSAE, training_tokens
from pipelines.sweep_config import SweepConfig
from results.stored_comparison import (
    activations_node,
    input_name,
    latents_node,
    sae_node,
    sweep_node,
    transformer_node,
)
from universality.sae.sae_config import SAETrainingConfig

#: Points that are trained side by side, from one read of their rows, take about so much memory at most, by estimate.
SIDE_BY_SIDE_BYTES = 8_000_000_000


def dictionary_nodes(layout: Layout, comparison: ComparisonConfig, spec: DictionarySpec) -> list[Node]:
    """The dictionary, trained or loaded, and its latents."""
    place = layout.place(comparison, spec.model)
    if spec.id not in comparison.loaded:
        return trained_dictionary(layout, comparison.id, place, comparison.sae, spec)
    entry = comparison.loaded[spec.id]
    params = {**(_loaded_from(entry) if layout.pinned else {}), "hook_point": place}
    inputs = {
        "activations": activations_node(spec.model, "eval"),
        "transformer": transformer_node(spec.model),
        "tokenizer": layout.tokenizer(spec.model),
    }
    sae = layout.node(sae_node(comparison.id, spec.id), "loaded_sae", params, inputs)
    if entry.path is not None and layout.pinned:
        looked = layout.looked[comparison.id, spec.id]
        source, width = sae_source(params), layout.shapes[spec.model].width_at(place)
        if width is not None:
            check_width((looked.d_in, looked.d_out), source, place, width)
        said = hook_point_doubts(looked.metadata, source, place)
        sae = replace(sae, warnings=tuple(said))
    return [sae, _latents(layout, comparison.id, place, spec)]


def trained_dictionary(
    layout: Layout, owner: str, hook_point: str, config: SAETrainingConfig | None, spec: DictionarySpec
) -> list[Node]:
    """A dictionary that is trained here, and its latents; ``owner`` is the id of its comparison or study."""
    params = {
        "config": as_json(config),
        "hook_point": hook_point,
        "sae_seed": [spec.sae_seed],
        "root_seed": layout.recipe.root_seed,
    }
    more, inputs = _training_source(layout, spec.model, spec.data_part)
    sae = layout.training_node(sae_node(owner, spec.id), "sae", {**params, **more, **layout.fused}, inputs)
    return [sae, _latents(layout, owner, hook_point, spec)]


def _latents(layout: Layout, owner: str, hook_point: str, spec: DictionarySpec) -> Node:
    inputs = {
        "sae": sae_node(owner, spec.id),
        "activations": activations_node(spec.model, "eval"),
        "transformer": transformer_node(spec.model),
        **layout.read(spec.model),
        **layout.shared,
    }
    return layout.training_node(latents_node(owner, spec.id), "latents", {"hook_point": hook_point}, inputs)


def _loaded_from(entry: LoadedSAE) -> dict[str, Any]:
    """Params that pin a dictionary from elsewhere: a folder and a branch may hold something else tomorrow."""
    part = {} if entry.part is None else {"part": entry.part}
    if entry.path is not None:
        return {"path": entry.path, "files": sae_files(entry.path), **part}
    hub = str(entry.hub)
    return {"hub": hub, "subfolder": entry.subfolder, "commit": sae_commit(hub, entry.revision), **part}


def _training_source(layout: Layout, model: str, data_part: str) -> tuple[dict[str, Any], dict[str, str]]:
    """Params and inputs that say which rows a dictionary is trained on."""
    recipe, rows = layout.recipe, layout.recipe.training_rows
    params: dict[str, Any] = {} if rows.max_norm is None else {"max_norm": rows.max_norm}
    if recipe.activation_source == "stored":
        return params, {"activations": activations_node(model, data_part)}
    params["live"] = {
        "part": data_part,
        "max_tokens": training_tokens(recipe),
        "batch_contexts": BATCH_CONTEXTS,
        **rows.positions,
    }
    return params, {"transformer": transformer_node(model), **layout.text(model)}


def sweep_nodes(layout: Layout, sweep: SweepConfig) -> list[Node]:
    """Training and quality of every point, and the table of them all."""
    recipe, model, points = layout.recipe, sweep.model, sweep.settings()
    shared = {"sweep": sweep.id, "hook_point": sweep.hook_point}
    more, sources = _training_source(layout, model, "sae_a")
    nodes: list[Node] = []
    inputs: dict[str, str] = {}
    memory: dict[Any, int] = {}
    for number, (_, config) in enumerate(points):
        params = {
            **shared,
            "config": as_json(config),
            "n_seeds": sweep.n_seeds,
            "root_seed": recipe.root_seed,
            **more,
            **layout.fused,
        }
        sae = layout.training_node(sweep_node("sweep_sae", sweep.id, number), "sweep_sae", params, sources)
        batches = (config.tokens, config.batch_rows, config.buffer_mb)
        memory[batches] = memory.get(batches, 0) + sae.estimate.memory
        sae = replace(sae, beside=f"{sweep.id}/{batches}/{memory[batches] // SIDE_BY_SIDE_BYTES}")
        judged = {
            "sae": sae.id,
            "activations": activations_node(model, "eval"),
            "transformer": transformer_node(model),
            **layout.read(model),
        }
        params = {
            "hook_point": sweep.hook_point,
            "dense_rate": recipe.compare.dense_rate,
            "config": {"d_sae": config.d_sae},
            "n_seeds": sweep.n_seeds,
        }
        quality = layout.training_node(sweep_node("sweep_quality", sweep.id, number), "sweep_quality", params, judged)
        nodes += [sae, quality]
        inputs |= {input_name("sae", number): sae.id, input_name("quality", number): quality.id}
    listed = [[name, as_json(config)] for name, config in points]
    params = {"sweep": sweep.id, "points": listed, "n_seeds": sweep.n_seeds}
    return [*nodes, layout.node(sweep_node("sweep", sweep.id), "sweep", params, inputs)]
