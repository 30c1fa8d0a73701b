"""Dense algebra whose bytes do not depend on the number of threads."""

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

from threadpoolctl import threadpool_limits

P = ParamSpec("P")
R = TypeVar("R")


def on_one_blas_thread(function: Callable[P, R]) -> Callable[P, R]:
    """Let BLAS and LAPACK use one thread inside a function.

    They split sums by the number of their threads, so that last digits, and what is stored of them, would differ
    between a laptop and a cluster.
    """

    @wraps(function)
    def limited(*args: P.args, **kwargs: P.kwargs) -> R:
        with threadpool_limits(limits=1, user_api="blas"):
            return function(*args, **kwargs)

    return limited
