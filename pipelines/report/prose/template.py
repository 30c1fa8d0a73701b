r"""One text, two renderings: LaTeX with macros, and Markdown with the numbers filled in.

Texts are the files ``templates/*.md.j2``. Jinja decides which sentences stand there; what it leaves is plain English
with five marks: ``{NumModels}`` a macro, ``[@gao2024; @song2025]`` citations, ``$r$`` math (the same in both forms),
``*alive*`` emphasis, and names of the program in backticks. A sentence begins on a line of its own, and lines that
begin with spaces go on with it.
A sentence that needs a number which the run does not have is replaced by words that say so.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache
from typing import Any, NamedTuple

from jinja2 import Environment, PackageLoader, StrictUndefined

from pipelines.report.latex import tex_escape
from pipelines.report.markdown import plain
from pipelines.report.prose.citations import WORKS
from pipelines.report.prose.macros import PREFIX, Macros, joined, letters
from results import words

_MARK = re.compile(r" ?\[@[^\]]+\]|\{[A-Z][A-Za-z]*\}|\$[^$]+\$|\*[^*\s][^*]*\*|`[^`]+`")
_MACRO = re.compile(r"\{([A-Z][A-Za-z]*)\}")
_KEY = re.compile(r"@(\w+)")


class Section(NamedTuple):
    """A part of the text.

    Attributes:
        title: its heading.
        paragraphs: sentences of each paragraph, with their marks.
        comparison: whose numbers it uses first; None for the run's, and for the only comparison's.
        items: whether paragraphs are the items of a list.
    """

    title: str
    paragraphs: Sequence[Sequence[str]]
    comparison: str | None = None
    items: bool = False


@cache
def _templates() -> Environment:
    templates = Environment(
        loader=PackageLoader("pipelines.report"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    templates.globals["words"] = words
    templates.filters |= {"listed": joined, "letters": letters, "plain": plain, "cell": _cell}
    return templates


def _cell(text: str) -> str:
    """Text that does not end a cell of a Markdown table."""
    return text.replace("|", r"\|")


def filled(name: str, **context: Any) -> str:
    """The template ``templates/NAME.j2``, filled in.

    Args:
        name: its file without ``.j2``.
        context: what it is given; a name that it does not get is an error.
    """
    return _templates().get_template(f"{name}.j2").render(context)


def folded(text: str) -> str:
    """A text whose lines that begin with spaces go on with the line before."""
    return re.sub(r"\n +", " ", text)


def sections(name: str, comparison: str | None = None, **context: Any) -> list[Section]:
    """The sections of a template, their sentences still with marks.

    Args:
        name: of the template, without ``.md.j2``.
        comparison: as :class:`Section` has it.
        context: what the template is given.
    """
    parts = re.split(r"^## ", filled(f"{name}.md", **context), flags=re.M)[1:]
    return [_section(part, comparison) for part in parts]


def _section(text: str, comparison: str | None) -> Section:
    title, body = text.split("\n", 1)
    items = body.lstrip().startswith("- ")
    blocks = re.split(r"^- " if items else r"\n\s*\n", body, flags=re.M)
    # Sentences begin on lines of their own.
    folds = [folded(block.strip()).split("\n") for block in blocks if block.strip()]
    return Section(title, [[line.rstrip() for line in lines] for lines in folds], comparison, items)


def cited(sections: Sequence[Section]) -> list[str]:
    """Keys of the works that sections cite, sorted."""
    sentences = (s for section in sections for paragraph in section.paragraphs for s in paragraph)
    return sorted({key for s in sentences for mark in re.findall(r"\[@[^\]]+\]", s) for key in _KEY.findall(mark)})


def unknown(sentence: str, macros: Macros) -> list[str]:
    """Names of macros that a sentence needs and the run does not have."""
    return [name for name in dict.fromkeys(_MACRO.findall(sentence)) if macros.get(name) is None]


def tex_text(sections: Sequence[Section], macros: Macros) -> str:
    """Sections as LaTeX in ASCII: subsections, paragraphs and lists, without a preamble."""

    def lines(section: Section) -> Iterator[str]:
        paragraphs = ["\n".join(tex_sentence(s, macros) for s in p) for p in section.paragraphs]
        yield from (rf"\subsection*{{{tex_escape(section.title)}}}", "")
        if section.items:
            yield from (r"\begin{itemize}", *(rf"\item {text}" for text in paragraphs), r"\end{itemize}", "")
        else:
            yield from (f"{text}\n" for text in paragraphs)

    return _text(sections, macros, lines)


def markdown_text(sections: Sequence[Section], macros: Macros) -> str:
    """Sections as Markdown, numbers filled in."""

    def lines(section: Section) -> Iterator[str]:
        paragraphs = [" ".join(markdown_sentence(s, macros) for s in p) for p in section.paragraphs]
        yield from (f"## {section.title}", "")
        if section.items:
            yield from (*(f"- {text}" for text in paragraphs), "")
        else:
            yield from (f"{text}\n" for text in paragraphs)

    return _text(sections, macros, lines)


def _text(sections: Sequence[Section], macros: Macros, lines: Callable[[Section], Iterable[str]]) -> str:
    """The lines of all sections, each with the macros of its own comparison."""
    text: list[str] = []
    for section in sections:
        macros.scoped(section.comparison)
        text += lines(section)
    macros.scoped(None)
    return "\n".join(text)


def tex_sentence(sentence: str, macros: Macros) -> str:
    """A sentence as LaTeX."""
    lacking = unknown(sentence, macros)
    if lacking:
        return rf"\textbf{{[{tex_escape(_lacks(lacking))}]}}"

    def mark(text: str) -> str:
        if "[@" in text:
            return rf"~\cite{{{','.join(_KEY.findall(text))}}}"
        if text[0] in "*`":
            return rf"\{'emph' if text[0] == '*' else 'texttt'}{{{tex_escape(text[1:-1])}}}"
        return _MACRO.sub(lambda name: rf"\{PREFIX}{macros[name[1]].name}{{}}", text)

    return _marked(sentence, tex_escape, mark)


def markdown_sentence(sentence: str, macros: Macros) -> str:
    """A sentence as Markdown."""
    lacking = unknown(sentence, macros)
    if lacking:
        return f"**[{_lacks(lacking)}]**"

    def mark(text: str) -> str:
        if "[@" in text:
            return f" ({'; '.join(WORKS[key].label for key in _KEY.findall(text))})"
        return text if text[0] in "*`" else _MACRO.sub(lambda name: macros[name[1]].value.text, text)

    return _marked(sentence, str, mark)


def _lacks(names: Sequence[str]) -> str:
    return f"Missing from this run: {', '.join(names)}."


def _marked(sentence: str, escape: Callable[[str], str], mark: Callable[[str], str]) -> str:
    pieces, end = [], 0
    for match in _MARK.finditer(sentence):
        pieces += [escape(sentence[end : match.start()]), mark(match.group())]
        end = match.end()
    return "".join([*pieces, escape(sentence[end:])])
