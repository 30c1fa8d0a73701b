"""A person at the browser: clicks are counted, what is typed, and the seconds until the page stands still."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

from watched import Watched, click_row

from tools.screenshots import settle


@dataclass
class Walk:
    """Every click, every text typed, and the seconds so far."""

    watched: Watched
    clicks: int = 0
    typed: list[str] = field(default_factory=list)
    started: float = field(default_factory=time.monotonic)

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.started

    def click(self, what: Any) -> None:
        what.click()
        self.clicks += 1
        settle(self.watched.page)

    def row(self, number: int) -> None:
        """Choose a row of the first table."""
        click_row(self.watched, number)
        self.clicks += 1

    def go(self, screen: str) -> None:
        """By the navigation."""
        links = self.watched.page.get_by_test_id("stSidebarNav")
        self.watched.moves(links.get_by_role("link", name=screen, exact=True).click)
        self.clicks += 1

    def choose(self, label: str, option: str) -> None:
        """An option of a list."""
        self.click(self.watched.page.get_by_label(label, exact=True).first)
        self.watched.moves(self.watched.page.get_by_role("option", name=option, exact=True).click)
        self.clicks += 1

    def type(self, box: Any, text: str, *, enter: bool = False) -> None:
        box.fill(text)
        self.typed.append(text)
        if enter:
            self.watched.moves(lambda: box.press("Enter"))
