"""The pairs of a comparison as one JSON file that other programs read, its published schema, and the way back."""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import pandas as pd
from pydantic import Field, ValidationError

from results.ids import feature_ids
from results.label_frames import NO_RULE, labelled_clusters, with_labels
from results.stored_comparison import TOKENIZER, StoredComparison, comparison_node, sae_node
from storage.keys import canonical_json
from universality.config import Frozen
from universality.errors import refusal

FORMAT = "universality.pairs"
#: Rises whenever a reader of an earlier version could fail: any key that comes, goes, or changes its meaning.
VERSION = 1
Share = float | None
Text = str | None


class RecipeOfPairs(Frozen):
    """What was asked for."""

    name: str = Field(description="name of the recipe")
    digest: str = Field(pattern="^sha256:[0-9a-f]{64}$", description="of the resolved recipe as canonical JSON")


class Source(Frozen):
    """A dictionary whose latents are paired."""

    d_sae: int = Field(ge=1, description="latents of the dictionary; indices are below it")
    architecture: str = Field(description="what decides which latents fire")
    hook_point: str = Field(description="where the dictionary reads its model")
    model_seed: str = Field(description="seed of the transformer, or where it comes from")
    sae_seed: Text = Field(description="seed of the dictionary, or where it comes from")
    artifact: Text = Field(description="key of the dictionary in the run's store")


class PairOfFeatures(Frozen):
    """Two latents that were assigned to each other."""

    source_a: str = Field(description="a key of `sources`")
    index_a: int = Field(ge=0, description="number of the latent in it, from 0")
    source_b: str = Field(description="a key of `sources`")
    index_b: int = Field(ge=0, description="number of the latent in it, from 0")
    r: float = Field(ge=-1, le=1, description="Pearson correlation on held-out rows, which chose nothing")
    r_low: float = Field(ge=-1, le=1, description="lower end of its interval, over resampled sources of text")
    r_high: float = Field(ge=-1, le=1, description="upper end of that interval")
    r_fit: float = Field(ge=-1, le=1, description="correlation on the rows that the pair was chosen on")
    chance: Share = Field(description="95th percentile of chance maxima of these two sources, as r")
    floor: Share = Field(description="median r of pairs of untrained models, over all of them; null where none are")
    q: float = Field(ge=0, le=1, description="false-discovery rate of r, within the pair of sources")
    edge: bool = Field(description="counts as one feature: q below alpha, r at least tau, without any one source too")
    level: str = Field(
        description="what explains r: domain, document, token, token_x_domain, bigram, context; untested"
    )
    cluster: int | None = Field(description="the cluster of features that holds both; null where none does")
    class_: Literal["universal", "shared"] | None = Field(
        alias="class", description="of that cluster: universal (a feature of every model) or shared (of some)"
    )
    label: Text = Field(description="of that cluster, by rule; null where no rule explains a member")
    label_a: Text = Field(description="of feature a alone; null where no rule explains it")
    label_b: Text = Field(description="of feature b alone; null where no rule explains it")


class Head(Frozen):
    """All that is said of the pairs together."""

    format: Literal["universality.pairs"] = Field(description="what the file is")
    version: Literal[1] = Field(description="of this schema")
    run: str = Field(description="name of the run")
    comparison: str = Field(description="id of the comparison in it")
    recipe: RecipeOfPairs
    made_with: Text = Field(description="version of universality that compared; null where it is not known")
    tokenizer: Text = Field(description="sha256 of the tokenizer.json of all models; null where there is none")
    tau: float = Field(description="least r of an edge")
    alpha: float = Field(description="highest q of an edge")
    sources: dict[str, Source] = Field(description="dictionaries by id")
    n_pairs: int = Field(ge=0, description="length of `pairs`")


class PairFile(Head):
    """Pairs of features of one comparison (``pairs.json``)."""

    pairs: list[PairOfFeatures] = Field(description="as the run has them: by pair of sources, then by index_a")


COLUMNS = [field.alias or name for name, field in PairOfFeatures.model_fields.items()]


