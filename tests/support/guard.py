"""The program in a process that may start no other and reach no other machine."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

#: Told by Python before each such act, whoever asks for it; the first is written down and refused.
GUARD = """
import socket, sys

FORBIDDEN = {"subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.fork", "os.forkpty"}
HERE = {"127.0.0.1", "::1", "localhost"}

def guard(event, arguments):
    place = None
    if event == "socket.connect" and arguments[0].family != socket.AF_UNIX:
        place = arguments[1][0]
    if event == "socket.getaddrinfo":
        place = arguments[0]
    if (not WORKERS and event in FORBIDDEN) or (place is not None and place not in HERE):
        with open(LOG, "a") as log:
            print(event, repr(arguments)[:300], file=log)
        raise PermissionError(f"{event} {place or ''} is forbidden here")

sys.addaudithook(guard)
from pipelines.cli.main import app
sys.argv[1:] = WORDS
app()
"""


def guarded(log: Path, words: list[str], *, workers: bool) -> subprocess.CompletedProcess[str]:
    """What is forbidden and was asked for stands in ``log``; files that nobody closed are errors.

    With ``workers``, processes of its own are allowed, and sockets of this machine.
    """
    script = f"LOG, WORDS, WORKERS = {str(log)!r}, {words!r}, {workers}\n{GUARD}"
    environment = {**os.environ, "HF_HUB_OFFLINE": "0", "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, "-W", "error::ResourceWarning", "-c", script],
        capture_output=True,
        text=True,
        timeout=1200,
        env=environment,
        check=False,
    )
