"""The numbers that stand for a whole comparison."""

import json

import pandas as pd

from results import headline

HEADLINE = pd.DataFrame(
    [
        ("main", "features", "m0-m1", 0.61, None, None, 40),
        ("main", "features", "overall", 0.58, 0.55, 0.61, 120),
        ("main", "neurons", "overall", 0.44, 0.40, 0.47, 60),
        ("main", "null_p95", "overall", 0.04, None, None, 900),
        ("main", "ceiling", "m0-m0r", 0.72, None, None, 44),
    ],
    columns=["comparison_id", "quantity", "pair", "value", "low", "high", "n"],
)
FEATURES = pd.DataFrame(
    [
        ("main", "m0", 0, "alive", "universal", "context"),
        ("main", "m0", 1, "alive", "universal", "token"),
        ("main", "m0", 2, "alive", "shared", "token"),
        ("main", "m1", 0, "alive", "specific", None),
        ("main", "m1", 1, "rare", None, None),
        ("main", "m1", 2, "dead", None, None),
    ],
    columns=["comparison_id", "model", "latent", "status", "class", "level"],
)


def test_headline_holds_every_quantity_and_overall_first():
    values = headline.headline_values(HEADLINE.drop(columns="comparison_id"))
    assert list(values) == ["features", "neurons", "null_p95", "ceiling", "untrained", "token_conditional"]
    assert list(values["features"].items()) == [("overall", 0.58), ("m0-m1", 0.61)]
    assert values["untrained"] == {}


def test_not_a_number_becomes_null():
    frame = pd.DataFrame({"quantity": ["features"], "pair": ["overall"], "value": [float("nan")]})
    assert headline.headline_values(frame)["features"] == {"overall": None}


def test_counts():
    counts = headline.count_values(FEATURES)
    assert counts["status"] == {"alive": 4, "dead": 1, "rare": 1}
    assert list(counts["class"].items()) == [("universal", 2), ("shared", 1), ("specific", 1)]
    assert counts["level"] == {"context": 1, "token": 2, "none": 1}
    assert counts["class_by_level"] == {
        "universal": {"context": 1, "token": 1},
        "shared": {"token": 1},
        "specific": {"none": 1},
    }
    assert sum(counts["class"].values()) == sum(counts["level"].values())


def test_one_comparison_stands_at_the_top_alone():
    values = headline.summary_values(HEADLINE, FEATURES)
    assert set(values) == {"headline", "counts"}
    json.dumps(values)


def test_several_comparisons_stand_under_their_ids():
    other = HEADLINE.assign(comparison_id="wide", value=0.1)
    both = headline.summary_values(
        pd.concat([HEADLINE, other]), pd.concat([FEATURES, FEATURES.assign(comparison_id="wide")])
    )
    assert list(both["comparisons"]) == ["main", "wide"]
    assert both["headline"] == both["comparisons"]["main"]["headline"]
    assert both["comparisons"]["wide"]["headline"]["features"]["overall"] == 0.1


def test_tables_without_comparison_id_are_one_comparison():
    values = headline.summary_values(HEADLINE.drop(columns="comparison_id"), FEATURES.drop(columns="comparison_id"))
    assert values["counts"]["class"]["universal"] == 2


def test_headline_is_in_reading_order():
    rows = [
        ("null_p95", "m0-m1"),
        ("features", "m0-m1"),
        ("features", "overall"),
        ("neurons", "overall"),
        ("x", "overall"),
    ]
    table = pd.DataFrame(rows, columns=["quantity", "pair"]).assign(value=0.5, low=0.4, high=0.6, n=3)
    frame = headline.headline_frame(table)
    assert list(zip(frame["quantity"], frame["pair"], strict=True)) == [
        ("features", "overall"),
        ("features", "m0-m1"),
        ("neurons", "overall"),
        ("null_p95", "m0-m1"),
    ]
    assert frame["label"].iloc[0] == "SAE features"


def test_overall_values_leave_out_what_was_not_measured():
    rows = [("null_p95", "m0-m1", 0.1), ("null_p95", "overall", 0.2), ("features", "overall", float("nan"))]
    table = pd.DataFrame(rows, columns=["quantity", "pair", "value"]).assign(low=0.1, high=0.3, n=9)
    assert headline.overall_values(table) == {"null_p95": 0.2}
    assert headline.overall_rows(table)["null_p95"]["high"] == 0.3
