r"""Numbers of a report by name: LaTeX macros, and the same values for Markdown.

**Names.** A macro is ``\uf`` and a name of letters: ``\ufNumUniversal``. Digits and signs of ids are spelled out
(``m0-m1`` is ``MZeroMOne``). Numbers of a comparison have plain names where it is the run's only one; where there are
several the name goes on with ``In`` and the comparison's id in letters: ``\ufNumUniversalInLayerZero``. Names
are stable: a later version may add some, and renames none.
"""

import math
import re
from collections.abc import Callable, Iterable, Sequence
from operator import attrgetter
from typing import Any, NamedTuple

from pipelines.report.latex import number, tex_escape

PREFIX = "uf"
_DIGITS = ("Zero", "One", "Two", "Three", "Four", "Five", "Six", "Seven", "Eight", "Nine")


class Value(NamedTuple):
    """A value in both forms.

    Attributes:
        tex: LaTeX in ASCII, for text and for math mode.
        text: Markdown.
    """

    tex: str
    text: str


class Macro(NamedTuple):
    """A named value.

    Attributes:
        name: letters only, without the prefix.
        value: what it stands for.
        meaning: what it is, and which table or setting it comes from; plain text.
    """

    name: str
    value: Value
    meaning: str


class Field(NamedTuple):
    """A setting that becomes a macro.

    Attributes:
        name: of the macro.
        form: how its value is written.
        path: of the setting in its config, for example ``corpus.max_document_bytes``.
        meaning: what it is, where the path does not say so.
    """

    name: str
    form: Callable[[Any], Value | None]
    path: str
    meaning: str = ""


class Macros:
    """The macros of a report by name, in the order in which they were added."""

    def __init__(self) -> None:
        """Start without macros."""
        self.by_name: dict[str, Macro] = {}
        self._scope = ""

    def scoped(self, comparison: str | None) -> None:
        """From here on names belong to a comparison; None for the run, and for the only comparison."""
        self._scope = "" if comparison is None else f"In{letters(comparison)}"

    def add(self, name: str, value: Value | None, meaning: str) -> None:
        """Take a value in; None, for what the run does not have, is left out.

        Names that two ids spell alike (``a-b`` and ``a_b``) are told apart by an ``X`` at the end.
        """
        if value is None:
            return
        full = name + self._scope
        while full in self.by_name:
            full += "X"
        self.by_name[full] = Macro(full, value, meaning)

    def add_fields(self, config: Any, where: str, fields: Iterable[Field]) -> None:
        """Take in settings of a config; ``where`` it stands goes on with the meaning of each."""
        for name, form, path, meaning in fields:
            self.add(name, form(attrgetter(path)(config)), f"{meaning or path}{where}")

    def get(self, name: str) -> Macro | None:
        """The macro of the current comparison, else of the run."""
        return self.by_name.get(name + self._scope) or self.by_name.get(name)

    def __getitem__(self, name: str) -> Macro:
        """The macro of the current comparison, else of the run.

        Raises:
            KeyError: the run has no such number.
        """
        return self.by_name.get(name + self._scope) or self.by_name[name]

    def tex(self) -> str:
        r"""``macros.tex``: a comment and a ``\newcommand`` per macro, in ASCII."""
        lines = [
            "% Numbers of this run, computed from its stored tables; written by the report, not by hand.",
            r"% \input this before the text. Names: \uf, then letters; with several comparisons, In and the",
            "% comparison's name. Each comment says what the number is and where it stands.",
        ]
        for macro in self.by_name.values():
            meaning = " ".join(macro.meaning.encode("ascii", "backslashreplace").decode().split())
            lines += [
                f"% {meaning}",
                rf"\newcommand{{\{PREFIX}{macro.name}}}{{{macro.value.tex}}}",
            ]
        return "\n".join([*lines, ""])


def letters(text: str) -> str:
    """An id in letters: ``m0-m1`` is ``MZeroMOne``, ``layer_3`` is ``LayerThree``."""
    parts = re.findall(r"[A-Za-z]+|\d", text)
    return "".join(_DIGITS[int(p)] if p.isdigit() else p[0].upper() + p[1:] for p in parts)


def count(value: float) -> Value:
    """A whole number, thousands separated."""
    text = f"{int(value):,}"
    return Value(text.replace(",", "{,}"), text)


def real(value: float | None, digits: int = 2) -> Value | None:
    """A number with fixed digits; None for None and what is not finite."""
    if value is None or not math.isfinite(value):
        return None
    text = f"{value:.{digits}f}"
    if float(text) == 0:
        text = text.lstrip("-")
    return Value(number(value, digits), text.replace("-", "−"))


def percent(share: float | None, digits: int = 1) -> Value | None:
    """A share in 0..1 as a percentage, without its sign."""
    return None if share is None else real(100 * share, digits)


def whole_percent(share: float | None) -> Value | None:
    """A share in 0..1 as a percentage without digits after the point, without its sign."""
    return percent(share, 0)


def setting(value: float | None) -> Value | None:
    """A setting as it was given: up to six digits, exponents as powers of ten."""
    if value is None or not math.isfinite(value):
        return None
    if float(value).is_integer() and abs(value) < 1e9:
        return count(int(value))
    text = f"{value:.6g}"
    if "e" not in text:
        return Value(text, text)
    mantissa, exponent = text.split("e")
    power = rf"{mantissa}\times 10^{{{int(exponent)}}}"
    return Value(rf"\ensuremath{{{power}}}", f"{mantissa}e{int(exponent)}")


def words(text: str | None) -> Value | None:
    """Plain text from the run, escaped for both forms."""
    return None if text is None else Value(tex_escape(text), _markdown(text))


def code(text: str | None) -> Value | None:
    """A name of the program, in typewriter type; LaTeX may break its line after points and underscores."""
    if text is None:
        return None
    tex = tex_escape(text).replace(".", r".\allowbreak{}").replace(r"\_", r"\_\allowbreak{}")
    return Value(rf"\texttt{{{tex}}}", f"`{text.replace('`', ' ')}`")


def series(values: Iterable[Value | None]) -> Value | None:
    """Several values as a list in prose: ``a``, ``a and b``, ``a, b and c``; None for none."""
    given = [value for value in values if value is not None]
    return Value(joined([v.tex for v in given]), joined([v.text for v in given])) if given else None


def span(values: Iterable[float | None], digits: int) -> Value | None:
    """The range of values with fixed digits, or the one value that all round to."""
    shown = [v for v in values if v is not None and math.isfinite(v)]
    if not shown:
        return None
    low, high = real(min(shown), digits), real(max(shown), digits)
    return _between(low, high)


def count_span(values: Iterable[float]) -> Value | None:
    """The range of whole numbers, or their one value; of those that are known."""
    shown = sorted(value for value in values if math.isfinite(value))
    return _between(count(shown[0]), count(shown[-1])) if shown else None


def _between(low: Value | None, high: Value | None) -> Value | None:
    if low is None or high is None:
        return None
    if low == high:
        return low
    if "−" in low.text + high.text:
        return Value(f"{low.tex} to {high.tex}", f"{low.text} to {high.text}")
    # In math mode three hyphens would be minus signs, hence text.
    return Value(rf"\mbox{{{low.tex}--{high.tex}}}", f"{low.text}–{high.text}")


def joined(items: Sequence[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}"


def _markdown(text: str) -> str:
    plain = " ".join(text.split()).replace("<", "&lt;")
    return re.sub(r"([\\`*_\[\]|$])", r"\\\1", plain)
