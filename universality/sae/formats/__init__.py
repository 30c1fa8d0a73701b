"""Reading and writing dictionaries on disk: ours, and the public formats.

The one place of this room that touches paths. A format is recognised by the files a folder holds, never
by its name; nothing is unpickled.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from universality.arguments import checked, instance, one_of
from universality.arguments import path as a_path
from universality.errors import refusal
from universality.sae.base import SparseAutoencoder
from universality.sae.formats import dictionary_learning, gemma_scope, ours, saelens, saelens_export, sparsify
from universality.sae.formats.files import digests

__all__ = ["FORMATS", "Format", "load_sae", "recognise", "save_sae"]


@dataclass(frozen=True)
class Format:
    """A public format: the files that tell it, and the function that reads them."""

    name: str
    files: tuple[str, ...]
    read: Callable[[Path], SparseAutoencoder]


FORMATS = (
    Format("universality", ("sae.json", "sae.safetensors"), ours.read),
    Format("saelens", ("cfg.json", "sae_weights.safetensors"), saelens.read),
    Format("sparsify", ("cfg.json", "sae.safetensors"), sparsify.read),
    Format("dictionary_learning", ("config.json", "ae.pt"), dictionary_learning.read),
    Format("gemma_scope", ("params.npz",), gemma_scope.read),
    Format("gemma_scope_2", ("config.json", "params.safetensors"), gemma_scope.read_second),
)


WRITERS = {"universality": ours.write, "saelens": saelens_export.write}


@checked(sae=instance(SparseAutoencoder, remedy="Load or train one."), path=a_path, format=one_of(*WRITERS))
def save_sae(sae: SparseAutoencoder, path: str | Path, format: str = "universality") -> None:  # noqa: A002 - promised name
    """Write a dictionary into a folder.

    Args:
        sae: the dictionary.
        path: folder, made where it does not exist; files of the same name are replaced.
        format: ``"universality"`` (any dictionary; :func:`load_sae` is its inverse to the bit) or ``"saelens"``
            (loads in SAELens 6 and newer, and computes the same there).

    Raises:
        InputError: an unknown format, or a dictionary that the format cannot hold.
    """
    folder = Path(path).expanduser()
    there = next((place for place in (folder, *folder.parents) if place.exists()), folder)
    if there.exists() and not there.is_dir():
        raise refusal("path", "save_sae", "a folder, or none yet", f"the file {there}", "Choose another.")
    WRITERS[format](sae, folder)


@checked(path=a_path)
def recognise(path: str | Path) -> Format:
    """The format of a folder.

    Raises:
        InputError: no folder, or a folder with the files of none of the formats; the message names the files found
            and the sub-folders that would do.
    """
    folder = Path(path).expanduser()
    if not folder.is_dir():
        raise refusal("path", "load_sae", "a folder that holds one dictionary", str(path), "Correct the path.")
    recognised = _format_of(folder)
    if recognised is not None:
        return recognised
    entries = sorted(folder.iterdir())
    names = ", ".join(entry.name + ("/" if entry.is_dir() else "") for entry in entries)
    inside = [entry.name for entry in entries if entry.is_dir() and _format_of(entry) is not None]
    legal = "; ".join(f"{form.name}: {' + '.join(form.files)}" for form in FORMATS)
    remedy = f"Load one of its folders: {', '.join(inside[:8])}." if inside else f"Known formats: {legal}."
    raise refusal("files", str(folder), "those of a known format", names or "none", remedy)


def _format_of(folder: Path) -> Format | None:
    return next((form for form in FORMATS if all((folder / name).is_file() for name in form.files)), None)


@checked(path=a_path)
def load_sae(path: str | Path) -> SparseAutoencoder:
    """Load a dictionary of any known format into the canonical form.

    Args:
        path: a folder of ours, SAELens (6 and older), dictionary_learning, sparsify or Gemma Scope.

    Returns:
        The dictionary on the CPU in float32, reading raw activations. ``metadata`` holds ``source_format``,
        ``source_files`` (sha256 of each file), ``act_units`` (``raw``, ``normalised`` or ``unknown``) and what
        the format says of model, hook point and training.

    Raises:
        InputError: no known format, a variant that is not supported, or tensors that contradict the config.
    """
    form, folder = recognise(path), Path(path).expanduser()
    sae = form.read(folder)
    if form.read is ours.read:
        return sae
    origin: dict[str, Any] = {"source_format": form.name, "source_files": digests(folder, form.files)}
    return replace(sae, metadata={**sae.metadata, **origin})
