"""Compiled functions that are kept on disk where there is a place for them, and compiled anew where there is none."""

from collections.abc import Callable
from typing import Any

import numba


def njit(**options: Any) -> Callable[[Any], Any]:
    """``numba.njit(cache=True, ...)``, or without a cache where no folder for it can be written.

    Numba looks beside the source, then in the user's cache; in a read-only installation without a home there is
    neither, and it raises while the module is imported. Such a process compiles for some seconds more.
    """

    def compile_or_plan(function: Any) -> Any:
        try:
            return numba.njit(cache=True, **options)(function)
        except RuntimeError:
            return numba.njit(**options)(function)

    return compile_or_plan


def is_kept() -> bool:
    """Whether compiled functions of this installation are kept on disk."""
    try:
        numba.njit(cache=True)(_of_this_folder)
    except RuntimeError:
        return False
    return True


def _of_this_folder() -> int:
    return 0
