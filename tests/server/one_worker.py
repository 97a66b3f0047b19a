"""A worker process with the test in the place of the front: messages by hand, pixels through a ring."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
import time
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

REAL = (sys.executable, "-m", "impasto.server.worker")
LIMIT_S = 60.0

Message = TypeVar("Message")


def new_id() -> bytes:
    return secrets.token_bytes(16)


class OneWorker:
    """A worker under way. `heard` is everything it said but its beats."""

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

    def until(self, found: Callable[[FromWorker], bool], limit_s: float = LIMIT_S) -> FromWorker:
        """The first message of this kind, waiting for it."""
        until = time.monotonic() + limit_s
        seen = 0
        while time.monotonic() < until:
            for message in self.heard[seen:]:
                if found(message):
                    return message
            seen = len(self.heard)
            self.listen()
        raise AssertionError(f"nothing of the kind within {limit_s} s, only {self.heard}")

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
        until = time.monotonic() + limit_s
        while time.monotonic() < until:
            try:
                self.listen()
            except LinkClosed:
                return self.process.wait(limit_s)
        raise AssertionError(f"the worker still runs after {limit_s} s, and said {self.heard}")

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
def one_worker(command: Sequence[str], device: str = "cpu", *, ready: bool = True, **more: Any) -> Iterator[OneWorker]:
    """A worker that is ready, gone afterwards whatever happened."""
    link, theirs = link_pair()
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        [*command, "--fd", str(theirs.fileno()), "--device", device], pass_fds=(theirs.fileno(),), env=environment
    )
    theirs.close()
    worker = OneWorker(link, process, **more)
    try:
        if ready:
            worker.answer(Ready)
        yield worker
    finally:
        worker.close()
