"""Which features, pairs and clusters of a comparison people have named, by the ids that its screens give them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import pandas as pd

from results.ids import FEATURE_ID, PAIR_ID, feature_id, feature_ids
from results.own_notes import Kind, Note, Subject, one_line, read_notes, run_subject
from results.remembering import remembered
from results.stored_comparison import StoredComparison, comparisons_of, latents_node, sae_node
from results.words import moment
from storage import Run, StoreError

#: Columns of :func:`notes_table`.
COLUMNS = ["comparison_id", "kind", "id", "name", "note", "written"]
Named = Mapping[str, Mapping[str, Note]]


@remembered()
def _dictionaries(stored: StoredComparison) -> Mapping[str, str]:
    """Key of each dictionary by its model: of its weights, or of its activations where those came without weights."""
    nodes, prefix = stored.record.get("nodes") or {}, latents_node(stored.comparison, "")
    models = [node.removeprefix(prefix) for node in nodes if node.startswith(prefix)]
    places = {model: (sae_node(stored.comparison, model), prefix + model) for model in models}
    return {model: next(nodes[node]["key"] for node in both if node in nodes) for model, both in places.items()}


@remembered()
def _members(stored: StoredComparison) -> Mapping[int, tuple[str, ...]]:
    """What each cluster is made of."""
    features = stored.table("features")
    members = features[features["cluster"].notna()]
    of = members["model"].map(_dictionaries(stored)).astype(str) + ":" + members["latent"].astype(str)
    return {int(cluster): tuple(sorted(own)) for cluster, own in of.groupby(members["cluster"].astype("int64"))}  # pyright: ignore[reportArgumentType]


def _number(stored: StoredComparison, of: tuple[str, ...]) -> int | None:
    """The cluster that is made of these; None for none, and while clusters cannot be read."""
    try:
        return _numbers(stored).get(of)
    except StoreError:
        return None


@remembered()
def _numbers(stored: StoredComparison) -> Mapping[tuple[str, ...], int]:
    return {of: cluster for cluster, of in _members(stored).items()}


def subject_of(stored: StoredComparison, kind: Kind, name: str) -> Subject:
    """A feature, an assigned pair or a cluster by the id under which the comparison has it."""
    known = _dictionaries(stored)
    if kind == "cluster":
        return Subject(kind, name, _members(stored)[int(name)])
    match = PAIR_ID.match(name) if kind == "pair" else FEATURE_ID.match(name)
    assert match is not None
    sides = ("_a", "_b") if kind == "pair" else ("",)
    return Subject(kind, name, tuple(sorted(f"{known[match[f'model{s}']]}:{match[f'latent{s}']}" for s in sides)))


def named_things(stored: StoredComparison) -> Named:
    """What people wrote about the comparison's features, pairs and clusters, by kind and id."""
    known = _dictionaries(stored)
    order = list(known)
    models = {key: model for model, key in reversed(list(known.items()))}  # the first of those with one dictionary
    found: dict[str, dict[str, Note]] = {"feature": {}, "pair": {}, "cluster": {}}
    for note in read_notes(stored.run.store).notes:
        parts = [of.rpartition(":") for of in note.of]
        if note.kind == "run" or not all(key in models for key, _, _ in parts):
            continue
        if note.kind != "cluster":
            sides = sorted(((models[key], latent) for key, _, latent in parts), key=lambda side: order.index(side[0]))
            found[note.kind]["-".join(feature_id(model, int(latent)) for model, latent in sides)] = note
        elif (number := _number(stored, note.of)) is not None:
            found["cluster"][str(number)] = note
    return found


def title_of(note: Note) -> str:
    """A name, or the start of a note where there is none."""
    return note.name or one_line(note.note, 40)


def names_of(stored: StoredComparison, kind: Kind, ids: Iterable[str]) -> list[str]:
    """What people call things of a list, each by its own name, else by those of its features; empty for neither."""
    named = named_things(stored)
    own = {name: title_of(note) for name, note in named[kind].items()}
    features = {name: title_of(note) for name, note in named["feature"].items()}
    if kind == "cluster" and features:
        table = stored.table("features")
        holding = table[feature_ids(table).isin(features)]
        titles = feature_ids(holding).map(features).groupby(holding["cluster"].astype("string")).agg(", ".join)
        own = {**titles.to_dict(), **own}
    if kind == "pair":
        sides = {one: [features[side] for side in one.split("-") if side in features] for one in ids}
        own = {one: " ↔ ".join(titles) for one, titles in sides.items()} | own
    return [own.get(one, "") for one in ids]


def features_named(stored: StoredComparison, said: str) -> list[str]:
    """Features whose name or note has a text in it, whatever its case, or those of their pairs and clusters."""
    named = named_things(stored)
    hits = {kind: [one for one, note in notes.items() if said in note.said.casefold()] for kind, notes in named.items()}
    found = [*hits["feature"], *(side for pair in hits["pair"] for side in pair.split("-"))]
    if hits["cluster"]:
        table, numbers = stored.table("features"), [int(one) for one in hits["cluster"]]
        found += feature_ids(table[table["cluster"].isin(numbers).to_numpy(bool)]).tolist()
    return list(dict.fromkeys(found))


def notes_table(run: Run) -> pd.DataFrame:
    """What people wrote about a run and the features, pairs and clusters of its comparisons.

    Returns:
        comparison_id (empty for the run itself), kind, id, name, note, written (ISO 8601, UTC); by comparison and kind,
        in the order of time.
    """
    record = run.observed
    own = read_notes(run.store).of(run_subject(record))
    rows = [] if own is None else [("", "run", run.name, own)]
    for comparison in comparisons_of(record):
        named = named_things(StoredComparison(run, comparison, record))
        rows += [(comparison, kind, name, note) for kind, notes in named.items() for name, note in notes.items()]
    frame = [(c, kind, name, note.name, note.note, moment(note.time)) for c, kind, name, note in rows]
    return pd.DataFrame(frame, columns=pd.Index(COLUMNS), dtype="str")
