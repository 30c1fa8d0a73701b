from __future__ import annotations

from html.parser import HTMLParser

import pytest

from dashboards.components.markup import Fact, badge, context_rows, facts, heading, legend, swatch, token_list

HOSTILE = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "</div></span>",
    '" onmouseover="alert(1)',
    "' style='position:fixed",
    "&lt;b&gt;",
    "![i](http://example.org/x.png)",
]


class Elements(HTMLParser):
    """Every tag with its attributes, and all text."""

    def __init__(self, markup: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[str] = []
        self.names: set[str] = set()
        self.depth = 0
        self.text = ""
        self.feed(markup)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.depth += 1
        self.names |= {name for name, _ in attrs}

    def handle_endtag(self, tag):
        self.depth -= 1
        assert self.depth >= 0

    def handle_data(self, data):
        self.text += data


@pytest.mark.parametrize("text", HOSTILE)
def test_every_piece_shows_hostile_text_literally(text):
    pieces = [
        facts([Fact(text, text, text, text)]),
        badge(text, "#0072B2", hint=text),
        heading([(text, "#0072B2"), (text, "#D55E00")]),
        token_list([(text, 1.0, True)], "#0072B2", caption=text),
        legend([swatch("#0072B2", text)]),
    ]
    for piece in pieces:
        found = Elements(piece)
        assert set(found.tags) <= {"div", "span", "bdi", "i"}
        assert found.names <= {"class", "title", "style"}
        assert found.depth == 0
        assert text in found.text


def test_token_bars_follow_the_size_of_values_and_mark_the_shared():
    markup = token_list([("a", -4.0, False), ("b", 1.0, True)], "#0072B2", caption="lowers most")
    assert "width:100%" in markup
    assert "width:25%" in markup
    assert markup.count("uv-shared") == markup.count("●") == 1
    assert "−4.00" in markup


def test_a_list_of_zeros_is_drawn():
    assert "width:0%" in token_list([("a", 0.0, False)], "#0072B2", caption="")


def test_contexts_keep_their_order():
    markup = context_rows([("first", "one"), ("second", "two")])
    assert markup.index("first") < markup.index("one") < markup.index("second") < markup.index("two")
