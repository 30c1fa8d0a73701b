"""YAML from a file or an option, as plain values, or refused with its place: nothing in it may hang or be guessed.

YAML lets a few lines stand for billions of values, a mapping say a key twice, and ``010`` mean eight. Recipes need none
of this.
"""

import math
import re
from collections.abc import Iterator
from typing import Any

import yaml

from universality.errors import InputError, refusal

#: A recipe has some hundred values; these are far beyond any, and far below what takes a second.
MAX_BYTES, MAX_DEPTH, MAX_VALUES = 1_000_000, 32, 20_000
#: Digits of an integer: all below fit 64 bits.
MAX_DIGITS = 18
_MARKS = {b"\xff\xfe": "UTF-16", b"\xfe\xff": "UTF-16", b"PK": "a zip archive", b"\x1f\x8b": "a gzip archive"}
_UNREADABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")


def decoded(data: bytes, where: str) -> str:
    """The text of a file's bytes.

    Raises:
        InputError: too many bytes, or not UTF-8.
    """
    if len(data) > MAX_BYTES:
        raise refusal("size", where, f"at most {MAX_BYTES:,} bytes", f"{len(data):,}", "Is this the recipe?")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        found = next((name for mark, name in _MARKS.items() if data.startswith(mark)), "")
        line = data[: error.start].count(b"\n") + 1
        got = found or f"byte 0x{data[error.start]:02x} in line {line}, which is none"
        raise refusal("encoding", where, "UTF-8", got, "Save the file as UTF-8.") from None


def parsed(text: str, where: str) -> Any:
    """The values of one YAML document: dicts, lists, texts, numbers, dates, booleans and None, none of them shared.

    Args:
        text: the document.
        where: named in errors, with line and column.

    Raises:
        InputError: it is no YAML, too large or too deep, has a key twice, or holds a value that could be misread.
    """
    try:
        loader = _Loader(text)
        try:
            root = loader.get_single_node()
            if root is None:
                return None
            _refuse_expansion(root)
            return _own(loader.construct_document(root))
        finally:
            loader.dispose()
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f"{where}:{mark.line + 1}:{mark.column + 1}" if mark else where
        problem = getattr(error, "problem", None) or _of_reader(error)
        raise InputError(f"{place}: the file must be YAML; {problem}. Fix the line and run again.") from None


class _Refused(yaml.MarkedYAMLError):
    def __init__(self, problem: str, mark: Any) -> None:
        super().__init__(problem=problem, problem_mark=mark)


class _Loader(yaml.SafeLoader):
    """Values that cannot be read are told with their place.

    Events are looked at as they come: composing the values of one calls itself at each level.
    """

    depth = n_events = 0

    def get_event(self) -> Any:
        event = super().get_event()
        self.n_events += 1
        if isinstance(event, (yaml.MappingStartEvent, yaml.SequenceStartEvent)):
            self.depth += 1
        elif isinstance(event, (yaml.MappingEndEvent, yaml.SequenceEndEvent)):
            self.depth -= 1
        elif isinstance(event, yaml.ScalarEvent) and len(event.value) > MAX_DIGITS and _is_long_number(event):
            raise _Refused(_wrong_number(event.value, False, True, 0), event.start_mark)
        if self.depth > MAX_DEPTH:
            raise _Refused(f"values must be nested at most {MAX_DEPTH} deep", event.start_mark)
        if self.n_events > 2 * MAX_VALUES:
            raise _Refused(f"there must be at most {MAX_VALUES:,} values", event.start_mark)
        return event

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            value = super().construct_object(node, deep)
        except (ValueError, OverflowError, TypeError, LookupError, AttributeError) as error:
            raise _Refused(f"{_short(node)} is no value that can be read ({error})", node.start_mark) from None
        if isinstance(node, yaml.ScalarNode):
            _refuse_misreading(node, value)
        return value


def _refuse_misreading(node: yaml.ScalarNode, value: Any) -> None:
    """Numbers are decimal, finite and below 10^18; text holds no control characters."""
    written = node.value
    problem = ""
    if isinstance(value, str) and (found := _UNREADABLE.search(value)):
        problem = f"text must hold no control characters; got U+{ord(found[0]):04X}"
    elif isinstance(value, int) and not isinstance(value, bool):
        octal = re.match(r"[-+]?0[0-9_]", written) is not None
        problem = _wrong_number(written, octal or ":" in written, abs(value) >= 10**MAX_DIGITS, value)
    elif isinstance(value, float):
        problem = _wrong_number(written, ":" in written, not math.isfinite(value), value)
    if problem:
        raise _Refused(problem, node.start_mark)


def _wrong_number(written: str, odd: bool, beyond: bool, value: float) -> str:
    if beyond:
        return f"a number must be finite and have at most {MAX_DIGITS} digits; got {written[:40]}"
    return f"a number must be written in plain decimals; got {written[:40]}, which YAML reads as {value}" if odd else ""


def _is_long_number(event: yaml.ScalarEvent) -> bool:
    """An integer that Python would take seconds to read, or refuse; quoted ones are text."""
    return event.implicit[0] and re.fullmatch(r"[-+]?[0-9a-fxob_:]*[0-9]{19}[0-9a-f_:]*", event.value) is not None


def _refuse_expansion(root: yaml.Node) -> None:
    """Count values as often as aliases repeat them, and look for keys that stand twice."""
    sizes: dict[int, int] = {}
    open_nodes: set[int] = set()

    def size(node: yaml.Node) -> int:
        if id(node) in sizes:
            return sizes[id(node)]
        if id(node) in open_nodes:
            raise _Refused("an alias must not stand inside of what it names", node.start_mark)
        open_nodes.add(id(node))
        total = 1 + sum(size(child) for child in _children(node))
        if total > MAX_VALUES:
            raise _Refused(f"there must be at most {MAX_VALUES:,} values, repeated ones counted", node.start_mark)
        open_nodes.discard(id(node))
        sizes[id(node)] = total
        return total

    size(root)


def _children(node: yaml.Node) -> Iterator[yaml.Node]:
    if isinstance(node, yaml.SequenceNode):
        yield from node.value
    elif isinstance(node, yaml.MappingNode):
        lines: dict[tuple[str, str], int] = {}
        for key, value in node.value:
            if isinstance(key, yaml.ScalarNode):
                named = (key.tag, key.value)
                if named in lines:
                    raise _Refused(f"key {_short(key)} must stand once; line {lines[named]} has it too", key.start_mark)
                lines[named] = key.start_mark.line + 1
            yield key
            yield value


def _own(value: Any) -> Any:
    """A copy in which no part is shared, so that changing one place changes no other."""
    if isinstance(value, dict):
        return {key: _own(item) for key, item in value.items()}
    return [_own(item) for item in value] if isinstance(value, list) else value


def _short(node: yaml.Node) -> str:
    text = node.value if isinstance(node, yaml.ScalarNode) else type(node.value).__name__
    return repr(text if len(text) <= 40 else text[:40] + "…")


def _of_reader(error: yaml.YAMLError) -> str:
    if isinstance(error, yaml.reader.ReaderError):
        return f"character U+{error.character:04X} is not allowed in it (position {error.position})"
    return "it cannot be read"
