"""How each frame of a shot is painted, and the settings as they are noted in it."""

from __future__ import annotations

from dataclasses import asdict, replace

from impasto.core.card import KeyFacts
from impasto.core.controls import after_of, before_of, params_of
from impasto.core.frame_settings import FrameSettings
from impasto.core.grade_settings import After, Before, Resize
from impasto.core.keyframe_paint.blending import strokes_differ
from impasto.core.media import ShotInfo
from impasto.core.media.held_folder import real_path
from impasto.core.params import PARAMETERS, Params
from impasto.server.protocol.animation import animation_from
from impasto.server.protocol.messages import ShotJob
from impasto.server.shots.job import motion_of
from impasto.server.shots.provenance import settings_text


class ShotSettings:
    """The settings of the frames of a job, for a style whose own parameters are `defaults`.

    `ocio` is what is noted of the OpenColorIO configuration, None for the built-in one.

    Raises UnknownName and UsageError for a control that does not exist and for a value that it does not take.
    """

    def __init__(self, job: ShotJob, defaults: Params, ocio: str | None = None) -> None:
        look, motion = job.look, motion_of(job)
        before = replace(before_of(look.before), resize=_size_of(job.before_resize))
        after = replace(after_of(look.after), resize=_size_of(job.after_resize))
        self._animation = animation_from(job.animated)
        self._params = params_of(look.params, defaults) or defaults
        self.shared = FrameSettings(
            before=before,
            after=after,
            input_space=job.input_space or None,
            keys_quality=look.keys_quality,
            keys_map=look.keys_map,
            smoothing=job.smoothing,
            projection=look.projection,
            stereo=look.stereo,
        )
        """What is the same for every frame; without parameters."""
        self._noted = {
            "keys_quality": look.keys_quality if look.keys_quality != "standard" else None,
            "keys_map": look.keys_map or None,
            "smoothing": job.smoothing or None,
            "projection": None if look.projection == "auto" else look.projection,
            "stereo": None if look.stereo == "auto" else look.stereo,
            "before": None if before == Before() else asdict(before),
            "after": None if after == After() else asdict(after),
            "layer": job.layer or None,
            "rate": job.rate or None,
            "fields": None if job.fields == "auto" else job.fields,
            "input_space": job.input_space or None,
            "output_space": job.output_space or None,
            "ocio": ocio,
            "matte": real_path(job.matte) if job.matte else None,
            "guides": [real_path(path) for path in job.guides] or None,
            "motion": None if motion is None else [real_path(job.motion), motion.named],
        }

    def params(self, number: int) -> Params:
        """The parameters of a frame."""
        return self._params if self._animation is None else self._animation.params(number, self._params)

    def of_frame(self, number: int) -> FrameSettings:
        """The settings of a frame."""
        return replace(self.shared, params=self.params(number))

    def keys_show(self, info: ShotInfo, facts: KeyFacts | None) -> bool:
        """Whether the painted keys of a style are turned up, at the stroke they have, in any frame of a shot."""

        def shows(params: Params) -> bool:
            return params.keys > 0 and not (facts is not None and strokes_differ(facts, info.width, params.stroke))

        if self._animation is None or info.frame_count is None:
            return shows(self._params)
        return any(shows(self.params(number)) for number in range(info.first, info.first + info.frame_count))

    def text(self, number: int) -> str:
        """The settings of a frame as they are noted in it and compared on resuming.

        They hold the frame's own parameters and not the animation that these came from, so that a frame is rendered
        again only where one of them has another value. Parameters at their default are left out: a control that a
        later version adds makes no finished frame stale.
        """
        values = self.params(number).as_dict()
        turned = {each.name: values[each.name] for each in PARAMETERS if values[each.name] != each.default}
        return settings_text({"params": turned, **self._noted})


def _size_of(text: str) -> Resize | None:
    return Resize.parse(text) if text else None
