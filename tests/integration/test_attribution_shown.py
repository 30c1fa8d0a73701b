"""First-order effects, where a run has them: in the report, in lists, on the page of a pair."""

import re
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import numpy as np
import pandas as pd
import pytest
from run_variants import exchange
from synthetic_run import write_synthetic_run
from visits import opened

from dashboards.components.feature_detail import _effect_facts
from dashboards.components.pair_facts import effect_facts
from pipelines.report.report_writer import ReportOptions, _planned, write_report
from results import words
from results.conclusions import conclusions
from results.pair_lists import ATTRIBUTION, listed_pairs
from results.stored_comparison import StoredComparison
from storage import Run


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return write_synthetic_run(str(tmp_path_factory.mktemp("store")), n_latents=60, n_documents=96)


def test_the_report_has_their_numbers_and_what_they_are_worth(run: Run, tmp_path: Path) -> None:
    result = write_report(run, tmp_path, ReportOptions(formats=()))
    assert result.missing == ()
    edges = run.table("attribution").query("edge")
    said = {
        f"RGradientBoth{name}": edges.loc[edges["kind"] == kind, "r_gradient_both"].mean()
        for kind, name in (("matched", "Matched"), ("random_direction", "RandomDirection"))
    }
    said["MedianRExact"] = np.nanmedian(edges.loc[edges["kind"] == "matched", ["r_exact_a", "r_exact_b"]])
    macros = (tmp_path / "macros.tex").read_text().replace(r"\ensuremath{-}", "-")
    for name, value in said.items():
        assert re.search(rf"\\uf{name}}}{{(.*)}}", macros)[1] == f"{value:.2f}", name  # pyright: ignore
    assert f"correlate at {said['RGradientBothMatched']:.2f} on average" in (tmp_path / "methods.md").read_text()
    assert {"attribution.csv", "latent_attribution.csv"} <= {path.name for path in (tmp_path / "tables").iterdir()}


def test_they_are_missed_nowhere_and_exact_effects_where_they_were_planned() -> None:
    nodes = {"effects/main/m0-m1": {"step": "effects"}, "fingerprints/main/m0": {"step": "fingerprints"}}
    planned = _planned(cast("Run", SimpleNamespace(record={"nodes": nodes})))
    assert not {"attribution", "latent_attribution"} & planned
    assert {"effects", "latent_effects"} <= planned


def test_a_pair_has_those_of_its_assigned_partner(run: Run) -> None:
    stored = StoredComparison(run, "main")
    row = listed_pairs(stored).iloc[5]
    table = stored.table("attribution").query("kind == 'matched'")
    sides = ["model_a", "latent_a", "model_b", "latent_b"]
    of = table[(table[sides] == row[sides]).all(axis=1)]
    assert len(of) == 1
    assert of[list(ATTRIBUTION)].iloc[0].tolist() == row[list(ATTRIBUTION)].tolist()


def test_the_page_of_a_pair_says_them_only_where_they_were_measured() -> None:
    bare = {"model_a": "m0", "model_b": "m1"}
    measured = {"r_gradient_both": 0.41, "r_gradient_both_low": 0.32, "r_gradient_both_high": 0.53}
    measured |= {"r_exact_a": 0.91, "r_exact_b": np.nan}
    facts = {fact.label: fact for fact in effect_facts(pd.Series(bare | measured))}
    said = facts["to first order"]
    assert (said.value, said.below) == (
        words.number(0.41),
        f"exact: m0 {words.number(0.91)} · m1 {words.number(np.nan)}",
    )
    assert f"{words.number(0.32)} to {words.number(0.53)}" in said.hint
    assert "to first order" not in {fact.label for fact in effect_facts(pd.Series(bare))}


def test_what_the_budget_left_out_is_said_to_be_unmeasured_and_what_a_mean_is_of(tmp_path: Path) -> None:
    run = write_synthetic_run(str(tmp_path / "store"), n_latents=60, n_documents=96)
    bare = {"model_a": "m0", "model_b": "m1"}
    facts = {fact.label: fact for fact in effect_facts(pd.Series(bare | {"weight": np.nan}))}
    assert (facts["what they do"].value, facts["what they do"].below) == (words.number(np.nan), "not measured")
    effect = pd.Series({"measured": False, "n_rows": 0, "loss_change": np.nan, "helps": np.nan})
    (fact,) = _effect_facts(effect)
    assert (fact.value, fact.below) == (words.number(np.nan), "not measured")
    assert _effect_facts(pd.Series({**effect, "measured": True})) == []  # it never fires
    table = run.artifact("effect_agreement/main").table("effect_agreement")
    said = {name: conclusions({**_needed(run), "effect_agreement": given}) for name, given in (
        ("all", table), ("some", table.assign(n_all=table["n"] + 500)),
    )}  # fmt: skip
    assert "not measured" not in " ".join(said["all"])
    assert "(500 more were not measured; the shares are of all)" in " ".join(said["some"])
    exchange(run, "effect_agreement/main", tables={"effect_agreement": table.assign(n_all=table["n"] + 500)})
    write_report(run, tmp_path / "report", ReportOptions(formats=()))
    edges = int(table.query("kind == 'matched' and pair == 'overall' and level == 'edges'")["n"].iloc[0])
    methods = (tmp_path / "report" / "methods.md").read_text()
    assert f"Not all of them could be ablated: {edges} of {edges + 500} edges were" in " ".join(methods.split())


def test_the_report_says_what_partners_know_and_how_far_explanations_hold(run: Run, tmp_path: Path) -> None:
    write_report(run, tmp_path, ReportOptions(formats=()))
    macros = (tmp_path / "macros.tex").read_text().replace(r"\ensuremath{-}", "-")
    said = dict(re.findall(r"\\uf(\w+)}{(.*)}", macros))
    probes = run.table("probes").query("label == 'digit'")
    for kind in ("matched", "hard_exchange", "ceiling", "floor"):
        name = f"ProbeTransfer{kind.title().replace('_', '')}Digit"
        assert said[name] == f"{probes.loc[probes['kind'] == kind, 'transfer'].mean():.2f}", name
    transfer = run.table("explanation_transfer").query("level == 'edges'").set_index("kind")["transfer"]
    assert {kind: said[f"ExplanationTransfer{name}"] for kind, name in (
        ("matched", "Matched"), ("hard_exchange", "HardExchange"), ("ceiling", "Ceiling"), ("floor", "Floor"))
    } == {kind: f"{value:.2f}" for kind, value in transfer.items()}  # fmt: skip
    methods = " ".join((tmp_path / "methods.md").read_text().split())
    assert f"{said['ProbeTransferMatchedDigit']} of *digit* (" in methods
    assert f"{said['ExplanationTransferMatched']} of it (" in methods


def test_the_overview_has_both_beside_their_floors(run: Run, monkeypatch) -> None:
    page = opened(run.store.url, monkeypatch, run=run.name)
    shown = [frame.value for frame in page.dataframe]
    probed = next(frame for frame in shown if "auc" in frame and "hard_exchange" in frame)
    assert set(probed["label"]) == {"digit", "line start"}
    assert probed[["matched", "hard_exchange", "ceiling", "floor"]].notna().all(axis=None)
    explained = next(frame for frame in shown if "partner" in frame and "transfer" in frame)
    partners = [words.EFFECT_PARTNERS[kind] for kind in ("matched", "hard_exchange", "ceiling", "floor")]
    assert explained["partner"].tolist()[:4] == partners


def _needed(run: Run) -> dict[str, pd.DataFrame]:
    return {name: run.table(name) for name in ("features", "agreement", "indices")}
