"""The way from a job's thread to Nuke's main thread, the only one that may touch nodes."""

from __future__ import annotations

import time
from typing import Any, Callable, TypeVar

import nuke

from impasto.hosts.nuke.jobs import LOOK_S
from impasto.hosts.nuke.pipeline import WriteCancelled

Answer = TypeVar("Answer")
_RENDERS, _CANCELLED = "renders", "cancelled"


def when_idle(call: Callable[..., Answer], words: tuple[object, ...], cancelled: Callable[[], bool]) -> Answer | None:
    """Do something on the main thread as soon as Nuke renders nothing, and wait for its answer; None where it raised.

    Nuke serves other threads during a render too: a second render would be refused then, and a node change under the
    first. Raises WriteCancelled where the wait is cancelled.
    """
    while True:
        # The stubs leave this call bare.
        said: Any = nuke.executeInMainThreadWithResult(_now, (call, words, cancelled))  # type: ignore[no-untyped-call]
        if said == _CANCELLED:
            raise WriteCancelled
        if said != _RENDERS:
            return None if said is None else said[0]
        time.sleep(LOOK_S)


def _now(call: Callable[..., Answer], words: tuple[object, ...], cancelled: Callable[[], bool]) -> str | tuple[Answer]:
    # Asked here once more: who presses Cancel while the main thread is busy means this call too.
    if cancelled():
        return _CANCELLED
    return _RENDERS if nuke.executing() else (call(*words),)
