"""Summaries of results: numbers for programs, tables for people."""

import io

import pandas as pd
import pytest
from rich.console import Console
from synthetic_run import write_synthetic_run

from pipelines.cli import runs, summary
from results.cautions import comparison_cautions
from results.older_runs import as_of_now
from storage import Run, open_run

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
DOMAINS = pd.DataFrame(
    [
        ("main", "devanagari", "m0", 16383, 0.9, 0.95, 0.99, 0.99, "m1", 12003, -0.81, 0.5, "context", 0.3, 0.01),
        ("main", "devanagari", "m1", 3, 0.9, 0.95, 0.99, 0.99, None, None, None, None, None, 0.3, None),
    ],
    columns=["comparison_id", "domain", "model", "latent", "mcc", "sensitivity", "specificity", "auroc",
             "partner_model", "partner_latent", "r", "r_token", "level", "neuron_r", "untrained_r"],
)  # fmt: skip


def test_a_pair_of_one_start_is_marked_loudly():
    stream = io.StringIO()
    rows = [("main", "shared_init", "m0-m1", 1.0), ("main", "shared_init", "m0-m2", 0.0)]
    rows.append(("main", "shared_init", "a[b]-c", 1.0))  # people's own file names are no markup
    indices = pd.DataFrame(rows, columns=["comparison_id", "name", "pair", "value"])
    tables = {"headline": HEADLINE, "features": FEATURES, "indices": indices}
    cautions = {"main": comparison_cautions({"headline": HEADLINE, "indices": indices}, 0.5)}
    summary.print_summary(Console(file=stream, width=300), tables, cautions)
    assert "Warning: 2 pairs of dictionaries seem to start from the same weights (m0-m1, a[b]-c)" in stream.getvalue()
    assert "Keep in mind: no untrained floor, no ceiling.\n" in stream.getvalue()


def test_shares_stand_beside_those_of_untrained_models():
    rows = [("shared_fraction", "m0-m1", 0.43), ("shared_fraction", "u0-u1", 0.38), ("shared_fraction", "m0-m0r", 0.61),
            ("shared_fraction_context", "m0-m1", 0.1), ("mppc", "m0-m1", 0.9)]  # fmt: skip
    indices = pd.DataFrame(rows, columns=["name", "pair", "value"]).assign(chance=0.0, low=0.0, high=1.0, n=9)
    indices = as_of_now("indices", indices, {})
    console = Console(width=100, record=True, file=io.StringIO())
    console.print(summary.shares_table(indices))
    lines = [line.split() for line in console.export_text().splitlines()]
    assert ["any", "0.43", "0.38", "0.61", "0.00"] in lines
    assert ["context", "0.10", "-", "-", "0.00"] in lines
    assert not [line for line in lines if line[:1] == ["mppc"]]
    assert summary.shares_table(indices.iloc[-1:]) is None


@pytest.mark.parametrize("domains", [None, DOMAINS, DOMAINS.iloc[:0]])
def test_print_fits_a_hundred_columns_and_names_everything(domains):
    stream = io.StringIO()
    tables = {"headline": HEADLINE, "features": FEATURES, **({} if domains is None else {"domains": domains})}
    summary.print_summary(Console(file=stream, width=100), tables, {})
    text = stream.getvalue()
    assert max(map(len, text.splitlines())) <= 100
    assert "0.58" in text
    assert "0.55 to 0.61" in text
    assert "not measured" in text
    assert "m0-m0r 0.72" in text
    assert "50.0 %" in text
    if domains is DOMAINS:
        assert "devanagari" in text
        assert "m1/12003" in text
        assert "…" not in text, "a column was cut"


def test_many_pairs_wrap_and_stay_whole():
    pairs = [f"m{a}-m{b}" for a in range(6) for b in range(a + 1, 6)]
    frame = pd.DataFrame({"quantity": "features", "pair": [*pairs, "overall"], "value": 0.5, "low": None, "high": None})
    stream = io.StringIO()
    Console(file=stream, width=100).print(summary.headline_table("main", frame))
    assert all(pair in stream.getvalue() for pair in pairs)


def test_domains_of_few_sources_are_marked():
    marked = printed(DOMAINS.assign(n_sources=[4] * len(DOMAINS)))
    assert "devanagari †" in marked
    assert "fewer than 5 sources" in marked
    for fine in (DOMAINS, DOMAINS.assign(n_sources=5)):
        assert "†" not in printed(fine)


def printed(domains: pd.DataFrame) -> str:
    stream = io.StringIO()
    console = Console(file=stream, width=100)
    console.print(summary.domains_table(domains))
    return stream.getvalue()


def test_a_run_of_an_earlier_version_is_shown(tmp_path, monkeypatch):
    write_synthetic_run(str(tmp_path), "old", n_models=2, n_latents=40, n_documents=30)
    whole, later = Run.table, {"effect_agreement": "n_all", "pairs": "edge", "indices": "kind", "features": "group"}

    def table(run, name):
        found = whole(run, name)
        return found.drop(columns=later[name]) if name in later else found

    monkeypatch.setattr(Run, "table", table)
    run = open_run("old", str(tmp_path))
    stream = io.StringIO()
    assert runs.print_run(Console(file=stream, width=200), run, str(tmp_path))
    assert "Features by group and level" in stream.getvalue()
