"""Steps that compare dictionaries over the shared evaluation rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from pipelines.engine.step import Estimate, StepContext, step
from pipelines.estimates import Sizes
from pipelines.steps.run_tables import write_table
from results.stored_comparison import input_name
from universality.tables import COMPARISON

if TYPE_CHECKING:
    from scipy import sparse

    from storage import Artifact
    from universality.compare.stages import Stages
    from universality.compare.statistics import LatentStatistics
    from universality.rows import Rows


def shared_rows(tokens: Artifact) -> Rows:
    """The evaluation rows of a ``tokens`` artifact."""
    from universality.rows import Rows

    return Rows(
        documents=tokens.array("row_document"),
        fit=tokens.array("row_fit"),
        domains=tokens.array("row_domain"),
        domain_names=tuple(tokens.json("domains")),
        tokens=tokens.array("row_token"),
        positions=tokens.array("row_position"),
        next_tokens=tokens.array("row_next_token"),
        # Rows leave the first position out, so a context without separators is one row shorter than n_ctx.
        n_ctx=int(tokens.array("eval_contexts").shape[1]) - 1,
    )


def latents_of(artifact: Artifact) -> sparse.csr_matrix:
    """The latents of a ``latents`` artifact, without a copy."""
    from scipy import sparse

    return sparse.csr_matrix(artifact.csr("acts"))


class Sides:
    """What the pairwise steps read: both dictionaries' latents over the same rows."""

    def __init__(self, ctx: StepContext):
        from universality.compare.compare_config import CompareConfig

        _same_ancestry(ctx)
        self.config = CompareConfig(**ctx.params["compare"])
        self.rows = shared_rows(ctx.inputs["tokens"])
        self.a, self.b = latents_of(ctx.inputs["a"]), latents_of(ctx.inputs["b"])
        self.pair: tuple[str, str] = tuple(ctx.params["ids"])
        self.root_seed: int = ctx.params["root_seed"]

    def statistics(self) -> tuple[LatentStatistics, LatentStatistics]:
        """Counts of both sides."""
        return self._of(self.a), self._of(self.b)

    def _of(self, acts: sparse.csr_matrix) -> LatentStatistics:
        from universality.compare.statistics import latent_statistics

        return latent_statistics(acts, self.rows, self.config.min_firings)


def _same_ancestry(ctx: StepContext) -> None:
    """Rows are comparable only if both sides were encoded over the very same tokens."""
    key = ctx.inputs["tokens"].key
    for side in "ab":
        if ctx.inputs[side].manifest["inputs"]["tokens"] != key:
            raise ValueError(f"Side {side} of {ctx.node_id} must be encoded over the run's tokens {key}.")


def similarity_cost(sizes: Sizes, params: Mapping[str, Any]) -> Estimate:
    """One product of the latents that fire together in a fit row, for each such row."""
    products = sizes.rows / 2 * sizes.k**2
    return Estimate(0.5 + products / 3e8, 16 * 64 * sizes.d_sae, sizes.two_sides)


@step("similarity", version=1, cost=similarity_cost, tables=["candidates"])
def similarity(ctx: StepContext) -> None:
    """Best candidates of both sides, on the fit rows."""
    from universality.compare.pairing import candidate_table, pair_similarity

    sides = Sides(ctx)
    found = pair_similarity(
        sides.a, sides.b, sides.rows, *sides.statistics(), sides.config, threads=ctx.threads
    )
    ctx.out.tensors("similarity", found.to_arrays())
    table = candidate_table(found, sides.pair)
    write_table(ctx, "candidates", table, comparison_id=ctx.params["comparison_id"])


def null_cost(sizes: Sizes, params: Mapping[str, Any]) -> Estimate:
    """The same products on the score rows, for each shift and both ways."""
    shifts = 2 * params["compare"]["n_shifts"]
    seconds = 0.5 + shifts * sizes.rows / 2 * sizes.k**2 / 3e8
    return Estimate(seconds, 16 * shifts * sizes.d_sae, sizes.two_sides)


@step("null", version=2, cost=null_cost)
def null(ctx: StepContext) -> None:
    """Chance: every latent's maximum under shifts of whole documents, on the score rows."""
    from universality.compare.chance import pair_null

    sides = Sides(ctx)
    found = pair_null(
        sides.a,
        sides.b,
        sides.rows,
        *sides.statistics(),
        sides.config,
        pair=sides.pair,
        root_seed=sides.root_seed,
        threads=ctx.threads,
    )
    ctx.out.tensors("null", found.to_arrays())


