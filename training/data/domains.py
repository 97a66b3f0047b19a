"""Two unpaired folders of pictures: plates, and pictures that look as plates should."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from impasto.core.errors import TrainingError
from impasto.training.data.pictures import as_float, no_note
from impasto.training.data.shots import FRAMES, pictures_of

FEWEST = 2
"""Pictures that each folder needs: one alone says nothing about a domain."""


@dataclass(frozen=True, slots=True)
class Domains:
    """Pictures (3, H, W), uint8 or float16, working space, of any sizes and numbers."""

    plates: tuple[Tensor, ...]
    wanted: tuple[Tensor, ...]

    @property
    def smallest(self) -> int:
        """The shortest side of all."""
        return min(min(picture.shape[1:]) for picture in self.plates + self.wanted)

    @property
    def digest(self) -> str:
        """SHA-256 over all pictures, for the card."""
        total = hashlib.sha256()
        for picture in self.plates + self.wanted:
            total.update(repr(tuple(picture.shape)).encode())
            total.update(picture.contiguous().numpy().tobytes())
        return total.hexdigest()


def load_domains(
    plates: str | Path,
    wanted: str | Path,
    *,
    frames: int = FRAMES,
    input_space: str | None = None,
    on_note: Callable[[str], None] = no_note,
) -> Domains:
    """Every picture of two folders, or frames of movies and sequences spread over them.

    A few damaged pictures are left out, see `load_pairs`. Raises TrainingError for more, or too few pictures;
    MediaError for an unreadable shot.
    """
    both = []
    for source in (plates, wanted):
        pictures = pictures_of(str(source), frames=frames, input_space=input_space, on_note=on_note)
        if len(pictures) < FEWEST:
            raise TrainingError(
                f"expected at least {FEWEST} pictures in '{source}', found {len(pictures)}; "
                "dozens of varied ones are a good start"
            )
        both.append(tuple(pictures.values()))
    return Domains(both[0], both[1])


def draw_pictures(pictures: Sequence[Tensor], count: int, size: int, generator: torch.Generator) -> Tensor:
    """Random crops (count, 3, size, size), float32, of pictures that are at least as large, half of them mirrored."""
    crops = []
    for _ in range(count):
        picture = pictures[int(torch.randint(len(pictures), (), generator=generator))]
        top = int(torch.randint(picture.shape[1] - size + 1, (), generator=generator))
        left = int(torch.randint(picture.shape[2] - size + 1, (), generator=generator))
        crop = as_float(picture[:, top : top + size, left : left + size])
        crops.append(crop.flip(2) if int(torch.randint(2, (), generator=generator)) else crop)
    return torch.stack(crops)
