"""Macros of a whole run: its text, tokens and transformers."""

from __future__ import annotations

import pandas as pd

from pipelines.recipe import NativeModels, PretrainedModels, Recipe, model_ids
from pipelines.report.prose.macros import (
    Macros,
    Value,
    code,
    count,
    count_span,
    joined,
    percent,
    series,
    setting,
    span,
    words,
)
from pipelines.report.prose.material import Material
from pipelines.tokens.tokenizer_config import HubTokenizer, TokenizerFile
from universality.transformers.transformer_config import TrainingConfig, TransformerConfig

#: Parts of the corpus as a macro and as prose call them; the training part is both halves.
PARTS = {
    "Training": ("sae_a", "sae_b"),
    "TrainingHalfA": ("sae_a",),
    "TrainingHalfB": ("sae_b",),
    "Validation": ("validation",),
    "Fit": ("fit",),
    "Score": ("score",),
}
_COUNTS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


def add_run_numbers(macros: Macros, m: Material) -> None:
    """Add every number that belongs to no comparison."""
    macros.add("RunName", code(m.run.name), "name of the run")
    macros.add("RecipeName", code(m.run.record.get("recipe_name")), "name of the recipe")
    _versions(macros, m)
    _text(macros, m)
    if m.recipe is None:
        return
    macros.add(
        "RootSeed", count(m.recipe.root_seed), "root_seed of the recipe; all other seeds derive from it"
    )
    _recipe_text(macros, m.recipe)
    _models(macros, m, m.recipe)


def _versions(macros: Macros, m: Material) -> None:
    environment = m.run.record.get("environment") or {}
    macros.add("Version", words(environment.get("universality")), "version of universality that made the run")
    for name, package in {"TorchVersion": "torch", "LensVersion": "transformer-lens"}.items():
        macros.add(name, words((environment.get("packages") or {}).get(package)), f"version of {package}")


def _text(macros: Macros, m: Material) -> None:
    documents, vocabulary = m.tables.get("documents"), m.tables.get("vocabulary")
    if documents is not None:
        _documents(macros, documents)
    if vocabulary is not None:
        macros.add("VocabSize", count(len(vocabulary)), "entries of the tokenizer; rows of table vocabulary")
    dropped = m.facts("corpus").get("dropped") or {}
    if "duplicate" in dropped:
        meaning = "documents left out as duplicates; facts of step corpus"
        macros.add("NumDuplicates", count(dropped["duplicate"]), meaning)
    rows = m.evaluation_rows()
    if rows is not None:
        meaning = "evaluation tokens shared by all models; array row_fit of step tokens"
        macros.add("NumRows", count(sum(rows)), meaning)
        macros.add("NumFitRows", count(rows[0]), "evaluation tokens on which pairs are chosen; row_fit true")
        macros.add(
            "NumScoreRows", count(rows[1]), "evaluation tokens on which pairs are scored; row_fit false"
        )


def _documents(macros: Macros, documents: pd.DataFrame) -> None:
    where = "table documents"
    macros.add("NumDocuments", count(len(documents)), f"documents of the corpus; {where}")
    macros.add(
        "NumTokens", count(documents["n_tokens"].sum()), f"tokens of the corpus, repeats aside; {where}"
    )
    macros.add("NumDomains", count(documents["domain"].nunique()), f"domains of the corpus; {where}")
    for name, parts in PARTS.items():
        part = documents[documents["part"].isin(parts)]
        macros.add(f"NumDocuments{name}", count(len(part)), f"documents of {' and '.join(parts)}; {where}")
        meaning = f"tokens of {' and '.join(parts)}, repeats aside; {where}"
        macros.add(f"NumTokens{name}", count(part["n_tokens"].sum()), meaning)


def _recipe_text(macros: Macros, recipe: Recipe) -> None:
    add = macros.add
    add(
        "MaxDocumentBytes", count(recipe.corpus.max_document_bytes), "corpus.max_document_bytes of the recipe"
    )
    add(
        "MinDocumentBytes", count(recipe.corpus.min_document_bytes), "corpus.min_document_bytes of the recipe"
    )
    add("MinDomainShare", percent(recipe.split.min_share, 0), "split.min_share of the recipe, percent")
    add("MaxRepeats", count(recipe.split.max_repeats), "split.max_repeats of the recipe")
    add(
        "ContextLength",
        count(recipe.n_ctx),
        "n_ctx of the recipe: tokens per context, the separator included",
    )
    add("CorpusSources", series(_source(s) for s in recipe.corpus.sources), "corpus.sources of the recipe")
    rows = recipe.training_rows
    add("FirstPosition", count(rows.first_position), "training_rows.first_position of the recipe")
    add("MaxNorm", setting(rows.max_norm), "training_rows.max_norm of the recipe")
    tokenizer = recipe.tokenizer
    if isinstance(tokenizer, (TokenizerFile, HubTokenizer)):
        name = tokenizer.path if isinstance(tokenizer, TokenizerFile) else tokenizer.name
        add("TokenizerName", code(name), "tokenizer of the recipe")


