"""What every mark means: one legend, the same on every screen that draws text."""

import streamlit as st

from dashboards.components.badges import badge_of
from dashboards.components.markup import badge, escape, swatch
from results import words
from results.colours import EFFECT_CLASS_COLOURS, GREY, SIDE_COLOURS, rgba
from results.token_strip import MAX_ALPHA, MIN_ALPHA
from results.token_text import NEWLINE_MARK, PART_MARK

_DEPTHS = "".join(
    f'<i class="uv-box" style="background-color:{rgba(SIDE_COLOURS["a"], alpha)}"></i>'
    for alpha in (MIN_ALPHA, (MIN_ALPHA + MAX_ALPHA) / 2, MAX_ALPHA)
)
#: Mark (markup), and what it means.
_TEXT = [
    (f'<span class="uv-swatch">{_DEPTHS}</span>',
     "background: how strongly the first feature fires there, as a share of its largest activation. Of continuations: "
     "tokens of the domain. On the text lens: the strongest cluster, with its letter"),
    (swatch(SIDE_COLOURS["b"], "", underline=True),
     "lines under the text: a second feature; of a cluster one line for each model, in the order of the run. On the "
     "text lens: the share of models in which the cluster fires"),
    ('<span class="uv-swatch"><span class="uv-framed">token</span></span>',
     "framed: the token that the values beside the text belong to"),
    (f'<i class="uv-dot" style="background-color:{SIDE_COLOURS["a"]}"></i><b>5.70</b>',
     "activation on the framed token, with a dot in the feature's colour"),
    (f"{NEWLINE_MARK} ⇥ · ⍽", "line feed, tab, and in lists of tokens a space; a space that does not break"),
    (f"{PART_MARK} \\xE2 ⟨ZWSP⟩", "part of a character that a later token completes; a byte that is no text; a "
     "character that cannot be seen"),
    ("●", "a token that the other feature's list has too"),
    ("✓ ✗ –", "speaks for the match, against it, or is not known"),
]  # fmt: skip


def mark_legend(key: str) -> None:
    """A button that shows what colours, lines, frames, badges and flags mean.

    Args:
        key: of the button.
    """
    with st.popover("Legend", icon=":material/legend_toggle:", type="tertiary", key=key, help="What every mark means"):
        st.html(meanings())


def meanings() -> str:
    """Every mark with what it means, by kind."""
    effects = {
        badge(words.called(name), EFFECT_CLASS_COLOURS[name]): meaning for name, meaning in words.EFFECT_CLASSES.items()
    }
    groups = {
        "Text (hover any token for its raw values)": _TEXT,
        f"Level of a match: {words.LEVEL}": _badges("level", words.LEVELS),
        "Class of a feature": _badges("class", words.CLASSES),
        "Why a model lacks it": _badges("verdict", words.VERDICTS),
        "What two matched features do": list(effects.items()),
        "Flags": _badges("flag", words.FLAGS),
        "Chance": [(badge("beyond chance", GREY), "q is below the run's false-discovery rate")],
    }
    return "".join(
        f'<div class="uv-meanings"><b>{escape(title)}</b><dl>'
        + "".join(f"<dt>{mark}</dt><dd>{escape(meaning)}</dd>" for mark, meaning in entries)
        + "</dl></div>"
        for title, entries in groups.items()
    )


def _badges(kind: str, meanings: dict[str, str]) -> list[tuple[str, str]]:
    return [(badge_of(kind, name), meaning) for name, meaning in meanings.items()]
