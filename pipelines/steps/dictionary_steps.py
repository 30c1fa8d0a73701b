"""Steps that train dictionaries and encode the shared evaluation rows with them."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import numpy as np

from pipelines.engine.interrupts import resumable
from pipelines.engine.step import StepContext, step
from pipelines.errors import TrainingDiverged
from pipelines.loaded_dictionaries import (
    ReadModel,
    as_trained,
    check_dictionary,
    check_width,
    hook_point_doubts,
    length_doubts,
    model_doubts,
)
from pipelines.steps.dictionary_costs import latents_cost, loaded_sae_cost, sae_cost
from pipelines.steps.model_steps import special_tokens, training_rows
from pipelines.steps.step_rows import mixing_of, shared_rows, training_source
from results.public.opening import open_transformer
from results.stored_comparison import vocabulary_of
from storage import Artifact, ArtifactWriter
from universality.errors import refusal
from universality.sae.sae_config import SAETrainingConfig
from universality.seeds import derive_seed

if TYPE_CHECKING:
    from universality.sae import SparseAutoencoder
    from universality.sae.evaluation import Quality

logger = logging.getLogger(__name__)

#: Evaluation rows encoded at once; bounds the dense pre-activations in memory.
ENCODE_ROWS = 8192
#: Contexts of the score part whose loss is measured with the reconstruction spliced in.
SPLICED_CONTEXTS = 64


@step("sae", version=1, cost=sae_cost)
def sae(ctx: StepContext) -> None:
    """Train one dictionary on the activations of one model."""
    from universality.sae.sae_config import SAETrainingConfig
    from universality.sae.training import train_sae

    p = ctx.params
    recipe, seed = SAETrainingConfig(**p["config"]), derive_seed(p["root_seed"], "sae", *p["sae_seed"])
    source = training_source(ctx)
    with resumable(ctx) as (options,):
        options |= {"device": ctx.device, "compile": p.get("compile", False)}
        result = train_sae(source.rows, recipe, sae_seed=seed, **options)
    if result.status != "ok":
        penalty_advice = " Or lower the weight of its penalty." if recipe.penalty_coefficient else ""
        raise TrainingDiverged(
            f"Training of {ctx.node_id} ended as {result.status!r} in step {len(result.history['loss'])} "
            f"({result.tokens} rows). Lower the dictionary's lr or raise its warm-up.{penalty_advice}"
        )
    write_sae(ctx.out, result.sae)
    ctx.out.array("init_cosine", result.init_cosine)
    quality = {
        "fvu": result.fvu,
        "l0": result.l0,
        "dead_fraction": result.dead_fraction,
        "tokens": result.tokens,
    }
    ctx.out.facts(**{f"training_{name}": value for name, value in quality.items()})
    mixing, poor = mixing_of(source.rows, recipe, seed)
    missed = missed_target(recipe, result.l0)
    warnings = [*([] if missed is None else [missed]), *source.warnings, *poor, *result.warnings]
    ctx.out.facts(**source.facts, **mixing, **({"warnings": warnings} if warnings else {}))
    for warning in warnings:
        logger.warning("%s", warning)


def missed_target(recipe: SAETrainingConfig, l0: float) -> str | None:
    """What to say of a training that ended at less than half or more than twice its target; None of any other."""
    target = recipe.target_l0
    if target is None or target / 2 <= l0 <= 2 * target:
        return None
    return f"l0 ended at {l0:.3g}; target_l0 is {target:g}. Train on more tokens, or raise lr or bandwidth."


@step("loaded_sae", version=2, cost=loaded_sae_cost)
def loaded_sae(ctx: StepContext) -> None:
    """Take over a dictionary that was trained elsewhere."""
    from pipelines.hub_dictionaries import fetch_sae, sae_files, sae_source
    from universality.sae.formats import load_sae

    p, source = ctx.params, sae_source(ctx.params)
    if "hub" not in p and sae_files(p["path"]) != p["files"]:
        remedy = "Run again: the new files get artifacts of their own."
        raise refusal("files", source, "those the run was planned with", "others", remedy)
    place = fetch_sae(p["hub"], p["subfolder"], p["commit"]) if "hub" in p else p["path"]
    dictionary = load_sae(place, p.get("part"))
    check_dictionary(dictionary, source)
    width = int(ctx.inputs["activations"].array(p["hook_point"]).shape[1])
    check_width((dictionary.d_in, int(dictionary.b_dec.shape[0])), source, p["hook_point"], width)
    model = _read_as(ctx)
    dictionary, doubts = as_trained(dictionary, source, p["hook_point"], model)
    config = write_sae(ctx.out, dictionary)
    ctx.out.facts(source_format=config["metadata"].get("source_format", "universality"))
    _warn(ctx, [*hook_point_doubts(config["metadata"], source, p["hook_point"]), *doubts])


def _read_as(ctx: StepContext) -> ReadModel:
    """How the run opens the model whose activations a dictionary reads."""
    from results.public.checkpoints import text_config
    from results.public.hub import read_config

    transformer, tokenizer = ctx.inputs["transformer"], ctx.inputs["tokenizer"]
    bos = int(tokenizer.json("tokenizer")["bos"])
    start = vocabulary_of(tokenizer, ["text"])["text"][bos]
    if not transformer.has("pretrained"):
        centres = transformer.json("config")["normalization_type"] in ("LN", "LNPre")
        return ReadModel(centres, start, None)
    spec = transformer.json("pretrained")
    config = text_config(read_config(spec["name"], spec["revision"]))
    own = config.get("bos_token_id")
    return ReadModel("rms_norm_eps" not in config, start, None if own is None else bos in np.atleast_1d(own))


def _warn(ctx: StepContext, warnings: list[str]) -> None:
    """Leave warnings in the artifact, and tell them now."""
    if warnings:
        ctx.out.facts(warnings=warnings)
    for warning in warnings:
        logger.warning("%s", warning)


def write_sae(out: ArtifactWriter, dictionary: SparseAutoencoder, name: str = "") -> dict[str, Any]:
    """Store a dictionary, for :func:`open_sae`; gives its config."""
    config, tensors = dictionary.to_tensors()
    out.tensors(f"sae{name}", tensors)
    out.json(f"sae_config{name}", config)
    return config


def open_sae(artifact: Artifact, name: str = "") -> SparseAutoencoder:
    """The dictionary of a ``sae`` artifact, or the one of that name."""
    from universality.sae.base import SparseAutoencoder

    return SparseAutoencoder.from_tensors(artifact.json(f"sae_config{name}"), artifact.tensors(f"sae{name}"))


@step("latents", version=3, cost=latents_cost)
def latents(ctx: StepContext) -> None:
    """Sparse latents over the evaluation rows, their statistics, and the dictionary's quality on the score rows."""
    from scipy import sparse

    from pipelines.hub_dictionaries import sae_source
    from universality.compare.statistics import latent_statistics

    dictionary = open_sae(ctx.inputs["sae"])
    transformer, source = ctx.inputs["transformer"], sae_source(ctx.inputs["sae"].manifest["params"])
    model = transformer.json("pretrained")["name"] if transformer.has("pretrained") else None
    tokens = ctx.inputs["tokens"]
    n_ctx = int(tokens.array("eval_contexts").shape[1])
    _warn(ctx, [*model_doubts(dictionary.metadata, source, model), *length_doubts(dictionary.metadata, source, n_ctx)])
    blocks: list[Any] = []
    quality = measured(ctx, dictionary, blocks)
    acts = sparse.vstack(blocks, format="csr")
    ctx.out.csr("acts", acts)
    statistics = latent_statistics(sparse.csr_matrix(acts), shared_rows(tokens))
    ctx.out.tensors("statistics", statistics.to_arrays())
    ctx.out.json("quality", {**quality.result(), **spliced(ctx, dictionary)})
    names = ctx.inputs["tokens"].json("domains")
    by_domain = zip(names, quality.domain_rows().tolist(), quality.domain_fvu().tolist(), strict=True)
    ctx.out.json("quality_by_domain", [(name, n, fvu) for name, n, fvu in by_domain if n])


