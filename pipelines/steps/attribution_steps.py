"""Steps that screen a dictionary's latents to first order, and choose by that which of them are ablated.

Only where the model runs again for every ablation: elsewhere all of them are.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from pipelines.engine.step import Estimate, StepContext, step
from pipelines.estimates import BASE_MEMORY, IMPORT_SECONDS, Sizes, flops
from pipelines.steps.dictionary_steps import open_sae
from pipelines.steps.step_rows import shared_rows
from results.public.opening import open_transformer
from results.stored_comparison import input_name
from universality.compare.pair_plan import pair_name

if TYPE_CHECKING:
    from scipy import sparse

    from universality.effects.predictions import TextRows
    from universality.rows import Rows


def attributions_cost(sizes: Sizes, params: Mapping[str, Any]) -> Estimate:
    """A forward and a backward pass for every token of the contexts that are attributed."""
    tokens = min(params["effects"]["rows"], sizes.recipe.split.score_tokens)
    seconds = IMPORT_SECONDS + 1 + 3 * tokens * sizes.token_flops / flops(params)
    return Estimate(seconds, 16 * tokens * sizes.k, BASE_MEMORY + sizes.model_bytes + 48 * sizes.rows * sizes.k)


@step("readouts", version=1, cost=lambda sizes, params: Estimate(IMPORT_SECONDS + 5, 1000, BASE_MEMORY))
def readouts(ctx: StepContext) -> None:
    """Whether the models' logits follow from the hook point by a readout alone: all of them, or all run again."""
    from universality.effects.readout import readout_of

    p = ctx.params
    read = {
        node: readout_of(open_transformer(model, ctx.device), p["hook_point"]) is not None
        for node, model in ctx.inputs.items()
    }
    ctx.out.facts(readouts=read, reruns=not all(read.values()))


def reruns(ctx: StepContext) -> bool:
    """Whether the model runs again for every ablation: as planned, unless trying found that it need not."""
    tried = ctx.inputs.get("readouts")
    return ctx.params["rerun"] if tried is None else bool(tried.manifest["facts"]["reruns"])


@step("attributions", version=1, cost=attributions_cost)
def attributions(ctx: StepContext) -> None:
    """First-order effects of every firing on the rows of whole contexts; and of a random direction in its place.

    Nothing where the model need not run again after all.
    """
    from universality.effects.attribution import attributed
    from universality.effects.sampling import context_rows, usable_rows
    from universality.seeds import generator

    if not reruns(ctx):
        return
    p, tokens = ctx.params, ctx.inputs["tokens"]
    rows = shared_rows(tokens)
    acts, directions, drawn, means = ablated_sides(ctx, rows)
    rng = generator(p["root_seed"], "attributed-contexts")
    numbers = context_rows(np.asarray(tokens.array("row_context")), usable_rows(rows), p["effects"]["rows"], rng)
    model = open_transformer(ctx.inputs["transformer"], ctx.device)
    own, random = attributed(
        model, rows_text(ctx, numbers), p["hook_point"], acts[numbers], [directions, drawn], means,
        scale=sae_scale(ctx, "sae", "activations", numbers),
    )  # fmt: skip
    ctx.out.array("attributed_rows", numbers)
    ctx.out.csr("attribution", own)
    ctx.out.csr("attribution_random", random)


@step("ablation_choice", version=1, cost=lambda sizes, params: Estimate(2.0, 8 * sizes.d_sae * len(params["pairs"])))
def ablation_choice(ctx: StepContext) -> None:
    """Which assigned pairs, and so which latents of every dictionary, are ablated: those that do most, and a draw."""
    from scipy import sparse

    from universality.correlation.top import TopSimilarity
    from universality.effects.choice import choose_ablated
    from universality.effects.controls import runner_up

    if not reruns(ctx):
        return
    p, pairs, sizes = ctx.params, {}, {}
    for kind, names in zip(p["kinds"], p["pairs"], strict=True):
        pair = tuple(names)
        matched = ctx.inputs[input_name("matching", pair_name(pair))].table("matched")
        seconds = np.full(len(matched), -1)
        if kind == "features":
            stored = ctx.inputs[input_name("similarity", pair_name(pair))].tensors("similarity")
            indices = (matched[f"latent_{side}"].to_numpy(np.int64) for side in "ab")
            seconds = runner_up(TopSimilarity.from_arrays(stored), *indices)
        pairs[pair] = matched, seconds
        for name in names:
            if name not in sizes:
                first_order = abs(sparse.csr_matrix(ctx.inputs[input_name("attributions", name)].csr("attribution")))
                sizes[name] = np.asarray(first_order.sum(axis=0), np.float64).ravel()
    weights, ablated = choose_ablated(pairs, sizes, p["effects"]["latents"], p["root_seed"])
    ctx.out.tensors("weights", {pair_name(pair): of for pair, of in weights.items()})
    ctx.out.tensors("ablated", ablated)
    ctx.out.facts(n_ablated={name: int(chosen.sum()) for name, chosen in ablated.items()})


def chosen_latents(ctx: StepContext, dictionary: str, d_sae: int) -> np.ndarray:
    """(d_sae,) bool, latents of a dictionary that are ablated."""
    if not reruns(ctx):
        return np.ones(d_sae, bool)
    return np.asarray(ctx.inputs["choice"].tensors("ablated")[dictionary])


def chosen_pairs(ctx: StepContext, pair: tuple[str, str]) -> np.ndarray | None:
    """How many assigned pairs each one of two dictionaries stands for, 0 where it is not measured; None: 1 each."""
    if not reruns(ctx):
        return None
    return np.asarray(ctx.inputs["choice"].tensors("weights")[pair_name(pair)])


def ablated_sides(ctx: StepContext, rows: Rows) -> tuple[sparse.csr_matrix, np.ndarray, np.ndarray, np.ndarray]:
    """Of a node's dictionary: activations, its directions, random ones of equal norm, mean activations on fit rows."""
    from scipy import sparse

    from universality.effects.controls import random_directions
    from universality.seeds import generator

    acts = sparse.csr_matrix(ctx.inputs["latents"].csr("acts"))
    directions = np.asarray(ctx.inputs["sae"].tensors("sae")["W_dec"], np.float32)
    drawn = random_directions(directions, generator(ctx.params["root_seed"], "random-directions", ctx.params["id"]))
    return acts, directions, drawn, np.asarray(acts[rows.fit].mean(axis=0)).ravel()


def rows_text(ctx: StepContext, numbers: np.ndarray) -> TextRows:
    """Where some evaluation rows stand."""
    from universality.effects.predictions import TextRows

    tokens = ctx.inputs["tokens"]
    context, position = (
        np.asarray(tokens.array(name)[:], np.int64)[numbers] for name in ("row_context", "row_position")
    )
    return TextRows(np.asarray(tokens.array("eval_contexts")[:]), context, position)


def sae_scale(ctx: StepContext, sae: str, activations: str, numbers: np.ndarray) -> np.ndarray | None:
    """By which the dictionary scales what it adds at some rows; None where it does not normalise."""
    import torch

    dictionary = open_sae(ctx.inputs[sae])
    if dictionary.normalisation == "none":
        return None
    raw = ctx.inputs[activations].array(ctx.params["hook_point"])
    return dictionary.row_scale(torch.from_numpy(np.asarray(raw[numbers], np.float32))).numpy().ravel()
