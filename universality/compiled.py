"""Compiled functions that are kept on disk where there is a place for them, and compiled anew where there is none."""

from collections.abc import Callable
from typing import Any

import numba
from llvmlite import ir
from numba import types
from numba.extending import intrinsic


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


@intrinsic
def prefetch(typing_context, array, index):
    """``prefetch(array, index)`` inside compiled code asks for a cache line before it is needed; any index is harmless.

    For kernels that read places far apart in memory, but known in advance: the rows in which a latent fires, asked for
    a few rows ahead, arrive while others are being added up; about three times faster than waiting for each.
    """

    def codegen(context, builder, signature, args):
        struct = context.make_array(signature.args[0])(context, builder, args[0])
        flag, byte = ir.IntType(32), ir.IntType(8).as_pointer()
        address = builder.bitcast(builder.gep(struct.data, [args[1]]), byte)
        function = builder.module.declare_intrinsic(
            "llvm.prefetch", (byte,), ir.FunctionType(ir.VoidType(), [byte, flag, flag, flag])
        )
        builder.call(function, [address, flag(0), flag(3), flag(1)])  # read, keep in all levels, data
        return context.get_dummy_value()

    return types.void(array, types.int64), codegen