def measured(ctx: StepContext, dictionary: SparseAutoencoder, blocks: list[Any] | None = None) -> Quality:
    """Quality of a dictionary on the score rows of the step's tokens and activations.

    Args:
        ctx: with the inputs ``tokens`` and ``activations`` and the param ``hook_point``.
        dictionary: what is judged.
        blocks: takes the latents of all evaluation rows, block after block; without it score rows alone are encoded.
    """
    from universality.sae.evaluation import Quality

    tokens, raw = ctx.inputs["tokens"], ctx.inputs["activations"].array(ctx.params["hook_point"])
    score, codes = ~tokens.array("row_fit"), tokens.array("row_domain")
    quality = Quality(dictionary.d_in, dictionary.d_sae, n_domains=len(tokens.json("domains")))
    encoder = dictionary.to(ctx.device)
    for start in range(0, len(raw), ENCODE_ROWS):
        x = np.asarray(raw[start : start + ENCODE_ROWS], dtype=np.float32)
        held_out = score[start : start + len(x)]
        if blocks is None:
            acts = encoder.encode_sparse(x[held_out])
        else:
            blocks.append(encoder.encode_sparse(x))
            acts = blocks[-1][held_out]
        if held_out.any():
            here = codes[start : start + len(x)][held_out]
            recon = dictionary.restore(dictionary.decode(acts), x[held_out])
            quality.update(x[held_out], recon, acts, here)
        ctx.progress(start + len(x), len(raw))
    return quality


def spliced(ctx: StepContext, dictionary: SparseAutoencoder) -> dict[str, float]:
    """What the model predicts on score contexts: clean, with the reconstruction in, with zeros in."""
    from universality.transformers.harvest import spliced_losses

    tokens = ctx.inputs["tokens"]
    first = int(tokens.array("row_context")[np.flatnonzero(~tokens.array("row_fit"))[0]])
    contexts = tokens.array("eval_contexts")[first : first + SPLICED_CONTEXTS]
    model = open_transformer(ctx.inputs["transformer"], ctx.device)
    replaced = training_rows(special_tokens(ctx.inputs["tokenizer"]))(0, contexts)
    hook_point = ctx.params["hook_point"]
    there = dictionary.to(ctx.device)
    losses = spliced_losses(model, contexts, hook_point, there.reconstruct, replaced=replaced)
    recovered = {"ce_recovered": losses.ce_recovered, "kl_recovered": losses.kl_recovered}
    return {**losses._asdict(), **recovered}
