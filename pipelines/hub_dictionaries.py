"""Dictionaries of Hugging Face hub repositories and of local folders: pinned, fetched, named."""

from __future__ import annotations

import glob
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from results.public.errors import HubError
from results.public.hub import is_offline, reason_of
from universality.errors import InputError


def sae_files(path: str) -> dict[str, str]:
    """sha256 of each file of a dictionary.

    Raises:
        InputError: no dictionary of a known format there.
    """
    from universality.sae.formats import files_of
    from universality.sae.formats.files import digests

    return digests(*files_of(path))


def sae_commit(repo: str, revision: str | None) -> str:
    """The commit that a revision of a hub repository means: now, or offline, when it was cached.

    A full commit is its own answer and asks nobody.

    Raises:
        HubError: no such repository or revision, no access, or offline and never resolved on this machine.
    """
    from huggingface_hub import HfApi, constants
    from huggingface_hub.errors import RevisionResolutionError

    offline = constants.HF_HUB_OFFLINE
    try:
        return HfApi().resolve_revision(repo, revision=revision, local_files_only=offline).resolved
    except (OSError, ValueError, RevisionResolutionError) as error:
        raise _no_sae(repo, revision, error) from error


def fetch_sae(repo: str, subfolder: str | None, commit: str) -> Path:
    """The folder of a hub repository's dictionary on this machine; of the repository only its files are fetched.

    Args:
        repo: hub id, ``owner/name``.
        subfolder: folder inside the repository, or file of a format that is one; None for its root.
        commit: from :func:`sae_commit`.

    Raises:
        HubError: no such commit, no access, offline and not in the local cache, or no dictionary there.
    """
    from huggingface_hub import snapshot_download

    from universality.sae.formats import FORMATS, recognise

    inside = f"{glob.escape(subfolder)}/" if subfolder else ""
    patterns = sorted({f"{inside}{name}" for form in FORMATS for name in (*form.files, *form.beside)})
    patterns += [glob.escape(subfolder)] if subfolder else []  # it may be a file itself
    try:
        folder = Path(snapshot_download(repo, revision=commit, allow_patterns=patterns)) / (subfolder or "")
        recognise(folder)
    except (OSError, ValueError) as error:
        raise _no_sae(repo, commit, error, subfolder) from error
    return folder


def sae_source(params: Mapping[str, Any]) -> str:
    """Where the dictionary of a ``sae`` or ``loaded_sae`` node comes from, in a word."""
    part = f" part {params['part']}" if "part" in params else ""
    if "hub" not in params:
        return params.get("path", "trained") + part
    return "/".join(filter(None, (params["hub"], params["subfolder"]))) + f"@{params['commit'][:12]}{part}"


def _no_sae(repo: str, revision: str | None, error: Exception, subfolder: str | None = None) -> HubError:
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError

    reason = reason_of(error)
    if isinstance(error, GatedRepoError):
        remedy = "Accept its terms on the hub, then log in with `hf auth login` or set HF_TOKEN."
    elif isinstance(error, RevisionNotFoundError):
        remedy = "Correct the revision: a branch, a tag or a full commit."
    elif isinstance(error, RepositoryNotFoundError):
        remedy = "Correct the name, or log in with `hf auth login` if it is private."
    elif is_offline():
        reason = "none in the local cache"
        remedy = "HF_HUB_OFFLINE is set: unset it, or give a folder as path."
    elif isinstance(error, InputError):
        remedy = "Correct the subfolder: the one that holds the dictionary's own files, or its one file."
    else:
        remedy = "Check the name, revision and network, or give a folder as path."
    what = f"dictionary {'/'.join(filter(None, (repo, subfolder)))!r}"
    what += f" at revision {revision!r}" if revision else ""
    return HubError.worded(what, "saes", "in a reachable hub repository", reason, remedy)
