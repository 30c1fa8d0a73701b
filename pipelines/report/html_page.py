"""Markdown as a page that runs nothing and fetches nothing."""

import html
import re
from collections.abc import Mapping

from pipelines.report.markdown import plain
from pipelines.report.prose.template import filled

#: The LaTeX that the report's own text has in formulas, as Unicode.
_SYMBOLS = {
    r"\tau": "τ", r"\beta": "β", r"\alpha": "α", r"\geq": "≥", r"\leq": "≤", r"\times": "×", r"\cdot": "·",
    r"\sqrt": "√", r"\sum": "Σ", r"\approx": "≈", r"\lambda": "λ", r"\epsilon": "ε", r"\ldots": "…", r"\,": " ",
}  # fmt: skip


def as_html(markdown: str, title: str, pictures: Mapping[str, str]) -> str:
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
        return f'<span class="figure" role="img" aria-label="{words}">{_inline(drawn)}</span>' if drawn else words

    reader.add_render_rule("image", image)
    body = reader.render(_without_formulas(markdown))
    # Wide tables scroll by themselves, so that the page does not.
    body = body.replace("<table>", '<div class="table"><table>').replace("</table>", "</table></div>")
    return filled("page.html", title=html.escape(title), body=body)


def _inline(svg: str) -> str:
    """An SVG file as part of a page: no prolog, no fixed size."""
    start = svg.index("<svg")
    return re.sub(r'<svg ([^>]*?)width="([\d.]+)pt" height="[\d.]+pt"', _sized, svg[start:], count=1).strip()


def _sized(match: re.Match[str]) -> str:
    return f'<svg {match[1]}style="width:{float(match[2]) / 72 * 1.25:.2f}in"'


def _without_formulas(markdown: str) -> str:
    """Formulas of one line as Unicode; code stays as it is."""
    pieces = re.split(r"(`+[^`]*`+|(?<!\\)\$[^$\n]+(?<!\\)\$)", markdown)
    return "".join(_formula(piece[1:-1]) if piece.startswith("$") and len(piece) > 2 else piece for piece in pieces)


def _formula(source: str) -> str:
    text = re.sub(r"\\mathrm\{([^{}]*)\}", r"\1", source)
    for name, sign in _SYMBOLS.items():
        text = text.replace(name, sign)
    return f"*{plain(text.replace('{', '').replace('}', ''))}*"
