"""Reading and writing dictionaries on disk: ours, and the public formats.

The one place of this room that touches paths. A format is recognised by the files a folder holds, never
by its name; nothing is unpickled.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from universality.arguments import checked, instance, maybe, one_of, whole
from universality.arguments import path as a_path
from universality.errors import refusal
from universality.sae.base import SparseAutoencoder
from universality.sae.formats import (
    crosscoders,
    dictionary_learning,
    gemma_scope,
    llamascopium,
    ours,
    saelens,
    saelens_export,
    sparsify,
    state_dicts,
)
from universality.sae.formats.files import digests, no_parts

__all__ = ["FORMATS", "SINGLE", "Format", "files_of", "load_sae", "recognise", "save_sae"]


@dataclass(frozen=True)
class Format:
    """A public format.

    Attributes:
        name: what ``source_format`` of the metadata says.
        files: those that tell it, all of them in one folder.
        read: what reads a folder, and of formats with parts also takes which one.
        beside: files that are read too where they are there.
        has_parts: whether it holds crosscoders.
    """

    name: str
    files: tuple[str, ...]
    read: Callable[..., SparseAutoencoder]
    beside: tuple[str, ...] = ()
    has_parts: bool = False


FORMATS = (
    Format("universality", ("sae.json", "sae.safetensors"), ours.read),
    Format(
        "saelens",
        ("cfg.json", "sae_weights.safetensors"),
        saelens.read,
        beside=("activation_scaler.json", "activation_whitening.safetensors"),
    ),
    Format("sparsify", ("cfg.json", "sae.safetensors"), sparsify.read),
    Format("dictionary_learning", ("config.json", "ae.pt"), dictionary_learning.read, has_parts=True),
    Format("gemma_scope", ("params.npz",), gemma_scope.read),
    Format("gemma_scope_2", ("config.json", "params.safetensors"), gemma_scope.read_second),
    Format("llamascopium", ("config.json", "sae_weights.safetensors"), llamascopium.read, has_parts=True),
    Format("llama_scope", ("hyperparams.json", "checkpoints/final.safetensors"), llamascopium.read_first),
    Format("crosscoder", ("cfg.json", "cc_weights.pt"), crosscoders.read_pair, has_parts=True),
    Format("crosscode", ("model_cfg.yaml", "model.pt"), crosscoders.read_crosscode, has_parts=True),
    Format("crosscoder_hub", ("config.json", "model.safetensors"), crosscoders.read_hub, has_parts=True),
)
#: Files that hold a dictionary alone; the path names the file.
SINGLE = Format("state_dict", ("*.pt", "*.pth"), state_dicts.read)


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
    """The format of a folder, or of a file that holds a dictionary alone.

    Raises:
        InputError: neither, or a folder with the files of none of the formats; the message names the files found
            and the sub-folders or files that would do.
    """
    folder = Path(path).expanduser()
    around = _format_of(folder.parent) if folder.is_file() else None
    is_part = around is not None and folder.name in around.files
    if folder.is_file() and _is_single(folder.name) and not is_part:
        return SINGLE
    if not folder.is_dir():
        constraint = f"a folder that holds one dictionary, or a file {' or '.join(SINGLE.files)}"
        remedy = "Name its folder." if folder.is_file() else "Correct the path."
        raise refusal("path", "load_sae", constraint, str(path), remedy)
    recognised = _format_of(folder)
    if recognised is not None:
        return recognised
    entries = sorted(folder.iterdir())
    names = ", ".join(entry.name + ("/" if entry.is_dir() else "") for entry in entries)
    inside = [entry.name for entry in entries if entry.is_dir() and _format_of(entry) is not None]
    inside += [entry.name for entry in entries if entry.is_file() and _is_single(entry.name)]
    legal = "; ".join(f"{form.name}: {' + '.join(form.files)}" for form in FORMATS)
    remedy = f"Load one inside: {', '.join(inside[:8])}." if inside else f"Known formats: {legal}."
    raise refusal("files", str(folder), "those of a known format", names or "none", remedy)


def _format_of(folder: Path) -> Format | None:
    return next((form for form in FORMATS if all((folder / name).is_file() for name in form.files)), None)


def _is_single(name: str) -> bool:
    return any(fnmatch(name, pattern) for pattern in SINGLE.files)


@checked(path=a_path)
def files_of(path: str | Path) -> tuple[Path, tuple[str, ...]]:
    """The folder of a dictionary, and the files in it that make it.

    Raises:
        InputError: what :func:`recognise` refuses.
    """
    form, folder = recognise(path), Path(path).expanduser()
    if form is SINGLE:
        return folder.parent, (folder.name,)
    return folder, (*form.files, *(name for name in form.beside if (folder / name).is_file()))


@checked(path=a_path, part=maybe(whole(0)))
def load_sae(path: str | Path, part: int | None = None) -> SparseAutoencoder:
    """Load a dictionary of any known format into the canonical form.

    Args:
        path: a folder of ours, SAELens (6 and older), dictionary_learning, sparsify, Gemma Scope, Llama Scope or a
            crosscoder's, or a file of OpenAI, Goodfire or Qwen-Scope.
        part: of a crosscoder, the model (or place) whose dictionary is wanted, from 0; without it all parts are one
            dictionary, which reads their activations laid end to end.

    Returns:
        The dictionary on the CPU in float32, reading raw activations. ``metadata`` holds ``source_format``,
        ``source_files`` (sha256 of each file), ``act_units`` (``raw``, ``normalised`` or ``unknown``) and what
        the format says of model, hook point and training.

    Raises:
        InputError: no known format, a variant that is not supported, or tensors that contradict the config.
    """
    form, place = recognise(path), Path(path).expanduser()
    if not form.has_parts:
        no_parts(part, place)
    sae = form.read(place, part) if form.has_parts else form.read(place)
    if form.read is ours.read:
        return sae
    origin: dict[str, Any] = {"source_files": digests(*files_of(place))}
    return replace(sae, metadata={"source_format": form.name, **sae.metadata, **origin})
