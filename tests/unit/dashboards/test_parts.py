"""What screens are put together from: columns, labels, links and parts of charts."""

from __future__ import annotations

import pandas as pd
import pytest

from dashboards.components.badges import badge_of, feature_badges
from dashboards.components.chart_parts import closed_steps, coloured, tips
from dashboards.components.columns import Column, chosen_columns, number, percent
from dashboards.components.links import literal
from results import words
from results.colours import GREY, LEVEL_COLOURS


def test_a_table_has_its_columns_in_order_and_empty_ones_where_the_frame_has_none():
    frame = pd.DataFrame({"rate": [0.5, 0.25], "model": ["m0", "m1"]}, index=[7, 3])
    columns = [
        Column("in", "model"),
        Column("fires", percent("rate"), number("fires %")),
        Column("domain", "top_domain"),
    ]
    shown, config = chosen_columns(frame, columns)
    assert list(shown.columns) == ["in", "fires", "domain"]
    assert shown["fires"].tolist() == [50, 25]
    assert shown["domain"].isna().all()
    assert list(config) == ["fires"]
    assert list(frame.columns) == ["rate", "model"]


def test_a_label_has_the_colour_and_the_meaning_of_its_value():
    label = badge_of("level", "token")
    assert "level: token" in label
    assert LEVEL_COLOURS["token"] in label
    assert words.LEVELS["token"] in label
    assert GREY in badge_of("class", "no such class")
    assert "level: token in a domain" in badge_of("level", "token_x_domain"), "as reports call it"
    assert "A universal" in badge_of("class", "universal", before="A ")
    assert "<b>" not in badge_of("status", "<b>")


def test_a_feature_without_a_class_has_no_label_for_it():
    row = pd.Series({"class": None, "verdict": float("nan"), "status": "rare", "flags": "dense;single_token"})
    labels = feature_badges(row)
    assert len(labels) == 3
    assert "rare" in labels[0]
    assert "single token" in labels[2]


@pytest.mark.parametrize("text", ["m0:3-m1:8", ":red[x]", "![i](http://x)", "$x$", "`a`", "*a* _b_"])
def test_no_name_in_a_link_is_markdown(text):
    label = literal(text)
    assert label.replace("\\", "") == text
    special = [i for i, character in enumerate(label) if character in ":[]()!$`*_-"]
    assert all(label[i - 1] == "\\" for i in special)


def test_a_tooltip_without_a_title_keeps_the_name_of_its_field():
    alone, titled, written = (tip.to_dict() for tip in tips("model:N", ("n:Q", "pairs"), ("r:Q", None, ".2f")))
    assert alone == {"field": "model", "type": "nominal"}
    assert titled["title"] == "pairs"
    assert "title" not in written
    assert written["format"] == ".2f"


def test_colours_keep_the_order_of_their_values():
    scale = coloured("kind:N", {"b": "#000000", "a": "#ffffff"}).to_dict()["scale"]
    assert scale == {"domain": ["b", "a"], "range": ["#000000", "#ffffff"]}


def test_the_last_bin_of_every_kind_is_closed():
    bins = pd.DataFrame({"kind": ["x", "x", "y"], "left": [0.0, 0.5, 0.5], "right": [0.5, 1.0, 1.0]})
    steps = closed_steps(bins)
    assert steps["left"].tolist() == [0.0, 0.5, 0.5, 1.0, 1.0]
    assert steps["kind"].tolist() == ["x", "x", "y", "x", "y"]
