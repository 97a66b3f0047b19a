"""Records against dataclasses: the same to whoever uses them."""

from __future__ import annotations

import copy
from dataclasses import FrozenInstanceError, asdict, dataclass, field, fields, replace

import pytest

from impasto.core.frozen_dataclass import frozen_dataclass


@frozen_dataclass
class Point:
    """A value with a check."""

    x: int
    y: int = 2
    names: tuple[str, ...] = ()
    facts: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.x < 0:
            raise ValueError("x is below 0")


@frozen_dataclass
class Named:
    """A value with a text of its own."""

    name: str

    def __str__(self) -> str:
        return self.name

    def __repr__(self) -> str:
        return "hidden"


@dataclass(frozen=True, slots=True)
class Plain:
    """What `Point` stands beside."""

    x: int
    y: int = 2


def test_a_record_is_made_as_a_dataclass_is() -> None:
    assert (Point(1), Point(1, 3).y, Point(x=1, y=3)) == (Point(1, 2, (), {}), 3, Point(1, 3))
    assert Point(1).facts is not Point(1).facts
    for values, named in (((), {}), ((1, 2, (), {}, 5), {}), ((1,), {"z": 2}), ((1,), {"x": 2})):
        with pytest.raises(TypeError):
            Point(*values, **named)  # type: ignore[arg-type]


def test_a_record_checks_itself_each_time() -> None:
    Point(1)
    for _ in range(2):
        with pytest.raises(ValueError, match="below 0"):
            Point(-1)


def test_a_record_cannot_be_changed() -> None:
    point = Point(1)
    with pytest.raises(FrozenInstanceError):
        point.x = 2  # type: ignore[misc]
    with pytest.raises(FrozenInstanceError):
        del point.x
    with pytest.raises((AttributeError, TypeError)):
        point.other = 2  # type: ignore[attr-defined]


def test_records_compare_hash_and_show_as_dataclasses_do() -> None:
    assert Named("a") == Named("a") != Named("b")
    assert Point(1) != Plain(1)
    assert hash(Named("a")) == hash(Named("a"))
    assert repr(Point(1)).endswith("Point(x=1, y=2, names=(), facts={})")
    assert repr(Named("a")) == "hidden"


def test_dataclasses_own_functions_take_records() -> None:
    point = Point(1, facts={"a": 1})
    assert asdict(point) == {"x": 1, "y": 2, "names": (), "facts": {"a": 1}}
    assert replace(point, x=5) == Point(5, facts={"a": 1})
    assert [each.name for each in fields(Point)] == ["x", "y", "names", "facts"]
    match point:
        case Point(x, y):
            assert (x, y) == (1, 2)


def test_a_record_is_copied() -> None:
    point = Point(1, names=("a",))
    assert copy.copy(point) == copy.deepcopy(point) == point
