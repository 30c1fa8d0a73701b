"""The text of a report: one template in two forms, every number a macro, every macro the store's number."""

from __future__ import annotations

import copy
import json
import re
import shutil
from importlib import resources
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from jinja2 import UndefinedError
from latex import compiled, identifiers_in, needs_latex
from synthetic_run import write_synthetic_run

from pipelines.recipe import load_recipe, shipped_recipes
from pipelines.report.prose.citations import WORKS, _unbraced, bibliography, listed
from pipelines.report.prose.macros import Macros, count, letters, real, setting, span, words
from pipelines.report.prose.template import Section, cited, folded, markdown_text, sections, tex_text
from pipelines.report.report_writer import ReportOptions, ReportResult, write_report
from pipelines.steps.sweep_steps import MEASURED
from storage import Run, open_store
from universality.matching.match import METHODS
from universality.sae.architectures import ARCHITECTURES

#: A report without pictures, which take long to draw.
TEXT = ReportOptions(formats=())

SMALL: dict[str, Any] = {"n_latents": 60, "n_documents": 96}


def _macros(folder: Path) -> dict[str, str]:
    """Names and values of macros.tex, thousands separators taken out."""
    lines = (folder / "macros.tex").read_bytes().decode("ascii").splitlines()
    found = [re.fullmatch(r"\\newcommand\{\\uf([A-Za-z]+)\}\{(.*)\}", line) for line in lines if line[0] != "%"]
    assert all(found)
    pairs = [(m[1], m[2].replace("{,}", "").replace(r"\ensuremath{-}", "-")) for m in found if m]
    assert len(dict(pairs)) == len(pairs)
    return dict(pairs)


def _raw(run: Run, node: str, table: str) -> pd.DataFrame:
    """A table as the step wrote it, read with pandas alone."""
    artifact = run.store.get(run.record["nodes"][node]["key"])
    return pd.read_parquet(artifact.table_file(table))


def test_numbers_are_those_of_the_raw_artifacts(run: Run, report: Path) -> None:
    macros = _macros(report)
    raw = {
        name: _raw(run, "comparison/main", name)
        for name in ("features", "pairs", "headline", "models", "clusters", "verdicts", "indices", "k_of_m", "spaces")
    }
    documents = _raw(run, "tokens", "documents")
    fit = np.asarray(run.store.get(run.record["nodes"]["tokens"]["key"]).array("row_fit"))
    features, pairs = raw["features"], raw["pairs"]
    alive, primary = features[features["status"] == "alive"], raw["models"].query("role == 'primary'")
    headline, spaces = raw["headline"].set_index(["quantity", "pair"]), raw["spaces"].set_index(["space", "measure"])
    kept = pairs[(pairs["q"] < 0.05) & (pairs["r_held_out"] >= 0.5)]
    effects = run.table("effect_agreement").query("pair == 'overall' and level == 'edges'").set_index("kind")
    doses, transfer = (run.table(f"steering_{name}") for name in ("doses", "transfer"))
    two = dict(list(doses[doses["strength"] == 2].groupby("kind")))
    expected = {
        "NumUniversal": str((alive["class"] == "universal").sum()),
        "NumShared": str((alive["class"] == "shared").sum()),
        "NumSpecificUntested": str(((alive["class"] == "specific") & (alive["level"] == "untested")).sum()),
        "PercentUniversal": f"{100 * (alive['class'] == 'universal').mean():.1f}",
        "NumAlive": str(len(alive)),
        "NumRare": str((features["status"] == "rare").sum()),
        "NumPairs": str(len(pairs)),
        "NumPairsBeyondChance": str((pairs["q"] < 0.05).sum()),
        "NumPairsKept": str(len(kept)),
        "NumPairsKeptToken": str((kept["level"] == "token").sum()),
        "RFeatures": f"{pairs['r_held_out'].median():.2f}",
        "RFeaturesMZeroMOne": f"{headline.loc[('features', 'm0-m1'), 'value']:.2f}",
        "RCeilingLow": f"{headline.loc[('ceiling', 'overall'), 'low']:.2f}",
        "NChance": str(headline.loc[("null_p95", "overall"), "n"]),
        "NumClusters": str((raw["clusters"]["n_models"] > 1).sum()),
        "NumVerdictSplit": str((raw["verdicts"]["verdict"] == "split").sum()),
        "NumFeaturesLacked": str(raw["verdicts"].groupby(["model", "latent"]).ngroups),
        "NumPartneredWholes": str(((alive["class"] != "specific") & (alive["group"] == "rearranged")).sum()),
        "PercentModelsThree": f"{100 * raw['k_of_m'].set_index('k')['fraction'].to_numpy()[2]:.1f}",
        "Fvu": rf"\mbox{{{primary['fvu'].min():.3f}--{primary['fvu'].max():.3f}}}",
        "NumDocuments": str(len(documents)),
        "NumTokensScore": str(documents.loc[documents["part"] == "score", "n_tokens"].sum()),
        "NumFitRows": str(fit.sum()),
        "NumScoreRows": str((~fit).sum()),
        "VocabSize": str(len(_raw(run, "tokenizer", "vocabulary"))),
        "MeanFeaturesJointAboveHaar": f"{spaces.loc[('features', 'r_joint'), 'above_haar']:.2f}",
        "REffectMatched": f"{effects.loc['matched', 'r_effect']:.2f}",
        "PercentSameEffectCeiling": f"{100 * effects['same_effect'].to_dict()['ceiling']:.1f}",
        "NumSteered": str(run.table("steering_clusters")["left_out"].isna().sum()),
        "SteeringStrength": "2",
        "PercentSteeringSteered": f"{100 * np.mean(two['own'].groupby('cluster')['share'].mean()):.1f}",
        "PercentSteeringRandom": f"{100 * np.mean(two['random'].groupby('cluster')['share'].max()):.1f}",
        "TransferPartner": f"{transfer[transfer['arm'] == 'partner'].groupby('cluster')['cosine'].mean().mean():.2f}",
        "MeanPcaHaar": f"{spaces.loc[('pca', 'r_held_out'), 'haar']:.2f}",
        "NIcaCandidates": str(spaces.loc[("ica", "r_held_out"), "n"]),
        "NumShifts": "20",
        "NumModels": "3",
    }
    assert {name: macros[name] for name in expected} == expected
    assert headline.loc[("features", "overall"), "value"] == pairs["r_held_out"].median()


