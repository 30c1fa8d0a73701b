"""Steps that say what features do to predictions: ablated, and in each other's place."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from pipelines.engine.step import Estimate, StepContext, step
from pipelines.estimates import BASE_MEMORY, IMPORT_SECONDS, Sizes, flops
from pipelines.steps.comparison_steps import dictionary_pair
from pipelines.steps.dictionary_steps import open_sae
from pipelines.steps.run_tables import write_table
from pipelines.steps.step_rows import shared_rows
from results.public.opening import open_transformer
from results.stored_comparison import input_name
from storage import Artifact

if TYPE_CHECKING:
    from scipy import sparse

    from universality.compare.pair import Dictionary
    from universality.effects.pair_attribution import AttributionSide
    from universality.effects.pair_effects import EffectSide
    from universality.effects.predictions import Predictions, TextRows
    from universality.effects.sampling import EntrySample
    from universality.rows import Rows

#: Logits per second that one thread changes and sums.
LOGITS_PER_SECOND = 2e9


def _entry_seconds(sizes: Sizes, params: Mapping[str, Any], entries: float) -> float:
    """Seconds of so many ablations of one latent in one row: by the readout, or a forward pass each."""
    if params["rerun"]:
        return entries * sizes.recipe.n_ctx * sizes.token_flops / flops(params)
    return entries * sizes.vocabulary / LOGITS_PER_SECOND


def fingerprints_cost(sizes: Sizes, params: Mapping[str, Any]) -> Estimate:
    """Every firing that is measured, twice: with the latent's own direction and with a random one."""
    entries = _n_entries(sizes, params)
    memory = BASE_MEMORY + 48 * sizes.rows * sizes.k + 8 * sizes.d_sae * sizes.vocabulary
    seconds = IMPORT_SECONDS + 1 + _entry_seconds(sizes, params, 2 * entries)
    if params["rerun"]:  # a forward and a backward pass for every token of the contexts that are attributed
        tokens = min(params["effects"]["rows"], sizes.recipe.split.score_tokens)
        seconds += 3 * tokens * sizes.token_flops / flops(params)
        entries += tokens * sizes.k
    return Estimate(seconds, 16 * entries, memory)


def _n_entries(sizes: Sizes, params: Mapping[str, Any]) -> int:
    """Firings on the rows of the effects; where the model runs again, those that latents lack besides."""
    more = sizes.d_sae * params["effects"]["per_latent"] if params["rerun"] else 0
    return min(_n_rows(sizes, params) * sizes.k + more, sizes.recipe.split.score_tokens * sizes.k)


def _n_rows(sizes: Sizes, params: Mapping[str, Any]) -> int:
    return min(_asked_rows(params), sizes.recipe.split.score_tokens)


@step("fingerprints", version=1, cost=fingerprints_cost, tables=["latent_effects", "latent_attribution"])
def fingerprints(ctx: StepContext) -> None:
    """What every latent's ablation does to the predictions, row by row; and a random direction's in its place.

    Where the model runs again for that, every firing is attributed besides, to first order.
    """
    import pandas as pd
    from scipy import sparse

    from universality.effects.ablation import fingerprints as fingerprints_of
    from universality.effects.controls import random_directions
    from universality.seeds import generator

    p, rows = ctx.params, shared_rows(ctx.inputs["tokens"])
    acts = sparse.csr_matrix(ctx.inputs["latents"].csr("acts"))
    numbers, sample = _measured(p, rows, acts)
    directions, means = _decoder(ctx.inputs["sae"]), np.asarray(acts[rows.fit].mean(axis=0)).ravel()
    drawn = random_directions(directions, generator(p["root_seed"], "random-directions", p["id"]))
    ablated, chances = acts[numbers], None
    if sample is not None:
        chances, ablated = sample.chances.data[sample.measured], sample.only(ablated)
        numbers, ablated = numbers[np.diff(ablated.indptr) > 0], ablated[np.diff(ablated.indptr) > 0]
    predictions = _predictions(ctx, "transformer", numbers)
    scale = _scale(ctx, "sae", "activations", numbers)
    own = fingerprints_of(predictions, ablated, directions, means, scale=scale)
    ctx.progress(1, 2)
    random = fingerprints_of(predictions, ablated, drawn, means, scale=scale)
    ctx.out.array("rows", numbers)
    ctx.out.csr("loss", own.loss)
    ctx.out.csr("loss_random", random.loss)
    table = pd.DataFrame({"latent": np.arange(acts.shape[1]), **own.summary(chances)})
    write_table(ctx, "latent_effects", table, comparison_id=p["comparison_id"], model=p["id"])
    ctx.out.facts(n_rows=int(numbers.size), exact=not p["rerun"])
    if p["rerun"]:
        _attribute(ctx, acts, [directions, drawn], means, own.loss, numbers)


