"""What a network saw, and what became of it before it goes back into its frame."""

from __future__ import annotations

from dataclasses import dataclass

from impasto.core.frame import Samples


@dataclass(frozen=True, slots=True)
class PaintedPicture:
    """A picture and how it was painted, (H, W, 3) float32 in working space."""

    picture: Samples
    painted: Samples
