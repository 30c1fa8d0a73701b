"""The whole comparison on arrays in memory: the stages of a run, one after the other."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

from scipy import sparse

from universality.arguments import checked, instance, whole
from universality.compare.assembly import Comparison, assemble
from universality.compare.compare_config import CompareConfig
from universality.compare.inputs import (
    by_id,
    checked_logits,
    checked_matrices,
    checked_models,
    checked_names,
    checked_raw,
    checked_rows,
    checked_weights,
)
from universality.compare.marks import SHARED_INIT_WORDS, SharedInitialisation, flagged_pairs
from universality.compare.pair import Dictionary
from universality.compare.pair_plan import PairPlan, replicate_names
from universality.compare.stages import Stages
from universality.compare.statistics import latent_statistics
from universality.errors import require

Sparse = sparse.spmatrix | sparse.sparray


@checked(
    root_seed=whole(), n_ctx=whole(1), threads=whole(1),
    config=instance(CompareConfig, remedy="Write CompareConfig(tau=0.6), or leave it out."),
)  # fmt: skip
def compare(
    acts: Mapping[str, Sparse],
    *,
    documents: Any,
    sources: Any = None,
    domains: Any = None,
    tokens: Any = None,
    positions: Any = None,
    raw: Mapping[str, Any] | None = None,
    replicates: Mapping[str, Sparse] | None = None,
    untrained: Mapping[str, Sparse] | None = None,
    untrained_raw: Mapping[str, Any] | None = None,
    weights: Mapping[str, Any] | None = None,
    logits: Mapping[str, Any] | None = None,
    next_tokens: Any = None,
    fit: Any = None,
    root_seed: int = 0,
    tau: float | None = None,
    min_firings: int | None = None,
    n_shifts: int | None = None,
    n_ctx: int | None = None,
    config: CompareConfig | None = None,
    threads: int | None = None,
) -> Comparison:
    """Which latents of independently trained models are the same feature, beyond chance, and at what level?

    Sources are split in two; candidates and the one-to-one assignment come from the fit half, every
    reported score, null and interval from the other. See docs/METHOD.md for the order of all steps.

    Args:
        acts: model id -> scipy sparse (n_rows, d_sae) activations, the same rows in the same order; any
            number of models from two on; dictionaries may differ in size.
        documents: (n_rows,) int, document of each row.
        sources: (n_rows,) int, the file, chapter or catalogue that each document was cut from: splits, nulls and
            intervals go by source; default every document is its own. For rows that are independent of each
            other (one per image), give the same number as ``documents`` and as ``sources``.
        domains: (n_rows,) labels (str or int), one for all if there is one domain; unlock the level ``domain``, the
            table ``domains`` and, with tokens and positions, the levels beyond ``token``.
        tokens: (n_rows,) int token ids; unlock the level ``token``.
        positions: (n_rows,) int positions in the context; without them nothing is called ``context``.
        raw: model id -> (n_rows, d_in) raw activations; unlock neurons and other coordinates of their space and, with
            ``untrained_raw``, these coordinates' floor and the verdict ``decodable``. Ids with the very same array
            are dictionaries of one model.
        replicates: model id (or "<model>r") -> activations of a second dictionary of the same model, or
            of the same untrained model; unlock the ceiling, the verdict ``unstable``, and levels of single features.
        untrained: id -> activations of dictionaries of untrained models; the floor, from two on. Where all models are
            dictionaries of one model, the floor is each untrained dictionary with its replicate.
        untrained_raw: their raw activations (ids of ``untrained``, or ids of their own).
        weights: id of any of these dictionaries -> ``W_dec`` (d_sae, d_in), or ``(W_dec, W_enc.T)`` of one shape;
            unlock the weight indices of dictionaries of one model and, with ``raw``, ``cos_procrustes`` of ``pairs``.
        logits: model id -> (d_in, d_vocab) linear map from its raw activations to the logits (``W_out @ W_U``
            of a last MLP, ``W_U`` of the residual stream); unlocks ``r_logits``, with ``weights``.
        next_tokens: (n_rows,) int id of the token that came next, -1 where none did; unlocks ``r_attribution``.
        fit: (n_rows,) bool, True on fit rows, instead of a split of its own.
        root_seed: every random act derives its own seed from it, its purpose and the ids concerned.
        tau, min_firings, n_shifts: shortcuts for fields of ``config``.
        n_ctx: tokens per context, if rows come from contexts.
        config: all settings; see :class:`CompareConfig`.
        threads: threads of the kernels; no byte of the result depends on it.

    Returns:
        A :class:`Comparison`. Whatever an input was missing for is ``untested`` or left out, never guessed.

    Raises:
        InputError: rows that do not match, values that are not finite, fewer than two models or documents,
            unknown or repeated ids, documents of one row each that are not said to be sources, documents whose
            rows are scattered.
    """
    settings = _settings(config, tau, min_firings, n_shifts)
    raw, replicates, untrained, untrained_raw, weights, logits = (
        by_id(value, what)
        for what, value in {
            "raw": raw, "replicates": replicates, "untrained": untrained, "untrained_raw": untrained_raw,
            "weights": weights, "logits": logits,
        }.items()
    )  # fmt: skip
    matrices = checked_models(acts)
    n_rows = next(iter(matrices.values())).shape[0]
    columns = {
        "sources": sources, "domains": domains, "tokens": tokens, "positions": positions, "next_tokens": next_tokens
    }  # fmt: skip
    rows = checked_rows(n_rows, documents, columns, fit, root_seed, n_ctx)
    models = tuple(matrices)
    untrained_acts = checked_matrices(untrained, "untrained", n_rows)
    names = replicate_names(replicates, (*models, *untrained_acts))
    replicate_acts = checked_matrices(
        {names[key][0]: matrix for key, matrix in replicates.items()}, "replicates", n_rows
    )
    read = {str(name): id(array) for name, array in raw.items()}
    plan = PairPlan(models, dict(names.values()), tuple(untrained_acts), read)
    checked_names(models, tuple(name for name, _ in names.values()), plan.untrained)
    floor = bool(plan.untrained_pairs) or not plan.untrained
    remedy = "Give another one, or leave it out."
    require(floor, "untrained", "compare", "two dictionaries at least: the floor is how far they agree", "one", remedy)
    every = {**matrices, **replicate_acts, **untrained_acts}
    raw_of = checked_raw(raw, "raw", models, n_rows)
    untrained_ids = plan.untrained or tuple(untrained_raw)
    weights_of = checked_weights(weights, every, raw_of)
    stages = Stages(
        plan=plan,
        config=settings,
        root_seed=root_seed,
        raw=raw_of,
        untrained_raw=checked_raw(untrained_raw, "untrained_raw", untrained_ids, n_rows),
        weights=weights_of,
        logits=checked_logits(logits, models, rows, weights_of),
        threads=threads,
        dictionaries={
            name: Dictionary(name, csr, rows, latent_statistics(csr, rows), settings.min_firings)
            for name, csr in every.items()
        },
    )
    comparison = assemble(stages.with_candidates().with_matchings().with_spaces())
    for name in flagged_pairs(comparison.indices):
        warnings.warn(f"{name}: {SHARED_INIT_WORDS}", SharedInitialisation, stacklevel=3)
    return comparison


def _settings(
    config: CompareConfig | None, tau: float | None, min_firings: int | None, n_shifts: int | None
) -> CompareConfig:
    given = {"tau": tau, "min_firings": min_firings, "n_shifts": n_shifts}
    base = config.model_dump() if config else {}
    return CompareConfig(**{**base, **{name: value for name, value in given.items() if value is not None}})
