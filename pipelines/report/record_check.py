"""What a report says of settings comes from the run's record; here it is held against what made the artifacts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pipelines.engine import find_step
from pipelines.plan import planned_nodes
from pipelines.plan.layout_nodes import Layout
from pipelines.recipe import Recipe
from storage import Run
from universality.errors import InputError, refusal


def refuse_other_settings(run: Run, recipe: Recipe | None) -> None:
    """Refuse a run whose artifacts were made with other settings than those that its record names.

    Records that this program writes agree; those of earlier versions do not where a name was used again.

    Args:
        run: the run.
        recipe: the recipe of its record; None where this version cannot read it, and nothing is compared.

    Raises:
        InputError: names the settings.
    """
    if recipe is None:
        return
    wrong = [text for node, said, made in _both(run, recipe) for text in differences(said, made, node)]
    if wrong:
        got = "; ".join(wrong[:4]) + ("; …" if len(wrong) > 4 else "")
        remedy = f"Delete the run (universality delete {run.name}) and run the recipe again: what is stored is reused."
        constraint = "that of the settings its artifacts were made with"
        raise refusal("recipe", f"the record of run {run.name!r}", constraint, got, remedy)


def differences(said: Any, made: Any, where: str) -> Iterator[str]:
    """Settings that both name and that differ, in words; what only one of them names says nothing."""
    if isinstance(said, Mapping) and isinstance(made, Mapping):
        for name in said.keys() & made.keys():
            yield from differences(said[name], made[name], f"{where}.{name}")
    elif isinstance(said, (list, tuple)) and isinstance(made, (list, tuple)) and len(said) == len(made):
        for place, (one, other) in enumerate(zip(said, made, strict=True)):
            yield from differences(one, other, f"{where}.{place}")
    elif said != made:
        yield f"{where} {said!r}, made with {made!r}"


def _both(run: Run, recipe: Recipe) -> Iterator[tuple[str, Mapping[str, Any], Mapping[str, Any]]]:
    """Node, params by the recipe and params it was made with, of each artifact that today's steps would make so."""
    nodes = run.record["nodes"]
    # Which device a run was made on is in no recipe, but only there are some of its params.
    planned = {device: _by_id(recipe, device) for device in ("cpu", "cuda")}
    for node, fields in nodes.items():
        if not run.store.has(fields["key"]):
            continue
        manifest = run.store.get(fields["key"]).manifest
        made = manifest["params"]
        found = planned[str(made.get("device", "cpu"))].get(node)
        if (
            found is not None
            and found.step == manifest["step"]
            and find_step(found.step).version == manifest["version"]
        ):
            yield node, found.params, made


def _by_id(recipe: Recipe, device: str) -> dict[str, Any]:
    try:
        return {node.id: node for node in planned_nodes(Layout(recipe, device, pinned=False))}
    except InputError:  # a recipe that this version would not plan
        return {}
