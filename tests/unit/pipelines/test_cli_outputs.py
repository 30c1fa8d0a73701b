"""How the dashboards are started, and what progress looks like."""

import io
import socket
import sys
import time
from pathlib import Path

import pytest
from rich.console import Console

from pipelines.cli import outputs, progress
from results.progress import RunProgress
from universality.errors import InputError


def test_dashboards_are_served_to_this_machine_only_and_send_nothing_home():
    command = outputs.streamlit_command("s3://bucket/x", 8600, browser=False)
    assert command[:4] == [sys.executable, "-m", "dashboards.launch", "run"]
    assert Path(command[4]).parts[-2:] == ("dashboards", "app.py")
    assert {
        "--server.address=127.0.0.1",
        "--server.port=8600",
        "--server.headless=true",
        "--browser.gatherUsageStats=false",
    } <= set(command)
    assert command[command.index("--") :] == ["--", "--store", "s3://bucket/x"]


def test_a_taken_port_is_told_before_anything_starts(monkeypatch):
    monkeypatch.setattr(outputs.os, "execv", lambda *arguments: pytest.fail("started"))
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(InputError, match=r"another --port"):
            outputs.dash("runs", taken.getsockname()[1], browser=False)


@pytest.mark.skipif(outputs.os.name != "posix", reason="elsewhere the server is a child process")
def test_a_free_port_starts_the_server(monkeypatch):
    started = []
    monkeypatch.setattr(outputs.os, "execv", lambda *arguments: started.append(arguments))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    outputs.dash("runs", port, browser=False)
    assert started[0][0] == sys.executable
    assert f"--server.port={port}" in started[0][1]


EVENTS = [
    {"time": 0.0, "event": "run_started", "todo": {"a": 10.0, "b": 10.0}, "n_reused": 0, "executor": "x"},
    {"time": 1.0, "event": "started", "node": "a"},
    {"time": 2.0, "event": "progress", "node": "a", "done": 1, "total": 2, "loss": 0.5},
]


def test_drawing_shows_the_whole_and_each_running_step():
    stream = io.StringIO()
    Console(file=stream, width=100).print(progress.draw(RunProgress.of(EVENTS), now=10.0))
    text = stream.getvalue()
    assert "25 %" in text
    assert "0/2 steps" in text
    assert "a: 50 %, loss 0.5, 9.0 s" in text


def test_silent_steps_are_told_of_every_now_and_then(monkeypatch, capsys):
    monkeypatch.setattr(progress, "PLAIN_PERIOD", 0.05)
    display = progress.Lines()
    for event in EVENTS[:2]:
        display(event)
    deadline = time.monotonic() + 5
    text = ""
    while "a: " not in text and time.monotonic() < deadline:
        time.sleep(0.02)
        text += capsys.readouterr().err
    display.close()
    assert "2 steps to compute" in text
    assert "a: " in text
    display._clock.join(timeout=5)
    assert not display._clock.is_alive()


def test_the_live_display_ends_clean(monkeypatch):
    stream = io.StringIO()
    monkeypatch.setattr(
        progress,
        "console",
        lambda stderr: Console(file=stream, force_terminal=True, width=100, highlight=False),
    )
    display = progress.Live()
    for event in [*EVENTS, {"time": 3.0, "event": "failed", "node": "a", "error": "bad [red]x[/red]"}]:
        display(event)
    display.close()
    assert "failed: a: bad [red]x[/red]" in stream.getvalue(), "markup in messages stays text"
    assert "0/2 steps" in stream.getvalue()
    assert stream.getvalue().endswith("\x1b[2K"), "the bar is wiped"


def test_displays_follow_the_stream(monkeypatch):
    assert isinstance(progress.choose_display(quiet=True, verbose=False), progress.Silent)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    assert isinstance(progress.choose_display(quiet=False, verbose=False), progress.Live)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: False, raising=False)
    assert isinstance(progress.choose_display(quiet=False, verbose=False), progress.Lines)
