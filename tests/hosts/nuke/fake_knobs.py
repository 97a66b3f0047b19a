"""Knobs of the fake Nuke.

Documented (Foundry's Python reference): names and words of the methods, NameError for a knob that a node does not have,
an enumeration that takes one of its names or a number, values over time by getValueAt and setValueAt, expressions that
see `parent` and `$gui`. Assumed: an enumeration refuses a name that it does not have; two keys are joined by a straight
line. Everything but ProgressTask and the two ways into the main thread refuses other threads, as the reference asks.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from typing import Any


class WrongThread(AssertionError):
    """Nuke was touched from another thread than the main one."""


class OnMain:
    """Refuses every public attribute on other threads."""

    def __getattribute__(self, name: str) -> Any:
        if not name.startswith("_") and threading.current_thread() is not threading.main_thread():
            raise WrongThread(f"{type(self).__name__}.{name} was used on thread '{threading.current_thread().name}'")
        return object.__getattribute__(self, name)


class Knob(OnMain):
    """One value of a node, with its name, label and flags."""

    default: Any = None

    def __init__(self, name: str, label: str | None = None) -> None:
        self._name, self._label = name, label
        self._value: Any = self.default
        self._keys: dict[float, float] = {}
        self._expression = ""
        self._flags: set[int] = set()
        self._tip = ""
        self._node: Any = None

    def Class(self) -> str:
        return type(self).__name__

    def name(self) -> str:
        return self._name

    def label(self) -> str:
        return self._label or ""

    def node(self) -> Any:
        return self._node

    def setTooltip(self, tooltip: str) -> None:
        self._tip = tooltip

    def tooltip(self) -> str:
        return self._tip

    def setFlag(self, flag: int) -> None:
        self._flags.add(flag)

    def clearFlag(self, flag: int) -> None:
        self._flags.discard(flag)

    def getFlag(self, flag: int) -> bool:
        return flag in self._flags

    def isAnimated(self) -> bool:
        return bool(self._keys)

    def hasExpression(self) -> bool:
        return bool(self._expression)

    def setExpression(self, expression: str) -> bool:
        self._change(lambda: setattr(self, "_expression", expression))
        return True

    def value(self) -> Any:
        if self._expression:
            return self._node._script.evaluate_expression(self._expression, self._node)
        return self._at(self._node._script.now) if self._keys else self._value

    def getValueAt(self, frame: float) -> Any:
        return self._at(frame) if self._keys else self.value()

    def setValue(self, value: Any) -> bool:
        checked = self._checked(value)
        if checked != self._value or self._keys:
            self._change(lambda: self._set(checked))
        return True

    def setValueAt(self, value: float, time: float) -> bool:
        self._change(lambda: self._keys.__setitem__(time, float(value)))
        return True

    def _set(self, value: Any) -> None:
        self._value = value
        self._keys.clear()

    def _checked(self, value: Any) -> Any:
        return value

    def _at(self, frame: float) -> float:
        before = [each for each in self._keys if each <= frame]
        after = [each for each in self._keys if each >= frame]
        if not before or not after:
            return self._keys[min(after) if after else max(before)]
        first, last = max(before), min(after)
        if first == last:
            return self._keys[first]
        share = (frame - first) / (last - first)
        return self._keys[first] * (1 - share) + self._keys[last] * share

    def _change(self, change: Callable[[], None]) -> None:
        if self._node is None:
            change()
            return
        before = (self._value, dict(self._keys), self._expression)

        def back() -> None:
            self._value, self._keys, self._expression = before[0], dict(before[1]), before[2]

        change()
        self._node._script.changed(self, back)

    def _text(self) -> str:
        if self._expression:
            return f"{self._name} {{{{{self._expression}}}}}"
        if self._keys:
            curve = " ".join(f"x{frame:g} {value:g}" for frame, value in sorted(self._keys.items()))
            return f"{self._name} {{{{curve {curve}}}}}"
        return f"{self._name} {self._value!r}"

    def _is_default(self) -> bool:
        return not self._expression and not self._keys and self._value == self.default


class Array_Knob(Knob):
    default = 0.0

    def setRange(self, minimum: float, maximum: float) -> None:
        self._range = (minimum, maximum)

    def min(self) -> float:
        return self._range[0]

    def max(self) -> float:
        return self._range[1]


class Double_Knob(Array_Knob):
    def _checked(self, value: Any) -> float:
        return float(value)


class Int_Knob(Array_Knob):
    default = 0

    def _checked(self, value: Any) -> int:
        assert value == int(value), f"an Int_Knob was given {value!r}"
        return int(value)


class Boolean_Knob(Array_Knob):
    default = False

    def __init__(self, name: str, label: str | None = None, value: bool = False) -> None:
        super().__init__(name, label)
        self._value = value

    def _checked(self, value: Any) -> bool:
        assert value in (True, False), f"a Boolean_Knob was given {value!r}"
        return bool(value)


class Enumeration_Knob(Knob):
    def __init__(self, name: str, label: str | None, values: list[str]) -> None:
        super().__init__(name, label)
        assert isinstance(values, list), "Nuke takes a list of names"
        self._names = list(values)
        self._value = self._names[0]

    def values(self) -> list[str]:
        return list(self._names)

    def setValues(self, values: list[str]) -> None:
        self._names = list(values)

    def getValue(self) -> float:
        return float(self._names.index(self._value))

    def _checked(self, value: Any) -> str:
        name = self._names[value] if isinstance(value, int) else value
        assert name in self._names, f"the knob {self._name} has no '{name}' among {self._names}"
        return str(name)

    def _is_default(self) -> bool:
        return bool(self._value == self._names[0])


class String_Knob(Knob):
    default = ""

    def _checked(self, value: Any) -> str:
        assert isinstance(value, str), f"a String_Knob was given {value!r}"
        return value


class EvalString_Knob(String_Knob):
    pass


class File_Knob(EvalString_Knob):
    def getEvaluatedValue(self) -> str | None:
        return re.sub(r"%V", self._node._script.view, self._value) or None


class Script_Knob(String_Knob):
    def __init__(self, name: str, label: str | None = None, command: str = "") -> None:
        super().__init__(name, label)
        self._value = command

    def command(self) -> str:
        return str(self._value)

    def execute(self) -> None:
        self._node._script.run_button(self._node, self)


class PyScript_Knob(Script_Knob):
    pass


class Tab_Knob(Knob):
    pass


class Channel_Knob(String_Knob):
    pass


class Disable_Knob(Boolean_Knob):
    pass
