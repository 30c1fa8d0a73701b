"""Threads of the numerical libraries, set before each step.

Two cases per library. Loaded already: its own setter. Not loaded yet: the environment variable that it
reads when it loads. numba alone has no such variable for the initial number (NUMBA_NUM_THREADS is a
ceiling that cannot be raised later), so it is imported and set, half a second once per process.
"""

import os
import sys

from threadpoolctl import threadpool_limits

READ_AT_LOAD = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)


def limit_threads(threads: int) -> None:
    """Let torch, numba, BLAS and OpenMP use this many threads in this process from now on.

    Call it in the thread that runs the step: numba keeps its number per thread.

    Args:
        threads: at least 1. numba takes no more than its own ceiling, by default the number of cores.
    """
    for variable in READ_AT_LOAD:
        os.environ[variable] = str(threads)
    threadpool_limits(limits=threads)
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.set_num_threads(threads)
    import numba

    ceiling: int = numba.config.NUMBA_NUM_THREADS  # pyright: ignore[reportAttributeAccessIssue,reportPrivateImportUsage]
    numba.set_num_threads(min(threads, ceiling))
