# SPDX-License-Identifier: GPL-3.0-or-later
"""Shot jobs for the server: one builder for bakes, live frames and exported plates."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from impasto.server.protocol.animation import animated_of
from impasto.server.protocol.field_types import Lane
from impasto.server.protocol.messages import RenderSettings, ShotJob

from .look.look import Look
from .strips.media import runs_of

LINEAR: Final = "lin_rec709"
"""The colour space in which Blender is given painted pictures, whatever the plate is in."""
FRAMES_AT_ONCE: Final = 1000
"""Frames of one request: what changes from frame to frame must fit into its message."""


def shot_job(
    look: Look,
    input: str,
    output: str,
    frames: range | None,
    *,
    input_space: str,
    output_space: str = LINEAR,
    lane: Lane = "batch",
    overwrite: bool = False,
) -> ShotJob:
    """A job for the frames of a shot, None for the only one. Frames that exist stay, unless `overwrite` is set."""
    tracks = {
        name: {number: track[number] for number in frames or () if number in track}
        for name, track in look.animated.items()
    }
    return ShotJob(
        look=RenderSettings(style=look.style, sha256=look.sha256, params=dict(look.params) or None),
        input=input,
        output=output,
        first=None if frames is None else frames.start,
        last=None if frames is None else frames.stop - 1,
        matte=look.matte,
        input_space=input_space,
        output_space=output_space,
        resume=not overwrite,
        overwrite=overwrite,
        lane=lane,
        animated=animated_of(tracks),
    )


def shot_runs(numbers: Iterable[int]) -> tuple[range, ...]:
    """The requests that these pictures need: each without a gap, and none too long."""
    return tuple(
        range(start, min(start + FRAMES_AT_ONCE, run.stop))
        for run in runs_of(tuple(numbers))
        for start in range(run.start, run.stop, FRAMES_AT_ONCE)
    )
