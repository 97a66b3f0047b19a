# SPDX-License-Identifier: GPL-3.0-or-later
"""The way back to Blender's main thread, the only one that may touch `bpy`."""

from __future__ import annotations

import queue
from collections.abc import Callable
from typing import Final

from .failure import remember

SOON_S: Final = 0.02
IDLE_S: Final = 0.1
AT_ONCE: Final = 64
"""Calls of one turn, so that a flood of them cannot freeze Blender."""

_calls: queue.SimpleQueue[Callable[[], object]] = queue.SimpleQueue()


def later(call: Callable[[], object]) -> None:
    """Have a function called in the main thread, from any thread and without waiting; in the order of the calls."""
    _calls.put(call)


def drain() -> int:
    """Call what waits, in the main thread; how many calls that were. What one raises is remembered."""
    for count in range(AT_ONCE):
        try:
            call = _calls.get_nowait()
        except queue.Empty:
            return count
        try:
            call()
        except Exception as error:  # noqa: BLE001  # the others must still be called
            remember(error)
    return AT_ONCE


def _turn() -> float:
    """Blender's timer; the seconds until the next turn."""
    return SOON_S if drain() else IDLE_S


def register() -> None:
    """Begin to drain. In the background no timer ticks: whoever waits there calls `drain` itself."""
    import bpy

    if not bpy.app.timers.is_registered(_turn):
        bpy.app.timers.register(_turn, first_interval=IDLE_S, persistent=True)


def unregister() -> None:
    """Stop, and drop what still waits."""
    import bpy

    if bpy.app.timers.is_registered(_turn):
        bpy.app.timers.unregister(_turn)
    while not _calls.empty():
        _calls.get_nowait()
