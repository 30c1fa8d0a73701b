import gzip
import json

import pandas as pd
import pytest

from pipelines.corpus import files as corpus_files
from pipelines.corpus.corpus_config import CorpusConfig, JsonLines, ParquetFiles, SplitConfig, TextFolder
from pipelines.corpus.fingerprint import corpus_fingerprint
from pipelines.corpus.read import read_corpus
from pipelines.corpus.split import split_corpus
from universality.errors import InputError

PROSE = "The quick brown fox jumps over the lazy dog, number {i}, and then it sleeps for a while.\n"


def corpus_of(source, **settings):
    return read_corpus(CorpusConfig(sources=(source,), **settings))


@pytest.fixture
def folder(tmp_path):
    for language, text in (("en", "hello world, how are you today? "), ("he", "שלום עולם, מה שלומך היום? ")):
        (tmp_path / language).mkdir()
        for i in range(3):
            (tmp_path / language / f"{i}.txt").write_text("".join(f"{text}{i} {j}\n" for j in range(100)))
    return tmp_path


def test_text_folder_labels_by_folder(folder):
    documents = corpus_of(TextFolder(path=str(folder), domain_by_folder=True)).documents
    assert set(documents["domain"]) == {"en", "he"}
    whole = documents.groupby("source")["text"].sum()
    assert whole["en/1.txt"] == (folder / "en" / "1.txt").read_text()
    assert documents["unit"].nunique() == 6


