"""The report as a page: nothing runs, nothing is fetched, everything is there."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd

from pipelines.report.html_page import as_html
from pipelines.report.latex import Column
from pipelines.report.markdown import markdown_table
from pipelines.report.page import in_short, report_html, report_markdown
from storage import Run

EVIL = (
    "<script>alert(1)</script> ![i](http://example.invalid/x.png) [a](javascript:b) a|b `c` **d** $x$ &amp; http://e.x"
)


class _Elements(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def _read(html: str) -> _Elements:
    found = _Elements()
    found.feed(html)
    return found


def test_the_page_has_every_figure_and_fetches_nothing(small_run: Run, small_report: Path) -> None:
    html = (small_report / "report.html").read_text(encoding="utf-8")
    found = _read(html)
    names = {tag for tag, _ in found.tags}
    assert not names & {"script", "iframe", "object", "embed", "link", "img", "base", "form"}
    pictures = [attrs for tag, attrs in found.tags if attrs.get("class") == "figure"]
    assert len(pictures) == len(list(small_report.glob("figures/*.svg")))
    assert sum(tag == "svg" for tag, _ in found.tags) == len(pictures)
    for tag, attrs in found.tags:
        assert not [name for name in attrs if name.startswith("on")]
        for name in ("src", "href", "xlink:href"):
            value = attrs.get(name) or ""
            inside = value.startswith(("#", "data:image/png")) or "//" not in value
            # Readers may follow a reference; nothing is fetched for it.
            assert inside or (tag == "a" and name == "href" and value.startswith("https://"))
    assert "default-src 'none'" in html
    assert small_run.name in html
    # The numbers of the summary are the store's.
    groups = small_run.table("features")["group"].dropna()
    share = 100 * (groups == "partnered").mean()
    text = " ".join("".join(found.text).split())
    assert f"Of {len(groups):,} features {share:.0f} % have a partner in some other model" in text


def test_the_twin_has_the_same_words_and_its_links_lead_somewhere(small_report: Path) -> None:
    markdown = (small_report / "report.md").read_text(encoding="utf-8")
    links = re.findall(r"\]\(([^)]+)\)", markdown)
    assert len(links) > 5
    assert all((small_report / link).is_file() for link in links)
    for heading in re.findall(r"^#+ (.+)$", markdown, flags=re.M):
        assert heading in "".join(_read((small_report / "report.html").read_text(encoding="utf-8")).text)


def test_what_runs_from_right_to_left_turns_nothing_around_it() -> None:
    frame = pd.DataFrame({"text": ["token “ق”, 12", "شرح", "“a”"], "token": [" ی".encode(), b"b", "ك|".encode()]})
    columns = [Column("text", "text"), Column("token", "token", token=True)]
    rows = [re.sub(r"\\(.)", r"\1", line) for line in markdown_table(frame, columns).splitlines()[2:]]
    assert rows == [
        "| \u2068token \u2066“ق”\u2069, 12\u2069 | \u2068`·ی`\u2069 |",
        "| \u2068شرح\u2069 | `b` |",
        "| “a” | \u2068`ك|`\u2069 |",
    ]
    shown = "".join(_read(as_html(markdown_table(frame, columns), "t", {})).text)
    assert shown.count("\u2068") == 4
    assert len(re.findall("\u2066[^\u2068\u2069]*\u2069", shown)) == 1


def test_hostile_cells_are_shown_as_they_are() -> None:
    frame = pd.DataFrame({"text": [EVIL], "token": [EVIL.encode()], "n": [-0.5]})
    columns = [Column("text", EVIL), Column("token", "token", token=True), Column("n", "n", 1)]
    html = as_html(markdown_table(frame, columns), "t", {})
    found = _read(html)
    assert {tag for tag, _ in found.tags} <= {
        "html", "head", "meta", "title", "style", "body", "div", "table", "thead", "tbody", "tr", "th", "td", "code",
    }  # fmt: skip
    cells = "".join(found.text)
    assert cells.count(EVIL) >= 2
    assert sum(tag == "td" for tag, _ in found.tags) == 3
    assert "−0.5" in cells


def test_markup_that_got_into_the_text_is_shown_and_not_interpreted() -> None:
    html = as_html("<script>alert(1)</script>\n\nwords <img src=x onerror=alert(1)>", "<b>", {})
    found = _read(html)
    assert not {tag for tag, _ in found.tags} & {"script", "img", "b"}
    assert "<script>alert(1)</script>" in "".join(found.text)
    assert "<img src=x onerror=alert(1)>" in "".join(found.text)


def test_formulas_are_readable_without_a_script() -> None:
    html = as_html(r"at $\tau \geq 0.5$ with $d_\mathrm{in} = 4$, `$5 and $6`", "t", {})
    text = "".join(_read(html.split("<body>")[1]).text)
    assert text.strip() == "at τ ≥ 0.5 with d_in = 4, $5 and $6"


def test_a_run_without_results_says_so() -> None:
    found = {"run": "a_b", "missing": ["x"], "headline": {}, "counts": {}, "conclusions": {}}
    markdown = report_markdown(found, [], "# Methods and findings")
    assert "The run has no finished comparison and no finished study." in markdown
    assert "lists what is missing (1)" in markdown
    assert in_short({"conclusions": {"one": ["A."], "two": ["B.", "C."]}}) == "**one**\n\n- A.\n\n**two**\n\n- B.\n- C."
    assert report_html(markdown, "a_b", []).count("<h2>") >= 2
