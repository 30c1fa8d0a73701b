r"""Tables for papers: booktabs, plain ASCII, with tokens that cannot stop a compiler.

pandas' own LaTeX export passes Unicode through, and pdflatex stops at the first CJK character, return glyph or
zero-width space. Here everything outside ASCII is written out, so a table compiles with any engine and any fonts; it
needs ``\usepackage{booktabs}`` and nothing else.
"""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate, takewhile
from typing import NamedTuple

import pandas as pd

from results.words import called

_SPECIAL = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "_": r"\_",
    "%": r"\%",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\ensuremath{<}",
    ">": r"\ensuremath{>}",
    "|": r"\ensuremath{|}",
}
#: What a typewriter token may hold as it is; the rest of printable ASCII goes by number, which no ligature, shorthand
#: or font encoding reads as anything else (OT1 and T1 typewriter fonts agree on these positions).
_PLAIN = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789()[]:;./=+*@")
_ESCAPES = {"\n": "n", "\t": "t", "\r": "r"}
#: Points of a page of :file:`paper.tex`, and of a character of its tables, a figure's width in 8 pt type.
_PAGE, _CHARACTER = 6.75 * 72.27, 4.25
#: Characters of a line between rows that need no second one; the share of the page that longer ones take.
ONE_LINE, WHOLE = 80, 0.95
#: Points on either side of a column, at most and at least.
_GAPS = (6.0, 2.0)
#: A character as a reader sees it, among what only says how to set it.
_SEEN = re.compile(r"\\(?:texttt|emph|multicolumn\{\d\}\{.\})\{|(?P<seen>\\[a-z]+\{[^{}]*\}|\\[a-z]+|\\?[^{}])")
_COMMON = {
    "–": "--",
    "−": r"\ensuremath{-}",
    "—": "---",
    "…": r"\ldots{}",
    "×": r"\ensuremath{\times}",
    "τ": r"\ensuremath{\tau}",
    "≥": r"\ensuremath{\geq}",
    "†": r"\ensuremath{\dagger}",
}


#: Inches of a line of text in a table, and how far below its base line it reaches.
PICTURE_WIDTH, BASE_LINE = 3.1, 0.035


class Column(NamedTuple):
    """One column of a table.

    Attributes:
        name: column of the frame.
        header: words above it; plain text, escaped here.
        digits: digits after the point for numbers; None for text and whole numbers.
        token: the cells are tokens, written by :func:`tex_token`.
        tail: of longer tokens their end is shown, not their beginning.
        code: the cells are names of the program or of files, in typewriter type; of other text, identifiers stand as
            what they are called (:func:`results.words.called`).
        share: of the page's width, in which text of people, of any length, has several lines in LaTeX.
    """

    name: str
    header: str
    digits: int | None = None
    token: bool = False
    code: bool = False
    tail: bool = False
    share: float | None = None

    def words(self, text: str) -> str:
        """The text of a cell as readers see it."""
        return called(text) if not (self.code or self.share) and re.fullmatch(r"\w+", text) else text


def tex_escape(text: str) -> str:
    r"""Running text for LaTeX: specials escaped, a few common signs in math, the rest outside ASCII as ``\u{65E5}``.

    No line is broken between a number and its percent sign.
    """
    signs = (_SPECIAL.get(c) or _COMMON.get(c) or (c if " " <= c < "\x7f" else _written_out(c)) for c in text)
    return re.sub(r"(?<=\d) \\%", r"~\\%", "".join(signs))


def tex_token(token: bytes | str, limit: int = 16, *, tail: bool = False) -> str:
    r"""A token in typewriter type that shows every byte and survives pdflatex with any font.

    Args:
        token: its bytes, or text.
        limit: letters of LaTeX before ``...``, at most; what is written out takes up to eight.
        tail: show its end.

    Returns:
        ``\texttt{...}`` in plain ASCII: space as ``\textvisiblespace``, line feed and tab as ``\n`` and ``\t``,
        other characters outside printable ASCII as ``\u{65E5}``, bytes that are no UTF-8 as ``\xNN``.
    """
    data = token.encode("utf-8", errors="surrogatepass") if isinstance(token, str) else token
    shown = [_token_character(character) for character in data.decode("utf-8", errors="surrogateescape")]
    if tail:
        shown.reverse()
    room = takewhile(lambda n: n <= limit, accumulate(len(_SEEN.findall(part)) for part in shown))
    fit = shown[: sum(1 for _ in room)]
    if len(fit) < len(shown):
        fit.append("...")
    return r"\texttt{" + "".join(fit[::-1] if tail else fit) + "}"


def _token_character(character: str) -> str:
    code = ord(character)
    if character in _PLAIN:
        return character
    if character == " ":
        return r"\textvisiblespace{}"
    if " " < character < "\x7f":
        return rf"\symbol{{{code}}}"
    if character in _ESCAPES:
        return rf"\symbol{{92}}{_ESCAPES[character]}"
    if 0xDC80 <= code <= 0xDCFF:  # where surrogateescape keeps a byte that is no UTF-8
        return rf"\symbol{{92}}x{code - 0xDC00:02X}"
    return rf"\symbol{{92}}u\symbol{{123}}{code:04X}\symbol{{125}}"