def _source(source: object) -> Value | None:
    kind = getattr(source, "kind", "")
    if kind == "demo":
        return words(
            "the labelled demonstration mix of real text in natural languages, code and biological sequences"
        )
    place = code(getattr(source, "name", None) or getattr(source, "path", None))
    noun = "the dataset" if kind == "hub" else "text files in"
    return None if place is None else Value(f"{noun} {place.tex}", f"{noun} {place.text}")


def _models(macros: Macros, m: Material, recipe: Recipe) -> None:
    models, add = recipe.models, macros.add
    n = len(model_ids(recipe))
    add("NumModels", count(n), "models compared, m0, m1, ... of the recipe")
    add("NumModelsWord", words(_COUNTS[n] if n < len(_COUNTS) else f"{n:,}"), "the same as a word below ten")
    add("NumUntrained", count(models.n_untrained), "untrained models u0, u1, ... of the recipe")
    if isinstance(models, PretrainedModels):
        names = [p.name if p.revision is None else f"{p.name}@{p.revision}" for p in models.models]
        add("ModelNames", series(code(name) for name in names), "models.models of the recipe")
    if isinstance(models, NativeModels):
        add("ModelSeeds", series(count(s) for s in models.model_seeds), "models.model_seeds of the recipe")
        if models.data_seeds is not None:
            add("DataSeeds", series(count(s) for s in models.data_seeds), "models.data_seeds of the recipe")
        _architecture(macros, models.architecture)
        _training(macros, models.training)
    _trained(macros, m)


def _architecture(macros: Macros, shape: TransformerConfig) -> None:
    where = "models.architecture of the recipe"
    d_head = shape.d_head or shape.d_model // shape.n_heads
    macros.add("NumLayers", count(shape.n_layers), f"n_layers; {where}")
    macros.add("DModel", count(shape.d_model), f"d_model; {where}")
    macros.add("NumHeads", count(shape.n_heads), f"n_heads; {where}")
    macros.add("DHead", count(d_head), f"d_head; {where}")
    if not shape.attn_only:
        macros.add("DMlp", count(shape.d_mlp or 4 * shape.d_model), f"d_mlp; {where}")
    macros.add("ActivationFunction", code(shape.act_fn), f"act_fn; {where}")


def _training(macros: Macros, training: TrainingConfig) -> None:
    where, add = "models.training of the recipe", macros.add
    add("ModelLr", setting(training.lr), f"lr, the peak learning rate; {where}")
    betas = [setting(beta) for beta in training.betas]
    add("ModelBetaOne", betas[0], f"first of betas; {where}")
    add("ModelBetaTwo", betas[1], f"second of betas; {where}")
    add("ModelWeightDecay", setting(training.weight_decay), f"weight_decay; {where}")
    add("ModelWarmup", percent(training.warmup, 0), f"warmup, percent of the steps; {where}")
    add("ModelDecay", words(training.decay), f"decay; {where}")
    add("ModelFinalLr", percent(training.final_lr, 0), f"final_lr, percent of the peak; {where}")
    add("ModelBatchContexts", count(training.batch_contexts), f"batch_contexts; {where}")
    add("ModelGradientClip", setting(training.gradient_clip), f"gradient_clip; {where}")


def _trained(macros: Macros, m: Material) -> None:
    """What training gave, of the compared models; the same in every comparison."""
    models = m.tables.get("models")
    if models is None:
        return
    primary = models[models["role"] == "primary"].drop_duplicates("model")
    tokens = primary["train_tokens"].dropna() if "train_tokens" in primary else []
    macros.add(
        "ModelTokens", count_span(int(t) for t in tokens), "train_tokens of compared models; table models"
    )
    if "heldout_loss" in primary:
        losses = span(primary["heldout_loss"].dropna(), 2)
        macros.add("HeldoutLoss", losses, "heldout_loss of compared models, nats per token; table models")
    ids = [str(model) for model in primary["model"]]
    macros.add("ModelIds", words(joined(ids)) if ids else None, "ids of the compared models; table models")
