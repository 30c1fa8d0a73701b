"""Get a tokenizer: train one, read a file, or take one from the hub."""

from collections.abc import Iterable
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from pipelines.tokens.tokenizer_config import HubTokenizer, TokenizerConfig, TokenizerFile, TrainedTokenizer
from universality.errors import refusal

SEPARATOR = "<|endoftext|>"
# In this order; the field uses the end-of-text token as start of context where there is no other.
_BOS_NAMES = (SEPARATOR, "<bos>", "<|begin_of_text|>", "<s>", "[BOS]", "</s>", "<eos>")


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
    """The ``tokenizer.json`` that a config asks for; ``texts`` are read only where one is trained.

    Raises:
        InputError: no such file or hub tokenizer, or one without a fast (Rust) implementation.
    """
    if isinstance(config, TrainedTokenizer):
        return train_tokenizer(texts, config)
    if isinstance(config, TokenizerFile):
        return _from_file(Path(config.path))
    return _from_hub(config)


def bos_id(tokenizer: Tokenizer, bos_token: str | None = None) -> int:
    """Id of the token that starts contexts and separates documents.

    Raises:
        InputError: none of the usual names is there, or not the one given.
    """
    names = _BOS_NAMES if bos_token is None else (bos_token,)
    for name in names:
        token = tokenizer.token_to_id(name)
        if token is not None:
            return token
    constraint = "a token of its vocabulary"
    remedy = "Set bos_token to the tokenizer's start or end-of-text token."
    raise refusal("bos_token", "the tokenizer", constraint, f"none of {list(names)}", remedy)


def _from_file(path: Path) -> bytes:
    try:
        content = path.read_bytes()
        Tokenizer.from_str(content.decode("utf-8"))
    except Exception as error:  # the library raises bare Exception for a malformed file
        constraint = "a readable tokenizer.json"
        remedy = "Give the path of a file saved by the tokenizers library."
        raise refusal("tokenizer file", str(path), constraint, str(error), remedy) from error
    return content


def _from_hub(config: HubTokenizer) -> bytes:
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(config.name, revision=config.revision, use_fast=True)
    except (OSError, ValueError) as error:
        constraint = "a tokenizer of the hub, or a local folder with one"
        got = str(error).split("\n", maxsplit=1)[0]
        remedy = "Check the name, the network, or HF_HUB_OFFLINE; a folder needs tokenizer.json."
        raise refusal("tokenizer", config.name, constraint, got, remedy) from error
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        constraint, remedy = "a fast (Rust) tokenizer", "Choose a model with a tokenizer.json."
        raise refusal("tokenizer", config.name, constraint, type(tokenizer).__name__, remedy)
    return backend.to_str().encode("utf-8")
