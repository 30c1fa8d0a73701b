r"""One text, two renderings: LaTeX with macros, and Markdown with the numbers filled in.

A sentence is plain English with four marks: ``{NumModels}`` a macro, ``[@gao2024; @song2025]`` citations, ``$r$`` math
(the same in both forms), ``*alive*`` emphasis.
A sentence that needs a number which the run does not have is replaced by words that say so.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

from pipelines.report.latex import tex_escape
from pipelines.report.prose.citations import WORKS
from pipelines.report.prose.macros import PREFIX, Macros

_MARK = re.compile(r" ?\[@[^\]]+\]|\{[A-Z][A-Za-z]*\}|\$[^$]+\$|\*[^*\s][^*]*\*")
_MACRO = re.compile(r"\{([A-Z][A-Za-z]*)\}")
_KEY = re.compile(r"@(\w+)")


class Section(NamedTuple):
    """A part of the text.

    Attributes:
        title: its heading.
        paragraphs: sentences of each paragraph, in template form.
        comparison: whose numbers it uses first; None for the run's, and for the only comparison's.
        items: whether paragraphs are the items of a list.
    """

    title: str
    paragraphs: Sequence[Sequence[str]]
    comparison: str | None = None
    items: bool = False


def cited(sections: Sequence[Section]) -> list[str]:
    """Keys of the works that sections cite, sorted."""
    sentences = (s for section in sections for paragraph in section.paragraphs for s in paragraph)
    return sorted(
        {key for s in sentences for mark in re.findall(r"\[@[^\]]+\]", s) for key in _KEY.findall(mark)}
    )


def unknown(sentence: str, macros: Macros) -> list[str]:
    """Names of macros that a sentence needs and the run does not have."""
    return [name for name in dict.fromkeys(_MACRO.findall(sentence)) if macros.get(name) is None]


def tex_text(sections: Sequence[Section], macros: Macros) -> str:
    """Sections as LaTeX in ASCII: subsections, paragraphs and lists, without a preamble."""
    lines: list[str] = []
    for section in sections:
        macros.scoped(section.comparison)
        lines += [rf"\subsection*{{{tex_escape(section.title)}}}", ""]
        paragraphs = ["\n".join(tex_sentence(s, macros) for s in p) for p in section.paragraphs]
        if section.items:
            lines += [r"\begin{itemize}", *(rf"\item {text}" for text in paragraphs), r"\end{itemize}", ""]
        else:
            lines += [line for text in paragraphs for line in (text, "")]
    macros.scoped(None)
    return "\n".join(lines)


def markdown_text(sections: Sequence[Section], macros: Macros) -> str:
    """Sections as Markdown, numbers filled in."""
    lines: list[str] = []
    for section in sections:
        macros.scoped(section.comparison)
        lines += [f"## {section.title}", ""]
        paragraphs = [" ".join(markdown_sentence(s, macros) for s in p) for p in section.paragraphs]
        if section.items:
            lines += [*(f"- {text}" for text in paragraphs), ""]
        else:
            lines += [line for text in paragraphs for line in (text, "")]
    macros.scoped(None)
    return "\n".join(lines)


def tex_sentence(sentence: str, macros: Macros) -> str:
    """A sentence as LaTeX."""
    lacking = unknown(sentence, macros)
    if lacking:
        return rf"\textbf{{[{tex_escape(_lacks(lacking))}]}}"
    return _marked(sentence, tex_escape, lambda mark: _tex_mark(mark, macros))


def markdown_sentence(sentence: str, macros: Macros) -> str:
    """A sentence as Markdown."""
    lacking = unknown(sentence, macros)
    if lacking:
        return f"**[{_lacks(lacking)}]**"
    return _marked(sentence, str, lambda mark: _markdown_mark(mark, macros))


def _lacks(names: Sequence[str]) -> str:
    return f"Missing from this run: {', '.join(names)}."


def _marked(sentence: str, plain: Callable[[str], str], mark: Callable[[str], str]) -> str:
    out, end = [], 0
    for found in _MARK.finditer(sentence):
        out += [plain(sentence[end : found.start()]), mark(found.group())]
        end = found.end()
    return "".join([*out, plain(sentence[end:])])


def _tex_mark(mark: str, macros: Macros) -> str:
    if "[@" in mark:
        return rf"~\cite{{{','.join(_KEY.findall(mark))}}}"
    if mark.startswith("*"):
        return rf"\emph{{{tex_escape(mark[1:-1])}}}"

    def command(found: re.Match[str]) -> str:
        macro = macros.get(found[1])
        assert macro is not None, "sentences with unknown macros are replaced before"
        return rf"\{PREFIX}{macro.name}{{}}"

    return _MACRO.sub(command, mark)


def _markdown_mark(mark: str, macros: Macros) -> str:
    if "[@" in mark:
        return f" ({'; '.join(WORKS[key].label for key in _KEY.findall(mark))})"

    def value(found: re.Match[str]) -> str:
        macro = macros.get(found[1])
        assert macro is not None, "sentences with unknown macros are replaced before"
        return macro.value.text

    return mark if mark.startswith("*") else _MACRO.sub(value, mark)
