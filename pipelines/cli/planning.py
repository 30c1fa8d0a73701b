"""``universality plan``: what a run would compute, from what the store holds."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from pipelines.cli.options import (
    STORE,
    DeviceOption,
    GpuSlotsOption,
    JsonOption,
    NameOption,
    RecipeArgument,
    SetOption,
    StoreOption,
    WorkersOption,
)
from pipelines.cli.terminal import console, plain_table, print_json, titled
from results.words import counted, duration, size
from universality.errors import InputError, refusal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipelines.engine import Plan
    from pipelines.recipe import Recipe
    from storage import Run, Store


def plan(
    recipe: RecipeArgument,
    *,
    name: NameOption = None,
    store: StoreOption = STORE,
    overrides: SetOption = None,
    workers: WorkersOption = None,
    device: DeviceOption = "auto",
    gpu_slots: GpuSlotsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show what a run would compute.

    Every step: in the store, stale or to do, with its expected time, disk and memory.
    """
    from pipelines.engine.machine import cores
    from storage import open_store

    check_run_name(name)
    read, nodes = recipe_and_plan(recipe, overrides or [], device)
    opened = open_store(store)
    states = node_states(nodes, opened, read.recipe)
    head = {"name": name or default_name(read, nodes), "recipe": read.recipe, "store": opened.url}
    shared = gpu_slots_here(nodes, gpu_slots)
    document = head | plan_document(nodes, states, workers or cores(), shared)
    if as_json:
        print_json(document)
    else:
        _print(document)


def check_run_name(name: str | None) -> None:
    """Refuse what cannot name a run, before anything is read. Raises InputError, with a name that can."""
    from storage.keys import InvalidName, check_name

    try:
        if name is not None:
            check_name(name, "a run")
    except InvalidName:
        near = re.sub(r"[^A-Za-z0-9_.-]+", "-", name or "")[:64].strip(".-")
        offer = f"Call it {near!r}." if near else "Choose another."
        legal = "a name is made of letters, digits, '_', '-' and '.', at most 128 of them"
        raise InputError(f"A run cannot be called {name!r}: {legal}. {offer}") from None


def recipe_and_plan(recipe_name: str, overrides: list[str], device: str) -> tuple[Recipe, Plan]:
    """Load a recipe and expand it into nodes for the device that the word stands for."""
    from pipelines.engine.machine import choose_device
    from pipelines.plan import build_plan
    from pipelines.recipe import load_recipe

    recipe = load_recipe(recipe_name, overrides)
    return recipe, build_plan(recipe, device=choose_device(device))


def default_name(recipe: Recipe, plan: Plan) -> str:
    """The recipe's name and a hash of the plan: the same recipe resumes its run, a changed one does not."""
    return f"{recipe.recipe}-{plan.digest()}"


def node_states(plan: Plan, store: Store, recipe_name: str) -> dict[str, tuple[str, str]]:
    """State and reason by node id.

    ``cached``: the artifact is in the store. ``stale``: it is not, but the newest run of this recipe has
    another one for the node; the reason says what changed. ``to do``: neither.
    """
    keys = plan.keys()
    earlier = _earlier_keys(store, recipe_name)
    states: dict[str, tuple[str, str]] = {}
    for node in plan:
        old = earlier.get(node.id)
        if store.has(keys[node.id]):
            states[node.id] = ("cached", "")
        elif old is not None and old != keys[node.id] and store.has(old):
            manifest = store.get(old).manifest
            states[node.id] = ("stale", _what_changed(plan, node.id, manifest))
        else:
            states[node.id] = ("to do", "")
    return states


def _earlier_keys(store: Store, recipe_name: str) -> dict[str, str]:
    records = store.records({})
    ours = [record for record in records if record["recipe_name"] == recipe_name]
    return {node_id: node["key"] for node_id, node in ours[-1]["nodes"].items()} if ours else {}


def _what_changed(plan: Plan, node_id: str, manifest: dict[str, Any]) -> str:
    from pipelines.engine import find_step

    node, keys = plan[node_id], plan.keys()
    version = find_step(node.step).version
    reasons = []
    if manifest["version"] != version:
        reasons.append(f"step version {manifest['version']} -> {version}")
    before = manifest["params"]
    for name in sorted({*before, *node.params}):
        if before.get(name) != node.params.get(name):
            reasons.append(f"params.{name}")
    inputs = {local: keys[source] for local, source in node.inputs.items()}
    reasons += [node.inputs.get(local, local) for local, key in inputs.items() if manifest["inputs"].get(local) != key]
    return ", ".join(reasons[:4]) + (" …" if len(reasons) > 4 else "")


