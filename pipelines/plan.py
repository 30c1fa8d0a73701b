"""From a recipe to the plan of its run: which steps, on what, under which ids."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import Any

from pipelines import estimates
from pipelines.corpus import corpus_fingerprint
from pipelines.engine.plan import Node, Plan
from pipelines.hub import sae_commit, sae_files
from pipelines.recipe import (
    ComparisonConfig,
    LoadedSAE,
    NativeModels,
    Recipe,
    dictionary_ids,
    model_ids,
    trained_configs,
    training_tokens,
    untrained_ids,
)
from pipelines.sweeps import SweepConfig

#: Rows per shard of stored activations.
SHARD_ROWS = 65_536
#: Contexts per forward pass when activations are read.
BATCH_CONTEXTS = 32


def build_plan(recipe: Recipe, device: str = "cpu") -> Plan:
    """Lay out every node of a run.

    Args:
        recipe: what to compute.
        device: where transformers and dictionaries are trained and run, ``"cpu"`` or ``"cuda"``. It is part of their
            params, because it changes bytes.

    Returns:
        A plan whose node ids name the step and its subject, for example ``sae/main/m0``.

    Raises:
        InputError: a dictionary that cannot be trained on the device.
    """
    for config in trained_configs(recipe):
        config.check_device(device)
    layout = _Layout(recipe, device)
    nodes = [*_data_nodes(layout), *_transformer_nodes(layout)]
    for comparison in recipe.comparisons:
        nodes += _comparison_nodes(layout, comparison)
    for sweep in recipe.sweeps:
        nodes += _sweep_nodes(layout, sweep)
    return Plan(nodes)


@dataclass(frozen=True)
class _Layout:
    recipe: Recipe
    device: str

    @property
    def trained(self) -> list[str]:
        return model_ids(self.recipe)

    @property
    def untrained(self) -> list[str]:
        return untrained_ids(self.recipe)

    @property
    def compute(self) -> dict[str, Any]:
        """What changes the bytes of a gradient besides the recipe's science."""
        return {"device": self.device, "threads": self.recipe.threads}

    @property
    def fused(self) -> dict[str, Any]:
        """What a dictionary's training adds: rounding differs where its optimiser is compiled."""
        return {"compile": True} if self.recipe.compile and self.device != "cpu" else {}

    def training_node(self, node_id: str, step: str, params: dict[str, Any], inputs: dict[str, str]) -> Node:
        params = {**params, **self.compute}
        return Node(
            node_id,
            step,
            params,
            inputs,
            threads=self.recipe.threads,
            device=self.device,
            estimate=estimates.of(self.recipe, step, node_id, params),
        )

    def node(self, node_id: str, step: str, params: dict[str, Any], inputs: dict[str, str]) -> Node:
        return Node(node_id, step, params, inputs, estimate=estimates.of(self.recipe, step, node_id, params))


def _data_nodes(layout: _Layout) -> list[Node]:
    recipe = layout.recipe
    split = recipe.split
    tokens = {
        "n_ctx": recipe.n_ctx,
        "fit_tokens": split.fit_tokens,
        "score_tokens": split.score_tokens,
        "balance": split.balance,
        "validation_tokens": split.validation_tokens,
    }
    seed = {"root_seed": recipe.root_seed}
    # Files may change under the same path: what they hold is part of the key.
    corpus = {
        "corpus": _json(recipe.corpus),
        "fingerprint": corpus_fingerprint(recipe.corpus),
        "split": _json(split),
        **seed,
    }
    return [
        layout.node("corpus", "corpus", corpus, {}),
        layout.node("tokenizer", "tokenizer", {"tokenizer": _json(recipe.tokenizer)}, {"corpus": "corpus"}),
        layout.node(
            "tokens", "tokens", {"tokens": tokens, **seed}, {"corpus": "corpus", "tokenizer": "tokenizer"}
        ),
    ]


