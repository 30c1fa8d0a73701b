"""What a study found, as rows to draw and sentences to print: one reading for terminal, screen and report."""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np
import pandas as pd

from results.headline import split_comparisons
from results.layer_frames import layer_sentence
from results.stored_comparison import StoredComparison, pair_node
from results.words import LEVELS, share
from universality.studies.design import CHECKPOINT, INTERACTION, MODEL, REVISION, SAE_SEED, SAME_INIT, THEN, UNTRAINED

_SHORT = {"sae_seed": "SAE seed", "hook_point": "hook point"}
_FACTORS = _SHORT | {"half": "half of the documents", "model": "model seed", "data": "data"}
_CONTRASTS = {SAME_INIT: "data, at one initialisation", INTERACTION: "model seed x data"}
#: Two models that are alike but for their seeds.
TWO_MODELS = f"{SAE_SEED} + {MODEL}"
#: Kinds of bars of a waterfall, in their order.
ITSELF, FACTOR, OBSERVED = "itself", "factor", "observed"


def factor_words(name: str) -> str:
    """What a factor or contrast is called where people read it: ``"model"`` is "model seed"."""
    return _CONTRASTS.get(name) or _FACTORS.get(name, name)


def relation_words(relation: str) -> str:
    """The factors of a relation in words, or "untrained models"."""
    if relation == UNTRAINED:
        return "untrained models"
    if relation in THEN:
        return "one model, then and at its end"
    return " + ".join(_SHORT.get(name, name) for name in relation.split(" + "))


def point_words(point: str) -> str:
    """A point of a study for people, without the parts of hook points' names that all have: ``"0 mlp.post"``."""
    return re.sub(r"hook_point blocks\.(\d+)\.([^\s,]+)", lambda of: f"{of[1]} {of[2].replace('hook_', '')}", point)


def axis_words(factor: str) -> str:
    """What a curve over a factor has below it."""
    return {CHECKPOINT: "training tokens", REVISION: "training steps"}.get(factor, factor)


def contrast_rows(contrasts: pd.DataFrame, means: pd.DataFrame) -> pd.DataFrame:
    """What factors do, one row per contrast; then what relations agree, untrained models last.

    Args:
        contrasts, means: the tables ``study_contrasts`` and ``study_means`` of one study.

    Returns:
        part ("what differs" or "agreement"), name, label, point, n_pairs, n_models, chance; and of each of ``shared``,
        ``r`` and ``r_joint`` value, ``_low`` and ``_high``: over models and sources, or where there are too few models
        over sources alone.
    """
    columns = ("part", "name", "label", "point", "n_pairs", "n_models", "chance")
    rows: list[dict[str, object]] = []
    for part, table, key in (("what differs", contrasts, "contrast"), ("agreement", means, "relation")):
        if table.empty:
            continue
        words = factor_words if key == "contrast" else relation_words
        points = table["point"] if "point" in table else pd.Series("", index=table.index)
        for (name, point), group in table.groupby([table[key], points], sort=False):
            first = group.iloc[0]
            row = {"part": part, "name": name, "label": words(str(name)), "point": point_words(str(point))}
            row |= {"n_pairs": first["n_pairs"], "n_models": first["n_models"], "chance": first.get("chance", np.nan)}
            for measure in ("shared", "r", "r_joint"):
                row |= dict.fromkeys((measure, f"{measure}_low", f"{measure}_high"), np.nan)
                for one in group[group["measure"] == measure].to_dict("records"):
                    few = pd.isna(one["low"])
                    low, high = (one["low_sources"], one["high_sources"]) if few else (one["low"], one["high"])
                    row |= {measure: one["value"], f"{measure}_low": low, f"{measure}_high": high}
            rows.append(row)
    measured = [f"{name}{end}" for name in ("shared", "r", "r_joint") for end in ("", "_low", "_high")]
    return pd.DataFrame(rows, columns=pd.Index([*columns, *measured]))


def waterfall(contrasts: pd.DataFrame, means: pd.DataFrame, measure: str = "shared") -> pd.DataFrame:
    """From what a dictionary shares with itself down to what is left where everything differs.

    Bars of factors hang from each other; what is observed where all of them differ stands beside where they end: they
    would meet if effects added up. Untrained models come last.

    Args:
        contrasts, means: as in :func:`contrast_rows`.
        measure: ``shared``, ``r`` or ``r_joint``.

    Returns:
        kind, label, start, end, value, low, high: one row per bar, in order; empty without a contrast.
    """
    rows = contrast_rows(contrasts, means)
    rows = rows.assign(value=rows[measure], low=rows[f"{measure}_low"], high=rows[f"{measure}_high"])
    everything = all_differ(means)
    taken = rows[(rows["part"] == "what differs") & rows["name"].isin(everything.split(" + "))]
    taken = taken.dropna(subset=["value"])
    if taken.empty:
        return pd.DataFrame(columns=pd.Index(["kind", "label", "start", "end", "value", "low", "high"]))
    bars: list[dict[str, object]] = [
        {"kind": ITSELF, "label": "the same dictionary", "start": 0.0, "end": 1.0, "value": 1.0}
    ]
    level = 1.0
    for row in taken.to_dict("records"):
        spread = {"value": row["value"], "low": row["low"], "high": row["high"]}
        bars.append({"kind": FACTOR, "label": row["label"], "start": level, "end": level - row["value"], **spread})
        level -= row["value"]
    for name, label in ((everything, "all of these differ"), (UNTRAINED, "untrained models")):
        found = rows[(rows["part"] == "agreement") & (rows["name"] == name) & ~_spans(rows["point"])]
        if len(found):
            # Contrasts are of all points together; of several their mean has no interval here.
            value, several = found["value"].mean(), len(found) > 1
            spread = {end: np.nan if several else found[end].iloc[0] for end in ("low", "high")}
            kind = OBSERVED if name == everything else UNTRAINED
            bars.append({"kind": kind, "label": label, "start": 0.0, "end": value, "value": value, **spread})
    return pd.DataFrame(bars, columns=pd.Index(["kind", "label", "start", "end", "value", "low", "high"]))


