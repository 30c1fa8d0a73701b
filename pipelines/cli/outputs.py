"""``universality report`` and ``universality dash``."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import typer

from pipelines.cli.runs import open_named
from pipelines.cli.terminal import say
from universality.errors import InputError, must_be


def report_command(
    run_name: str | None,
    store_url: str,
    out: Path,
    *,
    formats: str,
    columns: int | None,
    pairs: Path | None,
    runs: Sequence[str],
) -> None:
    """Write the report of a run; its files are listed on stdout.

    Raises:
        InputError: a format that is none, pins that are none or another run's, or a folder that holds something else.
        Exit: 3 after a partial report.
    """
    from pipelines.report.report_writer import ReportOptions, write_report
    from results.pins import read_pins

    run = open_named(run_name, store_url)
    beside = [open_named(name, store_url) for text in runs for name in text.split(",") if name]
    others = tuple({other.name: other for other in beside if other.name != run.name}.values())
    pins = read_pins(pairs) if pairs else None
    options = ReportOptions(chosen_formats(formats), columns, pins, others)
    result = write_report(run, out, options)
    for path in result.files:
        typer.echo(out / path)
    say(f"Report of run {run.name}: {len(result.files)} files in {out}. Start with {out / 'README.md'}.")
    if result.missing:
        say(f"The report is not complete: README.md lists what is missing ({len(result.missing)}).")
        raise typer.Exit(3)


def chosen_formats(text: str) -> tuple[str, ...]:
    """Formats of figures from a list with commas, in its order and each once."""
    from pipelines.report.figures.canvas import FORMATS

    names = dict.fromkeys(word.strip().lower() for word in text.split(",") if word.strip())
    if not names or not set(names) <= set(FORMATS):
        remedy = "Write them with commas between, for example pdf,png."
        raise InputError(must_be("--format", "report", f"some of {', '.join(FORMATS)}", text, remedy))
    return tuple(names)


def dash_command(store_url: str, port: int, browser: bool) -> None:
    """Become a Streamlit server on 127.0.0.1.

    Raises:
        InputError: the port is taken.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            remedy = "Stop what uses it, or give another --port."
            raise InputError(must_be("port", "dash", "free on 127.0.0.1", port, remedy)) from None
    say(f"Dashboards of {store_url}: http://127.0.0.1:{port}  (Ctrl-C ends)")
    command = streamlit_command(store_url, port, browser)
    if os.name == "posix":  # no process in between: signals reach the server itself
        os.execv(command[0], command)
    else:
        raise typer.Exit(subprocess.call(command))


def streamlit_command(store_url: str, port: int, browser: bool) -> list[str]:
    """The command that serves the dashboards of a store; the app is found, not imported."""
    spec = find_spec("dashboards")
    if spec is None or not spec.submodule_search_locations:
        remedy = "Install universality again."
        raise InputError(must_be("package", "this installation", "complete", "no dashboards", remedy))
    app = Path(spec.submodule_search_locations[0]) / "app.py"
    options = {
        "server.address": "127.0.0.1",
        "server.port": port,
        "server.headless": str(not browser).lower(),
        "browser.gatherUsageStats": "false",
    }
    flags = [f"--{name}={value}" for name, value in options.items()]
    return [sys.executable, "-m", "dashboards.launch", "run", str(app), *flags, "--", "--store", store_url]
