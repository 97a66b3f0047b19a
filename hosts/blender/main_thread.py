# SPDX-License-Identifier: GPL-3.0-or-later
"""Calls from any thread into Blender's main thread, the only one that may touch `bpy`."""

from __future__ import annotations

import queue
from collections.abc import Callable
from typing import Final

from .failure import remember

SOON_S: Final = 0.02
IDLE_S: Final = 0.1
CALLS_AT_ONCE: Final = 64
"""Calls of one tick of the timer, so that a flood of them cannot freeze Blender."""

_calls: queue.SimpleQueue[Callable[[], object]] = queue.SimpleQueue()


def later(call: Callable[[], object]) -> None:
    """Call a function in the main thread; from any thread, without waiting, in the order of the calls."""
    _calls.put(call)


def drain() -> int:
    """In the main thread: call what is queued, and return how many calls. What one raises is remembered."""
    for count in range(CALLS_AT_ONCE):
        try:
            call = _calls.get_nowait()
        except queue.Empty:
            return count
        try:
            call()
        except Exception as error:  # noqa: BLE001  # the others must still be called
            remember(error)
    return CALLS_AT_ONCE


def _tick() -> float:
    """Blender's timer."""
    return SOON_S if drain() else IDLE_S


def register() -> None:
    """Start the timer. In the background no timer ticks: code that waits there calls `drain` itself."""
    import bpy

    if not bpy.app.timers.is_registered(_tick):
        bpy.app.timers.register(_tick, first_interval=IDLE_S, persistent=True)


def unregister() -> None:
    """Stop the timer, and drop what is still queued."""
    import bpy

    if bpy.app.timers.is_registered(_tick):
        bpy.app.timers.unregister(_tick)
    while not _calls.empty():
        _calls.get_nowait()