def test_the_paper_begins_with_what_was_found(run: Run, report: Path) -> None:
    sentences = json.loads((report / "results.json").read_text())["conclusions"]["main"]
    assert len(sentences) > 3
    text = (report / "conclusions.tex").read_bytes().decode("ascii")
    names = re.findall(r"\\item \\uf([A-Za-z]+)\{\}", text)
    said = {name: value.replace("~", " ").replace("\\%", "%") for name, value in _macros(report).items()}
    assert [_letters(said[name]) for name in names] == [_letters(sentence) for sentence in sentences]
    paper = (report / "paper.tex").read_text()
    assert paper.index(r"\input{conclusions}") < paper.index(r"\input{methods}")
    for page in ("README.md", "report.md"):
        headings = re.findall("^## (.+)$", (report / page).read_text(), flags=re.M)
        assert headings[0] == "In short"


def test_no_number_is_typed_into_the_latex_text(report: Path) -> None:
    text = (report / "methods.tex").read_bytes().decode("ascii")
    bare = re.sub(r"\\cite\{[^}]*\}", "", "\n".join(x for x in text.splitlines() if x[:1] != "%"))
    assert re.findall(r"\d+", bare) == []
    used = set(re.findall(r"\\uf([A-Za-z]+)\{\}", text))
    assert len(used) > 80
    assert used <= set(_macros(report))


def test_both_forms_say_the_same(report: Path) -> None:
    """Macros filled in and marks taken off, LaTeX and Markdown are the same words."""
    tex = (report / "methods.tex").read_text().split("\\subsection", 1)[1]
    for name, value in _macros(report).items():
        tex = tex.replace(rf"\uf{name}{{}}", value)
    tex = re.sub(r"~?\\cite\{[^}]*\}", "", tex)
    markdown = (report / "methods.md").read_text().split("## ", 1)[1].split("## References")[0]
    for work in sorted((w.label for w in WORKS.values()), key=len, reverse=True):
        markdown = markdown.replace(work, "")
    assert len(markdown) > 5000
    assert _letters(tex) == _letters(markdown)


def _letters(text: str) -> str:
    """Letters and digits alone, without LaTeX commands."""
    text = text.replace(r"\times 10^{", "e")
    plain = re.sub(r"\\(subsection|item|emph|texttt|mbox|ensuremath|begin|end|allowbreak)\b", "", text)
    plain = plain.replace("{itemize}", "").replace("−", "-")
    return re.sub(r"[^A-Za-z0-9]", "", plain)


