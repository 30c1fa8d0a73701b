"""Results that print in a few lines: what each field is, not its numbers."""

from __future__ import annotations

import dataclasses
import textwrap
from collections.abc import Mapping
from typing import Any, TypeVar

_Class = TypeVar("_Class", bound=type)
#: Characters of a value that is shown as it is, and of a line.
_VALUE, _LINE = 40, 100


def brief_repr(cls: _Class) -> _Class:
    """Give a dataclass a ``repr`` of a few lines, however large its arrays and tables are.

    Stands above ``@dataclass``, whose own ``repr`` writes every field in full.
    """

    def __repr__(self: Any) -> str:
        fields = (
            f"{field.name}={_told(getattr(self, field.name))}" for field in dataclasses.fields(self) if field.repr
        )
        text = f"{type(self).__name__}({', '.join(fields)})"
        # Widths of arrays stay on one line.
        return textwrap.fill(text, _LINE, subsequent_indent="    ", break_long_words=False, break_on_hyphens=False)

    cls.__repr__ = __repr__  # pyright: ignore[reportAttributeAccessIssue]
    return cls


def _told(value: Any) -> str:
    """A value in a few words: the kind and size of what is large."""
    kind, shape = type(value).__name__, getattr(value, "shape", None)
    if shape is not None and len(shape):
        size = "x".join(str(length) for length in shape)
        dtype = getattr(value, "dtype", None)
        return f"<{kind} {size}{'' if dtype is None else f' {dtype}'}>"
    if isinstance(value, (Mapping, list, tuple, set, frozenset)):
        names = ", ".join(map(str, value)) if isinstance(value, Mapping) and len(value) <= 4 else ""
        return f"<{kind} {names}>" if 0 < len(names) <= _VALUE else f"<{kind} of {len(value)}>"
    if isinstance(value, (str, bytes, int, float, complex, type(None))) or kind in ("float32", "float64", "int64"):
        text = repr(value)
        return text if len(text) <= _VALUE else f"{text[:_VALUE]}…"
    return f"<{kind}>"
