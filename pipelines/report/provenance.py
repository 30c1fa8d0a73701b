"""Where every number comes from: what was asked, which artifacts answered, on what, with which warnings."""

import hashlib
import math
from collections.abc import Mapping
from importlib import metadata
from typing import Any

import pandas as pd

from pipelines.report.results_schema import VERSION
from results.conclusions import TABLES, conclusions
from results.headline import split_comparisons, summary_values
from results.stored_comparison import step_warnings
from results.study_frames import study_sentences
from storage import Run

#: Facts that differ from one computation of the same bytes to the next.
TIMED_FACTS = frozenset({"wall_s", "peak_memory", "started", "finished", "created", "host", "pid"})
#: Facts that are told of the whole run.
WHOLE_FACTS = frozenset({"made_with"})
#: Packages that write a report's files.
WRITERS = ("universality", "matplotlib", "numpy", "pandas", "pyarrow")


def run_values(run: Run, tables: Mapping[str, pd.DataFrame], missing: tuple[str, ...]) -> dict[str, Any]:
    """Everything about a run but its times, as JSON values.

    Args:
        run: the run.
        tables: its tables by name.
        missing: what the report lacks, in words.

    Returns:
        Values of :class:`pipelines.report.results_schema.Results`, equal for two computations of the same recipe on the
        same machine, whenever they ran; the list of limitations is still empty.
    """
    record = run.record
    artifacts = _artifacts(run)
    headline, features = tables.get("headline"), tables.get("features")
    summary = summary_values(headline, features) if headline is not None and features is not None else {}
    return clean(
        {
            "schema_version": VERSION,
            "run": run.name,
            "status": run.status,
            "recipe_name": record.get("recipe_name"),
            **summary,
            "conclusions": _conclusions(tables),
            "missing": list(missing),
            "warnings": step_warnings(run),
            "limitations": [],
            "seeds": _seeds(record, tables.get("models")),
            "corpus": _corpus(tables.get("documents")),
            "recipe": record.get("recipe"),
            "environment": made_with(run),
            "written_with": {name: _version(name) for name in WRITERS},
            "artifacts": artifacts,
        }
    )


def made_with(run: Run) -> dict[str, Any] | None:
    """The machine of a run, with the versions that its artifacts were made with.

    An artifact may be another run's, or of a call before an update. So versions are those that the artifacts name;
    where they name several, all are told, ``"2.1.3, 2.2.0"``. Artifacts of earlier versions name none.
    """
    environment = run.record.get("environment")
    if environment is None:
        return None
    found: dict[str, set[str]] = {}
    for key in {fields["key"] for fields in run.record["nodes"].values()}:
        if run.store.has(key):
            for name, version in (run.store.get(key).manifest["facts"].get("made_with") or {}).items():
                found.setdefault(name, set()).add(str(version))
    told = {name: ", ".join(sorted(each)) for name, each in found.items() if each != {"None"}}
    packages = environment.get("packages") or {}
    ours = {name: told.pop(name, environment.get(name)) for name in ("universality", "python") if name in environment}
    return {**environment, **ours, **({"packages": {**packages, **told}} if "packages" in environment else {})}


def _conclusions(tables: Mapping[str, pd.DataFrame]) -> dict[str, list[str]]:
    """What each comparison found, in sentences, by its id."""
    by_id: dict[str, dict[str, pd.DataFrame]] = {}
    for name in TABLES:
        for comparison, part in split_comparisons(tables[name]) if name in tables else ():
            by_id.setdefault(comparison, {})[name] = part
    told = {comparison: conclusions(parts) for comparison, parts in by_id.items()}
    return told | {study: [sentence] for study, sentence in study_sentences(tables).items()}


def time_stamps(run: Run, written: float) -> dict[str, Any]:
    """All times of a run and of its report, seconds since 1970 and durations; the only bytes that may differ."""
    record = run.record
    steps: dict[str, Any] = {}
    by_device: dict[str, float] = {}
    for node, fields in record["nodes"].items():
        if run.store.has(fields["key"]):
            manifest = run.store.get(fields["key"]).manifest
            facts = manifest["facts"]
            timed = {k: v for k, v in facts.items() if k in TIMED_FACTS}
            steps[node] = {"created": manifest["created"], **timed}
            device = str(facts.get("device", "unknown"))
            by_device[device] = by_device.get(device, 0.0) + float(facts.get("wall_s", 0.0))
    times = {name: record.get(name) for name in ("created", "finished", "wall_s")}
    # What steps took, whenever and in whichever run they were computed: parallel and reused ones count in full.
    totals = {name: round(total, 3) for name, total in sorted(by_device.items())}
    return clean({"report_written": written, "run": times, "step_seconds_by_device": totals, "artifacts": steps})


def clean(value: Any) -> Any:
    """JSON values in which a number that is not finite is null."""
    if isinstance(value, Mapping):
        return {str(name): clean(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [clean(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _artifacts(run: Run) -> dict[str, Any]:
    """By node: step, key and, where it is finished, the step's version and its facts without times."""
    entries: dict[str, Any] = {}
    for node, fields in run.record["nodes"].items():
        entry: dict[str, Any] = {"step": fields["step"], "key": fields["key"], "finished": False}
        if run.store.has(fields["key"]):
            manifest = run.store.get(fields["key"]).manifest
            facts = {k: v for k, v in manifest["facts"].items() if k not in TIMED_FACTS | WHOLE_FACTS}
            entry |= {"finished": True, "version": manifest["version"], "facts": facts}
        entries[node] = entry
    return entries


def _seeds(record: Mapping[str, Any], models: pd.DataFrame | None) -> dict[str, Any]:
    seeds: dict[str, Any] = {"root_seed": (record.get("recipe") or {}).get("root_seed")}
    if models is not None:
        columns = [c for c in ("comparison_id", "model", "role", "model_seed", "sae_seed") if c in models]
        plain = models[columns].astype(object)
        seeds["models"] = plain.where(models[columns].notna(), None).to_dict("records")
    return seeds


def _corpus(documents: pd.DataFrame | None) -> dict[str, Any] | None:
    """Size by domain and part, and one digest of the documents' digests in order."""
    if documents is None:
        return None
    text = "\n".join(documents["digest"].astype(str))
    sizes = documents.groupby(["domain", "part"], sort=True)["n_tokens"].agg(["size", "sum"])
    domains: dict[str, Any] = {}
    for (domain, part), row in zip(sizes.index, sizes.itertuples(index=False), strict=True):
        domains.setdefault(str(domain), {})[str(part)] = {"documents": int(row[0]), "tokens": int(row[1])}
    return {
        "documents": len(documents),
        "tokens": int(documents["n_tokens"].sum()),
        "digest": "sha256:" + hashlib.sha256(text.encode()).hexdigest(),
        "domains": domains,
    }


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
