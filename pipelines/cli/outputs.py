"""``universality report`` and ``universality dash``."""

import os
import shlex
import socket
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from pipelines.cli.options import STORE, JsonOption, OutOption, RunArgument, StoreOption, VerboseOption
from pipelines.cli.runs import open_named
from pipelines.cli.terminal import print_json, say
from universality.errors import refusal


def report(
    out: OutOption,
    run_name: RunArgument = None,
    store: StoreOption = STORE,
    formats: Annotated[
        str, typer.Option("--format", metavar="LIST", help="Formats of figures: pdf, svg, png.")
    ] = "pdf,svg,png",
    columns: Annotated[
        int | None, typer.Option("--columns", min=1, max=2, help="Columns that every figure spans.")
    ] = None,
    runs: Annotated[
        list[str] | None, typer.Option("--runs", metavar="RUN", help="Other runs beside it; may be repeated.")
    ] = None,
    pairs: Annotated[
        Path | None,
        typer.Option("--pairs", metavar="FILE", help="Pinned pairs of the dashboard, to be shown."),
    ] = None,
    answers: Annotated[
        Path | None,
        typer.Option(
            "--answers", metavar="FILE", help="Answers of the dashboard's games; default those beside the store."
        ),
    ] = None,
    explanations: Annotated[
        Path | None,
        typer.Option("--explanations", metavar="FILE", help="What explain wrote; default that beside the store."),
    ] = None,
    as_json: JsonOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Write a report of a run for a paper.

    Figures, tables, methods, data and provenance. Exit 3 where the run could not give all of it.
    """
    from pipelines.report.report_writer import ReportOptions, write_report
    from results.answers import answers_file, read_answers
    from results.explained import explanations_file, read_explanations
    from results.pins import read_pins

    run = open_named(run_name, store)
    beside = [open_named(name, store) for text in runs or () for name in text.split(",") if name]
    others = tuple({other.name: other for other in beside if other.name != run.name}.values())
    pins = read_pins(pairs) if pairs else None
    kept = answers or answers_file(run.store.url, run.name)
    given = read_answers(kept, run.name) if kept is not None and (answers or kept.exists()) else []
    worded = explanations or explanations_file(run.store.url, run.name)
    words = read_explanations(worded, run.name) if worded is not None and (explanations or worded.exists()) else []
    options = ReportOptions(chosen_formats(formats), columns, pins, tuple(given), others, tuple(words))
    result = write_report(run, out, options)
    if as_json:
        print_json({"run": run.name, "folder": str(out), "files": result.files, "missing": result.missing})
    else:
        partial = f" Not complete: README.md says what is missing ({len(result.missing)})." if result.missing else ""
        typer.echo(
            f"Report of run {run.name}: {len(result.files)} files in {out}. Read report.html;"
            f" to make paper.pdf: cd {shlex.quote(str(out))} && {COMPILE}{partial}"
        )
    if result.missing:
        raise typer.Exit(3)


#: What makes a PDF of a report's ``paper.tex``, in its folder.
COMPILE = "pdflatex paper && bibtex paper && pdflatex paper && pdflatex paper"


def chosen_formats(text: str) -> tuple[str, ...]:
    """Formats of figures from a list with commas, in its order and each once."""
    from pipelines.report.figures.canvas import FORMATS

    names = dict.fromkeys(word.strip().lower() for word in text.split(",") if word.strip())
    if not names or not set(names) <= set(FORMATS):
        remedy = "Write them with commas between, for example pdf,png."
        raise refusal("--format", "report", f"some of {', '.join(FORMATS)}", text, remedy)
    return tuple(names)


def dash(
    store: StoreOption = STORE,
    port: Annotated[int, typer.Option("--port", min=1, max=65535, help="Port on 127.0.0.1.")] = 8501,
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open a browser window.")] = False,
) -> None:
    """Open the dashboards on this machine."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            remedy = "Stop what uses it, or give another --port."
            raise refusal("port", "dash", "free on 127.0.0.1", port, remedy) from None
    from storage import open_store

    if not open_store(store).runs({}):
        say(f"There are no runs in {store} yet; the page says how to compute one.")
    say(f"Dashboards of {store}: http://127.0.0.1:{port}  (Ctrl-C ends)")
    command = streamlit_command(store, port, browser)
    if os.name == "posix":  # no process in between: signals reach the server itself
        os.execv(command[0], command)
    else:
        raise typer.Exit(subprocess.call(command))


def streamlit_command(store_url: str, port: int, browser: bool) -> list[str]:
    """The command that serves the dashboards of a store; the app is found, not imported."""
    spec = find_spec("dashboards")
    if spec is None or not spec.submodule_search_locations:
        remedy = "Install universality again."
        raise refusal("package", "this installation", "complete", "no dashboards", remedy)
    app = Path(spec.submodule_search_locations[0]) / "app.py"
    options = {
        "server.address": "127.0.0.1",
        "server.port": port,
        "server.headless": str(not browser).lower(),
        "browser.gatherUsageStats": "false",
    }
    flags = [f"--{name}={value}" for name, value in options.items()]
    return [sys.executable, "-m", "dashboards.launch", "run", str(app), *flags, "--", "--store", store_url]