def comparing_cost(sizes: Sizes, params: Mapping[str, Any]) -> Estimate:
    """A few passes over the latents of two dictionaries."""
    return Estimate(2.0 + sizes.rows * sizes.k / 3e6, 100 * sizes.d_sae, sizes.two_sides)


# Not named "pairs": replicate and untrained pairs are no rows of the run's table of pairs.
@step("matching", version=2, cost=comparing_cost, tables=["matched"])
def matching(ctx: StepContext) -> None:
    """Assign on the fit rows, measure every assigned pair on the score rows."""
    from universality.compare.chance import PairNull
    from universality.compare.pairing import pair_matching
    from universality.correlation import TopSimilarity

    sides = Sides(ctx)
    found = pair_matching(
        sides.a,
        sides.b,
        sides.rows,
        *sides.statistics(),
        TopSimilarity.from_arrays(ctx.inputs["similarity"].tensors("similarity")),
        PairNull.from_arrays(ctx.inputs["null"].tensors("null")),
        sides.config,
        pair=sides.pair,
        root_seed=sides.root_seed,
        threads=ctx.threads,
    )
    write_table(ctx, "matched", found.to_tables()["pairs"])
    ctx.out.tensors("matching", found.to_arrays())
    ctx.out.facts(certificate=found.certificate, n_pairs=len(found.pairs))


@step("neurons", version=1, cost=comparing_cost, tables=["neuron_pairs", "raw_indices"])
def neurons(ctx: StepContext) -> None:
    """The baseline: the same estimator on the raw coordinates of two models."""
    from universality.compare.compare_config import CompareConfig
    from universality.compare.neurons import pair_neurons

    _same_ancestry(ctx)
    hook_point = ctx.params["hook_point"]
    found = pair_neurons(
        ctx.inputs["a"].array(hook_point),
        ctx.inputs["b"].array(hook_point),
        shared_rows(ctx.inputs["tokens"]),
        CompareConfig(**ctx.params["compare"]),
        pair=tuple(ctx.params["ids"]),
        root_seed=ctx.params["root_seed"],
    )
    for name, table in found.to_tables().items():
        write_table(ctx, name, table)
    ctx.out.tensors("neurons", found.to_arrays())


#: The tables of ``universality.compare`` and two of quality; ``candidates`` stand in the artifacts of the similarities.
COMPARISON_TABLES = (*(name for name in COMPARISON if name != "candidates"), "models", "dictionary_domains")


@step("comparison", version=4, cost=comparing_cost, tables=COMPARISON_TABLES)
def comparison(ctx: StepContext) -> None:
    """Clusters, classes, levels, verdicts and every table of the comparison."""
    from networkx import node_link_data

    from pipelines.models_table import dictionary_domains, models_table
    from universality.compare.assembly import assemble

    p = ctx.params
    stages = _stages(ctx)
    found = assemble(stages)
    tables = {
        **found.to_tables(),
        "models": models_table(ctx, stages.statistics, stages.config),
        "dictionary_domains": dictionary_domains(ctx),
    }
    for name, table in tables.items():
        if name == "candidates":  # already in the artifacts of the similarities
            continue
        write_table(ctx, name, table, comparison_id=p["comparison_id"])
    ctx.out.json("counts", {"comparison_id": p["comparison_id"], **found.counts})
    ctx.out.json("graph", node_link_data(found.graph, edges="edges"))


