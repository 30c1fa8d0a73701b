"""Get a tokenizer: train one, read a file, or take one from the hub."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from pipelines.tokens.tokenizer_config import HubTokenizer, TokenizerConfig, TokenizerFile, TrainedTokenizer
from results.public.no_processes import no_processes
from universality.downloads import check_download
from universality.errors import refusal
from universality.transformers.tokenizer import said_of

SEPARATOR = "<|endoftext|>"
# What the field calls it; where a vocabulary holds several, its own config must say which.
_BOS_NAMES = (SEPARATOR, "<bos>", "<|begin_of_text|>", "<s>", "[BOS]", "</s>", "<eos>")
# Settings under which a text is encoded differently from one time to the next.
_RANDOM = ("dropout", "alpha", "nbest_size")
# Encoded once, so that a tokenizer that cannot is found here.
_PROBE = "a b é 漢\n"


class Chosen(NamedTuple):
    """A tokenizer and what its own config says of it."""

    content: bytes  # tokenizer.json
    start: str | None = None  # its bos token, or the eos token of one that has none; None where nothing says
    notes: tuple[str, ...] = ()  # what was changed, in words


def train_tokenizer(texts: Iterable[str], config: TrainedTokenizer) -> bytes:
    """Train a byte-level BPE (Sennrich et al. 2016, on bytes as in GPT-2).

    Every text can be encoded, and the bytes of its tokens joined are its UTF-8. Training is exact and
    deterministic: equal texts give equal bytes.

    Args:
        texts: training documents only; the tokenizer must not see what is held out.
        config: size of the vocabulary and limits.

    Returns:
        The content of a ``tokenizer.json``; token 0 is ``<|endoftext|>``.

    Raises:
        InputError: the texts do not hold enough frequent pairs for the vocabulary.
    """
    tokenizer = Tokenizer(models.BPE())
    # The library's class attributes and properties are untyped.
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)  # type: ignore[assignment]
    tokenizer.decoder = decoders.ByteLevel()  # type: ignore[assignment]
    trainer = trainers.BpeTrainer(
        vocab_size=config.vocab_size,
        min_frequency=config.min_frequency,
        max_token_length=config.max_token_length,
        special_tokens=[SEPARATOR],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    got = tokenizer.get_vocab_size()
    if got < config.vocab_size:
        constraint = f"at most {got}, all that this text has pairs for"
        remedy = "Lower vocab_size or min_frequency, or give more text."
        raise refusal("vocab_size", "the tokenizer", constraint, config.vocab_size, remedy)
    return tokenizer.to_str(pretty=False).encode("utf-8")


def tokenizer_json(config: TokenizerConfig, texts: Iterable[str]) -> bytes:
    """The ``tokenizer.json`` of :func:`choose_tokenizer`."""
    return choose_tokenizer(config, texts).content


def choose_tokenizer(config: TokenizerConfig, texts: Iterable[str]) -> Chosen:
    """The tokenizer that a config asks for; ``texts`` are read only where one is trained.

    Whatever would make it encode a text differently each time (dropout, sampling) is switched off and noted.

    Raises:
        InputError: no such file or hub tokenizer, a stand-in for one, or one without a fast (Rust) implementation.
    """
    if isinstance(config, TrainedTokenizer):
        return Chosen(train_tokenizer(texts, config))
    chosen = _from_file(Path(config.path).expanduser()) if isinstance(config, TokenizerFile) else _from_hub(config)
    settings = json.loads(chosen.content)
    found = [name for name in _RANDOM if settings["model"].get(name)]
    if not found:
        return chosen
    settings["model"] |= dict.fromkeys(found)
    note = f"The tokenizer is used without its {' and '.join(found)}: a text always becomes the same tokens."
    return Chosen(json.dumps(settings, ensure_ascii=False).encode("utf-8"), chosen.start, (note,))


def bos_id(tokenizer: Tokenizer, bos_token: str | None = None) -> int:
    """Id of the token that starts contexts and separates documents.

    Args:
        tokenizer: any.
        bos_token: its name; None for the only one of the usual names that the vocabulary holds.

    Raises:
        InputError: it is not there, or none or several of the usual names are.
    """
    names = _BOS_NAMES if bos_token is None else (bos_token,)
    found = {name: token for name in names if (token := tokenizer.token_to_id(name)) is not None}
    if len(found) == 1:
        return next(iter(found.values()))
    constraint = "a token of its vocabulary" if not found else "said, where several could be meant"
    got = f"none of {list(names)}" if not found else f"{list(found)}"
    remedy = "Set bos_token to the tokenizer's start or end-of-text token."
    raise refusal("bos_token", "the tokenizer", constraint, got, remedy)


def _from_file(path: Path) -> Chosen:
    remedy = "Give the path of a file saved by the tokenizers library."
    with said_of("tokenizer file", str(path), "a readable tokenizer.json", remedy):
        check_download(path)
        content = path.read_bytes().removeprefix(b"\xef\xbb\xbf")
        Tokenizer.from_str(content.decode("utf-8")).encode(_PROBE)
        beside = path.parent / "tokenizer_config.json"
        config = json.loads(beside.read_text("utf-8-sig")) if beside.is_file() else {}
        return Chosen(content, _start_of(config if isinstance(config, dict) else {}))


def _start_of(config: dict[str, Any]) -> str | None:
    """The bos token of a ``tokenizer_config.json``, else its eos token."""
    for key in ("bos_token", "eos_token"):
        said = config.get(key)
        token = said.get("content") if isinstance(said, dict) else said
        if isinstance(token, str) and token:
            return token
    return None


def _from_hub(config: HubTokenizer) -> Chosen:
    from transformers import AutoTokenizer

    folder = Path(config.name).expanduser()
    name = str(folder) if folder.is_dir() else config.name
    constraint = "a tokenizer of the hub, or a local folder with one"
    remedy = "Check the name, the network, or HF_HUB_OFFLINE; a folder needs tokenizer.json."
    with said_of("tokenizer", config.name, constraint, remedy):
        for file in (folder / "tokenizer.json", folder / "tokenizer_config.json"):
            if file.is_file():
                check_download(file)
        with no_processes(config.name):
            tokenizer = AutoTokenizer.from_pretrained(
                name, revision=config.revision, use_fast=True, trust_remote_code=False
            )
        backend = getattr(tokenizer, "backend_tokenizer", None)
        if backend is not None:
            backend.encode(_PROBE)
    if backend is None:
        constraint, remedy = "a fast (Rust) tokenizer", "Choose a model with a tokenizer.json."
        raise refusal("tokenizer", config.name, constraint, type(tokenizer).__name__, remedy)
    return Chosen(backend.to_str().encode("utf-8"), tokenizer.bos_token or tokenizer.eos_token)


def compare_tokenizers(own: bytes, used: bytes, model: str) -> str | None:
    """What to say where a run's tokenizer is not the one that a model was trained with.

    Args:
        own: ``tokenizer.json`` of the model.
        used: ``tokenizer.json`` of the run.
        model: the model, for words.

    Returns:
        A warning where both give the same ids other rules; None where they are the same.

    Raises:
        InputError: an id stands for different tokens: the model would read another text than was written.
    """
    ours, theirs = (
        Tokenizer.from_str(content.decode("utf-8")).get_vocab(with_added_tokens=True) for content in (used, own)
    )
    meant = {token: text for text, token in theirs.items()}
    wrong = sorted(token for text, token in ours.items() if meant.get(token, text) != text)
    if wrong:
        names = {token: text for text, token in ours.items()}
        got = f"id {wrong[0]} for {names[wrong[0]]!r}, where the model has {meant[wrong[0]]!r} ({len(wrong)} such ids)"
        remedy = (
            "Set tokenizer to {kind: hub, name: the model's own}; or list the model in a group of its own (models: a "
            "list), which is compared with others at the bytes where both end a token."
        )
        raise refusal("tokenizer", model, "the one that the model was trained with", got, remedy)
    a, b = (json.loads(content) for content in (used, own))
    parts = [key for key in ("model", "normalizer", "pre_tokenizer") if _steady(a.get(key)) != _steady(b.get(key))]
    return (
        f"The tokenizer of the run splits text by another {' and '.join(parts)} than that of {model}."
        if parts
        else None
    )


def _steady(part: Any) -> Any:
    """Settings without what was switched off."""
    return {key: value for key, value in part.items() if key not in _RANDOM} if isinstance(part, dict) else part
