"""What the first page of an atlas says of the run: its answer, what may not be concluded, where it comes from."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pandas as pd

from results import words
from results.atlas.lists import PAIR_NUMBERS, Codes
from results.atlas.shards import SHARD, plain
from results.cautions import stored_cautions
from results.colours import CLASS_COLOURS, GREY, LEVEL_COLOURS, VERDICT_COLOURS, model_colours
from results.conclusions import TABLES, conclusions
from results.label_frames import label_summary
from results.named_things import named_things
from results.own_notes import one_line, run_notes
from results.stored_comparison import StoredComparison, comparison_node
from universality import __version__

QUESTION = "Do independently trained transformers learn the same features?"


def home_document(stored: StoredComparison, codes: Codes) -> dict[str, Any]:
    """Everything that every page needs of the run, and the first page.

    Args:
        stored: the comparison.
        codes: numbers of words, complete.
    """
    tables = {name: table for name in TABLES if (table := stored.optional(name)) is not None}
    models = stored.models()
    return {
        "run": stored.name,
        "comparison": stored.comparison,
        "question": QUESTION,
        "answer": conclusions(tables),
        "cautions": [[caution.title, caution.plain, caution.severe] for caution in stored_cautions(stored)],
        "provenance": _provenance(stored),
        "cite": _citation(stored),
        "models": _models(stored),
        "colours": {
            "model": model_colours(models), "class": CLASS_COLOURS, "level": LEVEL_COLOURS,
            "verdict": VERDICT_COLOURS, "other": GREY,
        },
        "floor": {"label": _label_floor(stored), **_agreement(stored, "untrained")},
        "ceiling": _agreement(stored, "ceiling"),
        "words": codes.words(),
        "own": {
            kind: {name: [note.name, note.note] for name, note in notes.items()}
            for kind, notes in named_things(stored).items()
        },
        "names": {word: words.called(word) for kind in codes.words().values() for word in kind if word in words.NAMES},
        "meanings": {
            "class": words.CLASSES, "level": words.LEVELS, "group": words.GROUPS, "verdict": words.VERDICTS,
            "statistic": words.STATISTICS, "flag": words.FLAGS, "effect": words.EFFECT_CLASSES,
            "status": words.LATENTS,
        },
        "pair": ["side", "model", "latent", "level", "edge", "effect", *PAIR_NUMBERS],
        "shard": SHARD,
        "alpha": stored.alpha,
        "tau": stored.tau,
    }  # fmt: skip


def _models(stored: StoredComparison) -> list[dict[str, Any]]:
    table = stored.table("models")
    rows = table[(table["role"] == "primary").to_numpy()].to_dict("records")
    numbers = ("d_sae", "n_alive", "n_rare", "n_dead", "l0", "fvu")
    return [
        {"id": str(row["model"]), "hook": str(row.get("hook_point", "")), **{n: plain(row.get(n), 3) for n in numbers}}
        for row in rows
    ]


def _agreement(stored: StoredComparison, kind: str) -> dict[str, Any]:
    """Mean r of assigned pairs of a kind, as it is and with domain, document, token and position taken away."""
    table = stored.optional("agreement")
    rows = pd.DataFrame() if table is None else table[(table["kind"] == kind) & (table["pair"] == "overall")]
    if not len(rows):
        return {}
    row = rows.iloc[0]
    return {"r": plain(row["mean_r"], 3), "r_joint": plain(row["mean_r_joint"], 3)}


def _label_floor(stored: StoredComparison) -> float | None:
    """Median r of the own rules of untrained models' latents."""
    labels = stored.optional("labels")
    if labels is None or labels.empty:
        return None
    summary = label_summary(labels, stored.models())
    return plain(summary.loc[summary["kind"] == "all", "r_floor"].iloc[0], 2)


def _provenance(stored: StoredComparison) -> list[list[str]]:
    record = stored.record
    models = stored.table("models")
    hooks = models.loc[models["role"] == "primary", "hook_point"].astype(str).unique() if "hook_point" in models else []
    made_with = (record.get("environment") or {}).get("universality", "unknown")
    note = run_notes(stored.run.store, [record])[0]
    facts = {
        "run": stored.name,
        **({"note by those who made it": one_line(note)} if note else {}),
        "recipe": str(record.get("recipe_name") or "–"),
        "comparison": stored.comparison,
        "reads": ", ".join(hooks) or "–",
        "finished": _day(record.get("finished") or record.get("created")),
        "computed with": f"universality {made_with}",
        "pages written with": f"universality {__version__}",
        "evaluation text": f"{stored.text.n_rows:,} tokens, {int(stored.score_rows.sum()):,} of them held out",
        "counts as one feature": f"held-out r of {stored.tau:g} or more, false-discovery rate below {stored.alpha:g}",
        "artifact": stored.run.artifact(comparison_node(stored.comparison)).key,
    }
    return [list(fact) for fact in facts.items()]


def _citation(stored: StoredComparison) -> str:
    record = stored.record
    day = _day(record.get("finished") or record.get("created"))
    made_with = (record.get("environment") or {}).get("universality", __version__)
    key = stored.run.artifact(comparison_node(stored.comparison)).key
    recipe = record.get("recipe_name") or "unknown"
    return (
        f"Universality {made_with}: atlas of run {stored.name} (recipe {recipe}, comparison {stored.comparison}, "
        f"{day}, artifact {key})."
    )


def _day(seconds: Any) -> str:
    return datetime.fromtimestamp(float(seconds), UTC).strftime("%Y-%m-%d") if seconds else "–"
