"""Steps that compare dictionaries over the shared evaluation rows."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from pipelines.engine.step import Estimate, StepContext, step
from pipelines.estimates import CPU_FLOPS, Sizes
from pipelines.steps.run_tables import write_table
from pipelines.steps.step_rows import shared_rows
from results.stored_comparison import input_name
from storage import Artifact
from universality.table_schemas import COMPARISON

if TYPE_CHECKING:
    from universality.compare.pair import Dictionary, DictionaryPair
    from universality.compare.stages import Stages
    from universality.rows import Rows


def stored_dictionary(ctx: StepContext, source: str, name: str, rows: Rows) -> Dictionary:
    """A dictionary's latents over the evaluation rows and their statistics, as the step ``latents`` stored them."""
    from scipy import sparse

    from universality.compare.pair import Dictionary
    from universality.compare.statistics import LatentStatistics

    latents = ctx.inputs[source]
    statistics = LatentStatistics.from_arrays(latents.tensors("statistics"))
    acts = sparse.csr_matrix(latents.csr("acts"))  # memory-mapped still
    return Dictionary(name, acts, rows, statistics, ctx.params["compare"]["min_firings"])


def dictionary_pair(ctx: StepContext) -> DictionaryPair:
    """The two dictionaries of a pairwise step, inputs ``a`` and ``b``."""
    from universality.compare.compare_config import CompareConfig
    from universality.compare.pair import DictionaryPair

    _same_ancestry(ctx)
    p, rows = ctx.params, shared_rows(ctx.inputs["tokens"])
    a, b = (stored_dictionary(ctx, side, name, rows) for side, name in zip("ab", p["ids"], strict=True))
    return DictionaryPair(a, b, CompareConfig(**p["compare"]), p["root_seed"], ctx.threads)


def _same_ancestry(ctx: StepContext) -> None:
    """Rows are comparable only if both sides were encoded over the very same tokens."""
    key = ctx.inputs["tokens"].key
    for side in "ab":
        read = ctx.inputs[side].manifest["inputs"]
        if key not in (read["tokens"], read.get("rows")):  # with several tokenizers, tokens are those of a side alone
            raise ValueError(f"Side {side} of {ctx.node_id} must be encoded over the run's tokens {key}.")


def similarity_cost(sizes: Sizes, params: Mapping[str, Any]) -> Estimate:
    """One product of the latents that fire together in a fit row, for each such row."""
    products = sizes.rows / 2 * sizes.k**2
    return Estimate(0.5 + products / 3e8, 16 * 64 * sizes.d_sae, sizes.two_sides)


@step("similarity", version=1, cost=similarity_cost, tables=["candidates"])
def similarity(ctx: StepContext) -> None:
    """Best candidates of both sides, on the fit rows."""
    from universality.compare.pairing import candidate_table, pair_similarity

    pair = dictionary_pair(ctx)
    candidates = pair_similarity(pair)
    ctx.out.tensors("similarity", candidates.to_arrays())
    table = candidate_table(candidates, pair.names)
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

    ctx.out.tensors("null", pair_null(dictionary_pair(ctx)).to_arrays())


def matching_cost(sizes: Sizes, params: Mapping[str, Any]) -> Estimate:
    """Twenty other halves of the sources, and every row of every assigned pair for the parts of r."""
    seconds = 3.0 + _firings_seconds(sizes) + 4.5e-8 * sizes.rows * sizes.d_sae
    return Estimate(seconds, 100 * sizes.d_sae, sizes.two_sides)


def _firings_seconds(sizes: Sizes) -> float:
    """What passes over all firings of a pair take."""
    return sizes.rows * sizes.k / 1.5e6


def comparison_cost(sizes: Sizes, params: Mapping[str, Any]) -> Estimate:
    """Clusters of all pairs of models, the parts of their r, and second moments of all raw activations for probes."""
    n_pairs, n_read = (math.comb(len(params["trained"]), 2), len(params["trained"]) + len(params["untrained"]))
    seconds = 3.0 + n_pairs * (_firings_seconds(sizes) + 2e-8 * sizes.rows * sizes.d_sae)
    seconds += n_read * 2 * sizes.rows * sizes.d_in**2 / CPU_FLOPS
    return Estimate(seconds, 100 * sizes.d_sae, sizes.two_sides)


def evidence_cost(sizes: Sizes, params: Mapping[str, Any]) -> Estimate:
    """Contexts latent by latent, and the order of the vocabulary for each of them, twice."""
    product = 2 * sizes.d_in * sizes.d_sae * sizes.vocabulary / CPU_FLOPS
    seconds = 2.0 + _firings_seconds(sizes) + 4e-3 * sizes.d_sae + 4e-7 * sizes.d_sae * sizes.vocabulary + product
    return Estimate(seconds, 100 * sizes.d_sae, sizes.two_sides)