def _transformer_nodes(layout: _Layout) -> list[Node]:
    recipe, models = layout.recipe, layout.recipe.models
    hooks = sorted({reader.hook_point for reader in (*recipe.comparisons, *recipe.sweeps)})
    nodes: list[Node] = []
    used = _used_models(layout)
    sources = {_shuffled_from(layout, index) for index, u in enumerate(layout.untrained) if u in used}
    for index, model in enumerate(layout.trained):
        if model not in used and not (models.floor == "shuffled" and model in sources):
            continue
        if isinstance(models, NativeModels):
            model_seed = models.model_seeds[index]
            data_seed = model_seed if models.data_seeds is None else models.data_seeds[index]
            nodes.append(_native(layout, model, models, model_seed, data_seed))
        else:
            spec = {**_json(models.models[index]), "untrained_seed": None}
            nodes.append(layout.node(f"transformer/{model}", "pretrained", spec, {"tokenizer": "tokenizer"}))
    for index, model in enumerate(layout.untrained):
        if model not in used:
            continue
        if models.floor == "shuffled":
            source = _shuffled_from(layout, index)
            params = {"shuffle": ["shuffled", model], "root_seed": recipe.root_seed}
            inputs = {"transformer": f"transformer/{source}", "tokens": "tokens"}
            nodes.append(layout.training_node(f"transformer/{model}", "shuffled", params, inputs))
        elif isinstance(models, NativeModels):
            nodes.append(_native(layout, model, models, f"untrained-{index}", None))
        else:
            spec = {**_json(models.models[0]), "untrained_seed": index}
            nodes.append(layout.node(f"transformer/{model}", "pretrained", spec, {"tokenizer": "tokenizer"}))
    trained_on = {
        _activations_of(dictionary)
        for c in recipe.comparisons
        for dictionary in dictionary_ids(recipe, c)
        if dictionary not in c.loaded
    } | {(sweep.model, "sae_a") for sweep in recipe.sweeps}
    for model in [*layout.trained, *layout.untrained]:
        if model not in used:
            continue
        stored = recipe.activation_source == "stored"
        parts = [part for part in ("sae_a", "sae_b") if stored and (model, part) in trained_on]
        for part in [*parts, "eval"]:
            evaluation = part == "eval"
            params = {
                "part": part,
                "hook_points": hooks,
                "max_tokens": None if evaluation else training_tokens(recipe),
                "dtype": "float32" if evaluation else recipe.activation_dtype,
                "batch_contexts": BATCH_CONTEXTS,
                "shard_rows": SHARD_ROWS,
                **({} if evaluation else recipe.training_rows.positions),
            }
            inputs = {"transformer": f"transformer/{model}", "tokens": "tokens", "tokenizer": "tokenizer"}
            nodes.append(layout.training_node(f"activations/{model}/{part}", "activations", params, inputs))
    return nodes


def _used_models(layout: _Layout) -> set[str]:
    """Transformers whose activations something reads: all where models are compared, else those of sweeps."""
    if layout.recipe.comparisons:
        return {*layout.trained, *layout.untrained}
    return {sweep.model for sweep in layout.recipe.sweeps}


def _shuffled_from(layout: _Layout, index: int) -> str:
    """The trained model whose weights the untrained one of that number has in another order."""
    return layout.trained[index % len(layout.trained)]


def _native(
    layout: _Layout, model: str, models: NativeModels, model_seed: int | str, data_seed: int | None
) -> Node:
    """A native transformer; without a data seed it keeps its random weights."""
    params = {
        "architecture": {
            **_json(models.architecture),
            "n_ctx": max(models.architecture.n_ctx, layout.recipe.n_ctx),
        },
        "training": None if data_seed is None else _json(models.training),
        "model_seed": model_seed,
        "data_seed": data_seed,
        "root_seed": layout.recipe.root_seed,
    }
    inputs = {"tokens": "tokens", "tokenizer": "tokenizer"}
    return layout.training_node(f"transformer/{model}", "transformer", params, inputs)


