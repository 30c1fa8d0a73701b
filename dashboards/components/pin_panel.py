"""The button that pins pairs, and the panel beside every screen that holds the pins."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from dashboards import pins
from dashboards.components.links import page_button
from dashboards.components.panels import panel
from dashboards.data import View
from results import words
from results.stored_comparison import comparisons_of

#: Pins that are shown at once; of more the list scrolls.
SHOWN = 6


def pin_button(view: View, pairs: Sequence[str], *, key: str, shortcut: str | None = None) -> None:
    """Pin assigned pairs of the comparison that is shown, or take them back where all are pinned.

    Args:
        view: run and comparison.
        pairs: ids of assigned pairs, as the table has them.
        key: key of the button.
        shortcut: key of the keyboard.
    """
    named = [pins.Pin(view.comparison, pair) for pair in pairs]
    held = pins.pins_of(view)
    several = "" if len(pairs) == 1 else f" {len(pairs)} pairs"
    if set(named) <= set(held):
        st.button(
            f"Unpin{several}", key=key, icon=":material/keep_off:", on_click=pins.remove, args=(view, named),
            shortcut=shortcut, help="Out of the list for the report",
        )  # fmt: skip
        return
    full = len(held) >= pins.MAX_PINS
    hint = (
        f"No more than {pins.MAX_PINS} pairs can be pinned"
        if full
        else "A report shows pinned pairs one by one"
    )
    st.button(
        f"Pin{several} to report", key=key, icon=":material/keep:", on_click=pins.add, args=(view, pairs),
        shortcut=shortcut, disabled=full, help=hint,
    )  # fmt: skip


def show_pins(view: View) -> None:
    """The pinned pairs of the run, with what makes a report of them; nothing where there is none."""
    with panel(border=False):
        pins.adopt(view)
        pins.draw_carrier(view)
    held = pins.pins_of(view)
    if pins.lost():
        st.caption(
            f":material/link_off: {words.counted(pins.lost(), 'pin')} of the address: not of this run."
        )
    if not held:
        return
    st.markdown(f"**Pinned pairs ({len(held)})**")
    with st.container(height=44 * SHOWN if len(held) > SHOWN else "content", gap=None):
        for number, pin in enumerate(held):
            _row(view, number, pin)
    st.download_button(
        "pinned.json", data=lambda: pins.pins_file(view.name, held), file_name="pinned.json",
        mime="application/json", on_click="ignore", icon=":material/download:", key="pins_file",
    )  # fmt: skip
    st.caption("A report that shows them one by one:")
    st.code(pins.report_command(view), language="bash", wrap_lines=True)
    st.button(
        "Remove all", key="unpin_all", icon=":material/close:", type="tertiary", on_click=pins.remove,
        args=(view, held),
    )  # fmt: skip


def _row(view: View, number: int, pin: pins.Pin) -> None:
    several = len(comparisons_of(view.record)) > 1
    label = f"{pin.pair} ({pin.comparison})" if several else pin.pair
    with st.container(
        horizontal=True, vertical_alignment="center", horizontal_alignment="distribute", gap=None
    ):
        page_button(
            "pairs",
            label,
            "join_inner",
            run=view.name,
            comparison=pin.comparison,
            pair=pin.pair,
            **pins.address(view),
        )
        st.button(
            "", key=f"unpin_{number}", icon=":material/close:", type="tertiary", on_click=pins.remove,
            args=(view, [pin]), help=f"Remove {pin.pair}",
        )  # fmt: skip
