"""A store that changes while its screens are open: every screen looks right, and nothing is a traceback."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from run_variants import add_sweep
from synthetic_run import write_synthetic_run
from visits import TINY, links, opened, sentences, turned

from dashboards.navigation import SCREENS
from storage import open_run, open_store


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    url = tmp_path_factory.mktemp("sound") / "store"
    write_synthetic_run(str(url), "other", root_seed=1, **TINY)
    add_sweep(write_synthetic_run(str(url), **TINY, loadable=True))
    return url


@pytest.fixture
def store(sound, tmp_path):
    return str(shutil.copytree(sound, tmp_path / "store"))


def every_screen(at, found, run="synthetic"):
    for screen in SCREENS:
        yield screen, turned(at, screen, run=run, **found[screen])


@pytest.mark.parametrize("start", ["overview", "pairs"])
def test_a_run_that_is_deleted_is_said_to_be_gone(store, monkeypatch, start):
    found = links(open_run("synthetic", store))
    at = opened(store, monkeypatch, start, run="synthetic", **found[start])
    open_store(store).delete_run("synthetic")
    for screen, page in every_screen(at, found):
        assert page.sidebar.selectbox(key="run").options == ["other"], screen
        assert "The run `synthetic` is not in this store (any more). This is `other`." in sentences(page), screen
    open_store(store).delete_run("other")
    for screen, page in every_screen(at, found):
        assert "No runs yet" in [title.value for title in page.title] or "holds no run" in sentences(page), screen


def test_a_run_that_is_added_can_be_chosen_and_does_not_push_itself_forward(store, monkeypatch):
    found = links(open_run("synthetic", store))
    at = opened(store, monkeypatch, "overview", run="synthetic")
    write_synthetic_run(store, "newest", root_seed=2, **TINY)
    for screen, page in every_screen(at, found):
        chooser = page.sidebar.selectbox(key="run")
        assert (set(chooser.options), chooser.value) == ({"newest", "synthetic", "other"}, "synthetic"), screen
        assert "not in this store" not in sentences(page), screen
        assert not page.error, (screen, [error.value for error in page.error])


def test_artifacts_that_go_are_named_on_every_screen_that_needs_them(store, monkeypatch):
    run = open_run("synthetic", store)
    found = links(run)
    at = opened(store, monkeypatch, "overview", run="synthetic")
    for _, page in every_screen(at, found):
        assert not page.error
    for node in run.record["nodes"].values():
        shutil.rmtree(Path(store) / "artifacts" / node["key"], ignore_errors=True)
    for screen, page in every_screen(at, found):
        assert "Gone from the store since it finished: " in sentences(page), screen
