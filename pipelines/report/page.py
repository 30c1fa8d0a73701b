"""The report as one page for people who never ran the tool: Markdown, and the same as HTML with its pictures inside."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from pipelines.report.exhibit import Shown
from pipelines.report.html_page import as_html
from pipelines.report.markdown import code, plain
from pipelines.report.prose.template import filled
from pipelines.report.prose.text_files import NOTHING_FOUND
from pipelines.report.side_by_side import TOGETHER, pictures_beside


def report_markdown(results: Mapping[str, Any], shown: Sequence[Shown], methods: str, note: str = "") -> str:
    """The page as Markdown; pictures are links into the report's folder.

    Args:
        results: of the run, as in ``results.json``.
        shown: figures and tables that were made.
        methods: the text ``methods.md``.
        note: what somebody wrote about the run.
    """

    def exhibits(names: Sequence[str]) -> str:
        return "\n".join(_exhibit(item) for name in names for item in shown if _is_of(item, name)).rstrip()

    return filled(
        "report.md",
        run=str(results["run"]),
        note=note,
        n_missing=len(results["missing"]),
        in_short=in_short(results),
        beside=_beside(shown),
        exhibits=exhibits,
        methods=re.sub(r"^#", "##", methods, flags=re.M).rstrip(),
    )


def report_html(markdown: str, run: str, shown: Sequence[Shown]) -> str:
    """The page as one HTML file with its pictures inside: no script, no network."""
    pictures = {_path(item): item.svg for item in shown if item.svg}
    return as_html(markdown, f"Universality: {run}", pictures)


def in_short(results: Mapping[str, Any]) -> str:
    """The outcome in plain words, as Markdown: a list per comparison."""
    lists = {name: _bullets(sentences) for name, sentences in results["conclusions"].items() if sentences}
    if len(lists) < 2:
        return "".join(lists.values()) or NOTHING_FOUND
    return "\n\n".join(f"**{plain(str(name))}**\n\n{bullets}" for name, bullets in lists.items())


def _bullets(sentences: Sequence[str]) -> str:
    return "\n".join(f"- {plain(sentence)}" for sentence in sentences)


def _beside(shown: Sequence[Shown]) -> str:
    """What sets comparisons beside each other; empty where there is one alone."""
    parts = [_exhibit(item) for name in TOGETHER for item in shown if item.name == name]
    for _, caption, items in pictures_beside(shown) if parts else ():
        names = ", ".join(code(item.comparison) for item in items)
        pictures = " ".join(f"![{plain(item.comparison)}]({_path(item)})" for item in items)
        parts.append(f"{pictures}\n\n*{plain(caption)}* From left to right: {names}.\n")
    return "\n".join(parts).rstrip()


def _is_of(item: Shown, name: str) -> bool:
    own = f"{name}-{item.comparison}" if item.comparison else name
    return re.sub(r"-page\d+$", "", item.name) == own


def _exhibit(item: Shown) -> str:
    where = f" Comparison {code(item.comparison)}." if item.comparison else ""
    body = f"![{plain(item.caption)}]({_path(item)})" if item.svg else item.markdown.rstrip()
    return f"{body}\n\n*{plain(item.caption)}*{where}\n"


def _path(item: Shown) -> str:
    return f"{item.name}.svg"
