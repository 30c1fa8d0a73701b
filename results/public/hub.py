"""Transformers from the Hugging Face hub or from a local folder."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from results.public.checkpoints import CheckedLoader, check_architecture, check_bridge, text_config
from results.public.errors import CheckpointRefused, HubError
from results.public.no_processes import no_processes
from universality.downloads import check_download
from universality.errors import InputError, UniversalityError, refusal

if TYPE_CHECKING:
    from transformer_lens.model_bridge import TransformerBridge

#: A file name and nothing else, on every system.
_PLAIN_NAME = re.compile(r"(?!\.{1,2}$)[^/\\:\x00-\x1f]+")
#: Where weights may lie, the first that exists counts (the order in which transformers looks).
WEIGHT_FILES = (
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
)


def load_pretrained(
    name_or_folder: str,
    revision: str | None = None,
    *,
    device: str = "cpu",
    untrained_seed: int | None = None,
    digest: str | None = None,
    dtype: str = "float32",
) -> TransformerBridge:
    """Load a transformer with the weights as they were published: nothing folded, nothing centred.

    Args:
        name_or_folder: a hub id, or a folder made by ``save_pretrained`` (with its tokenizer).
        revision: branch, tag or commit of the hub; folders have none.
        device: where the weights go.
        untrained_seed: keep the shape and draw random weights from this seed instead.
        digest: what :func:`describe_pretrained` said of the weights; a folder is checked against it.
        dtype: of the weights and all that is computed, ``"float32"`` or ``"bfloat16"``, whatever was saved.

    Returns:
        A bridge in evaluation mode.

    Raises:
        HubError: neither a readable folder nor reachable on the hub (``HF_HUB_OFFLINE`` is respected), an
            architecture that is no decoder of text or that TransformerLens does not know, weights that do not fit it,
            or that are not those of ``digest``.
        ProcessRefused: opening it would start a process.
    """
    import torch
    from transformer_lens.model_bridge import TransformerBridge

    source = source_of(name_or_folder)
    check_architecture(name_or_folder, read_config(name_or_folder, revision))
    if digest is not None and Path(source).is_dir() and untrained_seed is None:
        _check_digest(name_or_folder, digest, _folder_digest(Path(source)))
    numbers = getattr(torch, dtype)
    options: dict[str, Any] = {"revision": revision, "model_class": CheckedLoader(name_or_folder), "dtype": numbers}
    with _opening(name_or_folder, revision):
        _check_known(name_or_folder, source, revision)
        if untrained_seed is None:
            model = TransformerBridge.boot_transformers(source, device=device, **options)
        else:
            # transformers draws initial weights from the global stream; fork it so that nobody notices.
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(untrained_seed)
                model = TransformerBridge.boot_transformers(source, device="cpu", load_weights=False, **options)
            model = model.to(numbers).to(device)
    return model.eval()


@contextmanager
def _opening(name: str, revision: str | None) -> Iterator[None]:
    """Nothing starts a process, and whatever a library raises (of every kind, by architecture) becomes one sentence."""
    import torch
    from transformers.utils import logging

    bars = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()  # one for every opening, between the lines of a run
    try:
        with no_processes(name):
            yield
    except (UniversalityError, torch.OutOfMemoryError):
        raise
    except Exception as error:
        raise unreachable(name, revision, error) from error
    finally:
        if bars:
            logging.enable_progress_bar()


def _check_known(name: str, source: str, revision: str | None) -> None:
    from transformers import AutoConfig

    check_bridge(name, AutoConfig.from_pretrained(source, revision=revision, trust_remote_code=False))


def check_weights(name_or_folder: str, revision: str | None = None) -> None:
    """Read a model's weights as they lie on disk, and refuse those that do not fit, before anything is computed.

    Raises:
        HubError, ProcessRefused: as :func:`load_pretrained`.
    """
    with _opening(name_or_folder, revision):
        source = source_of(name_or_folder)
        _check_known(name_or_folder, source, revision)
        CheckedLoader(name_or_folder).from_pretrained(source, revision=revision, dtype="auto")


def read_config(name_or_folder: str, revision: str | None = None) -> dict[str, Any]:
    """The ``config.json`` of a model, named as for :func:`load_pretrained`.

    Raises:
        HubError: not there, or no JSON object.
    """
    source = source_of(name_or_folder)
    try:
        file = _file(source, "config.json", revision)
        if file is None:
            where = source if Path(source).is_dir() else "no folder of that name is here, and the hub"
            raise OSError(f"{where} holds no config.json")
        check_download(file)
        config = json.loads(file.read_text("utf-8-sig"))
        if not isinstance(config, dict):
            raise ValueError(f"{file} holds {type(config).__name__}, no object")
    except (OSError, ValueError, RecursionError) as error:
        raise unreachable(name_or_folder, revision, error) from error
    return config


def describe_pretrained(name_or_folder: str, revision: str | None = None) -> dict[str, Any]:
    """Pin a model: what its name means today.

    Returns:
        ``revision`` (the commit on the hub; ``None`` for a folder), ``digest`` (blake2b over the weights'
        names and bytes), ``architecture`` and ``d_vocab`` (from its ``config.json``).

    Raises:
        HubError: as :func:`load_pretrained`, or no weights beside the config.
    """
    source = source_of(name_or_folder)
    config = read_config(name_or_folder, revision)
    check_architecture(name_or_folder, config)
    d_vocab = text_config(config).get("vocab_size")
    try:
        if not isinstance(d_vocab, int):
            raise ValueError(f"config.json says vocab_size {d_vocab!r}, no number")
        config_file = _file(source, "config.json", revision)
        files = weight_files(source, revision)
        for file in files:
            check_download(file)
        digest = _digest(files)
    except (OSError, ValueError) as error:
        raise unreachable(name_or_folder, revision, error) from error
    return {
        "revision": None if Path(source).is_dir() else _commit(config_file, revision),
        "digest": digest,
        "architecture": (config.get("architectures") or [None])[0],
        "d_vocab": d_vocab,
    }


def is_path(name: str) -> bool:
    """Whether a name can be that of a file or folder alone, and of nothing on the hub."""
    return name.startswith((".", "/", "~")) or name.count("/") > 1 or "\\" in name


def source_of(name_or_folder: str) -> str:
    """An existing folder as an absolute path, anything else as it is: a hub id."""
    folder = Path(name_or_folder).expanduser()
    return str(folder.resolve()) if folder.is_dir() else name_or_folder


def _file(source: str, name: str, revision: str | None) -> Path | None:
    """A file of the model on this machine, fetched if it has to be; ``None`` where the model has no such file."""
    folder = Path(source)
    if folder.is_dir():
        return folder / name if (folder / name).is_file() else None
    from transformers.utils.hub import cached_file

    file = cached_file(source, name, revision=revision, _raise_exceptions_for_missing_entries=False)
    return None if file is None else Path(file)


def weight_files(source: str, revision: str | None) -> list[Path]:
    """Files of a model's weights on this machine, fetched if they have to be.

    Raises:
        OSError, ValueError: none or not all of them.
    """
    for name in WEIGHT_FILES:
        first = _file(source, name, revision)
        if first is None:
            continue
        if not name.endswith(".index.json"):
            return [first]
        check_download(first)
        shards = _shards(first)
        files = [_file(source, shard, revision) for shard in shards]
        missing = [shard for shard, file in zip(shards, files, strict=True) if file is None]
        if missing:
            raise OSError(f"{source} lacks the weight files {missing} that its index names")
        return [file for file in files if file is not None]
    raise OSError(f"{source} holds none of the weight files {list(WEIGHT_FILES)}")


def _shards(index: Path) -> list[str]:
    """Files that an index names: of its own folder, nothing else."""
    remedy = "Download it again."
    try:
        content = json.loads(index.read_text("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise refusal("content", str(index), "JSON", str(error), remedy) from error
    weight_map = content.get("weight_map") if isinstance(content, dict) else None
    names: list[Any] = list(weight_map.values()) if isinstance(weight_map, dict) and weight_map else [None]
    if not all(isinstance(name, str) and _PLAIN_NAME.fullmatch(name) for name in names):
        raise refusal("weight_map", str(index), "a file of the same folder for each weight", repr(weight_map), remedy)
    return sorted(set(names))


def _digest(files: list[Path]) -> str:
    total = hashlib.blake2b(digest_size=16)
    for file in files:
        with file.open("rb") as stream:
            own = hashlib.file_digest(stream, "blake2b").hexdigest()
        total.update(f"{file.name}:{own}\n".encode())
    return total.hexdigest()


def _folder_digest(folder: Path) -> str:
    try:
        return _digest(weight_files(str(folder), None))
    except (OSError, ValueError) as error:
        raise unreachable(str(folder), None, error) from error


def _check_digest(name: str, expected: str, digest: str) -> None:
    if digest != expected:
        constraint = f"those the run was planned with ({expected})"
        remedy = "Put the old weights back, or save the new ones in a folder of their own."
        raise HubError.worded("weights", name, constraint, digest, remedy)


def _commit(config_file: Path | None, revision: str | None) -> str | None:
    """The commit, which stands in the cache's path: ``…/snapshots/<commit>/config.json``."""
    from transformers.utils.hub import extract_commit_hash

    return extract_commit_hash(str(config_file), None) or revision