# Not named "pairs": replicate and untrained pairs are no rows of the run's table of pairs.
@step("matching", version=7, cost=matching_cost, tables=["matched"])
def matching(ctx: StepContext) -> None:
    """Assign on the fit rows, measure every assigned pair on the score rows."""
    from universality.compare.chance import PairNull
    from universality.compare.pairing import pair_matching
    from universality.correlation.top import TopSimilarity

    matched = pair_matching(
        dictionary_pair(ctx),
        TopSimilarity.from_arrays(ctx.inputs["similarity"].tensors("similarity")),
        PairNull.from_arrays(ctx.inputs["null"].tensors("null")),
    )
    write_table(ctx, "matched", matched.to_tables()["pairs"])
    ctx.out.tensors("matching", matched.to_arrays())
    ctx.out.facts(certificate=matched.certificate, n_pairs=len(matched.pairs))


def same_index_cost(sizes: Sizes, params: Mapping[str, Any]) -> Estimate:
    """As many pairs as latents, twice, and once more with the means of tokens taken away."""
    return Estimate(1.0 + _firings_seconds(sizes), 100 * sizes.d_sae, sizes.two_sides)


@step("same_index", version=1, cost=same_index_cost, tables=["same_index"])
def same_index(ctx: StepContext) -> None:
    """Latents of equal number, beside those that were assigned to them."""
    from universality.compare.same_index import same_index as table_of

    p = ctx.params
    table = table_of(dictionary_pair(ctx), ctx.inputs["matching"].table("matched"), p["kind"])
    write_table(ctx, "same_index", table, comparison_id=p["comparison_id"])


def coordinates_cost(sizes: Sizes, params: Mapping[str, Any]) -> Estimate:
    """All rows through a random dictionary, and independent components of a sample."""
    seconds = 1.0 + 3 * sizes.rows * sizes.d_in * sizes.d_sae / CPU_FLOPS
    return Estimate(seconds, 16 * sizes.rows * sizes.k, sizes.two_sides + 800_000 * sizes.d_in)


@step("coordinates", version=2, cost=coordinates_cost)
def coordinates(ctx: StepContext) -> None:
    """Other coordinates of what a dictionary reads: principal and independent components, random directions, …"""
    from universality.compare.coordinates import model_coordinates

    activations = ctx.inputs["activations"].array(ctx.params["hook_point"])
    dictionary = stored_dictionary(ctx, "latents", ctx.params["id"], shared_rows(ctx.inputs["tokens"]))
    made = model_coordinates(activations, dictionary, ctx.params["root_seed"])
    ctx.out.tensors("directions", dict(made.directions))
    for name, codes in made.codes.items():
        ctx.out.csr(name, codes)


def spaces_cost(sizes: Sizes, params: Mapping[str, Any]) -> Estimate:
    """Second moments of two models on both halves, and columns of assigned pairs for the intervals."""
    seconds = 6.0 + 6 * sizes.rows * sizes.d_in**2 / CPU_FLOPS + 6.0 * params["intervals"] * sizes.rows / 2e5
    memory = sizes.two_sides + 8 * sizes.rows * sizes.d_in + 6 * 8 * sizes.d_in**2 + 8 * 1024 * sizes.rows
    return Estimate(seconds, 1_000_000, memory)


@step("spaces", version=3, cost=spaces_cost, tables=["neuron_pairs", "space_means", "raw_indices"])
def spaces(ctx: StepContext) -> None:
    """The baselines: the same estimator on other coordinates of what two dictionaries read."""
    from scipy import sparse

    from universality.compare.coordinates import CODES, Coordinates
    from universality.compare.spaces import pair_spaces

    pair, stored = dictionary_pair(ctx), [ctx.inputs[f"coordinates_{side}"] for side in "ab"]
    first, second = (
        Coordinates(artifact.tensors("directions"), {name: sparse.csr_matrix(artifact.csr(name)) for name in CODES})
        for artifact in stored
    )
    places = ctx.params.get("hook_points") or [ctx.params["hook_point"]] * 2
    raw = [ctx.inputs[f"activations_{side}"].array(place) for side, place in zip("ab", places, strict=True)]
    matched = pair_spaces((raw[0], raw[1]), (first, second), pair, intervals=ctx.params["intervals"])
    for name, table in matched.to_tables().items():
        write_table(ctx, name, table)
    ctx.out.tensors("spaces", matched.to_arrays())


#: The tables of ``universality.compare`` and two of quality; ``candidates`` stand in the artifacts of the similarities.
COMPARISON_TABLES = (*(name for name in COMPARISON if name != "candidates"), "models", "dictionary_domains")


@step("comparison", version=18, cost=comparison_cost, tables=COMPARISON_TABLES)
def comparison(ctx: StepContext) -> None:
    """Clusters, classes, levels, verdicts and every table of the comparison."""
    from networkx import node_link_data

    from pipelines.models_table import dictionary_domains, models_table
    from universality.compare.assembly import assemble

    p = ctx.params
    stages = _stages(ctx)
    assembled = assemble(stages)
    tables = {
        **assembled.to_tables(),
        "models": models_table(ctx, stages.dictionaries, stages.config),
        "dictionary_domains": dictionary_domains(ctx),
    }
    for name, table in tables.items():
        if name == "candidates":  # already in the artifacts of the similarities
            continue
        write_table(ctx, name, table, comparison_id=p["comparison_id"])
    ctx.out.json("counts", {"comparison_id": p["comparison_id"], **assembled.counts})
    ctx.out.json("graph", node_link_data(assembled.graph, edges="edges"))


