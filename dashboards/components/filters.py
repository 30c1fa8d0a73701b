"""The filters above lists; what they are set to stands in the address."""

from collections.abc import Iterable
from typing import Any

import pandas as pd
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from dashboards.components.links import literal
from dashboards.data import View
from results import words
from results.search import found_by

#: What a search reads (:func:`results.search.found_by`).
SEARCH_HELP = (
    "A domain, a word of a label or a name of your own finds the features that have it, other text those whose "
    "strongest contexts peak within three tokens of it (in double quotes: only these). m0:12 or m0/12 finds one "
    "feature, a number that latent of every model, m0:12-m1:7 a pair, cluster 12 its members."
)
SEARCHED = "domain, label, name, m0:12"


def flow() -> DeltaGenerator:
    """A place for filters beside each other; those that do not fit stand in a further row."""
    return st.container(horizontal=True, vertical_alignment="bottom")


def search_box(view: View, column: Any, key: str, about: str = "") -> str:
    """The box to search for features, and under its line what is found; empty where nothing was typed.

    Args:
        view: the comparison.
        column: container that it stands in.
        key: key of the widget, and its name in the address.
        about: what is found by it, where that is not the features themselves.
    """
    typed = column.text_input(
        "Search", key=key, placeholder=SEARCHED, icon=":material/search:", help=f"{about} {SEARCH_HELP}".strip(),
        bind="query-params",
    )  # fmt: skip
    search = (typed or "").strip()
    if search:
        with st.spinner("Searching the text…"):
            st.caption(literal(found_in_words(view, search)))
    return search


def found_in_words(view: View, search: str) -> str:
    """How many features a search text finds, by what it is to them."""
    found = found_by(view, search)
    if not found:
        return (
            "No feature, cluster, domain or label is called so, and no strongest context peaks beside it. Try a part "
            "of a word, a domain of the list, or an id such as m0:12."
        )
    return "Found: " + " · ".join(f"{words.counted(len(names), 'feature')}, {what}" for what, names in found.items())


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
