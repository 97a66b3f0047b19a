"""What the frames of a shot note once they are up to date."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from impasto.core.media import ShotInfo
from impasto.server.protocol.messages import ShotJob
from impasto.server.shots.frame_settings import ShotSettings
from impasto.server.shots.motion import ShotMotion
from impasto.server.shots.plates import source_of
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
        )
