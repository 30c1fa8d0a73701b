"""The model card of an exported dictionary: front matter as model hubs read it, and what a stranger must know."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from results.words import counted

if TYPE_CHECKING:
    from universality.sae import SparseAutoencoder

TAGS = ("sparse-autoencoder", "sae", "mechanistic-interpretability", "interpretability", "universality")
#: Measures of the card: key, label, how it is written, what it is.
MEASURES = (
    ("l0", "L0", ".1f", "active latents per token"),
    ("fvu", "FVU", ".4f", "fraction of variance unexplained, 0 is perfect"),
    (
        "ce_recovered",
        "CE recovered",
        ".4f",
        "share of the loss between zero ablation and the model that is kept, 1 is all",
    ),
    ("kl_recovered", "KL recovered", ".4f", "the same of the divergence from the model's predictions"),
    ("dead_fraction", "dead", ".2%", "latents that never fired on these rows"),
)
LOADING = {
    "saelens": """```python
from sae_lens import SAE  # 6 or newer

sae = SAE.load_from_disk("this/folder")
```

or without SAELens:

""",
    "ours": "",
}


def card(facts: Mapping[str, Any], dictionary: SparseAutoencoder, export_format: str, licence: str) -> str:
    """Markdown with YAML front matter.

    Args:
        facts: of the run, the model, training and quality, as :mod:`pipelines.dictionary_export` gathers them.
        dictionary: what is described.
        export_format: ``saelens`` or ``ours``.
        licence: an identifier of the hub; empty where the owner has not chosen.
    """
    params, quality = facts["params"], facts["quality"]
    architecture = dictionary.metadata.get("training_architecture") or dictionary.activation.name
    rows = [
        ("hook point", f"`{params['hook_point']}` (TransformerLens)"),
        ("model", _model(facts)),
        ("d_in", f"{dictionary.d_in:,}"),
        ("d_sae", f"{dictionary.d_sae:,}"),
        ("architecture", f"{architecture}, stored as {dictionary.activation.name}"),
        *_sparsity(dictionary),
        ("training tokens", f"{facts['training'].get('training_tokens', params['config'].get('tokens')):,}"),
        ("context", f"{facts['n_ctx']} tokens, the first of them the tokenizer's start token"),
        ("seeds", f"root seed {params['root_seed']}, dictionary seed `{facts['seed']}` hashed with it"),
    ]
    measured = [
        f"| {label} | {quality[key]:{form}} | {meaning} |"
        for key, label, form, meaning in MEASURES
        if quality.get(key) is not None
    ]
    where = f" on {quality['n_rows']:,} tokens of" if "n_rows" in quality else ", on"
    parts = [
        "---\n" + yaml.safe_dump(_front_matter(facts, export_format, licence), sort_keys=False) + "---",
        f"# Sparse autoencoder {facts['name']} of run {facts['run']}",
        f"Trained by universality {facts['version']}, recipe `{facts['recipe']}`. It reads raw activations of the "
        "model as it was published or trained (nothing folded, nothing centred); no scale is left to apply.",
        "\n".join(["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows)]),
        "## Quality",
        "\n".join([f"Measured{where} held-out documents:\n", "| | | |", "|---|---|---|", *measured])
        if measured
        else "The run did not measure it.",
        *_warnings(facts["training"]),
        "## How to load it",
        LOADING[export_format] + '```python\nfrom universality.sae import load_sae\n\nsae = load_sae("this/folder")\n'
        "acts = sae.encode(x)         # x (n, d_in), raw activations at the hook point\n"
        "recon = sae.reconstruct(x)\n```",
        "## Provenance",
        f"Artifact `{facts['key']}` of the run's store. Settings of its training:",
        "```json\n" + json.dumps(params["config"], indent=2) + "\n```",
        _terms(facts, licence),
    ]
    return "\n\n".join(parts) + "\n"


def _front_matter(facts: Mapping[str, Any], export_format: str, licence: str) -> dict[str, Any]:
    base = hub_model(facts["pretrained"])
    return {
        **({"license": licence} if licence else {}),
        **({"library_name": "saelens"} if export_format == "saelens" else {}),
        "tags": [*TAGS, *(["saelens"] if export_format == "saelens" else [])],
        **({"base_model": base} if base else {}),
    }


def hub_model(pretrained: Mapping[str, Any] | None) -> str | None:
    """The hub id of a public model with its own weights; None for folders, random weights and models of the run."""
    if pretrained is None or pretrained.get("untrained_seed") is not None or pretrained.get("shuffle_seed") is not None:
        return None
    name = pretrained["name"]
    return name if re.fullmatch(r"[\w.-]+(/[\w.-]+)?", name) and not Path(name).exists() else None


def _model(facts: Mapping[str, Any]) -> str:
    pretrained, native = facts["pretrained"], facts["native"]
    if pretrained is not None:
        name = hub_model(pretrained)
        words = (
            f"`{name}`" if name else "a local model" if Path(pretrained["name"]).exists() else f"`{pretrained['name']}`"
        )
        words += f" at revision `{pretrained['revision']}`" if pretrained.get("revision") else ""
        if pretrained.get("untrained_seed") is not None:
            words += f", random weights from seed {pretrained['untrained_seed']}"
        return words + (", its weights shuffled" if pretrained.get("shuffle_seed") is not None else "")
    if native is None:
        return "not recorded"
    trained = f"trained on {native['tokens']:,} tokens" if native["tokens"] else "untrained (random weights)"
    shape = f"{counted(native['n_layers'], 'layer')}, width {native['d_model']}, vocabulary {native['d_vocab']:,}"
    return (
        f"a transformer of the run, model seed `{native['model_seed']}`: {shape}, {trained}; it lies in the run's store"
    )


def _sparsity(dictionary: SparseAutoencoder) -> list[tuple[str, str]]:
    k = dictionary.activation.config().get("k")
    return [] if k is None else [("k", str(k))]


def _warnings(training: Mapping[str, Any]) -> list[str]:
    said = training.get("warnings", [])
    return ["The training warned:", "\n".join(f"- {warning}" for warning in said)] if said else []


def _terms(facts: Mapping[str, Any], licence: str) -> str:
    base = hub_model(facts["pretrained"])
    chosen = f"Licence: {licence}." if licence else "No licence was chosen for this export (`--license` sets one)."
    return chosen + (f" The terms of `{base}` apply beside it." if base else "")