def test_the_references_are_those_cited(report: Path) -> None:
    text = (report / "methods.tex").read_text()
    keys = {key for group in re.findall(r"\\cite\{([^}]*)\}", text) for key in group.split(",")}
    entries = (report / "references.bib").read_bytes().decode("ascii")
    assert set(re.findall(r"^@\w+\{(\w+),", entries, flags=re.M)) == keys
    assert {"gao2024", "benjamini1995", "bricken2023"} <= keys
    assert "bussmann2024" not in keys  # an architecture that this run has none of


def test_every_work_is_complete() -> None:
    for key, work in WORKS.items():
        assert {"author", "title", "year"} <= set(work.fields), key
        assert work.label.split(",")[0].split()[0] in _unbraced(work.fields["author"]), key
        assert work.fields["year"] in work.label, key
    assert bibliography(WORKS).isascii()
    assert "Gonçalo Paulo and Nora Belrose" in "\n".join(listed(WORKS))


def test_limitations_come_with_their_numbers(run: Run, report: Path) -> None:
    found = json.loads((report / "results.json").read_text())["limitations"]
    by_id = {limit["id"]: limit for limit in found}
    assert by_id["few_models"]["value"] == 3
    assert by_id["few_models"]["threshold"] == 5
    assert by_id["few_models"]["text"].startswith("Only 3 models were compared")
    assert by_id["warnings"]["value"] == 1
    models = run.table("models").query("role == 'primary'")
    recovered = models["ce_recovered"].min()
    assert (recovered < 0.9) == ("poor_ce_recovered" in by_id)
    assert by_id["poor_ce_recovered"]["value"] == recovered
    assert "no_floor" not in by_id
    markdown = (report / "methods.md").read_text()
    assert all(f"- {limit['text']}" in markdown for limit in found)


def test_controls_that_were_left_out_are_limitations(tmp_path: Path) -> None:
    run = write_synthetic_run(str(tmp_path / "store"), n_models=2, n_untrained=0, replicates=False, **SMALL)
    write_report(run, tmp_path / "report", TEXT)
    found = {x["id"] for x in json.loads((tmp_path / "report" / "results.json").read_text())["limitations"]}
    assert {"no_floor", "no_ceiling"} <= found
    text = (tmp_path / "report" / "methods.md").read_text()
    assert "replicate, has another seed" not in text
    assert "otherwise *untested*" in text
    assert "Missing from this run" not in text


def test_several_comparisons_carry_their_names(two_comparisons: tuple[Run, Path, ReportResult]) -> None:
    run, folder, _ = two_comparisons
    macros = _macros(folder)
    features = run.table("features")
    for comparison, name in {"layer0": "LayerZero", "layer1": "LayerOne"}.items():
        mine = features[features["comparison_id"] == comparison]
        assert macros[f"NumAliveIn{name}"] == str((mine["status"] == "alive").sum())
    assert "NumAlive" not in macros
    text = (folder / "methods.tex").read_text()
    assert r"\subsection*{Findings (layer1)}" in text
    assert r"\ufNumAliveInLayerOne{}" in text.split("Findings (layer1)")[1]
    assert r"\ufNumAliveInLayerZero{}" not in text.split("Findings (layer1)")[1]


def test_unfinished_run_says_what_its_text_lacks(tmp_path: Path) -> None:
    run = write_synthetic_run(str(tmp_path / "store"), unfinished=("comparison/",), **SMALL)
    write_report(run, tmp_path / "report", TEXT)
    text = (tmp_path / "report" / "methods.md").read_text()
    assert text.startswith("# Methods and findings\n\n## Unfinished run\n")
    assert "- step `comparison/main` (planned)" in text
    assert "**[Missing from this run: NumLatentsCompared, NumAlive, NumRare, NumDead.]**" in text
    assert "It holds 96 documents" in text  # what is there is told
    assert r"\textbf{[Missing from this run: NumLatentsCompared" in (tmp_path / "report" / "methods.tex").read_text()
    assert "- [ ] " in (tmp_path / "report" / "checklist.md").read_text()


def test_checklist_answers_what_the_run_knows(report: Path) -> None:
    text = (report / "checklist.md").read_text()
    assert "- [x] **Are the seeds given?** Root seed 0;" in text
    assert "- [ ] **Ethics review and broader impact?** TODO (authors)" in text
    assert "- [ ] **Licences of data and pretrained models?** TODO (authors)" in text