def _comparison_nodes(layout: _Layout, comparison: ComparisonConfig) -> list[Node]:
    c = comparison.id
    replicates = [f"{m}r" for m in layout.trained] if comparison.replicates else []
    dictionaries = dictionary_ids(layout.recipe, comparison)
    nodes: list[Node] = []
    for dictionary in dictionaries:
        nodes += _dictionary_nodes(layout, comparison, dictionary)
    pairs = [
        *combinations(layout.trained, 2),
        *((m, f"{m}r") for m in layout.trained if replicates),
        *combinations(layout.untrained, 2),
    ]
    raw_pairs = list(combinations(layout.trained, 2)) if comparison.neurons else []
    settings = {
        "comparison_id": c,
        "compare": _json(layout.recipe.compare),
        "root_seed": layout.recipe.root_seed,
    }
    for a, b in pairs:
        nodes += _pair_nodes(layout, c, (a, b), settings)
    for a, b in raw_pairs:
        inputs = {"tokens": "tokens", "a": f"activations/{a}/eval", "b": f"activations/{b}/eval"}
        params = {**settings, "hook_point": comparison.hook_point, "ids": [a, b]}
        nodes.append(layout.node(f"neurons/{c}/{a}-{b}", "neurons", params, inputs))
    inputs = {"tokens": "tokens", "tokenizer": "tokenizer"}
    for dictionary in dictionaries:
        inputs[f"latents/{dictionary}"] = f"latents/{c}/{dictionary}"
        inputs[f"sae/{dictionary}"] = f"sae/{c}/{dictionary}"
    for model in [*layout.trained, *layout.untrained]:
        inputs[f"activations/{model}"] = f"activations/{model}/eval"
        inputs[f"transformer/{model}"] = f"transformer/{model}"
    for a, b in pairs:
        inputs[f"similarity/{a}-{b}"] = f"similarity/{c}/{a}-{b}"
        inputs[f"null/{a}-{b}"] = f"null/{c}/{a}-{b}"
        inputs[f"matching/{a}-{b}"] = f"matching/{c}/{a}-{b}"
    for a, b in raw_pairs:
        inputs[f"neurons/{a}-{b}"] = f"neurons/{c}/{a}-{b}"
    roles = {
        "hook_point": comparison.hook_point,
        "trained": layout.trained,
        "replicates": {f"{m}r": m for m in layout.trained} if replicates else {},
        "untrained": layout.untrained,
    }
    nodes.append(layout.node(f"comparison/{c}", "comparison", {**settings, **roles}, inputs))
    for model in layout.trained:
        nodes.append(_evidence_node(layout, comparison, model))
    inputs = {f"latents/{model}": f"latents/{c}/{model}" for model in layout.trained}
    params = {"comparison_id": c, "root_seed": layout.recipe.root_seed}
    nodes.append(layout.node(f"layout/{c}", "layout", params, {**inputs, "comparison": f"comparison/{c}"}))
    return nodes


def _activations_of(dictionary: str) -> tuple[str, str]:
    """The model and the half of its documents that a dictionary is trained on; a replicate has the other half."""
    return dictionary.removesuffix("r"), "sae_b" if dictionary.endswith("r") else "sae_a"


def _dictionary_nodes(layout: _Layout, comparison: ComparisonConfig, dictionary: str) -> list[Node]:
    """The dictionary, trained or loaded, and its latents."""
    c, (model, half) = comparison.id, _activations_of(dictionary)
    node_id = f"sae/{c}/{dictionary}"
    if dictionary in comparison.loaded:
        params = {**_loaded_from(comparison.loaded[dictionary]), "hook_point": comparison.hook_point}
        sae = layout.node(node_id, "loaded_sae", params, {"activations": f"activations/{model}/eval"})
    else:
        params = {
            "config": _json(comparison.sae),
            "hook_point": comparison.hook_point,
            "sae_seed": [dictionary],
            "root_seed": layout.recipe.root_seed,
        }
        more, inputs = _training_source(layout.recipe, model, half)
        sae = layout.training_node(node_id, "sae", {**params, **more, **layout.fused}, inputs)
    inputs = {
        "sae": sae.id,
        "activations": f"activations/{model}/eval",
        "transformer": f"transformer/{model}",
        "tokens": "tokens",
        "tokenizer": "tokenizer",
    }
    latents = layout.training_node(
        f"latents/{c}/{dictionary}", "latents", {"hook_point": comparison.hook_point}, inputs
    )
    return [sae, latents]


def _loaded_from(entry: LoadedSAE) -> dict[str, Any]:
    """Params that pin a dictionary from elsewhere: a folder and a branch may hold something else tomorrow."""
    if entry.path is not None:
        return {"path": entry.path, "files": sae_files(entry.path)}
    hub = str(entry.hub)
    return {"hub": hub, "subfolder": entry.subfolder, "commit": sae_commit(hub, entry.revision)}


