"""Selecting a row of a table, with the URL as the only truth.

Streamlit remembers *positions*, which point at another row as soon as a filter changes. So the id in the URL decides:
before each drawing the position is set from it, and a click writes the id of the clicked position back into it.
Back, forward, reload and a link sent by mail then all do what people expect.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal
from urllib.parse import urlencode, urlsplit, urlunsplit

import pandas as pd
import streamlit as st

from dashboards.data import View


def selectable_table(
    frame: pd.DataFrame, ids: Sequence[str], *, param: str, key: str, **display: Any
) -> None:
    """Draw a table whose selected row is the one that the URL names.

    Args:
        frame: what is shown, one row per id.
        ids: id of each row.
        param: name of the query parameter that holds the selected id.
        key: key of the table in the session.
        display: further arguments of ``st.dataframe``.
    """

    def choose(chosen: str | None) -> None:
        if chosen is None:
            st.query_params.pop(param, None)
        else:
            st.query_params[param] = chosen

    choosing_table(frame, ids, st.query_params.get(param), choose, key=key, **display)


def choosing_table(
    frame: pd.DataFrame,
    ids: Sequence[str],
    chosen: str | None,
    choose: Callable[[str | None], None],
    *,
    key: str,
    **display: Any,
) -> None:
    """Draw a table with one row selected, and hand on the id of a row that is clicked.

    Args:
        frame: what is shown, one row per id.
        ids: id of each row.
        chosen: id of the row to be shown as selected, or None.
        choose: takes the clicked id, or None when the selection was taken back.
        key: key of the table in the session.
        display: further arguments of ``st.dataframe``.
    """
    rows = [ids.index(chosen)] if chosen in ids else []
    st.session_state[f"{key}_ids"] = list(ids)
    st.session_state[key] = {"selection": {"rows": rows, "columns": [], "cells": []}}

    def clicked() -> None:
        rows = st.session_state[key]["selection"]["rows"]
        known = st.session_state[f"{key}_ids"]
        choose(known[rows[0]] if rows and rows[0] < len(known) else None)

    st.dataframe(frame, key=key, on_select=clicked, selection_mode="single-row", hide_index=True, **display)


def step_buttons(ids: Sequence[str], *, param: str, key: str) -> None:
    """Previous and next in the order of the table; the keys P and N do the same.

    Args:
        ids: ids in the order shown.
        param: name of the query parameter that holds the selected id.
        key: prefix of the buttons' keys.
    """
    wanted = st.query_params.get(param)
    place = ids.index(wanted) if wanted in ids else None

    def go(target: str) -> None:
        st.query_params[param] = target

    before = ids[place - 1] if place else None
    after = ids[place + 1] if place is not None and place + 1 < len(ids) else None
    if place is None and ids:
        after = ids[0]
    with st.container(horizontal=True, horizontal_alignment="right", gap="small", width="content"):
        st.button(
            "Previous",
            key=f"{key}_previous",
            icon=":material/arrow_back:",
            disabled=before is None,
            on_click=go,
            args=(before,),
            shortcut="P",
        )
        st.button(
            "Next",
            key=f"{key}_next",
            icon=":material/arrow_forward:",
            icon_position="right",
            disabled=after is None,
            on_click=go,
            args=(after,),
            shortcut="N",
        )


def shareable_link(params: dict[str, str]) -> str:
    """The address of this page with exactly the given query parameters.

    Args:
        params: what must be restored; empty values are left out.
    """
    parts = urlsplit(str(st.context.url or ""))
    kept = {name: value for name, value in params.items() if value}
    return urlunsplit((parts.scheme, parts.netloc, parts.path, urlencode(kept, safe=":/;"), ""))


def fitting(frame: pd.DataFrame, most: int = 10) -> int | Literal["content"]:
    """Height of a table: all of its rows, or about so many of them and a scroll bar."""
    return "content" if len(frame) <= most else 36 * (most + 1)


def page_address(page: str, view: View, **params: object) -> str:
    """A link from one page to another, for tables: relative, so that it works wherever the window is mounted.

    Args:
        page: ``url_path`` of the page.
        view: run and comparison that it shall show.
        params: further query parameters.
    """
    return f"{page}?{urlencode({'run': view.name, 'comparison': view.comparison, **params}, safe=':')}"


def link_popover(params: dict[str, str]) -> None:
    """A button that shows the link to what is on the screen, ready to be copied."""
    with st.popover(
        "Link", icon=":material/link:", help="A link that brings anyone with this store back here"
    ):
        st.code(shareable_link(params), language=None, wrap_lines=True)
