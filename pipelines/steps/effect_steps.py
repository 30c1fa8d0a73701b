"""Steps that say what features do to predictions: ablated, and in each other's place."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from pipelines.engine.step import Estimate, StepContext, step
from pipelines.estimates import BASE_MEMORY, IMPORT_SECONDS, Sizes, flops
from pipelines.steps.attribution_steps import ablated_sides, chosen_latents, chosen_pairs, reruns, rows_text, sae_scale
from pipelines.steps.comparison_steps import dictionary_pair
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
    from universality.effects.predictions import Predictions
    from universality.effects.sampling import EntrySample
    from universality.rows import Rows

#: Logits per second that one thread changes and sums.
LOGITS_PER_SECOND = 1.2e9


def _entry_seconds(sizes: Sizes, params: Mapping[str, Any], entries: float) -> float:
    """Seconds of so many ablations of one latent in one row: by the readout, or a forward pass each."""
    if params["rerun"]:
        return entries * sizes.recipe.n_ctx * sizes.token_flops / flops(params)
    return entries * sizes.vocabulary / LOGITS_PER_SECOND


def fingerprints_cost(sizes: Sizes, params: Mapping[str, Any]) -> Estimate:
    """Every firing that is measured, twice: with the latent's own direction and with a random one."""
    entries = _n_entries(sizes, params)
    memory = BASE_MEMORY + sizes.model_bytes + 48 * sizes.rows * sizes.k + 8 * sizes.d_sae * sizes.vocabulary
    seconds = IMPORT_SECONDS + 1 + _entry_seconds(sizes, params, 2 * entries)
    return Estimate(seconds, 16 * entries, memory, 2 * entries if params["rerun"] else 0)


def _n_entries(sizes: Sizes, params: Mapping[str, Any]) -> int:
    """Firings on the rows of the effects; where the model runs again, those that latents lack besides."""
    latents = min(sizes.d_sae, params["effects"]["latents"]) if params["rerun"] else 0
    more = latents * params["effects"]["per_latent"] if params["rerun"] else 0
    return min(_n_rows(sizes, params) * sizes.k + more, sizes.recipe.split.score_tokens * sizes.k)


def _n_rows(sizes: Sizes, params: Mapping[str, Any]) -> int:
    return min(_asked_rows(params, params["rerun"]), sizes.recipe.split.score_tokens)


@step("fingerprints", version=2, cost=fingerprints_cost, tables=["latent_effects", "latent_attribution"])
def fingerprints(ctx: StepContext) -> None:
    """What every latent's ablation does to the predictions, row by row; and a random direction's in its place.

    Where the model runs again for that, first-order effects of the same firings are held against them.
    """
    import pandas as pd
    from scipy import sparse

    from universality.effects.ablation import fingerprints as fingerprints_of

    p, rows = ctx.params, shared_rows(ctx.inputs["tokens"])
    acts, directions, drawn, means = ablated_sides(ctx, rows)
    chosen = chosen_latents(ctx, p["id"], acts.shape[1])
    numbers, sample = _measured(ctx, rows, acts, chosen)
    ablated, chances = acts[numbers], None
    if sample is not None:
        chances, ablated = sample.chances.data[sample.measured], sample.only(ablated)
        numbers, ablated = numbers[np.diff(ablated.indptr) > 0], ablated[np.diff(ablated.indptr) > 0]
    predictions = _predictions(ctx, "transformer", numbers)
    scale = sae_scale(ctx, "sae", "activations", numbers)
    own = fingerprints_of(predictions, ablated, directions, means, scale=scale)
    ctx.progress(1, 2)
    random = fingerprints_of(predictions, ablated, drawn, means, scale=scale)
    ctx.out.array("rows", numbers)
    ctx.out.csr("loss", own.loss)
    ctx.out.csr("loss_random", random.loss)
    table = pd.DataFrame({"latent": np.arange(acts.shape[1]), "measured": chosen, **own.summary(chances)})
    write_table(ctx, "latent_effects", table, comparison_id=p["comparison_id"], model=p["id"])
    ctx.out.facts(n_rows=int(numbers.size), exact=not reruns(ctx))
    if reruns(ctx):
        from universality.effects.attribution import latent_attribution

        screen = ctx.inputs["attributions"]
        screened, of = sparse.csr_matrix(screen.csr("attribution")), np.asarray(screen.array("attributed_rows"))
        _, at, at_exact = np.intersect1d(of, numbers, assume_unique=True, return_indices=True)
        compared = latent_attribution(screened, screened[at], own.loss[at_exact])
        write_table(ctx, "latent_attribution", compared, comparison_id=p["comparison_id"], model=p["id"])


def _measured(
    ctx: StepContext, rows: Rows, acts: sparse.csr_matrix, chosen: np.ndarray
) -> tuple[np.ndarray, EntrySample | None]:
    """Numbers of the rows that effects are over, and which firings of chosen latents are measured; None where all."""
    from scipy import sparse

    from universality.effects.sampling import effect_rows, sample_entries, usable_rows
    from universality.seeds import generator

    p, again = ctx.params, reruns(ctx)
    if not again:
        return effect_rows(rows, _asked_rows(p, again), p["root_seed"]), None
    usable = usable_rows(rows)
    lots = generator(p["root_seed"], "effect-lots").random(usable.size)
    of_chosen = acts[usable] @ sparse.diags(chosen.astype(acts.dtype))
    return usable, sample_entries(of_chosen.tocsr(), p["effects"]["per_latent"], _asked_rows(p, again), lots)


