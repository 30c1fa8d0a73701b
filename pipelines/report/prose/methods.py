"""The methods of a run as template text: what was done, in the order in which it was done.

Which sentences stand there follows from the recipe and from what was measured; every number in them is a macro.
"""

from __future__ import annotations

from pipelines.recipe import NativeModels, PretrainedModels, Recipe
from pipelines.report.prose.comparison_methods import comparison_paragraphs
from pipelines.report.prose.dictionary_methods import dictionary_paragraphs
from pipelines.report.prose.material import Material
from pipelines.report.prose.results import result_paragraphs
from pipelines.report.prose.sweep_results import sweep_sections
from pipelines.report.prose.template import Section
from pipelines.tokens.tokenizer_config import HubTokenizer, TokenizerFile, TrainedTokenizer

Paragraph = list[str]


def methods_sections(m: Material) -> list[Section]:
    """The text of a run without its limitations."""
    if m.recipe is None:
        words = "The recipe of this run cannot be read by this version, so its methods cannot be written."
        return [Section("Methods", [[words]])]
    sections = [
        Section("Text and tokens", text_paragraphs(m, m.recipe)),
        Section("Transformers", [model_sentences(m.recipe)]),
    ]
    several = len(m.comparisons) > 1
    for comparison in m.comparisons:
        name = f" ({comparison})" if several else ""
        scope = m.scope(comparison)
        sections += [
            Section(f"Sparse autoencoders{name}", dictionary_paragraphs(m, comparison), scope),
            Section(f"Comparison{name}", comparison_paragraphs(m, comparison), scope),
            Section(f"Findings{name}", result_paragraphs(m, comparison), scope),
        ]
    return [*sections, *sweep_sections(m)]


def text_paragraphs(m: Material, recipe: Recipe) -> list[Paragraph]:
    """Corpus, parts, tokenizer and evaluation rows."""
    documents = m.tables.get("documents")
    several = documents is None or documents["domain"].nunique() > 1
    trained = "training" if isinstance(recipe.models, NativeModels) else "training of dictionaries"
    domains = "labelled with {NumDomains} domains" if several else "without domain labels"
    corpus = [
        "The text is {CorpusSources}.",
        f"It holds {{NumDocuments}} documents ({{NumTokens}} tokens), {domains}.",
        "Sources were cut at line ends into documents of at most {MaxDocumentBytes} bytes, documents below "
        "{MinDocumentBytes} bytes were left out, and of equal documents one was kept.",
        f"Whole documents were dealt to disjoint parts, in every domain: {trained} "
        "({NumDocumentsTraining} documents, "
        "{NumTokensTraining} tokens, in two disjoint halves of {NumTokensTrainingHalfA} and "
        "{NumTokensTrainingHalfB} tokens), validation ({NumDocumentsValidation} documents, {NumTokensValidation} "
        "tokens), and two evaluation parts, *fit* ({NumDocumentsFit} documents, {NumTokensFit} tokens) and *score* "
        "({NumDocumentsScore} documents, {NumTokensScore} tokens).",
    ]
    if recipe.split.repeats:
        corpus.append("Documents of some domains were repeated a fixed number of times, in training only.")
    elif recipe.split.max_repeats > 1 and several:
        corpus.append(
            "Documents of domains below {MinDomainShare}% of the training bytes were repeated up to {MaxRepeats} "
            "times, in training only."
        )
    tokens = [
        _tokenizer(recipe),
        "Contexts hold {ContextLength} tokens, of which the first is a separator.",
        "All models are compared on the same {NumRows} evaluation tokens of these two parts: {NumFitRows} *fit rows*, "
        "on which partners are chosen, and {NumScoreRows} *score rows*, on which every correlation, chance level and "
        "interval below is computed.",
        "Separators and the first position of every context are no evaluation tokens, and no document has tokens in "
        "both sets.",
    ]
    return [corpus, tokens]


def _tokenizer(recipe: Recipe) -> str:
    made = {
        TrainedTokenizer: "a byte-level byte-pair encoding [@sennrich2016] with {VocabSize} entries, learned from the "
        "training part",
        TokenizerFile: "the tokenizer {TokenizerName} with {VocabSize} entries",
        HubTokenizer: "the tokenizer {TokenizerName} with {VocabSize} entries",
    }
    return f"All models share one tokenizer, {made[type(recipe.tokenizer)]}."


def model_sentences(recipe: Recipe) -> Paragraph:
    """The transformers compared, and the floor."""
    models = recipe.models
    if isinstance(models, PretrainedModels):
        found = ["We compared {NumModelsWord} pretrained transformers: {ModelNames}."]
    else:
        found = _native(models)
    if models.n_untrained:
        floor = {
            "random": "of the same shape with untrained, random weights",
            "shuffled": "made from the trained ones by permuting the entries of every weight tensor",
        }[models.floor]
        found.append(f"As a floor, {{NumUntrained}} further models {floor} went through the same pipeline.")
    return found


def _native(models: NativeModels) -> Paragraph:
    shape, training = models.architecture, models.training
    layers = "one layer" if shape.n_layers == 1 else "{NumLayers} layers"
    heads = r"{NumHeads} attention heads of width {DHead} per layer"
    mlp = "no MLPs" if shape.attn_only else r"MLPs of width $d_\mathrm{mlp} = {DMlp}$ ({ActivationFunction})"
    fall = {
        "cosine": ", and a cosine decay to {ModelFinalLr}% of the peak",
        "linear": ", and a linear decay to {ModelFinalLr}% of the peak",
        "none": ", and a constant rate afterwards",
    }[training.decay]
    clip = "; gradients were clipped to a norm of {ModelGradientClip}" if training.gradient_clip else ""
    if len(models.model_seeds) == 1:
        opening = "One transformer was trained, from model seed {ModelSeeds}."
    elif models.data_seeds is None:
        opening = (
            "We trained {NumModelsWord} transformers that differ in their initialisation and in the order of their "
            "training data (model seeds {ModelSeeds})."
        )
    else:
        opening = (
            "We trained {NumModelsWord} transformers from model seeds {ModelSeeds}, which set their initialisation, "
            "and data seeds {DataSeeds}, which set the order of their training data."
        )
    which = "It has" if len(models.model_seeds) == 1 else "All have"
    return [
        opening,
        rf"{which} {layers}, a residual stream of width $d_\mathrm{{model}} = {{DModel}}$, {heads}, and {mlp}.",
        "Training minimised the next-token cross-entropy over {ModelTokens} tokens with AdamW [@loshchilov2019]: peak "
        r"learning rate {ModelLr}, $\beta = ({ModelBetaOne}, {ModelBetaTwo})$, weight decay {ModelWeightDecay}, "
        f"{{ModelBatchContexts}} contexts per step, a warm-up over {{ModelWarmup}}% of the steps{fall}{clip}.",
        "The cross-entropy on validation text is {HeldoutLoss} nats per token.",
    ]
