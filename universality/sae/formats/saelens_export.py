"""Writing a dictionary so that SAELens (6 and newer) loads it and computes the same."""

from pathlib import Path
from typing import Any

import numpy as np
import torch

from universality.errors import refusal
from universality.sae.activations import AbsTopK, Gated, JumpReLU, ReLU, TopK
from universality.sae.base import SparseAutoencoder
from universality.sae.formats.ours import as_json

#: The first version whose files look like these; SAELens reads older ones otherwise.
WRITTEN_FOR = "6.0.0"
_ARCHITECTURES = {TopK: "topk", AbsTopK: "abstopk", JumpReLU: "jumprelu", ReLU: "standard", Gated: "gated"}
#: Of our metadata, what SAELens's has under the same name.
KEPT = ("training_architecture", "model_from_pretrained_kwargs", "context_size", "prepend_bos", "l0")
_NORMALISATIONS = {"none": "none", "layer_norm": "layer_norm", "constant_norm": "constant_norm_rescale"}


def write(sae: SparseAutoencoder, folder: Path) -> None:
    """Write ``cfg.json`` and ``sae_weights.safetensors``, as ``SAE.load_from_disk`` takes them.

    ``metadata`` may say ``model`` and ``hook_point``; SAELens finds them as ``model_name`` and ``hook_name``.

    Raises:
        InputError: SAELens has no such dictionary: a transcoder, a group-max activation, or a gated one with an
            encoder bias.
    """
    from safetensors.numpy import save_file

    architecture = _ARCHITECTURES.get(type(sae.activation))
    if architecture is None or sae.W_skip is not None or sae.W_dec.shape[1] != sae.d_in:
        legal = f"a dictionary with one of {sorted(_ARCHITECTURES.values())} that writes where it reads"
        got = sae.activation.name if architecture is None else "a transcoder"
        raise refusal("dictionary", "saelens", legal, got, 'Use format="universality".')
    if sae.normalisation not in _NORMALISATIONS:
        legal = f"one of {sorted(_NORMALISATIONS)}"
        raise refusal("normalisation", "saelens", legal, sae.normalisation, 'Use format="universality".')
    tensors = {name: getattr(sae, name) for name in ("W_enc", "W_dec", "b_dec")} | sae.activation.tensors()
    if architecture == "gated":
        if bool(sae.b_enc.any()):
            remedy = "Add it to b_gate, and scaled by exp(r_mag) to b_mag."
            raise refusal("b_enc", "a gated dictionary for saelens", "zero", "other values", remedy)
    else:
        tensors["b_enc"] = sae.b_enc
    if "threshold" in tensors:
        tensors["threshold"] = torch.as_tensor(tensors["threshold"]).expand(sae.d_sae)
    folder.mkdir(parents=True, exist_ok=True)
    arrays = {name: np.array(value.detach().cpu().numpy(), np.float32, order="C") for name, value in tensors.items()}
    save_file(arrays, folder / "sae_weights.safetensors")
    (folder / "cfg.json").write_text(as_json(_config(sae, architecture)), "utf-8")


def _config(sae: SparseAutoencoder, architecture: str) -> dict[str, Any]:
    config: dict[str, Any] = {
        "architecture": architecture,
        "d_in": sae.d_in,
        "d_sae": sae.d_sae,
        "dtype": "float32",
        "device": "cpu",
        "apply_b_dec_to_input": sae.subtract_b_dec,
        "normalize_activations": _NORMALISATIONS[sae.normalisation],
        "reshape_activations": "none",
        "metadata": {
            "sae_lens_version": WRITTEN_FOR,
            "sae_lens_training_version": None,
            "model_name": sae.metadata.get("model"),
            "hook_name": sae.metadata.get("hook_point"),
            **{name: sae.metadata[name] for name in KEPT if name in sae.metadata},
            "written_by": "universality",
        },
    }
    if architecture in ("topk", "abstopk"):
        config |= {"k": sae.activation.config()["k"], "rescale_acts_by_decoder_norm": False}
    return config
