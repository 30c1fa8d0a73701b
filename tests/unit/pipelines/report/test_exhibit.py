"""Everything that a report shows has its words, and its place on the page."""

from __future__ import annotations

from importlib import resources

import pytest
import yaml

from pipelines.report.exhibit import caption, columns
from pipelines.report.exhibit_writer import EXHIBITS
from pipelines.report.latex import Column
from pipelines.report.prose.template import filled
from pipelines.report.side_by_side import TOGETHER

NAMES = [*TOGETHER, *(exhibit.name for exhibit in EXHIBITS)]


def test_every_exhibit_has_a_caption_and_every_caption_an_exhibit() -> None:
    described = yaml.safe_load(filled("exhibits.yaml"))
    assert set(described) == set(NAMES)
    assert all(caption(name).endswith(".") for name in NAMES)
    with pytest.raises(KeyError):
        caption("figures/nonsense")


def test_every_exhibit_stands_in_a_section_of_the_page() -> None:
    page = resources.files("pipelines.report").joinpath("templates/report.md.j2").read_text(encoding="utf-8")
    placed = page.replace('"', " ").split()
    assert [exhibit.name for exhibit in EXHIBITS if placed.count(exhibit.name) != 1] == []


def test_columns_are_read_with_their_form() -> None:
    cluster, *_, cohesion, _, _, token, _ = columns("tables/clusters")
    assert cluster == Column("cluster", "cluster")
    assert cohesion == Column("cohesion", "cohesion", 2)
    assert token == Column("token", "strongest at", token=True)