def test_values_in_both_forms() -> None:
    assert count(1234567) == ("1{,}234{,}567", "1,234,567")
    assert real(-0.001) == ("0.00", "0.00")
    assert real(-0.251) == (r"\ensuremath{-}0.25", "−0.25")
    assert real(float("nan")) is None
    assert setting(6.25e-10) == (r"\ensuremath{6.25\times 10^{-10}}", "6.25e-10")
    assert setting(0.05) == ("0.05", "0.05")
    assert span([0.1, 0.1001], 2) == ("0.10", "0.10")
    assert span([0.1, 0.2], 1) == (r"\mbox{0.1--0.2}", "0.1–0.2")
    assert span([-0.1, 0.2], 1) == (r"\ensuremath{-}0.1 to 0.2", "−0.1 to 0.2")
    assert words("a_b [c](d) 日")[0] == r"a\_b [c](d) \textbackslash{}u\{65E5\}"  # type: ignore[index]
    assert words("a_b *c* [d]")[1] == r"a\_b \*c\* \[d\]"  # type: ignore[index]
    assert letters("m0-m10r") == "MZeroMOneZeroR"


def test_template_renders_every_mark() -> None:
    macros = Macros()
    macros.add("NumModels", count(1500), "models")
    macros.scoped("a-b")
    macros.add("Tau", setting(0.5), "tau")
    macros.scoped("a_b")
    macros.add("Tau", setting(0.6), "tau")
    macros.scoped(None)
    sentence = r"We *compare* {NumModels} models & more [@gao2024; @kuhn1955] at $\tau = {Tau}$."
    section = Section("A_b", [[sentence]], "a-b")
    assert tex_text([section], macros) == (
        "\\subsection*{A\\_b}\n\nWe \\emph{compare} \\ufNumModels{} models \\& more~\\cite{gao2024,kuhn1955} at "
        "$\\tau = \\ufTauInAB{}$.\n"
    )
    assert markdown_text([section], macros) == (
        "## A_b\n\nWe *compare* 1,500 models & more (Gao et al., 2024; Kuhn, 1955) at $\\tau = 0.5$.\n"
    )
    assert cited([section]) == ["gao2024", "kuhn1955"]
    assert macros.by_name["TauInABX"].value.text == "0.6"
    assert "**[Missing from this run: Tau.]**" in markdown_text([section._replace(comparison=None)], macros)


def test_a_template_is_strict_and_its_sentences_go_on_over_indented_lines() -> None:
    assert folded("One sentence\n  over two lines.\nAnother.") == "One sentence over two lines.\nAnother."
    sweep = SimpleNamespace(id="a_b", vary={}, points=())
    (section,) = sections("sweep", "x", sweep=sweep, kinds=["TopK"], cite="", any_frontier=False)
    assert (section.title, section.comparison, section.items) == ("Sweep a_b", "x", False)
    assert [len(paragraph) for paragraph in section.paragraphs] == [2]
    assert section.paragraphs[0][0].endswith("all see the same batches, and nothing varies.")
    with pytest.raises(UndefinedError, match="any_frontier"):
        sections("sweep", "x", sweep=sweep, kinds=["TopK"], cite="")


def test_every_number_that_a_template_names_is_made_somewhere(report: Path) -> None:
    """A slip in a name would else be told in every report as a number that the run lacks."""
    package = resources.files("pipelines.report")
    texts = [file.read_text("utf-8") for file in package.joinpath("templates").iterdir() if ".md." in file.name]
    code = "".join(file.read_text("utf-8") for file in package.joinpath("prose").iterdir() if file.is_file())
    named = {name for text in texts for name in re.findall(r"(?<!\{)\{([A-Z][A-Za-z]+)\}", text)}
    made = _macros(report)
    assert len(named) > 60
    assert [name for name in sorted(named) if name not in made and f'"{name}"' not in code] == []


@needs_latex
def test_the_whole_report_compiles_with_its_references(report: Path, tmp_path: Path) -> None:
    shutil.copytree(report, tmp_path / "report")
    folder = tmp_path / "report"
    log = compiled(folder)
    assert identifiers_in(folder) == []
    # Text of the corpus is drawn.
    clusters = (folder / "tables" / "clusters.tex").read_text()
    rows = re.findall(r"includegraphics\[page=(\d+)\]\{tables/clusters\.pdf\}", clusters)
    assert rows == [str(n) for n in range(1, len(rows) + 1)]
    assert len(rows) > 1
    assert "symbol" not in clusters
    # Every figure and every table stands on a page.
    floats = (folder / "floats.tex").read_text(encoding="ascii")
    for path in folder.glob("figures/*.pdf"):
        assert f"figures/{path.name}" in floats
        assert f"<use figures/{path.name}" in log or f"<figures/{path.name}" in log
    for path in folder.glob("tables/*.tex"):
        assert f"(./tables/{path.name}" in log.replace("\n", "")
    assert (folder / "paper.pdf").stat().st_size > 100_000


