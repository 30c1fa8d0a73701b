"""A page in a real browser, with everything that goes wrong on it, and corpus text that would like to act."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from tools.screenshots import find_chromium, settle

#: What every test of the screens in a real browser is marked with.
BROWSER = [
    pytest.mark.browser,
    pytest.mark.skipif(importlib.util.find_spec("playwright") is None, reason="playwright is not installed"),
    pytest.mark.skipif(find_chromium() is None, reason="Chromium is not installed"),
]

EVIL = "<img src=x onerror=alert(1)>![i](http://example.invalid/d.png):red[d]"
LITERAL = ["<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "![i](http://example.invalid/x.png)"]
LITERAL += [
    "</div>",
    ":red[danger]",
    "=HYPERLINK(",
    "⟨RLO⟩evil⟨PDF⟩",
    "zero⟨ZWSP⟩width",
    "$x^2$",
    "… (10000 bytes)",
]

#: Streamlit looks for its own base path below the page's name first, and logs the 404 that it expects.
PROBE = re.compile(r"/[a-z]+/_stcore/(health|host-config)")


@dataclass
class Watched:
    """A page and everything that went wrong on it."""

    page: Any
    address: str
    errors: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    dialogs: list[str] = field(default_factory=list)

    def listen(self) -> Watched:
        self.page.on("console", self._console)
        self.page.on("pageerror", lambda e: self.errors.append(str(e)))
        self.page.on("request", lambda r: self.requests.append(r.url))
        self.page.on("websocket", lambda w: self.requests.append(w.url))
        self.page.on("dialog", self._dialog)
        return self

    def _console(self, message) -> None:
        if message.type == "error" and not PROBE.fullmatch(urlsplit(message.location.get("url", "")).path):
            self.errors.append(f"{message.text} {message.location}")

    def _dialog(self, dialog) -> None:
        self.dialogs.append(dialog.message)
        dialog.dismiss()

    def open(self, path: str = "") -> None:
        self.page.goto(f"{self.address}/{path}")
        settle(self.page)

    def param(self, name: str) -> str | None:
        return parse_qs(urlsplit(self.page.url).query).get(name, [None])[0]

    def becomes(self, name: str, value: str | None) -> None:
        """Wait until a parameter of the address has a value, and then until the page has been drawn."""
        self.page.wait_for_function(
            "([name, value]) => new URLSearchParams(location.search).get(name) === value",
            arg=[name, value],
            timeout=60_000,
        )
        settle(self.page)

    def moves(self, act: Callable[[], None]) -> None:
        """Act, wait until the address is another one, and then until the page has been drawn."""
        before = self.page.url
        act()
        self.page.wait_for_function("before => location.href !== before", arg=before, timeout=60_000)
        settle(self.page)

    def assert_clean(self) -> None:
        """Nothing failed, nothing left the machine, and nothing of the corpus became an element or ran."""
        assert self.errors == []
        assert self.dialogs == []
        strangers = [
            u for u in self.requests if urlsplit(u).hostname != "127.0.0.1" and not u.startswith(("data:", "blob:"))
        ]
        assert strangers == []
        assert [u for u in self.requests if urlsplit(u).path.rsplit("/", 1)[-1] in ("x", "x.png", "d.png")] == []
        assert self.page.locator("img[src='x'], img[src*='example.invalid'], a[href^='javascript']").count() == 0
        assert self.page.locator("script", has_text="alert(1)").count() == 0


def click_row(watched: Watched, number: int) -> None:
    """Click the selection box of a row of the first table, which names it in the address."""
    table = watched.page.locator("[data-testid=stDataFrame]").first
    table.scroll_into_view_if_needed()
    box = table.bounding_box()
    watched.moves(lambda: watched.page.mouse.click(box["x"] + 16, box["y"] + 37 + 35 * number + 17))
