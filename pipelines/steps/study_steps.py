"""Steps of studies: models that differ in what they were trained on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from pipelines.engine.step import Estimate, StepContext, step
from pipelines.estimates import BASE_MEMORY, IMPORT_SECONDS, Sizes, flops
from pipelines.steps.comparison_steps import stored_dictionary
from pipelines.steps.run_tables import write_table
from pipelines.steps.step_rows import shared_rows
from results.public.opening import open_transformer
from results.stored_comparison import input_name


def losses_cost(sizes: Sizes, params: Mapping[str, Any]) -> Estimate:
    """A forward pass over the evaluation rows."""
    return Estimate(IMPORT_SECONDS + sizes.token_flops * sizes.rows / flops(params), 10_000, BASE_MEMORY)


@step("domain_losses", version=1, cost=losses_cost)
def domain_losses(ctx: StepContext) -> None:
    """Mean log-loss of a transformer on the score rows of each domain, in nats per token; NaN without rows."""
    from universality.transformers.token_loss import token_losses

    tokens = ctx.inputs["tokens"]
    rows = shared_rows(tokens)
    assert rows.domains is not None  # a run's rows always have labels and the next token
    assert rows.next_tokens is not None
    names = ctx.inputs["tokens"].json("domains")
    model = open_transformer(ctx.inputs["transformer"], ctx.device)
    losses = token_losses(model, np.asarray(tokens.array("eval_contexts")[:]))
    counted = np.flatnonzero(rows.score & (rows.next_tokens >= 0))
    of_rows = losses[tokens.array("row_context")[counted], tokens.array("row_position")[counted]]
    domains, n = rows.domains[counted], len(names)
    with np.errstate(invalid="ignore"):
        means = np.bincount(domains, of_rows.astype(np.float64), n) / np.bincount(domains, minlength=n)
    ctx.out.array("losses", means)


def unseen_cost(sizes: Sizes, params: Mapping[str, Any]) -> Estimate:
    """Activation of every latent by domain, and means over resamples of a few hundred pairs."""
    return Estimate(1.0 + sizes.rows * sizes.k * len(params["models"]) / 3e7, 20_000, sizes.two_sides)


@step("unseen_domains", version=1, cost=unseen_cost, tables=["unseen_domains"])
def unseen_domains(ctx: StepContext) -> None:
    """What models lack whose training left domains out."""
    from universality.compare.pair_plan import pair_name
    from universality.compare.pairing import PairMatching
    from universality.studies.unseen import domain_of_latents
    from universality.studies.unseen import unseen_domains as table_of

    p, rows = ctx.params, shared_rows(ctx.inputs["tokens"])
    names = tuple(ctx.inputs["tokens"].json("domains"))
    dictionaries = {name: stored_dictionary(ctx, input_name("latents", name), name, rows) for name in p["models"]}
    ctx.progress(1, 2)
    matchings = {}
    for pair in map(tuple, p["pairs"]):
        stored = ctx.inputs[input_name("matching", pair_name(pair))]
        matchings[pair] = PairMatching.from_stored({"pairs": stored.table("matched")}, stored.tensors("matching"))
    unseen = [[] if mix is None else ctx.inputs[input_name("mix", mix)].json("mix")["unseen"] for mix in p["data"]]
    table = table_of(
        matchings,
        {name: dictionary.alive for name, dictionary in dictionaries.items()},
        {name: domain_of_latents(dictionary.acts, rows) for name, dictionary in dictionaries.items()},
        ctx.inputs["comparison"].table("verdicts"),
        np.array([[domain not in left_out for domain in names] for left_out in unseen]),
        np.array([ctx.inputs[input_name("domain_losses", name)].array("losses")[:] for name in p["models"]]),
        names,
        p["compare"]["confidence"],
    )
    write_table(ctx, "unseen_domains", table, comparison_id=p["comparison_id"])
