"""The rows that several tokenizers share: what is laid out, left out, told and refused."""

from __future__ import annotations

import json
from itertools import cycle

import numpy as np
import pandas as pd
import pytest
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from pipelines.tokens.build import TokenizerResult
from pipelines.tokens.identity import content_digest
from pipelines.tokens.shared_rows import evaluation_of
from pipelines.tokens.tokenizer_config import TokensConfig
from pipelines.tokens.vocabulary import vocabulary_table
from universality.errors import InputError

CONFIG = TokensConfig(n_ctx=16, fit_tokens=400, score_tokens=400)
WORDS = "an the καὶ 漢字 🙂 been\r\n seen e\u0301te\u0301 thing "


def tokenizer(texts: list[str], *, pieces: str = "", size: int = 300, normalizer=None) -> TokenizerResult:
    """A byte-level BPE of the texts, inside pieces of a pattern where one is given."""
    made = Tokenizer(models.BPE())
    if normalizer is not None:
        made.normalizer = normalizer
    bytes_of = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=not pieces)
    split = [pre_tokenizers.Split(Regex(pieces), "isolated")] if pieces else []
    made.pre_tokenizer = pre_tokenizers.Sequence([*split, bytes_of])
    made.decoder = decoders.ByteLevel()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    made.train_from_iterator(
        texts,
        trainers.BpeTrainer(vocab_size=size, special_tokens=["<s>"], initial_alphabet=alphabet, show_progress=False),
    )
    vocabulary = vocabulary_table(made)
    return TokenizerResult(made.to_str().encode(), vocabulary, {"d_vocab": len(vocabulary), "bos": 0})


def marked(texts: list[str], size: int) -> TokenizerResult:
    """A BPE with byte fallback and marks for spaces, one of them in front of the text, as of sentencepiece."""
    made = Tokenizer(models.BPE(byte_fallback=True, unk_token=None))
    made.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    bytes_of = [f"<0x{byte:02X}>" for byte in range(256)]
    made.train_from_iterator(texts, trainers.BpeTrainer(vocab_size=size, special_tokens=["<s>"], show_progress=False))
    settings = json.loads(made.to_str())
    vocabulary = settings["model"]["vocab"]
    vocabulary |= {name: len(vocabulary) + i for i, name in enumerate(bytes_of)}
    content = json.dumps(settings).encode()
    table = vocabulary_table(Tokenizer.from_str(content.decode()))
    return TokenizerResult(content, table, {"d_vocab": len(table), "bos": 0})


