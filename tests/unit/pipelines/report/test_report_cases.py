"""Case studies and pinned pairs of a report against the run's own arrays; formats and widths; damage."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import typer
from synthetic_run import write_synthetic_run

from pipelines.cli import outputs
from pipelines.report.evidence import clusters_to_show
from pipelines.report.figures.canvas import FORMATS, WIDTHS
from pipelines.report.latex import tex_escape
from pipelines.report.markdown import plain
from pipelines.report.report_writer import ReportOptions, write_report
from results.pair_lists import find_pair
from results.pair_verdict import pair_verdict
from results.pins import Pins, pinned_rows, read_pins
from results.stored_comparison import StoredComparison
from results.token_text import visible
from storage import Run
from universality.errors import InputError

SMALL = {"n_latents": 60, "n_documents": 96}


@pytest.fixture(scope="module")
def run(small_run: Run) -> Run:
    return small_run


def _pins(run: Run) -> dict[str, Any]:
    rows = run.table("pairs").iloc[[7, 3]]
    columns = ["comparison_id", "model_a", "latent_a", "model_b", "latent_b"]
    pairs = json.loads(rows[columns].to_json(orient="records"))
    return {"kind": "universality-pins", "schema": 1, "run": run.name, "pairs": pairs}


@pytest.fixture(scope="module")
def report(run: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("reports") / "report"
    pins = Pins.model_validate(_pins(run))
    assert write_report(run, out, ReportOptions(("svg",), 1, pins)).missing == ()
    return out


def test_one_format_and_one_width_where_they_are_asked_for(report: Path) -> None:
    figures = sorted(report.glob("figures/*.*"))
    assert {path.suffix for path in figures} == {".svg", ".csv"}
    widths = {
        float(re.search(r'width="([\d.]+)pt"', path.read_text(encoding="utf-8"))[1])  # type: ignore[index]
        for path in figures
        if path.suffix == ".svg"
    }
    assert widths == {72 * WIDTHS[1]}


def _firings(run: Run, feature: str) -> np.ndarray:
    model, latent = feature.rsplit(" = ", maxsplit=1)[-1].rsplit(":", 1)
    return run.artifact(f"latents/main/{model}").csr("acts").toarray()[:, int(latent)]


def _drawn(report: Path, name: str) -> pd.DataFrame:
    table = pd.read_csv(report / "figures" / name, keep_default_na=False)
    return table.assign(token_text=table["token_text"].map(json.loads))


def test_cases_show_the_rows_on_which_all_features_are_strongest(run: Run, report: Path) -> None:
    drawn = _drawn(report, "cases.csv")
    tokens, vocabulary = run.artifact("tokens"), run.table("vocabulary").set_index("token")
    context, position, ids = (tokens.array(n) for n in ("row_context", "row_position", "eval_contexts"))
    clusters = run.table("clusters").set_index("cluster")
    assert drawn["case"].nunique() >= 2
    for case, mine in drawn.groupby("case"):
        members = clusters.loc[int(str(case).removeprefix("cluster ")), "members"].split(";")
        assert list(dict.fromkeys(mine["feature"])) == members
        acts = {feature: _firings(run, feature) for feature in members}
        shares = np.mean([values / values.max() for values in acts.values()], axis=0)
        best = int(shares.argmax())
        first = mine[(mine["context"] == 0) & (mine["peak"])].set_index("feature")
        # The row of the highest mean comes first, and each bar is the activation over the feature's maximum.
        for feature, values in acts.items():
            assert first.loc[feature, "share"] == pytest.approx(values[best] / values.max(), rel=1e-6)
        token = int(ids[context[best], position[best]])
        assert first["token_text"].iloc[0] == visible(bytes.fromhex(vocabulary.loc[token, "bytes"]))
        # No text is shown twice.
        texts = mine.groupby("context")["token_text"].agg("".join)
        assert texts.is_unique


def test_pinned_pairs_are_shown_in_their_order_with_disagreement(run: Run, report: Path) -> None:
    pinned = pd.read_parquet(report / "tables" / "pinned.parquet")
    pairs = run.table("pairs").iloc[[7, 3]].reset_index(drop=True)
    pd.testing.assert_frame_equal(pinned, pairs)
    drawn = _drawn(report, "pinned.csv")
    for case, mine in drawn[drawn["peak"]].groupby("case"):
        one, other = str(case).split(" and ")
        assert any(str(note).startswith("only") for note in mine["note"])
        for note, shares in mine.groupby("note")["share"]:
            a, b = shares.iloc[::2].to_numpy(), shares.iloc[1::2].to_numpy()
            if str(note).startswith(f"only {one}"):
                assert (a > 0).all()
                assert (b == 0).all()
            elif str(note).startswith(f"only {other}"):
                assert (b > 0).all()
                assert (a == 0).all()
            else:
                assert ((a > 0) & (b > 0)).all()
    source = (report / "tables" / "pinned.tex").read_text(encoding="ascii")
    for row in pairs.itertuples():
        assert f"{row.model_a}:{row.latent_a} & {row.model_b}:{row.latent_b} & " in source


def test_each_pinned_pair_has_the_sentence_of_its_screen(run: Run, report: Path) -> None:
    markdown = (report / "report.md").read_text(encoding="utf-8")
    source = (report / "tables" / "pinned.tex").read_text(encoding="ascii")
    stored = StoredComparison(run, "main")
    for row in run.table("pairs").iloc[[7, 3]].itertuples():
        listed = find_pair(stored, f"{row.model_a}:{row.latent_a}-{row.model_b}:{row.latent_b}")
        assert listed is not None
        sentence = pair_verdict(stored, listed).sentence
        assert f"- {plain(sentence)}" in markdown.splitlines()
        assert rf"\emph{{{tex_escape(sentence)}}}" in source


def test_many_pins_take_several_pages(run: Run, tmp_path: Path) -> None:
    rows = run.table("pairs").iloc[:20]
    columns = ["comparison_id", "model_a", "latent_a", "model_b", "latent_b"]
    pins = _pins(run) | {"pairs": json.loads(rows[columns].to_json(orient="records"))}
    write_report(run, tmp_path / "report", ReportOptions(("svg",), 1, Pins.model_validate(pins)))
    pages = sorted((tmp_path / "report/figures").glob("pinned*.csv"), key=lambda path: (len(path.name), path.name))
    assert [path.name for path in pages][:2] == ["pinned.csv", "pinned-page2.csv"]
    shown = [case for path in pages for case in pd.read_csv(path)["case"].drop_duplicates()]
    expected = [f"{r.model_a}:{r.latent_a} and {r.model_b}:{r.latent_b}" for r in rows.itertuples()]
    assert shown == expected
    markdown = (tmp_path / "report/report.md").read_text(encoding="utf-8")
    assert markdown.count("](figures/pinned") == len(pages)


def test_clusters_to_show_are_universal_cohesive_and_of_different_domains() -> None:
    rows = [
        (0, "universal", "token", 0.9), (1, "universal", "token", 0.8), (2, "universal", "token", 0.7),
        (3, "universal", "context", 0.6), (4, "universal", "context", 0.95), (5, "shared", "context", 0.99),
    ]  # fmt: skip
    clusters = pd.DataFrame(rows, columns=["cluster", "class", "level", "cohesion"])
    domains = ["x", "x", "y", "x", "z", "x"]
    features = pd.DataFrame({"cluster": range(6), "top_domain": domains, "best_r": 0.5})
    assert clusters_to_show(clusters, features, 4)["cluster"].tolist() == [4, 3, 0, 2]
    assert clusters_to_show(clusters, features, 3)["cluster"].tolist() == [4, 3, 0]
    assert clusters_to_show(clusters[clusters["class"] == "shared"], features).empty


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"run": "another"}, "must be 'synthetic'; got 'another'"),
        ({"pairs": [{"comparison_id": "main", "model_a": "m0", "latent_a": 0, "model_b": "m1", "latent_b": 9999}]},
         "must be among its pairs; got m0:0-m1:9999"),
    ],
)  # fmt: skip
def test_pins_of_something_else_are_refused(run: Run, changed: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=re.escape(words)):
        pinned_rows(Pins.model_validate(_pins(run) | changed), run.name, run.table("pairs"))


@pytest.mark.parametrize("text", ["{", "[]", '{"kind": "other"}', "\x00"])
def test_a_file_without_pins_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "pinned.json"
    with pytest.raises(InputError, match="must be a list of pinned pairs; got nothing"):
        read_pins(path)
    path.write_text(text)
    with pytest.raises(InputError, match=r"pinned\.json must be a list of pinned pairs; got ."):
        read_pins(path)


def test_formats_are_read_with_care() -> None:
    assert outputs.chosen_formats("PNG, pdf,png") == ("png", "pdf")
    assert outputs.chosen_formats(",".join(FORMATS)) == FORMATS
    for wrong in ("", "jpg", "pdf;png"):
        with pytest.raises(InputError, match="--format of report must be some of pdf, svg, png"):
            outputs.chosen_formats(wrong)


def test_a_damaged_run_gives_what_is_whole_and_exit_3(tmp_path: Path) -> None:
    run = write_synthetic_run(str(tmp_path / "store"), **SMALL)
    damaged = next((tmp_path / "store").rglob("candidates.parquet")).parent / "pairs.parquet"
    data = bytearray(damaged.read_bytes())
    data[len(data) // 2] ^= 1
    damaged.write_bytes(bytes(data))
    with pytest.raises(typer.Exit) as stopped:
        outputs.report(tmp_path / "out", run.name, str(tmp_path / "store"), formats="svg")
    assert stopped.value.exit_code == 3
    readme = (tmp_path / "out" / "README.md").read_text(encoding="utf-8")
    assert "table `pairs`, which is damaged" in readme
    assert "`figures/classes` (needs pairs)" in readme
    assert (tmp_path / "out/figures/correlation.svg").exists()
    assert not (tmp_path / "out/tables/pairs.parquet").exists()
