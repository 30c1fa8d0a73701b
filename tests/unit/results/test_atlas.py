"""The atlas as data: complete, each feature in one file, scripts of base64 alone, a folder whole or not at all."""

from __future__ import annotations

import base64
import json
import re
import zlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from run_variants import OlderComparison, exchange
from synthetic_run import write_synthetic_run
from visits import TINY

from results.atlas import site
from results.atlas.folder import MANIFEST, STATIC
from results.atlas.shards import SHARD, Numbers, plain, plain_column, text_column
from results.atlas.site import write_atlas
from results.atlas.windows import AFTER, BEFORE, TOP
from results.ids import feature_ids
from results.loading import load_comparison
from results.words import called
from universality.errors import InputError

CALL = re.compile(r'atlas\("([a-z0-9/]+)","([A-Za-z0-9+/=]+)"\);\n')


def unpacked(path: Path):
    """Name and value of a file of data, which is nothing but one call of a name and of base64."""
    call = CALL.fullmatch(path.read_text("ascii"))
    assert call, path
    return call[1], json.loads(zlib.decompress(base64.b64decode(call[2]), -15))


def read(folder: Path) -> dict:
    files = sorted((folder / "data").rglob("*.js"))
    values = dict(unpacked(path) for path in files)
    assert [f"{name}.js" for name in sorted(values)] == sorted(str(p.relative_to(folder / "data")) for p in files)
    return values


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    run = write_synthetic_run(str(tmp_path_factory.mktemp("atlas") / "store"), n_latents=150, n_documents=120)
    return load_comparison(run.name, None, run.store)


@pytest.fixture(scope="module")
def written(stored, tmp_path_factory):
    out = tmp_path_factory.mktemp("atlas") / "out"
    return write_atlas(stored, out), out, read(out)


def test_every_feature_is_in_one_file_and_in_the_index(stored, written):
    done, _, data = written
    features = stored.table("features")
    places = [(name, latent) for name, shard in data.items() if "/" in name for latent in shard]
    numbers = {model: number for number, model in enumerate(stored.models())}
    expected = [
        (f"{numbers[model]}/{latent // SHARD}", str(latent))
        for model, latent in zip(features["model"], features["latent"], strict=True)
    ]
    assert sorted(places) == sorted(expected)
    index, names = data["features"], data["home"]["words"]["model"]
    assert {len(column) for column in index.values()} == {len(features)} == {done.n_features}
    ids = [f"{names[m]}:{n}" for m, n in zip(np.cumsum(index["model"]), np.cumsum(index["latent"]), strict=True)]
    assert sorted(ids) == sorted(feature_ids(features))
    row = features.set_index(feature_ids(features)).loc[ids]
    assert [None if c is None else int(c) for c in index["cluster"]] == [
        None if missing else int(c) for c, missing in zip(row["cluster"], row["cluster"].isna(), strict=True)
    ]
    words = data["home"]["words"]
    assert [words["status"][code] for code in index["status"]] == row["status"].tolist()


def test_every_pair_stands_on_both_sides_with_its_numbers(stored, written):
    done, _, data = written
    pairs, home = stored.table("pairs"), data["home"]
    assert done.n_pairs == len(pairs) == len(data["pairs"]["r"])
    numbers = {model: number for number, model in enumerate(stored.models())}
    for row in pairs.to_dict("records"):
        for side, other in ("ab", "ba"):
            latent = row[f"latent_{side}"]
            detail = data[f"{numbers[row[f'model_{side}']]}/{latent // SHARD}"][str(latent)]
            mine = [dict(zip(home["pair"], each, strict=True)) for each in detail["pairs"]]
            key = (numbers[row[f"model_{other}"]], row[f"latent_{other}"])
            (pair,) = [each for each in mine if (each["model"], each["latent"]) == key]
            assert pair["side"] == side
            assert pair["r_held_out"] == plain(row["r_held_out"], 3)
            assert home["words"]["level"][pair["level"]] == row["level"]


def test_clusters_have_their_labels_and_members(stored, written):
    done, _, data = written
    clusters, labels = stored.table("clusters"), stored.table("cluster_labels").set_index("cluster")["label"]
    index = data["clusters"]
    numbers = np.cumsum(index["cluster"]).tolist()
    assert sorted(numbers) == sorted(clusters["cluster"])
    assert done.n_clusters == len(clusters)
    assert index["label"] == [labels.get(number) for number in numbers]
    members = [c for c in data["features"]["cluster"] if c is not None]
    assert set(members) == set(numbers)


def test_contexts_hold_the_tokens_and_activations_of_the_run(stored, written):
    _, _, data = written
    texts, seen = data["texts"], 0
    for number, model in enumerate(stored.models()):
        acts = stored.acts(model)
        for latent in range(0, acts.shape[1], 7):
            contexts = stored.of_latent("contexts", model, latent)
            top = contexts[contexts["kind"] == "top"].sort_values("rank")["row"].tolist()
            shown = data[f"{number}/{latent // SHARD}"][str(latent)].get("contexts", [])
            assert [c[0] for c in shown[: len(top[:TOP])]] == [0] * len(top[:TOP])
            for row, (_, peak, _, domain, ids, fired) in zip(top[:TOP], shown, strict=False):
                window = stored.text.window(row, BEFORE, AFTER)
                assert peak == window.peak
                assert len(ids) == len(window.tokens)
                inner = slice(3, -3)  # a character that is cut at an end is whole in its context
                assert [texts[i] for i in ids][inner] == window.tokens[inner]
                values = stored.firing(model, latent).at(window.rows)
                assert fired == [x for k in np.flatnonzero(values) for x in (k, plain(values[k], 3))]
                assert data["home"]["words"]["domain"][domain] == stored.text.domain(row)
                seen += 1
    assert seen > 50