def effects_cost(sizes: Sizes, params: Mapping[str, Any]) -> Estimate:
    """Partners in each other's place, both ways, for up to three kinds of partners; correlations of all of them."""
    kinds, rows = (
        3 if params["kind"] == "features" else 1,
        _substituted_rows(_n_rows(sizes, params), params, params["rerun"]),
    )
    seconds = 3.0 + 5e-7 * kinds * sizes.rows * sizes.k + _entry_seconds(sizes, params, 4 * kinds * rows * sizes.k)
    memory = sizes.two_sides + 2 * sizes.model_bytes + 48 * sizes.rows * sizes.k
    return Estimate(IMPORT_SECONDS + seconds, 8000 * sizes.d_sae, memory)


def _substituted_rows(n_rows: int, params: Mapping[str, Any], rerun: bool) -> int:
    """Rows of the substitution: where every entry is a forward pass, an eighth of those of the fingerprints."""
    return min(params["effects"]["substitution_rows"], n_rows // 8 if rerun else n_rows)


@step("effects", version=2, cost=effects_cost, tables=["effects", "substitution_curve", "attribution"])
def effects(ctx: StepContext) -> None:
    """Whether assigned latents do the same, beside partners that should not."""
    from universality.correlation.top import TopSimilarity
    from universality.effects.pair_effects import pair_effects
    from universality.effects.sampling import some_of
    from universality.seeds import generator

    p, pair = ctx.params, dictionary_pair(ctx)
    chosen = [chosen_latents(ctx, side.name, side.d_sae) for side in (pair.a, pair.b)]
    (rows, sample), (_, sample_b) = (
        _measured(ctx, pair.rows, side.acts, some) for side, some in zip((pair.a, pair.b), chosen, strict=True)
    )
    whole = np.arange(rows.size) if sample is None else np.flatnonzero(sample.core)
    n = _substituted_rows(whole.size, p, reruns(ctx))
    substituted = some_of(whole, n, generator(p["root_seed"], "substitution-rows"))
    first = replace(_side(ctx, "a", pair.a, sample, rows, substituted), ablated=chosen[0])
    second = replace(_side(ctx, "b", pair.b, sample_b, rows, substituted), ablated=chosen[1])
    matched = ctx.inputs["matching"].table("matched")
    similarity = TopSimilarity.from_arrays(ctx.inputs["similarity"].tensors("similarity"))
    weights = chosen_pairs(ctx, pair.names)
    made = pair_effects(pair, first, second, matched, similarity, rows, substituted, kind=p["kind"], weights=weights)
    write_table(ctx, "effects", made.table, comparison_id=p["comparison_id"])
    ctx.out.tensors("draws", made.to_arrays())
    ctx.progress(1, 2)
    if reruns(ctx):
        from universality.effects.pair_attribution import pair_attribution

        sides = [_attributed(ctx, side) for side in "ab"]
        write_table(ctx, "attribution", pair_attribution(pair, sides, made.table), comparison_id=p["comparison_id"])
    if p["kind"] == "features":
        from universality.effects.curves import substitution_curves

        curves = substitution_curves(pair, first, second, made.table, matched, rows[substituted])
        write_table(ctx, "substitution_curve", curves, comparison_id=p["comparison_id"])


def _asked_rows(params: Mapping[str, Any], rerun: bool) -> int:
    return params["effects"]["rerun_rows" if rerun else "rows"]


def _side(
    ctx: StepContext, side: str, dictionary: Dictionary, sample: EntrySample | None, rows: np.ndarray, some: np.ndarray
) -> EffectSide:
    """What a side of a pair brings: fingerprints over all rows of the effects, predictions at those of substitution."""
    from universality.effects.pair_effects import EffectSide

    stored = ctx.inputs[f"fingerprints_{side}"]
    loss, loss_random = (_over(rows, stored, name) for name in ("loss", "loss_random"))
    predictions = _predictions(ctx, f"transformer_{side}", rows[some])
    scale = sae_scale(ctx, f"sae_{side}", f"activations_{side}", rows[some])
    decoder = np.asarray(ctx.inputs[f"sae_{side}"].tensors("sae")["W_dec"], np.float32)
    return EffectSide(dictionary, loss, loss_random, decoder, predictions, scale, sample)


def _attributed(ctx: StepContext, side: str) -> AttributionSide:
    from scipy import sparse

    from universality.effects.pair_attribution import AttributionSide

    stored = ctx.inputs[f"attributions_{side}"]
    loss, loss_random = (sparse.csr_matrix(stored.csr(name)) for name in ("attribution", "attribution_random"))
    exact = ctx.inputs[f"fingerprints_{side}"].table("latent_attribution", ["r_exact"])
    r_exact = exact["r_exact"].to_numpy(float)
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

    p, text = ctx.params, rows_text(ctx, numbers)
    model = open_transformer(ctx.inputs[transformer], ctx.device)
    if not reruns(ctx):
        read = read_predictions(model, text, p["hook_point"], threads=ctx.threads)
        if read is not None:
            return read
    return RerunPredictions(model, text, p["hook_point"], p["effects"]["horizon"])


@step("effect_agreement", version=2, cost=lambda sizes, params: Estimate(2.0, 200_000), tables=["effect_agreement"])
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
    asked = _asked_rows(p, reruns(ctx))
    numbers = usable_rows(rows) if reruns(ctx) else effect_rows(rows, asked, p["root_seed"])
    weights = source_draws(rows, config.n_resamples, p["root_seed"], numbers)
    table = effect_agreement_table(made, weights, tau=config.tau, confidence=config.confidence)
    write_table(ctx, "effect_agreement", table, comparison_id=p["comparison_id"])
