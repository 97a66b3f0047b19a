"""What a sink is, and the thread that feeds one: each has its own, so that a slow sink holds up no other."""

from __future__ import annotations

import queue
import threading
from typing import Final, Protocol

from impasto.core.errors import ImpastoError
from impasto.hosts.live.clock import Clock, live_clock
from impasto.hosts.live.mailbox import Mailbox
from impasto.hosts.live.pictures import ShownPicture, SoundChunk

QUIET_S: Final = 0.25
"""After so long without a picture a sink is told, so that it can repeat the last one."""
MOST_SOUND: Final = 512
"""Chunks that wait for their pictures; older ones are dropped."""
END_S: Final = 10.0


class Sink(Protocol):
    """A place that takes pictures in order. One thread calls it."""

    name: str

    def send(self, shown: ShownPicture) -> None:
        """Write a picture. Raises OutputError where no more can be written."""
        ...

    def hear(self, chunk: SoundChunk) -> None:
        """Take sound, which is written with the pictures that were taken with it."""
        ...

    def wait(self, now: float) -> None:
        """No picture came for a while. Raises as `send` does."""
        ...

    def close(self, error: BaseException | None = None) -> None:
        """Finish what was written, or with an error keep what there is. Raises OutputError."""
        ...


class SinkThread:
    """Hands the newest picture to one sink, until it is closed or the sink fails."""

    def __init__(self, sink: Sink, clock: Clock = live_clock) -> None:
        self.name = sink.name
        self.error: ImpastoError | None = None
        """Why nothing more is written."""
        self.written = 0
        self._sink, self._clock = sink, clock
        self._pictures: Mailbox[ShownPicture] = Mailbox()
        self._sound: queue.SimpleQueue[SoundChunk] = queue.SimpleQueue()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"impasto-sink {self.name}", daemon=True)
        self._thread.start()

    @property
    def wanted(self) -> bool:
        """Whether it takes pictures."""
        return self.error is None

    def offer(self, shown: ShownPicture) -> None:
        """Show a picture, in the place of one that still waits. Never waits."""
        self._pictures.put(shown)

    def hear(self, chunk: SoundChunk) -> None:
        """Pass sound on. Never waits."""
        if self.error is None and self._sound.qsize() < MOST_SOUND:
            self._sound.put(chunk)

    def close(self) -> None:
        """Write what is there, finish, and end the thread. A sink that hangs is left to the end of the process."""
        self._closing.set()
        self._pictures.close()
        self._thread.join(END_S)

    def _run(self) -> None:
        try:
            self._feed()
        except ImpastoError as error:
            self.error = error
        try:
            self._sink.close(self.error)
        except ImpastoError as error:
            self.error = self.error or error

    def _feed(self) -> None:
        while True:
            shown = self._pictures.take(QUIET_S)
            while not self._sound.empty():
                self._sink.hear(self._sound.get_nowait())
            if shown is not None:
                self._sink.send(shown)
                self.written += 1
            elif self._closing.is_set():
                return
            else:
                self._sink.wait(self._clock())
