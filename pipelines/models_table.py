"""The table ``models``: what every dictionary of a comparison is, and how good."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from pipelines.engine.step import StepContext
from pipelines.hub_dictionaries import sae_source
from results.schema import DICTIONARY_DOMAINS, MODELS
from results.stored_comparison import input_name
from universality.sae.architectures import ARCHITECTURES
from universality.sae.sae_config import SAETrainingConfig

if TYPE_CHECKING:
    from pandas import DataFrame

    from storage import Artifact
    from universality.compare.compare_config import CompareConfig
    from universality.compare.pair import Dictionary


#: Columns that the step ``latents`` measured.
QUALITY = (
    "fvu", "l0", "dead_fraction",
    "ce_clean", "ce_spliced", "ce_zero", "ce_recovered", "kl_spliced", "kl_zero", "kl_recovered",
)  # fmt: skip


def models_table(ctx: StepContext, dictionaries: Mapping[str, Dictionary], compare: CompareConfig) -> DataFrame:
    """One row per dictionary: what it was trained on and how good it is, measured on the score rows."""
    from pandas import DataFrame

    p, inputs = ctx.params, ctx.inputs
    rows = []
    for name in (*p["trained"], *p["replicates"], *p["untrained"]):
        model = p["replicates"].get(name, name)
        transformer, dictionary = inputs[input_name("transformer", model)], inputs[input_name("sae", name)]
        config, quality = dictionary.json("sae_config"), inputs[input_name("latents", name)].json("quality")
        seed, trained = _origin(transformer)
        status = dictionaries[name].status
        rows.append(
            {
                "model": name,
                "role": _role(name, p),
                "replicate_of": model if name in p["replicates"] else None,
                "model_seed": seed,
                "sae_seed": _sae_seed(dictionary),
                "sae_source": sae_source(dictionary.manifest["params"]),
                "hook_point": p.get("hook_points", {}).get(name, p["hook_point"]),
                "d_in": config["d_in"],
                "architecture": config["metadata"].get("training_architecture") or config["architecture"],
                "d_sae": config["d_sae"],
                "k": config.get("k"),
                "sparsity": sparsity_words(dictionary.manifest["params"].get("config", {}), config.get("k")),
                "train_tokens": trained["tokens"],
                "heldout_loss": trained["heldout_loss"],
                "sae_tokens": dictionary.manifest["facts"].get("training_tokens"),
                **{key: quality[key] for key in QUALITY},
                **{f"n_{kind}": int((status == kind).sum()) for kind in ("alive", "rare", "dead")},
                "n_dense": int((dictionaries[name].statistics.firing_rate > compare.dense_rate).sum()),
                "max_init_cosine": _max_init_cosine(dictionary),
                **_decoder_norms(dictionary),
            }
        )
    return MODELS.typed(DataFrame(rows))


def dictionary_domains(ctx: StepContext) -> DataFrame:
    """The table ``dictionary_domains``: how much of each domain's variance about its own mean a dictionary leaves."""
    from pandas import DataFrame

    p = ctx.params
    rows = [
        (name, domain, n_rows, fvu)
        for name in (*p["trained"], *p["replicates"], *p["untrained"])
        for domain, n_rows, fvu in ctx.inputs[input_name("latents", name)].json("quality_by_domain")
    ]
    return DataFrame(rows, columns=DICTIONARY_DOMAINS.names)


def _sae_seed(dictionary: Artifact) -> str | None:
    """What the seed was hashed from; None for a dictionary from elsewhere."""
    parts = dictionary.manifest["params"].get("sae_seed")
    return None if parts is None else "/".join(map(str, parts))


def sparsity_words(trained: Mapping[str, Any], k: int | None) -> str | None:
    """The number that sets how many latents fire, by its name; None where only the dictionary's maker knows.

    Args:
        trained: the config of a training, or nothing for a dictionary from elsewhere.
        k: what a dictionary itself says.
    """
    for name in ("target_l0", "l0_coefficient", "l1_coefficient"):
        if trained.get(name) is not None:
            return f"{name} {trained[name]:g}"
    if "l1_coefficient" in getattr(ARCHITECTURES.get(trained.get("architecture", "")), "settings", ()):
        return f"l1_coefficient {SAETrainingConfig(**trained).penalty_coefficient:g}"  # the default
    k = trained.get("k", k)
    return None if k is None else f"k {k}"


def _decoder_norms(dictionary: Artifact) -> dict[str, float]:
    """Smallest and largest norm of a decoder row: 1 and 1 for those trained here, whatever they are for others."""
    norms = np.linalg.norm(dictionary.tensors("sae")["W_dec"].astype(np.float64), axis=1)
    return {"decoder_norm_min": float(norms.min()), "decoder_norm_max": float(norms.max())}


def _max_init_cosine(dictionary: Artifact) -> float | None:
    if not dictionary.has("init_cosine"):
        return None
    return float(np.max(dictionary.array("init_cosine"), initial=0.0))


def _role(name: str, params: dict[str, Any]) -> str:
    if name in params["replicates"]:
        return "replicate"
    return "primary" if name in params["trained"] else "untrained"


def _origin(transformer: Artifact) -> tuple[str, dict[str, Any]]:
    """What a transformer came from, in a word, and how it was trained as far as that is known."""
    if transformer.has("training"):
        params = transformer.manifest["params"]
        seed = params.get("model_seed", "/".join(params.get("shuffle", [])))
        return str(seed), transformer.json("training")
    spec = transformer.json("pretrained")
    name = spec["name"] if spec["revision"] is None else f"{spec['name']}@{spec['revision']}"
    if "dtype" in spec:
        name = f"{name} in {spec['dtype']}"
    if spec.get("shuffle_seed") is not None:
        name = f"{name} (shuffled weights)"
    if spec["untrained_seed"] is not None:
        name = f"{name} (random weights {spec['untrained_seed']})"
    return name, {"tokens": None, "heldout_loss": None}
