"""What all configs have in common, and their errors in our words. It imports nothing heavy."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, NamedTuple

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator
from pydantic_core import InitErrorDetails

from universality.errors import InputError, refusal

#: What must be, by pydantic's name of an error; braces are filled from what pydantic says of it.
_CONSTRAINTS = {
    "greater_than": "above {gt:g}",
    "greater_than_equal": "at least {ge:g}",
    "less_than": "below {lt:g}",
    "less_than_equal": "at most {le:g}",
    "finite_number": "finite",
    "int_from_float": "a whole number",
    "int_parsing_size": "a whole number of fewer digits",
    "string_pattern_mismatch": "text of the pattern {pattern}",
    "string_too_short": "text of at least {min_length} characters",
    "string_too_long": "text of at most {max_length} characters",
    "literal_error": "{expected}",
    "too_short": "a list of at least {min_length}",
    "too_long": "a list of at most {max_length}",
    "union_tag_invalid": "of a kind among {expected_tags}",
    "union_tag_not_found": "a mapping that says its {discriminator}",
    "missing": "given",
    "extra_forbidden": "one that there is",
}
#: The same by how the name starts.
_TYPES = {
    "int": "a whole number", "float": "a number", "bool": "true or false", "string": "text", "tuple": "a list",
    "list": "a list", "dict": "a mapping", "mapping": "a mapping", "model": "a mapping of its settings",
}  # fmt: skip


class Fault(NamedTuple):
    """One thing that is wrong with what a config was given.

    Attributes:
        path: where, keys and positions joined by dots; empty for the whole.
        kind: pydantic's name of the error.
        constraint: what must be, to follow "must be"; empty where ``sentence`` says it all.
        got: the value.
        sentence: what a check of our own says, else empty.
    """

    path: str
    kind: str
    constraint: str
    got: Any
    sentence: str = ""


def faults(error: ValidationError, given: Any) -> list[Fault]:
    """What is wrong with what a config was given, each once; ``given`` is what was validated."""
    errors = error.errors(include_url=False)
    places = [tuple(item["loc"]) for item in errors]
    return [
        _fault(item, given)
        for item, place in zip(errors, places, strict=True)
        # A list drops what is wrong inside it, and is then found to be too short as well.
        if not (item["type"] == "too_short" and any(p[: len(place)] == place and p != place for p in places))
    ]


def _fault(item: Any, given: Any) -> Fault:
    context, kind = item.get("ctx", {}), item["type"]
    path = ".".join(str(part) for part in _keys(item["loc"], kind, given))
    if kind in ("value_error", "assertion_error"):
        return Fault(path, kind, "", item.get("input"), str(context.get("error", item["msg"])))
    constraint = _CONSTRAINTS.get(kind) or _TYPES.get(kind.partition("_")[0]) or ""
    sentence = "" if constraint else item["msg"]
    return Fault(path, kind, constraint.format(**context), item.get("input"), sentence)


def _keys(loc: tuple[Any, ...], kind: str, given: Any) -> list[Any]:
    """The keys and positions of a place; pydantic also names the member of a union, which stands in no file."""
    keys, node = [], given
    for number, part in enumerate(loc):
        inside = (
            part in node if isinstance(node, Mapping) else isinstance(node, (list, tuple)) and part in range(len(node))
        )
        if inside:
            node = node[part]
        elif not (kind == "missing" and number == len(loc) - 1):
            continue
        keys.append(part)
    return keys


class Frozen(BaseModel):
    """Never changed, and without unknown keys; what it cannot be made of is an :class:`InputError`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    if not TYPE_CHECKING:  # type checkers take the fields for the arguments

        def __init__(self, /, **given: Any) -> None:
            try:
                super().__init__(**given)
            except ValidationError as error:
                raise refused(error, given, type(self)) from None

        # Configs inside of others are validated as before, so that an error keeps its whole path.
        __init__.__pydantic_base_init__ = True

    @model_validator(mode="before")
    @classmethod
    def _flags_are_no_numbers(cls, given: Any) -> Any:
        """pydantic reads true as 1."""
        wrong: list[InitErrorDetails] = [
            {"type": "int_type", "loc": (name,), "input": value}
            for name, value in (given.items() if isinstance(given, dict) else ())
            if isinstance(value, bool) and name in cls.model_fields and _is_number(cls.model_fields[name].annotation)
        ]
        if wrong:
            raise ValidationError.from_exception_data(cls.__name__, wrong)
        return given


def _is_number(annotation: Any) -> bool:
    return {annotation, *getattr(annotation, "__args__", ())} <= {int, float, type(None)}


def refused(error: ValidationError, given: Mapping[str, Any], model: type[BaseModel]) -> InputError:
    """The first fault of what a config was given, in one sentence."""
    fault, name = faults(error, given)[0], model.__name__
    if fault.sentence:
        return InputError(": ".join(part for part in (name, fault.path, fault.sentence) if part))
    own = model.model_fields.get(fault.path.partition(".")[0])
    about = own.description if own is not None and own.description else model.__doc__ or ""
    remedy = f"Give another ({about.partition(chr(10))[0].rstrip('.')})."
    if fault.kind == "extra_forbidden":
        near = get_close_matches(fault.path, model.model_fields, 1) or list(model.model_fields)
        return refusal("setting", name, "one that it has", fault.path, f"Try {near[0]!r}.")
    got = "nothing" if fault.kind == "missing" else repr(fault.got)
    return refusal(fault.path or "value", name, fault.constraint, got, remedy)
