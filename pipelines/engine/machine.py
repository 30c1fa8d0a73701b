"""What this machine offers: cores, memory and CUDA devices, asked without importing torch."""

import importlib.util
import os
import platform
import re
import shutil
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from functools import cache
from importlib import metadata
from pathlib import Path

from universality.errors import refusal

#: Packages whose version can change a number or a byte.
PACKAGES = (
    "dask", "distributed", "duckdb", "networkx", "numba", "numpy", "pandas", "pyarrow",
    "safetensors", "scipy", "tokenizers", "torch", "transformer-lens",
)  # fmt: skip


@cache
def versions() -> dict[str, str | None]:
    """Version of this program, of Python and of ``PACKAGES``; None of what is not installed."""
    from universality import __version__

    found: dict[str, str | None] = {"universality": __version__, "python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = None
    return found


def cores() -> int:
    """Cores that this process may use: the affinity mask, and the cgroup's quota where there is one."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)
    with suppress(OSError, ValueError):  # no cgroup, or "max": no quota
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        allowed = min(allowed, max(1, int(quota) // int(period)))
    return allowed


def total_memory() -> int:
    """Bytes of memory that this process may use: the machine's, or the cgroup's limit where it is lower."""
    import psutil

    total = int(psutil.virtual_memory().total)
    with suppress(OSError, ValueError):
        total = min(total, int(Path("/sys/fs/cgroup/memory.max").read_text()))
    return total


def parse_devices(listing: str) -> list[str]:
    """Device ids from the text of ``nvidia-smi -L``, in its order.

    A GPU that is split (MIG) counts as its instances, by UUID, since a process sees only one of them;
    a whole GPU is its index.
    """
    devices: list[str] = []
    for line in listing.splitlines():
        whole = re.match(r"GPU (\d+):", line)
        instance = re.search(r"\(UUID: (MIG-[^)\s]+)\)", line)
        if whole:
            devices.append(whole[1])
        elif instance:
            if devices and not devices[-1].startswith("MIG-"):
                devices.pop()  # the GPU whose first instance this is
            devices.append(instance[1])
    return devices


def visible_devices() -> list[str]:
    """CUDA device ids to hand out, each fit for ``CUDA_VISIBLE_DEVICES``; empty without any.

    An existing ``CUDA_VISIBLE_DEVICES`` is respected: schedulers such as SLURM lend devices through it.
    """
    lent = os.environ.get("CUDA_VISIBLE_DEVICES")
    if lent is not None:
        ids = [part.strip() for part in lent.split(",")]
        return [] if ids in ([""], ["-1"]) else [part for part in ids if part]
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return []
    try:
        listing = subprocess.run([tool, "-L"], capture_output=True, text=True, timeout=20, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return []
    return parse_devices(listing)


def parse_memory(listing: str, devices: Sequence[str]) -> int | None:
    """Bytes of the smallest of some devices; None if one of them is not listed, as instances of a split GPU are not.

    Args:
        listing: text of ``nvidia-smi --query-gpu=index,uuid,memory.total --format=csv,noheader,nounits``, in MiB.
        devices: ids as :func:`visible_devices` gives them.
    """
    sizes: dict[str, int] = {}
    for line in listing.splitlines():
        index, uuid, mebibytes = [*(part.strip() for part in line.split(",")), "", ""][:3]
        if mebibytes.isdigit():
            sizes |= dict.fromkeys((index, uuid), int(mebibytes) << 20)
    found = [sizes.get(device) for device in devices]
    return min(found, default=None) if None not in found else None  # pyright: ignore[reportArgumentType]


def device_memory(devices: Sequence[str]) -> int | None:
    """Bytes of the smallest of these CUDA devices; None if that cannot be told."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return None
    asked = [tool, "--query-gpu=index,uuid,memory.total", "--format=csv,noheader,nounits"]
    try:
        listing = subprocess.run(asked, capture_output=True, text=True, timeout=20, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    return parse_memory(listing, devices)


def torch_cuda_version() -> str | None:
    """The CUDA version that the installed torch was built for; None for a CPU build or no torch."""
    spec = importlib.util.find_spec("torch")
    if spec is None or spec.origin is None:
        return None
    try:
        text = Path(spec.origin).with_name("version.py").read_text()
    except OSError:
        return None
    line = re.search(r"^cuda\s*(?::[^=]+)?=\s*['\"]([^'\"]+)['\"]", text, flags=re.MULTILINE)
    return line[1] if line else None


def choose_device(wish: str) -> str:
    """Turn ``auto``, ``cpu`` or ``cuda`` into the device of a plan.

    Raises:
        InputError: ``cuda`` was asked for and is not there, or the word is none of the three.
    """
    if wish == "cpu":
        return "cpu"
    if wish not in ("auto", "cuda"):
        raise refusal("device", "the command", "auto, cpu or cuda", wish, "Choose one of them.")
    missing = []
    if not visible_devices():
        missing.append("no CUDA device is visible")
    if torch_cuda_version() is None:
        missing.append("the installed torch is a CPU build")
    if not missing:
        return "cuda"
    if wish == "auto":
        return "cpu"
    got = f"cuda, but {' and '.join(missing)}"
    remedy = "Use --device cpu, or install a CUDA build of torch on a machine with a GPU."
    raise refusal("device", "the command", "available", got, remedy)