def _attribute(
    ctx: StepContext, acts: sparse.csr_matrix, directions: list[np.ndarray], means: np.ndarray,
    exact: sparse.csr_matrix, measured: np.ndarray,
) -> None:  # fmt: skip
    """First-order effects of every firing on the rows of whole contexts, held against those that are exact."""
    from universality.effects.attribution import attributed, latent_attribution
    from universality.effects.sampling import context_rows, usable_rows
    from universality.seeds import generator

    p, tokens = ctx.params, ctx.inputs["tokens"]
    rng = generator(p["root_seed"], "attributed-contexts")
    context, usable = np.asarray(tokens.array("row_context")), usable_rows(shared_rows(tokens))
    numbers = context_rows(context, usable, p["effects"]["rows"], rng)
    model = open_transformer(ctx.inputs["transformer"], ctx.device)
    own, random = attributed(
        model, _text(ctx, numbers), p["hook_point"], acts[numbers], directions, means,
        scale=_scale(ctx, "sae", "activations", numbers),
    )  # fmt: skip
    ctx.out.array("attributed_rows", numbers)
    ctx.out.csr("attribution", own)
    ctx.out.csr("attribution_random", random)
    _, at, at_exact = np.intersect1d(numbers, measured, assume_unique=True, return_indices=True)
    table = latent_attribution(own, own[at], exact[at_exact])
    write_table(ctx, "latent_attribution", table, comparison_id=p["comparison_id"], model=p["id"])


def _measured(p: Mapping[str, Any], rows: Rows, acts: sparse.csr_matrix) -> tuple[np.ndarray, EntrySample | None]:
    """Numbers of the rows that effects are over, and which firings there are measured; None where all are."""
    from universality.effects.sampling import effect_rows, sample_entries, usable_rows
    from universality.seeds import generator

    if not p["rerun"]:
        return effect_rows(rows, _asked_rows(p), p["root_seed"]), None
    usable = usable_rows(rows)
    lots = generator(p["root_seed"], "effect-lots").random(usable.size)
    return usable, sample_entries(acts[usable], p["effects"]["per_latent"], _asked_rows(p), lots)


def effects_cost(sizes: Sizes, params: Mapping[str, Any]) -> Estimate:
    """Partners in each other's place, both ways, for up to three kinds of partners; correlations of all of them."""
    kinds, rows = 3 if params["kind"] == "features" else 1, _substituted_rows(_n_rows(sizes, params), params)
    seconds = 3.0 + 5e-7 * kinds * sizes.rows * sizes.k + _entry_seconds(sizes, params, 4 * kinds * rows * sizes.k)
    return Estimate(IMPORT_SECONDS + seconds, 8000 * sizes.d_sae, sizes.two_sides + 48 * sizes.rows * sizes.k)


