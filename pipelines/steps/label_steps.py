"""Steps that label latents by rules of the text they fire on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from pipelines.engine.step import Estimate, StepContext, step
from pipelines.estimates import Sizes
from pipelines.steps.run_tables import write_table
from pipelines.steps.steering_steps import run_text
from pipelines.steps.step_rows import shared_rows
from results.stored_comparison import input_name, vocabulary_of

if TYPE_CHECKING:
    import pandas as pd
    from scipy import sparse

    from results.evaluation_text import EvaluationText
    from storage import Artifact
    from universality.labels.rules import Rules
    from universality.labels.views import View

#: Views of the last ``tokens`` artifact with their text, by its key: every dictionary of a run is read by the same.
_LAST: dict[str, tuple[EvaluationText, list[View]]] = {}


def rules_cost(sizes: Sizes, params: Mapping[str, Any]) -> Estimate:
    """The text token by token, then every firing once in each of about twenty views."""
    return Estimate(2.0 + 7e-6 * sizes.rows + 2e-7 * sizes.rows * sizes.k, 300 * sizes.d_sae, sizes.two_sides)


@step("rules", version=1, cost=rules_cost)
def rules(ctx: StepContext) -> None:
    """The rule of the text that says most of each alive latent, learned on fit rows and scored on score rows."""
    from scipy import sparse

    from universality.labels.rules import learn_rules

    rows, (_, views) = shared_rows(ctx.inputs["tokens"]), _text_and_views(ctx)
    acts = sparse.csc_matrix(ctx.inputs["latents"].csc("acts"))
    p = ctx.params
    found = learn_rules(
        acts, rows, views, min_firings=p["compare"]["min_firings"], root_seed=p["root_seed"], threads=ctx.threads
    )
    ctx.out.tensors("rules", vars(found))


def labels_cost(sizes: Sizes, params: Mapping[str, Any]) -> Estimate:
    """Every rule against every latent of the untrained models, and rules of a cluster against its members."""
    n = len(params["trained"])
    floor = n * len(params["untrained"]) * 16.0 * sizes.d_sae * sizes.k
    seconds = 2.0 + 7e-6 * sizes.rows + n * 1e-6 * sizes.rows * sizes.k + 1e-7 * floor
    return Estimate(seconds, 300 * n * sizes.d_sae, sizes.two_sides + 3 * 24 * sizes.rows * sizes.k)


@step("labels", version=1, cost=labels_cost, tables=["labels", "label_parts", "cluster_labels"])
def labels(ctx: StepContext) -> None:
    """Labels of latents and of clusters in words, with what their rules say of untrained models beside them."""
    import pandas as pd

    from universality.labels.clusters import cluster_rules

    p, rows, (text, views) = ctx.params, shared_rows(ctx.inputs["tokens"]), _text_and_views(ctx)
    names = [*p["trained"], *p["untrained"]]
    of = {name: _stored_rules(ctx.inputs[input_name("rules", name)]) for name in names}
    tables, parts = [], []
    for name in names:
        table, part = _label_rows(name, of[name], views, text)
        promoted = _promoted(ctx, name, text)
        floor = _floor(ctx, of[name], views) if name in p["trained"] and p["untrained"] else np.full(len(table), np.nan)
        tables.append(table.assign(r_untrained=floor, promotes=table["latent"].map(promoted).astype(object)))
        parts.append(part)
        ctx.progress(len(tables), len(names) + 1)
    made = pd.concat(tables, ignore_index=True)
    features = ctx.inputs["comparison"].table("features", columns=["model", "latent", "cluster", "n_models"])
    members = features[features["n_models"] >= 1].astype({"cluster": np.int64})
    acts = {name: _acts(ctx, name) for name in p["trained"]}
    of_clusters = cluster_rules(members[["cluster", "model", "latent"]], of, views, acts, rows)
    worded = of_clusters.merge(made[["model", "latent", "family", "label"]], on=["model", "latent"])
    columns = ["cluster", "model", "latent", "family", "label", "r", "r_least", "n_members", "n_models", "n_explained"]
    written = {
        "labels": made,
        "label_parts": pd.concat(parts, ignore_index=True),
        "cluster_labels": worded[columns].sort_values("cluster", ignore_index=True),
    }
    for name, table in written.items():
        write_table(ctx, name, table, comparison_id=p["comparison_id"])


def _label_rows(name: str, of: Rules, views: list[View], text: EvaluationText) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Rows of ``labels`` and ``label_parts`` of one dictionary."""
    import pandas as pd

    from results.label_text import part_text, rule_text

    families = [views[view].family for view in of.view]
    keys = [
        [views[view].keys[part] for part in parts if part >= 0] for view, parts in zip(of.view, of.parts, strict=True)
    ]
    n_parts = [len(parts) for parts in keys]
    words = [rule_text(f, parts, text.token_bytes) if parts else "" for f, parts in zip(families, keys, strict=True)]
    table = pd.DataFrame(
        {
            "model": name, "latent": of.latents.astype(np.int64), "family": families, "label": words,
            "explained": of.explained, "r": of.r, "r_crossed": of.r_crossed, "n_parts": np.array(n_parts, np.int64),
        }
    )  # fmt: skip
    said = [part_text(f, key, text.token_bytes) for f, parts in zip(families, keys, strict=True) for key in parts]
    part = pd.DataFrame(
        {
            "model": name, "latent": np.repeat(of.latents.astype(np.int64), n_parts),
            "rank": np.concatenate([np.zeros(0, np.int64), *map(np.arange, n_parts)]).astype(np.int64),
            "part": np.array(said, dtype=object), "weight": of.weights[of.parts >= 0],
        }
    )  # fmt: skip
    return table, part


