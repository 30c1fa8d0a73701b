"""A complete run without training: every node, table and array that screens and reports read, in a second or
two.

Activations, correlations, assignments, clusters, contexts and histograms are computed from planted concepts
and agree with each other; chance levels, verdicts and training figures are drawn.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import shared_folders
import synthetic_text
import synthetic_weights
from networkx import node_link_data
from synthetic_effects import (
    agreement_of,
    attribution_of,
    curve_of,
    latent_attribution_of,
    latent_effects_of,
    pair_effects_of,
)
from synthetic_evidence import evidence_tables, with_comparison
from synthetic_labels import labels_of
from synthetic_layout import layout_tables
from synthetic_pairs import TAU, pair_rows
from synthetic_steering import choice_of, explanations_of, probes_of, steered_of, unseen_of
from synthetic_tables import comparison_tables
from synthetic_text import Text, make_text
from synthetic_world import Dictionary, Material, Pairings, World, pair_up

from storage import Run, artifact_key, open_store
from universality.effects.pair_effects import PairEffects
from universality.graph import build_graph
from universality.seeds import generator

CREATED = 1_790_000_000.0


def write_synthetic_run(store_url: str, name: str = "synthetic", *arguments: int, **options: Any) -> Run:
    """Write a run as :func:`compute_synthetic_run` does, of equal arguments computed once in a session."""
    if shared_folders.root is None:
        return compute_synthetic_run(store_url, name, *arguments, **options)
    words = repr((name, arguments, sorted(options.items()), synthetic_text.DOMAINS, synthetic_text.WORDS))
    source = shared_folders.made_once(
        f"synthetic-{hashlib.blake2b(words.encode(), digest_size=8).hexdigest()}",
        lambda folder: compute_synthetic_run(str(folder), name, *arguments, **options),
    )
    # Copies, no links: tests damage files. What the store has of another run is the same.
    shutil.copytree(
        source,
        store_url,
        dirs_exist_ok=True,
        copy_function=lambda a, b: Path(b).exists() or shutil.copy2(a, b),
    )
    return open_store(store_url).run(name)


def compute_synthetic_run(
    store_url: str,
    name: str = "synthetic",
    n_models: int = 3,
    n_latents: int = 300,
    root_seed: int = 0,
    *,
    n_documents: int = 240,
    n_ctx: int = 64,
    n_untrained: int = 2,
    replicates: bool = True,
    comparisons: tuple[str, ...] = ("main",),
    unfinished: tuple[str, ...] = (),
    loadable: bool = False,
) -> Run:
    """Write a run through the storage API.

    Args:
        store_url: where; a local folder or any fsspec URL.
        name: name of the run.
        n_models: compared models m0, m1, …
        n_latents: latents per dictionary.
        root_seed: equal arguments give equal artifacts.
        n_documents: documents over eight domains; about 100 tokens each.
        n_ctx: tokens per context.
        n_untrained: untrained models u0, u1, … (0, or at least 2).
        replicates: whether each model has a second dictionary.
        comparisons: comparison ids; each gets dictionaries of its own.
        unfinished: prefixes of node ids that are left ``planned``; the run is then ``partial``.
        loadable: whether transformers and dictionaries have weights that can be loaded (needs torch); the stored
            latents are not theirs.

    Returns:
        The run, its artifacts written and its record up to date.
    """
    store = open_store(store_url)
    text = make_text(generator(root_seed, "text"), n_documents, n_ctx)
    trained = [f"m{i}" for i in range(n_models)]
    untrained = [f"u{i}" for i in range(n_untrained)]
    writer = _Writer(store, root_seed, unfinished)
    writer.data(text)
    for seed, model in enumerate([*trained, *untrained]):
        content = {"json": {"config": {"d_mlp": 64}}}
        if loadable:
            content = synthetic_weights.transformer(seed, len(text.vocabulary), n_ctx)
        writer.put(f"transformer/{model}", "transformer", {"model": model}, ["tokens"], **content)
        for part in ["sae_a", *(["sae_b"] if replicates and model in trained else []), "eval"]:
            writer.put(
                f"activations/{model}/{part}",
                "activations",
                {"part": part},
                [f"transformer/{model}", "tokens"],
            )
    for comparison in comparisons:
        _write_comparison(writer, text, _Plan(comparison, n_latents, trained, untrained, replicates, loadable))
    run = store.create_run(
        name,
        recipe_name="synthetic",
        recipe=_recipe(root_seed, n_models, n_untrained, comparisons, replicates, n_latents, n_ctx),
        nodes={node: {"step": fields["step"], "key": fields["key"]} for node, fields in writer.nodes.items()},
        environment={"python": "3.11.0", "platform": "Linux-x86_64", "versions": {"universality": "0.1.0"}},
    )
    status = "partial" if any(node["status"] == "planned" for node in writer.nodes.values()) else "done"
    run.update(status=status, created=CREATED, finished=CREATED + 100, wall_s=100.0, nodes=writer.nodes)
    run.append_event({"event": "run_finished", "status": status, "wall_s": 100.0, "time": CREATED + 100})
    return run


class _Writer:
    """Writes artifacts under the keys that a plan would give them."""

    def __init__(self, store: Any, root_seed: int, unfinished: tuple[str, ...]) -> None:
        self.store, self.root_seed, self.unfinished = store, root_seed, unfinished
        self.nodes: dict[str, dict[str, str]] = {}

    def put(
        self,
        node: str,
        step: str,
        params: Mapping[str, Any],
        inputs: list[str],
        *,
        facts: Mapping[str, Any] | None = None,
        **content: Mapping[str, Any],
    ) -> None:
        """One artifact; ``content`` maps a kind (array, table, json, csr, bytes, tensors) to named values."""
        params = {**params, "root_seed": self.root_seed, "node": node}
        keys = {i: self.nodes[i]["key"] for i in inputs}
        key = artifact_key(step, 1, params, keys)
        skip = any(node.startswith(prefix) for prefix in self.unfinished)
        skip = skip or any(self.nodes[i]["status"] == "planned" for i in inputs)
        self.nodes[node] = {"step": step, "key": key, "status": "planned" if skip else "done"}
        if skip or self.store.has(key):
            return
        with self.store.create(key, step=step, version=1, params=params, inputs=keys) as out:
            for kind, values in content.items():
                for entry, value in values.items():
                    getattr(out, kind)(entry, value)
            out.facts(wall_s=0.5, peak_memory=1_000_000, **(facts or {}))

    def data(self, text: Text) -> None:
        """Corpus, tokenizer and tokens."""
        sources = {"license": "CC0-1.0", "digest": "0" * 32, "warnings": ["domain hostile: one source only"]}
        self.put("corpus", "corpus", {}, [], table={"texts": text.texts}, json={"corpus": sources}, facts=sources)
        self.put(
            "tokenizer", "tokenizer", {}, ["corpus"],
            bytes={"tokenizer.json": text.tokenizer_json}, table={"vocabulary": text.vocabulary},
            facts={"d_vocab": len(text.vocabulary), "bos": 0},
        )  # fmt: skip
        self.put(
            "tokens", "tokens", {}, ["corpus", "tokenizer"],
            array=text.arrays, json={"domains": text.domains}, table={"documents": text.documents},
            facts={"n_rows": text.n_rows},
        )  # fmt: skip


@dataclass(frozen=True)
class _Plan:
    """What a comparison compares."""

    comparison: str
    n_latents: int
    trained: list[str]
    untrained: list[str]
    replicates: bool
    loadable: bool

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """Compared models, each model with its replicate, untrained models."""
        again = [(m, f"{m}r") for m in self.trained if self.replicates]
        return [*combinations(self.trained, 2), *again, *combinations(self.untrained, 2)]


def _write_comparison(writer: _Writer, text: Text, plan: _Plan) -> None:
    comparison, n_latents, trained = plan.comparison, plan.n_latents, plan.trained
    rng = generator(writer.root_seed, "world", comparison)
    world, dictionaries = _dictionaries(rng, text, plan)
    fit = text.arrays["row_fit"]
    pairings = {(a, b): pair_up(dictionaries[a], dictionaries[b], fit) for a, b in plan.pairs}
    for model, dictionary in dictionaries.items():
        half = "sae_b" if model.endswith("r") else "sae_a"
        source = model.removesuffix("r")
        weights = rng.normal(size=(16, n_latents)).astype(np.float32)
        content = {
            "tensors": {"sae": {"W_dec": weights.T.copy(), "W_enc": weights}},
            "json": {"quality": {"fvu": 0.3}},
        }
        if plan.loadable:
            content = synthetic_weights.dictionary(rng, n_latents)
        writer.put(
            f"sae/{comparison}/{model}", "sae", {}, [f"activations/{source}/{half}"], **content,
            facts={"fvu": 0.3, "l0": 8.0, "dead_fraction": 0.05},
        )  # fmt: skip
        writer.put(
            f"latents/{comparison}/{model}", "latents", {},
            [f"sae/{comparison}/{model}", f"activations/{source}/eval", "tokens"], csr={"acts": dictionary.acts},
        )  # fmt: skip
    for a, b in plan.pairs:
        sides = [f"latents/{comparison}/{a}", f"latents/{comparison}/{b}"]
        p = pairings[a, b]
        for step in ("similarity", "null"):
            writer.put(f"{step}/{comparison}/{a}-{b}", step, {}, sides, json={step: {"n": len(p.r)}})
        matched = pd.DataFrame({
            "model_a": a, "latent_a": p.latent_a, "model_b": b, "latent_b": p.latent_b, "r": p.r,
            "r_held_out": p.r_held_out, "level": "untested",
        })  # fmt: skip
        writer.put(
            f"matching/{comparison}/{a}-{b}", "matching", {}, sides, table={"matched": matched},
            facts={"certificate": 1e-9},
        )  # fmt: skip
    for a, b in combinations(trained, 2):
        sources = [f"activations/{model}/eval" for model in (a, b)]
        writer.put(f"spaces/{comparison}/{a}-{b}", "spaces", {}, sources)
    material = Material(rng, comparison, text, world, dictionaries, pairings, trained, plan.untrained)
    rooms = ("latents", "matching", "spaces", "null")
    inputs = [node for node in writer.nodes if node.split("/")[0] in rooms and node.split("/")[1] == comparison]
    tables = comparison_tables(material)
    graph = build_graph(tables["features"], tables["pairs"].query("q < 0.05 and r_held_out >= 0.5"))
    writer.put(
        f"comparison/{comparison}", "comparison", {"comparison_id": comparison}, ["tokens", *inputs],
        table=tables, json={"graph": node_link_data(graph, edges="edges")},
    )  # fmt: skip
    _write_effects(writer, material, pairings, plan)
    _write_steering(writer, material, tables["features"], plan)
    writer.put(
        f"layout/{comparison}", "layout", {}, [f"comparison/{comparison}"],
        table=layout_tables(material, tables["features"], tables["clusters"]),
        facts={"n_alive": int((tables["features"]["status"] == "alive").sum()), "least_link_r": 0.3},
    )  # fmt: skip
    for model in trained:
        writer.put(
            f"evidence/{comparison}/{model}", "evidence", {}, [f"latents/{comparison}/{model}"],
            table=evidence_tables(material, model, n_top=10),
        )  # fmt: skip


def _write_effects(writer: _Writer, m: Material, pairings: Pairings, plan: _Plan) -> None:
    """Fingerprints, effects of all pairs, and how much latents do the same."""
    # Drawn from a generator of its own, so that no other table changes with it.
    rng, comparison = generator(writer.root_seed, "effects", m.comparison), m.comparison
    first_order = generator(writer.root_seed, "attribution", comparison)
    m = replace(m, rng=rng)
    for name, dictionary in m.dictionaries.items():
        table = latent_effects_of(rng, dictionary.acts.shape[1])
        latents = {"latent_effects": table, "latent_attribution": latent_attribution_of(first_order, table)}
        for table in latents.values():
            table.insert(0, "model", name)
        writer.put(
            f"fingerprints/{comparison}/{name}", "fingerprints", {}, [f"latents/{comparison}/{name}"],
            table={which: with_comparison(table, comparison) for which, table in latents.items()},
            facts={"n_rows": 500, "exact": False},
        )  # fmt: skip
    made: dict[tuple[str, str], PairEffects] = {}
    for (a, b), pairing in pairings.items():
        kind = "ceiling" if b == f"{a}r" else "matched" if a in plan.trained else "floor"
        made[a, b] = pair_effects_of(rng, pair_rows(m, a, b, pairing), kind, TAU)
        attribution = attribution_of(first_order, made[a, b].table)
        tables = {
            "effects": with_comparison(made[a, b].table, comparison),
            "attribution": with_comparison(attribution, comparison),
        }
        if kind == "matched":
            curve = curve_of((a, b), int(m.dictionaries[a].alive.sum()))
            tables["substitution_curve"] = with_comparison(curve, comparison)
        sources = [f"fingerprints/{comparison}/{name}" for name in (a, b)]
        writer.put(f"effects/{comparison}/{a}-{b}", "effects", {}, sources, table=tables)
    sources = [f"effects/{comparison}/{a}-{b}" for a, b in made]
    table = with_comparison(agreement_of(made, TAU), comparison)
    node = f"effect_agreement/{comparison}"
    writer.put(node, "effect_agreement", {}, sources, table={"effect_agreement": table})


def _write_steering(writer: _Writer, m: Material, features: pd.DataFrame, plan: _Plan) -> None:
    """Which clusters are steered, and what every model writes then."""
    rng, c = generator(writer.root_seed, "steering", m.comparison), m.comparison
    choice = choice_of(rng, features, m.text.domains)
    node = f"steering_clusters/{c}"
    writer.put(node, "steering_clusters", {}, [f"comparison/{c}"],
               table={"steering_clusters": with_comparison(choice, c)})  # fmt: skip
    for model in plan.trained:
        tables = {name: with_comparison(table, c) for name, table in steered_of(rng, model, choice).items()}
        writer.put(f"steering/{c}/{model}", "steering", {}, [node, f"sae/{c}/{model}"], table=tables)
    kinds = [("ceiling" if b == f"{a}r" else "matched" if a in plan.trained else "floor", a, b) for a, b in plan.pairs]
    table = probes_of(rng, kinds, plan.n_latents)
    writer.put(f"probes/{c}", "probes", {}, ["tokens"], table={"probes": with_comparison(table, c)})
    tables = {name: with_comparison(made, c) for name, made in explanations_of(rng, kinds, plan.n_latents).items()}
    writer.put(f"explanations/{c}", "explanations", {}, ["tokens"], table=tables)
    labelled = {name: of for name, of in m.dictionaries.items() if not name.endswith("r")}
    made = labels_of(generator(writer.root_seed, "labels", c), labelled, features)
    tables = {name: with_comparison(table, c) for name, table in made.items()}
    writer.put(f"labels/{c}", "labels", {}, [f"comparison/{c}"], table=tables)
    table = with_comparison(unseen_of(rng, plan.trained, m.text.domains), c)
    writer.put(f"unseen_domains/{c}", "unseen_domains", {}, ["tokens"], table={"unseen_domains": table})


def _dictionaries(rng: np.random.Generator, text: Text, plan: _Plan) -> tuple[World, dict[str, Dictionary]]:
    """Two fifths universal (every domain's own latent among them), some shared, specific, rare and dead."""
    n_latents, trained, untrained = plan.n_latents, plan.trained, plan.untrained
    world = World(text, n_latents, rng)
    kinds = ("context", "token", "domain")
    universal = [world.concept("domain", d) for d in range(len(text.domains))]
    universal += [world.concept(str(rng.choice(kinds))) for _ in range(int(n_latents * 0.4) - len(universal))]
    # A concept that only some models have lacks one of them, each model in turn.
    shared = [world.concept(str(rng.choice(kinds))) for _ in range(int(n_latents * 0.2))] if len(trained) > 2 else []
    dictionaries: dict[str, Dictionary] = {}
    for index, model in enumerate(trained):
        own = [c for number, c in enumerate(shared) if number % len(trained) != index]
        own += [world.concept("context") for _ in range(int(n_latents * 0.25))]
        own += [world.concept("rare") for _ in range(int(n_latents * 0.05))]
        dictionaries[model] = world.dictionary([*universal, *own], noise=0.25)
        if plan.replicates:
            dictionaries[f"{model}r"] = world.dictionary([*universal, *own[: len(own) * 3 // 4]], noise=0.15)
    tokens = [world.concept("token") for _ in range(n_latents // 2)]
    for model in untrained:
        dictionaries[model] = world.dictionary(tokens, noise=0.4)
    order = [*trained, *(f"{m}r" for m in trained if plan.replicates), *untrained]
    return world, {model: dictionaries[model] for model in order}


def _recipe(
    root_seed: int,
    n_models: int,
    n_untrained: int,
    comparisons: tuple[str, ...],
    replicates: bool,
    n_latents: int,
    n_ctx: int,
) -> dict[str, Any]:
    """A legal recipe of the run's shape, most defaults left out."""
    return {
        "recipe": "synthetic",
        "description": "planted concepts",
        "root_seed": root_seed,
        "corpus": {"sources": [{"kind": "text", "path": "planted"}]},
        "n_ctx": n_ctx,
        "models": {
            "kind": "native",
            "architecture": {"d_model": 16, "d_mlp": 64, "n_ctx": n_ctx},
            "training": {"tokens": 1_000_000},
            "model_seeds": list(range(n_models)),
            "n_untrained": n_untrained,
        },
        "comparisons": [
            {
                "id": c,
                "hook_point": "blocks.0.mlp.hook_post",
                "sae": {"d_sae": n_latents, "k": 8, "tokens": 300_000},
                "replicates": replicates,
                "neurons": True,
            }
            for c in comparisons
        ],
        "compare": {"tau": 0.5, "min_firings": 20, "n_shifts": 20, "alpha": 0.05},
    }
