"""What a frame is given before and after the network, as values: grade and size, with their ranges.

What they do to pixels is in `impasto.core.grade` and `impasto.core.resize`. Here are the values alone, so that a
command can check them without the libraries that change pictures.
"""

from __future__ import annotations

import math
import re
from dataclasses import fields

from impasto.core.errors import UsageError
from impasto.core.frozen_dataclass import frozen_dataclass
from impasto.core.params import Parameter

_DENOISE = Parameter(
    "denoise", 0.0, 1.0, 0.0, "Smooths grain and noise and keeps edges: 0.3 for a clean camera, 1 for heavy grain."
)
_SHARPEN = Parameter("sharpen", 0.0, 3.0, 0.0, "Sharpens the edges of the strokes: 0.5 is gentle, 2 is strong.")
_LEVELS = (
    Parameter("black", -1.0, 1.0, 0.0, "The tone that becomes black: higher darkens the shadows."),
    Parameter("white", 0.0, 2.0, 1.0, "The tone that becomes white: lower brightens the lights."),
    Parameter("gamma", 0.1, 10.0, 1.0, "Middle tones: above 1 brightens, below 1 darkens; black and white stay."),
    Parameter("saturation", 0.0, 4.0, 1.0, "Strength of colours: 0 is grey, 1 leaves them, 2 doubles them."),
)
_RELIEF = (
    Parameter("relief", 0.0, 1.0, 0.0, "Thickness of the paint, as light on its ridges: 0.3 is oil, 1 is plaster."),
    Parameter("light", 0.0, 360.0, 135.0, "Where the light on the relief comes from: 0 is the right, 90 the top."),
)
_EXPOSURE = Parameter(
    "exposure", -8.0, 8.0, 0.0, "Stops by which the plate is brighter or darker, also in the result: 3 for low light."
)
BEFORE_CONTROLS: tuple[Parameter, ...] = (_EXPOSURE, _DENOISE, *_LEVELS)
AFTER_CONTROLS: tuple[Parameter, ...] = (_DENOISE, _SHARPEN, *_RELIEF, *_LEVELS)

LARGEST_SIDE = 32768
"""The longest side of a frame, in pixels, that a resize makes."""

_SIZE = re.compile(r"(?P<percent>\d+(\.\d+)?)%|(?P<width>\d*)x(?P<height>\d*)", re.ASCII | re.IGNORECASE)


@frozen_dataclass
class Resize:
    """A new size of the display window: a scale, or width and height.

    Build it by `parse`. A side that is None follows the other by the picture's aspect ratio.
    """

    scale: float | None = None
    width: int | None = None
    height: int | None = None

    @classmethod
    def parse(cls, text: str) -> Resize:
        """'50%', '1280x720', '1280x' or 'x720' as a size; UsageError for anything else."""
        written = _SIZE.fullmatch(text.strip())
        if written and written["percent"] and float(written["percent"]) > 0:
            return cls(scale=float(written["percent"]) / 100)
        if written and (written["width"] or written["height"]):
            width, height = (int(side) if side else None for side in written.group("width", "height"))
            if all(side is None or 1 <= side <= LARGEST_SIDE for side in (width, height)):
                return cls(width=width, height=height)
        raise UsageError(
            f"expected a size as 50%, 1280x720, 1280x or x720, with sides up to {LARGEST_SIDE}, got '{text}'"
        )

    def size_for(self, width: int, height: int) -> tuple[int, int]:
        """Width and height after the resize of a picture of this size; UsageError above `LARGEST_SIDE`."""
        if self.scale is not None:
            size = round(width * self.scale), round(height * self.scale)
        elif self.width is None:
            assert self.height is not None
            size = round(width * self.height / height), self.height
        else:
            size = self.width, self.height or round(height * self.width / width)
        if max(size) > LARGEST_SIDE:
            raise UsageError(
                f"expected sides of at most {LARGEST_SIDE} after the resize of {width}x{height}, "
                f"got {size[0]}x{size[1]}; choose a smaller size"
            )
        return max(size[0], 1), max(size[1], 1)


@frozen_dataclass
class Before:
    """The grade of the plate before the network; the defaults do nothing.

    The order is resize, exposure, denoise, levels, saturation. A value outside its range raises UsageError.
    """

    exposure: float = 0.0
    denoise: float = 0.0
    black: float = 0.0
    white: float = 1.0
    gamma: float = 1.0
    saturation: float = 1.0
    resize: Resize | None = None

    def __post_init__(self) -> None:
        _check(self, BEFORE_CONTROLS)

    @property
    def is_off(self) -> bool:
        """Whether the picture stays unchanged, apart from its size."""
        return _is_default(self, BEFORE_CONTROLS)


@frozen_dataclass
class After:
    """The grade of the painting after the network; the defaults do nothing.

    The order is denoise, sharpen, relief, levels, saturation, resize. A value outside its range raises UsageError.
    """

    denoise: float = 0.0
    sharpen: float = 0.0
    relief: float = 0.0
    light: float = 135.0
    """In degrees, anticlockwise from the right."""
    black: float = 0.0
    white: float = 1.0
    gamma: float = 1.0
    saturation: float = 1.0
    resize: Resize | None = None

    def __post_init__(self) -> None:
        _check(self, AFTER_CONTROLS)

    @property
    def is_off(self) -> bool:
        """Whether the picture stays unchanged, apart from its size."""
        return _is_default(self, AFTER_CONTROLS)


def _is_default(settings: Before | After, controls: tuple[Parameter, ...]) -> bool:
    return all(getattr(settings, control.name) == control.default for control in controls)


def _check(settings: Before | After, controls: tuple[Parameter, ...]) -> None:
    assert {field.name for field in fields(settings)} == {control.name for control in controls} | {"resize"}
    for control in controls:
        value = getattr(settings, control.name)
        if not math.isfinite(value) or not control.minimum <= value <= control.maximum:
            raise UsageError(
                f"expected {control.name} between {control.minimum:g} and {control.maximum:g}, got {value!r}"
            )
    if settings.white - settings.black < 1e-3:
        raise UsageError(
            f"expected white above black, got black {settings.black:g} and white {settings.white:g}; "
            "raise white or lower black"
        )