def documents(texts: list[str]) -> pd.DataFrame:
    """Every document a source of its own, dealt to both halves in turn."""
    return pd.DataFrame(
        {
            "document": range(len(texts)), "text": texts, "domain": ["a", "b"] * (len(texts) // 2),
            "source_group": range(len(texts)), "n_bytes": [len(text.encode()) for text in texts],
            "part": [part for part, _ in zip(cycle(["fit", "fit", "score", "score"]), texts, strict=False)],
        }
    )  # fmt: skip


@pytest.fixture(scope="module")
def texts() -> list[str]:
    rng = np.random.default_rng(0)
    words = WORDS.split(" ")[:-1]
    return [" ".join(words[i] for i in rng.integers(len(words), size=40)) for _ in range(40)]


def spelled(contexts: np.ndarray, vocabulary: pd.DataFrame) -> list[bytes]:
    pieces = [
        b"\0" if special else bytes.fromhex(data)
        for data, special in zip(vocabulary["bytes"], vocabulary["special"], strict=True)
    ]
    return [b"".join(pieces[token] for token in context) for context in contexts]


def test_every_tokenizer_reads_the_same_text_in_its_own_tokens(texts):
    made = [tokenizer(texts, size=300), tokenizer(texts[:9], size=280), marked(texts, 120)]
    found = evaluation_of(documents(texts), made, ["a", "b", "c"], CONFIG, 0)
    of = [spelled(found.arrays[f"eval_contexts.t{i}"], one.vocabulary) for i, one in enumerate(made)]
    shared = spelled(found.arrays["eval_contexts"], found.vocabulary)
    for context, own in enumerate(zip(shared, *of, strict=True)):
        # Sentencepiece's mark in front of a document reads as a space, and is the one thing that is not the text.
        first, *others = [text.rstrip(b"\0") for text in own]
        assert others[0] == others[1] == first, context
        assert others[2].replace(b"\0 ", b"\0") == first.replace(b"\0 ", b"\0")
    n = len(found.arrays["row_fit"])
    assert len(found.arrays["row_tokens"]) == n == found.facts["n_rows"]
    whole = found.coverage[found.coverage["domain"] == ""]
    assert (whole["n_rows"] == n).all()
    np.testing.assert_allclose(whole["coverage"], whole["n_rows"] / whole["n_tokens"])
    # Rows of one choice of tokens are rows of one token under each tokenizer.
    for i in range(3):
        of_choice = pd.Series(found.arrays[f"row_token.t{i}"]).groupby(found.arrays["row_tokens"]).nunique()
        assert (of_choice == 1).all()
    again = evaluation_of(documents(texts), made[::-1], ["c", "b", "a"], CONFIG, 0)
    np.testing.assert_array_equal(again.arrays["row_document"], found.arrays["row_document"])
    np.testing.assert_array_equal(again.arrays["eval_contexts"], found.arrays["eval_contexts"])


def test_word_pieces_end_where_their_letters_do():
    rng = np.random.default_rng(1)
    words = ["the", "thing", "seen", "été", "being,", "and"]
    texts = ["  ".join(words[i] for i in rng.integers(len(words), size=30)) for _ in range(40)]
    made = Tokenizer(models.WordPiece(unk_token="[UNK]"))  # pyright: ignore[reportCallIssue]
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()  # pyright: ignore[reportAttributeAccessIssue]
    made.train_from_iterator(
        texts[:-1], trainers.WordPieceTrainer(vocab_size=40, special_tokens=["[CLS]", "[UNK]"], show_progress=False)
    )
    made.add_special_tokens(["[CLS]", "[UNK]"])
    table = vocabulary_table(made)
    pieces = TokenizerResult(made.to_str().encode(), table, {"d_vocab": len(table), "bos": 0})
    texts[1] += " ⨁"  # no piece has it
    bytes_of = tokenizer(texts, size=262)
    found = evaluation_of(documents(texts), [pieces, bytes_of], ["pieces", "bytes"], CONFIG, 0)
    assert found.facts["documents_left_out"] == [1, 0]
    own, other = (
        spelled(found.arrays[f"eval_contexts.t{i}"], of.vocabulary) for i, of in enumerate((pieces, bytes_of))
    )
    for a, b in zip(own, other, strict=True):
        assert a.replace(b" ", b"").rstrip(b"\0").endswith(b.replace(b" ", b"").rstrip(b"\0")[-20:])
    # The pieces of a word end where its bytes do, and no row stands in the spaces between.
    text, row = texts[int(found.arrays["row_document"][0])].encode(), found.vocabulary.set_index("token")["bytes"]
    said = [bytes.fromhex(row[token]) for token in found.arrays["row_token"][:20]]
    assert text.startswith(b"".join(said))
    assert not any(piece.endswith(b" ") for piece in said)
    small = json.loads(pieces.content) | {"normalizer": {"type": "BertNormalizer", "lowercase": True}}
    changed = pieces._replace(content=json.dumps(small).encode())
    with pytest.raises(InputError, match="writes all letters small"):
        evaluation_of(documents(texts), [changed, bytes_of], ["pieces", "bytes"], CONFIG, 0)


def test_documents_that_a_tokenizer_does_not_spell_are_left_out_and_told(texts):
    composes = tokenizer(texts, normalizer=normalizers.NFC())
    plain = tokenizer(texts, size=280)
    few = [text.replace("e\u0301", "é") if i % 20 else text for i, text in enumerate(texts)]
    found = evaluation_of(documents(few), [composes, plain], ["nfc", "plain"], CONFIG, 0)
    changed = [i for i, text in enumerate(few) if "e\u0301" in text]
    assert changed
    assert found.facts["documents_left_out"] == [len(changed), 0]
    assert f"{len(changed)} of nfc" in found.facts["warnings"][-1]
    assert not np.isin(found.arrays["row_document"], changed).any()
    with pytest.raises(InputError, match=r"tokenizer of nfc must be one that spells what it reads"):
        evaluation_of(documents(texts), [composes, plain], ["nfc", "plain"], CONFIG, 0)


def test_tokenizers_that_share_too_little_are_refused_and_others_told():
    texts = ["ab" * 60 for _ in range(40)]
    twos, threes, fours = (tokenizer(texts, pieces=f".{{{n}}}", size=262) for n in (2, 3, 4))
    with pytest.raises(
        InputError, match=r"ends of tokens of the evaluation text must be shared .*at least 60%; got 50%"
    ):
        evaluation_of(documents(texts), [twos, threes], ["twos", "threes"], CONFIG, 0)
    found = evaluation_of(documents(texts), [twos, fours], ["twos", "fours"], CONFIG, 0)
    assert found.coverage.query("domain == ''")["coverage"].tolist() == [0.5, 1.0]
    assert any("50% of the tokens of twos end inside" in warning for warning in found.facts["warnings"])


def test_what_a_tokenizer_holds_decides_which_it_is(texts):
    one, same, other = tokenizer(texts), tokenizer(texts), tokenizer(texts, size=280)
    assert content_digest(one.content) == content_digest(same.content) != content_digest(other.content)
    padded = json.loads(one.content) | {"padding": {"strategy": "BatchLongest"}, "version": "9"}
    assert content_digest(json.dumps(padded).encode()) == content_digest(one.content)
    composed = json.loads(one.content) | {"normalizer": {"type": "NFC"}}
    assert content_digest(json.dumps(composed).encode()) != content_digest(one.content)