@pytest.mark.parametrize("name", sorted(shipped_recipes()))
def test_every_shipped_recipe_gives_a_text(name: str, tmp_path: Path) -> None:
    """Nothing has run yet: what the recipe says is told, and what it cannot know is marked."""
    recipe = load_recipe(name)
    nodes = {"comparison/main" if recipe.comparisons else "sweep/size": {"step": "x", "key": "0" * 32}}
    run = open_store(str(tmp_path / "store")).create_run(
        name, recipe_name=name, recipe=recipe.model_dump(mode="json"), nodes=nodes, environment={}
    )
    write_report(run, tmp_path / "report", TEXT)
    text = (tmp_path / "report" / "methods.md").read_text()
    assert f"Contexts hold {recipe.n_ctx:,} tokens" in text
    assert ("pretrained transformers: `" in text) == all(group.kind == "pretrained" for group in recipe.groups)
    assert "**[Missing from this run: VocabSize.]**" in text
    for sweep in recipe.sweeps:
        assert f"## Sweep {sweep.id}" in text
        assert f"were trained at {len(sweep.settings())} points with {sweep.n_seeds} SAE seeds" in text
    for study in recipe.studies:
        assert f"## Study {study.id}" in text
    assert json.loads((tmp_path / "report" / "results.json").read_text())["limitations"]


def test_every_architecture_has_a_name_and_a_work() -> None:
    assert all(kind.label for kind in ARCHITECTURES.values())
    assert {kind.citation for kind in ARCHITECTURES.values()} <= set(WORKS)


@pytest.mark.parametrize("method", METHODS)
def test_every_way_to_choose_partners_is_told(run: Run, method: str, tmp_path: Path) -> None:
    store = open_store(run.store.url)
    record = copy.deepcopy(run.record)
    record["recipe"]["compare"] |= {"method": method, "unmatched": 0.1}
    twin = store.create_run(
        f"by-{method}", recipe_name="x", recipe=record["recipe"], nodes=record["nodes"], environment={}
    )
    write_report(twin, tmp_path / "report", TEXT)
    text = (tmp_path / "report" / "methods.md").read_text()
    expected = {
        "assignment": "Kuhn, 1955",
        "sinkhorn": "Cuturi, 2013",
        "max": "one-sided",
        "mutual": "each other's",
    }
    assert [name for name, words in expected.items() if words in text] == [method]
    assert "Staying alone is worth 0.1 of correlation." in text


def test_a_sweep_is_told_with_its_numbers(tmp_path: Path) -> None:
    store = open_store(str(tmp_path / "store"))
    recipe = load_recipe("sweep-demo").model_dump(mode="json")
    recipe["sweeps"] = recipe["sweeps"][:1]
    table = pd.DataFrame(
        {
            "sweep": "size",
            "point": ["d_sae 512, k 8", "d_sae 512, k 16", "d_sae 512, k 32"],
            "architecture": "topk",
            "d_sae": 512,
            "sparsity": "k",
            "seed": 0,
            "status": ["ok", "ok", "diverged"],
            **{name: [0.25, 0.125, np.nan] for name in MEASURED},
            "seed_cosine": np.nan,
            "frontier": [False, True, False],
        }
    )
    key = "1" * 32
    with store.create(key, step="sweep", version=1, params={}, inputs={}) as out:
        out.table("sweeps", table)
        out.facts(wall_s=1.0)
    nodes = {"sweep/size": {"step": "sweep", "key": key}}
    run = store.create_run("s", recipe_name="s", recipe=recipe, nodes=nodes, environment={})
    write_report(run, tmp_path / "report", TEXT)
    macros = _macros(tmp_path / "report")
    assert macros["NumGoodInSweepSize"] == "2"
    assert macros["FvuInSweepSize"] == r"\mbox{0.125--0.250}"
    text = (tmp_path / "report" / "methods.md").read_text()
    assert "dictionaries (TopK) (Gao et al., 2024) were trained at 6 points with 2 SAE seeds each" in text
    assert "settings vary: `d_sae` (512 and 1024) and `k` (8, 16 and 32)." in text
    assert "unexplained variance: d\\_sae 512, k 16 (1 in all)." in text
