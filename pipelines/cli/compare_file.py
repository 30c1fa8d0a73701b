"""A file that says what ``universality compare`` is to read, in place of options: kept, it says what was compared."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipelines.cli.compare_settings import DENSE, OTHERS, ROW_FILES, SETTINGS
from pipelines.cli.options import MaybeInt
from pipelines.errors import nearest
from pipelines.recipe.yaml_text import MAX_BYTES, decoded, parsed
from universality.errors import refusal

#: Key of the matrices; all others are called as the options are.
MODELS = "models"


def read_compare_file(path: Path, options: Mapping[str, Any]) -> tuple[list[Path], dict[str, Any]]:
    """What a YAML file says, under the names of the options.

    Args:
        path: the file; what it names is found from the current folder, as by a recipe.
        options: the options of the command with what was typed, which goes before the file.

    Returns:
        The matrices, and the options with those of the file filled in.

    Raises:
        InputError: no such file, no YAML, a key that is no option, a value of another kind than the option's.
    """
    with open(path, "rb") as file:
        said = parsed(decoded(file.read(MAX_BYTES + 1), str(path)), str(path))
    if isinstance(said, dict) and "recipe" in said:
        raise refusal(
            "file", str(path), "one that names activations", "a recipe", "`universality run` computes recipes."
        )
    if not isinstance(said, dict) or not _of_texts(said.get(MODELS)):
        remedy = "`universality init own-activations` prints an example."
        raise refusal(MODELS, str(path), "a mapping of names to files", "none", remedy)
    filled = dict(options) | {"names": ",".join(said[MODELS])}
    for key, value in said.items():
        name = str(key).replace("-", "_")
        if name == MODELS or value is None:
            continue
        if name not in options or name == "names":
            legal = [MODELS, *(option for option in options if option != "names")]
            remedy = f"Correct it.{nearest(name, legal)}"
            raise refusal("key", str(path), f"one of {', '.join(legal)}", repr(key), remedy)
        default = SETTINGS[name][1] if name in SETTINGS else None
        if options[name] in (default, None):
            filled[name] = _as_typed(name, value, str(path))
    return [Path(text) for text in said[MODELS].values()], filled


def _as_typed(name: str, value: Any, where: str) -> Any:
    """A value of the file as the command line would have given it."""
    if name in OTHERS or name in DENSE:
        if not _of_texts(value):
            raise refusal(name, where, "a mapping of names to files", repr(value), "Write {m0: m0r.npz}.")
        return [f"{model}={file}" for model, file in value.items()]
    if name in ROW_FILES:
        if not isinstance(value, str):
            raise refusal(name, where, "the path of a file", repr(value), "Write rows.npy.")
        return Path(value)
    kind, _, bounds, _ = SETTINGS[name]
    whole = kind in (int, MaybeInt)
    least, most = bounds.get("min", -math.inf), bounds.get("max", math.inf)
    fits = isinstance(value, int if whole else (int, float)) and not isinstance(value, bool)
    if not fits or not least <= value <= most:
        within = f"{'a whole number' if whole else 'a number'} of at least {least:g}"
        within += f" and at most {most:g}" if math.isfinite(most) else ""
        raise refusal(name, where, within, repr(value), "Correct it.")
    return value


def _of_texts(value: Any) -> bool:
    return isinstance(value, dict) and bool(value) and all(isinstance(file, str) for file in value.values())