def test_the_first_page_says_what_may_not_be_concluded_and_where_it_comes_from(stored, written):
    _, out, data = written
    home = data["home"]
    assert len(home["answer"]) > 3
    assert len(home["cautions"]) > 0
    assert home["names"]["token_x_domain"] == called("token_x_domain") != "token x domain"
    assert home["floor"]["r"] < home["ceiling"]["r"]
    key = stored.run.artifact("comparison/main").key
    assert key in home["cite"]
    assert stored.name in home["cite"]
    assert json.loads((out / MANIFEST).read_text())["run"] == stored.name


def test_the_same_run_gives_the_same_bytes_and_replaces_an_atlas(stored, written, tmp_path):
    done, out, _ = written
    write_atlas(stored, tmp_path / "again")
    again = write_atlas(stored, tmp_path / "again")
    files = [p.relative_to(out) for p in out.rglob("*") if p.is_file()]
    assert len(files) == done.n_files == again.n_files
    assert done.n_bytes == again.n_bytes
    assert all((out / name).read_bytes() == (tmp_path / "again" / name).read_bytes() for name in files)
    assert [path.name for path in tmp_path.iterdir()] == ["again"]


def test_the_page_is_all_of_its_files(written):
    _, out, _ = written
    static = Path(site.__file__).parent / "static"
    assert {path.name for path in static.iterdir()} == set(STATIC)
    page = (out / "index.html").read_text()
    assert set(re.findall(r'(?:src|href)="([\w.]+)"', page)) == set(STATIC) - {"index.html"}
    assert "http" not in page.replace("http-equiv", "")
    assert "unsafe" not in page


def test_what_is_no_atlas_stays(stored, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match=r"holds notes\.txt"):
        write_atlas(stored, tmp_path)
    with pytest.raises(InputError, match="a folder"):
        write_atlas(stored, tmp_path / "notes.txt")
    write_atlas(stored, tmp_path / "atlas")
    (tmp_path / "atlas/notes.txt").write_text("mine")
    with pytest.raises(InputError, match=r"holds notes\.txt"):
        write_atlas(stored, tmp_path / "atlas")
    assert (tmp_path / "notes.txt").read_text() == (tmp_path / "atlas/notes.txt").read_text() == "mine"


def test_a_failure_leaves_the_earlier_atlas(stored, tmp_path, monkeypatch):
    out = tmp_path / "atlas"
    write_atlas(stored, out)
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}

    def fail(*_):
        raise OSError("disk full")

    monkeypatch.setattr(site, "cluster_columns", fail)
    with pytest.raises(OSError, match="disk full"):
        write_atlas(stored, out)
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before
    assert [path.name for path in tmp_path.iterdir()] == ["atlas"]


@pytest.mark.parametrize(("value", "digits", "said"), [(0.12345, 3, 0.123), (2.0, 3, 2), (float("nan"), 2, None)])
def test_numbers_are_short_and_never_nan(value, digits, said):
    assert plain(value, digits) == said


@pytest.mark.parametrize("values", [["a", None], [None, None], pd.array(["a", None], dtype="string")])
def test_what_is_missing_is_null(values):
    frame = pd.DataFrame({"about": values, "value": [1.0, None], "kind": pd.Categorical(["x", None])})
    columns = [text_column(frame, "about"), plain_column(frame, "value"), Numbers().column(frame["kind"], 2)]
    assert [column[1] for column in columns] == [None] * 3
    assert json.dumps(columns, allow_nan=False)
    assert text_column(frame, "gone") == plain_column(frame, "gone") == Numbers().column(None, 2) == [None, None]


def test_a_run_without_labels_domains_and_agreement(stored, tmp_path):
    write_atlas(OlderComparison(stored.run, "main"), tmp_path / "atlas")
    data = read(tmp_path / "atlas")
    assert set(data["features"]["label"]) == set(data["clusters"]["label"]) == {None}
    assert data["home"]["answer"] == []
    assert data["home"]["floor"] == {"label": None}
    contexts = [c for detail in data["0/0"].values() for c in detail.get("contexts", [])]
    assert {domain for _, _, _, domain, _, _ in contexts} == {-1}


def test_a_hook_point_without_a_way_to_the_logits(tmp_path):
    run = write_synthetic_run(str(tmp_path / "store"), **TINY)
    for node in run.nodes("evidence/"):
        evidence = run.artifact(node)
        exchange(run, node, tables={name: evidence.table(name) for name in evidence.tables() if name != "logits"})
    write_atlas(load_comparison(run.name, None, run.store), tmp_path / "atlas")
    details = [detail for name, shard in read(tmp_path / "atlas").items() if "/" in name for detail in shard.values()]
    assert any("contexts" in detail for detail in details)
    assert not any("promoted" in detail for detail in details)