def refuse_replacing(run: Run, plan: Plan, recipe: dict[str, Any]) -> None:
    """Refuse to put results of other settings in the place of those that a run has.

    Args:
        run: a run of the same recipe's name.
        plan: what is to be computed under its name.
        recipe: every setting of the plan.

    Raises:
        InputError: names the settings. A plan that only adds to the run, or differs by newer steps alone, is let
            through, and so is any plan for a run without results.
    """
    record, keys = run.observed, plan.keys()
    if record["status"] not in ("done", "partial"):
        return
    done = {node: fields["key"] for node, fields in record["nodes"].items() if fields["status"] == "done"}
    before = _with_defaults(record["recipe"])
    changed = list(_changes(before, recipe))
    replaced = [node for node, key in done.items() if keys.get(node) != key]
    for node in replaced:
        manifest = run.store.get(done[node]).manifest
        if node in keys and not changed and _same_version(plan, node, manifest):
            # Not the recipe, but for example the device: the params say so.
            changed += _changes(manifest["params"], plan[node].params)
    if replaced and changed:
        shown = "; ".join(changed[:4]) + ("; …" if len(changed) > 4 else "")
        constraint = "a new name, or that of a run of the same settings"
        remedy = f"Choose another name, or delete that run first: universality delete {run.name}."
        raise refusal(
            "--name", "this command", constraint, f"{run.name!r}, which has results of others ({shown})", remedy
        )


def _with_defaults(recipe: dict[str, Any]) -> dict[str, Any]:
    """A recipe of an earlier version with every setting of today; as it is where that is not possible."""
    from pydantic import ValidationError

    from pipelines.recipe import Recipe

    try:
        return Recipe.model_validate(recipe).resolved()
    except ValidationError:
        return recipe


def _same_version(plan: Plan, node: str, manifest: dict[str, Any]) -> bool:
    from pipelines.engine import find_step

    return plan[node].step == manifest["step"] and find_step(plan[node].step).version == manifest["version"]


def _changes(before: Any, now: Any, path: str = "") -> Iterator[str]:
    """What differs between two settings, ``"compare.tau 0.5, now 0.6"``."""
    if isinstance(before, dict) and isinstance(now, dict):
        for name in dict.fromkeys([*before, *now]):
            yield from _changes(before.get(name), now.get(name), f"{path}.{name}" if path else name)
    elif isinstance(before, (list, tuple)) and isinstance(now, (list, tuple)) and len(before) == len(now):
        for place, (one, other) in enumerate(zip(before, now, strict=True)):
            yield from _changes(one, other, f"{path}.{place}")
    elif before != now:
        yield f"{path} {_short(before)}, now {_short(now)}"


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:50]}…"


def gpu_slots_here(plan: Plan, wish: int | None) -> int:
    """Steps that may run at once on all GPUs of this machine; 0 where the plan needs none."""
    from pipelines.engine.machine import device_memory, visible_devices
    from pipelines.engine.slots import default_slots

    if all(node.device == "cpu" for node in plan):
        return 0
    devices = visible_devices()
    return max(1, len(devices)) * (wish or default_slots(plan.nodes, device_memory(devices)))


