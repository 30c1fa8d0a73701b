"""Macros of a whole run: its text, tokens and transformers."""

import re

import pandas as pd

from pipelines.recipe import NativeModels, PretrainedModels, Recipe
from pipelines.report.prose.macros import (
    Field,
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
    tex_escape,
    whole_percent,
    words,
)
from pipelines.report.prose.material import Material
from pipelines.report.provenance import made_with
from pipelines.tokens.identity import tokenizer_name
from pipelines.tokens.tokenizer_config import HubTokenizer, TokenizerConfig, TokenizerFile
from results.own_notes import one_line, run_notes
from results.stored_comparison import CORPUS, n_score_sources
from results.tokenizers import aligned
from results.words import called
from universality.transformers.transformer_config import TransformerConfig

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

_DOCUMENTS = (
    Field("MaxDocumentBytes", count, "corpus.max_document_bytes"),
    Field("MinDocumentBytes", count, "corpus.min_document_bytes"),
)
_TRAINING_ROWS = (
    Field("FirstPosition", count, "training_rows.first_position"),
    Field("MaxNorm", setting, "training_rows.max_norm"),
)
_MODEL_TRAINING = (
    Field("ModelLr", setting, "lr", "lr, the peak learning rate"),
    Field("ModelBetaOne", lambda betas: setting(betas[0]), "betas", "first of betas"),
    Field("ModelBetaTwo", lambda betas: setting(betas[1]), "betas", "second of betas"),
    Field("ModelWeightDecay", setting, "weight_decay"),
    Field("ModelWarmup", whole_percent, "warmup", "warmup, percent of the steps"),
    Field("ModelDecay", words, "decay"),
    Field("ModelFinalLr", whole_percent, "final_lr", "final_lr, percent of the peak"),
    Field("ModelBatchContexts", count, "batch_contexts"),
    Field("ModelGradientClip", setting, "gradient_clip"),
)


def add_run_numbers(macros: Macros, m: Material) -> None:
    """Add every number that belongs to no comparison."""
    macros.add("RunName", code(m.run.name), "name of the run")
    note = run_notes(m.run.store, [m.run.record])[0]
    macros.add("RunNote", words(one_line(note)) if note else None, "what somebody wrote about the run")
    macros.add("RecipeName", code(m.run.record.get("recipe_name")), "name of the recipe")
    _versions(macros, m)
    _text(macros, m)
    if m.recipe is None:
        return
    meaning = "root_seed of the recipe; all other seeds derive from it"
    macros.add("RootSeed", count(m.recipe.root_seed), meaning)
    _recipe_text(macros, m.recipe, several=aligned(m.run.record))
    _models(macros, m, m.recipe)


def _versions(macros: Macros, m: Material) -> None:
    environment = made_with(m.run) or {}
    macros.add("Version", words(environment.get("universality")), "version of universality that made the run")
    for name, package in {"TorchVersion": "torch", "LensVersion": "transformer-lens"}.items():
        macros.add(name, words((environment.get("packages") or {}).get(package)), f"version of {package}")


def _text(macros: Macros, m: Material) -> None:
    documents, vocabulary = m.tables.get("documents"), m.tables.get("vocabulary")
    if documents is not None:
        _documents(macros, documents)
    if vocabulary is not None:
        macros.add("VocabSize", count(len(vocabulary)), "entries of the tokenizer; rows of table vocabulary")
    coverage = m.tables.get("coverage")
    if coverage is not None:
        shares = coverage.loc[coverage["domain"] == "", "coverage"]
        where = "of all tokenizers: tokens that are rows, percent; table coverage"
        macros.add("CoverageLeast", percent(shares.min(), 0), f"the smallest {where}")
        macros.add("CoverageMost", percent(shares.max(), 0), f"the largest {where}")
    dropped = m.facts(CORPUS).get("dropped") or {}
    if "duplicate" in dropped:
        meaning = "documents left out as duplicates; facts of step corpus"
        macros.add("NumDuplicates", count(dropped["duplicate"]), meaning)
    rows = m.evaluation_rows()
    if rows is not None:
        fit, score = rows
        meaning = "evaluation tokens shared by all models; array row_fit of step tokens"
        macros.add("NumRows", count(fit + score), meaning)
        macros.add("NumFitRows", count(fit), "evaluation tokens on which pairs are chosen; row_fit true")
        macros.add("NumScoreRows", count(score), "evaluation tokens on which pairs are scored; row_fit false")
    sources = n_score_sources(m.run)
    if sources is not None:
        meaning = "sources (files, chapters, catalogues) of the score rows; array row_source of step tokens"
        macros.add("NumScoreSources", count(sources), meaning)


def _documents(macros: Macros, documents: pd.DataFrame) -> None:
    where, n_tokens = "table documents", documents["n_tokens"]
    macros.add("NumDocuments", count(len(documents)), f"documents of the corpus; {where}")
    macros.add("NumTokens", count(n_tokens.sum()), f"tokens of the corpus, repeats aside; {where}")
    macros.add("NumDomains", count(documents["domain"].nunique()), f"domains of the corpus; {where}")
    for name, parts in PARTS.items():
        inside, listed = documents["part"].isin(parts), " and ".join(parts)
        macros.add(f"NumDocuments{name}", count(inside.sum()), f"documents of {listed}; {where}")
        meaning = f"tokens of {listed}, repeats aside; {where}"
        macros.add(f"NumTokens{name}", count(n_tokens[inside].sum()), meaning)