def _substituted_rows(n_rows: int, params: Mapping[str, Any]) -> int:
    """Rows of the substitution: where every entry is a forward pass, an eighth of those of the fingerprints."""
    return min(params["effects"]["substitution_rows"], n_rows // 8 if params["rerun"] else n_rows)


@step("effects", version=1, cost=effects_cost, tables=["effects", "substitution_curve", "attribution"])
def effects(ctx: StepContext) -> None:
    """Whether assigned latents do the same, beside partners that should not."""
    from universality.correlation.top import TopSimilarity
    from universality.effects.pair_effects import pair_effects
    from universality.effects.sampling import some_of
    from universality.seeds import generator

    p, pair = ctx.params, dictionary_pair(ctx)
    (rows, sample), (_, sample_b) = (_measured(p, pair.rows, side.acts) for side in (pair.a, pair.b))
    whole = np.arange(rows.size) if sample is None else np.flatnonzero(sample.core)
    n = _substituted_rows(whole.size, p)
    substituted = some_of(whole, n, generator(p["root_seed"], "substitution-rows"))
    first = _side(ctx, "a", pair.a, sample, rows, substituted)
    second = _side(ctx, "b", pair.b, sample_b, rows, substituted)
    matched = ctx.inputs["matching"].table("matched")
    similarity = TopSimilarity.from_arrays(ctx.inputs["similarity"].tensors("similarity"))
    made = pair_effects(pair, first, second, matched, similarity, rows, substituted, kind=p["kind"])
    write_table(ctx, "effects", made.table, comparison_id=p["comparison_id"])
    ctx.out.tensors("draws", made.to_arrays())
    ctx.progress(1, 2)
    if p["rerun"]:
        from universality.effects.pair_attribution import pair_attribution

        sides = [_attributed(ctx.inputs[f"fingerprints_{side}"]) for side in "ab"]
        write_table(ctx, "attribution", pair_attribution(pair, sides, made.table), comparison_id=p["comparison_id"])
    if p["kind"] == "features":
        from universality.effects.curves import substitution_curves

        curves = substitution_curves(pair, first, second, made.table, matched, rows[substituted])
        write_table(ctx, "substitution_curve", curves, comparison_id=p["comparison_id"])


def _asked_rows(params: Mapping[str, Any]) -> int:
    return params["effects"]["rerun_rows" if params["rerun"] else "rows"]


def _side(
    ctx: StepContext, side: str, dictionary: Dictionary, sample: EntrySample | None, rows: np.ndarray, some: np.ndarray
) -> EffectSide:
    """What a side of a pair brings: fingerprints over all rows of the effects, predictions at those of substitution."""
    from universality.effects.pair_effects import EffectSide

    stored = ctx.inputs[f"fingerprints_{side}"]
    loss, loss_random = (_over(rows, stored, name) for name in ("loss", "loss_random"))
    predictions = _predictions(ctx, f"transformer_{side}", rows[some])
    scale = _scale(ctx, f"sae_{side}", f"activations_{side}", rows[some])
    decoder = _decoder(ctx.inputs[f"sae_{side}"])
    return EffectSide(dictionary, loss, loss_random, decoder, predictions, scale, sample)


def _attributed(stored: Artifact) -> AttributionSide:
    from scipy import sparse

    from universality.effects.pair_attribution import AttributionSide

    loss, loss_random = (sparse.csr_matrix(stored.csr(name)) for name in ("attribution", "attribution_random"))
    r_exact = stored.table("latent_attribution", ["r_exact"])["r_exact"].to_numpy(float)
    return AttributionSide(np.asarray(stored.array("attributed_rows")), loss, loss_random, r_exact)


def _over(rows: np.ndarray, stored: Artifact, name: str) -> sparse.csr_matrix:
    """Stored fingerprints among the rows of the effects, of which rows without any may be left out."""
    from scipy import sparse

    matrix = sparse.csr_matrix(stored.csr(name))
    counts = np.zeros(rows.size, np.int64)
    counts[np.searchsorted(rows, stored.array("rows"))] = np.diff(matrix.indptr)
    indptr = np.concatenate([[0], np.cumsum(counts)])
    return sparse.csr_matrix((matrix.data, matrix.indices, indptr), shape=(rows.size, matrix.shape[1]))


def _predictions(ctx: StepContext, transformer: str, numbers: np.ndarray) -> Predictions:
    """The model's predictions at some evaluation rows: by the readout, or by running it again."""
    from universality.effects.predictions import read_predictions
    from universality.effects.rerun import RerunPredictions

    p, text = ctx.params, _text(ctx, numbers)
    model = open_transformer(ctx.inputs[transformer], ctx.device)
    if not p["rerun"]:
        read = read_predictions(model, text, p["hook_point"], threads=ctx.threads)
        if read is not None:
            return read
    return RerunPredictions(model, text, p["hook_point"], p["effects"]["horizon"])


def _text(ctx: StepContext, numbers: np.ndarray) -> TextRows:
    """Where some evaluation rows stand."""
    from universality.effects.predictions import TextRows

    tokens = ctx.inputs["tokens"]
    context, position = (
        np.asarray(tokens.array(name)[:], np.int64)[numbers] for name in ("row_context", "row_position")
    )
    return TextRows(np.asarray(tokens.array("eval_contexts")[:]), context, position)


def _decoder(dictionary: Artifact) -> np.ndarray:
    return np.asarray(dictionary.tensors("sae")["W_dec"], np.float32)


def _scale(ctx: StepContext, sae: str, activations: str, numbers: np.ndarray) -> np.ndarray | None:
    """By which the dictionary scales what it adds at some rows; None where it does not normalise."""
    import torch

    dictionary = open_sae(ctx.inputs[sae])
    if dictionary.normalisation == "none":
        return None
    raw = ctx.inputs[activations].array(ctx.params["hook_point"])
    return dictionary.row_scale(torch.from_numpy(np.asarray(raw[numbers], np.float32))).numpy().ravel()


@step("effect_agreement", version=1, cost=lambda sizes, params: Estimate(2.0, 200_000), tables=["effect_agreement"])
def effect_agreement(ctx: StepContext) -> None:
    """How much latents do the same, by partner and level, with intervals over sources."""
    from universality.compare.compare_config import CompareConfig
    from universality.compare.pair_plan import pair_name
    from universality.effects.effect_table import effect_agreement_table
    from universality.effects.pair_effects import PairEffects, source_draws
    from universality.effects.sampling import effect_rows, usable_rows

    p, rows = ctx.params, shared_rows(ctx.inputs["tokens"])
    config = CompareConfig(**p["compare"])
    stored = {tuple(pair): ctx.inputs[input_name("effects", pair_name(tuple(pair)))] for pair in p["pairs"]}
    made = {
        pair: PairEffects.from_stored(artifact.table("effects"), artifact.tensors("draws"))
        for pair, artifact in stored.items()
    }
    numbers = usable_rows(rows) if p["rerun"] else effect_rows(rows, _asked_rows(p), p["root_seed"])
    weights = source_draws(rows, config.n_resamples, p["root_seed"], numbers)
    table = effect_agreement_table(made, weights, tau=config.tau, confidence=config.confidence)
    write_table(ctx, "effect_agreement", table, comparison_id=p["comparison_id"])
