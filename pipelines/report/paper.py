"""Every table and figure of a report as LaTeX floats; ``templates/paper.tex.j2`` is a document around them."""

from collections.abc import Iterable, Sequence

from pipelines.report.exhibit import Shown, caption
from pipelines.report.exhibit_writer import EXHIBITS
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
            lines += _figure([name], tex_escape(caption(name)), "beside")
    for name, words, parts in pictures_beside(shown):
        if all(f"{item.name}.pdf" in written for item in parts):
            labels = ", ".join(rf"\texttt{{{tex_escape(item.comparison)}}}" for item in parts)
            row = f"{tex_escape(words)} From left to right: {labels}."
            lines += _figure([item.name for item in parts], row, f"beside-{name}")
    for exhibit in EXHIBITS:
        kind, _, name = exhibit.name.partition("/")
        suffix = ".tex" if kind == "tables" else ".pdf"
        for path in written:
            stem = path.removesuffix(suffix)
            # Of several comparisons each has its own, for example figures/classes-small.
            if path == stem or not (stem == exhibit.name or stem.startswith(f"{exhibit.name}-")):
                continue
            if kind == "tables":
                lines.append(rf"\input{{{stem}}}")
            else:
                which = stem.removeprefix(exhibit.name)
                lines += _figure([stem], tex_escape(exhibit.caption) + _which(which), name, which)
    return "\n".join([*lines, ""])


def _which(suffix: str) -> str:
    """What the end of a figure's name says in words: ``-small-page2`` is part 2 of comparison small."""
    comparison, _, part = suffix.partition("-page")
    words = rf" Comparison \texttt{{{tex_escape(comparison.removeprefix('-'))}}}." if comparison else ""
    return words + (f" (Part {part}.)" if part else "")


def _figure(stems: Sequence[str], words: str, name: str, suffix: str = "") -> list[str]:
    """Pictures in one float, side by side as far as the page is wide; ``words`` are LaTeX."""
    return [
        r"\begin{figure}",
        r"\centering",
        *(rf"\includegraphics{{{stem}.pdf}}" for stem in stems),
        rf"\caption{{{words}}}",
        rf"\label{{fig:{name.replace('_', '-')}{suffix}}}",
        r"\end{figure}",
    ]
