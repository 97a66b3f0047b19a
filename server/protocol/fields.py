"""The dataclasses of the wire as readers and writers: compiled once from their type hints.

A *reader* takes what msgpack made of a value and returns it as its hint says, or raises `Refused`. A *writer* takes a
value of ours and returns what msgpack can pack. Every hint must say its bounds: a bare `int` or `str` is a mistake in
the specification and raises TypeError when the table is built.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, TypeAlias, Union, get_args, get_origin, get_type_hints

from impasto.server.protocol import limits
from impasto.server.protocol.field_types import Blob, Bytes, Flat, Many, Real, Text, Whole
from impasto.server.protocol.text import SHOWN, offence, shown

Reader: TypeAlias = Callable[[Any], Any]
Writer: TypeAlias = Callable[[Any], Any]

KEY = 40
"""Characters of a foreign key that stand in a path, which then fits into `ErrorFacts.field` whatever they are."""


class Refused(Exception):
    """A value that its hint does not allow; `path` grows from the inside out: 'look.params[stroke]'."""

    def __init__(self, expected: str, came: str, path: str = "") -> None:
        super().__init__(expected, came)
        self.expected = expected
        self.came = came
        self.path = path

    def within(self, name: str) -> None:
        """The value was found in the field of this name."""
        dot = "." if self.path and not self.path.startswith("[") else ""
        self.path = f"{name}{dot}{self.path}"


@cache
def record_reader(kind: type[Any], depth: int = 1) -> Reader:
    """A map -> this dataclass. `depth` is how deep the map stands in the header, whose own is 1.

    A key that is no field is skipped: a newer minor version may have added it.
    """
    if depth > limits.DEPTH:
        raise TypeError(f"{kind.__name__} stands deeper in a message than the {limits.DEPTH} levels a header may have")
    flat = flat_field(kind)
    readers, needed = {}, set[str]()
    for record in (kind,) if flat is None else (kind, flat[1]):
        hints = get_type_hints(record, include_extras=True)
        for field in fields(record):
            if flat is None or field.name != flat[0]:
                readers[field.name] = reader_of(hints[field.name], depth)
                if field.default is MISSING and field.default_factory is MISSING:
                    needed.add(field.name)

    def read(value: Any) -> Any:
        if type(value) is not dict:
            raise Refused("a map", shown(value))
        found = {}
        key = None
        try:
            for key, item in value.items():
                reader = readers.get(key)
                if reader is None:
                    _skim(key, item, depth)
                else:
                    found[key] = reader(item)
        except Refused as refused:
            if key in readers:
                refused.within(key)
            raise
        if not needed <= found.keys():
            raise Refused("given", "nothing", min(needed - found.keys()))
        if flat is not None:
            name, inner = flat
            found[name] = inner(**{key: found.pop(key) for key in inner.__dataclass_fields__ if key in found})
        return kind(**found)

    return read


def flat_field(kind: type[Any]) -> tuple[str, type[Any]] | None:
    """Name and type of the one field whose own fields are keys of the same map; None where no field is `Flat`."""
    for name, hint in get_type_hints(kind, include_extras=True).items():
        if get_origin(hint) is Annotated and isinstance(get_args(hint)[1], Flat):
            return name, get_args(hint)[0]
    return None


def wire_keys(kind: type[Any]) -> set[str]:
    """The keys that a record of this kind may have on the wire."""
    flat = flat_field(kind)
    keys = {field.name for field in fields(kind)}
    return keys if flat is None else keys - {flat[0]} | wire_keys(flat[1])


def reader_of(hint: Any, depth: int) -> Reader:
    """The reader of a field with this hint, in a map that stands at `depth`."""
    if hint is bool:
        return _read_flag
    if isinstance(hint, type) and is_dataclass(hint):
        return record_reader(hint, depth + 1)
    arguments = get_args(hint)
    origin = get_origin(hint)
    if origin is Annotated:
        base, bound = arguments
        return _BOUNDED[type(bound)](base, bound, depth)
    if origin is Literal:
        return _choice_reader(arguments)
    if origin in (Union, UnionType) and len(arguments) == 2 and NoneType in arguments:
        return _optional_reader(next(kind for kind in arguments if kind is not NoneType), depth)
    raise TypeError(f"a field of the wire needs a bound, got the hint {hint}")


def _skim(key: Any, value: Any, depth: int) -> None:
    """Look through the value of an unknown key, so that what is refused elsewhere is refused here too."""
    if type(key) is not str:
        raise Refused("a map whose keys are text", f"the key {shown(key)}")
    if type(value) is dict:
        items = list(value.items())
    elif type(value) is list:
        items = [("", item) for item in value]
    elif type(value) is float and not math.isfinite(value):
        raise Refused("a finite number", shown(value), "of an unknown key")
    else:
        return
    if depth >= limits.DEPTH:
        raise Refused(f"a header of at most {limits.DEPTH} levels", "more")
    for name, item in items:
        _skim(name, item, depth + 1)


def _read_flag(value: Any) -> bool:
    if type(value) is not bool:
        raise Refused("true or false", shown(value))
    return value


def _blob_reader(base: Any, bound: Bytes, depth: int) -> Reader:
    def read(value: Any) -> bytes:
        if type(value) is not bytes or len(value) != bound.size:
            raise Refused(f"{bound.size} bytes", shown(value))
        return value

    return read


def _units_reader(base: Any, bound: Blob, depth: int) -> Reader:
    def read(value: Any) -> bytes:
        units, rest = divmod(len(value), bound.unit) if type(value) is bytes else (0, 0)
        if rest or not 1 <= units <= bound.most:
            raise Refused(f"1 to {bound.most} times {bound.unit} bytes", shown(value))
        return bytes(value)

    return read


def _text_reader(base: Any, bound: Text, depth: int) -> Reader:
    least, most = 0 if bound.empty else 1, bound.bytes

    def read(value: Any) -> str:
        if type(value) is not str:
            raise Refused("text", shown(value))
        # ASCII first: it is nearly every text, and its bytes need no counting.
        if value.isascii() and value.isprintable() and least <= len(value) <= most:
            return value
        size = len(value) if value.isascii() else len(value.encode())
        if size > bound.bytes:
            raise Refused(f"text of at most {bound.bytes} bytes", f"{size} bytes")
        if not value and not bound.empty:
            raise Refused("text that is not empty", "an empty one")
        wrong = offence(value)
        if wrong is not None:
            raise Refused("text without control characters or changes of direction", f"{wrong} in {shown(value)}")
        return value

    return read


def _whole_reader(base: Any, bound: Whole, depth: int) -> Reader:
    least, most = bound.least, bound.most

    def read(value: Any) -> int:
        # A bool is an int to Python, and not to the wire.
        if type(value) is not int or not least <= value <= most:
            raise Refused(f"a whole number from {least} to {most}", shown(value))
        return value

    return read


def _real_reader(base: Any, bound: Real, depth: int) -> Reader:
    least, most = bound.least, bound.most

    def read(value: Any) -> float:
        # The comparison is false for NaN.
        if type(value) not in (float, int) or not least <= value <= most:
            raise Refused(f"a finite number from {least:g} to {most:g}", shown(value))
        return float(value)

    return read


def _choice_reader(words: tuple[str, ...]) -> Reader:
    known = frozenset(words)

    def read(value: Any) -> str:
        if type(value) is not str or value not in known:
            from difflib import get_close_matches

            near = get_close_matches(value[:SHOWN], words, n=1) if type(value) is str else []
            offer = f" (did you mean '{near[0]}'?)" if near else ""
            raise Refused("one of " + ", ".join(repr(word) for word in words), f"{shown(value)}{offer}")
        return value

    return read


def _optional_reader(hint: Any, depth: int) -> Reader:
    inner = reader_of(hint, depth)
    return lambda value: None if value is None else inner(value)


def _many_reader(base: Any, bound: Many, depth: int) -> Reader:
    return (_map_reader if get_origin(base) is dict else _list_reader)(base, bound, depth + 1)


def _list_reader(base: Any, bound: Many, depth: int) -> Reader:
    item_hint, rest = get_args(base)
    if rest is not Ellipsis:
        raise TypeError(f"a list of the wire is tuple[X, ...], got {base}")
    read_item = reader_of(item_hint, depth)

    def read(value: Any) -> tuple[Any, ...]:
        if type(value) is not list or len(value) > bound.most:
            raise Refused(f"a list of at most {bound.most}", shown(value))
        found = []
        for item in value:
            try:
                found.append(read_item(item))
            except Refused as refused:
                refused.within(f"[{len(found)}]")
                raise
        return tuple(found)

    return read


def _map_reader(base: Any, bound: Many, depth: int) -> Reader:
    key_hint, item_hint = get_args(base)
    read_key, read_item = reader_of(key_hint, depth), reader_of(item_hint, depth)

    def read(value: Any) -> dict[str, Any]:
        if type(value) is not dict or len(value) > bound.most:
            raise Refused(f"a map of at most {bound.most}", shown(value))
        found = {}
        for key, item in value.items():
            name = read_key(key)
            try:
                found[name] = read_item(item)
            except Refused as refused:
                refused.within(f"[{shown(name[:KEY])[1:-1]}]")
                raise
        return found

    return read


_BOUNDED: Mapping[type[Any], Callable[[Any, Any, int], Reader]] = {
    Bytes: _blob_reader,
    Blob: _units_reader,
    Text: _text_reader,
    Whole: _whole_reader,
    Real: _real_reader,
    Many: _many_reader,
}
"""Bound of the hint -> what makes its reader."""


@cache
def record_writer(kind: type[Any]) -> Writer:
    """This dataclass -> a map of its fields, in their order, without those that equal their default.

    Nothing is checked: the values are our own, and the other side checks them all.
    """
    hints = get_type_hints(kind, include_extras=True)
    flat = flat_field(kind)
    rows = []
    for field in fields(kind):
        default = field.default if field.default_factory is MISSING else field.default_factory()
        rows.append((field.name, default, _writer_of(hints[field.name])))

    def write(value: Any) -> dict[str, Any]:
        plain = {}
        for name, default, writer in rows:
            item = getattr(value, name)
            if item != default:
                plain[name] = item if writer is None else writer(item)
        if flat is not None:
            plain.update(plain.pop(flat[0]))
        return plain

    return write


def _writer_of(hint: Any) -> Writer | None:
    """The writer of a field with this hint; None where msgpack takes the value as it is."""
    if isinstance(hint, type) and is_dataclass(hint):
        return record_writer(hint)
    if get_origin(hint) is Annotated:
        return _writer_of(get_args(hint)[0])
    if get_origin(hint) is tuple:
        return _list_writer(_writer_of(get_args(hint)[0]))
    if get_origin(hint) in (Union, UnionType):
        return _optional_writer(_writer_of(next(kind for kind in get_args(hint) if kind is not NoneType)))
    return None


def _list_writer(inner: Writer | None) -> Writer | None:
    return None if inner is None else lambda items: [inner(item) for item in items]


def _optional_writer(inner: Writer | None) -> Writer | None:
    return None if inner is None else lambda item: None if item is None else inner(item)
