"""What a notebook gets of a run."""

from __future__ import annotations

import pickle
import subprocess
import sys
from html.parser import HTMLParser

import pandas as pd
import pytest
from synthetic_run import compute_synthetic_run, write_synthetic_run

import results
from results.conclusions import TABLES as CONCLUDED
from results.conclusions import conclusions
from results.notebook import context_html
from results.schema import TABLES
from results.token_text import pieces_of
from storage import RunMissing, open_store
from universality.errors import InputError

SIZES = {"n_models": 2, "n_latents": 60, "n_documents": 30, "n_ctx": 32, "comparisons": ("main", "late")}


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    url = str(tmp_path_factory.mktemp("store"))
    write_synthetic_run(url, "it", **SIZES)
    return url


@pytest.fixture(scope="module")
def run(url):
    return results.load("it", store=url)


def test_what_a_run_gives_prints_in_a_few_lines(run):
    for given in (run, run.text, run.firing("m0", 3)):
        assert len(repr(given).splitlines()) <= 6, type(given)
        assert max(map(len, repr(given).splitlines())) <= 200


def test_every_table_is_an_attribute(run):
    for name in ("pairs", "features", "clusters", "verdicts", "headline", "candidates"):
        pd.testing.assert_frame_equal(getattr(run, name), run.table(name))
    assert {"pairs", "contexts", "table", "graph"} <= set(dir(run))
    with pytest.raises(AttributeError, match="try 'pairs'"):
        _ = run.pair
    assert not hasattr(run, "_repr_latex_")


def test_the_first_comparison_is_loaded_unless_another_is_named(url, run):
    assert (run.comparison, results.load(store=url, comparison="late").comparison) == ("main", "late")
    with pytest.raises(InputError, match="main, late"):
        results.load("it", "mian", url)
    with pytest.raises(RunMissing):
        results.load("that", store=url)


def test_contexts_come_with_their_text(run):
    latent = int(run.table("contexts")["latent"].iloc[0])
    contexts = run.contexts("m0", latent)
    assert len(contexts) == len(run.of_latent("contexts", "m0", latent)) > 0
    row = contexts.iloc[0]
    window = run.text.window(int(row["row"]))
    assert row["before"] + row["token"] + row["after"] == "".join(window.tokens)
    assert row["token"] == window.tokens[window.peak]


def test_a_loaded_run_says_what_it_is_and_what_to_do_next(run):
    pairs = run.pairs
    for said in (repr(run), Text.of(run._repr_html_())):
        assert "it" in said
        assert "main" in said
        assert f"2 models, {len(pairs)} pairs of which {100 * pairs['edge'].mean():.0f} %" in said
        assert '.contexts("m0", 0)' in said
    assert conclusions({name: table for name in CONCLUDED if (table := run.optional(name)) is not None})[0] in said
    assert set(run.tables()["table"]) == set(run.run.tables())
    assert f".pairs{TABLES['pairs'].meaning}" in said


def test_an_unfinished_run_says_so(tmp_path):
    store = open_store(str(tmp_path))
    store.create_run("begun", recipe_name="it", nodes={}, recipe={}, environment={})
    begun = results.load("begun", store=store)
    assert "no results yet" in repr(begun)
    assert "no results yet" in begun._repr_html_()


class Text(HTMLParser):
    """The text of a piece of HTML, its tags, and what spans say when they are pointed at."""

    def __init__(self):
        super().__init__()
        self.texts, self.tags, self.titles, self.spans = [], set(), [], []

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        assert {name for name, _ in attrs} <= {"style", "title", "dir"}
        if tag == "span":
            self.titles.append(dict(attrs)["title"])
            self.spans.append(attrs)

    def handle_data(self, data):
        self.texts.append(data)

    @classmethod
    def of(cls, html):
        return "".join(cls.read(html).texts)

    @classmethod
    def read(cls, html):
        parser = cls()
        parser.feed(html)
        parser.close()
        return parser


def test_a_notebook_draws_contexts_with_the_activation_on_every_token(run):
    table = run.table("contexts").query("model == 'm0'")
    seen = ""
    for latent in table["latent"].unique():
        contexts = run.contexts("m0", latent)
        drawn = Text.read(contexts._repr_html_())
        windows = [run.text.window(int(row)) for row in contexts["row"]]
        seen += "".join(drawn.texts)
        assert drawn.tags - {"bdi"} == {"div", "b", "span"}
        titles = []
        for window in windows:
            values = run.firing("m0", latent).at(window.rows)
            shown = [token if len(token) <= 40 else f"{token[:40]}…" for token in window.tokens]
            said = [f"m0:{latent} {value:.4g} · {token}" for token, value in zip(shown, values, strict=True)]
            titles += ["\n".join(said[i] for i in piece.tokens) for piece in pieces_of(window.tokens)]
        assert drawn.titles == titles
    for hostile in ("<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "&amp;", "⟨RLO⟩evil"):
        assert hostile in seen


def test_labels_are_literal_too(run):
    label = "token <script>alert(1)</script>"
    said = {"name": "m0:1", "label": label, "rate": 0.1, "maximum": 1.0, "windows": {}}
    drawn = Text.read(context_html(run.contexts("m0", 0).head(0), said))
    assert label in "".join(drawn.texts)
    assert drawn.tags == {"div", "b", "bdi"}


def test_a_part_of_contexts_is_drawn_too(run):
    latent = int(run.table("labels").query("model == 'm0' and explained")["latent"].iloc[0])
    contexts = run.contexts("m0", latent)
    top = contexts[contexts["kind"] == "top"].head(2)
    html = top._repr_html_()
    assert html.count("outline:1px") == 2
    label = run.table("labels").query(f"model == 'm0' and latent == {latent}")["label"].iloc[0]
    assert label in Text.of(html)
    assert pickle.loads(pickle.dumps(top))._repr_html_() == html
    assert "<table" in contexts[["value"]]._repr_html_()  # of what has no places, as pandas draws it
    assert "<table" in pd.concat([contexts, run.contexts("m0", latent + 1)])._repr_html_()
    many = pd.concat([contexts] * 20)
    assert f"{len(many) - 60} more are not drawn" in many._repr_html_()


@pytest.mark.parametrize("scheme", ["memory", "file"])
def test_a_run_of_a_remote_store_is_the_same(run, scheme, tmp_path, monkeypatch):
    monkeypatch.setenv("UNIVERSALITY_CACHE", str(tmp_path / "cache"))
    remote = f"{scheme}://{tmp_path}/store"
    compute_synthetic_run(remote, "it", **SIZES)
    again = results.load("it", store=remote)
    pd.testing.assert_frame_equal(again.pairs, run.pairs)
    latent = int(run.table("contexts")["latent"].iloc[0])
    assert again.contexts("m0", latent)._repr_html_() == run.contexts("m0", latent)._repr_html_()
    assert repr(again) == repr(run)


def test_columns_are_documented_and_the_graph_is_one(run):
    assert set(run.pairs.columns) <= set(run.describe("pairs")["column"])
    assert set(run.describe("features")["column"]) == set(TABLES["features"].names)
    assert run.graph().number_of_nodes() == (run.features["status"] == "alive").sum()


def test_the_room_is_opened_without_anything_heavy():
    code = "import sys, results; results.load; assert not {'pandas', 'numpy', 'torch', 'pyarrow'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
