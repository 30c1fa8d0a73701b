"""The step that probes features for labels which nothing was trained or matched on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from pipelines.engine.step import Estimate, StepContext, step
from pipelines.estimates import Sizes
from pipelines.steps.comparison_steps import stored_dictionary
from pipelines.steps.run_tables import write_table
from pipelines.steps.steering_steps import RunOfInputs
from pipelines.steps.step_rows import shared_rows
from results.stored_comparison import StoredComparison, input_name


def probes_cost(sizes: Sizes, params: Mapping[str, Any]) -> Estimate:
    """The text byte by byte, firings counted by label, and areas over resamples of some latents of each pair."""
    areas = 9 * 2 * 4 * len(params["pairs"])
    seconds = 2.0 + 4e-6 * sizes.rows + areas * sizes.rows * sizes.k / sizes.d_sae * 2e-6
    return Estimate(seconds, 200_000, sizes.two_sides + 9 * sizes.rows)


@step("probes", version=1, cost=probes_cost, tables=["probes"])
def probes(ctx: StepContext) -> None:
    """Whether partners of the latents that tell labels best tell them too."""
    from universality.compare.pair_plan import pair_name
    from universality.effects.pair_effects import source_draws
    from universality.effects.probes import Probes, text_labels

    p, rows = ctx.params, shared_rows(ctx.inputs["tokens"])
    text = StoredComparison(RunOfInputs(ctx, p["comparison_id"]), p["comparison_id"], record={}).text  # pyright: ignore[reportArgumentType]
    labels = text_labels(text.token_bytes, np.asarray(text.contexts), text.special)
    of_rows = {name: marked[text.row_context, text.row_position] for name, marked in labels.items()}
    ctx.progress(1, 2)
    pairs = [tuple(pair) for pair in p["pairs"]]
    dictionaries = {
        name: stored_dictionary(ctx, input_name("latents", name), name, rows)
        for name in dict.fromkeys(name for pair in pairs for name in pair)
    }
    weights = source_draws(rows, p["compare"]["n_resamples"], p["root_seed"], np.flatnonzero(rows.score))
    made = Probes(dictionaries, of_rows, weights.astype(np.float64), p["compare"]["confidence"])
    matched = [ctx.inputs[input_name("matching", pair_name(pair))].table("matched") for pair in pairs]
    table = made.table(list(zip(p["kinds"], pairs, matched, strict=True)))
    write_table(ctx, "probes", table, comparison_id=p["comparison_id"])
