"""Which settings of a run are its own: what differs between runs of one recipe, in one short line each."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

#: Parts of a recipe that compute nothing.
_WORDS = ("recipe", "description")
#: Settings that are shown of a run; more are counted.
SHOWN = 3


def own_settings(
    records: Sequence[Mapping[str, Any]], shipped: Mapping[str, Mapping[str, Any]] | None = None
) -> list[str]:
    """What each run was asked for that its recipe as shipped, or most runs of the same recipe, were not.

    Args:
        records: of runs, with ``recipe_name``, ``recipe`` and ``created``.
        shipped: every setting of recipes that ship with the package, by name. Of all others the value of most runs is
            the usual one, of the oldest where as many have another. What an earlier version did not know is not told.

    Returns:
        ``"compare.tau=0.6"`` by run, several with commas; empty for a run that differs in nothing.
    """
    settings = [dict(_settings(record["recipe"] or {})) for record in records]
    counts: dict[str, dict[str, Counter[str]]] = defaultdict(lambda: defaultdict(Counter))
    for record, own in sorted(zip(records, settings, strict=True), key=lambda pair: pair[0]["created"]):
        for path, value in own.items():
            counts[record["recipe_name"]][path][value] += 1
    usual = {
        recipe: {path: values.most_common(1)[0][0] for path, values in by_path.items()}
        for recipe, by_path in counts.items()
    } | {recipe: dict(_settings(whole)) for recipe, whole in (shipped or {}).items()}
    told = []
    for record, own in zip(records, settings, strict=True):
        normal = usual.get(record["recipe_name"], {})
        said = [f"{path}={value}" for path, value in own.items() if normal.get(path, value) != value]
        told.append(", ".join(said[:SHOWN]) + (f", {len(said) - SHOWN} more" if len(said) > SHOWN else ""))
    return told


def _settings(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Every setting by its path as ``--set`` takes it; of mappings whether, of lists of mappings how many there are."""
    inside: Mapping[str, Any] = {}
    if isinstance(value, Mapping):
        inside, said = {name: item for name, item in value.items() if path or name not in _WORDS}, "set"
    elif isinstance(value, (list, tuple)) and any(isinstance(item, Mapping) for item in value):
        inside, said = {str(place): item for place, item in enumerate(value)}, f"{len(value)} entries"
    else:
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        said = text if len(text) <= 40 else f"{text[:36]}…"
    if path:
        yield path, said
    for name, item in inside.items():
        yield from _settings(item, f"{path}.{name}" if path else name)
