"""The tiny recipe, computed step by step through the store, gives the tables that compare() gives in memory."""

import json
import re
import shutil
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import torch
from latex import compiled, identifiers_in, needs_latex
from matplotlib.figure import Figure
from matplotlib.text import Text
from program import universality
from stored_types import assert_files_hold_the_declared_types
from tiny_run import in_a_process, tiny_store, tiny_store_of_workers

from pipelines.recipe import load_recipe
from pipelines.report import exhibit_writer, figure_exhibits
from pipelines.report.record_check import refuse_other_settings
from pipelines.report.report_writer import ReportOptions, write_report
from pipelines.steps.dictionary_steps import open_sae
from results.effect_lists import loss_without
from results.schema import TABLES
from results.stored_comparison import StoredComparison
from storage import open_run
from universality.compare import compare
from universality.errors import InputError
from universality.sae import SparseAutoencoder
from universality.sae.activations import TopK
from universality.sae.formats import save_sae

HOOK = "blocks.0.mlp.hook_post"


@pytest.fixture(scope="module")
def store():
    return tiny_store()


@pytest.fixture
def copied(store, tmp_path):
    """The store in a folder of its own, for other runs than the one that all read."""
    return shutil.copytree(store, tmp_path / "store")


@pytest.fixture(scope="module")
def run(store):
    return open_run("tiny", store=str(store))


#: Tables of runs with sweeps, with models that run again, and with models that see different text.
NOT_TINY = {"sweeps", "attribution", "latent_attribution", "unseen_domains"}
NOT_TINY |= {"study", "study_cells", "study_means", "study_contrasts", "study_domains", "study_partners"}
NOT_TINY |= {"study_layers"}
NOT_TINY |= {"model_vocabulary", "coverage", "same_index"}
NOT_TINY |= {"split_tree", "splits_by_size", "split_agreement"}


@pytest.mark.parametrize("name", sorted(set(TABLES) - NOT_TINY))
def test_files_hold_the_types_that_the_schema_declares(run, name):
    assert_files_hold_the_declared_types(run, name)


def test_a_report_holds_every_setting_against_what_made_the_artifacts(run):
    recipe = load_recipe("tiny")
    refuse_other_settings(run, recipe)
    for setting in (
        "compare.tau=0.7", "compare.alpha=0.01", "root_seed=3", "models.training.tokens=70000", "comparisons.0.sae.k=4",
        "models.model_seeds=[0, 5]", "comparisons.0.hook_point=blocks.0.hook_resid_post", "split.fit_tokens=7000",
        "corpus.max_document_bytes=600", "tokenizer.vocab_size=600", "n_ctx=48", "evidence.n_top=11",
    ):  # fmt: skip
        with pytest.raises(InputError, match="made with"):
            refuse_other_settings(run, load_recipe("tiny", [setting]))
    assert run.artifact("sae/main/m0").manifest["facts"]["made_with"]["torch"] == torch.__version__


def test_tables_equal_compare(run):
    recipe = load_recipe("tiny")
    tokens = run.artifact("tokens")

    def acts(name):
        return run.artifact(f"latents/main/{name}").csr("acts")

    def raw(name):
        return np.asarray(run.artifact(f"activations/{name}/eval").array(HOOK))

    def logits(name):
        return run.artifact(f"activations/{name}/eval").array(f"logit_map.{HOOK}")

    def weights(name):
        tensors = run.artifact(f"sae/main/{name}").tensors("sae")
        return tensors["W_dec"], tensors["W_enc"].T

    names = np.array(tokens.json("domains"), dtype=object)
    expected = compare(
        {name: acts(name) for name in ("m0", "m1")},
        documents=tokens.array("row_document"),
        sources=tokens.array("row_source"),
        domains=names[tokens.array("row_domain")],
        tokens=tokens.array("row_token"),
        positions=tokens.array("row_position"),
        fit=tokens.array("row_fit"),
        raw={name: raw(name) for name in ("m0", "m1")},
        replicates={f"{name}r": acts(f"{name}r") for name in ("m0", "m1", "u0", "u1")},
        untrained={name: acts(name) for name in ("u0", "u1")},
        untrained_raw={name: raw(name) for name in ("u0", "u1")},
        weights={name: weights(name) for name in ("m0", "m1", "m0r", "m1r", "u0", "u1", "u0r", "u1r")},
        logits={name: logits(name) for name in ("m0", "m1")},
        next_tokens=tokens.array("row_next_token"),
        n_ctx=recipe.n_ctx - 1,
        root_seed=recipe.root_seed,
        config=recipe.compare,
    ).to_tables()
    assert len(expected) >= 12
    assert expected["pairs"][["cos_procrustes", "r_logits", "r_attribution"]].notna().all().all()
    for name, table in expected.items():
        stored = run.table(name).drop(columns="comparison_id")
        if name == "candidates":  # the run keeps those of replicates and untrained models too
            stored = stored[stored["model_a"].isin(["m0", "m1"]) & stored["model_b"].isin(["m0", "m1"])]
        pd.testing.assert_frame_equal(
            stored.reset_index(drop=True),
            table.reset_index(drop=True),
            check_dtype=False,
            check_exact=True,
            obj=name,
        )


