"""Before and after pictures, in memory, and random crops of both at the same place."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from impasto.core.errors import TrainingError
from impasto.training.data.pictures import picture_files, read_picture
from impasto.training.distributed import Team


@dataclass(frozen=True, slots=True)
class Pair:
    """One picture before and after, (3, H, W) uint8 or float16, working space, of the same size."""

    name: str
    before: Tensor
    after: Tensor


@dataclass(frozen=True, slots=True)
class Crops:
    """A batch at one place of each pair: (N, 3, crop, crop) float32, and where it may be judged (N, 1, crop, crop)."""

    before: Tensor
    after: Tensor
    judged: Tensor

    def to(self, device: torch.device) -> Crops:
        """The batch where the networks are, in the memory order that convolutions like."""
        before, after, judged = (
            tensor.to(device, memory_format=torch.channels_last, non_blocking=True)
            for tensor in (self.before, self.after, self.judged)
        )
        return Crops(before, after, judged)

    def shared(self, mates: Team) -> Crops:
        """The part of the batch that this process learns from."""
        return Crops(mates.share(self.before), mates.share(self.after), mates.share(self.judged))


def load_pairs(before: Path, after: Path) -> list[Pair]:
    """Every picture of `before` with the one of the same stem in `after`.

    Raises TrainingError for an unmatched, unreadable or differently sized picture, naming it.
    """
    befores, afters = picture_files(before), picture_files(after)
    lonely = sorted(befores.keys() ^ afters.keys())
    if lonely:
        where = after if lonely[0] in befores else before
        raise TrainingError(
            f"expected every picture in both folders under the same name, '{lonely[0]}' is missing in '{where}'"
            + (f" and {len(lonely) - 1} more are unmatched" if len(lonely) > 1 else "")
            + "; rename or remove it"
        )
    pairs = []
    for stem in sorted(befores):
        plate, target = read_picture(befores[stem]), read_picture(afters[stem])
        if plate.shape != target.shape:
            raise TrainingError(
                f"expected before and after of one size, got {plate.shape[2]}x{plate.shape[1]} and "
                f"{target.shape[2]}x{target.shape[1]} for '{stem}'; scale one to the other"
            )
        pairs.append(Pair(stem, plate, target))
    if not pairs:
        raise TrainingError(
            f"expected pictures in '{before}', found none; give folders of PNG, JPEG, TIFF or EXR files"
        )
    return pairs


def digest(pairs: Sequence[Pair]) -> str:
    """SHA-256 over all pictures, for the card: which data a style was trained on."""
    total = hashlib.sha256()
    for pair in pairs:
        total.update(pair.name.encode())
        for picture in (pair.before, pair.after):
            total.update(picture.contiguous().view(torch.uint8).numpy().tobytes())
    return total.hexdigest()


def draw_crops(pairs: Sequence[Pair], count: int, size: int, rim: int, generator: torch.Generator) -> Crops:
    """`count` random crops; a rim that is not judged is left where the picture goes on beyond the crop.

    At the true edge of a picture everything is judged: there the network sees what it will see in
    a render. Edges are drawn a little more often than the middle, so that they are learned too.
    """
    befores, afters, judged = [], [], []
    for _ in range(count):
        pair = pairs[int(torch.randint(len(pairs), (), generator=generator))]
        place = draw_place(pair.before, size, rim, generator)
        befores.append(pair.before[:, place.rows, place.columns])
        afters.append(pair.after[:, place.rows, place.columns])
        judged.append(place.judged)
    return Crops(as_float(torch.stack(befores)), as_float(torch.stack(afters)), torch.stack(judged))


@dataclass(frozen=True, slots=True)
class Place:
    """Where a crop lies in its picture, and where it may be judged: (1, size, size) of ones and zeros."""

    rows: slice
    columns: slice
    judged: Tensor


def draw_place(picture: Tensor, size: int, rim: int, generator: torch.Generator) -> Place:
    """A random place for a square crop in a picture (C, H, W); its rim is judged at the picture's true edges alone."""
    height, width = picture.shape[1:]
    top = _draw_offset(height, size, rim, generator)
    left = _draw_offset(width, size, rim, generator)
    judged = torch.ones(1, size, size)
    if top > 0:
        judged[:, :rim] = 0
    if top + size < height:
        judged[:, -rim:] = 0
    if left > 0:
        judged[:, :, :rim] = 0
    if left + size < width:
        judged[:, :, -rim:] = 0
    return Place(slice(top, top + size), slice(left, left + size), judged)


def _draw_offset(length: int, size: int, rim: int, generator: torch.Generator) -> int:
    room = length - size
    return min(max(int(torch.randint(-rim, room + rim + 1, (), generator=generator)), 0), room)


def as_float(stored: Tensor) -> Tensor:
    """A stored picture as float32 in [0, 1]."""
    return stored.float() / 255 if stored.dtype == torch.uint8 else stored.float()
