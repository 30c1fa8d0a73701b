"""Steps that choose features, turn them up in their models, and look at what these write."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from pipelines.engine.step import Estimate, StepContext, step
from pipelines.estimates import BASE_MEMORY, IMPORT_SECONDS, Sizes, flops
from pipelines.steps.run_tables import write_table
from results.public.opening import open_transformer
from results.schema import MADE
from results.stored_comparison import (
    StoredComparison,
    activations_node,
    comparison_node,
    latents_node,
    transformer_node,
)
from storage import Artifact
from universality.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

    from results.evaluation_text import EvaluationText
    from results.steering import Member, Steering

#: Seconds that a forward pass takes beside its arithmetic, for each layer, and that a logit takes to be compared.
PASS_SECONDS, LOGIT_SECONDS = 8e-3, 4e-8


class RunOfInputs:
    """The artifacts that a step was given, under the ids of their nodes, as a run has them."""

    def __init__(self, ctx: StepContext, comparison: str) -> None:
        self.name, self.inputs, self.comparison = "this run", ctx.inputs, comparison

    def artifact(self, node: str) -> Artifact:
        """What a node made."""
        return self.inputs[node]

    def table(self, name: str) -> pd.DataFrame:
        """A table of the comparison."""
        return self.inputs[comparison_node(self.comparison)].table(name)


def run_text(ctx: StepContext) -> EvaluationText:
    """The evaluation text of a step's tokens."""
    c = ctx.params["comparison_id"]
    return StoredComparison(RunOfInputs(ctx, c), c, record={}).text  # pyright: ignore[reportArgumentType]


def _opened(ctx: StepContext) -> Steering:
    from results.steering import Steering

    c, model_of = ctx.params["comparison_id"], ctx.params.get("model_of", {})
    stored = StoredComparison(RunOfInputs(ctx, c), c, record={})  # pyright: ignore[reportArgumentType]
    return Steering(stored, lambda name: open_transformer(ctx.inputs[transformer_node(model_of[name])], ctx.device))


def choice_cost(sizes: Sizes, params: Mapping[str, Any]) -> Estimate:
    """Counts of firings by domain, and token frequencies."""
    seconds = 1.0 + len(params["models"]) * sizes.rows * sizes.k / 2e7
    return Estimate(seconds, 10_000, BASE_MEMORY + 24 * sizes.rows * sizes.k)


@step("steering_clusters", version=1, cost=choice_cost, tables=["steering_clusters"])
def steering_clusters(ctx: StepContext) -> None:
    """Which cluster is steered for which domain, by what its features fire on."""
    from scipy import sparse

    from universality.effects.subjects import choose_subjects

    p, steering = ctx.params, _opened(ctx)
    stored, name = steering.stored, "steering_clusters"
    if steering.judge is None:
        table = _empty(name)
        ctx.out.facts(nothing="the corpus has no labels of several domains")
    else:
        latents = {
            model: sparse.csc_matrix(ctx.inputs[latents_node(p["comparison_id"], model)].csc("acts"))
            for model in p["models"]
        }
        domains, fit = np.asarray(stored.text.row_domain), ~stored.score_rows
        table = choose_subjects(latents, stored.table("features"), domains, fit, steering.judge, p["clusters"])
    write_table(ctx, name, table, comparison_id=p["comparison_id"])


def steering_cost(sizes: Sizes, params: Mapping[str, Any]) -> Estimate:
    """Continuations token by token over strengths and directions, and passes over quiet contexts for transfer."""
    s, n = params["steering"], len(params["models"])
    directions = 2 + s["random"]
    written = s["prompts"] * s["samples"]
    doses = directions * len(s["strengths"]) + 1
    context = min(12 + s["tokens"], sizes.recipe.n_ctx)
    passes = doses * (s["tokens"] + 1)
    tokens = doses * written * context * (s["tokens"] / 2 + 1)
    logits = doses * written * (s["tokens"] + context)
    arms = (2 * (n - 1) + s["random"]) * (len(s["transfer_strengths"]) * 2 + 3)
    moved = arms * s["transfer_contexts"] * sizes.recipe.n_ctx
    seconds = sizes.n_layers * PASS_SECONDS * (passes + arms) + sizes.block_flops * (tokens + moved) / flops(params)
    seconds += LOGIT_SECONDS * sizes.vocabulary * (logits + moved)
    memory = sizes.two_sides + sizes.model_bytes + 32 * 40_000 * sizes.d_in
    return Estimate(IMPORT_SECONDS + 2 + s["clusters"] * seconds, 100_000, memory)


@step("steering", version=1, cost=steering_cost, tables=["steering_doses", "steering_transfer"])
def steering(ctx: StepContext) -> None:
    """What a model writes with its features of the chosen clusters turned up, and with those of others, mapped."""
    import pandas as pd

    from results.transfer import Transfers, TransferSettings

    p, opened = ctx.params, _opened(ctx)
    how, own = p["steering"], p["id"]
    chosen = ctx.inputs[comparison_node(p["comparison_id"], "steering_clusters")].table("steering_clusters")
    chosen = chosen[chosen["left_out"].isna()].reset_index(drop=True)
    settings = TransferSettings(
        how["transfer_contexts"], max(how["transfer_contexts"] // 4, 1), 1, tuple(how["transfer_strengths"])
    )
    raw = {name: activations_node(model, "eval") for name, model in p["model_of"].items()}
    transfers = Transfers(opened, settings, lambda name: ctx.inputs[raw[name]].array(p["hook_point"]))
    parts: dict[str, list[pd.DataFrame]] = {"steering_doses": [], "steering_transfer": []}
    for number, row in chosen.iterrows():
        members = _members(row["members"])
        if own in members:
            member, domain = members.pop(own), str(row["domain"])
            into = partial(transfers.into, member, list(members.values()))
            made = {
                "steering_doses": _told(partial(_doses, opened, member, domain, p), member, kind="own"),
                "steering_transfer": _told(into, member, arm="own"),
            }
            for name, frame in made.items():
                labelled = frame.assign(cluster=int(row["cluster"]), domain=domain)
                parts[name].append(labelled.reindex(columns=MADE[name].names))
        ctx.progress(int(str(number)) + 1, len(chosen))
    for name, frames in parts.items():
        joined = MADE[name].typed(pd.concat(frames, ignore_index=True)) if frames else _empty(name)
        write_table(ctx, name, joined, comparison_id=p["comparison_id"])


def _members(listed: str) -> dict[str, Member]:
    from results.steering import Member

    pairs = (member.partition(":") for member in listed.split(";"))
    return {model: Member(model, int(latent)) for model, _, latent in pairs}


def _doses(opened: Steering, member: Member, domain: str, p: Mapping[str, Any]) -> pd.DataFrame:
    from results.dose_response import dose_response
    from results.steering import Sampling

    how = p["steering"]
    sampling = Sampling(how["tokens"], how["samples"], seed=p["root_seed"])
    few = {"n_prompts": how["prompts"], "n_random": how["random"]}
    return dose_response(opened, [member], domain, (0.0, *how["strengths"]), sampling, **few)


def _told(measure: Callable[[], pd.DataFrame], member: Member, **named: str) -> pd.DataFrame:
    """What was measured; or one row that says why it could not be."""
    import pandas as pd

    try:
        return measure()
    except InputError as problem:
        row = {"model": member.model, "latent": member.latent, "draw": 0, **named, "problem": str(problem)}
        return pd.DataFrame([row])


def _empty(name: str) -> pd.DataFrame:
    import pandas as pd

    return MADE[name].typed(pd.DataFrame(columns=pd.Index(MADE[name].names)))
