"""Which guide layers a style sees, and by which rule each channel of them is read: what its card says of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Reading = Literal["normal", "depth", "colour", "mask", "vector", "id", "plain"]
"""How the samples of a channel become planes. 'plain' takes them as they are, as styles of card schema 2 did."""
READINGS: tuple[Reading, ...] = ("normal", "depth", "colour", "mask", "vector", "id")
"""Those that may be asked for."""
ID_PLANES = 3


@dataclass(frozen=True, slots=True)
class Guide:
    """One channel that a style sees: its name in the files, how it is read, and the scale of that.

    `scale` is in the channel's own units, fixed when the style is trained; only 'depth' and 'vector' use it.
    """

    channel: str
    reading: Reading
    scale: float = 1.0

    @property
    def planes(self) -> int:
        """Channels of the network that it takes."""
        return ID_PLANES if self.reading == "id" else 1


def planes_in(guides: Sequence[Guide]) -> int:
    """How many channels of the network these take together."""
    return sum(guide.planes for guide in guides)
