"""Events survive a writer that was killed in the middle of a line."""

from __future__ import annotations

import threading

import pytest

from storage.events import EventLog
from storage.files import LocalFiles, RemoteFiles


def test_a_cut_line_is_skipped_and_never_glued_to(tmp_path):
    files = LocalFiles(tmp_path)
    log = EventLog(files, "run/events")
    for number in range(2):
        log.append({"n": number})
    whole = files.read("run/events.jsonl")
    for cut in range(len(whole)):
        files.write("run/events.jsonl", whole[:cut])
        EventLog(files, "run/events").append({"n": "after"})
        expected = [n for n, line_end in enumerate(_line_ends(whole)) if line_end - 1 <= cut]
        assert [event["n"] for event in log.read()] == [*expected, "after"]


def _line_ends(data: bytes) -> list[int]:
    return [place + 1 for place, byte in enumerate(data) if byte == ord("\n")]


@pytest.mark.parametrize("garbage", [b"\0\0\0\n", b"\xff\xfe\n", b"[1]\n", b"\n\n", b"3\n"])
def test_garbage_lines_are_left_out(tmp_path, garbage):
    files = LocalFiles(tmp_path)
    log = EventLog(files, "run/events")
    log.append({"n": 0})
    files.write("run/events.jsonl", files.read("run/events.jsonl") + garbage)
    log.append({"n": 1, "text": "line\nbreak"})
    assert [event["n"] for event in log.read()] == [0, 1]


def test_threads_do_not_mix_lines(tmp_path):
    logs = [EventLog(LocalFiles(tmp_path), "run/events") for _ in range(4)]

    def write(log: EventLog, writer: int) -> None:
        for number in range(50):
            log.append({"writer": writer, "n": number, "text": "x" * 200})

    threads = [threading.Thread(target=write, args=item) for item in zip(logs, range(4), strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    events = logs[0].read()
    for writer in range(4):
        assert [event["n"] for event in events if event["writer"] == writer] == list(range(50))


def test_remote_segments_are_few_and_in_order(tmp_path, monkeypatch):
    monkeypatch.setattr("storage.events.SEGMENT", 10)
    files = RemoteFiles(f"memory://{tmp_path.name}-events")
    for first in (0, 25):
        log = EventLog(files, "run/events")
        for number in range(first, first + 25):
            log.append({"n": number})
    assert len(files.names("run/events")) == 6
    assert [event["n"] for event in EventLog(files, "run/events").read()] == list(range(50))