def _spans(points: pd.Series) -> pd.Series:
    """Which points are those of two dictionaries at once."""
    return points.str.contains(" / ", regex=False)


def all_differ(means: pd.DataFrame) -> str:
    """The relation in which most factors differ, among pairs of one point."""
    one_point = means[~_spans(means["point"]) & (means["relation"] != UNTRAINED)]
    relations = one_point["relation"].drop_duplicates().tolist()
    return max(relations, key=lambda name: name.count(" + "), default="")


def level_rows(means: pd.DataFrame) -> pd.DataFrame:
    """Shares by level of every relation: relation, label, point, level, value; levels from context down."""
    parts = means[means["measure"].str.startswith("shared_")]
    frame = parts.assign(
        level=parts["measure"].str.removeprefix("shared_"), label=parts["relation"].map(relation_words)
    )
    order = {name: number for number, name in enumerate(LEVELS)}
    frame = frame.assign(place=frame["level"].map(order), row=frame.groupby(["relation", "point"], sort=False).ngroup())
    frame = frame.sort_values(["row", "place"], kind="stable")
    return frame[["relation", "label", "point", "level", "value"]].reset_index(drop=True)


def curve_rows(means: pd.DataFrame, measure: str = "shared") -> pd.DataFrame:
    """Agreement over a setting or size that varies.

    Args:
        means: the table ``study_means`` of one study.
        measure: as in :func:`waterfall`.

    Returns:
        factor, x (its number), series (relation, and levels of whatever else varies), relation, value, low, high;
        empty where nothing with numbers varies. Of pairs at one point only, but for a model beside itself at the end of
        its training, which stands at the earlier place.
    """
    columns = pd.Index(["factor", "x", "series", "relation", "value", "low", "high"])
    rows: list[dict[str, object]] = []
    for row in means[means["measure"] == measure].to_dict("records"):
        first, spans, _ = str(row["point"]).partition(" / ")
        if spans and row["relation"] not in THEN:
            continue
        levels = dict(part.rsplit(" ", 1) for part in first.split(", ") if part)
        numbers = {name: number for name, level in levels.items() if (number := _number(level)) is not None}
        factor = next(iter(numbers), "")
        # What goes with the size (d_mlp with d_model, say) makes no line of its own.
        alone = {name: level for name, level in levels.items() if name != factor and _varies_alone(means, name, factor)}
        others = [f"{name} {level}" for name, level in alone.items()]
        few = pd.isna(row["low"])
        low, high = (row["low_sources"], row["high_sources"]) if few else (row["low"], row["high"])
        rows.append({
            "factor": factor, "x": numbers.get(factor, np.nan), "relation": row["relation"],
            "series": ", ".join([relation_words(str(row["relation"])), *others]),
            "value": row["value"], "low": low, "high": high,
        })  # fmt: skip
    frame = pd.DataFrame(rows, columns=columns)
    drawn = frame[frame["x"].notna()]
    # Untrained models know nothing of what varies in training: their floor is that of every point.
    flat = frame[frame["x"].isna() & (frame["relation"] == UNTRAINED)].drop(columns=["x", "factor"])
    places = drawn[["x", "factor"]].drop_duplicates()
    return pd.concat([drawn, flat.merge(places, how="cross")], ignore_index=True)[columns]


def _varies_alone(means: pd.DataFrame, name: str, factor: str) -> bool:
    """Whether a factor has two levels at one level of another, among the points of a study."""
    seen: dict[str, set[str]] = {}
    for point in means["point"].unique():
        levels = dict(part.rsplit(" ", 1) for part in str(point).split(", ") if part and " / " not in str(point))
        if name in levels and factor in levels:
            seen.setdefault(levels[factor], set()).add(levels[name])
    return any(len(levels) > 1 for levels in seen.values())


