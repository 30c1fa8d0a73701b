"""Write the atlas of one comparison of a finished run."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import NamedTuple

from results.atlas.details import Details
from results.atlas.folder import STATIC, check_place, whole_folder
from results.atlas.home import home_document
from results.atlas.lists import Codes, cluster_columns, feature_columns, pair_columns
from results.atlas.shards import Shards
from results.atlas.windows import Windows
from results.ids import feature_ids
from results.pair_lists import listed_pairs
from results.progress import command
from results.stored_comparison import StoredComparison, comparison_node
from results.words import counted
from universality.errors import refusal


class Atlas(NamedTuple):
    """What was written.

    Attributes:
        index: the page to open.
        n_files, n_bytes: of the whole folder.
        n_features: latents of the compared models, dead ones too.
        n_clusters, n_pairs: how many have a page.
    """

    index: Path
    n_files: int
    n_bytes: int
    n_features: int
    n_clusters: int
    n_pairs: int


def write_atlas(
    stored: StoredComparison, out: str | os.PathLike[str], tell: Callable[[str], object] = lambda _: None
) -> Atlas:
    """Write a folder of pages that opens from a file: ``index.html``, its script and style, and data in small files.

    The same run and what people wrote of it give the same bytes. Models are read one after the other, so that memory
    holds the evidence of one.

    Args:
        stored: a comparison of a finished run; only read.
        out: a new or empty folder, or one with an earlier atlas, which is replaced as a whole at the end.
        tell: is told how far it is, in words.

    Raises:
        InputError: the run is not finished, has no such comparison, or the folder holds something else; before
            anything is computed.
    """
    place = Path(out)
    check_place(place)
    _refuse_unfinished(stored)
    manifest: dict[str, object] = {"run": stored.name, "comparison": stored.comparison}
    with whole_folder(place, manifest) as folder:
        for name in STATIC:
            (folder / name).write_bytes((files("results.atlas") / "static" / name).read_bytes())
        n_features, n_clusters, n_pairs = _write_data(stored, Shards(folder / "data"), tell)
        manifest |= {"features": n_features, "clusters": n_clusters, "pairs": n_pairs}
    written = [path for path in place.rglob("*") if path.is_file()]
    n_bytes = sum(path.stat().st_size for path in written)
    return Atlas(place / "index.html", len(written), n_bytes, n_features, n_clusters, n_pairs)


def _write_data(stored: StoredComparison, shards: Shards, tell: Callable[[str], object]) -> tuple[int, int, int]:
    codes, windows = Codes(stored, stored.text.domains), Windows(stored.text)
    peaks: dict[str, Counter[int]] = {}
    for number, model in enumerate(stored.models()):
        details = Details(stored, model, codes, windows)
        for shard, latents, peaking in details.shards():
            shards.write(f"{number}/{shard}", latents)
            peaks |= peaking
        tell(f"{model}: {counted(len(details.features), 'latent')}")
    features = stored.table("features")
    features = features.assign(place=features["model"].map({m: i for i, m in enumerate(stored.models())}))
    features = features.sort_values(["place", "latent"], ignore_index=True)
    place = {name: number for number, name in enumerate(feature_ids(features))}
    pairs = listed_pairs(stored)
    clusters = cluster_columns(stored, codes)
    shards.write("features", feature_columns(stored, features, codes, peaks))
    shards.write("clusters", clusters)
    shards.write("pairs", pair_columns(pairs, codes, place))
    shards.write("texts", windows.texts.names)
    shards.write("home", home_document(stored, codes))
    return len(features), len(clusters["cluster"]), len(pairs)


def _refuse_unfinished(stored: StoredComparison) -> None:
    status = stored.record.get("status")
    if status != "done":
        remedy = f"Finish it first: {command(stored.record, stored.run.store.url)}"
        raise refusal("status", f"run {stored.name}", "done for an atlas", status, remedy)
    if comparison_node(stored.comparison) not in (stored.record.get("nodes") or {}):
        remedy = "Studies and sweeps stand in `universality report` and `universality dash`."
        raise refusal("comparisons", f"run {stored.name}", "at least one for an atlas", "none", remedy)
