"""Starting the window as a process of its own, for pictures and for tests."""

import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

APP = Path(__file__).resolve().parents[1] / "dashboards" / "app.py"


def free_port() -> int:
    """A port of this machine that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def serve(store: str, *, patience: float = 60.0) -> Iterator[str]:
    """Run the window until the block ends.

    Args:
        store: address of the store.
        patience: seconds to wait for the server to answer.

    Yields:
        The address to open, for example ``http://127.0.0.1:40123``.

    Raises:
        RuntimeError: the server ended, or never answered; the message ends with what it printed.
    """
    port = free_port()
    home = str(APP.parent.parent)
    paths = os.pathsep.join(filter(None, [home, os.environ.get("PYTHONPATH")]))
    launch = [sys.executable, "-m", "dashboards.launch", "run", str(APP)]
    command = [*launch, "--server.port", str(port), "--", "--store", store]
    with tempfile.TemporaryFile("w+") as printed:
        process = subprocess.Popen(
            command, stdout=printed, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": paths},
        )  # fmt: skip
        try:
            _wait(process, f"http://127.0.0.1:{port}", patience)
            yield f"http://127.0.0.1:{port}"
        except RuntimeError as error:
            printed.seek(0)
            raise RuntimeError(f"{error}\n{printed.read()[-4000:]}") from error
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _wait(process: subprocess.Popen[bytes], address: str, patience: float) -> None:
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"The server ended with status {process.returncode} before it answered.")
        try:
            with urllib.request.urlopen(f"{address}/_stcore/health", timeout=2) as answer:
                if answer.status == 200:
                    return
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    raise RuntimeError(f"The server did not answer within {patience:.0f} s.")
