"""Mattes: a strength for every pixel of a frame, from a still or from pictures numbered like the shot."""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import closing
from dataclasses import replace

import numpy as np

from impasto.core import colour
from impasto.core.errors import InconsistentShot, OutputExists, UsageError
from impasto.core.frame import AlphaKind, Frame, Samples, find_layer
from impasto.core.grade_settings import Resize
from impasto.core.media import FrameRange, ShotInfo, open_reader
from impasto.core.media.numbering import find_in_folder, parse_numbered, require_unbroken
from impasto.core.media.open import is_movie
from impasto.core.resize import resize_frame


def matte_frames(path: str, run: FrameRange | None) -> Generator[Frame, None, None]:
    """The matte pictures of consecutive frames.

    A still is repeated without end; a sequence, a folder with one, or a movie gives each frame the picture of its
    number. `run` is None for a source whose length is not known. Raises InconsistentShot where a frame has no matte,
    and what `open_reader` raises.
    """
    if _is_still(path):
        with open_reader(path) as reader:
            still = next(iter(reader))
        while True:
            yield still
    if run is not None:
        _require_all(path, run)
    number = 0
    with open_reader(path, frames=run) as reader:
        for picture in reader:
            number = picture.number
            yield picture
    raise InconsistentShot(
        f"expected a matte for every frame, found none after frame {number} in '{path}'; render the missing ones"
    )


def require_matte(path: str, info: ShotInfo) -> None:
    """Raise an error, before the first frame is painted, for mattes that cannot be used.

    That is a matte that cannot be opened or read, that has another size than the plate, or that a frame lacks.
    """
    run = None if info.frame_count is None else FrameRange(info.first, info.first + info.frame_count - 1)
    with closing(matte_frames(path, run)) as pictures:
        _require_size(next(pictures), (info.width, info.height))


def refuse_as_output(path: str, output: str, what: str = "matte") -> None:
    """Raise OutputExists where a result, a file or a pattern, would replace a matte, or another input (`what`)."""
    files = find_in_folder(path) if os.path.isdir(path) else parse_numbered(path) or path
    own = [files] if isinstance(files, str) else [files.path_of(number) for number in files.numbers()]
    result = parse_numbered(output)
    folder = os.path.realpath(os.path.dirname(output))
    for each in own:
        name = os.path.basename(each)
        same_name = name == os.path.basename(output) if result is None else result.number_of(name) is not None
        if same_name and os.path.realpath(os.path.dirname(each)) == folder:
            raise OutputExists(f"expected another name than the {what} '{each}'; a {what} is never overwritten")


def matte_of(picture: Frame, plate: Frame, resize: Resize | None = None) -> Samples:
    """The first colour channel of a matte picture over the plate's data window: (H, W) float32 in [0, 1].

    Integers are divided by their greatest value; floats are clipped, NaN is 0. Outside the matte's
    own data window the matte is 0. With `resize` the result has the size that the plate is given
    before it is painted. Raises UsageError where the display windows differ in size.
    """
    own, wanted = picture.part.display_window, plate.part.display_window
    _require_size(picture, (wanted.width, wanted.height))
    values = colour.to_float(picture.colour[..., :1])[..., 0]
    values = np.clip(np.nan_to_num(values, nan=0.0), 0, 1).astype(np.float32, copy=False)
    source, target = picture.part.data_window, plate.part.data_window
    left = (source.x - own.x) - (target.x - wanted.x)
    top = (source.y - own.y) - (target.y - wanted.y)
    matte = _placed(values, left, top, (target.height, target.width))
    if resize is None:
        return matte
    part = replace(plate.part, pixels=matte[..., None], channels=("Y",), formats=("float",))
    alone = replace(plate, parts=(part,), layer=find_layer((part,)), alpha_kind=AlphaKind.NONE)
    return colour.to_float(resize_frame(alone, resize, "scene_linear").colour)[..., 0]


def _require_size(picture: Frame, size: tuple[int, int]) -> None:
    """Raise UsageError for a matte whose display window is not of the plate's width and height."""
    own = picture.part.display_window
    if (own.width, own.height) != size:
        raise UsageError(
            f"expected a matte of {size[0]}x{size[1]} like the plate, got {own.width}x{own.height}"
            f" in '{picture.source}'; render the matte in the size of the plate"
        )


def _placed(values: Samples, left: int, top: int, size: tuple[int, int]) -> Samples:
    """`values` with its corner at (left, top) of a field of zeros of (height, width)."""
    height, width = values.shape
    if (left, top) == (0, 0) and (height, width) == size:
        return values
    field = np.zeros(size, np.float32)
    rows = slice(max(top, 0), max(min(top + height, size[0]), 0))
    columns = slice(max(left, 0), max(min(left + width, size[1]), 0))
    if rows.start < rows.stop and columns.start < columns.stop:
        field[rows, columns] = values[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left]
    return field


def _is_still(path: str) -> bool:
    if os.path.isdir(path):
        return isinstance(find_in_folder(path), str)
    return parse_numbered(path) is None and not is_movie(path)


def _require_all(path: str, run: FrameRange) -> None:
    """Raise InconsistentShot naming the frames of a run that have no matte."""
    files = find_in_folder(path) if os.path.isdir(path) else parse_numbered(path)
    if files is None or isinstance(files, str):
        with open_reader(path) as reader:
            count = reader.info.frame_count
        numbers = range(1, 1 + count) if count is not None else range(run.first, run.last + 1)
        require_unbroken(numbers, run.first, run.last, path)
    else:
        require_unbroken(files.numbers(), run.first, run.last, str(files))
