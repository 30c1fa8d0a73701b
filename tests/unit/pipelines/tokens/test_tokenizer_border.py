"""Tokenizers of other people: their own start token, no chance, and the one that the model was trained with."""

from __future__ import annotations

import json

import pandas as pd
import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from pipelines.corpus.fingerprint import tokenizer_fingerprint
from pipelines.tokens.build import build_tokenizer
from pipelines.tokens.encode import encode_documents
from pipelines.tokens.tokenizer import choose_tokenizer, compare_tokenizers, tokenizer_json
from pipelines.tokens.tokenizer_config import HubTokenizer, TokenizerFile, TrainedTokenizer
from universality.errors import InputError
from universality.transformers.tokenizer import load_tokenizer

NO_TEXT = pd.DataFrame({"part": [], "repeats": [], "text": [], "n_bytes": []})


def trained(special, size=290):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size, special_tokens=special, show_progress=False,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
    )  # fmt: skip
    tokenizer.train_from_iterator(["the quick brown fox jumps over the lazy dog"] * 50, trainer)
    return tokenizer


def saved(folder, special, **named):
    from transformers import PreTrainedTokenizerFast

    PreTrainedTokenizerFast(tokenizer_object=trained(special), **named).save_pretrained(folder)
    return str(folder)


OWN = [
    # OPT starts with </s> although its vocabulary holds <s>; Phi-3 with <s> although it holds <|endoftext|>.
    (["<s>", "<pad>", "</s>", "<unk>"], {"bos_token": "</s>", "eos_token": "</s>"}, "</s>"),
    (["<unk>", "<s>", "</s>", "<|endoftext|>"], {"bos_token": "<s>", "eos_token": "<|endoftext|>"}, "<s>"),
    (["<|endoftext|>", "<s>"], {"eos_token": "<s>"}, "<s>"),
    (["<start>", "<|endoftext|>"], {"bos_token": "<start>"}, "<start>"),
]


@pytest.mark.parametrize(("special", "named", "expected"), OWN)
def test_contexts_start_with_the_model_s_own_token(tmp_path, special, named, expected):
    folder = saved(tmp_path, special, **named)
    for config in (HubTokenizer(name=folder), TokenizerFile(path=f"{folder}/tokenizer.json")):
        result = build_tokenizer(NO_TEXT, config)
        assert result.facts["bos"] == load_tokenizer(result.content).token_to_id(expected)
    other = build_tokenizer(NO_TEXT, HubTokenizer(name=folder, bos_token=special[-1]))
    assert other.facts["bos"] == len(special) - 1, "what the recipe says goes before"


def test_a_bare_file_with_several_usual_names_must_be_told(tmp_path):
    path = tmp_path / "tokenizer.json"
    trained(["<s>", "</s>"]).save(str(path))
    with pytest.raises(InputError, match=r"bos_token .* must be said, where several .* got \['<s>', '</s>'\]"):
        build_tokenizer(NO_TEXT, TokenizerFile(path=str(path)))
    assert build_tokenizer(NO_TEXT, TokenizerFile(path=str(path), bos_token="</s>")).facts["bos"] == 1
    trained(["<s>"]).save(str(path))
    assert build_tokenizer(NO_TEXT, TokenizerFile(path=str(path))).facts["bos"] == 0


def test_dropout_is_switched_off_and_said(tmp_path):
    path = tmp_path / "tokenizer.json"
    tokenizer = trained(["<s>"])
    text = "the quick brown fox jumps over the lazy dog"
    expected = tokenizer.encode(text).ids
    tokenizer.model.dropout = 0.5
    tokenizer.save(str(path))
    chosen = choose_tokenizer(TokenizerFile(path=str(path)), [])
    assert "without its dropout" in chosen.notes[0]
    used = load_tokenizer(chosen.content)
    assert all(used.encode(text).ids == expected for _ in range(30))


