"""While other people's models and tokenizers are opened, nothing may start a process.

Libraries install what they miss, or compile, or ask a tool: an installer once replaced the torch of an environment.
Python tells of every process before it starts (audit events); here it is told no.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock
from typing import Any

from universality.errors import UniversalityError

#: What Python calls the starting of a process.
EVENTS = frozenset(
    {"subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.fork", "os.forkpty", "pty.spawn"}
)


class ProcessRefused(UniversalityError, PermissionError):
    """Something tried to start a process where none may be started."""


class _Watch:
    """How many blocks forbid processes now; the hook itself stays for good, as Python has it."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self._lock = Lock()
        self._is_installed = False

    def enter(self, name: str) -> None:
        with self._lock:
            if not self._is_installed:
                sys.addaudithook(self._hook)
                self._is_installed = True
            self.names.append(name)

    def leave(self, name: str) -> None:
        with self._lock:
            self.names.remove(name)

    def _hook(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self.names and event in EVENTS:
            command = " ".join(map(str, arguments[1])) if event == "subprocess.Popen" else str(arguments[:1])
            remedy = "Nothing was started. Install what it needs by hand, or take another model."
            raise ProcessRefused.worded("opening", self.names[-1], "without a process of its own", command, remedy)


_WATCH = _Watch()


@contextmanager
def no_processes(name: str) -> Iterator[None]:
    """Refuse every process that any thread of this one would start inside the block.

    Args:
        name: what is opened meanwhile, for the error.

    Raises:
        ProcessRefused: inside the block, where the process would have started; libraries that can do without go on.
    """
    _WATCH.enter(name)
    try:
        yield
    finally:
        _WATCH.leave(name)
