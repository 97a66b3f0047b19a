"""Where a source leaves its pictures, and what became of them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final

from impasto.core.errors import ImpastoError
from impasto.hosts.live.clock import Clock
from impasto.hosts.live.mailbox import Mailbox
from impasto.hosts.live.pictures import Picture, SoundChunk, SourcePlate

USUAL_FPS: Final = 30.0
"""Of a source that has not shown its own rate yet."""
JUDGED: Final = 30
"""Pictures by whose times the rate is judged."""


class Intake:
    """The newest plate of a source, and how the source is. One thread leaves pictures, others look and take."""

    def __init__(self, name: str, clock: Clock, on_sound: Callable[[SoundChunk], None] = lambda chunk: None) -> None:
        self.name = name
        self.plates: Mailbox[SourcePlate] = Mailbox()
        self.latest: SourcePlate | None = None
        """The newest, taken or not."""
        self.came = self.passed_over = 0
        self.problem = ""
        """Why nothing comes; empty while pictures come."""
        self.error: ImpastoError | None = None
        """What ended the source; it comes to nothing more."""
        self.ended = False
        """Whether the source is at its end."""
        self.on_sound = on_sound
        self.claimed_fps: float | None = None
        """What the source says its rate is."""
        self._clock = clock
        self._times: deque[float] = deque(maxlen=JUDGED)

    def put(self, pixels: Picture, taken_s: float | None = None, frame: int = 0) -> None:
        """Leave a picture, taken now unless another time is given; `frame` is that of `SourcePlate`. Never waits."""
        now = self._clock() if taken_s is None else taken_s
        self.came += 1
        plate = SourcePlate(self.came, pixels, now, frame)
        if self._times and now - self._times[-1] > 1.0:
            self._times.clear()
        self._times.append(now)
        self.latest, self.problem = plate, ""
        self.passed_over += self.plates.put(plate)

    @property
    def fps(self) -> float:
        """Pictures per second as the last ones came, in bursts or not; of the first few, what the source claims."""
        times = tuple(self._times)
        if len(times) > JUDGED // 3 and times[-1] > times[0]:
            return (len(times) - 1) / (times[-1] - times[0])
        return self.claimed_fps or USUAL_FPS

    def end(self, error: ImpastoError | None = None) -> None:
        """Nothing more comes."""
        self.error, self.ended = error, True
        self.plates.close()
