"""The screens that list things: filters, how many pass, the list itself, and the one that the address names.

:class:`ListPage` is what all of them have in common, :class:`TablePage` what those have that list rows, and
:class:`PlanePage` what those have that draw places. A screen says only in what it differs.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import ClassVar

import pandas as pd
import streamlit as st

from dashboards.components.columns import Column, chosen_columns
from dashboards.components.downloads import csv_button
from dashboards.components.links import quoted, view_popover
from dashboards.components.markup import escape
from dashboards.components.own_words import names_column, show_words
from dashboards.components.panels import nothing, panel
from dashboards.components.plane import explain_no_positions
from dashboards.components.selection import fitting, named_in_address, selectable_table, step_buttons
from dashboards.data import MAX_ROWS, View
from dashboards.frame import current_view
from results import words
from results.own_notes import Kind

#: What helps where features fire too seldom to be compared.
TOO_RARE = (
    "Features that fire too seldom are never compared: train longer, or evaluate on more text. The overview counts the "
    "dead and the rare latents of each dictionary."
)
#: Rows up to which a table is as high as they are.
_FEW = 7


class ListPage(ABC):
    """A screen that lists things of one kind.

    Attributes:
        title: heading of the screen.
        name: prefix of the keys of its widgets and of the files that it saves.
        kind: what one thing is: ``pair``, ``cluster`` or ``feature``. The query parameter of this name holds the id of
            the selected one.
        noun: what one thing is called where all are counted; else its kind.
        empty: what is said of a run without any, and what to do.
        remedy: what helps where nothing passes the filters.
        hidden: what is said of a selected thing that the list lacks.
        invitation: what can be done while nothing is selected.
        things: all things of a run, one in a row.
    """

    title: ClassVar[str]
    name: ClassVar[str]
    kind: ClassVar[Kind]
    noun: ClassVar[str] = ""
    empty: ClassVar[Sequence[str]]
    remedy: ClassVar[str] = "Remove one."
    hidden: ClassVar[str]
    invitation: ClassVar[str]
    things: Callable[[View], pd.DataFrame]

    def __init__(self) -> None:
        self.view: View = current_view()

    def draw(self) -> None:
        """The whole screen."""
        st.title(self.title, anchor=False)
        selected = named_in_address(self.kind)
        with panel(border=False):
            if not self.ready():
                return
            things = self.things(self.view)
            if things.empty:
                nothing(*self.empty)
                return
            self.introduce(things)
            passing = self.filtered(things)
            drawn = self.drawn(passing)
            with st.container(horizontal=True, vertical_alignment="center", gap="medium"):
                # To the left: the table's own buttons appear above its right end.
                counted = words.counted(len(things), self.noun or self.kind)
                said = f"**{len(passing):,}** of {counted}{self.remark(things, passing, drawn)}"
                st.caption(said, width="content")
                self.downloads(passing)
            if passing.empty:
                nothing(f"No {self.kind} passes these filters.", self.remedy)
            else:
                self.draw_list(drawn)
            if selected:
                self.draw_selected(selected, things, passing)
            elif not passing.empty:
                st.caption(f":material/touch_app: {self.invitation}")

    def ready(self) -> bool:
        """Whether things can be listed; says what is missing where they cannot."""
        return True

    def introduce(self, things: pd.DataFrame) -> None:
        """Draw what stands above the filters."""
        return

    @abstractmethod
    def filtered(self, things: pd.DataFrame) -> pd.DataFrame:
        """Draw the filters; the things that pass them, in the chosen order."""

    @abstractmethod
    def drawn(self, passing: pd.DataFrame) -> pd.DataFrame:
        """Those of the passing things that are sent to the browser."""

    @abstractmethod
    def remark(self, things: pd.DataFrame, passing: pd.DataFrame, drawn: pd.DataFrame) -> str:
        """What follows the counts: what has been left out."""

    def downloads(self, passing: pd.DataFrame) -> None:
        """Buttons that save what passes the filters."""
        csv_button(lambda: passing, f"{self.name}_{self.view.name}.csv", key=f"{self.name}_csv", quiet=True)

    @abstractmethod
    def draw_list(self, drawn: pd.DataFrame) -> None:
        """Draw the list."""

    @abstractmethod
    def draw_selected(self, selected: str, things: pd.DataFrame, passing: pd.DataFrame) -> None:
        """Draw what is known of the thing that the address names, also where the filters hide it."""


class TablePage(ListPage):
    """A screen that lists things in a table, with the detail of the selected row below it.

    Attributes:
        height: of the table above a detail, in pixels; alone it fills the window.
        widths: shares of the line above the detail: for the place in the table, and for the buttons.
        things: as for all lists; they have a column ``id``.
        detail: draws all that is known of a row.
    """

    height: ClassVar[int] = 290
    widths: ClassVar[Sequence[int]] = (3, 2)
    detail: Callable[[View, pd.Series], None]

    def drawn(self, passing: pd.DataFrame) -> pd.DataFrame:
        """The first rows."""
        return passing.head(MAX_ROWS)

    def remark(self, things: pd.DataFrame, passing: pd.DataFrame, drawn: pd.DataFrame) -> str:
        """Whether the table ends before the rows do."""
        return f"; the first {MAX_ROWS:,} in this order are listed" if len(drawn) < len(passing) else ""

    @abstractmethod
    def columns(self) -> Sequence[Column]:
        """The columns of the table."""

    def draw_list(self, drawn: pd.DataFrame) -> None:
        """The table; the selected row is the address's."""
        frame, config = chosen_columns(drawn, [*names_column(self.view, self.kind, drawn["id"]), *self.columns()])
        alone = not st.query_params.get(self.kind)
        height = fitting(frame) if len(frame) <= _FEW else "stretch" if alone else self.height
        with st.container(key="uv_list") if height == "stretch" else nullcontext():
            selectable_table(
                frame, drawn["id"].tolist(), param=self.kind, key=f"{self.name}_table", height=height,
                column_config=config,
            )  # fmt: skip

    def draw_selected(self, selected: str, things: pd.DataFrame, passing: pd.DataFrame) -> None:
        """The detail below its place in the table and its buttons."""
        row = self.find(selected, things)
        if row is None:
            nothing(f"There is no {self.kind} {quoted(selected)} in this run.", "Choose one in the table.")
            return
        ids = passing["id"].tolist()
        left, right = st.columns(self.widths, vertical_alignment="center")
        if selected in ids:
            left.caption(f"{self.kind.capitalize()} {ids.index(selected) + 1:,} of {len(ids):,} in this order")
        else:
            left.caption(f":material/filter_alt: {self.hidden}")
        with right, st.container(horizontal=True, horizontal_alignment="right", gap="small"):
            self.buttons(selected, row)
            step_buttons(ids, param=self.kind, key=self.kind)
        show_words(self.view, self.kind, row.get("id", selected))
        self.detail(self.view, row)

    @abstractmethod
    def find(self, selected: str, things: pd.DataFrame) -> pd.Series | None:
        """The row that an id of the address names; None where it names none of this run."""

    def buttons(self, selected: str, row: pd.Series) -> None:
        """What can be done with the selected row, before the way to the next one."""
        view_popover(self.view, **{self.kind: selected})


