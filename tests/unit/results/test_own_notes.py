"""Names and notes beside a store: what is kept, refused, and read back, from several writers and on any store."""

from __future__ import annotations

import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from results.own_notes import (
    NAME_MOST,
    NOTE_MOST,
    Subject,
    keep_note,
    notes_place,
    one_line,
    read_notes,
    run_notes,
    run_subject,
    why_not_kept,
    worded,
)  # fmt: skip
from storage import open_store
from universality.errors import InputError

FEATURE = Subject("feature", "m0:12", ("key:12",))
RECORD = {"name": "mine", "created": 12.5}


@pytest.fixture(params=["local", "memory"])
def store(request, tmp_path):
    return open_store(str(tmp_path / "runs") if request.param == "local" else f"memory://{tmp_path.name}/runs")


def test_the_last_words_count_and_a_name_and_a_note_change_apart(store):
    assert read_notes(store) == ((), "")
    keep_note(store, FEATURE, run="mine", name=" Arabic digits ", note="one\r\ntwo\t!")
    keep_note(store, run_subject(RECORD), run="mine", note="first try")
    keep_note(store, FEATURE, run="mine", name="Digits")
    kept = read_notes(store)
    assert [one.kind for one in kept.notes] == ["run", "feature"], "in the order of time"
    found = kept.of(FEATURE)
    assert found is not None
    assert (found.name, found.note, found.said) == ("Digits", "one\ntwo !", "Digits: one two !")
    assert kept.of(Subject("feature", "m0:12", ("other:12",))) is None, "another dictionary's latent of that number"
    assert [store.files.names(folder) for folder in ("artifacts", "runs")] == [[], []], "the store is never written"


def test_empty_words_take_back_what_was_said(store):
    keep_note(store, FEATURE, run="mine", name="a", note="b")
    keep_note(store, FEATURE, run="mine", name="", note="")
    assert read_notes(store).notes == ()


def test_a_note_about_a_run_is_not_inherited_by_a_later_run_of_its_name(store):
    keep_note(store, run_subject(RECORD), run="mine", note="first try")
    assert run_notes(store, [RECORD, {**RECORD, "created": 13.0}, {**RECORD, "name": "other"}]) == ["first try", "", ""]


def test_many_writers_lose_nothing(store):
    def write(n: int) -> None:
        keep_note(store, Subject("feature", f"m0:{n}", (f"key:{n}",)), run="mine", name=f"name {n}")

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(40)))
    assert {one.name for one in read_notes(store).notes} == {f"name {n}" for n in range(40)}


@pytest.mark.parametrize(
    ("name", "note", "said"),
    [
        ("n" * (NAME_MOST + 1), "", "at most 60 characters; got 61 characters. Shorten it."),
        ("", "n" * (NOTE_MOST + 1), "at most 1000 characters; got 1001 characters. Shorten it."),
        ("one\ntwo", "", "one line"),
        ("a\x07b", "", "got U+0007. Remove them."),
        ("a\u202eb", "", "got U+202E. Remove them."),
        ("", "a\u2028b\x1b", "got U+001B, U+2028. Remove them."),
        ("\u200b", "", "text that can be seen"),
    ],
)
def test_words_that_cannot_be_kept_are_refused_in_a_sentence(store, name, note, said):
    with pytest.raises(InputError) as refused:
        keep_note(store, FEATURE, run="mine", name=name, note=note)
    assert said in str(refused.value)
    assert "'m0:12'" in str(refused.value)
    assert read_notes(store).notes == ()


@pytest.mark.parametrize("text", ["עברית 12", "क्‍ष", "👩‍🔬 lab", "<b>&\\{}|$", "=HYPERLINK(1)", "a" * NAME_MOST])
def test_words_of_every_script_are_kept_as_they_are(store, text):
    assert worded(text, text, "it") == (text, text)
    keep_note(store, FEATURE, run="mine", name=text)
    assert [one.name for one in read_notes(store).notes] == [text]


def test_lines_that_are_no_notes_are_passed_over_and_counted(tmp_path):
    store = open_store(tmp_path / "runs")
    keep_note(store, FEATURE, run="mine", name="right")
    path = tmp_path / "runs-notes" / "notes.jsonl"
    right = json.loads(path.read_text())
    wrong = [{**right, "name": "a\x1b[31m"}, {**right, "kind": "token"}, {"schema": 2}, {**right, "name": "n" * 61}]
    with path.open("a") as file:
        file.write("".join(f"{json.dumps(line)}\n" for line in wrong) + '{"cut":')
    kept = read_notes(store)
    assert [one.name for one in kept.notes] == ["right"]
    assert kept.trouble == f"4 lines of {tmp_path / 'runs-notes'} cannot be read as notes and are passed over."
    keep_note(store, FEATURE, run="mine", name="after the cut")
    assert [one.name for one in read_notes(store).notes] == ["after the cut"]


def test_where_notes_are_and_why_they_are_not_kept(tmp_path, monkeypatch):
    assert notes_place(str(tmp_path / "runs")) == str(tmp_path / "runs-notes")
    assert notes_place(f"file://{tmp_path}/runs") == str(tmp_path / "runs-notes")
    assert notes_place("s3://bucket/deep/runs/") == "s3://bucket/deep/runs-notes"
    assert notes_place("s3://bucket") is None, "its neighbour would be somebody else's bucket"
    assert "nothing is beside s3://bucket" in why_not_kept("s3://bucket")
    assert why_not_kept("s3://bucket/runs") == why_not_kept(str(tmp_path / "runs")) == ""
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != tmp_path)
    assert why_not_kept(str(tmp_path / "runs")) == f"Notes are kept in {tmp_path}/runs-notes, where you may not write."


def test_a_note_in_one_line():
    assert one_line("a\n b  c") == "a b c"
    assert one_line("abcdef", 4) == "abc…"
    assert one_line("abcd", 4) == "abcd"
