"""The clock that ages are measured by."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeAlias

Clock: TypeAlias = Callable[[], float]
"""Seconds since some moment, never backwards."""


def live_clock() -> float:
    """Seconds since the machine was started. Where the system can tell, the time that it slept counts too.

    A picture from before the lid was closed is old when it is opened again.
    """
    boottime = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if boottime is None else time.clock_gettime(boottime)
