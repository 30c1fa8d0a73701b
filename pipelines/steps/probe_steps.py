"""Steps that ask assigned partners for what one of them knows: labels never used, and explanations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from pipelines.engine.step import Estimate, StepContext, step
from pipelines.estimates import Sizes
from pipelines.steps.comparison_steps import stored_dictionary
from pipelines.steps.run_tables import write_table
from pipelines.steps.steering_steps import run_text
from pipelines.steps.step_rows import shared_rows
from results.stored_comparison import input_name

if TYPE_CHECKING:
    import pandas as pd

    from universality.compare.pair import Dictionary
    from universality.rows import Rows


def probes_cost(sizes: Sizes, params: Mapping[str, Any]) -> Estimate:
    """The text byte by byte, firings counted by label, and areas over resamples of some latents of each pair."""
    areas = 9 * 2 * 4 * len(params["pairs"])
    seconds = 2.0 + 4e-6 * sizes.rows + areas * sizes.rows * sizes.k / sizes.d_sae * 2e-6
    return Estimate(seconds, 200_000, sizes.two_sides + 9 * sizes.rows)


@step("probes", version=1, cost=probes_cost, tables=["probes"])
def probes(ctx: StepContext) -> None:
    """Whether partners of the latents that tell labels best tell them too."""
    from universality.effects.probes import Probes, text_labels

    p, rows = ctx.params, shared_rows(ctx.inputs["tokens"])
    text = run_text(ctx)
    labels = text_labels(text.token_bytes, np.asarray(text.contexts), text.special)
    of_rows = {name: marked[text.row_context, text.row_position] for name, marked in labels.items()}
    ctx.progress(1, 2)
    made = Probes(_dictionaries(ctx, rows), of_rows, _weights(ctx, rows), p["compare"]["confidence"])
    table = made.table(_pairs(ctx))
    write_table(ctx, "probes", table, comparison_id=p["comparison_id"])


def explanations_cost(sizes: Sizes, params: Mapping[str, Any]) -> Estimate:
    """One factorisation, ranks of predictions and activations of every dictionary, and moments of every pair."""
    dictionaries = len({name for pair in params["pairs"] for name in pair})
    latents = min(sizes.d_sae, 4 * 512)
    seconds = 8.0 + dictionaries * latents * 5e-3 + 6.0 * len(params["pairs"])
    rows = 1024 * len(params["pairs"])
    return Estimate(seconds, 80 * rows, sizes.two_sides + dictionaries * latents * 131_072 + 600_000_000)


@step("explanations", version=1, cost=explanations_cost, tables=["explanations", "explanation_transfer"])
def explanations(ctx: StepContext) -> None:
    """Whether what the last tokens say of a feature holds for its partner."""
    from universality.effects.explanations import Explanations

    p, tokens, rows = ctx.params, ctx.inputs["tokens"], shared_rows(ctx.inputs["tokens"])
    context, position = (np.asarray(tokens.array(f"row_{name}")[:], np.int64) for name in ("context", "position"))
    contexts = np.asarray(tokens.array("eval_contexts")[:])
    made = Explanations(
        _dictionaries(ctx, rows), contexts, context, position, _weights(ctx, rows), p["root_seed"],
        p["compare"]["confidence"],
    )  # fmt: skip
    for name, table in zip(("explanations", "explanation_transfer"), made.tables(_pairs(ctx)), strict=True):
        write_table(ctx, name, table, comparison_id=p["comparison_id"])


def _dictionaries(ctx: StepContext, rows: Rows) -> dict[str, Dictionary]:
    """Every dictionary of the pairs, by id."""
    names = dict.fromkeys(name for pair in ctx.params["pairs"] for name in pair)
    return {name: stored_dictionary(ctx, input_name("latents", name), name, rows) for name in names}


def _weights(ctx: StepContext, rows: Rows) -> np.ndarray:
    from universality.effects.pair_effects import source_draws

    p = ctx.params
    draws = source_draws(rows, p["compare"]["n_resamples"], p["root_seed"], np.flatnonzero(rows.score))
    return draws.astype(np.float64)


def _pairs(ctx: StepContext) -> list[tuple[str, tuple[str, str], pd.DataFrame]]:
    """Kind, ids and assigned pairs of every two dictionaries."""
    from universality.compare.pair_plan import pair_name

    pairs = [(a, b) for a, b in ctx.params["pairs"]]
    matched = [ctx.inputs[input_name("matching", pair_name(pair))].table("matched") for pair in pairs]
    return list(zip(ctx.params["kinds"], pairs, matched, strict=True))
