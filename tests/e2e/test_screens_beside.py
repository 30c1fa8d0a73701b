"""Two runs side by side: what the address chooses, runs without a result, one run only, damage."""

from __future__ import annotations

import pytest
from synthetic_run import write_synthetic_run
from visits import TINY, checked, damage, html, opened, sentences

from storage import open_run


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> str:
    url = str(tmp_path_factory.mktemp("beside") / "store")
    write_synthetic_run(url, "one", **TINY)
    write_synthetic_run(url, "two", root_seed=1, comparisons=("main", "late"), **TINY)
    write_synthetic_run(url, "half", root_seed=2, unfinished=("comparison",), **TINY)
    return url


def beside(url: str, monkeypatch, **params: str):
    return opened(url, monkeypatch, "runs", **params)


def test_two_runs_are_compared_by_their_address(store, monkeypatch):
    at = beside(store, monkeypatch, a="one", b="two/late")
    assert not at.error
    frames = {str(frame.value.columns[0]): frame.value for frame in at.dataframe}
    assert set(frames) >= {"setting", "quantity", "measure"}
    settings = frames["setting"].set_index("setting")
    assert settings.loc["root_seed"].tolist() == ["0", "1"]
    assert "one solid, two/late dashed" in html(at)
    values = {}
    for name, comparison in (("one", "main"), ("two", "late")):
        table = open_run(name, store).table("headline")
        table = table[(table["comparison_id"] == comparison) & (table["pair"] == "overall")]
        values[name] = table.set_index("quantity")["value"]["features"]
    row = frames["quantity"].iloc[0]
    assert (row["value_a"], row["value_b"]) == (values["one"], values["two"])
    assert row["difference"] == pytest.approx(values["two"] - values["one"])
    assert len(at.get("vega_lite_chart") or at.get("arrow_vega_lite_chart")) == 4
    at.selectbox(key="b").set_value("two/main").run()
    assert not checked(at).error


def test_a_run_without_a_result_and_the_same_run_twice_are_sentences(store, monkeypatch):
    assert "half has no result" in sentences(beside(store, monkeypatch, a="one", b="half"))
    assert "Both sides are the same" in sentences(beside(store, monkeypatch, a="one", b="one"))
    assert not beside(store, monkeypatch, a="no such run", b="<script>").error


def test_one_run_cannot_be_compared(tmp_path, monkeypatch):
    write_synthetic_run(str(tmp_path), **TINY)
    assert "Two are needed" in sentences(beside(str(tmp_path), monkeypatch, a="synthetic"))


def testdamage_on_one_side_is_told(tmp_path, monkeypatch):
    write_synthetic_run(str(tmp_path), "one", **TINY)
    write_synthetic_run(str(tmp_path), "two", root_seed=1, **TINY)
    damage(str(tmp_path), "comparison")
    at = beside(str(tmp_path), monkeypatch, a="one", b="two")
    assert "is damaged" in sentences(at)


def test_the_list_and_the_chosen_run_stay(store, monkeypatch):
    at = beside(store, monkeypatch)
    assert len(at.session_state["runs_table_ids"]) == 3
    assert any("universality run synthetic" in code.value for code in at.code)