def test_evidence_is_of_this_run(run):
    contexts = run.table("contexts")
    tokens = run.artifact("tokens")
    for model in ("m0", "m1"):
        acts = run.artifact(f"latents/main/{model}").csr("acts")
        mine = contexts[(contexts["model"] == model) & (contexts["kind"] == "top")]
        assert len(mine) > 100
        found = np.asarray(acts[mine["row"].to_numpy(), mine["latent"].to_numpy()]).ravel()
        np.testing.assert_array_equal(found, mine["value"].to_numpy(dtype=np.float32))
        first = mine[mine["rank"] == mine["rank"].min()]
        peak = acts.max(axis=0).toarray().ravel()
        np.testing.assert_array_equal(peak[first["latent"]], first["value"].to_numpy(dtype=np.float32))
    assert int(contexts["row"].max()) < len(tokens.array("row_token"))
    vocabulary = run.table("vocabulary")
    assert set(run.table("logits")["token"]) <= set(vocabulary["token"])


def test_models_table_says_how_good_each_dictionary_is(run):
    models = run.table("models").set_index("model")
    assert list(models.index) == ["m0", "m1", "m0r", "m1r", "u0r", "u1r", "u0", "u1"]
    assert models["role"].tolist() == ["primary"] * 2 + ["replicate"] * 4 + ["untrained"] * 2
    trained = models.loc[["m0", "m1"]]
    assert (trained["ce_clean"] <= trained["ce_spliced"]).all()
    assert (trained["ce_spliced"] < trained["ce_zero"]).all()
    assert (trained["kl_spliced"] < trained["kl_zero"]).all()
    assert trained["kl_recovered"].between(0, 1).all()
    dense = run.table("features").query("flags.str.contains('dense')").groupby("model").size()
    assert models["n_dense"].reindex(dense.index).tolist() == dense.tolist()
    assert models.loc[["m0", "m1"], "n_dense"].sum() == dense.sum()
    assert trained["fvu"].between(0, 1).all()
    assert (models["l0"] <= models["k"]).all()
    assert (trained["heldout_loss"] < models.loc[["u0", "u1"], "heldout_loss"].min()).all()
    assert models["sae_seed"].is_unique
    assert set(models["architecture"]) == {"topk"}
    assert set(models["sparsity"]) == {"k 8"}
    norms = np.linalg.norm(run.artifact("sae/main/m1").tensors("sae")["W_dec"].astype(float), axis=1)
    assert models.loc["m1", "decoder_norm_min"] == norms.min()
    assert models.loc["m1", "decoder_norm_max"] == norms.max()
    assert norms == pytest.approx(1, abs=1e-5)


