"""Works that a report's text can cite: ``templates/references.bib``, and how Markdown names them."""

import re
from collections.abc import Iterable
from importlib import resources
from typing import NamedTuple

#: Letters that the file writes in LaTeX.
_ACCENTS = {"{\\'e}": "é", "{\\'a}": "á", '{\\"a}': "ä", "{\\c{c}}": "ç"}


class Work(NamedTuple):
    """A work that a text cites.

    Attributes:
        label: authors and year, as Markdown names it.
        source: its BibTeX entry in ASCII, ending with a line feed.
        fields: its BibTeX fields in order; what is not known for sure is left out.
    """

    label: str
    source: str
    fields: dict[str, str]


def _read() -> dict[str, Work]:
    text = resources.files("pipelines.report").joinpath("templates/references.bib").read_text("ascii")
    works: dict[str, Work] = {}
    for entry in re.finditer(r"^@\w+\{(\w+),\n(.*?)^\}\n", text, flags=re.M | re.S):
        fields = dict(re.findall(r"^  (\w+) = \{(.*)\},$", entry[2], flags=re.M))
        names = [name.split(",")[0] for name in _unbraced(fields["author"]).split(" and ")]
        authors = f"{names[0]} et al." if len(names) > 2 else " & ".join(names)
        works[entry[1]] = Work(f"{authors}, {fields['year']}", entry[0], fields)
    labels = [work.label for work in works.values()]
    # Works of the same authors and year are told apart by a letter, in the order of the file.
    return {
        key: work._replace(label=f"{work.label}{'abcdefgh'[labels[:place].count(work.label)]}")
        if labels.count(work.label) > 1
        else work
        for place, (key, work) in enumerate(works.items())
    }


def bibliography(keys: Iterable[str]) -> str:
    """BibTeX of the works cited, sorted by key; ASCII.

    Raises:
        KeyError: a key that ``references.bib`` lacks.
    """
    return "\n".join(WORKS[key].source for key in sorted(set(keys)))


def listed(keys: Iterable[str]) -> list[str]:
    """The works cited as lines of Markdown, sorted by key."""
    return [f"- {_plain(WORKS[key])}" for key in sorted(set(keys))]


def _plain(work: Work) -> str:
    fields = {name: _unbraced(value) for name, value in work.fields.items()}
    where = fields.get("journal") or fields["booktitle"]
    if "pages" in fields:
        where += f", {fields['volume']}, pp. {fields['pages'].replace('--', '–')}"
    link = f" <{fields['url']}>" if "url" in fields else ""
    names = [" ".join(reversed(name.split(", ", 1))) for name in fields["author"].split(" and ")]
    authors = " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
    return f"**{work.label}.** {authors}: {fields['title']}. {where}, {fields['year']}.{link}"


def _unbraced(text: str) -> str:
    for tex, letter in _ACCENTS.items():
        text = text.replace(tex, letter)
    return text.replace("{", "").replace("}", "")


#: By BibTeX key. Sources: the works' own pages; a field that could not be checked is not given.
WORKS: dict[str, Work] = _read()
