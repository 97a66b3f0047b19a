"""How each frame of a shot is to look: its parameters, and all settings as they are noted in it."""

from __future__ import annotations

import os
from dataclasses import asdict
from typing import TYPE_CHECKING

from impasto.core.card import KeyFacts
from impasto.core.grade import After, Before
from impasto.core.keyframe_paint.blending import strokes_differ
from impasto.core.media import ShotInfo
from impasto.core.params import PARAMETERS, Params
from impasto.server.shots.provenance import settings_text

if TYPE_CHECKING:
    from impasto.server.shots.render import ShotJob


class Looks:
    """The looks of the frames of a job, for a style whose own parameters are `defaults`."""

    def __init__(self, job: ShotJob, defaults: Params) -> None:
        self._animation = job.animation
        self._base = job.params or defaults
        self._shared = {
            "before": None if job.before == Before() else asdict(job.before),
            "after": None if job.after == After() else asdict(job.after),
            "layer": job.layer,
            "input_space": job.input_space,
            "output_space": job.output_space,
            "matte": None if job.matte is None else os.path.abspath(job.matte),
            "guides": [os.path.abspath(path) for path in job.guides] or None,
            "motion": None if job.motion is None else [os.path.abspath(job.motion.path or job.input), job.motion.named],
        }

    def params(self, number: int) -> Params:
        """The parameters of a frame."""
        return self._base if self._animation is None else self._animation.params(number, self._base)

    def keys_show(self, info: ShotInfo, facts: KeyFacts | None) -> bool:
        """Whether the painted keys of a style are turned up, at the stroke they have, in any frame of a shot."""

        def shows(params: Params) -> bool:
            return params.keys > 0 and not (facts is not None and strokes_differ(facts, info.width, params.stroke))

        if self._animation is None or info.frame_count is None:
            return shows(self._base)
        return any(shows(self.params(number)) for number in range(info.first, info.first + info.frame_count))

    def settings(self, number: int) -> str:
        """What decides how a frame looks, as it is noted in the frame and compared on resuming.

        Its own parameters are in it and not how they came about, so that a frame is rendered again only where one of
        them has another value there. Those at their default are left out: a control that a later version adds makes
        no finished frame stale.
        """
        values = self.params(number).as_dict()
        turned = {each.name: values[each.name] for each in PARAMETERS if values[each.name] != each.default}
        return settings_text({"params": turned, **self._shared})
