"""Dictionaries that were trained elsewhere: whether one can be compared here, and what it says of where it belongs."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from universality.errors import refusal

if TYPE_CHECKING:
    from universality.sae import SparseAutoencoder

PLACES = (("from", "hook_point"), ("to", "hook_point_out"))
_ALIASES = {"gpt2-small": "gpt2"}


def check_dictionary(dictionary: SparseAutoencoder, source: str) -> None:
    """Refuse a dictionary that reads one place and writes another, whatever its widths.

    Its latents are those of the place that it reads, but what it reconstructs is another: its variance explained, its
    effect on the loss and on the logits would be measured against the wrong activations.

    Raises:
        InputError: a transcoder, a dictionary with a skip connection, or all parts of a crosscoder as one.
    """
    metadata = dictionary.metadata
    if "crosscoder_parts" in metadata and "crosscoder_part" not in metadata:
        n = metadata["crosscoder_parts"]
        legal = f"one of the {n} parts of this crosscoder, 0 to {n - 1}: no model has the activations of all"
        raise refusal("part", source, legal, "none", "Add part to its entry of saes.")
    why = "a skip connection" if dictionary.W_skip is not None else None
    if metadata.get("transcoder") or int(dictionary.b_dec.shape[0]) != dictionary.d_in:
        said = [f"{name} {metadata[key]}" for name, key in PLACES if metadata.get(key)]
        why = " ".join(["a transcoder", *said])
    if why is not None:
        remedy = "Choose a dictionary of one hook point; transcoders cannot be compared here."
        raise refusal("dictionary", source, "one that writes where it reads", why, remedy)


def hook_point_doubts(metadata: Mapping[str, Any], source: str, hook_point: str) -> list[str]:
    """What to say where a dictionary says that it reads somewhere else, or that its training was cut short."""
    said = metadata.get("hook_point")
    doubts = []
    if said and _place(str(said)) != _place(hook_point):
        doubts.append(f"{source} says it reads {said}; here it reads {hook_point}.")
    if metadata.get("warning"):
        doubts.append(f"{source}: {metadata['warning']}.")
    return doubts


def model_doubts(metadata: Mapping[str, Any], source: str, model: str | None) -> list[str]:
    """What to say where a dictionary says that it was trained on another model.

    Args:
        metadata: of the dictionary.
        source: how to call it.
        model: hub id or folder of the transformer that it reads here; None for one that was trained here.
    """
    said = metadata.get("model")
    if not said or (model is not None and _name(str(said)) in _name(model)):
        return []
    return [f"{source} says it was trained on {said}; here it reads {model or 'a transformer of this run'}."]


def _name(model: str) -> str:
    name = model.rstrip("/").rpartition("/")[2].lower()
    return _ALIASES.get(name, name)


def _place(hook_point: str) -> str:
    """What goes into a block is what comes out of the one before."""
    match = re.fullmatch(r"blocks\.(\d+)\.(hook_resid_pre|hook_in|hook_resid_post|hook_out)", hook_point)
    if match is None:
        return hook_point
    after = int(match[1]) + (match[2] in ("hook_resid_post", "hook_out"))
    return f"the residual stream before block {after}"
