"""What a plate's colour space is, as a value, and the spaces that need no configuration."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from impasto.core.colour.primaries import REC709, Chromaticities


@dataclass(frozen=True, slots=True)
class PlateSpace:
    """The colour space of a plate, as a value: equal spaces convert equally.

    At most one of three holds. With `config`, `name` is a space of that configuration. With
    `chromaticities`, samples are linear light of those primaries. With `profile`, they are what that ICC profile
    says. With none, samples are the working picture: sRGB-encoded Rec.709.
    """

    name: str
    config: str | None = None
    chromaticities: Chromaticities | None = None
    profile: bytes = field(default=b"", repr=False)

    @property
    def is_working(self) -> bool:
        """Whether samples of this space are the working picture as they stand."""
        return self.config is None and self.chromaticities is None and not self.profile


WORKING: Final = PlateSpace("sRGB")
MOVIE: Final = PlateSpace("Rec.709 movie")
SCENE_LINEAR: Final = PlateSpace("scene-linear Rec.709", chromaticities=REC709)

CINEON: Final = PlateSpace("Cineon film log", config="(none: Kodak's own curve)")
"""Film densities, in no built-in configuration: 95 is black and 685 white of 1023, as hosts read log DPX files
(Kodak, Conversion of 10-bit Log Film Data to 8-bit Linear or Video Data, 1995)."""
