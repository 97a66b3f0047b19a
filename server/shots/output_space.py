"""The output space of a shot: the one that was asked for, the plate's own, or the usual one of the kind of file."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from impasto.core import colour
from impasto.core.errors import UnknownName
from impasto.core.frame import Frame
from impasto.core.frame_settings import Output
from impasto.core.icc import IN_PROFILE, SPACES
from impasto.core.media import ShotInfo, target_of
from impasto.core.media.formats import picture_format
from impasto.core.media.open import picture_target
from impasto.server.protocol.messages import ShotJob

STATED: Mapping[str, tuple[str, ...]] = {
    "movie": ("pq2020", "hlg2020", "srgb_p3d65_scene"),
    "dpx": ("cineon_log",),
    "png": (*SPACES, IN_PROFILE),
    "tiff": (*SPACES, IN_PROFILE),
    "jpeg": (*SPACES, IN_PROFILE),
}
"""Kinds of results -> spaces beside the display-encoded ones that such a file says of itself."""


def require_spaces(job: ShotJob) -> None:
    """Raise UnknownName for a colour space that is not there, naming the option that asked for it."""
    # Names are looked up the same for every frame.
    frame = Frame.from_pixels(np.zeros((1, 1, 3), np.uint8))
    for option, name in (("--input-space", job.input_space), ("--output-space", job.output_space)):
        try:
            colour.plate_space(frame, name or None)
        except UnknownName as error:
            near = [error.nearest] if error.nearest is not None else colour.spaces()
            hint = f"Name another with {option}; impasto doctor lists them."
            raise UnknownName("colour space", error.name, near, hint) from error


def output_of(job: ShotJob, info: ShotInfo, first: Frame) -> Output | None:
    """The colours and samples that a result wants where they are not those of the plate."""
    target = target_of(job.output, info, first)
    samples = "half" if target.samples == "half" else "float"
    if job.output_space:
        return Output(job.output_space, samples)
    is_float = np.issubdtype(first.part.pixels.dtype, np.floating)
    if target.space_default == "scene_linear":
        return None if is_float else Output("scene_linear", samples)
    space = colour.plate_space(first, job.input_space or None)
    if is_float or not (space.is_working or _can_stay(job, info, first)):
        return Output("srgb", samples)
    return None


def _can_stay(job: ShotJob, info: ShotInfo, first: Frame) -> bool:
    """Whether a display-encoded kind of result may keep samples of another space: it says so, or the plate did not.

    Where the user names the space of a plate, a result of the same kind is read with the same name.
    """
    files = picture_target(job.output, info)
    kind = None if files is None else picture_format(str(files))
    if job.input_space:
        return picture_format(info.path) is kind
    return first.colour_space in STATED.get("movie" if kind is None else kind.name, ())
