"""The filters above lists; what they are set to stands in the address."""

from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import pandas as pd
import streamlit as st

_SEARCH_HELP = (
    "Text finds features whose strongest contexts peak within three tokens of it. A number finds that latent in every "
    "model; put it in double quotes to find it in the text."
)


def search_box(column: Any, key: str, about: str = "") -> str:
    """The box to search for features; empty where nothing was typed.

    Args:
        column: container that it stands in.
        key: key of the widget, and its name in the address.
        about: what is found by it, where that is not the features themselves.
    """
    typed = column.text_input(
        "Search", key=key, placeholder="text near the peak, a latent number, or m0:12", icon=":material/search:",
        help=f"{about} {_SEARCH_HELP}".strip(), bind="query-params",
    )  # fmt: skip
    return (typed or "").strip()


def searching(search: str) -> AbstractContextManager[Any]:
    """Say that the text is being searched, for as long as the block takes."""
    return st.spinner("Searching the text…") if search else nullcontext()


def several(
    column: Any, label: str, options: Iterable[str], key: str, *, placeholder: str = "any", **display: Any
) -> list[str]:
    """A choice of several values, of which one must hold; all hold where none is chosen.

    Args:
        column: container that it stands in.
        label: what the values are.
        options: values that can be chosen; without any, the widget is drawn but takes nothing.
        key: key of the widget, and its name in the address.
        placeholder: what stands there while nothing is chosen.
        display: further arguments of ``multiselect``.
    """
    options = list(options)
    return column.multiselect(
        label, options, key=key, placeholder=placeholder, disabled=not options, bind="query-params", **display
    )


def one_of(column: Any, label: str, options: Iterable[str], key: str) -> str:
    """A choice of one value; the first until another one is chosen (see :func:`several`)."""
    options = list(options)
    return column.selectbox(label, options, key=key, bind="query-params") or options[0]


def domains_in(frame: pd.DataFrame) -> list[str]:
    """The domains that occur in the column ``domain``, by name."""
    return sorted(frame["domain"].dropna().astype(str).unique())
