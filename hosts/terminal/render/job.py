"""The options of `impasto render` as a shot job, checked as far as they can be before anything is opened."""

from __future__ import annotations

import os
import socket
import typing
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from impasto.core.animation import Animation, Track
from impasto.core.controls import after_of, before_of, params_of
from impasto.core.errors import UsageError
from impasto.core.grade_settings import AFTER_CONTROLS, BEFORE_CONTROLS, Resize
from impasto.core.keys_quality import KeysQuality
from impasto.core.media.frame_list import parse_frame_list
from impasto.core.media.frame_rate import require_rate
from impasto.core.motion.conventions import MotionSource
from impasto.core.params import PARAMETERS, Params
from impasto.hosts.terminal.controls import given
from impasto.hosts.terminal.render.animation_file import read_animation
from impasto.server.protocol.animation import animated_from
from impasto.server.protocol.field_types import EncoderSpeed, Fields, Precision, Projection, Stereo
from impasto.server.protocol.messages import RenderSettings, ShotJob

TILES = {"auto": 0, "off": -1}


def job_from(
    *,
    input: str = "",
    output: str = "",
    style: str | None = None,
    frames: str | None = None,
    matte: str | None = None,
    guides: tuple[str, ...] = (),
    motion: str | None = None,
    layer: str | None = None,
    input_space: str | None = None,
    output_space: str | None = None,
    tile: str = "auto",
    precision: str = "auto",
    device: str = "auto",
    animate: str | None = None,
    drive: tuple[str, ...] = (),
    rate: str | None = None,
    encoder_speed: str = "auto",
    smoothing: float = 0.0,
    keys_quality: str = "standard",
    keys_map: bool = False,
    projection: str = "auto",
    stereo: str = "auto",
    fields: str = "auto",
    overwrite: bool = False,
    resume: bool = False,
    cache: bool = True,
    sound: str | None = None,
    farm_job: str = "",
    note: Callable[[str], None] = lambda text: None,
    controls: Mapping[str, Any],
) -> ShotJob:
    """The job that these options describe, with paths as they were typed; no style is an empty one.

    Frames that do not follow each other are left to `render_runs`. `controls` has the options of the tables, None where
    they were not given. What drivers have to say goes to `note`. Raises UsageError for what cannot work, and what
    reading the sources of drivers raises.
    """
    paths = {"input": input, "output": output, "matte": matte, "style": style, "motion": motion, "sound": sound}
    for what, path in (*paths.items(), *(("guides", path) for path in guides)):
        require_utf8(what, path or "")
    look = RenderSettings(
        style or "",
        params=given("", PARAMETERS, controls),
        before=given("before_", BEFORE_CONTROLS, controls),
        after=given("after_", AFTER_CONTROLS, controls),
        precision=chosen("a precision among", precision, Precision),
        tile=tile_number(tile),
        device="" if device == "auto" else device,
        keys_quality=chosen("a quality of keys among", keys_quality, KeysQuality),
        keys_map=keys_map,
        projection=chosen("--projection as", projection, Projection),
        stereo=chosen("--stereo as", stereo, Stereo),
        cache=cache and not farm_job,  # a node's user may have no folder, and frames of a farm go to another node
    )
    params_of(look.params, Params()), before_of(look.before), after_of(look.after)
    sizes = [controls.get(name) or "" for name in ("before_resize", "after_resize")]
    for size in filter(None, sizes):
        Resize.parse(size)
    require_rate(rate or "")
    if keys_map and os.path.splitext(output)[1].lower() != ".exr":
        raise UsageError(f"expected EXR for --keys-map, which adds a layer, got '{output}'; write painted.####.exr")
    runs = () if frames is None else parse_frame_list(frames)
    run = runs[0] if len(runs) == 1 else None
    vectors = None if motion is None else MotionSource.parse(motion)
    animation = animation_for(input, animate, drive, rate, sound, note, controls)
    return ShotJob(
        look,
        input,
        output,
        first=None if run is None else run.first,
        last=None if run is None else run.last,
        layer=layer or "",
        matte=matte or "",
        input_space=input_space or "",
        output_space=output_space or "",
        before_resize=sizes[0],
        after_resize=sizes[1],
        overwrite=overwrite,
        resume=resume,
        sound=sound or "",
        farm_job=farm_job,
        attempt=f"{socket.gethostname()[:200]}-{os.getpid()}" if farm_job else "",
        animated=() if animation is None else animated_from(animation),
        guides=guides,
        motion="" if vectors is None else vectors.path or input,
        motion_layer="" if vectors is None else vectors.named,
        rate=rate or "",
        smoothing=smoothing,
        encoder_speed=chosen("an encoder speed among", encoder_speed, EncoderSpeed),
        fields=chosen("--fields as", fields, Fields),
    )


def require_utf8(what: str, path: str) -> None:
    """Raise UsageError for a path that is not UTF-8, which no codec opens, no message carries and no note can name."""
    for each in (path, os.path.abspath(path)):
        try:
            each.encode()
        except UnicodeEncodeError:
            shown = each.encode(errors="surrogateescape").decode(errors="backslashreplace")
            raise UsageError(f"expected a path in UTF-8 as {what}, got '{shown}'; rename it") from None


def animation_for(
    input: str,
    animate: str | None,
    drive: Sequence[str],
    rate: str | None,
    sound: str | None,
    note: Callable[[str], None],
    controls: Mapping[str, Any],
) -> Animation | None:
    """The parameters that change, from a file and from drivers; None where none does.

    UsageError for a parameter that is given in two ways.
    """
    from impasto.hosts.terminal.render.drive import driven_by

    tracks: dict[str, Track] = {}
    found = [] if animate is None else [(f"among the keys of '{animate}'", read_animation(animate))]
    if drive:
        found.append(("in --drive", driven_by(drive, input, rate, sound, note)))
    for where, animation in found:
        for track in animation.tracks:
            given_at = f"--{track.name}" if controls.get(track.name) is not None else ""
            if track.name in tracks:
                given_at = f"'{animate}'"
            if given_at:
                raise UsageError(f"expected {track.name} as {given_at} or {where}, got both; leave one out")
            tracks[track.name] = track
    return Animation(tuple(tracks.values())) if tracks else None


def chosen(what: str, text: str, choices: Any) -> Any:
    """The text of an option that takes one of the words of a `Literal`; UsageError for another word."""
    known = typing.get_args(choices)
    if text not in known:
        raise UsageError(f"expected {what} {', '.join(known)}, got '{text}'; choose one of these")
    return text


def tile_number(text: str) -> int:
    """'auto', 'off' or a number of pixels as the tile of a job; UsageError for anything else."""
    if text in TILES:
        return TILES[text]
    if not text.isdecimal() or not int(text):
        raise UsageError(f"expected --tile as auto, off or a number of pixels, got '{text}'; leave it at auto")
    return int(text)
