"""The border of arguments: a public call gets what its rules say, or it is refused before its body runs."""

from __future__ import annotations

import inspect
import math
import os
from collections.abc import Callable
from difflib import get_close_matches
from functools import wraps
from typing import Any, TypeVar

from universality.errors import refusal, require

Function = TypeVar("Function", bound=Callable[..., Any])
#: ``rule(value, argument, call)`` gives the value as the body knows it, or raises an InputError.
Rule = Callable[[Any, str, str], Any]
#: What to do where a generator is wanted.
SEEDED = "Write numpy.random.default_rng(0)."


def checked(**rules: Rule) -> Callable[[Function], Function]:
    """Hold arguments of a call to a rule each, those behind ``**options`` too; ``None`` passes where it is the default.

    What is no argument of the call, and what is missing, Python says itself.
    """

    def decorate(function: Function) -> Function:
        signature = inspect.signature(function)
        optional = {name for name, parameter in signature.parameters.items() if parameter.default is None}
        options = next((name for name, p in signature.parameters.items() if p.kind is p.VAR_KEYWORD), "")
        call = function.__qualname__

        @wraps(function)
        def guarded(*args: Any, **kwargs: Any) -> Any:
            try:
                bound = signature.bind(*args, **kwargs)
            except TypeError:
                return function(*args, **kwargs)
            for given in (bound.arguments, bound.arguments.get(options, {})):
                for name, rule in rules.items():
                    if name in given and not (given[name] is None and name in optional):
                        given[name] = rule(given[name], name, call)
            return function(*bound.args, **bound.kwargs)

        return guarded  # pyright: ignore[reportReturnType]

    return decorate


def whole(least: int | None = None) -> Rule:
    """An integer, of Python or numpy, that is not below ``least``; truth values are none."""

    def rule(value: Any, name: str, call: str) -> int:
        number = _single(value)
        fits = isinstance(number, int) and not isinstance(number, bool) and (least is None or number >= least)
        constraint = "a whole number" if least is None else f"a whole number of at least {least}"
        require(fits, name, call, constraint, repr(value), "Give an integer.")
        return number

    return rule


def number(least: float = -math.inf, most: float = math.inf) -> Rule:
    """A finite number in ``least..most``; truth values are none."""

    def rule(value: Any, name: str, call: str) -> float:
        given = _single(value)
        fits = isinstance(given, (int, float)) and not isinstance(given, bool)
        fits = fits and math.isfinite(given) and least <= given <= most
        within = "" if math.isinf(least) and math.isinf(most) else f" in {least:g}..{most:g}"
        require(fits, name, call, f"a finite number{within}", repr(value), "Give one.")
        return float(given)

    return rule


def _single(value: Any) -> Any:
    """A number of numpy or torch as one of Python; whatever else as it is."""
    return value.item() if getattr(value, "shape", None) == () and hasattr(value, "item") else value


def flag(value: Any, name: str, call: str) -> bool:
    """A truth value."""
    given = _single(value)
    require(isinstance(given, bool), name, call, "True or False", repr(value), "Give one of them.")
    return given


def text(value: Any, name: str, call: str) -> str:
    """A text that is not empty."""
    require(isinstance(value, str) and value, name, call, "text", repr(value), "Give a name.")
    return value


def path(value: Any, name: str, call: str) -> str:
    """A path, as text or an object of :mod:`pathlib`."""
    given = os.fspath(value) if isinstance(value, os.PathLike) else value
    fits = isinstance(given, str) and given and "\0" not in given
    require(fits, name, call, "a path", repr(value), "Give it as text or pathlib.Path.")
    return given


def function(value: Any, name: str, call: str) -> Any:
    """Something that can be called."""
    require(callable(value), name, call, "a function", repr(value), "See what it is called with.")
    return value


def one_of(*legal: str) -> Rule:
    """One of these words."""

    def rule(value: Any, name: str, call: str) -> str:
        fits = isinstance(value, str) and value in legal
        near = get_close_matches(value, legal, 1) if isinstance(value, str) else []
        remedy = f"Try {(near or legal)[0]!r}."
        require(fits, name, call, f"one of {', '.join(legal)}", repr(value), remedy)
        return value

    return rule


def instance(*kinds: type, remedy: str = "Make one first.") -> Rule:
    """An object of one of these classes."""

    def rule(value: Any, name: str, call: str) -> Any:
        names = f"a {' or '.join(kind.__name__ for kind in kinds)}"
        if not isinstance(value, kinds):
            raise refusal(name, call, names, _shown(value), remedy)
        return value

    return rule


def maybe(of: Rule) -> Rule:
    """None, or what a rule says."""
    return lambda value, name, call: None if value is None else of(value, name, call)


def several(of: Rule) -> Rule:
    """A list of values, each held to a rule."""

    def rule(value: Any, name: str, call: str) -> list[Any]:
        is_list = not isinstance(value, (str, bytes, dict)) and hasattr(value, "__iter__")
        is_list = is_list and getattr(value, "shape", (0,)) != ()
        if not is_list:
            raise refusal(name, call, "a list", _shown(value), "Give one, [value, …].")
        return [of(part, f"{name}[{place}]", call) for place, part in enumerate(value)]

    return rule


def vector(kinds: str = "iuf") -> Rule:
    """A one-dimensional array, or list, of numbers; ``kinds`` are those of numpy's dtypes."""
    import numpy as np

    words = {"iu": "whole numbers", "iuf": "numbers", "b": "truth values"}[kinds]

    def rule(value: Any, name: str, call: str) -> Any:
        from universality.matrices import as_dense

        given = np.asarray(as_dense(value, name))
        given = given.astype(np.int64) if given.size == 0 and not hasattr(value, "dtype") and kinds != "b" else given
        got = f"shape {given.shape} of {given.dtype}"
        require(given.ndim == 1 and given.dtype.kind in kinds, name, call, f"a list of {words}", got, "Give one each.")
        if given.dtype.kind == "f":
            require(np.isfinite(given).all(), name, call, "finite", "NaN or infinite values", "Replace or drop them.")
        return given

    return rule


def matrix(value: Any, name: str, call: str) -> Any:
    """A two-dimensional array of real numbers, as :func:`universality.matrices.as_dense` gives it; not empty."""
    from universality.matrices import as_dense, is_dense

    require(is_dense(value), name, call, "a dense array", type(value).__name__, "Convert it with .toarray().")
    given = as_dense(value, name)
    fits = len(given.shape) == 2 and 0 not in given.shape
    require(fits, name, call, "a two-dimensional array, not empty", tuple(given.shape), "Give one row per token.")
    return given


def frame(*columns: str) -> Rule:
    """A data frame with these columns."""

    def rule(value: Any, name: str, call: str) -> Any:
        is_frame = hasattr(value, "columns") and hasattr(value, "iterrows")
        if not is_frame:
            raise refusal(name, call, "a data frame", _shown(value), "Give one of pandas.")
        missing = [column for column in columns if column not in value.columns]
        constraint = f"there ({', '.join(columns)})"
        require(not missing, f"columns of {name}", call, constraint, f"none named {missing[:3]}", "Add them.")
        return value

    return rule


def _shown(value: Any) -> str:
    """A value in an error: its type too, as a text may look like anything."""
    return f"{type(value).__name__} {value!r}"
