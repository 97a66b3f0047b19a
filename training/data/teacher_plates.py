"""Plates for a teacher: pictures in working space, at the size that the teacher paints."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from impasto.core.frame import Frame, Pixels, Samples
from impasto.core.media.numbering import parse_numbered
from impasto.core.media.orientation import upright_as
from impasto.training.data.pictures import as_stored, read_one, seen_in
from impasto.training.data.shots import numbered_frames


def load_picture(path: Path, long_side: int, input_space: str | None = None) -> Samples:
    """A picture as (H, W, 3) float32, working space, in [0, 1], scaled down to `long_side` where it is longer.

    It is turned upright. 8-bit sRGB is scaled in 8 bits, so that pairs that were made before stay valid; all else is
    scaled in float. Light above 1 is treated as in a render. `input_space` names the space of float samples. Raises
    TrainingError for what is no picture.
    """
    frame = read_one(path, "plate")
    stored = shrunk(working(frame, input_space), long_side)
    picture = np.ascontiguousarray(stored, np.float32)
    if stored.dtype == np.uint8:
        picture /= 255
    return picture


def working(frame: Frame, input_space: str | None = None) -> Pixels:
    """What the network sees of a frame, upright: (H, W, 3) uint8 where that is exact, else float32."""
    seen = seen_in(frame, input_space)
    is_exact = seen.is_plate and frame.colour.dtype == np.uint8
    picture = as_stored(seen).permute(1, 2, 0).numpy() if is_exact else seen.picture
    return upright_as(frame.part, picture)


def shrunk(picture: Pixels, long_side: int) -> Pixels:
    """A picture scaled down by area so that its longer side is `long_side`; a smaller one as it is."""
    scale = min(1.0, long_side / max(picture.shape[:2]))
    if scale == 1:
        return picture
    return np.asarray(cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), picture.dtype)


def frames_of(shot: str, count: int, into: Path, input_space: str | None = None) -> Iterator[Path]:
    """`count` frames spread over a movie or sequence, as PNGs in `into`, of 16 bits where the shot has more than 8.

    Only one frame is held at a time. Raises MediaError for a shot that cannot be read, TrainingError for a live one.
    """
    source = numbered_frames(shot, "plate")
    into.mkdir(parents=True, exist_ok=True)
    stem = stem_of(shot)
    # The last two are never taken: earlier versions counted so, and a folder of pairs goes on by its names.
    places = np.linspace(0, max(0, len(source.numbers) - 3), count).astype(int)
    chosen = {source.numbers[index]: index for index in dict.fromkeys(places.tolist())}
    is_sequence = parse_numbered(shot) is not None
    for frame in source.read(chosen):
        name = f"{stem}_{frame.number if is_sequence else chosen[frame.number]:05d}.png"
        yield save_frame(frame, into / name, input_space)


def save_frame(frame: Frame, path: Path, input_space: str | None = None) -> Path:
    """Write a frame as an sRGB PNG, of 8 bits where that is exact, else 16; returns the path."""
    picture = working(frame, input_space)
    deep = picture.dtype != np.uint8
    save_picture(path, np.asarray(picture if deep else picture / np.float32(255), np.float32), deep=deep)
    return path


def save_picture(path: Path, picture: Samples, *, deep: bool = False) -> None:
    """Write a working picture (H, W, 3) as a PNG of 8 bits, or 16, whole or not at all; it is clipped to [0, 1]."""
    most, samples = (65535, np.uint16) if deep else (255, np.uint8)
    stored = np.rint(np.clip(picture, 0, 1) * most).astype(samples)
    partial = path.with_name(f".{path.stem}.part.png")
    cv2.imwrite(str(partial), np.ascontiguousarray(stored[..., ::-1]))
    partial.replace(path)


def stem_of(shot: str) -> str:
    """The stem for frames of a shot: the name of a movie, or that of a sequence before its number."""
    numbered = parse_numbered(shot)
    if numbered is None:
        return Path(shot).stem
    return numbered.prefix.rstrip("._-") or Path(numbered.folder).name or "frame"


def in_space(path: Path, input_space: str, into: Path) -> Path:
    """A picture of float samples whose space is given, as a PNG in `into`; the path of any other as it is."""
    frame = read_one(path, "plate")
    if not np.issubdtype(frame.part.pixels.dtype, np.floating):
        return path
    into.mkdir(parents=True, exist_ok=True)
    return save_frame(frame, into / f"{path.stem}.png", input_space)