def pair_schema() -> dict[str, Any]:
    """The JSON schema (draft 2020-12) of ``pairs.json``."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **PairFile.model_json_schema()}


def pair_frame(stored: StoredComparison) -> pd.DataFrame:
    """The rows of the file: one per assigned pair, :data:`COLUMNS`, in the order of the table ``pairs``."""
    pairs = stored.table("pairs")
    features = stored.table("features")
    of_feature = features.set_index(pd.Index(feature_ids(features)))
    sides = [of_feature.reindex(feature_ids(pairs, side).to_numpy()) for side in "ab"]
    cluster, other = (side["cluster"].to_numpy(dtype=float, na_value=float("nan")) for side in sides)
    together = cluster == other
    frame = pairs
    for side in "ab":
        frame = with_labels(stored, frame, feature_ids(pairs, side), f"_{side}")
        frame[f"label_{side}"] = frame[f"label_{side}"].mask(frame[f"label_kind_{side}"] == NO_RULE)
    clusters = labelled_clusters(stored)
    explained = clusters.loc[clusters["n_explained"] > 0, "label"]
    headline = stored.optional("headline")
    by_pair = {} if headline is None else headline.set_index(["quantity", "pair"])["value"].to_dict()
    return frame.assign(
        chance=(pairs["model_a"] + "-" + pairs["model_b"]).map(lambda pair: by_pair.get(("null_p95", pair))),
        floor=by_pair.get(("untrained", "overall")),
        cluster=pd.Series(cluster).where(together).astype("Int64"),
        **{"class": sides[0]["class"].astype(object).where(together).to_numpy()},
        label=pd.Series(cluster).where(together).map(explained),
    ).rename(
        columns={
            "model_a": "source_a", "latent_a": "index_a", "model_b": "source_b", "latent_b": "index_b",
            "r": "r_fit", "r_held_out": "r",
        }
    )[COLUMNS]  # fmt: skip


def write_pairs(stored: StoredComparison, place: Path) -> None:
    """Write ``pairs.json``: its head, then one pair a line. Equal runs give equal bytes."""
    with place.open("wb") as handle:
        for piece in _pieces(stored):
            handle.write(piece.encode())


def _pieces(stored: StoredComparison) -> Iterator[str]:
    rows = pair_frame(stored)
    head = _head(stored, rows)
    yield head.model_dump_json(indent=1).removesuffix("\n}") + ',\n "pairs": ['
    columns = [rows[name].astype(object).where(rows[name].notna(), None).tolist() for name in COLUMNS]
    for number, values in enumerate(zip(*columns, strict=True)):
        row = json.dumps(dict(zip(COLUMNS, values, strict=True)), ensure_ascii=False, allow_nan=False)
        yield (",\n  " if number else "\n  ") + row
    yield "\n ]\n}\n"


def _head(stored: StoredComparison, rows: pd.DataFrame) -> Head:
    record, nodes = stored.record, stored.record.get("nodes") or {}
    used = {*rows["source_a"], *rows["source_b"]}
    models = stored.table("models")
    made = stored.run.artifact(comparison_node(stored.comparison)).manifest["facts"].get("made_with") or {}
    recipe = canonical_json(record.get("recipe") or {})
    return Head(
        format=FORMAT,
        version=VERSION,
        run=stored.name,
        comparison=stored.comparison,
        recipe=RecipeOfPairs(
            name=str(record.get("recipe_name")),
            digest="sha256:" + hashlib.sha256(recipe.encode()).hexdigest(),
        ),
        made_with=made.get("universality"),
        tokenizer=_tokenizer_digest(stored) if TOKENIZER in nodes else None,
        tau=stored.tau,
        alpha=stored.alpha,
        sources={
            str(of["model"]): Source(
                **{name: of[name] for name in ("d_sae", "architecture", "hook_point", "model_seed")},
                sae_seed=None if pd.isna(of["sae_seed"]) else of["sae_seed"],
                artifact=nodes.get(sae_node(stored.comparison, str(of["model"])), {}).get("key"),
            )
            for of in models.to_dict("records")
            if of["model"] in used
        },
        n_pairs=len(rows),
    )


def _tokenizer_digest(stored: StoredComparison) -> str | None:
    tokenizer = stored.run.artifact(TOKENIZER)
    if not tokenizer.has("tokenizer.json"):
        return None
    return "sha256:" + hashlib.sha256(tokenizer.bytes("tokenizer.json")).hexdigest()


def read_pairs(path: str | Path) -> pd.DataFrame:
    """Read ``pairs.json`` (or the same with gzip, ``.gz``) back.

    Returns:
        One row per pair, :data:`COLUMNS`; everything else that the file says in ``.attrs``.

    Raises:
        InputError: no such file, another version, or not what the schema says.
    """
    place = Path(path)
    remedy = "Write it anew with `universality export RUN --format pairs`."
    try:
        content = gzip.decompress(place.read_bytes()) if place.suffix == ".gz" else place.read_bytes()
        document = json.loads(content)
    except FileNotFoundError:
        raise refusal("file", str(place), "there", "nothing", "Check the path.") from None
    except (OSError, ValueError, EOFError) as error:
        raise refusal("file", str(place), "one JSON document", str(error), remedy) from None
    said = (document.get("format"), document.get("version")) if isinstance(document, Mapping) else (None, None)
    if said != (FORMAT, VERSION):
        later = "It is of a later version: update universality." if said[0] == FORMAT else remedy
        raise refusal("format", str(place), f"{FORMAT}, version {VERSION}", f"{said[0]}, version {said[1]}", later)
    try:
        read = PairFile.model_validate(document)
    except ValidationError as error:
        first = error.errors()[0]
        got = f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
        raise refusal("content", str(place), "as `universality schema --kind pairs` says", got, remedy) from None
    remedy = "It was cut or edited: write it anew."
    if read.n_pairs != len(read.pairs):
        raise refusal("pairs", str(place), f"{read.n_pairs} of them", str(len(read.pairs)), remedy)
    frame = pd.DataFrame([pair.model_dump(by_alias=True) for pair in read.pairs], columns=COLUMNS)
    for side in "ab":
        source, index = frame[f"source_{side}"], frame[f"index_{side}"]
        wrong = ~(index < source.map({name: of.d_sae for name, of in read.sources.items()}))
        if wrong.any():
            got = f"{source[wrong].iloc[0]}:{index[wrong].iloc[0]}"
            raise refusal(f"index_{side}", str(place), "a latent of one of `sources`", got, remedy)
    frame.attrs.update(read.model_dump(exclude={"pairs"}))
    return frame.astype({"cluster": "Int64"})
