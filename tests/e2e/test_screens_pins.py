"""Pairs pinned for a report: on the page of a pair and of a cluster, by a link, and as the file that reports read."""

from __future__ import annotations

from urllib.parse import parse_qs

import pytest
from synthetic_run import write_synthetic_run
from visits import TINY, checked, damage, opened, sentences, turned

from dashboards.pinning import MAX_PINS, Pin, pins_file
from results.pins import pinned_rows, read_pins
from storage import open_run


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> str:
    url = str(tmp_path_factory.mktemp("pins") / "store")
    for name in ("older", "synthetic"):  # both have the same pairs
        write_synthetic_run(
            url,
            name,
            n_latents=60,
            n_documents=100,
            n_untrained=0,
            replicates=False,
            comparisons=("main", "late"),
        )
    return url


@pytest.fixture(scope="module")
def ids(store) -> dict[str, list[str]]:
    """Ids of the assigned pairs by comparison."""
    pairs = open_run("synthetic", store).table("pairs")
    pairs["id"] = [f"{p.model_a}:{p.latent_a}-{p.model_b}:{p.latent_b}" for p in pairs.itertuples()]
    return pairs.groupby("comparison_id")["id"].agg(list).to_dict()


def pinned(at) -> tuple[Pin, ...]:
    """The pins that the panel lists, read from its links."""
    links = [link.proto.query_string for link in at.sidebar.get("page_link") if "pair=" in link.proto.query_string]
    found = [parse_qs(link) for link in links]
    return tuple(Pin(link["comparison"][0], link["pair"][0]) for link in found)


def param(at) -> str | None:
    found = at.query_params.get("pins")
    return found[0] if isinstance(found, list) else found


def test_a_pair_is_pinned_and_taken_back(store, ids, monkeypatch):
    first, second = ids["main"][:2]
    at = opened(store, monkeypatch, "pairs", pair=first)
    assert "Pinned pairs" not in sentences(at)
    checked(at.button(key="pair_pin").click().run())
    assert at.button(key="pair_pin").label == "Unpin"
    at.query_params["pair"] = second
    checked(at.run())
    checked(at.button(key="pair_pin").click().run())
    assert "**Pinned pairs (2)**" in sentences(at)
    assert pinned(at) == (Pin("main", first), Pin("main", second))
    assert param(at) == f"synthetic;main/{first};main/{second}"
    command = f"universality report synthetic --out report --pairs pinned.json --store {store}"
    assert command in [code.value for code in at.sidebar.code]
    at = turned(at, "overview")
    assert len(pinned(at)) == 2
    checked(at.button(key="unpin_0").click().run())
    assert pinned(at) == (Pin("main", second),)
    checked(at.button(key="unpin_all").click().run())
    assert "Pinned pairs" not in sentences(at)
    assert not at.sidebar.code
    assert param(at) is None


def test_the_pairs_of_a_cluster_are_pinned_together(store, ids, monkeypatch):
    clusters = open_run("synthetic", store).table("clusters").query("comparison_id == 'main'")
    row = clusters.sort_values(["n_models", "completeness"], ascending=False).iloc[0]
    members = set(row["members"].split(";"))
    inside = {pair for pair in ids["main"] if set(pair.split("-")) <= members}
    assert len(inside) == 3
    at = opened(store, monkeypatch, "clusters", cluster=str(row["cluster"]))
    checked(at.button(key="cluster_pin").click().run())
    assert {pin.pair for pin in pinned(at)} == inside
    checked(at.button(key="cluster_pin").click().run())
    assert not pinned(at)


def test_a_link_brings_the_pins_of_every_comparison_back(store, ids, monkeypatch):
    wanted = (Pin("late", ids["late"][0]), Pin("main", ids["main"][0]))
    a, b = wanted[1].pair.split("-")
    at = opened(store, monkeypatch, "specific", run="synthetic", pins=f"synthetic;late/{wanted[0].pair};main/{b}-{a}")
    assert pinned(at) == wanted
    assert any("late" in link.proto.label for link in at.sidebar.get("page_link"))


@pytest.mark.parametrize(
    "tail",
    ["main/m0:999999-m1:1", "none/m0:1-m1:1", "<script>", "main/![i](http://example.invalid/x.png)", ""],
)
def test_pins_that_are_none_of_this_run_are_a_sentence(store, ids, tail, monkeypatch):
    at = opened(store, monkeypatch, "specific", run="synthetic", pins=f"synthetic;main/{ids['main'][0]};{tail}")
    assert len(pinned(at)) == 1
    assert "1 pin of the address: not of this run" in sentences(at)


def test_pins_stay_with_their_run(store, ids, monkeypatch):
    pin = f"synthetic;main/{ids['main'][0]}"
    at = opened(store, monkeypatch, "specific", run="older", pins=pin)
    assert not pinned(at)
    assert "1 pin of the address: not of this run" in sentences(at)
    at = opened(store, monkeypatch, "runs", run="synthetic", pins=pin)
    checked(at.selectbox(key="run").set_value("older").run())
    assert not pinned(at)
    checked(at.selectbox(key="run").set_value("synthetic").run())
    assert len(pinned(at)) == 1


def test_there_is_a_most_that_a_link_holds(store, ids, monkeypatch):
    many = ids["main"][: MAX_PINS + 2]
    at = opened(
        store,
        monkeypatch,
        "specific",
        run="synthetic",
        pins=";".join(["synthetic", *(f"main/{p}" for p in many)]),
    )
    assert [pin.pair for pin in pinned(at)] == many[:MAX_PINS]
    at = turned(at, "pairs", pair=many[-1])
    assert at.button(key="pair_pin").disabled
    checked(at.button(key="unpin_3").click().run())
    assert not at.button(key="pair_pin").disabled
    checked(at.button(key="pair_pin").click().run())
    assert pinned(at)[-1].pair == many[-1]


def test_damaged_pairs_are_told_and_no_pin_is_taken(tmp_path, monkeypatch):
    write_synthetic_run(str(tmp_path), **TINY)
    damage(str(tmp_path), "comparison")
    at = opened(str(tmp_path), monkeypatch, pins="synthetic;main/m0:1-m1:1")
    assert "is damaged" in sentences(at)
    assert not pinned(at)


def test_the_file_is_what_reports_read(store, ids, tmp_path):
    wanted = [Pin("main", ids["main"][4]), Pin("late", ids["late"][2])]
    path = tmp_path / "pinned.json"
    path.write_bytes(pins_file("synthetic", wanted))
    rows = pinned_rows(read_pins(path), "synthetic", open_run("synthetic", store).table("pairs"))
    found = [(p.comparison_id, f"{p.model_a}:{p.latent_a}-{p.model_b}:{p.latent_b}") for p in rows.itertuples()]
    assert found == wanted