def unreachable(name: str, revision: str | None, error: Exception, kind: str = "model") -> HubError:
    """The error for a model or tokenizer that cannot be had, with the reason and what to do."""
    if isinstance(error, InputError):  # says already which file, and what to do
        return CheckpointRefused(str(error))
    reason = reason_of(error)
    folder = Path(name).expanduser()
    if is_path(name) and not folder.is_dir():
        reason, remedy = "no such folder", "Correct the path, or give the name of a model of the hub: owner/name."
    elif folder.is_dir():
        remedy = "Write the folder with save_pretrained (model and tokenizer), or correct the path."
    elif is_offline():
        remedy = f"HF_HUB_OFFLINE is set and the {kind} is not in the local cache: unset it, or give a folder."
    else:
        remedy = "Check the name, revision and network, or give a folder made by save_pretrained."
    what = f"{kind} {name!r}" + (f" at revision {revision!r}" if revision else "")
    where = "models" if kind == "model" else "the recipe"
    return HubError.worded(what, where, f"a reachable hub id or a folder with a {kind}", reason, remedy)


def reason_of(error: Exception) -> str:
    """The first line of what a library said, or the kind of its error."""
    return str(error).strip().split("\n", maxsplit=1)[0] or type(error).__name__


def is_offline() -> bool:
    """Whether the hub is not to be asked (``HF_HUB_OFFLINE``)."""
    return os.environ.get("HF_HUB_OFFLINE", "").upper() in {"1", "ON", "YES", "TRUE"}
