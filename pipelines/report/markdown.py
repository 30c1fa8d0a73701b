"""Text and tables as Markdown that no token can break."""

import math
import re
from collections.abc import Mapping, Sequence

import pandas as pd

from pipelines.report.latex import ONE_LINE, Column
from results.token_text import isolated, runs_right, visible


def markdown_table(frame: pd.DataFrame, columns: Sequence[Column], groups: Mapping[int, str] | None = None) -> str:
    """A frame as a Markdown table, with the columns of :func:`pipelines.report.latex.booktabs`.

    Args:
        frame: rows in the order to print; a missing value prints as an en dash.
        columns: which columns, in which order and form; numbers are right-aligned.
        groups: words on a line of their own before the row of that position; sentences are a list below the table.
    """
    sentences = [text for text in (groups or {}).values() if len(text) > ONE_LINE]
    numeric = [pd.api.types.is_numeric_dtype(frame[c.name]) for c in columns]
    lines = [
        "| " + " | ".join(plain(c.header) for c in columns) + " |",
        "| " + " | ".join("---:" if n else "---" for n in numeric) + " |",
    ]
    for position, row in enumerate(frame[[c.name for c in columns]].itertuples(index=False, name=None)):
        if groups and groups.get(position, "") not in ("", *sentences):
            lines.append(f"| *{plain(groups[position])}* |" + " |" * (len(columns) - 1))
        lines.append("| " + " | ".join(_cell(value, c) for value, c in zip(row, columns, strict=True)) + " |")
    return "\n".join([*lines, "", *(f"- {plain(text)}" for text in sentences), *[""] * bool(sentences)])


def _cell(value: object, column: Column) -> str:
    if value is None or value is pd.NA or (isinstance(value, float) and math.isnan(value)):
        return "–"
    if column.token:
        return code(visible(value if isinstance(value, bytes) else str(value).encode(), mark_spaces=True, limit=40))
    if column.digits is not None:
        number = f"{float(value):.{column.digits}f}"  # type: ignore[arg-type]
        return number.replace("-", "−") if float(number) != 0 else number.lstrip("-")
    if isinstance(value, str):
        return code(value) if column.code else _apart(plain(column.words(value)))
    return f"{int(value):,}"  # type: ignore[call-overload]


def _apart(text: str) -> str:
    """Text that turns nothing around it: words from right to left in isolates of Unicode, which nobody sees."""
    return f"\u2068{text}\u2069" if runs_right(text) else text


def plain(text: str) -> str:
    """Text that Markdown shows as it is, on one line; no quoted token turns the words around it."""
    return re.sub(r"([\\`*_{}\[\]<>#|$~!&:])", r"\\\1", isolated(" ".join(text.split())))


def code(text: str) -> str:
    """Text as a code span, inside tables too."""
    if not text:
        return ""
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * (longest + 1)
    around = " " if text.startswith("`") or text.endswith("`") else ""
    return _apart(f"{fence}{around}{text}{around}{fence}".replace("|", "\\|"))
