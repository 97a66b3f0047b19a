# SPDX-License-Identifier: GPL-3.0-or-later
"""Every exception as one sentence: reported by Blender, kept for the panel, and never a traceback."""

from __future__ import annotations

import functools
import os
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar, cast

from impasto.core.errors import ImpastoError

Method = TypeVar("Method", bound=Callable[..., Any])

LETTERS: Final = 400
_last: list[str] = []
_logs: dict[str, str | None] = {}
"""A fault's text -> its log file, so that one in a drawing, sixty times a second, writes one file."""


def last_error() -> str:
    """The last error in words; '' where there was none, or it was dismissed."""
    return _last[-1] if _last else ""


def remember(error: BaseException) -> str:
    """Keep an error for the panel and return its sentence. The details of a fault of ours go to a file."""
    _last[:] = [sentence_of(error)]
    return _last[-1]


def forget() -> None:
    """Drop the last error."""
    _last.clear()


def sentence_of(error: BaseException) -> str:
    """The sentence that an artist reads."""
    if isinstance(error, ImpastoError):
        return " ".join(str(error).split())
    said = f"{type(error).__name__}: {error}".splitlines()[0][:LETTERS]
    if said not in _logs:
        _logs[said] = _write_log(error)
    log = _logs[said]
    where = f"the details are in '{log}'" if log else "the details could not be stored"
    return f"impasto itself is at fault ({said}); {where}; please report it with that file"


def guarded(method: Method) -> Method:
    """Wrap an operator's `execute`, `invoke` or `modal`: what it raises is reported, remembered, and cancels it.

    An operator cleans up in a `finally` of its own.
    """
    return cast(Method, _wrapped(method, _cancelled))


def guarded_call(instead: Any = None) -> Callable[[Method], Method]:
    """Wrap a handler, timer, callback or `draw`: what it raises is remembered, and it returns `instead`.

    Blender does not call a timer again that returns None.
    """

    def guard(method: Method) -> Method:
        return cast(Method, _wrapped(method, lambda arguments, sentence: instead))

    return guard


def _cancelled(arguments: tuple[Any, ...], sentence: str) -> set[str]:
    arguments[0].report({"ERROR"}, sentence)
    return {"CANCELLED"}


def _wrapped(method: Any, ended: Callable[[tuple[Any, ...], str], Any]) -> Any:
    def call(*arguments: Any) -> Any:
        try:
            return method(*arguments)
        except Exception as error:  # noqa: BLE001  # the last stop before a traceback
            return ended(arguments, remember(error))

    # Blender counts the arguments of what it calls, so that `*arguments` alone will not do.
    count = method.__code__.co_argcount
    if count == 2:
        return functools.wraps(method)(lambda first, second: call(first, second))
    if count == 3:
        return functools.wraps(method)(lambda first, second, third: call(first, second, third))
    return functools.wraps(method)(call)


def _write_log(error: BaseException) -> str | None:
    text = "".join(traceback.format_exception(type(error), error, error.__traceback__))
    path = Path(tempfile.gettempdir()) / f"impasto-blender-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}.log"
    try:
        with path.open("a", encoding="utf-8", errors="replace") as log:
            log.write(f"{text}\n")
    except OSError:
        return None
    return str(path)
