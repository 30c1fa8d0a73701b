"""Files that came over the network: whether one is what its name says, or a stand-in, or the first part of it."""

import json
import zipfile
from pathlib import Path

from universality.errors import refusal

_AGAIN = "Download it again."
_POINTER = "Fetch the file that it stands for: git lfs pull, or download it again."


def check_download(path: Path) -> None:
    """Refuse what stands in the place of a file, and files of weights that end early.

    Looks at the first bytes, of safetensors at the head and the size, of ``.bin`` and ``.pt`` archives at the end.

    Raises:
        InputError: an empty file, a git-lfs pointer, an HTML page, or weights that are cut short.
    """
    where = str(path)
    size = path.stat().st_size
    with path.open("rb") as stream:
        start = stream.read(512)
    if not start:
        raise refusal("content", where, "that of a whole file", "an empty file", _AGAIN)
    if start.startswith(b"version https://git-lfs"):
        raise refusal("content", where, "the file itself", "a git-lfs pointer to it", _POINTER)
    head = start.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if head.startswith((b"<!doctype html", b"<html", b"<?xml")):
        raise refusal("content", where, "the file itself", "a web page in its place", "Log in, and download it again.")
    if path.suffix == ".safetensors":
        _check_safetensors(path, size)
    elif path.suffix in (".bin", ".pt", ".pth") and start.startswith(b"PK") and not zipfile.is_zipfile(path):
        raise refusal("content", where, "a whole file of torch.save", f"{size} bytes that end early", _AGAIN)


def _check_safetensors(path: Path, size: int) -> None:
    """The head says where each tensor ends: the last one at the end of the file."""
    where, constraint = str(path), "a whole safetensors file"
    with path.open("rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        head = stream.read(length) if size >= 8 + length else b""
    if len(head) != length or size < 8:
        raise refusal("content", where, constraint, f"{size} bytes, fewer than its head says", _AGAIN)
    try:
        tensors = json.loads(head)
        ends = [tensor["data_offsets"][1] for name, tensor in tensors.items() if name != "__metadata__"]
        end = 8 + length + max(ends, default=0)
    except (ValueError, TypeError, KeyError, AttributeError, IndexError, RecursionError) as error:
        raise refusal("content", where, constraint, f"a head that cannot be read ({error})", _AGAIN) from error
    if end != size:
        raise refusal("content", where, constraint, f"{size} bytes where its head says {end}", _AGAIN)