def training_rows(means: pd.DataFrame) -> pd.DataFrame:
    """Of two models at every checkpoint: x (tokens, or steps of revisions), level, value, as :func:`level_rows` has the
    shares by level; empty without checkpoints."""
    levels = level_rows(means[means["relation"] == TWO_MODELS])
    tokens = levels["point"].str.extract(rf"^(?:{CHECKPOINT}|{REVISION}) (\d+)$")[0].astype(float)
    return levels.assign(x=tokens).dropna(subset=["x"])[["x", "level", "value"]].reset_index(drop=True)


def training_shares(means: pd.DataFrame) -> pd.DataFrame:
    """What two models share at every checkpoint, from the first on: over (what x counts), x, shared, r_joint."""
    shared, joint = (curve_rows(means, measure) for measure in ("shared", "r_joint"))
    rows = shared.merge(joint, on=["factor", "x", "series", "relation"], suffixes=("", "_joint"))
    rows = rows[(rows["relation"] == TWO_MODELS) & rows["factor"].isin(THEN.values())].sort_values("x")
    rows = rows.assign(over=rows["factor"].map(axis_words)).rename(
        columns={"value": "shared", "value_joint": "r_joint"}
    )
    return rows[["over", "x", "shared", "r_joint"]].reset_index(drop=True)


def training_sentence(means: pd.DataFrame) -> str:
    """What two models share at every checkpoint; "" without checkpoints."""
    rows = training_shares(means)
    if rows.empty:
        return ""
    told = [f"{row['x']:,.0f}: {share(row['shared'])} ({row['r_joint']:.2f})" for row in rows.to_dict("records")]
    return (
        f"Over {rows['over'].iloc[0]}, so many latents of two models have a partner (mean r beyond domain, document, "
        f"token and place): {', '.join(told)}."
    )


def domain_rows(domains: pd.DataFrame) -> pd.DataFrame:
    """The table ``study_domains`` without domains that both kinds of data have, of which their mean stands there."""
    told = domains[(domains["domain"] == "(all)") | (domains["seen_by"] != "both")]
    seen_by = told["seen_by"].replace({"first only": "first", "second only": "second"})
    return told.assign(data=told["first"] + " / " + told["second"], seen_by=seen_by).reset_index(drop=True)


def study_sentence(contrasts: pd.DataFrame, means: pd.DataFrame) -> str:
    """What each factor takes away of the share of latents with a partner, and what is left beside the floor."""
    rows = contrast_rows(contrasts, means).dropna(subset=["shared"])
    taken = [
        f"{row['label']} {_points(row['shared'])} ({_points(row['shared_low'])} to {_points(row['shared_high'])})"
        for row in rows[(rows["part"] == "what differs") & ~rows["name"].isin(list(_CONTRASTS))].to_dict("records")
    ]
    sentences = []
    if taken:
        sentences.append(
            "Of 100 latents that have a partner in the same dictionary, so many have none in another, by what differs "
            f"(95 % interval): {', '.join(taken)}."
        )
    everything = all_differ(means)
    means_of = rows[rows["part"] == "agreement"].groupby("name")[["shared", "r_joint"]].mean().to_dict("index")
    if everything in means_of:
        names = ", ".join(map(factor_words, everything.split(" + ")))
        left, floor = means_of[everything], means_of.get(UNTRAINED)
        beside = f", of untrained models {share(floor['shared'])}" if floor else ""
        beyond = f", of untrained models {floor['r_joint']:.2f}" if floor else ""
        sentences.append(
            f"Where {names} differ, {share(left['shared'])} have one{beside}; mean r beyond domain, document, token "
            f"and place is {left['r_joint']:.2f}{beyond}."
        )
    return " ".join(sentences)


def study_sentences(tables: Mapping[str, pd.DataFrame]) -> dict[str, str]:
    """What is said of every finished study of a run, by its id: :func:`study_sentence`, of several hook points
    :func:`~results.layer_frames.layer_sentence`, of checkpoints :func:`training_sentence`; ``tables`` by name."""
    if not {"study_contrasts", "study_means"} <= tables.keys():
        return {}
    contrasts = dict(split_comparisons(tables["study_contrasts"]))
    empty = tables["study_contrasts"][:0]
    layers = dict(split_comparisons(tables["study_layers"])) if "study_layers" in tables else {}
    told = {}
    for study, means in split_comparisons(tables["study_means"]):
        told[study] = study_sentence(contrasts.get(study, empty), means)
        more = [layer_sentence(layers[study]) if study in layers else "", training_sentence(means)]
        told[study] = " ".join(filter(None, [told[study], *more]))
    return told


def _points(value: float) -> str:
    return f"{100 * value:.1f}"


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def study_partners(stored: StoredComparison, study: str, cells: tuple[str, str]) -> pd.DataFrame | None:
    """Assigned features of two dictionaries of a study, strongest first; None where the run kept none.

    Args:
        stored: of the run.
        study: id of the study.
        cells: ids of the dictionaries, as the table ``study`` names them.

    Returns:
        The columns of the table ``study_partners``.
    """
    artifact = stored.run.artifact(pair_node("study_pair", study, "-".join(cells)))
    if "study_partners" not in artifact.tables():
        return None
    return artifact.table("study_partners").sort_values("r_held_out", ascending=False, ignore_index=True)
