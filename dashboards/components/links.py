"""Links: from screen to screen, and to what is on the screen now.

Labels are Markdown to Streamlit, so names in them are escaped. Where a link may be opened in another window, the run
and the comparison stand in it.
"""

import re
from urllib.parse import urlencode, urlsplit, urlunsplit

import streamlit as st

from dashboards import pinning
from dashboards.data import View
from dashboards.navigation import file_of, icon_of

_MARKDOWN = re.compile(r"([\\`*_\[\]{}()<>#+\-.!|~$:^&])")


def literal(text: str) -> str:
    """Text that stands in a label as it is, whatever Markdown would make of it."""
    return _MARKDOWN.sub(r"\\\1", text)


def quoted(text: str) -> str:
    """What an address names, as it is said in a sentence: literal, and no longer than a name is."""
    return literal(text if len(text) <= 60 else f"{text[:60]}…")


def here(view: View, **params: str) -> dict[str, str]:
    """Query parameters that name the run and the comparison, and further ones."""
    return {"run": view.name, "comparison": view.comparison, **params}


def screen_link(screen: str, label: str, **params: str) -> None:
    """A link to another screen.

    Args:
        screen: its name in :data:`dashboards.navigation.SCREENS`.
        label: what the link says; text, not Markdown.
        params: query parameters.
    """
    st.page_link(file_of(screen), label=literal(label), icon=icon_of(screen), query_params=params)


def feature_link(view: View, feature: str, label: str = "") -> None:
    """A link to the page of a feature ("m0:12")."""
    screen_link("feature", label or feature, **here(view, feature=feature))


def pair_link(view: View, pair: str, label: str = "") -> None:
    """A link to the page of an assigned pair ("m0:12-m1:7")."""
    screen_link("pairs", label or pair, **here(view, pair=pair))


def cluster_link(view: View, cluster: int) -> None:
    """A link to the page of a cluster."""
    screen_link("clusters", f"Cluster {cluster}", **here(view, cluster=str(cluster)))


def steer_link(view: View, subject: str) -> None:
    """A link to the page that turns a cluster (its number) or a feature ("m0:12") up."""
    screen_link("steer", "Turn it up", **here(view, subject=subject))


def page_address(screen: str, view: View, **params: object) -> str:
    """A link from one screen to another, for tables: relative, so that it works wherever the window is mounted."""
    return f"{screen}?{urlencode({**here(view), **params}, safe=':')}"


def shareable_link(params: dict[str, str]) -> str:
    """The address of this page with exactly the given query parameters.

    Args:
        params: what must be restored; empty values are left out.
    """
    parts = urlsplit(str(st.context.url or ""))
    query = urlencode({name: value for name, value in params.items() if value}, safe=":/;")
    return urlunsplit((parts.scheme, parts.netloc, parts.path, query, ""))


def link_popover(params: dict[str, str]) -> None:
    """A button that shows the link to what is on the screen, ready to be copied."""
    with st.popover("Link", icon=":material/link:", help="A link that brings anyone with this store back here"):
        st.code(shareable_link(params), language=None, wrap_lines=True)


def view_popover(view: View, **params: str) -> None:
    """The link to what is on the screen of a run: run, comparison, what is chosen, and the pins."""
    link_popover({**here(view, **params), **pinning.address(view)})
