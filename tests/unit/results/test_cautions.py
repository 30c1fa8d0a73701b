"""One book of thresholds, one list of cautions."""

from __future__ import annotations

import json

import pandas as pd
import pytest
from synthetic_run import write_synthetic_run

from pipelines.report.report_writer import ReportOptions, write_report
from results.cautions import comparison_cautions, run_cautions, stored_cautions
from results.stored_comparison import StoredComparison

MEASURED = ["features", "token_conditional", "ceiling", "neurons", "untrained", "null_p95"]


def models(**changed) -> pd.DataFrame:
    good = {
        "model": ["m0", "m1", "m0r"],
        "role": ["primary", "primary", "replicate"],
        "sae_seed": [1, 2, 3],
        "d_sae": [100, 100, 100],
        "ce_recovered": [0.95, 0.95, 0.1],
        "fvu": [0.2, 0.2, 0.9],
        "n_alive": [95, 98, 1],
    }
    return pd.DataFrame({**good, **changed})


def headline(**changed) -> pd.DataFrame:
    values = dict(zip(MEASURED, [0.6, 0.4, 0.7, 0.3, 0.1, 0.2], strict=True)) | changed
    rows = [(name, "overall", value) for name, value in values.items()]
    return pd.DataFrame(rows, columns=["quantity", "pair", "value"]).assign(low=0.0, high=1.0, n=9)


def cautions(tau: float | None = 0.5, **tables) -> dict:
    return {caution.id: caution for caution in comparison_cautions({"models": models(), **tables}, tau)}


def test_a_good_run_needs_no_caution_and_replicates_are_not_judged():
    assert cautions(headline=headline()) == {}
    documents = pd.DataFrame({"part": ["score"] * 200, "domain": ["a", "b"] * 100})
    assert not list(run_cautions(n_models=5, n_score_rows=1_000_000, n_score_sources=20, documents=documents))
    domains = pd.DataFrame({"domain": ["a", "a", "b"], "n_sources": [5, 5, 9]})
    assert cautions(domains=domains, documents=documents) == {}


@pytest.mark.parametrize(("n_sources", "severe"), [(19, False), (5, False), (4, True)])
def test_few_sources_are_told_and_very_few_can_turn_a_result_around(n_sources, severe):
    (caution,) = run_cautions(n_score_sources=n_sources)
    assert (caution.id, caution.severe, caution.number("threshold")) == ("few_score_sources", severe, 20)
    assert f"come from {n_sources} sources" in caution.plain


def test_domains_of_few_sources_and_of_one_half_are_named():
    domains = pd.DataFrame({"domain": ["he", "he", "el", "py"], "n_sources": [4, 4, 1, 5]})
    documents = pd.DataFrame({"domain": ["he", "el", "py", "han"]})
    told = cautions(domains=domains, documents=documents)
    assert list(told) == ["few_sources_domains", "unmeasured_domains"]
    assert "Behind 2 domains (`el`, `he`) stand fewer than 5 sources" in told["few_sources_domains"].markdown
    assert "1 domains (`han`) lie in one half" in told["unmeasured_domains"].markdown
    assert cautions(domains=domains[["domain"]]) == {}, "older runs do not count sources"
    assert cautions(domains=domains.iloc[:0], documents=documents) == {}, "no labels, no table"


@pytest.mark.parametrize(
    ("changed", "name", "severe"),
    [
        ({"sae_seed": [1, 1, 3]}, "same_sae_seed", True),
        ({"ce_recovered": [0.95, 0.89, 0.95]}, "poor_ce_recovered", False),
        ({"ce_recovered": [0.95, 0.49, 0.95]}, "poor_ce_recovered", True),
        ({"fvu": [0.31, 0.2, 0.2]}, "poor_fvu", False),
        ({"fvu": [0.51, 0.2, 0.2]}, "poor_fvu", True),
        ({"n_alive": [89, 100, 100]}, "not_alive", False),
    ],
)
def test_each_weakness_of_a_dictionary_is_told(changed, name, severe):
    told = cautions(models=models(**changed))
    assert list(told) == [name]
    assert told[name].severe is severe


