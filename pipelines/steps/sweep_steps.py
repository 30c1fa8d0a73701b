"""Steps that train and judge the dictionaries of a sweep."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np

from pipelines.engine.interrupts import resumable
from pipelines.engine.step import Estimate, StepContext, step
from pipelines.estimates import BASE_MEMORY, Sizes
from pipelines.models_table import sparsity_words
from pipelines.steps.dictionary_costs import sweep_quality_cost, sweep_sae_cost
from pipelines.steps.dictionary_steps import measured, open_sae, spliced, write_sae
from pipelines.steps.run_tables import write_table
from pipelines.steps.step_rows import training_source
from results.schema import SWEEPS
from results.stored_comparison import input_name
from storage import Artifact
from universality.seeds import derive_seed

if TYPE_CHECKING:
    from universality.sae.seed_training import SAETrainingResult

#: What is known of a dictionary whose training ended well.
MEASURED = ("l0", "fvu", "dead_fraction", "n_dense", "ce_recovered", "kl_recovered")


def sweep_saes(contexts: Sequence[StepContext]) -> None:
    """The dictionaries of several points side by side, over one read of the rows that all of them see."""
    from universality.sae.sae_config import SAETrainingConfig
    from universality.sae.training import TrainingOptions, train_points

    ctx, p = contexts[0], contexts[0].params
    seeds = [derive_seed(p["root_seed"], "sweep-sae", p["sweep"], number) for number in range(p["n_seeds"])]
    with resumable(*contexts) as options:
        points = train_points(
            training_source(ctx).rows,
            [SAETrainingConfig(**each.params["config"]) for each in contexts],
            sae_seeds=seeds,
            order_seed=derive_seed(p["root_seed"], "sweep-order", p["sweep"]),
            options=[TrainingOptions(device=ctx.device, compile=p.get("compile", False), **each) for each in options],
        )
    for each, results in zip(contexts, points, strict=True):
        _write_point(each, results)


def _write_point(ctx: StepContext, results: Sequence[SAETrainingResult]) -> None:
    for number, result in enumerate(results):
        write_sae(ctx.out, result.sae, str(number))
    # One point that diverges is a finding of the sweep, not its end.
    ctx.out.json("status", [result.status for result in results])
    failed = {result.status for result in results} - {"ok"}
    failures = [f"Training ended as {' and '.join(sorted(failed))}. Lower lr for this point."] if failed else []
    if warnings := [*failures, *results[0].warnings]:
        ctx.out.facts(warnings=warnings)


@step("sweep_sae", version=1, cost=sweep_sae_cost, together=sweep_saes)
def sweep_sae(ctx: StepContext) -> None:
    """Train the dictionaries of one point, one per seed; all points see the same batches."""
    sweep_saes([ctx])


@step("sweep_quality", version=1, cost=sweep_quality_cost)
def sweep_quality(ctx: StepContext) -> None:
    """Quality of a point's dictionaries on the score rows, as the step ``latents`` measures it."""
    sae = ctx.inputs["sae"]
    rows = []
    for number, status in enumerate(sae.json("status")):
        rows.append({"seed": number, "status": status, **dict.fromkeys(MEASURED)})
        if status == "ok":  # the weights of others say nothing
            dictionary = open_sae(sae, str(number))
            quality = measured(ctx, dictionary)
            dense = int((quality.firing_rates() > ctx.params["dense_rate"]).sum())
            measures = {**quality.result(), **spliced(ctx, dictionary), "n_dense": dense}
            rows[-1] |= {name: measures[name] for name in MEASURED}
    ctx.out.json("quality", rows)


def sweep_cost(sizes: Sizes, params: Any) -> Estimate:
    """A table of a few dozen rows, and the decoders' cosines between seeds."""
    return Estimate(1.0, 20_000, BASE_MEMORY)


@step("sweep", version=2, cost=sweep_cost, tables=["sweeps"])
def sweep(ctx: StepContext) -> None:
    """The table ``sweeps``: one row per dictionary, and which points nothing beats."""
    from pandas import DataFrame

    from universality.sae.evaluation import frontier

    rows, means = [], []
    for number, (name, config) in enumerate(ctx.params["points"]):
        quality = ctx.inputs[input_name("quality", number)].json("quality")
        good = [row for row in quality if row["status"] == "ok"]
        means.append([float(np.mean([row[key] for row in good])) if good else np.nan for key in ("l0", "fvu")])
        shared = {
            "sweep": ctx.params["sweep"],
            "point": name,
            "architecture": config.get("architecture", "topk"),
            "d_sae": config["d_sae"],
            "sparsity": sparsity_words(config, None),
            "seed_cosine": _seed_cosine(ctx.inputs[input_name("sae", number)], [row["seed"] for row in good]),
        }
        rows += [{**shared, **row} for row in quality]
    best = frontier(*np.array(means, dtype=np.float64).reshape(-1, 2).T)
    n_seeds = ctx.params["n_seeds"]
    write_table(ctx, "sweeps", SWEEPS.typed(DataFrame(rows).assign(frontier=np.repeat(best, n_seeds))))


def _seed_cosine(sae: Artifact, seeds: list[int]) -> float | None:
    """Mean over pairs of seeds, both ways, of a latent's largest decoder cosine to the other's; None for one seed."""
    from universality.sae.evaluation import mean_max_cosine

    decoders = [open_sae(sae, str(number)).W_dec.numpy() for number in seeds]
    cosines = [mean_max_cosine(a, b) for x, y in combinations(decoders, 2) for a, b in ((x, y), (y, x))]
    return float(np.mean(cosines)) if cosines else None
