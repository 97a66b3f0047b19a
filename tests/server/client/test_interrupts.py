"""Ctrl-C at every line of a call: the client paints the next frame all the same."""

from __future__ import annotations

import contextlib
import gc
import linecache
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import numpy as np
import pytest

from impasto.server import client as package
from impasto.server.client import Client
from tests.plates import noise
from tests.server.scripted_server import LIMIT_S
from tests.server.scripted_transport import Stage

PLATE = noise(6, 10, 4)
HERE = package.__path__[0]


class CtrlC:
    """Raises KeyboardInterrupt in this thread at the n-th line that runs in the client's own files.

    Not at a `with`: the tracer names its line again before the block is left, where no signal comes. Not in `put`,
    which a finaliser calls: Python swallows what is raised there.
    """

    def __init__(self, line: int) -> None:
        self._left = line

    @property
    def came(self) -> bool:
        """Whether the line was reached."""
        return self._left == 0

    def __enter__(self) -> CtrlC:
        gc.disable()  # it would collect the clients of the rounds before, amid the call
        self._former = sys.gettrace()
        sys.settrace(self._trace)
        return self

    def __exit__(self, *_: object) -> None:
        sys.settrace(self._former)
        gc.enable()

    def _trace(self, frame: FrameType, event: str, _: Any) -> Callable[..., Any] | None:
        if not frame.f_code.co_filename.startswith(HERE) or frame.f_code.co_name == "put":
            return None
        line = linecache.getline(frame.f_code.co_filename, frame.f_lineno)
        if event == "line" and self._left and not line.lstrip().startswith("with "):
            self._left -= 1
            if self._left == 0:
                raise KeyboardInterrupt
        return self._trace


def frame(client: Client) -> None:
    client.submit(PLATE, style="echo").result(LIMIT_S).release()


def slot(client: Client) -> None:
    with client.slot(10, 6, 4, "float32") as taken:
        taken.pixels[:] = PLATE
        taken.submit("echo").result(LIMIT_S).release()


def status(client: Client) -> None:
    client.status()


@pytest.mark.parametrize("ring", [True, False], ids=["ring", "inline"])
@pytest.mark.parametrize("call", [frame, slot, status], ids=lambda call: call.__name__)
def test_a_client_is_usable_after_ctrl_c_at_any_line(call: Callable[[Client], None], ring: bool) -> None:
    for warm in (False, True):
        line = 0
        while True:
            line += 1
            stage = Stage(rings=ring)
            if warm:
                call(stage.client)
            interrupt = CtrlC(line)
            with contextlib.suppress(KeyboardInterrupt), interrupt:
                call(stage.client)
            for _ in range(4):  # more than there are pairs
                painted = stage.client.submit(PLATE, style="echo", timeout_s=2.0).result(LIMIT_S)
                assert np.array_equal(painted.pixels, PLATE), f"line {line}"
                painted.release()
            stage.close()
            if not interrupt.came:
                break
    assert line > 10
