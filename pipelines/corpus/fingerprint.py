"""What a corpus and a tokenizer are made of, so that changed files mean a new artifact and not a stale one."""

import hashlib
from pathlib import Path

from pipelines.corpus.corpus_config import CorpusConfig, DemoMix, HubDataset, Source, TextFolder
from pipelines.corpus.listing import files_under, matching_files
from pipelines.corpus.notes import printable
from pipelines.corpus.packages import PACKAGES
from pipelines.tokens.tokenizer_config import TokenizerConfig
from universality.errors import require

#: Files beside a ``tokenizer.json`` that say how it is used.
_TOKENIZER_FILES = ("tokenizer_config.json", "special_tokens_map.json", "tokenizer.model")


def corpus_fingerprint(config: CorpusConfig) -> list[dict[str, str]]:
    """Identity of each source: belongs into the params of the corpus step, since its files may change.

    Returns:
        One mapping per source. Demo mix: the pinned versions. Files and local datasets: a digest of names
        and contents (read once, a block at a time). Hub datasets: the id and revision, which is as much as
        is known without the network; set ``revision`` to be sure.
    """
    return [_identity(source) for source in config.sources]


def tokenizer_fingerprint(config: TokenizerConfig) -> dict[str, str]:
    """Digest of the files of a local tokenizer, by name; nothing for one that is trained or on the hub.

    Raises:
        InputError: the file of kind ``file`` is not there.
    """
    if config.kind == "train":
        return {}
    path = Path(config.path if config.kind == "file" else config.name).expanduser()
    if config.kind == "file":
        remedy = "Correct the path."
        require(path.is_file(), "tokenizer file", str(path), "a readable tokenizer.json", "no such file", remedy)
    folder = path.parent if config.kind == "file" else path
    names = dict.fromkeys([path.name if config.kind == "file" else "tokenizer.json", *_TOKENIZER_FILES])
    return {name: _digest([(name, folder / name)]) for name in names if (folder / name).is_file()}


def _identity(source: Source) -> dict[str, str]:
    if isinstance(source, DemoMix):
        return {package.name: package.version for package in PACKAGES}
    # Classes are read by name and empty cells are no labels; earlier versions took them as they stood.
    is_labelled = not isinstance(source, TextFolder) and (source.domain_column or source.group_column)
    labels = {"labels": "names"} if is_labelled else {}
    if isinstance(source, HubDataset):
        folder = Path(source.name).expanduser()
        if not folder.is_dir():
            return {"dataset": source.name, "revision": source.revision or "newest", **labels}
        files = sorted((printable(name), path) for name, path in files_under(folder) if path.is_file())
        return {"files": _digest(files), **labels}
    return {"files": _digest(matching_files(source)), **labels}


def _digest(files: list[tuple[str, Path]]) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for name, path in files:
        with path.open("rb") as handle:
            content = hashlib.file_digest(handle, lambda: hashlib.blake2b(digest_size=16))
        digest.update(f"{len(name)}:{name}".encode() + content.digest())
    return digest.hexdigest()
