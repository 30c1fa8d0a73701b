"""Links from screen to screen. Their labels are Markdown to Streamlit, so names in them are escaped."""

from __future__ import annotations

import re

import streamlit as st

from dashboards.data import View

_MARKDOWN = re.compile(r"([\\`*_\[\]{}()<>#+\-.!|~$:^&])")


def literal(text: str) -> str:
    """Text that stands in a label as it is, whatever Markdown would make of it."""
    return _MARKDOWN.sub(r"\\\1", text)


def feature_link(view: View, feature: str, label: str = "") -> None:
    """A link to the page of a feature ("m0:12")."""
    _link(view, "feature", feature, label or feature, ":material/neurology:")


def pair_link(view: View, pair: str, label: str = "") -> None:
    """A link to the page of an assigned pair ("m0:12-m1:7")."""
    _link(view, "pair", pair, label or pair, ":material/join_inner:")


def cluster_link(view: View, cluster: int, label: str = "") -> None:
    """A link to the page of a cluster."""
    _link(view, "cluster", str(cluster), label or f"Cluster {cluster}", ":material/hub:")


_PAGES = {"feature": "app_pages/feature.py", "pair": "app_pages/pairs.py", "cluster": "app_pages/clusters.py"}


def _link(view: View, kind: str, name: str, label: str, icon: str) -> None:
    # The run stands in the address, so that a link opened in another window shows the same run.
    params = {"run": view.name, "comparison": view.comparison, kind: name}
    st.page_link(_PAGES[kind], label=literal(label), icon=icon, query_params=params)


def page_button(page: str, label: str, icon: str, **params: str) -> None:
    """A link to what another page shows under these parameters, in the run that is shown.

    Args:
        page: file name of the page without its ending.
        label: what the link says; text, not Markdown.
        icon: name of a Material symbol.
        params: query parameters.
    """
    st.page_link(f"app_pages/{page}.py", label=literal(label), icon=f":material/{icon}:", query_params=params)
