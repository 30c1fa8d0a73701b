"""LaTeX around a report: every table and figure as a float, and a document that compiles as it is."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pipelines.report.exhibit import Shown, caption
from pipelines.report.exhibits import EXHIBITS
from pipelines.report.latex import tex_escape
from pipelines.report.side_by_side import TOGETHER, pictures_beside


def floats_tex(files: Iterable[str], shown: Sequence[Shown] = ()) -> str:
    """Every LaTeX table and every figure of a report as floats with captions and labels.

    Args:
        files: relative paths of what was written.
        shown: figures and tables of the report, among them those of several runs.

    Returns:
        LaTeX in ASCII. Figures come as PDF, at the size at which they were drawn; without PDFs there are none.
    """
    written = sorted(files)
    lines = [r"% Tables and figures; needs booktabs and graphicx. Widths are final: 3.25in or 6.75in."]
    for name in TOGETHER:
        if name.startswith("tables/") and f"{name}.tex" in written:
            lines.append(rf"\input{{{name}}}")
        elif f"{name}.pdf" in written:
            lines += _figure(name, "beside", caption(name))
    for name, words, parts in pictures_beside(shown):
        if all(f"{item.name}.pdf" in written for item in parts):
            lines += _row(name, words, parts)
    for exhibit in EXHIBITS:
        kind, _, name = exhibit.name.partition("/")
        suffix = ".tex" if kind == "tables" else ".pdf"
        for path in written:
            stem = path.removesuffix(suffix)
            # Of several comparisons each has its own, for example figures/classes-small.
            if path != stem and (stem == exhibit.name or stem.startswith(f"{exhibit.name}-")):
                lines += [rf"\input{{{stem}}}"] if kind == "tables" else _figure(stem, name, exhibit.caption)
    return "\n".join([*lines, ""])


def _row(name: str, words: str, parts: Sequence[Shown]) -> list[str]:
    """The same figure of several runs, side by side as far as the page is wide."""
    labels = ", ".join(rf"\texttt{{{tex_escape(item.comparison)}}}" for item in parts)
    return [
        r"\begin{figure}",
        r"\centering",
        "\n".join(rf"\includegraphics{{{item.name}.pdf}}" for item in parts),
        rf"\caption{{{tex_escape(words)} From left to right: {labels}.}}",
        rf"\label{{fig:beside-{name.replace('_', '-')}}}",
        r"\end{figure}",
    ]


def _figure(stem: str, name: str, words: str) -> list[str]:
    _, _, rest = stem.removeprefix("figures/").partition("-")
    comparison, _, part = f"-{rest}".partition("-page")
    comparison = comparison.removeprefix("-")
    label = name.replace("_", "-") + (f"-{rest}" if rest else "")
    words = tex_escape(words) + (rf" Comparison \texttt{{{tex_escape(comparison)}}}." if comparison else "")
    words += f" (Part {part}.)" if part else ""
    return [
        r"\begin{figure}",
        r"\centering",
        rf"\includegraphics{{{stem}.pdf}}",
        rf"\caption{{{words}}}",
        rf"\label{{fig:{label}}}",
        r"\end{figure}",
    ]
