"""The parts of ``gpu.py``: each yields its figures one by one, so that a part that is cut off leaves those it had.

A figure is a dict of words and numbers. ``small`` takes every part through toy sizes on the CPU.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from gpu_dictionaries import dictionaries, stored_rows
from gpu_timing import Figure, device, seconds
from gpu_transformers import transformers


def card(small: bool) -> Iterator[Figure]:
    """What the card is able to do by itself."""
    where = device(small)
    name = "CPU" if small else torch.cuda.get_device_name()
    yield {"what": "device", "value": f"{name}, torch {torch.__version__}, {os.cpu_count()} CPU cores"}
    x = torch.randn(1 << (16 if small else 28), device=where)
    y = torch.empty_like(x)
    yield {
        "what": "copy, GB/s read and written",
        "value": 8 * x.numel() / seconds(lambda: y.copy_(x), small) / 1e9,
    }
    side = 64 if small else 8192
    for what, dtype, precision in (
        ("bfloat16", torch.bfloat16, "highest"),
        ("tf32", torch.float32, "high"),
        ("float32", torch.float32, "highest"),
    ):
        a = torch.randn(side, side, device=where, dtype=dtype)
        torch.set_float32_matmul_precision(precision)
        rate = 2 * side**3 / seconds(lambda a=a: a @ a, small) / 1e12
        torch.set_float32_matmul_precision("highest")
        yield {"what": f"{what} product of {side}, TFLOP/s", "value": rate}
    few = torch.zeros(8, device=where)
    yield {"what": "one tiny kernel, us", "value": seconds(lambda: few.add_(1), small) * 1e6}
    yield {"what": "the same, read back, us", "value": seconds(lambda: float(few.add_(1)[0]), small) * 1e6}


def tiny(small: bool) -> Iterator[Figure]:
    """Recipe ``tiny`` from its text to its comparison (``small``: its plan alone)."""
    with tempfile.TemporaryDirectory() as store:
        command = [sys.executable, "-m", "pipelines.cli.main"]
        if small:
            command += ["plan", "tiny", "--device", "cpu", "--store", store]
        else:
            command += ["run", "tiny", "--device", "cuda", "--store", store]
        start = time.perf_counter()
        done = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True, check=False)
        said = (done.stdout + done.stderr).strip().splitlines() or [""]
        failed = {"failed": f"exit {done.returncode}: {said[-1][:150]}"} if done.returncode else {}
        yield {"what": " ".join(command[3:5]), "s": time.perf_counter() - start, **failed}


#: In order of worth, with seconds after which a part is cut off.
PARTS: dict[str, tuple[Callable[[bool], Iterator[Figure]], int]] = {
    "card": (card, 30),
    "transformers": (transformers, 170),
    "dictionaries": (dictionaries, 130),
    "stored_rows": (stored_rows, 50),
    "tiny": (tiny, 100),
}
