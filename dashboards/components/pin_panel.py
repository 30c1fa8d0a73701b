"""The button that pins pairs, and the panel beside every screen that holds the pins."""

from collections.abc import Sequence

import streamlit as st

from dashboards import pinning
from dashboards.components.downloads import download
from dashboards.components.links import screen_link
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
    named = [pinning.Pin(view.comparison, pair) for pair in pairs]
    pinned = pinning.pins_of(view)
    several = "" if len(pairs) == 1 else f" {len(pairs)} pairs"
    if set(named) <= set(pinned):
        st.button(
            f"Unpin{several}", key=key, icon=":material/keep_off:", on_click=pinning.remove, args=(view, named),
            shortcut=shortcut, help="Out of the list for the report",
        )  # fmt: skip
        return
    full = len(pinned) >= pinning.MAX_PINS
    most = f"No more than {pinning.MAX_PINS} pairs can be pinned"
    st.button(
        f"Pin{several} to report", key=key, icon=":material/keep:", on_click=pinning.add, args=(view, pairs),
        shortcut=shortcut, disabled=full,
        help=most if full else "A report shows pinned pairs one by one",
    )  # fmt: skip


def show_pins(view: View) -> None:
    """The pinned pairs of the run, with what makes a report of them; nothing where there is none."""
    with panel(border=False):
        pinning.adopt(view)
        pinning.draw_carrier(view)
    pinned = pinning.pins_of(view)
    if pinning.lost():
        st.caption(f":material/link_off: {words.counted(pinning.lost(), 'pin')} of the address: not of this run.")
    if not pinned:
        return
    st.markdown(f"**Pinned pairs ({len(pinned)})**")
    with st.container(height=44 * SHOWN if len(pinned) > SHOWN else "content", gap=None):
        for number, pin in enumerate(pinned):
            _row(view, number, pin)
    download("pinned.json", lambda: pinning.pins_file(view.name, pinned), "pinned.json", key="pins_file")
    st.caption("A report that shows them one by one:")
    st.code(pinning.report_command(view), language="bash", wrap_lines=True)
    st.button(
        "Remove all", key="unpin_all", icon=":material/close:", type="tertiary", on_click=pinning.remove,
        args=(view, pinned),
    )  # fmt: skip


def _row(view: View, number: int, pin: pinning.Pin) -> None:
    several = len(comparisons_of(view.record)) > 1
    label = f"{pin.pair} ({pin.comparison})" if several else pin.pair
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute", gap=None):
        address = {"run": view.name, "comparison": pin.comparison, "pair": pin.pair, **pinning.address(view)}
        screen_link("pairs", label, **address)
        st.button(
            "", key=f"unpin_{number}", icon=":material/close:", type="tertiary", on_click=pinning.remove,
            args=(view, [pin]), help=f"Remove {pin.pair}",
        )  # fmt: skip
