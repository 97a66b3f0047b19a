# SPDX-License-Identifier: GPL-3.0-or-later
"""The look that a strip keeps for itself, whatever the panel says: one that was pinned, or the style in training."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from impasto.core.errors import UsageError

from ..connection import current
from ..live.frames import stamp_of
from . import parameters

KEPT_LOOK: Final = "impasto_look"
"""On the strip, as JSON: {"style": …, "params": {…}}; without it the strip follows the panel."""


@dataclass(frozen=True, slots=True)
class KeptLook:
    """A style and how it is set."""

    style: str
    """A name of the library, or the absolute path of a style file."""
    params: Mapping[str, float]


def kept_by(strip: Any) -> KeptLook | None:
    """The strip's own look; None where it follows the panel, or what it bears is no look."""
    try:
        found = json.loads(strip.get(KEPT_LOOK, ""))
        return KeptLook(str(found["style"]), {str(name): float(value) for name, value in found["params"].items()})
    except (ValueError, LookupError, TypeError, AttributeError):
        return None


def keep(strip: Any, look: KeptLook) -> None:
    """Have a strip keep a look."""
    strip[KEPT_LOOK] = json.dumps({"style": look.style, "params": dict(look.params)})


def release(strip: Any) -> None:
    """Have a strip follow the panel again."""
    if KEPT_LOOK in strip:
        del strip[KEPT_LOOK]


def look_of_panel(scene: Any) -> KeptLook:
    """The look that the panel shows now. Raises UsageError where no style is chosen."""
    settings = scene.impasto
    if not settings.style_name:
        raise UsageError("expected a style, none is chosen; start the server and choose one in the panel")
    return KeptLook(settings.style_name, parameters.look_of(settings))


def style_state(style: str) -> str:
    """Something that changes with the style; '' where the server has not said yet."""
    if os.path.isabs(style):
        return stamp_of(style)
    return next((each.sha256 for each in current().styles() if each.name == style), "")