@pytest.mark.parametrize(("group_by", "n_groups"), [("file", 6), ("folder", 2)])
def test_text_folder_groups_by_file_or_folder(folder, group_by, n_groups):
    documents = corpus_of(TextFolder(path=str(folder), group_by=group_by)).documents
    assert documents["source_group"].nunique() == n_groups
    folders = documents["source"].str.partition("/")[0]
    assert documents.groupby("source_group")["source"].nunique().eq(6 // n_groups).all()
    assert folders.groupby(documents["source_group"]).nunique().eq(1).all()


def test_text_groups_by_chapter_over_a_whole_file(tmp_path, monkeypatch):
    monkeypatch.setattr(corpus_files, "_BLOCK", 10_000)  # units are shorter than chapters
    (tmp_path / "book.txt").write_text("".join(PROSE.format(i=i) for i in range(900)))
    documents = corpus_of(TextFolder(path=str(tmp_path), group_by="chapter")).documents
    sizes = documents.groupby("source_group")["n_bytes"].sum()
    assert len(sizes) == 5
    assert sizes[:-1].between(14_000, 19_000).all()
    assert documents["source_group"].is_monotonic_increasing
    config = SplitConfig(fit_tokens=5_000, score_tokens=5_000, validation_tokens=1_000)
    parts = split_corpus(corpus_of(TextFolder(path=str(tmp_path), group_by="chapter")), config, 0)
    fit, score = (set(parts.loc[parts["part"] == part, "source_group"]) for part in ("fit", "score"))
    assert fit
    assert score
    assert not fit & score


def test_text_folder_labels_by_script(folder):
    documents = corpus_of(TextFolder(path=str(folder), domain_by_script=True)).documents
    assert set(documents["domain"]) == {"latin", "hebrew"}


def test_manifest_counts_the_bytes_of_each_domain(folder):
    corpus = corpus_of(TextFolder(path=str(folder), domain_by_folder=True))
    for domain, facts in corpus.manifest["domains"].items():
        mine = corpus.documents[corpus.documents["domain"] == domain]
        assert facts["bytes"] == mine["n_bytes"].sum() == sum(len(t.encode()) for t in mine["text"])
        assert facts["n_documents"] == len(mine)


def test_duplicates_are_dropped_within_and_across_sources(folder):
    source = TextFolder(path=str(folder))
    once = read_corpus(CorpusConfig(sources=(source,)))
    twice = read_corpus(CorpusConfig(sources=(source, source)))
    pd.testing.assert_frame_equal(once.documents, twice.documents)
    assert twice.manifest["dropped"]["duplicate"] == len(once.documents)


def test_limits(folder):
    few = corpus_of(TextFolder(path=str(folder), max_units=2))
    assert few.documents["source"].unique().tolist() == ["en/0.txt", "en/1.txt"]
    small = corpus_of(TextFolder(path=str(folder), max_bytes=4_000))
    assert 4_000 <= small.documents["n_bytes"].sum() < 4_000 + 2_400


def test_files_larger_than_a_block_keep_every_byte(tmp_path, monkeypatch):
    monkeypatch.setattr(corpus_files, "_BLOCK", 64)
    text = "".join(f"{'漢字' * 9} {i} ж\r\n" for i in range(40))
    (tmp_path / "a.txt").write_bytes(b"\xef\xbb\xbf" + text.encode())
    assert "".join(corpus_of(TextFolder(path=str(tmp_path))).documents["text"]) == text


def test_undecodable_bytes_are_told_by_file_and_offset(tmp_path, monkeypatch):
    monkeypatch.setattr(corpus_files, "_BLOCK", 64)
    good = ("ж" * 40 + "\n").encode() * 5
    (tmp_path / "a.txt").write_bytes(good + b"\xff\xfe" + good)
    with pytest.raises(InputError, match=rf"a\.txt must be valid utf-8; got bytes ff fe.* at offset {len(good)}\."):
        corpus_of(TextFolder(path=str(tmp_path)))


def test_a_character_cut_off_at_the_end_of_a_file_is_an_error(tmp_path, monkeypatch):
    monkeypatch.setattr(corpus_files, "_BLOCK", 81)
    (tmp_path / "a.txt").write_bytes("ж".encode() * 40 + b"\xd0")
    with pytest.raises(InputError, match="offset 80"):
        corpus_of(TextFolder(path=str(tmp_path)))


def test_other_encodings(tmp_path):
    text = "".join(PROSE.format(i=i) + "naïve café\n" for i in range(60))
    (tmp_path / "a.txt").write_bytes(text.encode("utf-16"))
    assert "".join(corpus_of(TextFolder(path=str(tmp_path), encoding="utf-16")).documents["text"]) == text
    with pytest.raises(InputError, match="no encoding 'utf-99'"):
        TextFolder(path=str(tmp_path), encoding="utf-99")


@pytest.mark.parametrize("suffix", [".jsonl", ".jsonl.gz"])
def test_json_lines(tmp_path, suffix):
    rows = [{"body": PROSE.format(i=i), "kind": "odd" if i % 2 else "even", "n": i} for i in range(10)]
    data = "\n".join(json.dumps(row) for row in [*rows, {"body": None, "kind": "odd"}]).encode()
    (tmp_path / f"a{suffix}").write_bytes(gzip.compress(data) if suffix.endswith("gz") else data)
    documents = corpus_of(JsonLines(path=str(tmp_path), text_column="body", domain_column="kind")).documents
    assert documents["text"].tolist() == [row["body"] for row in rows]
    assert documents["domain"].tolist() == [row["kind"] for row in rows]
    assert documents["source"].iloc[3] == f"a{suffix}:4"


def test_json_errors_say_where(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps({"text": PROSE}) + "\n{broken\n")
    with pytest.raises(InputError, match=r"a\.jsonl:2 must be one JSON object; got .* at column 2"):
        corpus_of(JsonLines(path=str(path)))
    path.write_text(json.dumps({"text": 5}))
    with pytest.raises(InputError, match=r"column 'text' of .*:1 must be text; got int 5"):
        corpus_of(JsonLines(path=str(path)))
    path.write_bytes(b'{"text": "a"}\n{"text": "\xff"}\n')
    with pytest.raises(InputError, match="offset 24"):
        corpus_of(JsonLines(path=str(path)))


@pytest.mark.parametrize("kind", ["jsonl", "parquet"])
def test_a_missing_column_names_those_there_are(tmp_path, kind):
    frame = pd.DataFrame({"content": [PROSE], "label": ["a"]})
    if kind == "jsonl":
        frame.to_json(tmp_path / "a.jsonl", orient="records", lines=True)
        source = JsonLines(path=str(tmp_path), text_column="contents")
    else:
        frame.to_parquet(tmp_path / "a.parquet")
        source = ParquetFiles(path=str(tmp_path), text_column="contents")
    with pytest.raises(InputError, match=r"one of \['content', 'label'\]; got 'contents'.*Did you mean 'content'\?"):
        corpus_of(source)


def test_parquet(tmp_path):
    frame = pd.DataFrame({"text": [PROSE.format(i=i) for i in range(600)], "topic": ["a", "b"] * 300})
    frame.to_parquet(tmp_path / "a.parquet")
    documents = corpus_of(ParquetFiles(path=str(tmp_path), domain_column="topic")).documents
    assert documents["text"].tolist() == frame["text"].tolist()
    assert documents["domain"].tolist() == frame["topic"].tolist()
    assert documents["source"].iloc[599] == "a.parquet:599"


@pytest.mark.parametrize("kind", [JsonLines, ParquetFiles])
def test_rows_are_their_own_sources_unless_a_column_or_the_file_groups_them(tmp_path, kind):
    frame = pd.DataFrame(
        {"text": [PROSE.format(i=i) for i in range(60)], "author": [*[f"a{i % 4}" for i in range(59)], None]}
    )
    for part in ("x", "y"):
        half = frame.iloc[:30] if part == "x" else frame.iloc[30:]
        if kind is JsonLines:
            half.to_json(tmp_path / f"{part}.jsonl", orient="records", lines=True)
        else:
            half.to_parquet(tmp_path / f"{part}.parquet")
    groups = {
        name: corpus_of(kind(path=str(tmp_path), **setting)).documents["source_group"]
        for name, setting in {
            "row": {},
            "file": {"group_by": "file"},
            "folder": {"group_by": "folder"},
            "column": {"group_column": "author"},
        }.items()
    }
    assert {name: group.nunique() for name, group in groups.items()} == {
        "row": 60, "file": 2, "folder": 1, "column": 5
    }  # fmt: skip
    assert groups["column"].iloc[:8].tolist() == [0, 1, 2, 3, 0, 1, 2, 3]
    with pytest.raises(InputError, match=r"one of .*'author'.*got 'writer'"):
        corpus_of(kind(path=str(tmp_path), group_column="writer"))


def test_a_file_that_is_no_parquet(tmp_path):
    (tmp_path / "a.parquet").write_bytes(b"no")
    with pytest.raises(InputError, match=r"a\.parquet must be Parquet"):
        corpus_of(ParquetFiles(path=str(tmp_path)))


def test_nothing_to_read(tmp_path):
    with pytest.raises(InputError, match="must be a file or folder"):
        corpus_of(TextFolder(path=str(tmp_path / "nowhere")))
    (tmp_path / "a.md").write_text("x" * 50)
    with pytest.raises(InputError, match=r"files end in \['\.md'\]"):
        corpus_of(TextFolder(path=str(tmp_path)))
    (tmp_path / "a.txt").write_text(" \n" * 100)
    with pytest.raises(InputError, match="got no text"):
        corpus_of(TextFolder(path=str(tmp_path)))


def test_one_document_only(tmp_path):
    (tmp_path / "only.txt").write_text(PROSE)
    with pytest.raises(InputError, match=r"at least two documents.*one document, 'only\.txt'"):
        corpus_of(TextFolder(path=str(tmp_path)))


def test_the_fingerprint_follows_the_content(folder):
    config = CorpusConfig(sources=(TextFolder(path=str(folder)),))
    before = corpus_fingerprint(config)
    assert corpus_fingerprint(config) == before
    (folder / "en" / "0.txt").write_text("changed")
    assert corpus_fingerprint(config) != before
