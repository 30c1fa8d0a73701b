"""Folders and files of text as they are found: nothing lost or mislabelled in silence, every error with its place."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import os

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.corpus.corpus_config import CorpusConfig, HubDataset, JsonLines, ParquetFiles, TextFolder
from pipelines.corpus.fingerprint import corpus_fingerprint
from pipelines.corpus.listing import matching_files
from pipelines.corpus.read import read_corpus
from universality.errors import InputError

ROWS = [{"text": f"document {i} about nothing in particular, long enough to be kept"} for i in range(60)]


def lines(rows):
    return "".join(json.dumps(row) + "\n" for row in rows)


def read(source):
    return read_corpus(CorpusConfig(sources=(source,)))


def warned(corpus):
    return " ".join(corpus.manifest.get("warnings", []))


def test_links_to_folders_are_followed_once(tmp_path):
    data, elsewhere = tmp_path / "data", tmp_path / "elsewhere"
    data.mkdir()
    elsewhere.mkdir()
    (data / "a.jsonl").write_text(lines(ROWS[:30]))
    (elsewhere / "b.jsonl").write_text(lines(ROWS[30:]))
    (data / "part2").symlink_to(elsewhere)
    (data / "again").symlink_to(elsewhere)
    (data / "round").symlink_to(data)
    (data / "gone.jsonl").symlink_to(tmp_path / "nowhere")
    corpus = read(JsonLines(path=str(data)))
    assert len(corpus.documents) == 60
    assert "1 links that lead nowhere were passed over (gone.jsonl)" in warned(corpus)
    assert "2 folders that are reached by two ways were read once" in warned(corpus)
    before = corpus_fingerprint(CorpusConfig(sources=(JsonLines(path=str(data)),)))
    (elsewhere / "b.jsonl").write_text(lines(ROWS[31:]))
    assert corpus_fingerprint(CorpusConfig(sources=(JsonLines(path=str(data)),))) != before


def test_hidden_files_and_files_beside_data_are_passed_over_and_said(tmp_path):
    (tmp_path / "data.jsonl").write_text(lines(ROWS))
    (tmp_path / "._data.jsonl").write_bytes(b"\x00\x05\x16\x07\xf9\xff")
    (tmp_path / ".ipynb_checkpoints").mkdir()
    (tmp_path / ".ipynb_checkpoints/data.jsonl").write_text(lines(ROWS[:9]))
    for name in ("data.jsonl.lock", "data.jsonl.sha256", "data.jsonl~"):
        (tmp_path / name).write_text("x")
    corpus = read(JsonLines(path=str(tmp_path)))
    assert len(corpus.documents) == 60
    assert "2 hidden files were passed over (._data.jsonl, .ipynb_checkpoints/data.jsonl)" in warned(corpus)
    assert "3 files that other programs put beside data were passed over" in warned(corpus)
    asked = matching_files(JsonLines(path=str(tmp_path), pattern=".ipynb_checkpoints/*.jsonl"))
    assert [name for name, _ in asked] == [".ipynb_checkpoints/data.jsonl"]
    assert len(matching_files(JsonLines(path=str(tmp_path), pattern="*.lock"))) == 1


def test_names_that_are_no_utf8_are_read(tmp_path):
    with open(os.fsencode(tmp_path) + b"/caf\xe9.txt", "w") as file:
        file.write("".join(f"{row['text']}\n" for row in ROWS))
    source = TextFolder(path=str(tmp_path))
    assert set(read(source).documents["source"]) == {"caf\\xe9.txt"}
    assert corpus_fingerprint(CorpusConfig(sources=(source,)))[0]["files"]


def test_folders_that_cannot_be_listed_are_told(tmp_path, monkeypatch):
    (tmp_path / "a.txt").write_text("x")
    (tmp_path / "closed").mkdir()
    real = os.scandir

    def refuse(path):
        if str(path).endswith("closed"):
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(InputError, match=r"folder of .*closed must be readable"):
        matching_files(TextFolder(path=str(tmp_path)))


@pytest.mark.parametrize("pattern", ["/data/*.txt", "../*.txt", "a/../*.txt", "", " ", "a//b"])
def test_a_pattern_is_relative(tmp_path, pattern):
    with pytest.raises(InputError, match="pattern must be relative to path"):
        TextFolder(path=str(tmp_path), pattern=pattern)


@pytest.mark.parametrize("encoding", ["hex", "zlib", "base64", "rot13", "undefined", "utf-99"])
def test_an_encoding_is_one_of_text(tmp_path, encoding):
    with pytest.raises(InputError, match=f"no encoding '{encoding}' of text"):
        TextFolder(path=str(tmp_path), encoding=encoding)


COMPRESS = {".gz": gzip.compress, ".bz2": bz2.compress, ".xz": lzma.compress}


@pytest.mark.parametrize("suffix", COMPRESS)
def test_compressed_files_are_read_or_told(tmp_path, suffix):
    compress = COMPRESS[suffix]
    path = tmp_path / f"posts.jsonl{suffix}"
    whole = compress(lines(ROWS).encode())
    path.write_bytes(whole)
    assert len(read(JsonLines(path=str(tmp_path))).documents) == 60
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match=rf"posts\.jsonl\{suffix}.* must be whole; got a file that ends early"):
        read(JsonLines(path=str(tmp_path)))
    path.write_text(lines(ROWS))
    with pytest.raises(InputError, match=rf"content of .*posts\.jsonl\{suffix} must be readable as"):
        read(JsonLines(path=str(tmp_path)))
    text = tmp_path / f"a.txt{suffix}"
    text.write_bytes(compress("".join(f"{row['text']}\n" for row in ROWS).encode()))
    assert read(TextFolder(path=str(tmp_path), pattern="*.txt*")).documents["text"].str.len().sum() > 3000


@pytest.mark.parametrize("suffix", [".zst", ".zip", ".lz4"])
def test_other_compressions_are_refused_by_name(tmp_path, suffix):
    (tmp_path / f"a.jsonl{suffix}").write_bytes(b"\x28\xb5\x2f\xfd")
    with pytest.raises(InputError, match=rf"compression of .*a\.jsonl\{suffix} must be none, \.gz"):
        read(JsonLines(path=str(tmp_path)))


def test_byte_order_marks_are_no_text(tmp_path):
    for name in ("a", "b"):
        (tmp_path / f"{name}.jsonl").write_text("\ufeff" + lines(ROWS[:30] if name == "a" else ROWS[30:]))
    joined = (tmp_path / "a.jsonl").read_bytes() + (tmp_path / "b.jsonl").read_bytes()
    (tmp_path / "c").mkdir()
    (tmp_path / "c/joined.jsonl").write_bytes(joined)
    for path in (tmp_path, tmp_path / "c"):
        documents = read(JsonLines(path=str(path))).documents
        assert documents["text"].tolist() == [row["text"] for row in ROWS]


def test_halves_of_characters_are_mended_and_counted(tmp_path):
    half = '{"text": "half a face \\ud83d and then some more text, enough to be kept", "kind": "odd\\ude00"}\n'
    (tmp_path / "a.jsonl").write_text(lines([{**row, "kind": "even"} for row in ROWS]) + half)
    corpus = read(JsonLines(path=str(tmp_path), domain_column="kind"))
    assert corpus.documents["text"].iloc[-1].startswith("half a face \ufffd and")
    assert corpus.documents["domain"].iloc[-1] == "odd\ufffd"
    assert "2 texts or labels held halves of characters" in warned(corpus)
    assert "a.jsonl:61" in warned(corpus)
    (tmp_path / "a.txt").write_bytes(b"x+2D0-y and more of it, so that it is long enough to be kept here\n" * 2)
    text = "".join(read_units(TextFolder(path=str(tmp_path), encoding="utf-7")))
    assert text.startswith("x\ufffdy")


def read_units(source):
    from pipelines.corpus.files import file_units

    return [unit.text for unit in file_units(source)]


def test_rows_without_text_or_label_are_counted(tmp_path):
    rows = [{**row, "kind": ["law", "", " ", None][i % 4]} for i, row in enumerate(ROWS)]
    (tmp_path / "a.jsonl").write_text(lines([*rows, {"text": None, "kind": "law"}]))
    corpus = read(JsonLines(path=str(tmp_path), domain_column="kind", group_column="kind", domain="other"))
    assert corpus.documents["domain"].value_counts().to_dict() == {"other": 45, "law": 15}
    assert "1 rows without text were passed over" in warned(corpus)
    assert "45 rows without a label got that of their source" in warned(corpus)
    assert corpus.documents["source_group"].nunique() == 46
    pd.DataFrame({"text": [row["text"] for row in ROWS], "kind": [1.5, float("nan")] * 30}).to_parquet(
        tmp_path / "a.parquet"
    )
    corpus = read(ParquetFiles(path=str(tmp_path), domain_column="kind"))
    assert set(corpus.documents["domain"]) == {"1.5", "text"}
    (tmp_path / "a.jsonl").write_text(lines([{**ROWS[0], "kind": ["a", "b"]}]))
    with pytest.raises(InputError, match=r"column 'kind' of .*a\.jsonl:1 must be one label; got list"):
        read(JsonLines(path=str(tmp_path), domain_column="kind"))


def test_parquet_that_keeps_bytes_is_text(tmp_path):
    texts = [row["text"].encode() for row in ROWS]
    pq.write_table(pa.table({"text": pa.array(texts, pa.binary())}), tmp_path / "a.parquet")
    source = ParquetFiles(path=str(tmp_path))
    assert read(source).documents["text"].tolist() == [row["text"] for row in ROWS]
    texts[7] = b"caf\xe9 and more of it"
    pq.write_table(pa.table({"text": pa.array(texts, pa.binary())}), tmp_path / "a.parquet")
    with pytest.raises(InputError, match=r"column 'text' of .*a\.parquet, row 7 must be valid utf-8; got bytes e9"):
        read(source)


def test_invalid_utf8_in_a_parquet_string_is_told_by_row(tmp_path):
    texts = [row["text"].encode() for row in ROWS]
    texts[7] = b"caf\xe9 and more of it"
    strings = pa.array(texts, pa.binary()).view(pa.string())
    pq.write_table(pa.table({"text": strings}), tmp_path / "a.parquet")
    with pytest.raises(InputError, match=r"content of .*a\.parquet, row 7 must be readable"):
        read(ParquetFiles(path=str(tmp_path)))


CLASSES = {"info": {"features": {"label": {"names": ["alpha", "beta"], "_type": "ClassLabel"}}}}


def test_class_labels_have_names(tmp_path):
    datasets = pytest.importorskip("datasets")
    features = datasets.Features(text=datasets.Value("string"), label=datasets.ClassLabel(names=["alpha", "beta"]))
    columns = {"text": [row["text"] for row in ROWS], "label": [[0, 1, -1][i % 3] for i in range(60)]}
    datasets.Dataset.from_dict(columns, features=features).save_to_disk(str(tmp_path / "saved"))
    table = pa.table(columns).replace_schema_metadata({"huggingface": json.dumps(CLASSES)})
    (tmp_path / "files").mkdir()
    pq.write_table(table, tmp_path / "files/train.parquet")
    for source in (
        HubDataset(name=str(tmp_path / "saved"), domain_column="label"),
        ParquetFiles(path=str(tmp_path / "files"), domain_column="label"),
        HubDataset(name=str(tmp_path / "files"), domain_column="label"),
    ):
        corpus = read(source)
        assert corpus.documents["domain"].value_counts().to_dict() == {"alpha": 20, "beta": 20, "text": 20}, source
        assert "20 rows without a label" in warned(corpus)


def test_labels_by_name_are_another_artifact():
    plain, labelled = (
        corpus_fingerprint(CorpusConfig(sources=(HubDataset(name="a/b", domain_column=column),)))
        for column in (None, "label")
    )
    assert plain == [{"dataset": "a/b", "revision": "newest"}]
    assert labelled == [{"dataset": "a/b", "revision": "newest", "labels": "names"}]


def test_what_is_in_order_is_not_warned_of(tmp_path):
    (tmp_path / "a.jsonl").write_text(lines(ROWS))
    assert set(read(JsonLines(path=str(tmp_path))).manifest) == {"domains", "packages", "dropped"}


def test_a_stream_that_breaks_is_told_by_dataset_and_row(tmp_path, monkeypatch):
    datasets = pytest.importorskip("datasets")
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))

    class Broken:
        features = None

        def __iter__(self):
            yield from ROWS[:12]
            raise RuntimeError("connection lost\nand a page of traceback")

    monkeypatch.setattr(datasets, "load_dataset", lambda *args, **options: Broken())
    with pytest.raises(
        InputError, match=r"content of owner/name, train row 12 must be .*RuntimeError: connection lost\. "
    ):
        read(HubDataset(name="owner/name"))


@pytest.mark.parametrize("data", [b"\xef", b"\xef\xbb"])
def test_the_start_of_a_byte_order_mark_is_no_text(tmp_path, data):
    from pipelines.corpus.files import file_units

    (tmp_path / "a.txt").write_bytes(data)
    with pytest.raises(InputError, match=r"a\.txt"):
        list(file_units(TextFolder(path=str(tmp_path), encoding="utf-8-sig")))
