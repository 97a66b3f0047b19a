"""A worker process with the test in the place of the front: messages by hand, pixels through a ring."""

from __future__ import annotations

import contextlib
import os
import secrets
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import numpy as np

from impasto.server.protocol.messages import MattePicture, Picture, RenderSettings, Submit
from impasto.server.protocol.pixels import matte_bytes, matte_view, picture_bytes, view_of
from impasto.server.protocol.worker_messages import (
    Beat,
    FromFront,
    FromWorker,
    MapRing,
    PaintFrame,
    Ready,
    TurnAsked,
    TurnGranted,
)
from impasto.server.shared_memory import create_segment, map_segment
from impasto.server.worker_pipe import Link, LinkClosed, link_pair
from tests.waiting import WAIT_S, until

REAL = (sys.executable, "-m", "impasto.server.worker")
LIMIT_S = WAIT_S

Message = TypeVar("Message")
Found = TypeVar("Found")


def new_id() -> bytes:
    return secrets.token_bytes(16)


class WorkerProcess:
    """A worker process. `heard` is everything that it said but its beats."""

    def __init__(self, link: Link[FromWorker], process: subprocess.Popen[bytes], pairs: int = 4) -> None:
        self.link, self.process = link, process
        self.heard: list[FromWorker] = []
        self.beats: list[Beat] = []
        self.grants = True
        """Whether turns are granted as they are asked for."""
        self._segment = create_segment(1 << 20, pairs)
        self.memory = map_segment(self._segment.fd, self._segment.segment_bytes)
        self.send(MapRing(1, self._segment.path, self._segment.segment_bytes), self._segment.fd)

    def send(self, message: FromFront, file: int | None = None) -> None:
        self.link.send(message, file)

    def listen(self, timeout_s: float = 0.05) -> None:
        """Take in what has been said; LinkClosed where the worker is gone."""
        self.link.wait(timeout_s)
        for message, _ in self.link.receive():
            if isinstance(message, Beat):
                self.beats.append(message)
                continue
            self.heard.append(message)
            if isinstance(message, TurnAsked) and self.grants:
                self.send(TurnGranted(message.job, message.turn))

    def listen_until(self, condition: Callable[[], Found], limit_s: float = LIMIT_S) -> Found:
        """The value of a condition as soon as what the worker says makes it true."""

        def look() -> Found:
            self.listen()
            return condition()

        try:
            return condition() or until(look, limit_s, pause_s=0)
        except AssertionError as error:
            raise AssertionError(f"{error}; the worker said {self.heard}") from None

    def until(self, wanted: Callable[[FromWorker], bool], limit_s: float = LIMIT_S) -> FromWorker:
        """The first message of this kind, waiting for it."""
        found = self.listen_until(lambda: next(filter(wanted, self.heard), None), limit_s)
        assert found is not None
        return found

    def answer(self, kind: type[Message], limit_s: float = LIMIT_S, **fields: Any) -> Message:
        """The first message of a class with these fields."""
        found = self.until(
            lambda each: isinstance(each, kind) and all(getattr(each, name) == value for name, value in fields.items()),
            limit_s,
        )
        assert isinstance(found, kind)
        return found

    def gone(self, limit_s: float = LIMIT_S) -> int:
        """The status that the worker left with."""
        with contextlib.suppress(LinkClosed):
            self.listen_until(lambda: False, limit_s)
        return self.process.wait(limit_s)

    def frame(
        self,
        picture: Picture,
        samples: np.ndarray[Any, Any],
        look: RenderSettings,
        *,
        style_path: str = "",
        matte: MattePicture | None = None,
        matte_samples: np.ndarray[Any, Any] | None = None,
        pair: int = 0,
        number: int = 0,
    ) -> bytes:
        """Put samples into the in-slot and ask for the frame; its id."""
        view = view_of(picture, memoryview(self.memory), self._segment.in_offset(pair))
        view[...] = samples
        if matte is not None and matte_samples is not None:
            start = self._segment.in_offset(pair) + matte.offset
            assert matte.offset + matte_bytes(picture, matte) <= self._segment.slot_bytes
            matte_view(picture, matte, memoryview(self.memory), start)[...] = matte_samples
        assert picture_bytes(picture) <= self._segment.slot_bytes
        id = new_id()
        request = Submit(id, look, picture, matte=matte, frame=number)
        self.send(
            PaintFrame(request, style_path, 1, self._segment.in_offset(pair), self._segment.out_offset(pair)),
        )
        return id

    def result(self, picture: Picture, pair: int = 0) -> np.ndarray[Any, Any]:
        """A copy of what is in the out-slot."""
        return np.array(view_of(picture, memoryview(self.memory), self._segment.out_offset(pair)))

    def close(self) -> None:
        self.link.close()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(5)
        self._segment.close()


@contextmanager
def worker_process(
    command: Sequence[str], device: str = "cpu", *, ready: bool = True, **more: Any
) -> Iterator[WorkerProcess]:
    """A worker that is ready, gone afterwards whatever happened."""
    link, theirs = link_pair()
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        [*command, "--fd", str(theirs.fileno()), "--device", device], pass_fds=(theirs.fileno(),), env=environment
    )
    theirs.close()
    worker = WorkerProcess(link, process, **more)
    try:
        if ready:
            worker.answer(Ready)
        yield worker
    finally:
        worker.close()
