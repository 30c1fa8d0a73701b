"""The border where checkpoints come in: which architectures are opened, and that every weight is one that was saved."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from results.public.errors import CheckpointRefused

#: Prefixes that wrappers of training put before every name: DDP, torch.compile, FSDP, activation checkpointing.
PREFIXES = r"(?:module|_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module)\."
#: Buffers that old checkpoints hold beside their weights, and that architectures make anew.
_BUFFERS = re.compile(r"(^|\.)(attn|attention|self_attn)\.(bias|masked_bias)$|(^|\.)rotary_emb\.\w+$")
_OTHER_TASKS = re.compile(r"For(?!CausalLM$)\w+$")
_OTHER_SENSES = ("vision_config", "audio_config", "image_config", "speech_config")
_POSITIONS = ("n_positions", "max_position_embeddings", "seq_length", "max_sequence_length", "max_seq_len")
#: Architectures that look positions up in a table: beyond it there is nothing.
_LEARNED = frozenset({"gpt2", "gpt_neo", "opt", "openai-gpt", "gpt_bigcode", "xglm", "biogpt", "codegen", "gptj"})
_TEXT_ONLY = "Take a text-only checkpoint of the family: one whose architecture ends in ForCausalLM or LMHeadModel."


def text_config(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """The part of a ``config.json`` that describes the language model: its ``text_config``, or all of it."""
    inner = config.get("text_config")
    return inner if isinstance(inner, dict) else config


def architecture_of(config: Mapping[str, Any]) -> str:
    """Name of the class whose weights a ``config.json`` describes; "none" where it says none."""
    names = config.get("architectures")
    return str(names[0]) if isinstance(names, list) and names else "none"


def check_architecture(name: str, config: Mapping[str, Any]) -> None:
    """Refuse, by its ``config.json`` alone, what is no decoder of text or would not be opened by installed code.

    Raises:
        CheckpointRefused: several senses, an encoder, another task, quantised weights, or code of its own.
    """
    architecture = architecture_of(config)
    senses = [key for key in _OTHER_SENSES if config.get(key)]
    if senses:
        raise _refusal(name, "a model of text alone", f"{architecture} with {', '.join(senses)}", _TEXT_ONLY)
    if config.get("is_encoder_decoder") or _OTHER_TASKS.search(architecture):
        raise _refusal(name, "one that predicts the next token", architecture, _TEXT_ONLY)
    if config.get("quantization_config"):
        settings = config["quantization_config"]
        method = settings.get("quant_method", "some way") if isinstance(settings, dict) else "some way"
        remedy = "Take the weights as they were before, or dequantise and save them."
        raise _refusal(name, "of full weights", f"weights quantised by {method}", remedy)
    if config.get("auto_map"):
        from transformers.models.auto.configuration_auto import CONFIG_MAPPING

        if str(config.get("model_type")) not in CONFIG_MAPPING:
            remedy = "Take a model that transformers knows: code of a repository is never run."
            raise _refusal(name, "opened by installed code alone", f"code of its own ({architecture})", remedy)


def check_bridge(name: str, hf_config: Any) -> None:
    """Refuse architectures that TransformerLens opens as something else than a decoder of text.

    Raises:
        CheckpointRefused: unknown there, or of images, sound, or masked text.
    """
    from transformer_lens.factories.architecture_adapter_factory import SUPPORTED_ARCHITECTURES
    from transformer_lens.model_bridge.sources._hf_format import determine_architecture_from_hf_config
    from transformer_lens.model_bridge.sources.transformers.helpers import get_hf_model_class_for_architecture
    from transformers import AutoModelForCausalLM

    try:
        architecture = determine_architecture_from_hf_config(hf_config)
    except ValueError:
        architecture = architecture_of(hf_config.to_dict())
    if architecture not in SUPPORTED_ARCHITECTURES:
        raise _refusal(name, "one that TransformerLens knows", architecture, "Take a model of another family.")
    if get_hf_model_class_for_architecture(architecture) is not AutoModelForCausalLM:
        raise _refusal(name, "one that predicts the next token", architecture, _TEXT_ONLY)


def positions(config: Mapping[str, Any]) -> tuple[int | None, bool]:
    """How many positions a model was made for, and whether it has nothing beyond (a table of positions)."""
    text = text_config(config)
    numbers = [text[key] for key in _POSITIONS if type(text.get(key)) is int and text[key] > 0]
    most = numbers[0] if numbers else None
    is_table = str(text.get("model_type")) in _LEARNED or text.get("position_embedding_type") == "absolute"
    return most, is_table


def check_positions(name: str, config: Mapping[str, Any], n_ctx: int) -> str | None:
    """Refuse contexts that are longer than a model's table of positions; of others, say what is beyond their training.

    Returns:
        A warning, or None.

    Raises:
        CheckpointRefused: more tokens a context than positions.
    """
    most, is_table = positions(config)
    if most is None or n_ctx <= most:
        return None
    if is_table:
        constraint = f"at most {most}, the positions of {name}"
        raise CheckpointRefused.worded("n_ctx", "the recipe", constraint, n_ctx, "Lower n_ctx.")
    return f"Contexts of {n_ctx} tokens are longer than the {most} positions that {name} was trained on."


class CheckedLoader:
    """In the place of ``AutoModelForCausalLM``: loads what was saved, all of it and nothing else.

    Args:
        name: the model, for errors.
    """

    def __init__(self, name: str) -> None:
        self.name = name

    def from_pretrained(self, source: str, **options: Any) -> Any:
        """As transformers loads it; names with prefixes of a wrapper are read without them.

        Raises:
            CheckpointRefused: weights that are missing, left over, of another shape or not finite: transformers would
                draw those anew at each load.
        """
        from transformers import AutoModelForCausalLM

        load: Any = AutoModelForCausalLM.from_pretrained  # what it gives follows from the options
        options |= {"output_loading_info": True, "trust_remote_code": False, "ignore_mismatched_sizes": True}
        model, info = load(source, **options)
        if info["missing_keys"] and any(re.match(PREFIXES, key) for key in info["unexpected_keys"]):
            options["key_mapping"] = {rf"^(?:{PREFIXES})+": ""}
            model, info = load(source, **options)
        self._check(info)
        for key, value in model.state_dict().items():
            if value.is_floating_point() and not bool(value.isfinite().all()):
                raise _refusal(self.name, "of finite weights", f"NaN or infinity in {key}", "Take a whole checkpoint.")
        return model

    def from_config(self, config: Any, **options: Any) -> Any:
        """Random weights of that shape."""
        from transformers import AutoModelForCausalLM

        return AutoModelForCausalLM.from_config(config, **options)

    def _check(self, info: Mapping[str, Any]) -> None:
        found = {
            "missing": sorted(info["missing_keys"]),
            "left over": sorted(key for key in info["unexpected_keys"] if not _BUFFERS.search(key)),
            "of another shape": sorted(str(entry[0]) for entry in info["mismatched_keys"]),
        }
        said = "; ".join(f"{len(keys)} {what} ({_some(keys)})" for what, keys in found.items() if keys)
        if said:
            remedy = "Save the whole model, head included, with save_pretrained of its own class."
            raise CheckpointRefused.worded("weights", self.name, "those that its config.json describes", said, remedy)


def _some(keys: Iterable[str]) -> str:
    keys = list(keys)
    return ", ".join(keys[:3]) + (", …" if len(keys) > 3 else "")


def _refusal(name: str, constraint: str, got: str, remedy: str) -> CheckpointRefused:
    return CheckpointRefused.worded("architecture", name, constraint, got, remedy)