@pytest.mark.parametrize(
    ("changed", "name", "threshold"),
    [
        ({"ceiling": 0.49}, "low_ceiling", 0.5),
        ({"untrained": 0.21}, "high_floor", 0.2),
        ({"token_conditional": 0.29}, "tokens_explain", 0.5),
        ({"null_p95": 0.5}, "high_chance", 0.5),
        ({"untrained": float("nan")}, "no_floor", None),
    ],
)
def test_each_weakness_of_a_result_is_told_with_what_it_was_held_against(changed, name, threshold):
    told = cautions(headline=headline(**changed))
    assert list(told) == [name]
    assert told[name].number("threshold") == threshold


def test_what_was_not_measured_or_not_labelled_is_told():
    bare = headline().query("quantity == 'features'")
    assert list(cautions(headline=bare)) == ["no_floor", "no_ceiling", "no_neurons"]
    pairs = pd.DataFrame({"edge": [True] * 10 + [False], "level": "untested", "few_sources": False})
    assert list(cautions(pairs=pairs)) == ["untested_levels"]
    assert cautions(pairs=pairs)["untested_levels"].severe
    some = pairs.assign(level=["token"] * 8 + ["untested"] * 3)
    assert not cautions(pairs=some)["untested_levels"].severe
    assert cautions(pairs=pairs.assign(level=["token"] * 9 + ["untested"] * 2)) == {}


def test_matches_that_few_sources_make_are_told_from_a_tenth_on():
    pairs = pd.DataFrame({"edge": True, "level": "token", "few_sources": [True, True] + [False] * 8})
    told = cautions(pairs=pairs)["few_sources_edges"]
    assert told.number("value") == pytest.approx(0.2)
    assert "Behind 20% of the matched pairs (more than 10%)" in told.plain
    assert cautions(pairs=pairs.assign(few_sources=[True] + [False] * 9)) == {}


def test_without_a_threshold_nothing_is_held_against_it():
    assert cautions(tau=None, headline=headline(ceiling=0.1, null_p95=0.9)) == {}


def test_missing_seeds_do_not_count_as_equal():
    assert cautions(models=models(sae_seed=[None, None, None])) == {}


def test_pairs_of_one_start_are_named():
    indices = pd.DataFrame({"name": ["shared_init"] * 2, "pair": ["m0-m1", "m0-m2"], "value": [1.0, 0.0]})
    (caution,) = cautions(indices=indices).values()
    assert caution.severe
    assert "start from the same weights (`m0-m1`)" in caution.markdown


def test_the_run_itself_is_judged():
    documents = pd.DataFrame({"part": ["score"] * 3 + ["fit"], "domain": "one"})
    told = list(
        run_cautions(
            n_models=2,
            n_score_rows=999,
            n_score_sources=3,
            documents=documents,
            unfinished=["a"],
            warned=["x", "x", "y"],
        )
    )
    assert [caution.id for caution in told] == [
        "unfinished", "few_models", "few_score_rows", "few_score_sources", "one_domain", "warnings",
    ]  # fmt: skip
    by_id = {caution.id: caution for caution in told}
    assert by_id["few_score_rows"].markdown.startswith("Correlations rest on 999 score rows (fewer than 1,000,000)")
    assert "3 (from `x`, `y`)" in by_id["warnings"].markdown
    assert "Only 2 models were compared (fewer than 5): universal means" in by_id["few_models"].plain


def test_text_for_a_terminal_has_no_marks():
    caution = cautions(headline=headline(ceiling=0.25))["low_ceiling"]
    assert "a median r of 0.25 only, below tau = 0.50" in caution.plain
    assert r"median $r$ of 0.25 only, below $\tau = 0.50$" in caution.markdown


@pytest.mark.parametrize("variant", [{}, {"n_untrained": 0, "replicates": False, "unfinished": ("evidence/",)}])
def test_screen_and_paper_doubt_the_same_things(tmp_path, variant):
    url = str(tmp_path / "store")
    run = write_synthetic_run(url, n_models=2, n_latents=24, n_documents=96, **variant)
    write_report(run, tmp_path / "report", ReportOptions(formats=()))
    limitations = json.loads((tmp_path / "report" / "results.json").read_text())["limitations"]
    screen = stored_cautions(StoredComparison(run, "main"))
    assert sorted(caution.id for caution in screen) == sorted(limit["id"] for limit in limitations)
    texts = {limit["id"]: limit for limit in limitations}
    for caution in screen:
        assert caution.number("value") == texts[caution.id]["value"]
        assert caution.number("threshold") == texts[caution.id]["threshold"]
    assert [caution.severe for caution in screen] == sorted((c.severe for c in screen), reverse=True)
    assert len(screen) >= 4
