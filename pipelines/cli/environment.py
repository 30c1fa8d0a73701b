"""Where a run is computed: what a report must say about program, packages and machine."""

import platform
import re
from typing import Any

from pipelines.engine.machine import PACKAGES, cores, torch_cuda_version, total_memory, versions, visible_devices


def environment() -> dict[str, Any]:
    """Versions and machine as JSON values; nothing heavy is imported."""
    found = versions()
    return {
        "universality": found["universality"],
        "python": found["python"],
        # Not platform.platform(): it starts a process to ask for the processor.
        "platform": "-".join((platform.system(), platform.release(), platform.machine())),
        "cpu": _cpu_model(),
        "cores": cores(),
        "memory": total_memory(),
        "cuda_devices": visible_devices(),
        "torch_cuda": torch_cuda_version(),
        "packages": {name: found[name] for name in PACKAGES},
    }


def _cpu_model() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            model_name = re.search(r"^model name\s*:\s*(.+)$", file.read(), flags=re.MULTILINE)
    except OSError:
        model_name = None
    return model_name[1] if model_name else platform.machine()
