"""Contexts with activations drawn on them: each text once, with every feature's channel on it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import streamlit as st

from dashboards.components.links import literal
from dashboards.components.mark_legend import mark_legend
from dashboards.components.markup import context_rows, escape, legend, swatch
from dashboards.components.panels import nothing, panel
from dashboards.data import View
from results import words
from results.evaluation_text import EvaluationText, Window
from results.firing import Firing, distinct, rows_of_choice
from results.ids import feature_id
from results.token_strip import Channel, token_strip
from results.tokenizers import own_window, several_tokenizers, tokenizer_of

#: Contexts shown at first, and after a click on *More*.
LIMIT = 8
MORE = 30
#: Rows looked through for contexts that differ; a latent that fires everywhere needs no more.
LOOK = 2_000


@dataclass(frozen=True)
class DrawnFeature:
    """A feature whose activations are drawn.

    Attributes:
        model: model id.
        latent: latent number.
        firing: where it fires.
        colour: ``#RRGGBB`` of its marks on every part of the screen.
    """

    model: str
    latent: int
    firing: Firing
    colour: str

    @property
    def name(self) -> str:
        """As written everywhere, for example ``m0:12``."""
        return feature_id(self.model, self.latent)

    def channel(self, rows: np.ndarray) -> Channel:
        """Its activations on evaluation rows, as they are drawn on their tokens."""
        return Channel(self.name, self.firing.at(rows).tolist(), self.firing.maximum or None, self.colour)


class DrawnEffect(DrawnFeature):
    """Where the loss rises without a feature."""

    @property
    def name(self) -> str:
        """What the mark says."""
        return "loss without it, nats, on score rows"


def drawn_feature(view: View, model: str, latent: int, colour: str) -> DrawnFeature:
    """A feature with its activations."""
    return DrawnFeature(model, int(latent), view.firing(model, int(latent)), colour)


#: Choices of contexts of two features: those of :func:`results.firing.rows_of_choice`, and of :data:`STORED`.
CHOICES = ("top_a", "top_b", "both", "a_only", "b_only", "quantiles", "random")
#: Choices whose contexts the run has drawn for one feature -> their kind in the table ``contexts``.
STORED = {"quantiles": "quantile", "random": "random"}


def choice_words(choice: str, names: Sequence[str]) -> tuple[str, str]:
    """The name of a choice of contexts on its button, and what it shows.

    Args:
        choice: of :data:`CHOICES`.
        names: of one feature, or of two.
    """
    a, b = names[0], names[-1]
    silent = "on the framed token and {} is silent there: where the two disagree."
    return {
        "top_a": (f"Top of {a}" if a != b else "Top", f"The contexts in which {a} is strongest."),
        "top_b": (f"Top of {b}", f"The contexts in which {b} is strongest."),
        "both": ("Both fire", "Both fire on the framed token; ordered by the weaker one's share of its maximum."),
        "a_only": (f"Only {a}", f"{a} fires {silent.format(b)}"),
        "b_only": (f"Only {b}", f"{b} fires {silent.format(a)}"),
        "quantiles": ("Quantiles", "Contexts from every tenth of the activation range, strongest tenth first."),
        "random": ("Random", "Drawn at random from all rows where the feature fires: what it usually looks like."),
    }[choice]


@st.fragment
def show_contexts_panel(
    view: View, features: Sequence[DrawnFeature], *, key: str, beneath: Sequence[DrawnFeature] = (),
    stored: bool = True, title: str = "Contexts",
) -> None:  # fmt: skip
    """Contexts of a choice; a fragment, so that another choice redraws nothing else.

    Args:
        view: the comparison.
        features: one, or two, of which the first is the background and the second the underline.
        key: prefix of the keys of the widgets.
        beneath: what is drawn below one feature, and chooses no contexts.
        stored: whether the run has drawn contexts for its compared models, as comparisons do and studies do not.
        title: of the panel.
    """
    with panel(title, "Each text stands once, with the activations of all features drawn on it."):
        models, names = view.models() if stored else [], [feature.name for feature in features]
        drawn_for = [side for side, f in zip("ab", features, strict=False) if f.model in models]
        choice, whose, more, stacked, broken = _controls(names, drawn_for, key)
        if len(features) > 1:
            st.caption(literal(choice_words(choice, names)[1]))
        if choice in STORED:
            one = features["ab".index(whose)]
            rows = stored_rows(view.of_latent("contexts", one.model, one.latent), STORED[choice])
        else:
            best = rows_of_choice(choice, features[0].firing, features[-1].firing)
            rows = [(row, "") for row in distinct_contexts(view.text, best, MORE if more else LIMIT)]
        together = [*features, *beneath]
        st.html(features_legend(together, stacked=stacked))
        if rows:
            drawn = (context_strip(view, row, note, together, stacked=stacked) for row, note in rows)
            st.html(context_rows(drawn, flowing=not broken))
        else:
            remedy = "The two features agree here, or one of them never fires on the evaluation text."
            nothing("No such row.", remedy)


def _controls(names: Sequence[str], drawn_for: Sequence[str], key: str) -> tuple[str, str, bool, bool, bool]:
    """Which contexts, of which feature, more of them, whether each feature has a line of its own, and the text's lines.

    Of a control's latent the run has drawn no contexts: ``drawn_for`` are the sides of which it has.
    """
    several = len(names) > 1
    options = list(CHOICES) if several else ["top_a", *STORED]
    options = [choice for choice in options if drawn_for or choice not in STORED]
    whose, stacked = "a", False
    with st.container(horizontal=True, vertical_alignment="center"):
        choice = st.segmented_control(
            "Contexts", options, default="top_a", required=True, key=f"{key}_contexts",
            format_func=lambda choice: literal(choice_words(choice, names)[0]), label_visibility="collapsed",
        )  # fmt: skip
        if choice in STORED and len(drawn_for) > 1:
            whose = st.segmented_control(
                "Whose", drawn_for, default="a", required=True, key=f"{key}_whose", label_visibility="collapsed",
                format_func=lambda side: literal(f"of {names['ab'.index(side)]}"),
            )  # fmt: skip
        more = choice not in STORED and st.toggle("More", key=f"{key}_more", help=f"Up to {MORE} contexts")
        if several:
            stacked = st.toggle("Separate lines", key=f"{key}_stacked", help="Each feature on a line of its own")
        broken = st.toggle("Line breaks", key=f"{key}_broken", help="Begin a new line where the text does")
        mark_legend(f"{key}_legend")
    return choice or "top_a", whose or "a", more, stacked, broken


def stored_rows(contexts: pd.DataFrame, kind: str) -> list[tuple[int, str]]:
    """Rows that the run has drawn for a feature, strongest tenth of its activations first.

    Args:
        contexts: rows of the table ``contexts`` of the feature.
        kind: ``quantile`` or ``random``.

    Returns:
        Evaluation row and note ("tenth 9 of 10", or nothing); no row twice.
    """
    rows = contexts[contexts["kind"] == kind].sort_values(["group", "rank"], ascending=[False, True])
    rows = rows.drop_duplicates("row")
    notes = [f"tenth {group + 1} of 10" if kind == "quantile" else "" for group in rows["group"].astype(int)]
    return list(zip(rows["row"].astype(int), notes, strict=True))


def distinct_contexts(text: EvaluationText, rows: np.ndarray, limit: int) -> list[int]:
    """The first rows whose contexts differ, and whose windows do: a text that comes twice is shown once.

    Args:
        text: the evaluation text.
        rows: (n,) evaluation rows, best first.
        limit: most rows returned.
    """
    texts = distinct(rows[:LOOK], lambda r: text.contexts[text.row_context[r]].tobytes(), 4 * limit)
    return distinct(texts, lambda r: "".join(text.window(r).tokens).encode(), limit)


def context_strip(
    view: View, row: int, note: str, features: Sequence[DrawnFeature], *, stacked: bool
) -> tuple[str, str]:
    """Values and place of an evaluation row, and its text with every feature on it or on a line of its own."""
    text = view.text
    strips = "".join(
        f"<div>{token_strip(window.tokens, [one.channel(window.rows) for one in drawn], peak=window.peak)}</div>"
        for window, drawn in _lines(view, text.wide_window(row), features, stacked=stacked)
    )
    values = "".join(
        f'<div title="{escape(feature.name)}"><i class="uv-dot" style="background-color:{feature.colour}"></i>'
        f"<b>{words.number(float(feature.firing.at([row])[0]))}</b></div>"
        for feature in features
    )
    place = " · ".join(part for part in (text.domain(row), note) if part)
    return f'<div class="uv-pairing">{values}</div><div><span>{escape(place)}</span></div>', strips


def _lines(
    view: View, window: Window, features: Sequence[DrawnFeature], *, stacked: bool
) -> list[tuple[Window, list[DrawnFeature]]]:
    """The text in the tokens of the features' models, once for each tokenizer (or feature), and what is drawn on it."""
    together: dict[str, list[DrawnFeature]] = {}
    for feature in features:
        line = feature.name if stacked else tokenizer_of(view, feature.model)
        together.setdefault(line, []).append(feature)
    if not several_tokenizers(view):
        return [(window, drawn) for drawn in together.values()]
    return [(own_window(view, drawn[0].model, window), drawn) for drawn in together.values()]


def features_legend(features: Sequence[DrawnFeature], *, stacked: bool) -> str:
    """What background and underline stand for."""
    marks = [(" (background)", False), (" (underline)", True)]
    if stacked or len(features) == 1:
        marks = [("", False)] * 2
    entries = [
        swatch(feature.colour, feature.name + mark, underline=under, ink=1 if under else 0.6)
        for feature, (mark, under) in zip(features, marks, strict=False)
    ]
    return legend(entries)
