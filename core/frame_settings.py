"""How one frame is painted, apart from the style itself and a matte."""

from __future__ import annotations

from dataclasses import dataclass, field

from impasto.core.frame import Frame
from impasto.core.grade_settings import After, Before
from impasto.core.immersive import Projection, Stereo
from impasto.core.keys_quality import KeysQuality
from impasto.core.params import Params


@dataclass(frozen=True, slots=True)
class Output:
    """The colour space and the samples of a result that differs from its plate.

    `space` is a colour space by name; `samples` the stored type, 'half' or 'float' (integers are
    made by the writers, which round and clip).
    """

    space: str
    samples: str = "float"


SMOOTHING_REACH = 2
"""Frames before and after one that it looks at where it is smoothed."""

KEYS_MAP = "invented.Y"
"""Channel with the share of each pixel's paint that comes from no key by hand, in [0, 1]: pieces of keys that were laid
anew, and the network's own painting."""


@dataclass(frozen=True, slots=True)
class FrameSettings:
    """The parameters of a style, what is done to the plate and to the painting, and the colours at both ends."""

    params: Params | None = None
    """None: the defaults of the style's card."""
    before: Before = field(default_factory=Before)
    after: After = field(default_factory=After)
    input_space: str | None = None
    """None: the space that the frame states, or the usual one of its samples."""
    output: Output | None = None
    """None: the colours and samples of the frame."""
    keys_quality: KeysQuality = "standard"
    """How much is spent on the carried paint of keys by a hand."""
    keys_map: bool = False
    """Whether a result of float samples gets the channel `KEYS_MAP`."""
    smoothing: float = 0.0
    """How far a frame takes the paint that the frames around it agree on, from 0 to 1; see `impasto.core.smoothing`."""
    projection: Projection = "auto"
    stereo: Stereo = "auto"

    def is_eight_bit(self, frame: Frame) -> bool:
        """Whether the result has 8 bits a sample: it keeps those of the frame, or becomes float."""
        return frame.part.pixels.dtype.name == "uint8" and self.output is None

    def network_size(self, frame: Frame) -> tuple[int, int]:
        """Width and height of the frame's display window after the resize before the network."""
        window = frame.part.display_window
        size = window.width, window.height
        return size if self.before.resize is None else self.before.resize.size_for(*size)
