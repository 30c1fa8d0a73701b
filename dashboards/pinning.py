"""Pairs that the visitor pinned for a report: held by the session, carried by links, handed over as a file.

The store is never written. An address names its run, so that pins never come to stand for pairs of another one.
"""

import shlex
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import streamlit as st

from dashboards.data import View, get_view
from results.pair_lists import find_pair
from results.pins import PinnedPair, Pins
from results.stored_comparison import comparisons_of

#: Pins of one run; more would make links that some programs cut.
MAX_PINS = 30
#: Query parameter of the pins.
PARAM = "pins"
_STATE = "pins_by_run"
_LOST = "pins_lost"


class Pin(NamedTuple):
    """One pinned pair: its comparison, and its id as the table has it ("m0:12-m1:7")."""

    comparison: str
    pair: str


def pins_of(view: View) -> tuple[Pin, ...]:
    """The pins of the run that is shown, in the order in which they were set."""
    return st.session_state.get(_STATE, {}).get(view.name, ())


def adopt(view: View) -> None:
    """Take the pins of the address, once a session: from then on the session knows better, and writes the address.

    Raises:
        StoreError: the pairs of the run cannot be read.
    """
    if _STATE in st.session_state:
        return
    run, *named = st.query_params.get(PARAM, "").split(";")
    names = list(dict.fromkeys(named))[:MAX_PINS] if run == view.name else []
    existing = [pin for name in names if (pin := _existing(view, *name.partition("/")[::2]))]
    st.session_state[_STATE] = {view.name: tuple(dict.fromkeys(existing))}
    st.session_state[_LOST] = len(named) - len(existing)


def lost() -> int:
    """How many pins of the address were none of this run."""
    return st.session_state.get(_LOST, 0)


def _existing(view: View, comparison: str, pair: str) -> Pin | None:
    if comparison not in comparisons_of(view.record):
        return None
    row = find_pair(get_view(view.url, view.run, comparison), pair)
    return None if row is None else Pin(comparison, str(row["id"]))


def add(view: View, pairs: Iterable[str]) -> None:
    """Pin assigned pairs of the comparison that is shown, as many as still fit; those pinned already stay."""
    new = [Pin(view.comparison, pair) for pair in pairs]
    _keep(view, tuple(dict.fromkeys([*pins_of(view), *new]))[:MAX_PINS])


def remove(view: View, gone: Iterable[Pin]) -> None:
    """Take pins back."""
    away = set(gone)
    _keep(view, tuple(pin for pin in pins_of(view) if pin not in away))


def _keep(view: View, pins: tuple[Pin, ...]) -> None:
    st.session_state[_STATE] = {**st.session_state.get(_STATE, {}), view.name: pins}
    st.session_state[_LOST] = 0


def draw_carrier(view: View) -> None:
    """Put the pins into the address of every page.

    Streamlit drops the parameters of an address from page to page, but those of a widget: hence a hidden one.
    """
    with st.container(key="uv_carrier"):
        st.session_state[PARAM] = address(view).get(PARAM, "")
        st.text_input("Pins", key=PARAM, bind="query-params", label_visibility="collapsed")


def address(view: View) -> dict[str, str]:
    """The query parameter that brings the pins back; empty without any."""
    pins = pins_of(view)
    return {PARAM: ";".join([view.name, *("/".join(pin) for pin in pins)])} if pins else {}


def pins_file(run: str, pins: Sequence[Pin]) -> bytes:
    """The pins of a run as ``universality report --pairs`` reads them."""
    return Pins(run=run, pairs=tuple(PinnedPair.of_id(*pin) for pin in pins)).to_bytes()


def report_command(view: View) -> str:
    """The command that writes a report with the pinned pairs in it."""
    words = ["universality", "report", view.name, "--out", "report", "--pairs", "pinned.json"]
    return shlex.join([*words, *(() if view.url == "runs" else ("--store", view.url))])