def _training_source(recipe: Recipe, model: str, half: str) -> tuple[dict[str, Any], dict[str, str]]:
    """Params and inputs that say which rows a dictionary is trained on."""
    rows = recipe.training_rows
    params: dict[str, Any] = {} if rows.max_norm is None else {"max_norm": rows.max_norm}
    if recipe.activation_source == "stored":
        return params, {"activations": f"activations/{model}/{half}"}
    params["live"] = {
        "part": half,
        "max_tokens": training_tokens(recipe),
        "batch_contexts": BATCH_CONTEXTS,
        **rows.positions,
    }
    return params, {"transformer": f"transformer/{model}", "tokens": "tokens", "tokenizer": "tokenizer"}


def _sweep_nodes(layout: _Layout, sweep: SweepConfig) -> list[Node]:
    """Training and quality of every point, and the table of them all."""
    recipe, model, points = layout.recipe, sweep.model, sweep.settings()
    shared = {"sweep": sweep.id, "hook_point": sweep.hook_point}
    more, sources = _training_source(recipe, model, "sae_a")
    nodes: list[Node] = []
    inputs: dict[str, str] = {}
    for number, (_, config) in enumerate(points):
        params = {
            **shared,
            "config": _json(config),
            "n_seeds": sweep.n_seeds,
            "root_seed": recipe.root_seed,
            **more,
            **layout.fused,
        }
        sae = layout.training_node(f"sweep_sae/{sweep.id}/{number}", "sweep_sae", params, sources)
        judged = {
            "sae": sae.id,
            "activations": f"activations/{model}/eval",
            "transformer": f"transformer/{model}",
            "tokens": "tokens",
            "tokenizer": "tokenizer",
        }
        params = {
            "hook_point": sweep.hook_point,
            "dense_rate": recipe.compare.dense_rate,
            "config": {"d_sae": config.d_sae},
            "n_seeds": sweep.n_seeds,
        }
        quality = layout.training_node(f"sweep_quality/{sweep.id}/{number}", "sweep_quality", params, judged)
        nodes += [sae, quality]
        inputs |= {f"sae/{number}": sae.id, f"quality/{number}": quality.id}
    listed = [[name, _json(config)] for name, config in points]
    params = {"sweep": sweep.id, "points": listed, "n_seeds": sweep.n_seeds}
    return [*nodes, layout.node(f"sweep/{sweep.id}", "sweep", params, inputs)]


def _pair_nodes(layout: _Layout, c: str, pair: tuple[str, str], settings: dict[str, Any]) -> list[Node]:
    name = f"{pair[0]}-{pair[1]}"
    sides = {"tokens": "tokens", "a": f"latents/{c}/{pair[0]}", "b": f"latents/{c}/{pair[1]}"}
    params = {**settings, "ids": list(pair)}
    # Only what a step reads is in its key: another tau repeats neither correlations nor nulls.
    compare = settings["compare"]
    candidates = {**params, "compare": {name: compare[name] for name in ("top", "min_firings")}}
    chance = {**params, "compare": {name: compare[name] for name in ("n_shifts", "min_firings")}}
    return [
        layout.node(f"similarity/{c}/{name}", "similarity", candidates, sides),
        layout.node(f"null/{c}/{name}", "null", chance, sides),
        layout.node(
            f"matching/{c}/{name}",
            "matching",
            params,
            {**sides, "similarity": f"similarity/{c}/{name}", "null": f"null/{c}/{name}"},
        ),
    ]


def _evidence_node(layout: _Layout, comparison: ComparisonConfig, model: str) -> Node:
    c = comparison.id
    params = {
        "evidence": _json(layout.recipe.evidence),
        "compare": _json(layout.recipe.compare),
        "root_seed": layout.recipe.root_seed,
        "comparison_id": c,
        "hook_point": comparison.hook_point,
        "model": model,
    }
    inputs = {
        "latents": f"latents/{c}/{model}",
        "sae": f"sae/{c}/{model}",
        "transformer": f"transformer/{model}",
        "tokens": "tokens",
    }
    return layout.node(f"evidence/{c}/{model}", "evidence", params, inputs)


def _json(config: Any) -> Any:
    return config.model_dump(mode="json")
