"""A panel is a bordered part of a screen that fails alone: what cannot be read is said in words, in its place.

Messages may quote corpus text, so they are shown as plain text and never as Markdown.
"""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from storage import ArtifactGone, StoreError

log = logging.getLogger(__name__)
_Item = TypeVar("_Item")


@contextmanager
def panel(title: str | None = None, note: str | None = None, *, border: bool = True) -> Iterator[None]:
    """A bordered box with a heading; inside it, a failure becomes a sentence and the rest of the screen goes on.

    Args:
        title: heading, our own words (Markdown is active in it).
        note: one line under the heading, our own words.
        border: draw the box.
    """
    with st.container(border=border):
        if title:
            st.markdown(f"##### {title}", help=note)
        try:
            yield
        except StoreError as error:
            if isinstance(error, LookupError) and not isinstance(error, ArtifactGone):
                explain_missing(error)
            else:
                explain_damage(error)
        except Exception as error:  # one broken table must not take the screen with it
            log.exception("panel %s could not be drawn", title)
            st.error("This part could not be drawn. The other parts do not depend on it.", icon=":material/error:")
            st.code(f"{type(error).__name__}: {error}", language=None, wrap_lines=True)


def explain_missing(error: Exception) -> None:
    """Say that something is not there (yet)."""
    st.info(
        "Nothing to show here: no finished step of this run has made it.",
        icon=":material/hourglass_empty:",
    )
    with st.expander("What is missing"):
        st.code(str(error) or type(error).__name__, language=None, wrap_lines=True)


def explain_damage(error: Exception) -> None:
    """Say that stored bytes cannot be trusted or are gone, and what helps."""
    st.error(
        "The stored data behind this part is damaged or gone, so nothing is drawn from it. "
        "`universality verify` lists every damaged file; running the recipe again remakes what is missing.",
        icon=":material/broken_image:",
    )
    st.code(f"{type(error).__name__}: {error}", language=None, wrap_lines=True)


def explain_older(what: str, command: str) -> None:
    """Say that a finished run lacks a table, because it was made before there was one.

    Args:
        what: the table in our own words.
        command: what computes it.
    """
    st.info(
        f"This run holds no {what}: it was made by an earlier version. The command below computes what is missing.",
        icon=":material/history:",
    )
    st.code(command, language="bash", wrap_lines=True)


def explain_unreachable(url: str, error: Exception) -> None:
    """Say that the store itself cannot be opened."""
    st.error(
        "The store cannot be opened. Is its address right, and can it be reached?",
        icon=":material/cloud_off:",
    )
    st.code(f"{url}\n{type(error).__name__}: {error}", language=None, wrap_lines=True)


def explain_refusal(error: Exception) -> None:
    """Say why what was asked for cannot be done; the words may quote what was typed."""
    st.warning("This cannot be done as it is asked for:", icon=":material/block:")
    st.code(str(error), language=None, wrap_lines=True)


def nothing(sentence: str, remedy: str = "") -> None:
    """An empty state in our own words."""
    st.info(f"{sentence} {remedy}".strip(), icon=":material/inbox:")


def abreast(items: Sequence[_Item], most: int, least: int = 1) -> Iterator[tuple[_Item, DeltaGenerator]]:
    """Things beside each other, each with its column; what does not fit stands in further rows.

    Args:
        items: what is drawn.
        most: columns in a row.
        least: so few things leave columns empty instead of being drawn wider.
    """
    width = max(min(len(items), most), least)
    for first in range(0, len(items), most):
        yield from zip(items[first : first + most], st.columns(width), strict=False)
