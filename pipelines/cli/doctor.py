"""``universality doctor``: is this machine fit, and what to do where it is not."""

import platform
import shutil
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import typer

from pipelines.cli.names import ROOMS
from pipelines.cli.options import STORE, JsonOption, StoreOption
from pipelines.cli.terminal import EXIT_FAILED, console, print_json
from results.words import size

DISTRIBUTION = "universality"
LEAST_MEMORY, LEAST_DISK = 4e9, 5e9


@dataclass(frozen=True)
class Finding:
    """One thing checked: ``ok``, ``warning`` (works, but) or ``failed`` (something will not work)."""

    what: str
    status: str
    detail: str
    remedy: str = ""


def doctor(store: StoreOption = STORE, as_json: JsonOption = False) -> None:
    """Check this machine and the store.

    Python, packages, cores, memory, disk, CUDA, demo text and store; each finding comes with what to do.
    """
    findings = list(examine(store))
    if as_json:
        print_json([asdict(finding) for finding in findings])
    else:
        _print(findings)
    if any(finding.status == "failed" for finding in findings):
        raise typer.Exit(EXIT_FAILED)


def examine(store_url: str) -> Iterator[Finding]:
    """Every finding, in the order in which people would look."""
    from pipelines.engine.machine import cores, torch_cuda_version, total_memory, visible_devices

    yield _python(sys.version_info[:2])
    yield _packages(metadata.requires(DISTRIBUTION) if _installed(DISTRIBUTION) else None)
    yield _demo_text()
    yield _rooms(metadata.packages_distributions())
    yield Finding("cores", "ok", f"{cores()} usable")
    yield _enough("memory", total_memory(), LEAST_MEMORY, "Use --workers 1, or smaller models.")
    yield _cuda(visible_devices(), torch_cuda_version())
    yield _compiled()
    yield from _store(store_url)


def _python(version: tuple[int, int]) -> Finding:
    words = f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    if version < (3, 11):
        return Finding("Python", "failed", words, "Install Python 3.11 or newer.")
    return Finding("Python", "ok", words)


def _demo_text() -> Finding:
    from pipelines.corpus.packages import INSTALL, PACKAGES, locate, text_folder
    from pipelines.errors import SourceMissing

    missing = []
    for package in PACKAGES:
        try:
            locate(package)
        except SourceMissing:
            missing.append(f"{package.name} {package.version}")
    if missing:
        said = f"{', '.join(missing)} not in {text_folder()}"
        return Finding("demo text", "warning", said, f"For the shipped recipes: {INSTALL}")
    return Finding("demo text", "ok", f"{len(PACKAGES)} wheels in {text_folder()}")


def _packages(requirements: list[str] | None) -> Finding:
    from packaging.requirements import Requirement

    if requirements is None:
        return Finding("packages", "failed", f"{DISTRIBUTION} is not installed", "Run: pip install -e .")
    wrong, versions = [], []
    for text in requirements:
        if "extra ==" in text:
            continue
        requirement = Requirement(text)
        if not _installed(requirement.name):
            wrong.append(f"{requirement.name} is missing")
            continue
        version = metadata.version(requirement.name)
        versions.append(f"{requirement.name} {version}")
        if not requirement.specifier.contains(version, prereleases=True):
            wrong.append(f"{requirement.name} {version} is not {requirement.specifier}")
    if wrong:
        return Finding("packages", "failed", "; ".join(wrong), "Run: pip install --upgrade universality")
    return Finding("packages", "ok", ", ".join(versions))


def _installed(name: str) -> bool:
    try:
        metadata.version(name)
    except metadata.PackageNotFoundError:
        return False
    return True


def _rooms(owners: Any) -> Finding:
    """Another distribution that ships a package of one of our names overwrites its files."""
    foreign = {room: [name for name in dict.fromkeys(owners.get(room, ())) if name != DISTRIBUTION] for room in ROOMS}
    mixed = [f"{room} also comes from {', '.join(names)}" for room, names in foreign.items() if names]
    if mixed:
        return Finding(
            "package names",
            "failed",
            "; ".join(mixed),
            "Uninstall that package, then reinstall universality.",
        )
    return Finding("package names", "ok", f"{', '.join(ROOMS)} are ours alone")


def _enough(what: str, got: float, least: float, remedy: str, where: str = "") -> Finding:
    words = f"{size(got)}{where}"
    if got < least:
        return Finding(what, "warning", f"{words}, less than {size(least)}", remedy)
    return Finding(what, "ok", words)


def _cuda(devices: list[str], built_for: str | None) -> Finding:
    if devices and built_for:
        return Finding("CUDA", "ok", f"{len(devices)} devices ({', '.join(devices)}), torch for CUDA {built_for}")
    if devices:
        remedy = "Install a CUDA build of torch (pytorch.org), or go on with --device cpu."
        return Finding("CUDA", "warning", f"{len(devices)} devices, but torch is a CPU build", remedy)
    return Finding("CUDA", "ok", "no device; everything runs on the CPU")


def _compiled() -> Finding:
    """Where numba keeps compiled functions: beside the source, in the user's cache, or nowhere."""
    try:
        from universality.compiled import is_kept
    except ImportError as error:
        return Finding("compiled functions", "failed", str(error), "Run: pip install --upgrade universality")
    if is_kept():
        return Finding("compiled functions", "ok", "kept on disk")
    remedy = "Set NUMBA_CACHE_DIR to a folder of your own that can be written."
    return Finding("compiled functions", "warning", "kept nowhere: every process compiles for some seconds", remedy)


def _store(store_url: str) -> Iterator[Finding]:
    from storage import StoreError, open_store

    try:
        store = open_store(store_url)
        records = store.records(observed=True)
        n_artifacts = len(store.keys())
    except (StoreError, OSError, ValueError, ImportError) as error:
        remedy = "Check --store and UNIVERSALITY_STORE, and the rights on that place."
        yield Finding("store", "failed", f"{store_url}: {error}", remedy)
        return
    yield Finding("store", "ok", f"{store.url}: {len(records)} runs, {n_artifacts} artifacts")
    if "://" not in store_url:
        path = Path(store_url).absolute()
        place = next(place for place in (path, *path.parents) if place.exists())
        free = shutil.disk_usage(place).free
        yield _enough("disk", free, LEAST_DISK, "Run: universality gc, or use another --store.", f" free at {place}")
    left = [record["name"] for record in records if record["status"] == "interrupted"]
    if left:
        remedy = "Run their recipes again: what is finished is reused."
        yield Finding("runs", "warning", f"interrupted: {', '.join(left)}", remedy)


def _print(findings: list[Finding]) -> None:
    out = console()
    for finding in findings:
        out.print(f"{finding.status:8} {finding.what}: {finding.detail}", markup=False)
        if finding.remedy and finding.status != "ok":
            out.print(f"         -> {finding.remedy}", markup=False)
