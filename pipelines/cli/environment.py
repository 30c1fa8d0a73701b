"""Where a run is computed: what a report must say about program, packages and machine."""

import platform
import re
from importlib import metadata
from typing import Any

from pipelines.engine.machine import cores, torch_cuda_version, total_memory, visible_devices

#: Packages whose version can change a number or a byte.
PACKAGES = (
    "dask", "distributed", "duckdb", "networkx", "numba", "numpy", "pandas", "pyarrow",
    "safetensors", "scipy", "tokenizers", "torch", "transformer-lens",
)  # fmt: skip


def environment() -> dict[str, Any]:
    """Versions and machine as JSON values; nothing heavy is imported."""
    from universality import __version__

    return {
        "universality": __version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpu": _cpu_model(),
        "cores": cores(),
        "memory": total_memory(),
        "cuda_devices": visible_devices(),
        "torch_cuda": torch_cuda_version(),
        "packages": {name: _version(name) for name in PACKAGES},
    }


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _cpu_model() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            model_name = re.search(r"^model name\s*:\s*(.+)$", file.read(), flags=re.MULTILINE)
    except OSError:
        model_name = None
    return model_name[1] if model_name else platform.processor()
