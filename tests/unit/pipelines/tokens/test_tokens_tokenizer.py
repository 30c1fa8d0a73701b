import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers

from pipelines.tokens.encode import encode_documents
from pipelines.tokens.tokenizer import bos_id, tokenizer_json, train_tokenizer
from pipelines.tokens.tokenizer_config import HubTokenizer, TokenizerFile, TrainedTokenizer
from pipelines.tokens.vocabulary import byte_of_character, token_bytes, vocabulary_table
from universality.errors import InputError
from universality.transformers.tokenizer import load_tokenizer

TEXTS = [f"The {a} {b} runs on, שלום {b} عالم, 漢字かな {a}!\n\treturn {b}" for a in "abcdefgh" for b in range(40)]
CONFIG = TrainedTokenizer(vocab_size=330)
CONTENT = train_tokenizer(TEXTS, CONFIG)
TOKENIZER = load_tokenizer(CONTENT)


def test_training_is_deterministic():
    assert train_tokenizer(iter(TEXTS), CONFIG) == CONTENT


def test_vocabulary_size_and_separator():
    table = vocabulary_table(TOKENIZER)
    assert len(table) == 330
    assert bos_id(TOKENIZER) == 0
    assert table["special"].tolist() == [True] + [False] * 329
    assert table["token"].dtype == np.int32
    # Every byte is a token, so that every text can be encoded.
    assert {f"{byte:02x}" for byte in range(256)} <= set(table["bytes"])
    assert table["text"][0] == "<|endoftext|>"


def test_no_token_is_longer_than_the_limit():
    content = train_tokenizer(["-" * 400 + f" {i}" for i in range(50)] * 3 + TEXTS, CONFIG)
    assert max(map(len, token_bytes(load_tokenizer(content))[1:])) <= CONFIG.max_token_length


@given(st.text(max_size=80))
@settings(max_examples=150)
def test_bytes_of_the_tokens_joined_are_the_text(text):
    lists = encode_documents(TOKENIZER, [text, "x", text])
    table = token_bytes(TOKENIZER)
    assert b"".join(table[token] for token in lists[0]) == text.encode("utf-8")
    assert lists[0].tolist() == lists[2].tolist()


def test_a_text_that_spells_the_separator_does_not_make_one():
    text = "before <|endoftext|> after"
    ids = encode_documents(TOKENIZER, [text])[0]
    assert 0 not in ids
    table = token_bytes(TOKENIZER)
    assert b"".join(table[token] for token in ids) == text.encode()


def test_encoding_in_batches_changes_nothing(monkeypatch):
    whole = encode_documents(TOKENIZER, TEXTS)
    monkeypatch.setattr("pipelines.tokens.encode._BATCH_BYTES", 100)
    parts = encode_documents(TOKENIZER, TEXTS)
    np.testing.assert_array_equal(whole.tokens, parts.tokens)
    np.testing.assert_array_equal(whole.offsets, parts.offsets)
    assert len(whole) == len(TEXTS)


def test_the_byte_table_is_the_library_s():
    table = byte_of_character()
    assert sorted(table.values()) == list(range(256))
    assert set(table) == set(pre_tokenizers.ByteLevel.alphabet())
    # All bytes of valid UTF-8, through the library's own pre-tokenizer.
    for character in "é\n\x00 ÿĀ漢😀~\x7f\xad":
        pieces = pre_tokenizers.ByteLevel(add_prefix_space=False).pre_tokenize_str(character)
        assert bytes(table[c] for piece, _ in pieces for c in piece) == character.encode()


def test_more_vocabulary_than_the_text_has_pairs_for():
    with pytest.raises(InputError, match=r"vocab_size of the tokenizer must be at most 2\d\d, .*got 5000"):
        train_tokenizer(["tiny text"] * 2, TrainedTokenizer(vocab_size=5000))


def test_a_file(tmp_path):
    path = tmp_path / "tokenizer.json"
    path.write_bytes(CONTENT)
    assert tokenizer_json(TokenizerFile(path=str(path)), []) == CONTENT
    path.write_text("{}")
    with pytest.raises(InputError, match=r"must be a readable tokenizer\.json"):
        tokenizer_json(TokenizerFile(path=str(path)), [])
    with pytest.raises(InputError, match="nowhere"):
        tokenizer_json(TokenizerFile(path=str(tmp_path / "nowhere")), [])


def test_a_local_folder_through_transformers(tmp_path):
    (tmp_path / "tokenizer.json").write_bytes(CONTENT)
    (tmp_path / "tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "<|endoftext|>"})
    )
    loaded = load_tokenizer(tokenizer_json(HubTokenizer(name=str(tmp_path)), []))
    np.testing.assert_array_equal(
        encode_documents(loaded, TEXTS[:5]).tokens, encode_documents(TOKENIZER, TEXTS[:5]).tokens
    )


def test_an_unknown_hub_tokenizer(tmp_path):
    with pytest.raises(InputError, match="must be a tokenizer of the hub"):
        tokenizer_json(HubTokenizer(name=str(tmp_path / "nowhere")), [])


def test_an_unknown_start_token():
    with pytest.raises(InputError, match=r"none of \['<begin>'\]"):
        bos_id(TOKENIZER, "<begin>")


def fallback_tokenizer():
    """A vocabulary as Llama 2 has it: spaces as a low line, bytes as <0xNN>."""
    vocabulary = {"<s>": 0} | {f"<0x{byte:02X}>": byte + 1 for byte in range(256)}
    for token in ("▁", "a", "b", "▁a", "ab"):
        vocabulary[token] = len(vocabulary)
    tokenizer = Tokenizer(models.BPE(vocabulary, [("▁", "a"), ("a", "b")], byte_fallback=True))
    tokenizer.normalizer = normalizers.Replace(" ", "▁")
    tokenizer.decoder = decoders.ByteFallback()
    tokenizer.add_special_tokens(["<s>"])
    return tokenizer


def test_a_byte_fallback_vocabulary():
    tokenizer = load_tokenizer(fallback_tokenizer().to_str().encode())
    table = token_bytes(tokenizer)
    ids = encode_documents(tokenizer, ["ab a é漢"])[0]
    assert b"".join(table[token] for token in ids) == "ab a é漢".encode()
    assert bos_id(tokenizer) == 0


def test_a_vocabulary_that_is_no_bytes_is_refused():
    tokenizer = Tokenizer(models.WordLevel({"a": 0, "[UNK]": 1}, unk_token="[UNK]"))
    with pytest.raises(InputError, match="must be byte-level or with byte fallback"):
        token_bytes(tokenizer)