def _stages(ctx: StepContext) -> Stages:
    """Everything that the pairwise steps found, as the assembly wants it."""
    from universality.compare.chance import PairNull
    from universality.compare.compare_config import CompareConfig
    from universality.compare.neurons import NeuronMatching
    from universality.compare.pairing import PairMatching
    from universality.compare.stages import Stages, pair_name, plan_pairs
    from universality.compare.statistics import latent_statistics
    from universality.correlation import TopSimilarity

    p, inputs = ctx.params, ctx.inputs
    config, rows = CompareConfig(**p["compare"]), shared_rows(inputs["tokens"])
    models, ghosts = tuple(p["trained"]), tuple(p["untrained"])
    plan = plan_pairs(models, p["replicates"], ghosts)
    acts = {
        name: latents_of(inputs[input_name("latents", name)]) for name in (*models, *p["replicates"], *ghosts)
    }
    statistics = {name: latent_statistics(matrix, rows, config.min_firings) for name, matrix in acts.items()}

    def stored(step: str, pair: tuple[str, str]) -> Artifact:
        return inputs[input_name(step, pair_name(pair))]

    def matched(pair: tuple[str, str]) -> PairMatching:
        found = stored("matching", pair)
        return PairMatching.from_stored({"pairs": found.table("matched")}, found.tensors("matching"))

    def matched_neurons(pair: tuple[str, str]) -> NeuronMatching:
        found = stored("neurons", pair)
        tables = {name: found.table(name) for name in ("neuron_pairs", "raw_indices")}
        return NeuronMatching.from_stored(tables, found.tensors("neurons"))

    def logit_map(name: str) -> np.ndarray | None:
        stored, entry = inputs[input_name("activations", name)], f"logit_map.{p['hook_point']}"
        return stored.array(entry) if stored.has(entry) else None

    return Stages(
        models=models,
        replicate_of=p["replicates"],
        untrained=ghosts,
        acts={name: acts[name] for name in (*models, *ghosts)},
        rows=rows,
        statistics=statistics,
        similarities={
            pair: TopSimilarity.from_arrays(stored("similarity", pair).tensors("similarity"))
            for pair in plan.all
        },
        nulls={pair: PairNull.from_arrays(stored("null", pair).tensors("null")) for pair in plan.all},
        matchings={pair: matched(pair) for pair in plan.all},
        config=config,
        root_seed=p["root_seed"],
        neurons={
            pair: matched_neurons(pair)
            for pair in plan.features
            if input_name("neurons", pair_name(pair)) in inputs
        },
        raw={name: inputs[input_name("activations", name)].array(p["hook_point"]) for name in models},
        untrained_raw={
            name: inputs[input_name("activations", name)].array(p["hook_point"]) for name in ghosts
        },
        weights={name: _weights(inputs[input_name("sae", name)]) for name in (*models, *p["replicates"])},
        logits={name: found for name in models if (found := logit_map(name)) is not None},
        threads=ctx.threads,
    )


def _weights(dictionary: Artifact) -> tuple[np.ndarray, np.ndarray]:
    tensors = dictionary.tensors("sae")
    return np.asarray(tensors["W_dec"]), np.asarray(tensors["W_enc"]).T


EVIDENCE_TABLES = ("contexts", "histograms", "latent_domains", "logits")


@step("evidence", version=1, cost=comparing_cost, tables=EVIDENCE_TABLES)
def evidence(ctx: StepContext) -> None:
    """What people read of each latent: contexts, histograms, logits, domains."""
    from scipy import sparse

    from pipelines.steps.model_steps import open_transformer
    from universality.errors import InputError
    from universality.evidence import contexts_table, histogram_table, latent_domain_table, logit_table
    from universality.seeds import generator
    from universality.transformers.harvest import logit_weights

    p, inputs = ctx.params, ctx.inputs
    tokens, acts, wanted = inputs["tokens"], sparse.csc_matrix(inputs["latents"].csc("acts")), p["evidence"]
    firing = np.flatnonzero(np.diff(acts.indptr))
    tables = {
        "contexts": contexts_table(
            acts,
            tokens.array("row_context"),
            generator(p["root_seed"], "contexts", p["comparison_id"], p["model"]),
            n_top=wanted["n_top"],
            n_per_group=wanted["n_per_quantile"],
            n_random=wanted["n_random"],
            same=_same_text(tokens.array("eval_contexts"))[tokens.array("row_context")],
        ),
        "histograms": histogram_table(acts),
        "latent_domains": latent_domain_table(acts, tokens.array("row_domain"), tokens.json("domains")),
    }
    ctx.progress(1, 2)
    model = open_transformer(inputs["transformer"], "cpu")
    try:
        to_logits = logit_weights(model, p["hook_point"])
    except InputError as error:  # no linear path from there to the logits: said, not guessed
        ctx.out.facts(logits=str(error))
    else:
        decoder = inputs["sae"].tensors("sae")["W_dec"]
        tables["logits"] = logit_table(decoder, to_logits, firing, n_tokens=wanted["n_logits"])
    for name, table in tables.items():
        write_table(ctx, name, table, comparison_id=p["comparison_id"], model=p["model"])


def _same_text(contexts: np.ndarray) -> np.ndarray:
    """(n_contexts,) equal numbers for contexts with equal tokens."""
    return np.unique(contexts, axis=0, return_inverse=True)[1].ravel()
