"""Tables as Markdown that no token can break, and Markdown as a page that runs nothing."""

from __future__ import annotations

import html
import math
import re
from collections.abc import Mapping, Sequence

import pandas as pd

from pipelines.report.latex import Column
from results.token_text import visible

#: The LaTeX that the report's own text has in formulas, as Unicode.
_SYMBOLS = {
    r"\tau": "τ", r"\beta": "β", r"\alpha": "α", r"\geq": "≥", r"\leq": "≤", r"\times": "×", r"\cdot": "·",
    r"\sqrt": "√", r"\sum": "Σ", r"\approx": "≈", r"\lambda": "λ", r"\epsilon": "ε", r"\ldots": "…", r"\,": " ",
}  # fmt: skip


def markdown_table(
    frame: pd.DataFrame, columns: Sequence[Column], groups: Mapping[int, str] | None = None
) -> str:
    """A frame as a Markdown table, with the columns of :func:`pipelines.report.latex.booktabs`.

    Args:
        frame: rows in the order to print; a missing value prints as an en dash.
        columns: which columns, in which order and form; numbers are right-aligned.
        groups: words on a line of their own before the row of that position.
    """
    numeric = [pd.api.types.is_numeric_dtype(frame[c.name]) for c in columns]
    lines = [
        "| " + " | ".join(plain(c.header) for c in columns) + " |",
        "| " + " | ".join("---:" if n else "---" for n in numeric) + " |",
    ]
    for position, row in enumerate(frame[[c.name for c in columns]].itertuples(index=False, name=None)):
        if groups and position in groups:
            lines.append(f"| *{plain(groups[position])}* |" + " |" * (len(columns) - 1))
        lines.append("| " + " | ".join(_cell(value, c) for value, c in zip(row, columns, strict=True)) + " |")
    return "\n".join([*lines, ""])


def _cell(value: object, column: Column) -> str:
    if value is None or value is pd.NA or (isinstance(value, float) and math.isnan(value)):
        return "–"
    if column.token:
        return code(
            visible(value if isinstance(value, bytes) else str(value).encode(), mark_spaces=True, limit=40)
        )
    if column.digits is not None:
        number = f"{float(value):.{column.digits}f}"  # type: ignore[arg-type]
        return number.replace("-", "−") if float(number) != 0 else number.lstrip("-")
    return plain(value) if isinstance(value, str) else f"{int(value):,}"  # type: ignore[call-overload]


def plain(text: str) -> str:
    """Text that Markdown shows as it is, on one line."""
    return re.sub(r"([\\`*_{}\[\]<>#|$~!&:])", r"\\\1", " ".join(text.split()))


def code(text: str) -> str:
    """Text as a code span, inside tables too."""
    if not text:
        return ""
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * (longest + 1)
    around = " " if text.startswith("`") or text.endswith("`") else ""
    return f"{fence}{around}{text}{around}{fence}".replace("|", "\\|")


def page(markdown: str, title: str, pictures: Mapping[str, str]) -> str:
    """Markdown as one HTML file that needs nothing else: no script, no font, no network.

    Args:
        markdown: raw HTML in it is shown, never interpreted.
        title: of the window.
        pictures: SVG by the path under which the Markdown shows it; each is put into the page.

    Returns:
        The page; the same for equal arguments.
    """
    from markdown_it import MarkdownIt

    reader = MarkdownIt("commonmark", {"html": False}).enable("table")

    def image(self, tokens, number, options, env) -> str:
        token = tokens[number]
        drawn = pictures.get(str(token.attrs.get("src", "")))
        words = html.escape(token.content)
        return (
            f'<span class="figure" role="img" aria-label="{words}">{_inline(drawn)}</span>'
            if drawn
            else words
        )

    reader.add_render_rule("image", image)
    body = reader.render(_without_formulas(markdown))
    # Wide tables scroll by themselves, so that the page does not.
    body = body.replace("<table>", '<div class="table"><table>').replace("</table>", "</table></div>")
    return _PAGE.format(title=html.escape(title), body=body)


def _inline(svg: str) -> str:
    """An SVG file as part of a page: no prolog, no fixed size."""
    start = svg.index("<svg")
    return re.sub(r'<svg ([^>]*?)width="([\d.]+)pt" height="[\d.]+pt"', _sized, svg[start:], count=1).strip()


def _sized(match: re.Match[str]) -> str:
    return f'<svg {match[1]}style="width:{float(match[2]) / 72 * 1.25:.2f}in"'


def _without_formulas(markdown: str) -> str:
    """Formulas of one line as Unicode; code stays as it is."""
    pieces = re.split(r"(`+[^`]*`+|(?<!\\)\$[^$\n]+(?<!\\)\$)", markdown)
    return "".join(
        _formula(piece[1:-1]) if piece.startswith("$") and len(piece) > 2 else piece for piece in pieces
    )


def _formula(source: str) -> str:
    text = re.sub(r"\\mathrm\{([^{}]*)\}", r"\1", source)
    for name, sign in _SYMBOLS.items():
        text = text.replace(name, sign)
    return f"*{plain(text.replace('{', '').replace('}', ''))}*"


_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; img-src data:">
<title>{title}</title>
<style>
:root {{ color-scheme: light; }}
body {{ margin: 2rem auto; max-width: 54rem; padding: 0 1.2rem; background: #fff; color: #222;
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; }}
h1 {{ font-size: 1.7rem; line-height: 1.25; }}
h2 {{ font-size: 1.25rem; margin-top: 2.4rem; border-bottom: 1px solid #ddd; padding-bottom: .25rem; }}
h3 {{ font-size: 1.05rem; margin-top: 1.8rem; }}
code {{ font: .9em ui-monospace, "DejaVu Sans Mono", monospace; background: #f3f3f3; padding: 0 .2em;
  unicode-bidi: isolate; white-space: pre-wrap; overflow-wrap: anywhere; }}
.table {{ overflow-x: auto; }}
table {{ border-collapse: collapse; font-size: .86rem; margin: .6rem 0; }}
th, td {{ padding: .22rem .6rem; text-align: left; border-bottom: 1px solid #e6e6e6; }}
thead th {{ border-bottom: 1.5px solid #222; white-space: nowrap; }}
.figure {{ display: inline-block; vertical-align: top; max-width: 100%; }}
.figure svg {{ display: block; max-width: 100%; height: auto; margin: .6rem 0; }}
a {{ color: #00598c; }}
@media print {{ body {{ max-width: none; margin: 0; }} h2, h3 {{ break-after: avoid; }} }}
</style>
</head>
<body>
{body}</body>
</html>
"""
