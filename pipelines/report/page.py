"""The report as one page for people who never ran the tool: Markdown, and the same as HTML with its pictures inside."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from pipelines.report.exhibit import Shown
from pipelines.report.html_page import as_html
from pipelines.report.markdown import code, plain
from pipelines.report.prose.template import filled, folded
from pipelines.report.side_by_side import TOGETHER, pictures_beside
from results.headline import QUANTITIES


def report_markdown(results: Mapping[str, Any], shown: Sequence[Shown], methods: str) -> str:
    """The page as Markdown; pictures are links into the report's folder.

    Args:
        results: of the run, as in ``results.json``.
        shown: figures and tables that were made.
        methods: the text ``methods.md``.
    """

    def exhibits(names: Sequence[str]) -> str:
        return "\n".join(_exhibit(item) for name in names for item in shown if _is_of(item, name)).rstrip()

    return filled(
        "report.md",
        run=str(results["run"]),
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
    several = results.get("comparisons")
    if not several:
        return _outcome(results) or "The run has no finished comparison."
    return "\n\n".join(
        f"**{plain(str(name))}**\n\n{_outcome(part)}".rstrip() for name, part in several.items()
    )


def _outcome(part: Mapping[str, Any]) -> str:
    headline, counts = part.get("headline") or {}, part.get("counts") or {}
    levels = (counts.get("group_by_level") or {}).get("partnered") or {}
    text = filled(
        "in_short.md",
        medians={name: (headline.get(name) or {}).get("overall") for name in QUANTITIES},
        groups=counts.get("group") or {},
        levels=levels,
    )
    return folded(text).rstrip()


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
