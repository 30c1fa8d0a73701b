"""Recipes from files: found, overridden, checked, and explained where they are not legal."""

import difflib
import re
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from pipelines.recipe.whole import Recipe
from pipelines.recipe.yaml_text import MAX_BYTES, decoded, parsed
from universality.config import Fault, faults
from universality.errors import InputError, refusal

#: Mistakes of one recipe that are told at once.
MOST_SAID = 20


def shipped_recipes() -> dict[str, str]:
    """Name and description of every recipe that ships with the package."""
    return {
        path.name.removesuffix(".yaml"): str(_parse(path.read_text(encoding="utf-8"), path.name).get("description", ""))
        for path in sorted(resources.files("pipelines").joinpath("recipes").iterdir(), key=lambda p: p.name)
        if path.name.endswith(".yaml")
    }


def load_recipe(name_or_path: str, overrides: list[str] | tuple[str, ...] = ()) -> Recipe:
    """Read a recipe by the name of a shipped one or by path, and apply ``a.b=c`` overrides.

    Args:
        name_or_path: ``quickstart`` or ``my/recipe.yaml``.
        overrides: each ``dotted.path=value``; the value is YAML, list positions are numbers
            (``comparisons.0.sae.k=32``).

    Raises:
        InputError: no such recipe, no YAML, an unknown key (with the nearest legal one) or an illegal value; the
            message names the file and the path inside it.
    """
    text, where = _source(name_or_path)
    data = _parse(text, where)
    for override in overrides:
        _apply(data, override)
    return validate_recipe(data, where)


def validate_recipe(data: dict[str, Any], where: str) -> Recipe:
    """Check a recipe given as plain data; ``where`` names it in messages."""
    try:
        return Recipe.model_validate(data)
    except ValidationError as error:
        raise InputError(_explain(faults(error, data), where)) from None


def _source(name_or_path: str) -> tuple[str, str]:
    path = Path(name_or_path)
    if path.suffix in {".yaml", ".yml"} or path.is_file():
        if not path.is_file():
            raise refusal("recipe", "the command line", "an existing file", name_or_path, "Check the path.")
        with open(path, "rb") as file:
            return decoded(file.read(MAX_BYTES + 1), str(path)), str(path)
    shipped = resources.files("pipelines").joinpath("recipes", f"{name_or_path}.yaml")
    if not shipped.is_file() and path.is_dir():
        remedy = "Name the recipe in it; recipes are YAML files."
        raise refusal("recipe", "the command line", "a file", f"the folder {name_or_path}", remedy)
    if not shipped.is_file():
        names = list(shipped_recipes())
        near = difflib.get_close_matches(name_or_path, names, 1)
        hint = f"Did you mean {near[0]!r}? " if near else ""
        constraint = f"a file or one of {', '.join(names)}"
        remedy = f"{hint}`universality recipes` lists them."
        raise refusal("recipe", "the command line", constraint, name_or_path, remedy)
    return shipped.read_text(encoding="utf-8"), f"{name_or_path}.yaml"


def _parse(text: str, where: str) -> dict[str, Any]:
    data = parsed(text, where)
    if not isinstance(data, dict):
        got = {type(None): "nothing", list: "a list"}.get(type(data), f"the value {str(data)[:40]!r}")
        remedy = "`universality init` prints one to start from."
        raise refusal("recipe", where, "keys with values, such as `recipe: mine`", got, remedy)
    return data


def _apply(data: dict[str, Any], override: str) -> None:
    """Set one dotted path; only existing parents are walked, so that a typo is not silently created."""
    path, sign, raw = override.partition("=")
    if not sign or not path:
        remedy = "Write --set compare.tau=0.6."
        raise refusal("--set", "the command line", "of the form a.b=value", override, remedy)
    node: Any = data
    *parents, last = path.split(".")
    for depth, part in enumerate(parents):
        if isinstance(node, list) and (place := _place(part, node)) is not None:
            node = node[place]
        elif isinstance(node, dict):
            node = node.setdefault(part, {})
        else:
            at = ".".join(parents[: depth + 1])
            raise InputError(f"--set {override}: {at} does not exist in the recipe. Check the path.")
    value = parsed(raw, f"--set {path}") if raw else None
    if isinstance(node, list) and (place := _place(last, node)) is not None:
        node[place] = value
    elif isinstance(node, dict):
        node[last] = value
    else:
        raise InputError(f"--set {override}: {path} does not exist in the recipe. Check the path.")


def _place(part: str, values: list[Any]) -> int | None:
    """The position in a list that a part of a path names; None if there is none."""
    place = int(part) if re.fullmatch("[0-9]{1,6}", part) else len(values)
    return place if place < len(values) else None


def _explain(wrong: list[Fault], where: str) -> str:
    lines = [f"{where} is not a legal recipe:"]
    by_path: dict[str, list[Fault]] = {}
    for fault in wrong:  # a value that may be of several kinds is none of them in as many ways
        by_path.setdefault(fault.path, []).append(fault)
    for fault, *others in list(by_path.values())[:MOST_SAID]:
        path = fault.path[:200] or "(top level)"
        if fault.kind == "extra_forbidden":
            near = difflib.get_close_matches(fault.path.rpartition(".")[2][:80], _legal_keys(), 1, cutoff=0.6)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            lines.append(f"  {path}: unknown key.{hint}")
        else:
            value = repr(fault.got)
            shown = f"; got {value}" if fault.kind != "missing" and len(value) < 80 else ""
            kinds = " or ".join(dict.fromkeys(each.constraint for each in (fault, *others) if not each.sentence))
            lines.append(f"  {path}: {fault.sentence or f'must be {kinds}'}{shown}")
    if len(by_path) > MOST_SAID:
        lines.append(f"  … and {len(by_path) - MOST_SAID} more")
    lines.append("`universality schema` prints every key with its meaning.")
    return "\n".join(lines)


@cache
def _legal_keys() -> list[str]:
    """Every property name anywhere in the schema, for did-you-mean."""
    schema = Recipe.model_json_schema()
    models = [schema, *schema.get("$defs", {}).values()]
    return sorted({key for model in models for key in model.get("properties", {})})
