"""Dictionaries that were trained elsewhere: whether one can be compared here, and what it says of where it belongs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

from universality.errors import refusal
from universality.sae.places import model_name, place_of

if TYPE_CHECKING:
    from universality.sae import SparseAutoencoder

PLACES = (("from", "hook_point"), ("to", "hook_point_out"))


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
    if metadata.get("hook_head_index") is not None:
        why = f"one that reads head {metadata['hook_head_index']} alone (hook_head_index)"
    if why is not None:
        remedy = "Choose a dictionary of one hook point; transcoders cannot be compared here."
        raise refusal("dictionary", source, "one that writes where it reads", why, remedy)


class Looked(NamedTuple):
    """What a plan knows of a dictionary: its widths, its latents, how many fire where that is fixed, what it says."""

    d_in: int
    d_out: int
    d_sae: int
    k: int | None
    metadata: Mapping[str, Any]


@cache
def look(path: str, part: int | None, digests: tuple[str, ...]) -> Looked:
    """Read a dictionary before anything is computed, once for files of the same ``digests``.

    Raises:
        InputError: as :func:`check_dictionary`, or no dictionary at all.
    """
    from universality.sae.formats import load_sae

    dictionary = load_sae(path, part)
    check_dictionary(dictionary, path)
    d_out, k = int(dictionary.b_dec.shape[0]), getattr(dictionary.activation, "k", None)
    return Looked(dictionary.d_in, d_out, dictionary.d_sae, k, dictionary.metadata)


def check_width(widths: tuple[int, int], source: str, hook_point: str, width: int) -> None:
    """Refuse a dictionary whose ``d_in`` and ``d_out`` are not the width of a hook point.

    Raises:
        InputError: another width.
    """
    if widths != (width, width):
        constraint = f"{width} in and out, the width of {hook_point}"
        remedy = "Name the hook point that it was trained on."
        raise refusal("d_in and d_out", source, constraint, f"{widths[0]} and {widths[1]}", remedy)


@dataclass(frozen=True)
class ReadModel:
    """How a run opens the model whose activations a dictionary reads; its weights are as published.

    Attributes:
        centres: whether it has LayerNorm, so that centring the weights that write takes the mean off the stream.
        start: text of the token that every context starts with.
        starts_as_model: whether that is the model's own first token; None where it has none, or is of this run.
    """

    centres: bool
    start: str
    starts_as_model: bool | None


def as_trained(
    dictionary: SparseAutoencoder, source: str, hook_point: str, model: ReadModel
) -> tuple[SparseAutoencoder, list[str]]:
    """The dictionary for activations as this run reads them, and what to say of what it cannot honour.

    TransformerLens can change a model's weights when it opens it, without changing what it predicts; dictionaries of
    such a model see other activations. Centred weights (``center_writing_weights``) take the mean off every row of the
    stream: the dictionary takes it off itself. What would need the model's weights is refused.

    Raises:
        InputError: names the option of ``model_from_pretrained_kwargs``.
    """
    metadata = dictionary.metadata
    doubts: list[str] = []
    said = metadata.get("model_from_pretrained_kwargs")
    options = {name: value for name, value in said.items() if value} if isinstance(said, dict) else {}
    site = hook_point.rpartition(".")[2]
    for option, sites, why in CHANGED_BY:
        if options.pop(option, False) and (site in sites or any(f".{part}." in hook_point for part in sites)):
            remedy = "Choose a dictionary of a model that was opened with from_pretrained_no_processing."
            legal = f"false for {hook_point}: {why}, and here the model is as it was published"
            raise refusal(f"{option} of model_from_pretrained_kwargs", source, legal, True, remedy)
    is_stream = site in STREAM
    centred = options.pop("center_writing_weights", False) and is_stream and model.centres
    if centred and dictionary.normalisation == "none":
        dictionary = replace(dictionary, normalisation="centred")
    elif centred and dictionary.normalisation != "layer_norm":
        legal = f"false beside normalisation {dictionary.normalisation}"
        raise refusal("center_writing_weights of model_from_pretrained_kwargs", source, legal, True, "Choose another.")
    unknown = sorted(set(options) - HARMLESS)
    if unknown:
        doubts.append(f"{source} was trained on a model opened with {', '.join(unknown)}; here it is as published.")
    if metadata.get("opening_unsaid") and is_stream and model.centres:
        doubts.append(
            f"{source} does not say how its model was opened: if with center_writing_weights, it read rows without "
            "their mean. Add model_from_pretrained_kwargs to its cfg.json."
        )
    bos = metadata.get("prepend_bos")
    if bos is True and model.starts_as_model is False:
        doubts.append(
            f"{source} was trained on contexts that start with the model's first token (prepend_bos); here they start "
            f"with {model.start!r}."
        )
    if bos is False:
        doubts.append(
            f"{source} was trained on contexts without a first token (prepend_bos false); here all start with "
            f"{model.start!r}."
        )
    return dictionary, doubts


def length_doubts(metadata: Mapping[str, Any], source: str, n_ctx: int) -> list[str]:
    """What to say where contexts are longer than those that a dictionary was trained on."""
    size = metadata.get("context_size")
    if not isinstance(size, int) or isinstance(size, bool) or n_ctx <= size:
        return []
    return [f"{source} was trained on contexts of {size} tokens; here they have {n_ctx}."]


#: Places that only weights write which center_writing_weights centres.
STREAM = {
    "hook_embed", "hook_pos_embed", "hook_resid_pre", "hook_resid_mid", "hook_resid_post", "hook_mlp_out",
    "hook_attn_out", "hook_in", "hook_out",
}  # fmt: skip
#: Options that move something else: where they do, and what.
CHANGED_BY = (
    ("fold_ln", {"hook_normalized", "ln1", "ln2"}, "the norm's weights are gone from it"),
    ("fold_value_biases", {"hook_z", "hook_v"}, "the biases of values are gone from it"),
    ("refactor_factored_attn_matrices", {"hook_q", "hook_k", "hook_v", "hook_z"}, "heads have another basis"),
)
#: Options that change no activation, or only their precision or where they are computed.
HARMLESS = {
    "center_unembed", "fold_ln", "fold_value_biases", "refactor_factored_attn_matrices", "device", "device_map",
    "n_devices", "dtype", "torch_dtype", "revision", "trust_remote_code", "low_cpu_mem_usage", "attn_implementation",
    "move_to_device", "local_files_only", "token", "default_padding_side",
}  # fmt: skip


def hook_point_doubts(metadata: Mapping[str, Any], source: str, hook_point: str) -> list[str]:
    """What to say where a dictionary says that it reads somewhere else, or that its training was cut short."""
    said = metadata.get("hook_point")
    doubts = []
    if said and place_of(str(said)) != place_of(hook_point):
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
    if not said or (model is not None and model_name(str(said)) in model_name(model)):
        return []
    return [f"{source} says it was trained on {said}; here it reads {model or 'a transformer of this run'}."]