def test_dictionary_domains_say_where_a_dictionary_explains_little(run):
    found = run.table("dictionary_domains")
    tokens = run.artifact("tokens")
    score = ~tokens.array("row_fit")
    names = tokens.json("domains")
    raw = np.asarray(run.artifact("activations/m0/eval").array(HOOK))
    sae = open_sae(run.artifact("sae/main/m0"))
    for domain in names[:3]:
        here = score & (np.asarray(tokens.array("row_domain")) == names.index(domain))
        x = raw[here].astype(np.float64)
        error = x - sae.decode(sae.encode_sparse(raw[here]))
        row = found[(found["model"] == "m0") & (found["domain"] == domain)].iloc[0]
        assert row["n_rows"] == here.sum()
        assert row["fvu"] == pytest.approx((error**2).sum() / ((x - x.mean(0)) ** 2).sum(), rel=1e-5)


def test_a_second_run_computes_nothing(copied):
    again = universality("run", "tiny", "--store", str(copied), "--name", "tiny")
    assert again.exit_code == 0, again.stderr
    assert "0 steps" in again.stderr or "nothing" in again.stderr.lower()


@pytest.mark.slow
def test_dask_gives_the_same_bytes(store):
    """Two workers, another store: every artifact has the digests of the serial run."""

    def digests(url):
        nodes = open_run("tiny", store=str(url))
        return {
            node: {path: file["digest"] for path, file in nodes.artifact(node).manifest["files"].items()}
            for node in nodes.nodes()
        }

    serial, dask = digests(store), digests(tiny_store_of_workers())
    assert len(serial) == 84
    assert serial == dask


def test_machine_readable_views(store):
    listed = json.loads(universality("ls", "--store", str(store), "--json").stdout)
    assert [set(entry) >= {"name", "status", "recipe", "created"} for entry in listed] == [True]
    shown = json.loads(universality("show", "tiny", "--store", str(store), "--json").stdout)
    assert shown["status"] == "done"
    quantities = {"features", "neurons", "null_p95", "ceiling", "untrained", "token_conditional"}
    assert quantities <= set(shown["headline"])
    assert {"overall", "m0-m1"} <= set(shown["headline"]["features"])
    assert {"status", "class", "level"} <= set(shown["counts"])
    assert sum(shown["counts"]["status"].values()) == 2 * 128


def test_report_of_a_real_run(store, tmp_path):
    out = tmp_path / "report"
    options = ("--format", "pdf", "--columns", "1")
    done = universality("report", "tiny", "--store", str(store), "--out", str(out), *options)
    assert done.exit_code == 0, done.stderr
    names = {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()}
    assert len(done.stdout.splitlines()) == 1
    assert f"{len(names)} files in {out}" in done.stdout
    assert {"results.json", "manifest.json", "README.md", "tables/headline.tex"} <= names
    assert sum(name.endswith(".pdf") for name in names) >= 2
    assert not any(name.endswith((".svg", ".png")) for name in names)
    pairs = pd.read_parquet(next(path for path in out.rglob("pairs.parquet")))
    pd.testing.assert_frame_equal(pairs, open_run("tiny", store=str(store)).table("pairs"), check_dtype=False)


@needs_latex
def test_the_paper_of_a_real_run_compiles(store, tmp_path):
    out = tmp_path / "report"
    done = universality("report", "tiny", "--store", str(store), "--out", str(out), "--format", "pdf")
    assert done.exit_code == 0, done.stderr
    compiled(out)
    assert "token in a domain" in (out / "methods.tex").read_text()
    assert identifiers_in(out) == []


def test_figures_call_things_by_their_names(store, tmp_path, monkeypatch):
    """The texts of figures hold no identifier; what is drawn of the corpus is left aside."""
    texts = []

    def collected(figure, form):
        texts.extend(text.get_text() for text in figure.findobj(Text))
        return b"<svg></svg>"

    monkeypatch.setattr(exhibit_writer, "to_file", collected)
    monkeypatch.setattr(figure_exhibits, "cases_figure", lambda *_, **__: Figure())
    write_report(open_run("tiny", store=str(store)), tmp_path / "report", ReportOptions(("svg",)))
    assert "token\nin a\ndomain" in texts
    assert [text for text in texts if re.search(r"\w_\w", text)] == []


