"""The guide channels on a style's card, and the rule by which each is read. `guide_planes` applies the rules."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from impasto.core.frozen_dataclass import frozen_dataclass

Reading = Literal["normal", "depth", "colour", "mask", "vector", "id", "plain"]
"""How the samples of a channel become planes. 'plain' takes them unchanged, as styles of card schema 2 did."""
READINGS: tuple[Reading, ...] = ("normal", "depth", "colour", "mask", "vector", "id")
"""The readings that a user may choose."""
ID_PLANES = 3


@frozen_dataclass
class Guide:
    """One channel that a style sees: its name in the files, how it is read, and the scale of that.

    `scale` is in the channel's own units, fixed when the style is trained; only 'depth' and 'vector' use it.
    """

    channel: str
    reading: Reading
    scale: float = 1.0

    @property
    def planes(self) -> int:
        """How many input channels of the network it takes."""
        return ID_PLANES if self.reading == "id" else 1


def planes_in(guides: Sequence[Guide]) -> int:
    """How many input channels of the network these take together."""
    return sum(guide.planes for guide in guides)