def _recipe_text(macros: Macros, recipe: Recipe, *, several: bool) -> None:
    add, where = macros.add, " of the recipe"
    macros.add_fields(recipe, where, _DOCUMENTS)
    add("MinDomainShare", percent(recipe.split.min_share, 0), f"split.min_share{where}, percent")
    add("MaxRepeats", count(recipe.split.max_repeats), f"split.max_repeats{where}")
    add("ContextLength", count(recipe.n_ctx), f"n_ctx{where}: tokens per context, the separator included")
    add("CorpusSources", series(_source(s) for s in recipe.corpus.sources), f"corpus.sources{where}")
    macros.add_fields(recipe, where, _TRAINING_ROWS)
    tokenizer = recipe.tokenizers[0]
    if several:
        add("NumTokenizers", count(len(recipe.tokenizers)), f"tokenizers of the models{where}")
        add("Tokenizers", series(words(_tokenizer(t)) for t in recipe.tokenizers), f"t0, t1, ...; models{where}")
    elif isinstance(tokenizer, (TokenizerFile, HubTokenizer)):
        name = tokenizer.path if isinstance(tokenizer, TokenizerFile) else tokenizer.name
        add("TokenizerName", code(name), f"tokenizer{where}")


def _tokenizer(config: TokenizerConfig) -> str:
    """What people call a tokenizer, with the parts of the text in words."""
    return re.sub(r"\bsae_[ab]\b", lambda part: f"the {called(part[0])}", tokenizer_name(config))


def _source(source: object) -> Value | None:
    kind = getattr(source, "kind", "")
    if kind == "demo":
        return words("the labelled demonstration mix of real text in natural languages, code and biological sequences")
    place = code(getattr(source, "name", None) or getattr(source, "path", None))
    noun = "the dataset" if kind == "hub" else "text files in"
    return None if place is None else Value(f"{noun} {place.tex}", f"{noun} {place.text}")


def _models(macros: Macros, m: Material, recipe: Recipe) -> None:
    add, n = macros.add, len(recipe.model_ids)
    add("NumModels", count(n), "models compared, m0, m1, ... of the recipe")
    add("NumModelsWord", words(_COUNTS[n] if n < len(_COUNTS) else f"{n:,}"), "the same as a word below ten")
    add("NumUntrained", count(len(recipe.untrained_ids)), "untrained models u0, u1, ... of the recipe")
    models, *others = recipe.groups
    if others:
        add("ModelGroups", series(map(_group, recipe.groups)), "models of the recipe, group by group")
        _trained(macros, m)
        return
    if isinstance(models, PretrainedModels):
        add("ModelNames", series(code(p.said) for p in models.models), "models.models of the recipe")
    if isinstance(models, NativeModels):
        add("ModelSeeds", series(count(s) for s in models.model_seeds), "models.model_seeds of the recipe")
        if models.data_seeds is not None:
            add("DataSeeds", series(count(s) for s in models.data_seeds), "models.data_seeds of the recipe")
        _shape(macros, models.architecture)
        macros.add_fields(models.training, "; models.training of the recipe", _MODEL_TRAINING)
    _trained(macros, m)


def _group(group: NativeModels | PretrainedModels) -> Value:
    """A group of models in words, for a list of them."""
    if isinstance(group, PretrainedModels):
        return series(code(p.said) for p in group.models)  # pyright: ignore
    shape, seeds = group.architecture, group.model_seeds
    own = f", {_tokenizer(group.tokenizer)}" if group.tokenizer is not None else ""
    layers = "1 layer" if shape.n_layers == 1 else f"{shape.n_layers} layers"
    numbers = joined([str(seed) for seed in seeds])
    said = f"{len(seeds)} trained here (seed{'s' * (len(seeds) > 1)} {numbers}; {layers} of width {shape.d_model}{own})"
    return Value(tex_escape(said), said)


def _shape(macros: Macros, shape: TransformerConfig) -> None:
    where = "models.architecture of the recipe"
    d_head = shape.d_head or shape.d_model // shape.n_heads
    macros.add("NumLayers", count(shape.n_layers), f"n_layers; {where}")
    macros.add("DModel", count(shape.d_model), f"d_model; {where}")
    macros.add("NumHeads", count(shape.n_heads), f"n_heads; {where}")
    macros.add("DHead", count(d_head), f"d_head; {where}")
    if not shape.attn_only:
        macros.add("DMlp", count(shape.d_mlp or 4 * shape.d_model), f"d_mlp; {where}")
    macros.add("ActivationFunction", code(shape.act_fn), f"act_fn; {where}")


def _trained(macros: Macros, m: Material) -> None:
    """What training gave, of the compared models; the same in every comparison."""
    models = m.tables.get("models")
    if models is None:
        return
    primary = models[models["role"] == "primary"].drop_duplicates("model")
    tokens = primary["train_tokens"].dropna() if "train_tokens" in primary else []
    macros.add("ModelTokens", count_span(tokens), "train_tokens of compared models; table models")
    if "heldout_loss" in primary:
        losses = span(primary["heldout_loss"].dropna(), 2)
        macros.add("HeldoutLoss", losses, "heldout_loss of compared models, nats per token; table models")
    ids = [str(model) for model in primary["model"]]
    macros.add("ModelIds", words(joined(ids)) if ids else None, "ids of the compared models; table models")
