"""The tokenizer of a run, wherever text becomes the tokens that its models read."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tokenizers import Tokenizer

from universality.errors import UniversalityError, refusal


@contextmanager
def said_of(what: str, where: str, constraint: str, remedy: str) -> Iterator[None]:
    """Whatever goes wrong inside becomes one sentence.

    The library raises bare Exception, and panics of Rust, which are none.
    """
    try:
        yield
    except (UniversalityError, KeyboardInterrupt, SystemExit, GeneratorExit):
        raise
    except BaseException as error:
        got = str(error).split("\n", maxsplit=1)[0]
        raise refusal(what, where, constraint, got, remedy) from error


def encoding():
    """The words for a text that a tokenizer cannot take."""
    return said_of("text", "the tokenizer", "one that it can encode", "Choose another tokenizer.")


def load_tokenizer(content: bytes) -> Tokenizer:
    """A tokenizer that encodes text as text: a document that spells a special token does not make one."""
    tokenizer = Tokenizer.from_str(content.decode("utf-8"))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    tokenizer.encode_special_tokens = True
    return tokenizer
