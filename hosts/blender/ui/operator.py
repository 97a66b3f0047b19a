# SPDX-License-Identifier: GPL-3.0-or-later
"""An operator of Blender made from a function."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import bpy

from ..failure import guarded

Execute: TypeAlias = Callable[[Any, Any], "set[str] | None"]


def blender_operator(label: str, *, undo: bool = False, **properties: Any) -> Callable[[Execute], type]:
    """Make the operator `impasto.NAME` of a function `NAME(operator, context)`; its docstring is the tooltip.

    The function returns None when it is done, or Blender's own words, such as {"CANCELLED"}. What it raises is
    reported, remembered, and cancels the operator.
    """

    def make(function: Execute) -> type:
        name = function.__name__

        def execute(self: Any, context: bpy.types.Context) -> set[str]:
            return function(self, context) or {"FINISHED"}

        facts: dict[str, Any] = {
            "__doc__": function.__doc__,
            "__module__": function.__module__,
            "__annotations__": properties,
            "bl_idname": f"impasto.{name}",
            "bl_label": label,
            "execute": guarded(execute),
        }
        if undo:
            facts["bl_options"] = {"REGISTER", "UNDO"}
        return type(f"IMPASTO_OT_{name}", (bpy.types.Operator,), facts)

    return make