def _stages(ctx: StepContext) -> Stages:
    """Everything that the pairwise steps stored, as the assembly wants it."""
    from universality.compare.chance import PairNull
    from universality.compare.compare_config import CompareConfig
    from universality.compare.pair_plan import PairPlan, pair_name
    from universality.compare.pairing import PairMatching
    from universality.compare.spaces import SpaceMatching
    from universality.compare.stages import Stages
    from universality.correlation.top import TopSimilarity

    p, inputs, rows = ctx.params, ctx.inputs, shared_rows(ctx.inputs["tokens"])
    read = {name: inputs[input_name("activations", name)].key for name in p["trained"]}
    plan = PairPlan(tuple(p["trained"]), p["replicates"], tuple(p["untrained"]), read)
    place = dict.fromkeys((*p["trained"], *p["untrained"]), p["hook_point"]) | p.get("hook_points", {})

    def stored(step: str, pair: tuple[str, str]) -> Artifact:
        return inputs[input_name(step, pair_name(pair))]

    def matched(pair: tuple[str, str]) -> PairMatching:
        artifact = stored("matching", pair)
        return PairMatching.from_stored({"pairs": artifact.table("matched")}, artifact.tensors("matching"))

    def matched_spaces(pair: tuple[str, str]) -> SpaceMatching:
        artifact = stored("spaces", pair)
        tables = {name: artifact.table(name) for name in ("neuron_pairs", "space_means", "raw_indices")}
        return SpaceMatching.from_stored(tables, artifact.tensors("spaces"))

    def activations(name: str) -> Artifact:
        return inputs[input_name("activations", name)]

    return Stages(
        plan=plan,
        dictionaries={
            name: stored_dictionary(ctx, input_name("latents", name), name, rows) for name in plan.dictionaries
        },
        config=CompareConfig(**p["compare"]),
        root_seed=p["root_seed"],
        raw={name: activations(name).array(place[name]) for name in plan.models},
        untrained_raw={name: activations(name).array(place[name]) for name in plan.untrained},
        weights={name: _weights(inputs[input_name("sae", name)]) for name in plan.dictionaries},
        # Maps to different vocabularies do not compare.
        logits={
            name: activations(name).array(f"logit_map.{place[name]}")
            for name in plan.models
            if activations(name).has(f"logit_map.{place[name]}") and not p.get("several_tokenizers")
        },
        similarities={
            pair: TopSimilarity.from_arrays(stored("similarity", pair).tensors("similarity")) for pair in plan.all
        },
        nulls={pair: PairNull.from_arrays(stored("null", pair).tensors("null")) for pair in plan.all},
        matchings={pair: matched(pair) for pair in plan.all},
        spaces={pair: matched_spaces(pair) for pair in plan.all if input_name("spaces", pair_name(pair)) in inputs},
        threads=ctx.threads,
    )


def _weights(dictionary: Artifact) -> tuple[np.ndarray, np.ndarray]:
    tensors = dictionary.tensors("sae")
    return np.asarray(tensors["W_dec"]), np.asarray(tensors["W_enc"]).T


EVIDENCE_TABLES = ("contexts", "histograms", "latent_domains", "logits")


@step("evidence", version=1, cost=evidence_cost, tables=EVIDENCE_TABLES, is_result=True)
def evidence(ctx: StepContext) -> None:
    """What people read of each latent: contexts, histograms, logits, domains."""
    from scipy import sparse

    from results.public.opening import open_transformer
    from universality.errors import InputError
    from universality.evidence import contexts_table, histogram_table, latent_domain_table, logit_table
    from universality.seeds import generator
    from universality.transformers.harvest import logit_weights

    p, inputs = ctx.params, ctx.inputs
    tokens, acts, evidence_config = (
        inputs["tokens"],
        sparse.csc_matrix(inputs["latents"].csc("acts")),
        p["evidence"],
    )
    firing = np.flatnonzero(np.diff(acts.indptr))
    tables = {
        "contexts": contexts_table(
            acts,
            tokens.array("row_context"),
            generator(p["root_seed"], "contexts", p["comparison_id"], p["model"]),
            n_top=evidence_config["n_top"],
            n_per_group=evidence_config["n_per_quantile"],
            n_random=evidence_config["n_random"],
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
        tables["logits"] = logit_table(
            decoder, to_logits, firing, n_tokens=evidence_config["n_logits"], device=ctx.device
        )
    for name, table in tables.items():
        write_table(ctx, name, table, comparison_id=p["comparison_id"], model=p["model"])


def _same_text(contexts: np.ndarray) -> np.ndarray:
    """(n_contexts,) equal numbers for contexts with equal tokens."""
    return np.unique(contexts, axis=0, return_inverse=True)[1].ravel()
