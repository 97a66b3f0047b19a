"""Training pictures from files, in the working space that the networks see."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from impasto.core.errors import MediaError, TrainingError
from impasto.core.frame import Frame
from impasto.core.media import open_reader
from impasto.core.working_picture import WorkingPicture, to_working

MOST_DAMAGED = 0.05
"""The share of damaged pictures that a run goes on without."""
NAMED = 20
"""Damaged pictures that are named."""
ENDINGS = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".exr", ".dpx", ".hdr")


T = TypeVar("T")


def no_note(text: str) -> None:
    """For callers that show no notes."""


def picture_files(folder: Path) -> dict[str, Path]:
    """Stem -> path of every picture in a folder; TrainingError where there is no such folder."""
    if not folder.is_dir():
        raise TrainingError(f"expected a folder of pictures, '{folder}' is none; check the path")
    return {path.stem: path for path in sorted(folder.iterdir()) if path.suffix.lower() in ENDINGS}


class DamagedPictures:
    """Reads pictures of which some are damaged: all of them are named at once, and a few are left out."""

    def __init__(self, on_note: Callable[[str], None]) -> None:
        self._on_note = on_note
        self._read = 0
        self._errors: dict[str, TrainingError] = {}

    def read(self, name: str, reading: Callable[[], T]) -> T | None:
        """What `reading` gives, None where it raises a TrainingError, which `settle` reports."""
        self._read += 1
        try:
            return reading()
        except TrainingError as error:
            self._errors[name] = error
            return None

    def settle(self) -> None:
        """Say what was left out. TrainingError, naming all, where that is more than `MOST_DAMAGED` of the pictures."""
        if not self._errors:
            return
        names = list(self._errors)
        shown = ", ".join(f"'{name}'" for name in names[:NAMED])
        more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
        first = self._errors[names[0]]
        if len(names) > MOST_DAMAGED * self._read:
            if len(names) == 1:
                raise first
            raise TrainingError(
                f"could not read {len(names)} of {self._read} training pictures: {shown}{more}; mend or remove them. "
                f"Of the first: {first}"
            ) from first
        self._on_note(f"{len(names)} of {self._read} pictures cannot be read and are left out: {shown}{more}")


def readable_pictures(paths: Sequence[Path], on_note: Callable[[str], None]) -> list[Path]:
    """The pictures that can be read, after reading each once; see `DamagedPictures`."""
    damaged = DamagedPictures(on_note)
    sound = [path for path in paths if damaged.read(path.name, partial(read_one, path, "plate")) is not None]
    damaged.settle()
    return sound


def read_picture(path: Path, input_space: str | None = None) -> Tensor:
    """A picture as the engine shows it to a network: (3, H, W), working space, without its alpha.

    8-bit sRGB stays uint8; everything else (EXR in scene-linear or the space of its header, 16 bits)
    becomes float16 in [0, 1], light above 1 carried around as in a render. `input_space` names the space of floats.
    """
    return as_stored(seen_in(read_one(path, "training picture"), input_space))


def read_one(path: Path, what: str) -> Frame:
    """The one frame of a picture; TrainingError where it cannot be read."""
    try:
        with open_reader(str(path)) as reader:
            return next(iter(reader))
    except MediaError as error:
        raise TrainingError(f"could not read a {what}: {error}") from error


def seen_in(frame: Frame, input_space: str | None) -> WorkingPicture:
    """What the network sees of a frame, whose space is given by name where its samples are float."""
    is_float = np.issubdtype(frame.part.pixels.dtype, np.floating)
    return to_working(frame, input_space=input_space if is_float else None)


def as_stored(seen: WorkingPicture) -> Tensor:
    """What the network sees of a frame, as training keeps it: (3, H, W) uint8 where that is exact, else float16."""
    colour = seen.frame.colour
    if seen.is_plate and colour.dtype == np.uint8:
        samples = np.repeat(colour, 3, axis=2) if colour.shape[2] == 1 else colour
        return torch.from_numpy(np.ascontiguousarray(samples)).permute(2, 0, 1).contiguous()
    return torch.from_numpy(seen.picture.astype(np.float16)).permute(2, 0, 1).contiguous()


def as_float(stored: Tensor) -> Tensor:
    """A stored picture as float32 in [0, 1]."""
    return stored.float() / 255 if stored.dtype == torch.uint8 else stored.float()
