"""Selecting a row of a table, with the URL as the only truth.

Streamlit remembers *positions*, which point at another row as soon as a filter changes. So the id in the URL decides:
before each drawing the position is set from it, and a click writes the id of the clicked position back into it.
Back, forward, reload and a link sent by mail then all do what people expect.
"""

from collections.abc import Callable, Sequence
from typing import Any, Literal

import pandas as pd
import streamlit as st

from results.ids import plain_id

#: Button -> its icon, and on which side of the label that stands.
_ARROWS: dict[str, tuple[str, Literal["left", "right"]]] = {
    "Previous": ("arrow_back", "left"),
    "Next": ("arrow_forward", "right"),
}


def named_in_address(param: str) -> str:
    """The id that the address names, which is rewritten where it was copied from the terminal (``m0/12``)."""
    given = st.query_params.get(param, "")
    if (plain := plain_id(given)) != given:
        st.query_params[param] = plain
    return plain


def selectable_table(frame: pd.DataFrame, ids: Sequence[str], *, param: str, key: str, **display: Any) -> None:
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
        listed = st.session_state[f"{key}_ids"]
        choose(listed[rows[0]] if rows and rows[0] < len(listed) else None)

    st.dataframe(frame, key=key, on_select=clicked, selection_mode="single-row", hide_index=True, **display)


def step_buttons(ids: Sequence[str], *, param: str, key: str) -> None:
    """Previous and next in the order of the table; the keys P and N do the same.

    Args:
        ids: ids in the order shown.
        param: name of the query parameter that holds the selected id.
        key: prefix of the buttons' keys.
    """
    selected = st.query_params.get(param)
    place = ids.index(selected) if selected in ids else None

    def go(target: str) -> None:
        st.query_params[param] = target

    before = ids[place - 1] if place else None
    after = next(iter(ids[0 if place is None else place + 1 :]), None)
    with st.container(horizontal=True, horizontal_alignment="right", gap="small", width="content"):
        for label, target in (("Previous", before), ("Next", after)):
            icon, position = _ARROWS[label]
            st.button(
                label, key=f"{key}_{label.lower()}", icon=f":material/{icon}:", icon_position=position,
                disabled=target is None, on_click=go, args=(target,), shortcut=label[0],
            )  # fmt: skip


def fitting(frame: pd.DataFrame, most: int = 20) -> int | Literal["content"]:
    """Height of a table: all of its rows, or about so many of them and a scroll bar."""
    return "content" if len(frame) <= most else 36 * (most + 1)
