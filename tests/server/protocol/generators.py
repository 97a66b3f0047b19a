"""Hypothesis strategies for messages: drawn from the same hints that the codec reads, but not by its code."""

from __future__ import annotations

from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import msgpack
from hypothesis import strategies as st

from impasto.server.protocol.codec import Table, encode
from impasto.server.protocol.field_types import Blob, Bytes, Flat, Many, Real, Text, Whole

LETTERS = st.sampled_from("aZ09 _-./\\:é麦ق🌾\u200f")
"""A few of every length in UTF-8, and a mark that is no override."""


def messages_of(table: Table[Any]) -> st.SearchStrategy[Any]:
    """Any message of the table, within its bounds; lists and maps stay short."""
    return st.one_of(*(records(table.kinds[name]) for name in sorted(table.kinds)))


def values(hint: Any) -> st.SearchStrategy[Any]:
    if is_dataclass(hint):
        return records(hint)
    arguments = get_args(hint)
    if get_origin(hint) is Annotated:
        return bounded(*arguments)
    if get_origin(hint) is Literal:
        return st.sampled_from(arguments)
    if get_origin(hint) in (Union, UnionType):
        return st.one_of(*(st.none() if kind is NoneType else values(kind) for kind in arguments))
    assert hint is bool
    return st.booleans()


def bounded(base: Any, bound: Any) -> st.SearchStrategy[Any]:
    match bound:
        case Bytes(size):
            return st.binary(min_size=size, max_size=size)
        case Blob(most, unit):
            return st.integers(1, min(most, 4)).flatmap(
                lambda units: st.binary(min_size=units * unit, max_size=units * unit)
            )
        case Text(most, empty):
            return st.text(LETTERS, min_size=0 if empty else 1, max_size=min(most, 32) // 4)
        case Whole(least, most):
            return st.integers(least, most)
        case Real(least, most):
            return st.floats(least, most)
        case Many(most) if get_origin(base) is dict:
            key, value = get_args(base)
            return st.dictionaries(values(key), values(value), max_size=min(most, 3))
        case Many(most):
            return st.lists(values(get_args(base)[0]), max_size=min(most, 3)).map(tuple)
        case Flat():
            return records(base)
        case _:
            raise AssertionError(bound)


@cache
def records(kind: Any) -> st.SearchStrategy[Any]:
    hints = get_type_hints(kind, include_extras=True)
    needed = {
        field.name: values(hints[field.name])
        for field in fields(kind)
        if field.default is MISSING and field.default_factory is MISSING
    }
    others = {field.name: values(hints[field.name]) for field in fields(kind) if field.name not in needed}
    return st.fixed_dictionaries(needed, optional=others).map(lambda found: kind(**found))


@cache
def anything() -> st.SearchStrategy[Any]:
    """Any value that msgpack can pack, wrong on purpose as often as right."""
    scalars = st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-(1 << 63), (1 << 64) - 1),
        st.sampled_from([0, 1, -1, 1 << 31, 1 << 32, 1 << 63]),
        st.floats(),
        st.text(max_size=20),
        st.sampled_from(["", "\n", "\u202e", "submit", "raw", "type"]),
        st.binary(max_size=20),
        st.builds(msgpack.ExtType, st.integers(0, 127), st.binary(max_size=4)),
    )
    return st.recursive(
        scalars,
        lambda inner: (
            st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6) | st.integers(-9, 9), inner, max_size=4)
        ),
        max_leaves=8,
    )


@st.composite
def headers(draw: st.DrawFn, table: Table[Any]) -> bytes:
    """The header of a sound message, changed: a value or key swapped, one added or lost, or single bytes turned."""
    packed = encode(draw(messages_of(table)))[1]
    plain = msgpack.unpackb(packed)
    place = plain
    while isinstance(place, dict) and place:
        name = draw(st.sampled_from(sorted(place)))
        if not isinstance(place[name], dict) or draw(st.booleans()):
            match draw(st.sampled_from(["swap", "lose", "add"])):
                case "swap":
                    place[name] = draw(anything())
                case "lose":
                    del place[name]
                case "add":
                    place[draw(st.text(max_size=5))] = draw(anything())
            break
        place = place[name]
    changed = bytearray(msgpack.packb(plain))
    for _ in range(draw(st.integers(0, 2))):
        changed[draw(st.integers(0, len(changed) - 1))] = draw(st.integers(0, 255))
    return bytes(changed[: draw(st.integers(0, len(changed)))] if draw(st.booleans()) else changed)
