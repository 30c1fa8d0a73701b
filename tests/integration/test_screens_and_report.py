"""What a screen and the report say of one thing is the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from program import universality
from synthetic_run import write_synthetic_run

from dashboards.components.overview_panels import class_note
from dashboards.components.pair_facts import agreement_facts
from pipelines.report.evidence import clusters_to_show
from pipelines.report.exhibit import ExhibitContext, caption
from pipelines.report.report_writer import ReportOptions, write_report
from pipelines.report.table_exhibits import READING_TABLES
from results import words
from results.cluster_lists import listed_clusters
from results.conclusions import TABLES, conclusions
from results.map_points import placed_clusters


class _Evidence:
    """Evidence without a run: the words around a cluster's strongest token are no matter here."""

    def strongest(self, row: pd.Series) -> tuple[str, str, str]:
        return "", "", ""


class _View:
    """A comparison of a run, as screens read it."""

    def __init__(self, tables: dict[str, pd.DataFrame]) -> None:
        self.table, self.optional, self.memory = tables.__getitem__, tables.get, {}


@pytest.fixture
def tables() -> dict[str, pd.DataFrame]:
    """Three clusters of two or three models: the first member has another domain than most of them, or equally many."""
    members = [
        (0, "m0", "arabic", 0.9), (0, "m1", "dna", 0.8), (0, "m2", "dna", 0.8),
        (1, "m0", "arabic", 0.6), (1, "m1", "python", 0.7),
        (2, "m0", "arabic", 0.5), (2, "m1", None, 0.9),
    ]  # fmt: skip
    features = pd.DataFrame(members, columns=["cluster", "model", "top_domain", "best_r"])
    features = features.assign(latent=range(len(members)), firing_rate=0.1).astype({"cluster": "Int64"})
    table = pd.DataFrame(
        {"cluster": range(3), "class": "universal", "level": ["context", "token", "domain"], "members": "",
         "n_models": [3, 2, 2], "completeness": 1.0, "cohesion": [0.9, 0.8, 0.7]}
    )  # fmt: skip
    positions = pd.DataFrame({"cluster": range(3), "x": 0.0, "y": 0.0})
    return {"features": features, "clusters": table, "cluster_positions": positions}


def test_a_cluster_has_one_domain(tables: dict[str, pd.DataFrame]) -> None:
    """Issue: 30 of 293 clusters of a run had another domain in the paper than on the screens."""
    view: Any = _View(tables)
    expected = {0: "dna", 1: "python", 2: "arabic"}
    for screen in (listed_clusters, placed_clusters):
        frame = screen(view)
        assert frame.set_index("cluster")["domain"].to_dict() == expected
    (exhibit,) = [exhibit for exhibit in READING_TABLES if exhibit.name == "tables/clusters"]
    evidence: Any = _Evidence()
    listing = exhibit.make(tables, ExhibitContext(evidence=evidence))[""]
    assert listing.frame.set_index("cluster")["domain"].to_dict() == expected  # type: ignore[union-attr]


def test_case_studies_are_of_different_domains_as_the_screens_name_them(
    tables: dict[str, pd.DataFrame],
) -> None:
    # By the first member all three would be of one domain, and one of them enough.
    universal = tables["clusters"].assign(level="context")
    assert clusters_to_show(universal, tables["features"])["cluster"].tolist() == [0, 1, 2]


def test_a_level_is_explained_in_the_same_words(tmp_path: Path) -> None:
    run = write_synthetic_run(str(tmp_path / "store"), n_latents=60, n_documents=96)
    write_report(run, tmp_path / "report", ReportOptions(formats=()))
    text = (tmp_path / "report" / "methods.md").read_text(encoding="utf-8")
    assert words.LEVEL in text.replace("*", "")
    assert words.LEVEL in caption("figures/classes")
    assert words.LEVEL in class_note()


def test_the_screen_of_a_pair_names_the_alpha_of_its_run() -> None:
    said = " ".join(fact.hint for fact in agreement_facts(pd.Series({"q": 0.5, "p": 0.5}), 0.01))
    assert "From 0.01 on, shifts within it do not rule it out" in said


def test_the_terminal_says_every_sentence_of_the_overview(tmp_path: Path) -> None:
    """What features do stood on the overview and in the report, and not in ``show``."""
    run = write_synthetic_run(f"{tmp_path}/store")
    told = {name: run.table(name) for name in TABLES if name in run.tables()}
    shown = " ".join(universality("show", run.name, "--store", f"{tmp_path}/store").stdout.split())
    sentences = conclusions(told)
    assert any("do the same" in sentence for sentence in sentences)
    assert [sentence for sentence in sentences if sentence not in shown] == []
