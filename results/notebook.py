"""How a notebook shows a run and contexts: pieces of HTML without script, on light and dark, all text escaped."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING, Any

import pandas as pd

from results.conclusions import TABLES, conclusions
from results.label_frames import NO_RULE, labelled_features
from results.schema import TABLES as STORED_TABLES
from results.token_strip import Channel, token_strip
from results.token_text import isolated
from results.words import counted, number, share
from storage import StoreError

if TYPE_CHECKING:
    from results.loading import LoadedComparison

#: Tables that a loaded run names first.
FIRST = ("pairs", "features", "clusters", "verdicts", "headline", "labels")
#: Contexts that are drawn; a longer frame says how many are not.
DRAWN = 60
_MUTED = "opacity:0.7;font-size:0.8rem"


class ContextFrame(pd.DataFrame):
    """Contexts of one latent, which a notebook draws with the activation on every token.

    What is drawn lies in ``attrs`` as plain values, so a part of the frame is drawn too, wherever it was copied.
    """

    @property
    def _constructor(self) -> type[ContextFrame]:
        return ContextFrame

    def _repr_html_(self) -> str | None:
        drawing = self.attrs.get("contexts")
        if drawing is None or not {"row", "kind", "group", "value"} <= set(self.columns):
            return super()._repr_html_()  # pyright: ignore[reportAttributeAccessIssue]
        return context_html(self, drawing)


def drawing(run: LoadedComparison, model: str, latent: int, rows: Sequence[int]) -> dict[str, Any]:
    """What :class:`ContextFrame` draws of a latent at some rows, as JSON values."""
    firing, text = run.firing(model, latent), run.text
    labels = labelled_features(run)
    name = f"{model}:{latent}"
    label = labels["label"].get(name) if name in labels.index and labels["kind"][name] != NO_RULE else None
    windows = {}
    for row in rows:
        window = text.window(row)
        values = [float(value) for value in firing.at(window.rows)]
        windows[str(row)] = [window.tokens, values, window.peak, text.domain(row)]
    return {"name": name, "label": label, "rate": firing.rate, "maximum": firing.maximum, "windows": windows}


def context_html(frame: pd.DataFrame, drawing: dict[str, Any]) -> str:
    """Contexts as strips of tokens, the peak framed, coloured relative to the latent's largest activation."""
    title = [f"<b>{escape(drawing['name'])}</b>"]
    if drawing["label"]:
        title.append(f"<bdi>{escape(isolated(drawing['label']))}</bdi>")
    title.append(f"fires on {100 * drawing['rate']:.2g} % of rows, at most {number(drawing['maximum'])}")
    blocks = [f"<div>{' · '.join(title)}</div>"]
    columns = (frame[name].tolist()[:DRAWN] for name in ("row", "kind", "group", "value"))
    for row, kind, group, value in zip(*columns, strict=True):
        tokens, values, peak, domain = drawing["windows"][str(row)]
        why = f"tenth {group + 1} of 10" if kind == "quantile" else kind
        said = " · ".join(escape(str(part)) for part in (number(value), why, domain) if part)
        strip = token_strip(tokens, [Channel(drawing["name"], values, drawing["maximum"])], peak=peak)
        blocks.append(f'<div style="margin-top:0.5em"><div style="{_MUTED}">{said}</div>{strip}</div>')
    if len(frame) > DRAWN:
        blocks.append(f'<div style="{_MUTED}">{len(frame) - DRAWN} more are not drawn</div>')
    return f"<div>{''.join(blocks)}</div>"


def run_text(run: LoadedComparison) -> str:
    """What a loaded comparison is, in a line or two, and what to do next."""
    said = f"Run {run.name!r}, comparison {run.comparison!r}: {_found(run)}."
    return f'{said}\nTry .pairs, .features, .describe("pairs"), .contexts("{_first(run)}", 0); .tables() lists all.'


def run_html(run: LoadedComparison) -> str:
    """The same with the first conclusion and what the rows of its main tables are."""
    head = f"<b>{escape(run.name)}</b> · comparison {escape(run.comparison)} · {escape(_found(run))}"
    named = set(run.run.tables())
    rows = "".join(
        f'<tr><td style="text-align:left"><code>.{name}</code></td>'
        f'<td style="text-align:left">{escape(STORED_TABLES[name].meaning)}</td></tr>'
        for name in FIRST
        if name in named
    )
    tries = (
        f'<code>.describe("pairs")</code>, <code>.contexts("{escape(_first(run))}", 0)</code>, <code>.tables()</code>'
    )
    first = "".join(f"<div>{escape(sentence)}</div>" for sentence in _conclusions(run)[:1])
    return f"<div><div>{head}</div>{first}<table>{rows}</table><div>Also {tries}</div></div>"


def _conclusions(run: LoadedComparison) -> list[str]:
    try:
        return conclusions({name: table for name in TABLES if (table := run.optional(name)) is not None})
    except (StoreError, KeyError):  # of a run that is not finished
        return []


def _found(run: LoadedComparison) -> str:
    """What there is of it; this never raises, for debuggers ask too."""
    status = run.record.get("status", "unknown")
    try:
        models, pairs = run.models(), run.table("pairs")
    except StoreError:
        return f"no results yet (the run is {status})"
    edges = share(pairs["edge"].mean()) if len(pairs) and "edge" in pairs else share(None)
    return f"{counted(len(models), 'model')}, {counted(len(pairs), 'pair')} of which {edges} count as one feature"


def _first(run: LoadedComparison) -> str:
    try:
        return run.models()[0]
    except (StoreError, IndexError):
        return "m0"
