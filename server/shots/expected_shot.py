"""What the frames of a shot note once they are up to date."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from impasto.core.media import FrameRange, ShotInfo
from impasto.server.protocol.messages import ShotJob
from impasto.server.shots.frame_settings import ShotSettings
from impasto.server.shots.motion import ShotMotion
from impasto.server.shots.plates import source_of, widened
from impasto.server.shots.provenance import ExpectedFrame


@dataclass(frozen=True, slots=True)
class ExpectedShot:
    """A job, the shot that it found, and the style that paints it."""

    job: ShotJob
    info: ShotInfo
    settings: ShotSettings
    motion: ShotMotion | None
    style_sha256: str
    precision: Callable[[], str]
    whole: FrameRange | None = None
    """The frames that the shot has, where a frame looks at those around it."""

    def around(self, number: int) -> tuple[str, ...]:
        """The files of the plates that this frame looks at beside its own; none of a movie, which is one file."""
        if self.whole is None or self.info.kind != "sequence":
            return ()
        seen = widened(FrameRange(number, number), self.whole)
        return tuple(source_of(self.info, each) for each in range(seen.first, seen.last + 1) if each != number)

    def frame(self, number: int) -> ExpectedFrame:
        """What this frame is to note."""
        return ExpectedFrame(
            self.settings.text(number),
            self.style_sha256,
            self.precision,
            source_of(self.info, number),
            self.job.matte,
            self.job.guides,
            None if self.motion is None else self.motion.digest(number),
            self.around(number),
        )