def plan_document(plan: Plan, states: dict[str, tuple[str, str]], workers: int, gpu_slots: int = 1) -> dict[str, Any]:
    """The plan as JSON values: nodes in order, totals of what is to be computed, critical path."""
    from pipelines.engine import critical_path
    from pipelines.engine.plan import makespan

    keys = plan.keys()

    def cost(node: Any) -> float:
        return 0.0 if states[node.id][0] == "cached" else node.estimate.seconds

    nodes = [
        {
            "id": node.id, "step": node.step, "key": keys[node.id],
            "state": states[node.id][0], "because": states[node.id][1],
            "seconds": node.estimate.seconds, "bytes": node.estimate.bytes, "memory": node.estimate.memory,
            "passes": node.estimate.passes,
            "threads": node.threads, "device": node.device, "inputs": list(node.inputs.values()),
        }
        for node in plan
    ]  # fmt: skip
    todo = [node for node in plan if states[node.id][0] != "cached"]
    path = [node_id for node_id in critical_path(plan, cost) if states[node_id][0] != "cached"]
    totals = {
        "nodes": len(plan),
        "to_do": len(todo),
        "seconds": sum(node.estimate.seconds for node in todo),
        "makespan": makespan(plan, cost, workers, gpu_slots),
        "workers": workers,
        "gpu_slots": gpu_slots,
        "bytes": sum(node.estimate.bytes for node in todo),
        "memory": max((node.estimate.memory for node in todo), default=0),
        "passes": sum(node.estimate.passes for node in todo),
    }
    seconds = sum(plan[node_id].estimate.seconds for node_id in path)
    roles = ("trained", "replicates", "untrained")
    compared = {
        node.params["comparison_id"]: {role: list(node.params[role]) for role in roles}
        for node in plan
        if node.step == "comparison"
    }
    studied = {
        node.params["study_id"]: {
            "dictionaries": sum(not cell["untrained"] for cell in node.params["cells"]),
            "untrained": sum(cell["untrained"] for cell in node.params["cells"]),
            "pairs": sum(name.startswith("pair/") for name in node.inputs),
        }
        for node in plan
        if node.step == "study"
    }
    return {
        "warnings": [{"node": node.id, "message": warning} for node in plan for warning in node.warnings],
        "comparisons": compared,
        "studies": studied,
        "totals": totals,
        "critical_path": {"nodes": path, "seconds": seconds},
        "nodes": nodes,
    }


def _rows(nodes: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """A row per node, but one for all pairs of a study that are in one state: these are hundreds."""
    pairs: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for node in nodes:
        if node["step"] == "study_pair":
            pairs.setdefault((node["id"].rpartition("/")[0], node["state"]), []).append(node)
        else:
            yield node
    for (name, _), found in pairs.items():
        sums = {key: sum(node[key] for node in found) for key in ("seconds", "bytes")}
        most = max(node["memory"] for node in found)
        yield found[0] | {"id": f"{name}/… ({len(found)} pairs)", "memory": most, **sums}


def _print(document: dict[str, Any]) -> None:
    out = console()
    title = f"{document['recipe']} as run {document['name']} in {document['store']}"
    table = plain_table("node", "state", ">time", ">disk", ">memory")
    for node in _rows(document["nodes"]):
        state = node["state"] + (f" ({node['because']})" if node["because"] else "")
        table.add_row(node["id"], state, duration(node["seconds"]), size(node["bytes"]), size(node["memory"]))
    out.print(titled(title, table))
    for comparison, dictionaries in document["comparisons"].items():
        beside = [f"{role} {', '.join(ids)}" for role, ids in list(dictionaries.items())[1:] if ids]
        said = "; ".join([", ".join(dictionaries["trained"]), *beside])
        out.print(f"Comparison {comparison} compares the dictionaries {said}.", markup=False)
    for study, counts in document["studies"].items():
        beside = f" ({counts['untrained']} of untrained models beside)" if counts["untrained"] else ""
        words = f"{counts['dictionaries']} dictionaries{beside}, {counted(counts['pairs'], 'pair')}"
        out.print(f"Study {study}: {words}.", markup=False)
    for warning in document["warnings"]:
        out.print(f"warning: {warning['node']}: {warning['message']}", markup=False)
    totals, path = document["totals"], document["critical_path"]
    if not totals["to_do"]:
        out.print(f"Nothing to compute: all {totals['nodes']} steps are in the store.")
        return
    slots = f" and {counted(totals['gpu_slots'], 'GPU slot')}" if totals["gpu_slots"] else ""
    out.print(
        f"{totals['to_do']} of {totals['nodes']} steps to compute: about {duration(totals['makespan'])} "
        f"on {totals['workers']} workers{slots} ({duration(totals['seconds'])} in all), "
        f"{size(totals['bytes'])} of disk, up to {size(totals['memory'])} of memory in one process."
    )
    if totals["passes"]:
        out.print(
            f"Models run again to ablate latents one by one: at most {totals['passes']:,} forward passes "
            "(effects.latents, effects.per_latent and effects.rerun_rows say how many)."
        )
    out.print(f"Critical path, {duration(path['seconds'])}: {' -> '.join(path['nodes'])}")
