"""Steps of studies: models that differ in what they were trained on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from pipelines.engine.step import Estimate, StepContext, step
from pipelines.estimates import BASE_MEMORY, IMPORT_SECONDS, Sizes, flops
from pipelines.steps.comparison_steps import dictionary_pair, stored_dictionary
from pipelines.steps.run_tables import write_table
from pipelines.steps.step_rows import shared_rows
from results.public.opening import open_transformer
from results.schema import STUDY_CELLS
from results.stored_comparison import input_name

if TYPE_CHECKING:
    from universality.studies.design import Cell


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


def study_pair_cost(sizes: Sizes, params: Mapping[str, Any]) -> Estimate:
    """Candidates of both sides, and every row of every assigned pair for the parts of r."""
    products = sizes.rows / 2 * sizes.k**2
    seconds = 1.0 + products / 3e8 + 4.5e-8 * sizes.rows * sizes.d_sae
    return Estimate(seconds, 20_000, sizes.two_sides)


@step("study_pair", version=2, cost=study_pair_cost, tables=["study_partners"])
def study_pair(ctx: StepContext) -> None:
    """How much two dictionaries of a study agree, with the same in every resample of the sources."""
    from universality.studies.agreement import pair_agreement

    found = pair_agreement(dictionary_pair(ctx))
    ctx.out.array("agreement", found.measures)
    ctx.out.array("by_domain", found.by_domain)
    write_table(ctx, "study_partners", found.partners)


#: ``study_layers`` only where dictionaries read at several hook points.
STUDY_TABLES = ("study", "study_cells", "study_means", "study_contrasts", "study_layers", "study_domains")


def study_cost(sizes: Sizes, params: Mapping[str, Any]) -> Estimate:
    """Means over a few hundred pairs, each with its resamples."""
    return Estimate(1.0 + len(params["cells"]) / 10, 100_000, BASE_MEMORY)


@step("study", version=1, cost=study_cost, tables=STUDY_TABLES)
def study(ctx: StepContext) -> None:
    """Tables of a study: its dictionaries, its pairs, means by relation, and what each factor does."""
    from pandas import DataFrame

    from universality.compare.chance import PairNull
    from universality.studies.contrasts import study_contrasts, study_means, study_table
    from universality.studies.design import HOOK_POINT, Cell, Design
    from universality.studies.layers import study_layers
    from universality.studies.study_domains import study_domains

    p = ctx.params
    design = Design([Cell(**cell) for cell in p["cells"]], p["of_models"], p["settings"])
    rows = shared_rows(ctx.inputs["tokens"])
    alive = {
        cell.id: stored_dictionary(ctx, input_name("latents", cell.id), cell.id, rows).alive for cell in design.cells
    }
    stored = {pair.name: ctx.inputs[input_name("pair", pair.name)] for pair in design.pairs}
    measured = {name: np.asarray(artifact.array("agreement")) for name, artifact in stored.items()}
    chance = {}
    for pair in design.pairs:
        name = input_name("null", pair.name)
        if name in ctx.inputs:
            null = PairNull.from_arrays(ctx.inputs[name].tensors("null"))
            maxima = null.pooled(alive[pair.a.id], alive[pair.b.id])
            chance[pair.relation] = float((maxima >= p["compare"]["tau"]).mean()) if maxima.size else np.nan
    level = p["compare"]["confidence"]
    by_domain = {name: np.asarray(artifact.array("by_domain")) for name, artifact in stored.items()}
    unseen = {mix: frozenset(ctx.inputs[input_name("mix", mix)].json("mix")["unseen"]) for mix in p["mixes"]}
    tables = {
        "study_domains": study_domains(design, by_domain, unseen, tuple(rows.domain_names or ()), level),
        "study": study_table(design, measured, level),
        "study_means": study_means(design, measured, chance, level),
        "study_contrasts": study_contrasts(design, measured, level),
        "study_cells": STUDY_CELLS.typed(DataFrame([_described(ctx, cell, alive[cell.id]) for cell in design.cells])),
    }
    if HOOK_POINT in design.factors:
        tables["study_layers"] = study_layers(design, measured, level)
    for name, table in tables.items():
        write_table(ctx, name, table, study_id=p["study_id"])


def _described(ctx: StepContext, cell: Cell, alive: np.ndarray) -> dict[str, Any]:
    """A row of the table ``study_cells``."""
    own = ctx.inputs[input_name("latents", cell.id)].json("quality")
    standing = ("model", "data", "sae_seed", "half")
    return {
        "cell": cell.id,
        "model": cell.transformer,
        "model_seed": cell.levels.get("model"),
        "data": cell.levels.get("data"),
        "sae_seed": cell.levels["sae_seed"],
        "half": cell.levels["half"],
        "point": cell.point([name for name in cell.levels if name not in standing]),
        "untrained": cell.untrained,
        "d_sae": alive.size,
        "n_alive": int(alive.sum()),
        **{name: own[name] for name in ("l0", "fvu", "ce_recovered", "ce_clean")},
    }