def test_another_file_under_the_same_path_is_another_tokenizer(tmp_path):
    folder = saved(tmp_path, ["<s>", "</s>"], bos_token="<s>")
    configs = [HubTokenizer(name=folder), TokenizerFile(path=f"{folder}/tokenizer.json")]
    before = [tokenizer_fingerprint(config) for config in configs]
    assert before == [tokenizer_fingerprint(config) for config in configs]
    assert set(before[0]) == {"tokenizer.json", "tokenizer_config.json"}
    config = json.loads((tmp_path / "tokenizer_config.json").read_text())
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({**config, "bos_token": "</s>"}))
    assert all(tokenizer_fingerprint(config) != old for config, old in zip(configs, before, strict=True))
    assert tokenizer_fingerprint(HubTokenizer(name="owner/name")) == tokenizer_fingerprint(TrainedTokenizer()) == {}
    with pytest.raises(InputError, match="no such file"):
        tokenizer_fingerprint(TokenizerFile(path=f"{folder}/nowhere.json"))


def test_stand_ins_and_malformed_files_are_told(tmp_path, monkeypatch):
    path = tmp_path / "tokenizer.json"
    for content, words in (
        (b"version https://git-lfs.github.com/spec/v1\n", "a git-lfs pointer"),
        (b"<html></html>", "a web page"),
        (b'{"model": 3}', "a readable tokenizer.json"),
    ):
        path.write_bytes(content)
        with pytest.raises(InputError, match=words):
            tokenizer_json(TokenizerFile(path=str(path)), [])
    with pytest.raises(InputError, match="must be a tokenizer of the hub"):
        tokenizer_json(HubTokenizer(name=str(tmp_path)), [])
    monkeypatch.setenv("HOME", str(tmp_path))
    path.write_bytes("\ufeff".encode() + trained(["<s>"]).to_str().encode())
    assert tokenizer_json(TokenizerFile(path="~/tokenizer.json"), []) == path.read_bytes()[3:]


def test_code_of_a_tokenizer_s_repository_is_never_run(tmp_path):
    (tmp_path / "evil.py").write_text("raise SystemExit('run')")
    config = {"tokenizer_class": "Evil", "auto_map": {"AutoTokenizer": ["evil.Evil", None]}}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(config))
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "evil"}))
    with pytest.raises(InputError, match="must be a tokenizer of the hub"):
        tokenizer_json(HubTokenizer(name=str(tmp_path)), [])


def test_the_tokenizer_is_the_one_that_the_model_was_trained_with():
    own, longer = (trained(["<s>"], size).to_str().encode() for size in (270, 290))
    assert compare_tokenizers(own, own, "m") is None
    with pytest.raises(InputError, match=r"tokenizer of m .*; got id 0 for '<t>', where the model has '<s>'"):
        compare_tokenizers(own, trained(["<t>"]).to_str().encode(), "m")
    assert "another model" in (compare_tokenizers(longer, own, "m") or "")
    other = trained(["<s>"], 270)
    other.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    assert "another pre_tokenizer" in (compare_tokenizers(own, other.to_str().encode(), "m") or "")
    dropped = trained(["<s>"], 270)
    dropped.model.dropout = 0.1
    assert compare_tokenizers(dropped.to_str().encode(), own, "m") is None


def panicking():
    """A tokenizer whose normalizer leaves its table at any letter: Rust panics, which is no Exception of Python."""
    settings = json.loads(trained(["<s>"]).to_str())
    settings["normalizer"] = {"type": "Precompiled", "precompiled_charsmap": "BAAAAP////8="}
    return settings


def test_a_panic_of_rust_is_one_sentence(tmp_path, capfd):
    path = tmp_path / "tokenizer.json"
    path.write_text(json.dumps(panicking()))
    with pytest.raises(
        InputError, match=r"^tokenizer file of \S+ must be a readable tokenizer.json; got index out of"
    ) as one:
        choose_tokenizer(TokenizerFile(path=str(path)), [])
    with pytest.raises(
        InputError, match=r"^text of the tokenizer must be one that it can encode; got index out of"
    ) as two:
        encode_documents(Tokenizer.from_str(path.read_text()), ["a b é"])
    assert "\n" not in f"{one.value}{two.value}"
    assert "panicked" in capfd.readouterr().err, "whether it was a panic at all"


def test_ids_far_beyond_the_tokens_are_refused(tmp_path):
    settings = json.loads(trained(["<s>"]).to_str())
    settings["model"]["vocab"]["zz"] = 4_000_000_000
    path = tmp_path / "tokenizer.json"
    path.write_text(json.dumps(settings))
    with pytest.raises(InputError, match="largest id of the tokenizer must be below 10,000,000; got 4000000000"):
        build_tokenizer(NO_TEXT, TokenizerFile(path=str(path)))
