"""What can be known of models and tokenizers from elsewhere before anything is computed."""

from __future__ import annotations

import json
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

from results.public.checkpoints import check_architecture, check_positions
from results.public.errors import CheckpointRefused
from results.public.hub import is_path, read_config, source_of, unreachable, weight_files
from results.public.shapes import slip_at
from universality.downloads import check_download

#: Files of which a tokenizer has at least one.
TOKENIZER_FILES = (
    "tokenizer.json", "tokenizer_config.json", "tokenizer.model", "vocab.json", "vocab.txt", "spiece.model",
    "sentencepiece.bpe.model", "tiktoken.model", "tekken.json",
)  # fmt: skip
#: Seconds that the hub is given to answer: what it does not say now, the run will find out.
PATIENCE = 5.0


def config_ahead(name_or_folder: str, revision: str | None = None) -> dict[str, Any]:
    """The ``config.json`` of a model; empty where the hub cannot be asked now and was not asked before.

    Raises:
        HubError: no such folder, none on the hub, or never fetched where the hub is not to be asked.
    """
    source = source_of(name_or_folder)
    if not Path(source).is_dir() and not is_path(name_or_folder):
        cached = _cached(source, "config.json", revision)
        if cached is not None:
            return json.loads(cached.read_text("utf-8"))
        if not _on_hub(name_or_folder, revision, "model"):
            return {}
    return read_config(name_or_folder, revision)


def check_model(
    name_or_folder: str, revision: str | None = None, *, n_ctx: int, hook_points: Iterable[str] = ()
) -> tuple[str, ...]:
    """Look at a model's ``config.json`` (and that a folder has its weights).

    Args:
        name_or_folder, revision: as for :func:`~results.public.hub.load_pretrained`.
        n_ctx: tokens per context.
        hook_points: where it will be read.

    Returns:
        What to say of it.

    Raises:
        HubError: as :func:`config_ahead`; no weights, an architecture that is not opened, fewer positions than
            ``n_ctx``, or a hook point that models of its kind do not have.
    """
    config = config_ahead(name_or_folder, revision)
    if not config:
        return ()
    check_architecture(name_or_folder, config)
    warning = check_positions(name_or_folder, config, n_ctx)
    for hook_point in hook_points:
        slip = slip_at(hook_point, config)
        if slip is not None:
            raise CheckpointRefused(f"The hook_point of {name_or_folder} {slip}")
    source = source_of(name_or_folder)
    if Path(source).is_dir():
        try:
            for file in weight_files(source, revision):
                check_download(file)
        except (OSError, ValueError) as error:
            raise unreachable(name_or_folder, revision, error) from error
    return () if warning is None else (warning,)


def check_tokenizer(name_or_folder: str, revision: str | None = None) -> None:
    """Look for the files of a tokenizer.

    Raises:
        HubError: none of them is there.
    """
    folder = Path(source_of(name_or_folder))
    if folder.is_dir() or is_path(name_or_folder):
        if not any((folder / name).is_file() for name in TOKENIZER_FILES):
            raise unreachable(name_or_folder, revision, OSError("no tokenizer there"), "tokenizer")
    elif all(_cached(name_or_folder, name, revision) is None for name in TOKENIZER_FILES):
        _on_hub(name_or_folder, revision, "tokenizer")


def _cached(name: str, file: str, revision: str | None) -> Path | None:
    from huggingface_hub import try_to_load_from_cache

    try:
        path = try_to_load_from_cache(name, file, revision=revision)
    except ValueError:  # a name that no repository can have
        return None
    return Path(path) if isinstance(path, str) else None


@cache
def _on_hub(name: str, revision: str | None, kind: str) -> bool:
    """Whether the hub answers, asked once; that it has no such thing is an error, that nobody answers is none."""
    from huggingface_hub import HfApi
    from huggingface_hub import errors as hub

    certain = {
        hub.RepositoryNotFoundError: "no such repository, or a private one",
        hub.RevisionNotFoundError: "no such revision of it",
        hub.OfflineModeIsEnabled: "no such folder, and nothing fetched before",
        hub.HFValidationError: "no such folder, and a name that no repository can have",
    }
    try:
        HfApi().model_info(name, revision=revision, timeout=PATIENCE)
    except tuple(certain) as error:
        reason = next(words for kind_of_error, words in certain.items() if isinstance(error, kind_of_error))
        raise unreachable(name, revision, OSError(reason), kind) from error
    except Exception:  # of every kind, by what lies between: the step says so, if it stays
        return False
    return True