def _written_out(character: str) -> str:
    return rf"\textbackslash{{}}u\{{{ord(character):04X}\}}"


def booktabs(
    frame: pd.DataFrame,
    columns: Sequence[Column],
    *,
    caption: str,
    label: str,
    groups: Mapping[int, str] | None = None,
    pictures: str | None = None,
) -> str:
    """A frame as a floating booktabs table.

    Args:
        frame: rows in the order to print; a missing value prints as an en dash.
        columns: which columns, in which order and form; numbers are right-aligned, text left.
        caption: plain text, escaped here.
        label: for ``\\ref``; letters, digits, ``:`` and ``-``.
        groups: words on a line of their own before the row of that position.
        pictures: a PDF with a page for each row, the text that its columns of tokens hold; it stands in their place,
            :data:`PICTURE_WIDTH` wide, and needs ``\\usepackage{graphicx}``.

    Returns:
        LaTeX source in ASCII that ends with a line feed and is the same for equal arguments.
    """
    if pictures is not None:
        columns = [column for column in columns if not column.token]
    numeric = [pd.api.types.is_numeric_dtype(frame[c.name]) for c in columns]
    kinds = [
        f"p{{{c.share}\\linewidth}}" if c.share else "r" if n else "l" for c, n in zip(columns, numeric, strict=True)
    ]
    heads = [
        tex_escape(c.header) if not n else rf"\multicolumn{{1}}{{c}}{{{tex_escape(c.header)}}}"
        for c, n in zip(columns, numeric, strict=True)
    ]
    cells = [[_cell(value, c) for value, c in zip(row, columns, strict=True)] for row in _rows(frame, columns)]
    gap = _gap([heads, *cells], columns, 0.0 if pictures is None else PICTURE_WIDTH * 72.27)
    if pictures is not None:
        kinds.append("l")
        heads.append("strongest at (framed); shade: mean share of the maximum")
        for number, row in enumerate(cells, 1):
            row.append(rf"\raisebox{{-{BASE_LINE}in}}{{\includegraphics[page={number}]{{{pictures}}}}}")
    lines = [
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{tex_escape(caption)}}}",
        rf"\label{{{label}}}",
        # A float begins in the size of the text, whatever the size around it.
        rf"\footnotesize\setlength{{\tabcolsep}}{{{gap:.1f}pt}}",
        rf"\begin{{tabular}}{{@{{}}{''.join(kinds)}@{{}}}}",
        r"\toprule",
        " & ".join(heads) + r" \\",
        r"\midrule",
    ]
    for position, row in enumerate(cells):
        if groups and position in groups:
            lines += [r"\addlinespace"] if position else []
            kind = rf"p{{{WHOLE}\linewidth}}" if len(groups[position]) > ONE_LINE else "l"
            lines.append(rf"\multicolumn{{{len(heads)}}}{{@{{}}{kind}}}{{\emph{{{tex_escape(groups[position])}}}}} \\")
        lines.append(" & ".join(row) + r" \\")
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", r"\end{table}", ""])


def _rows(frame: pd.DataFrame, columns: Sequence[Column]) -> Iterable[tuple[object, ...]]:
    return frame[[c.name for c in columns]].itertuples(index=False, name=None)


def _gap(lines: Sequence[Sequence[str]], columns: Sequence[Column], beside: float) -> float:
    """Points beside each column: fewer where a table of these cells and so much beside would be wider than the page."""
    longest = [
        column.share * _PAGE / _CHARACTER
        if column.share
        else max(sum(part["seen"] is not None for part in _SEEN.finditer(cell)) for cell in cells)
        for cells, column in zip(zip(*lines, strict=True), columns, strict=True)
    ]
    room = (_PAGE - beside - _CHARACTER * sum(longest)) / max(2 * (len(longest) - (not beside)), 1)
    return min(max(room, _GAPS[1]), _GAPS[0])


def _cell(value: object, column: Column) -> str:
    if value is None or value is pd.NA or (isinstance(value, float) and math.isnan(value)):
        return "--"
    if column.token:
        return tex_token(value if isinstance(value, bytes) else str(value), tail=column.tail)
    if column.digits is not None:
        return number(float(value), column.digits)  # type: ignore[arg-type]
    if isinstance(value, str):
        if column.code:
            return rf"\texttt{{{tex_escape(value)}}}"
        text = tex_escape(column.words(value))
        # Characters that are written out make one word: its lines end between them.
        return re.sub(r"(\\textbackslash\{\}u\\\{\w+\\\})", r"\1\\allowbreak{}", text) if column.share else text
    return f"{int(value):,}".replace(",", "{,}")  # type: ignore[call-overload]


def number(value: float, digits: int) -> str:
    """A number with fixed digits, its minus sign in math; never minus zero."""
    text = f"{abs(value):.{digits}f}"
    return rf"\ensuremath{{-}}{text}" if value < 0 and float(text) != 0 else text
