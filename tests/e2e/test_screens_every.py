"""Each screen over a full, a tiny, a silent, an empty and a damaged store: drawn, or a sentence that says why not."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from run_variants import add_sweep, write_silent_run
from streamlit.testing.v1 import AppTest
from synthetic_run import write_synthetic_run
from synthetic_study import add_studies
from visits import CONTEXT, TINY, damage, html, links, opened, sentences, turned

from dashboards.components.links import literal
from dashboards.components.mark_legend import meanings
from results.layer_frames import layer_sentence
from results.study_frames import training_sentence
from storage import open_run

#: What stands on the screen when there is something to show; a name in brackets is a kind of element.
DRAWN = {
    "overview": "[vega_lite_chart]",
    "pairs": CONTEXT,
    "clusters": CONTEXT,
    "specific": CONTEXT,
    "feature": CONTEXT,
    "lens": 'class="uv-lens"',
    "steer": CONTEXT,
    "games": 'class="uv-game"',
    "graph": "[echarts_chart]",
    "map": "[echarts_chart]",
    "runs": "[dataframe]",
    "beside": "[vega_lite_chart]",
    "studies": "[vega_lite_chart]",
    "sweeps": "[vega_lite_chart]",
}
#: What is said when no latent fires. Runs and their comparison have enough to show.
SILENT = {
    "overview": "0 alive features together",
    "pairs": "No two models of this run have a matched pair",
    "clusters": "there is no cluster",
    "specific": "No feature of this run fires often enough",
    "feature": "Dead: it never fires",
    "lens": "no feature that models share",
    "steer": "cannot be done as it is asked for",
    "games": "features that fire in 4 different texts",
    "graph": "there is no graph",
    "map": "No feature of this run fires often enough",
    "runs": "Done.",
    "beside": "Settings that differ",
    "studies": "has no finished study",
    "sweeps": "has no finished sweep",
}


@pytest.fixture(scope="module")
def full(tmp_path_factory) -> str:
    url = str(tmp_path_factory.mktemp("full") / "store")
    write_synthetic_run(url, "other", root_seed=1, **TINY)
    run = write_synthetic_run(url, n_latents=60, n_documents=100, loadable=True)
    add_sweep(run)
    add_studies(run)
    return url


@pytest.fixture(scope="module")
def tiny(tmp_path_factory) -> str:
    url = str(tmp_path_factory.mktemp("tiny") / "store")
    write_synthetic_run(url, "other", root_seed=1, **TINY)
    run = write_synthetic_run(url, **TINY, loadable=True)
    add_sweep(run)
    add_studies(run)
    return url


@pytest.fixture(scope="module")
def silent(tmp_path_factory) -> str:
    url = str(tmp_path_factory.mktemp("silent") / "store")
    write_synthetic_run(url, "other", root_seed=1, **TINY)
    write_silent_run(url, loadable=True)
    return url


@pytest.fixture(scope="module")
def damaged(tmp_path_factory) -> tuple[str, dict[str, dict[str, str]]]:
    """Every file of both runs has a flipped byte; the addresses are those of before."""
    url = str(tmp_path_factory.mktemp("damaged") / "store")
    write_synthetic_run(url, "other", root_seed=1, **TINY)
    run = write_synthetic_run(url, **TINY, loadable=True)
    add_sweep(run)
    add_studies(run)
    found = links(run)
    damage(url, "", run="other")
    damage(url, "", run="synthetic")
    return url, found


@pytest.fixture(scope="module")
def nothing(tmp_path_factory) -> str:
    return str(tmp_path_factory.mktemp("empty") / "nothing")


@pytest.fixture(scope="module")
def visitor():
    """One visitor of each store, who goes from screen to screen."""
    known: dict[str, AppTest] = {}
    with pytest.MonkeyPatch.context() as patch:

        def visit(url: str, screen: str, params: dict[str, str]) -> AppTest:
            """The screen as a link opens it; that nothing raised was checked on the way."""
            page, params = "runs" if screen == "beside" else screen, {"run": "synthetic", **params}
            if url not in known:
                known[url] = opened(url, patch, page, **params)
                return known[url]
            patch.setattr(sys, "argv", ["app.py", "--store", url])
            known[url].query_params.clear()
            return turned(known[url], page, **params)

        yield visit


def drawn(at, screen: str) -> bool:
    mark = DRAWN[screen]
    return bool(at.get(mark[1:-1])) if mark.startswith("[") else mark in html(at)


@pytest.mark.parametrize("screen", DRAWN)
def test_a_full_run_is_drawn_without_an_apology(full, screen, visitor):
    at = visitor(full, screen, links(open_run("synthetic", full))[screen])
    assert len(at.title) == 1
    assert drawn(at, screen)
    assert not at.error
    assert not at.info


@pytest.mark.parametrize("screen", ["pairs", "clusters", "specific", "feature", "lens", "steer", "games"])
def test_screens_that_draw_text_have_one_legend(full, screen, visitor):
    at = visitor(full, screen, links(open_run("synthetic", full))[screen])
    assert html(at).count(meanings()) == 1


@pytest.mark.parametrize("screen", DRAWN)
def test_a_tiny_run_is_drawn(tiny, screen, visitor):
    at = visitor(tiny, screen, links(open_run("synthetic", tiny))[screen])
    assert drawn(at, screen)
    assert not at.error


@pytest.mark.parametrize("screen", DRAWN)
def test_a_run_in_which_nothing_fires_is_told(silent, screen, visitor):
    at = visitor(silent, screen, links(open_run("synthetic", silent))[screen])
    assert SILENT[screen] in sentences(at) + html(at)
    assert not at.error


@pytest.mark.parametrize("screen", DRAWN)
def test_damage_is_told_on_every_screen(damaged, screen, visitor):
    url, found = damaged
    at = visitor(url, screen, found[screen])
    assert "is damaged" in sentences(at) or screen == "runs"
    assert not drawn(at, screen) or screen == "runs"


@pytest.mark.parametrize("screen", DRAWN)
def test_an_empty_store_says_what_to_do(nothing, screen, visitor):
    at = visitor(nothing, screen, {"a": "x", "b": "y"} if screen == "beside" else {})
    assert "holds no run yet" in sentences(at)
    assert any("universality run quickstart" in code.value for code in at.code)
    assert not Path(nothing).exists()


def test_a_feature_is_followed_through_the_sizes_of_a_study(full, visitor):
    at = visitor(full, "studies", {})
    assert "Of the features of dictionaries of 64 latents, in one of 256" in sentences(at)
    assert "128 latents" in sentences(at)
    assert "256 latents" in sentences(at)
    first = at.selectbox(key="split_feature_size").value
    shown = html(at)
    assert "with the feature above" in shown
    at.selectbox(key="split_feature_size").set_value(first + 5).run()
    assert not at.exception
    assert html(at) != shown


def test_layers_and_checkpoints_of_studies_are_drawn_with_what_is_said_of_them(full, visitor):
    at = visitor(full, "studies", {})
    run = open_run("synthetic", full)
    layers, means = (run.table(name).set_index("study_id") for name in ("study_layers", "study_means"))
    for sentence in (layer_sentence(layers), training_sentence(means.loc["kept"])):
        assert literal(sentence) in {markdown.value for markdown in at.markdown}
    drawn = "".join(chart.proto.spec for chart in at.get("vega_lite_chart"))
    assert "layer (hook_resid_post)" in drawn
    assert "training tokens" in drawn
    at.selectbox(key="layers_level_layers").set_value("token").run()
    assert not at.exception


def test_the_features_of_two_dictionaries_of_a_study_are_read_beside_each_other(full, visitor):
    at = visitor(full, "studies", {})
    cells = at.selectbox(key="study_pair_data").value
    partners = open_run("synthetic", full).artifact(f"study_pair/data/{'-'.join(cells)}").table("study_partners")
    strongest = partners.sort_values("r_held_out", ascending=False).iloc[0]
    names = [f"{strongest[f'model_{side}']}:{strongest[f'latent_{side}']}" for side in "ab"]
    table = next(frame.value for frame in at.dataframe if "edge" in frame.value.columns)  # that of the first study
    assert table.loc[0, ["a", "b"]].tolist() == names
    assert len(table) == len(partners)
    at.session_state["study_feature_data_chosen"] = "-".join(names)
    at.run()
    assert not at.exception
    assert all(f">{name}</span>" in html(at) for name in names)
    assert CONTEXT in html(at)
    assert "Quantiles" not in {option for control in at.segmented_control for option in control.options}
