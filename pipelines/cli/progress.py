"""Progress on stderr while a run computes: one live display on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import threading
import time
from typing import TYPE_CHECKING, Any

from pipelines.cli.terminal import console, say
from results.progress import RunningStep, RunProgress
from results.words import counted, duration, roughly, size

if TYPE_CHECKING:
    from rich.console import Group

#: Seconds between two "still working" lines where no terminal can show a bar.
PLAIN_PERIOD = 15.0


class Silent:
    """``--quiet``: errors are told at the end, nothing before."""

    def __call__(self, event: dict[str, Any]) -> None:
        """Ignore the event."""

    def close(self) -> None:
        """Nothing to close."""


class Lines:
    """One line per settled step, and one every 15 s with what runs."""

    def __init__(self, verbose: bool = False) -> None:
        self.progress = RunProgress()
        self._verbose = verbose
        self._closed = threading.Event()
        self._clock = threading.Thread(target=self._tell_now_and_then, daemon=True)

    def __call__(self, event: dict[str, Any]) -> None:
        """Write a line where the event deserves one."""
        self.progress.apply(event)
        if event.get("event") == "run_started":
            self._clock.start()
        line = settled_line(self.progress, event, self._verbose)
        if line is not None:
            say(line)

    def _tell_now_and_then(self) -> None:
        # Its own thread: a step that reports nothing for an hour must not look dead.
        while not self._closed.wait(PLAIN_PERIOD):
            say(running_line(self.progress, time.time()))

    def close(self) -> None:
        """Write no more."""
        self._closed.set()


class Live:
    """One overall bar and a line per running step, drawn in place; settled steps scroll above it."""

    def __init__(self, verbose: bool = False) -> None:
        from rich.live import Live as RichLive

        self.progress = RunProgress()
        self._verbose = verbose
        self._console = console(stderr=True)
        self._live = RichLive(get_renderable=self._draw, console=self._console, refresh_per_second=4, transient=True)
        self._open = False

    def __call__(self, event: dict[str, Any]) -> None:
        """Update the display."""
        self.progress.apply(event)
        if event.get("event") == "run_started":
            self._live.start(refresh=True)
            self._open = True
        line = settled_line(self.progress, event, self._verbose)
        if line is not None:
            self._console.print(line, markup=False)

    def _draw(self) -> Group:
        return draw(self.progress, time.time())

    def close(self) -> None:
        """Remove the bar."""
        if self._open:
            self._live.stop()


def running_line(progress: RunProgress, now: float) -> str:
    """Where a run is, in one line."""
    steps = "; ".join(step_line(node, step, now) for node, step in list(progress.running.items()))
    return f"{100 * (progress.share or 0):3.0f} %{ahead(progress, now)} | {steps or 'between steps'}"


def ahead(progress: RunProgress, now: float) -> str:
    """``", about 3 min left"``; empty where there is no pace yet."""
    seconds = progress.seconds_left(now)
    return "" if seconds is None else f", about {roughly(seconds)} left"


def step_line(node: str, step: RunningStep, now: float) -> str:
    """One running step in words: share, facts, and for how long it has been running."""
    share = f"{100 * step.share:.0f} %" if step.total else ""
    parts = (share, step.detail, duration(max(0.0, now - step.since)))
    return f"{node}: " + ", ".join(part for part in parts if part)


def draw(progress: RunProgress, now: float) -> Group:
    """The overall bar and the running steps, as a rich renderable."""
    from rich.console import Group
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    share = progress.share or 0.0
    head = Table.grid(padding=(0, 1))
    head.add_row(
        ProgressBar(total=1.0, completed=share, width=32),
        Text(f"{100 * share:3.0f} %  {len(progress.settled)}/{len(progress.todo or ())} steps"),
        Text(f"{duration(now - progress.started)} so far{ahead(progress, now)}"),
    )
    steps = Table.grid(padding=(0, 1))
    for node, step in list(progress.running.items()):
        bar = ProgressBar(total=1.0, completed=step.share, width=16)
        steps.add_row(Text("  "), bar, Text(step_line(node, step, now)))
    return Group(head, steps)


def settled_line(progress: RunProgress, event: dict[str, Any], verbose: bool) -> str | None:
    """The line that an event leaves behind, if any."""
    kind, node = event.get("event"), event.get("node")
    n_todo = len(progress.todo or ())
    if kind == "run_started":
        reused = f", {progress.n_reused} already in the store" if progress.n_reused else ""
        return f"{counted(n_todo, 'step')} to compute{reused}"
    if kind == "done":
        memory = f", {size(event['peak_memory'])}" if verbose and event.get("peak_memory") else ""
        return f"[{len(progress.settled)}/{n_todo}] {node}  {duration(event.get('wall_s', 0.0))}{memory}"
    if kind == "failed" and (verbose or not _told(progress, event)):
        trace = "\n" + event["traceback"].rstrip() if verbose else ""
        return f"failed: {node}: {event['error']}{trace}"
    if kind == "skipped" and verbose:  # the end says how many
        return f"skipped: {node}, because {event['because']} failed"
    if kind == "warning":
        return f"warning: {node}: {event['message']}"
    return None


def _told(progress: RunProgress, failure: dict[str, Any]) -> bool:
    """Whether another step failed for the same reason: one slip is one line, and the end says in how many steps."""
    return any(error == failure["error"] and node != failure["node"] for node, error in progress.failed.items())


def choose_display(quiet: bool, verbose: bool) -> Silent | Lines | Live:
    """The display for this command: none, live on a terminal, else lines."""
    if quiet:
        return Silent()
    return Live(verbose) if sys.stderr.isatty() else Lines(verbose)
