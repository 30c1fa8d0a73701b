"""Values that are read or derived once per comparison and then shared by all who ask."""

from collections.abc import Callable
from functools import lru_cache, partial, wraps
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar


class Remembering(Protocol):
    """Something that values are remembered with, by the function that made them, and forgotten with."""

    memory: dict[Any, Callable[..., Any]]


Owner = TypeVar("Owner", bound=Remembering)
Arguments = ParamSpec("Arguments")
Value = TypeVar("Value")


def remembered(most: int = 1):
    """Make a function of a stored comparison return the same object for the same arguments.

    Callers share the value and must never write into it. Errors are not remembered. Two threads that ask at the same
    time may both compute it.

    Args:
        most: values per owner; beyond it the least recently asked-for one is forgotten.
    """

    def decorate(
        function: Callable[Concatenate[Owner, Arguments], Value],
    ) -> Callable[Concatenate[Owner, Arguments], Value]:
        @wraps(function)
        def shared(owner: Owner, *args: Arguments.args, **kwargs: Arguments.kwargs) -> Value:
            cached = owner.memory.setdefault(function, lru_cache(most)(partial(function, owner)))
            return cached(*args, **kwargs)

        return shared

    return decorate