@pytest.mark.slow
def test_killed_at_any_moment_the_next_run_completes(store, tmp_path):
    """SIGKILL at three moments, the last two inside training; then the same bytes as an undisturbed run."""
    command = [
        sys.executable,
        "-m",
        "pipelines.cli.main",
        "run",
        "tiny",
        "--store",
        str(tmp_path),
        "--name",
        "tiny",
    ]
    command += ["--serial", "--quiet"]
    reached = []
    for seconds in (4.0, 7.0, 5.0):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        # What a kill leaves behind is whole: no artifact without its manifest, no byte that differs from it.
        verified = universality("verify", "--store", str(tmp_path))
        assert verified.exit_code == 0, verified.stdout + verified.stderr
        reached.append(len(list(tmp_path.rglob("manifest.json"))))
    assert reached == sorted(reached), "finished steps stay finished"
    done = in_a_process("run", "tiny", "--store", str(tmp_path), "--name", "tiny", "--serial")
    assert done.returncode == 0, done.stderr
    whole, resumed = (open_run("tiny", store=str(url)) for url in (store, tmp_path))
    for node in whole.nodes():
        files = [run.artifact(node).manifest["files"] for run in (whole, resumed)]
        assert files[0] == files[1], node


@pytest.mark.slow
def test_dictionaries_from_elsewhere_give_the_same_comparison(run, copied, tmp_path):
    for name in ("m0", "m0r", "u1"):
        artifact = run.artifact(f"sae/main/{name}")
        sae = SparseAutoencoder.from_tensors(artifact.json("sae_config"), artifact.tensors("sae"))
        save_sae(sae, tmp_path / name)
    saes = ", ".join(f"{{model: {name}, path: {tmp_path / name}}}" for name in ("m0", "m0r", "u1"))
    command = ["run", "tiny", "--store", str(copied), "--serial", "--name", "mixed"]
    done = in_a_process(*command, "--set", f"comparisons.0.saes=[{saes}]")
    assert done.returncode == 0, done.stderr
    mixed = open_run("mixed", store=str(copied))
    for name in ("features", "pairs", "verdicts", "headline", "domains"):
        pd.testing.assert_frame_equal(mixed.table(name), run.table(name), check_exact=True, obj=name)
    models = mixed.table("models").set_index("model")
    assert models.loc["m0", "sae_source"] == str(tmp_path / "m0")
    assert models.loc["m1", "sae_source"] == "trained"
    assert models.loc[["m0", "m0r", "u1"], ["sae_seed", "sae_tokens", "max_init_cosine"]].isna().all().all()
    # The folder changes under the run: refused, and nothing of the run is lost.
    refused = in_a_process(*command, "--set", "comparisons.0.saes=[{model: m0, path: nowhere}]")
    assert refused.returncode == 2
    assert "a folder that holds one dictionary" in refused.stderr


@pytest.mark.slow
def test_a_dictionary_of_another_width_is_refused(copied, tmp_path):
    wide = SparseAutoencoder(
        W_enc=torch.ones(65, 4),
        b_enc=torch.zeros(4),
        W_dec=torch.ones(4, 65),
        b_dec=torch.zeros(65),
        activation=TopK(2),
    )
    save_sae(wide, tmp_path / "wide")
    override = f"comparisons.0.saes=[{{model: m1, path: {tmp_path / 'wide'}}}]"
    done = in_a_process("run", "tiny", "--store", str(copied), "--serial", "--name", "wide", "--set", override)
    assert done.returncode == 2, "before anything is computed"
    assert "65 and 65" in done.stderr
    assert "the width of blocks.0.mlp.hook_post" in done.stderr


def test_the_loss_without_a_latent_stands_on_rows_where_it_fires(run):
    stored = StoredComparison(run, "main")
    acts, made = stored.acts("m0"), run.artifact("fingerprints/main/m0")
    latent = int(np.diff(acts.indptr).argmax())
    rises = loss_without(stored, "m0", latent)
    assert len(rises.rows) > 10
    assert stored.score_rows[rises.rows].all()
    assert (stored.firing("m0", latent).at(rises.rows) > 0).all()
    column = made.csc("loss")[:, [latent]].toarray().ravel()
    np.testing.assert_allclose(rises.values, column[column > 0])
