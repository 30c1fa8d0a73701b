"""Template text on the sparse autoencoders of a comparison."""

from __future__ import annotations

from pipelines.report.prose.material import Material
from universality.sae.sae_config import SAETrainingConfig

#: What an architecture is called, and the work that describes it.
ARCHITECTURES: dict[str, tuple[str, str]] = {
    "topk": ("TopK", "gao2024"),
    "batch_topk": ("BatchTopK", "bussmann2024"),
    "matryoshka": ("Matryoshka BatchTopK", "bussmann2025"),
    "relu": ("ReLU (norm-weighted penalty)", "conerly2024"),
    "relu_2023": ("ReLU", "bricken2023"),
    "gated": ("Gated", "rajamanoharan2024gated"),
    "jumprelu": ("JumpReLU", "rajamanoharan2024jumprelu"),
}
#: Settings in this order of the optimiser's sentence.
_OPTIMISER = (
    "Adam [@kingma2015] with a peak learning rate of {SaeLr}, batches of {SaeBatchRows} activations, a warm-up over "
    "{SaeWarmup}% and a linear decay over the last {SaeDecay}% of the steps"
)


def dictionary_paragraphs(m: Material, comparison: str) -> list[list[str]]:
    """What the dictionaries are, how they were trained, and how good they are."""
    config = m.config(comparison)
    if config is None or m.recipe is None:
        return [["The recipe says nothing about this comparison."]]
    found = [*_kinds(m, comparison), *_training(m, config.sae)]
    if config.loaded:
        found.append("Dictionaries trained elsewhere were loaded as they are published.")
    if config.replicates:
        found.append(
            "For every model a second dictionary, a *replicate*, has another seed and was trained on the other half of "
            "the training documents; agreement between the two dictionaries of one model estimates the highest "
            "agreement that dictionaries of different models can be expected to reach."
        )
    if m.recipe.models.n_untrained:
        found.append("Untrained models have dictionaries of the same kind.")
    quality = [
        "On the score rows, the dictionaries of the compared models leave a fraction of {Fvu} of the variance "
        "unexplained and have {ActivePerToken} active latents per token; {DeadPercent}% of their latents never fire.",
    ]
    if _measured(m, comparison, "ce_recovered"):
        quality.append(
            "Put in place of the activations, their reconstructions win back {CeRecovered}% of the cross-entropy that "
            "separates zeros from the activations themselves."
        )
    return [found, quality]


def _kinds(m: Material, comparison: str) -> list[str]:
    models = m.of(comparison, "models")
    opening = r"At the hook point {HookPoint} ($d_\mathrm{in} = {DIn}$), every model has one dictionary"
    if models is None or "architecture" not in models:
        return [rf"{opening} of {{NumLatents}} latents."]
    primary = models[models["role"] == "primary"]
    names = list(dict.fromkeys(str(name) for name in primary["architecture"]))
    kinds = " or ".join(ARCHITECTURES.get(name, (name, ""))[0] for name in names)
    keys = [ARCHITECTURES[name][1] for name in names if name in ARCHITECTURES]
    cite = f" [{'; '.join(f'@{key}' for key in keys)}]" if keys else ""
    sparsity = " ({Sparsity})" if "sparsity" in primary and primary["sparsity"].notna().any() else ""
    return [f"{opening}: a {kinds} sparse autoencoder{cite} with {{NumLatents}} latents{sparsity}."]


def _training(m: Material, sae: SAETrainingConfig | None) -> list[str]:
    if sae is None or m.recipe is None:
        return []
    rows = m.recipe.training_rows
    which = "all positions" if rows.special_tokens else "all positions but separators"
    first = " from position {FirstPosition} on" if rows.first_position > 1 else ""
    norm = (
        "; rows of more than {MaxNorm} times the median norm were left out"
        if rows.max_norm is not None
        else ""
    )
    return [
        f"Dictionaries were trained on {{SaeTokens}} activations of {which}{first}, from one half of the training "
        f"documents{norm}, by {_OPTIMISER}.",
        *_scaling(sae),
        "Dictionaries of different models have different seeds.",
    ]


def _scaling(sae: SAETrainingConfig) -> list[str]:
    if not sae.normalise:
        return []
    squared = sae.architecture in ("gated", "jumprelu")
    norm = "mean squared norm of one" if squared else r"mean norm of $\sqrt{d_\mathrm{in}}$"
    return [f"For training, activations were scaled to a {norm}; the scale is folded into the weights."]


def _measured(m: Material, comparison: str, column: str) -> bool:
    """Whether a table that is there has the column; a table still to come counts as having it."""
    models = m.of(comparison, "models")
    return models is None or (column in models and bool(models[column].notna().any()))
