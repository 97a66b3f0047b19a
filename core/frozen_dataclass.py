"""Frozen dataclasses that cost an importing process little: `__init__` is compiled at the first use.

`dataclasses.dataclass` writes and compiles six methods for each class: half a millisecond of every process that
imports it. The wire has seventy classes; a program that sends one frame uses ten.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import FrozenInstanceError, dataclass, field, fields, make_dataclass
from typing import Any, TypeVar, dataclass_transform

Class = TypeVar("Class")


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def frozen_dataclass(kind: type[Class]) -> type[Class]:
    """The class as `dataclass(frozen=True, slots=True)` makes it, for classes without bases.

    `__init__` is compiled at the first instance. All other methods are shared, and fields cannot be left out of them.
    """
    made: Any = dataclass(init=False, repr=False, eq=False, slots=True)(kind)

    def first_init(self: Any, *values: Any, **named: Any) -> None:
        made.__init__ = _compiled_init(made)
        made.__init__(self, *values, **named)

    made.__init__ = first_init
    for name, method in _METHODS.items():
        if name not in kind.__dict__:
            setattr(made, name, method)
    return made  # type: ignore[no-any-return]


def _compiled_init(kind: type[Any]) -> Callable[..., None]:
    rows = [
        (each.name, each.type, field(default=each.default, default_factory=each.default_factory))
        for each in fields(kind)
    ]
    own = {name: value for name, value in kind.__dict__.items() if name == "__post_init__"}
    whole: Any = make_dataclass(kind.__name__, rows, namespace=own, frozen=True, repr=False, eq=False)
    init: Callable[..., None] = whole.__init__
    return init


def _values(self: Any) -> tuple[Any, ...]:
    return tuple([getattr(self, name) for name in self.__slots__])


def _repr(self: Any) -> str:
    shown = ", ".join(f"{name}={getattr(self, name)!r}" for name in self.__slots__)
    return f"{type(self).__qualname__}({shown})"


def _eq(self: Any, other: object) -> bool:
    return _values(self) == _values(other) if type(other) is type(self) else NotImplemented


def _hash(self: Any) -> int:
    return hash(_values(self))


def _refuse_change(self: Any, name: str, *value: object) -> None:
    raise FrozenInstanceError(f"cannot change field '{name}' of {type(self).__qualname__}; use dataclasses.replace")


def _reduce(self: Any) -> tuple[Any, ...]:
    return type(self), _values(self)


_METHODS: dict[str, Callable[..., Any]] = {
    "__repr__": _repr,
    "__eq__": _eq,
    "__hash__": _hash,
    "__setattr__": _refuse_change,
    "__delattr__": _refuse_change,
    "__reduce__": _reduce,
}
