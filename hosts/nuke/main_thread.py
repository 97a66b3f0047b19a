"""Calls from a job's thread on Nuke's main thread, the only one that may touch nodes."""

from __future__ import annotations

import time
from typing import Any, Callable, TypeVar

import nuke

from impasto.hosts.nuke.jobs import POLL_S
from impasto.hosts.nuke.pipeline import WriteCancelled

Answer = TypeVar("Answer")
_RENDERS, _CANCELLED = "renders", "cancelled"


def when_idle(call: Callable[..., Answer], words: tuple[object, ...], cancelled: Callable[[], bool]) -> Answer:
    """Call a function on the main thread as soon as Nuke renders nothing; its answer, or its exception raised here.

    Nuke serves other threads during a render too. A second render would then be refused, and a change of nodes would
    disturb the first. Raises WriteCancelled where the wait is cancelled, and RuntimeError where Nuke gives no answer.
    """
    while True:
        # The stubs leave this call bare.
        found: Any = nuke.executeInMainThreadWithResult(_now, (call, words, cancelled))  # type: ignore[no-untyped-call]
        if found is None:
            raise RuntimeError("it gave no answer")
        if found == _CANCELLED:
            raise WriteCancelled
        if found != _RENDERS:
            answer, error = found
            if error is not None:
                raise error
            result: Answer = answer
            return result
        time.sleep(POLL_S)


def _now(
    call: Callable[..., Answer], words: tuple[object, ...], cancelled: Callable[[], bool]
) -> str | tuple[Answer | None, Exception | None]:
    # Asked here once more: Cancel may be pressed while the main thread is busy.
    if cancelled():
        return _CANCELLED
    if nuke.executing():
        return _RENDERS
    try:
        return call(*words), None
    except Exception as error:  # noqa: BLE001  # Nuke would lose it; the waiting thread raises it
        return None, error