def _floor(ctx: StepContext, of: Rules, views: list[View]) -> np.ndarray:
    """(n_rules,) r of each rule with the latent that it foretells best in an untrained model: the mean over these."""
    from universality.labels.rules import nearest_latents, rule_r

    rows, every, found = shared_rows(ctx.inputs["tokens"]), np.arange(of.latents.size), []
    for name in ctx.params["untrained"]:
        acts = _acts(ctx, name)
        found.append(rule_r(of, views, acts, rows.score, every, nearest_latents(of, views, acts, rows.fit)))
    return np.mean(found, axis=0)


def _promoted(ctx: StepContext, name: str, text: EvaluationText) -> dict[int, str]:
    """What each latent of a compared dictionary makes likelier, where there is a direct way to the logits."""
    from results.label_text import promoted_text
    from universality.labels.promoted import common_parts

    evidence = ctx.inputs.get(input_name("evidence", name))
    if evidence is None or "logits" not in evidence.tables():
        return {}
    top = evidence.table("logits", columns=["latent", "side", "rank", "token"])
    wide = top[top["side"] == "top"].pivot_table(index="latent", columns="rank", values="token").astype(np.int64)
    tokens, (token_bytes, special) = wide.to_numpy(), _vocabulary(ctx, name, text)
    common = common_parts(tokens, token_bytes, special)
    return {
        int(latent): promoted_text(of.family, of.key, of.n, tokens.shape[1], [token_bytes[t] for t in row])
        for latent, of, row in zip(wide.index, common, tokens, strict=True)
    }


def _vocabulary(ctx: StepContext, name: str, text: EvaluationText) -> tuple[list[bytes], np.ndarray]:
    """What every token of a dictionary's model spells, and which are special."""
    own = ctx.inputs.get(input_name("tokenizer", name))
    if own is None:
        return text.token_bytes, text.special
    vocabulary = vocabulary_of(own, ["bytes", "special"])
    return [bytes.fromhex(data) for data in vocabulary["bytes"]], vocabulary["special"].to_numpy(bool)


def _acts(ctx: StepContext, name: str) -> sparse.csr_matrix:
    from scipy import sparse

    return sparse.csr_matrix(ctx.inputs[input_name("latents", name)].csr("acts"))


def _stored_rules(artifact: Artifact) -> Rules:
    from universality.labels.rules import Rules

    return Rules(**artifact.tensors("rules"))


def _text_and_views(ctx: StepContext) -> tuple[EvaluationText, list[View]]:
    """The evaluation text, and every view of its rows; of the same artifact the same objects, in this process."""
    from universality.labels.views import text_views

    tokens = ctx.inputs["tokens"]
    if tokens.key not in _LAST:
        text = run_text(ctx)
        views = text_views(
            shared_rows(tokens), text.token_bytes, text.special, text.contexts, text.row_context, text.row_position
        )
        _LAST.clear()
        _LAST[tokens.key] = text, views
    return _LAST[tokens.key]
