"""Waiting in tests for what another thread or process does."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

Found = TypeVar("Found")

WAIT_S = 60.0
"""Nothing that a test waits for takes longer, on a busy machine too."""


def until(condition: Callable[[], Found], limit_s: float = WAIT_S, what: str = "", *, pause_s: float = 0.005) -> Found:
    """The value of a condition as soon as it is true; AssertionError after `limit_s`, naming `what`.

    `pause_s` lies between two looks; 0 suits a condition that waits by itself.
    """
    end = time.monotonic() + limit_s
    while not (found := condition()):
        assert time.monotonic() < end, f"waited {limit_s:g} s in vain {what}".rstrip()
        time.sleep(pause_s)
    return found
