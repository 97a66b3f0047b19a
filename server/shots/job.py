"""The values of a shot job: what its plain fields mean, and what its frames are while they are rendered."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from impasto.core.card import UNCHANGED
from impasto.core.errors import UsageError
from impasto.core.frame import Frame
from impasto.core.media import FrameRange
from impasto.core.motion.conventions import MotionSource
from impasto.server.protocol.messages import ShotJob


@dataclass(frozen=True, slots=True)
class InputFrame:
    """One frame as it was read, with the picture that its matte is in."""

    frame: Frame
    matte: Frame | None


def frames_of(job: ShotJob) -> FrameRange | None:
    """The range of a job, None for the whole shot. UsageError for half a range, or one that runs backwards."""
    if job.first is None and job.last is None:
        return None
    if job.first is None or job.last is None:
        raise UsageError("expected both the first and the last frame of a range, got one; give both or neither")
    if job.last < job.first:
        raise UsageError(f"expected the first frame before the last, got {job.first} to {job.last}")
    return FrameRange(job.first, job.last)


def motion_of(job: ShotJob) -> MotionSource | None:
    """The motion vectors that a job names, None for none; without a path where they are layers of the plates.

    UnknownName for a convention that does not exist.
    """
    if not job.motion:
        return None
    return MotionSource.of("" if job.motion == job.input else job.motion, job.motion_layer)


def encoder_speed_of(job: ShotJob, size: str) -> str:
    """The preset of x264 and x265 for a movie by a style of this size: a draft is looked at once, and soon."""
    if job.encoder_speed != "auto":
        return job.encoder_speed
    return "superfast" if size == "draft" else "fast"


def deinterlaces(job: ShotJob, style: str) -> bool:
    """Whether interlaced pictures are deinterlaced before a style of this name paints them."""
    return job.fields == "deinterlace" or (job.fields == "auto" and style != UNCHANGED)


def tile_of(tile: int) -> Literal["auto", "off"] | int:
    """The tile of a job or of a frame request as the engine takes it."""
    return "auto" if tile == 0 else "off" if tile == -1 else tile
