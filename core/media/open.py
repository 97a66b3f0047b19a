"""Choose the reader or the writer by the path alone, and load the libraries of that one alone."""

from __future__ import annotations

import os
import re
from dataclasses import replace
from fractions import Fraction
from typing import TYPE_CHECKING

from impasto.core.errors import UnknownName, UsageError
from impasto.core.media.formats import PICTURE_EXTENSIONS, picture_format
from impasto.core.media.numbering import NumberedPath, find_in_folder, named_like, parse_numbered
from impasto.core.media.shot import FrameRange, Reader, ShotInfo, Writer

if TYPE_CHECKING:
    from impasto.core.media.sequence import Files, ResumeCheck

MOVIE_EXTENSIONS = frozenset(
    {".mov", ".mp4", ".m4v", ".mkv", ".avi", ".webm", ".mxf", ".mpg", ".mpeg", ".ts", ".m2ts", ".wmv", ".flv", ".ogv"}
)
_STREAM = re.compile(r"^(rtsp|rtsps|rtmp|rtmps|http|https|udp|rtp|srt|tcp)://", re.IGNORECASE)
_CAMERA = re.compile(r"^camera:(?P<index>.*)$", re.IGNORECASE)


def open_reader(
    path: str,
    *,
    frames: FrameRange | None = None,
    layer: str | None = None,
    rate: Fraction | None = None,
    deinterlace: bool = True,
) -> Reader:
    """Open a movie, a still, a numbered sequence, a folder with one sequence, `camera:0`, or a network stream.

    `frames` narrows the shot to frame numbers; it means nothing to a camera or a stream and is refused there.
    `layer` names the colour layer of a picture with several. `rate` is the frames per second of pictures, in the place
    of what they state; whatever else has times of its own, and it is refused there. Interlaced movies and streams are
    deinterlaced, unless their fields are asked for as they stand (`deinterlace` False).

    Raises UnreadableMedia, UnsupportedMedia and InconsistentShot for the material, UsageError for
    a path or range that cannot work, UnknownName for a layer that is not there (on reading).
    """
    camera = _CAMERA.match(path)
    if layer is not None and (camera or _STREAM.match(path) or is_movie(path)) and layer.lower() != "rgb":
        raise UnknownName("layer", layer, ["rgb"], "A movie has no other.")
    if rate is not None and _has_own_times(path):
        raise UsageError(f"expected no frame rate for '{path}', which has its own; leave out --rate")
    if camera or _STREAM.match(path):
        if frames is not None:
            raise UsageError(f"expected no frame range for the live source '{path}'; leave out --frames")
        from impasto.core.media.camera import CameraReader, StreamReader

        if camera is None:
            return StreamReader(path, deinterlace=deinterlace)
        if not camera["index"].isdecimal():
            raise UsageError(f"expected a camera as camera:0, got '{path}'; give its number")
        return CameraReader(int(camera["index"]))
    if not path:
        raise UsageError("expected the path of a movie, a picture or a sequence, got an empty one; name the input")
    files: Files | None = find_in_folder(path) if os.path.isdir(path) else parse_numbered(path)
    if files is None and is_movie(path):
        from impasto.core.media.movie_reader import MovieReader

        return MovieReader(path, frames, deinterlace=deinterlace)
    from impasto.core.media.sequence import SequenceReader

    return SequenceReader(path if files is None else files, frames, layer, rate)


def open_writer(
    path: str,
    shot: ShotInfo,
    *,
    overwrite: bool = False,
    resume: bool = False,
    resume_check: ResumeCheck | None = None,
    encoder_speed: str = "fast",
) -> Writer:
    """Open a result for `shot`, the facts of the input: a movie by its extension, a sequence, a still, or a folder.

    A folder (a path that is one, or that has no extension) takes pictures by the names of the input, digit for digit;
    those of a still without a number and of a movie are `NAME.####.EXT`, PNG or EXR for movies, by their depth.
    Missing folders are made.
    With `resume`, `Writer.has` tells which frames an earlier run finished: the file is readable and `resume_check`,
    given its number and the provenance it carries, says that it agrees. A movie cannot be resumed.
    `encoder_speed` is a preset of x264 and x265, for movies in H.264 and H.265.

    Raises OutputExists, OutputError, UsageError.
    """
    if overwrite and resume:
        raise UsageError("expected --overwrite or --resume, got both; resume replaces what does not agree by itself")
    files = picture_target(path, shot)
    if files is not None:
        from impasto.core.media.sequence import PictureWriter

        return PictureWriter(files, shot, overwrite=overwrite, resume=resume, resume_check=resume_check)
    if resume:
        raise UsageError(
            f"expected a sequence to resume, got the movie '{path}'; write a sequence such as"
            f" '{os.path.splitext(path)[0]}.####.exr', or give --overwrite"
        )
    from impasto.core.media.movie_writer import MovieWriter

    return MovieWriter(path, shot, overwrite=overwrite, speed=encoder_speed)


def is_live(path: str) -> bool:
    """Whether a path names a camera or a network stream, which is no file."""
    return bool(_CAMERA.match(path) or _STREAM.match(path))


def _has_own_times(path: str) -> bool:
    """Whether a path names a camera, a stream or a movie, and no folder or sequence."""
    return is_live(path) or (is_movie(path) and not os.path.isdir(path) and parse_numbered(path) is None)


def is_movie(path: str) -> bool:
    """Whether a path names a movie, by its extension."""
    return os.path.splitext(path)[1].lower() in MOVIE_EXTENSIONS


def picture_target(path: str, shot: ShotInfo) -> Files | None:
    """Where pictures of a shot go, None for a movie. UsageError for a name that says neither."""
    if not path:
        raise UsageError("expected a name for the result, got an empty one; name a movie, a picture or a sequence")
    if os.path.isdir(path) or path.endswith(("/", os.sep)) or not os.path.splitext(path)[1]:
        return _in_folder(path, shot)
    numbered = parse_numbered(path)
    target = str(numbered) if numbered is not None else path
    if picture_format(target) is not None:
        return numbered if numbered is not None else path
    if is_movie(path):
        return None
    known = ", ".join(sorted(PICTURE_EXTENSIONS | MOVIE_EXTENSIONS))
    raise UsageError(f"expected a result that ends in {known}, got '{path}'; choose one of these")


def _in_folder(folder: str, shot: ShotInfo) -> NumberedPath:
    if shot.kind in ("still", "sequence"):
        alike = named_like(shot.path)
        if alike is not None:
            return replace(alike, folder=folder)
    stem, extension = os.path.splitext(os.path.basename(shot.path))
    if shot.kind in ("movie", "stream"):
        deep = shot.movie is not None and _is_deep(shot.movie.pixel_format)
        extension = ".exr" if deep else ".png"
    # The name of a stream is an address; that of a movie may hold what would be read as the place of the number.
    stem = re.sub(r"[^\w-]+" if shot.kind == "stream" else "[#@%]+", "_", stem).rstrip("._") or "frame"
    return NumberedPath(folder, f"{stem}.", 4, extension)


def _is_deep(pixel_format: str) -> bool:
    """Whether a movie's pixel format has more than 8 bits a sample; FFmpeg names the depth at the end."""
    return re.search(r"(9|10|12|14|16|32|48|64)(le|be)?$", pixel_format) is not None