class PlanePage(ListPage):
    """A screen that draws things at places that the run has computed; a click on one of them selects it.

    Attributes:
        note: what the picture shows, and what it does not.
        tables: of the things, and of their places, which runs of an earlier version lack.
        column: of the things, with their ids.
    """

    note: ClassVar[str]
    tables: ClassVar[tuple[str, str]]
    column: ClassVar[str]

    def ready(self) -> bool:
        """Whether the run has places; says how to get them where it has only the things."""
        things, places = self.tables
        if self.view.optional(places) is not None or self.view.optional(things) is None:
            return True
        explain_no_positions(self.view)
        return False

    def introduce(self, things: pd.DataFrame) -> None:
        """What the picture shows."""
        st.caption(escape(self.note))

    def ids(self, things: pd.DataFrame) -> list[str]:
        """The ids of things, as the address names them."""
        return things[self.column].astype(str).tolist()

    def draw_selected(self, selected: str, things: pd.DataFrame, passing: pd.DataFrame) -> None:
        """A card of the selected thing."""
        ids = self.ids(things)
        if selected not in ids:
            self.draw_unplaced(selected)
            return
        if selected not in self.ids(self.drawn(passing)):
            st.caption(f":material/filter_alt: {self.hidden}")
        self.draw_card(things.iloc[ids.index(selected)])

    @abstractmethod
    def draw_unplaced(self, selected: str) -> None:
        """Say that an id of the address has no place, and what to do."""

    @abstractmethod
    def draw_card(self, row: pd.Series) -> None:
        """Draw what is known of a thing, and the ways to its own screens."""
