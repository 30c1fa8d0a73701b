"""Small pieces of HTML for ``st.html``: every argument that is not markup of ours is escaped here.

Styles live in ``static/style.css``. Colours come from the page (``currentColor``) or from the fixed palette, so
that the pieces work on light and on dark.
"""

import html
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from results.colours import OKABE_ITO, rgba
from results.token_text import isolated


def escape(text: object) -> str:
    """Text that is safe between tags and inside double-quoted attributes."""
    return html.escape(str(text), quote=True)


@dataclass(frozen=True)
class Fact:
    """One number of an evidence strip: what it is, its value, a smaller line below, and an explanation on hover."""

    label: str
    value: str
    below: str = ""
    hint: str = ""


def facts(items: Iterable[Fact]) -> str:
    """A grid of numbers."""
    cells = "".join(
        f'<div class="uv-fact" title="{escape(item.hint)}"><div class="uv-label">{escape(item.label)}</div>'
        f'<div class="uv-value">{escape(item.value)}</div><div class="uv-below">{escape(item.below)}</div></div>'
        for item in items
    )
    return f'<div class="uv-facts">{cells}</div>'


def badge(text: str, colour: str, *, hint: str = "") -> str:
    """A small label with a coloured edge."""
    style = f"border-color:{colour};background-color:{rgba(colour, 0.16)}"
    return f'<span class="uv-badge" style="{style}" title="{escape(hint)}">{escape(text)}</span>'


#: Whether something speaks for a verdict -> its mark, its colour, and what the mark says.
_MARKS = {True: ("✓", "green", "yes"), False: ("✗", "vermillion", "no"), None: ("–", "", "not known")}


def verdict(sentence: str, reasons: Iterable[tuple[bool | None, str, str]]) -> str:
    """A sentence that decides, and under it what it rests on.

    Args:
        sentence: the verdict.
        reasons: whether each speaks for it (None: not known), what was asked, and what was found.
    """
    lines = ""
    for holds, asked, found in reasons:
        mark, colour, said = _MARKS[holds]
        style = f' style="color:{OKABE_ITO[colour]}"' if colour else ""
        marked = f'<b{style} title="{said}" aria-label="{said}">{mark}</b>'
        lines += f"<dt>{marked} {escape(asked)}</dt><dd>{escape(found)}</dd>"
    return f'<div class="uv-verdict"><p>{escape(sentence)}</p><dl>{lines}</dl></div>'


def heading(names: Iterable[tuple[str, str]], badges: Iterable[str] = ()) -> str:
    """Names, each underlined in its colour, and badges.

    Args:
        names: what the screen is about, one or a pair, with ``#RRGGBB``.
        badges: markup.
    """
    joined = '<span class="uv-to">↔\ufe0e</span>'.join(
        f'<span class="uv-side" style="border-bottom-color:{colour}">{escape(name)}</span>' for name, colour in names
    )
    return f'<div class="uv-heading">{joined}<span class="uv-badges">{"".join(badges)}</span></div>'


def token_list(rows: Sequence[tuple[str, float, bool]], colour: str, *, caption: str) -> str:
    """Tokens with values as bars from the left; tokens that both features of a pair list are marked.

    Args:
        rows: text, value, and whether the other side lists it too; in the order shown.
        colour: ``#RRGGBB`` of the bars.
        caption: heading of the list.
    """
    top, tinted = max((abs(value) for _, value, _ in rows), default=0.0) or 1.0, rgba(colour, 0.22)
    lines = "".join(
        f'<div class="uv-token{" uv-shared" if shared else ""}">'
        f'<span class="uv-bar" style="width:{100 * abs(value) / top:.0f}%;background-color:{tinted}"></span>'
        f'<bdi class="uv-token-text">{escape(text)}</bdi>'
        f'<span class="uv-token-value">{"● " if shared else ""}{f"{value:+.2f}".replace("-", "−")}</span></div>'
        for text, value, shared in rows
    )
    return f'<div class="uv-tokens"><div class="uv-label">{escape(caption)}</div>{lines}</div>'


def context_rows(items: Iterable[tuple[str, str]], *, flowing: bool = False) -> str:
    """Contexts under each other: a narrow column of facts (markup) beside the strip (markup).

    Args:
        items: facts and strip of each.
        flowing: lines of a text follow each other, whatever line feeds it has.
    """
    rows = "".join(
        f'<div class="uv-context"><div class="uv-meta">{meta}</div><div class="uv-strip">{strip}</div></div>'
        for meta, strip in items
    )
    return f'<div class="uv-contexts{" uv-flowing" if flowing else ""}">{rows}</div>'


def swatch(colour: str, text: str, *, underline: bool = False, ink: float = 1.0, shape: str = "box") -> str:
    """A legend entry: a filled box, or a line where the colour stands for an underline or a curve.

    Args:
        colour: ``#RRGGBB``.
        text: what it stands for.
        underline: draw a line.
        ink: opacity of the box, 0..1.
        shape: box, circle, triangle, diamond or rect, as points are drawn.
    """
    kind = "uv-line" if underline else f"uv-box uv-{shape}"
    style = f"background-color:{colour};opacity:{ink:g}"
    return f'<span class="uv-swatch"><i class="{kind}" style="{style}"></i>{escape(text)}</span>'


def remark(text: str) -> str:
    """Words between legend entries."""
    return f'<span class="uv-remark">{escape(text)}</span>'


def legend(entries: Iterable[str]) -> str:
    """Legend entries in a row that wraps."""
    return f'<div class="uv-legend">{"".join(entries)}</div>'


def labelled(text: str, entries: Iterable[str]) -> str:
    """A label in its own line, with remarks behind it.

    Args:
        text: the label; escaped, and kept apart from the direction of what follows.
        entries: markup.
    """
    return f'<div class="uv-legend"><b class="uv-own"><bdi>{escape(isolated(text))}</bdi></b>{"".join(entries)}</div>'


#: What a page of its own needs of the styles of the screens.
_PAGE_STYLE = (
    "body{font:14px system-ui,sans-serif;max-width:60rem;margin:2rem auto}"
    ".uv-legend{display:flex;flex-wrap:wrap;gap:.2rem 1.1rem;margin-bottom:1rem}"
    ".uv-line{display:inline-block;width:1.1rem;height:3px;margin-right:.4rem;vertical-align:middle}"
    ".uv-context{display:grid;grid-template-columns:9rem 1fr;gap:0 1rem;padding:.5rem 0;border-top:1px solid #ddd}"
    ".uv-meta{font-size:.78rem}"
)


def page_of(title: str, body: str) -> bytes:
    """A page of its own that needs no other file and runs no script.

    Args:
        title: our own words; escaped.
        body: markup in which every text has been escaped.
    """
    policy = "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
    head = f'<meta charset="utf-8">{policy}<title>{escape(title)}</title><style>{_PAGE_STYLE}</style>'
    return f"<!doctype html><html><head>{head}</head><body><h1>{escape(title)}</h1>{body}</body></html>".encode()
