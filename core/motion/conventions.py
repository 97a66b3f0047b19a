"""Conventions of motion vectors: which neighbouring frame they point to, and which direction is up.

Renderers agree on pixels of the picture and on little else:

    blender    X, Y lead from this frame to the previous; Z, W lead from the next frame to this one; y runs upwards.
               Cycles computes `motion_pre - motion_center` and `motion_center - motion_post`
               (intern/cycles/kernel, primitive_motion_vector); the manual's "towards the next and previous frame"
               leaves the sign open. Measured on tests/media/lantern.*.exr, which Cycles rendered.
    nuke       forward.u, forward.v lead to the next frame, backward.u, backward.v to the previous; y runs upwards
               (Foundry, VectorGenerator: offsets that show how to warp the neighbour onto this frame).
    nuke-down, blender-down    the same with y downwards.
    next, next-down            two channels to the next frame, y upwards or downwards: what Nuke's VectorBlur takes as
                               its uv channels. Renderers of film write their two channels for it, Arnold's
                               `motionvector` among them, with options that change scale and sign: a guess, which
                               `impasto.core.motion.vector_check` holds against the plates.
    previous, previous-down    two channels to the previous frame.
    since, since-down          two channels from the previous frame to this one.

Vectors in [0, 1], or in widths of the picture, as MoonRay's `motionvec`, are none of these: pixels are wanted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from impasto.core.errors import UnknownName, UsageError

Neighbour = Literal["next", "previous"]
NAME_BYTES = 200
"""Of a layer's name: with its convention it fits into a message to the server."""
SAY = "say it as --motion PATH:LAYER=CONVENTION"


@dataclass(frozen=True, slots=True)
class ChannelConvention:
    """What two channels mean: multiplied by `x` and `y` they are offsets, y downwards, to the neighbour `to`."""

    to: Neighbour
    x: int
    y: int


CONVENTIONS: dict[str, tuple[ChannelConvention, ...]] = {
    "blender": (ChannelConvention("previous", 1, -1), ChannelConvention("next", -1, 1)),
    "nuke": (ChannelConvention("next", 1, -1), ChannelConvention("previous", 1, -1)),
    "nuke-down": (ChannelConvention("next", 1, 1), ChannelConvention("previous", 1, 1)),
    "blender-down": (ChannelConvention("previous", 1, 1), ChannelConvention("next", -1, -1)),
    "next": (ChannelConvention("next", 1, -1),),
    "next-down": (ChannelConvention("next", 1, 1),),
    "previous": (ChannelConvention("previous", 1, -1),),
    "previous-down": (ChannelConvention("previous", 1, 1),),
    "since": (ChannelConvention("previous", -1, 1),),
    "since-down": (ChannelConvention("previous", -1, -1),),
}
"""Name -> what each two channels of the layer mean, in their order."""


@dataclass(frozen=True, slots=True)
class MotionSource:
    """The value of `--motion PATH:LAYER=CONVENTION`: where motion vectors are read from.

    An empty path means the plates themselves. See `impasto.core.motion.layers` for an empty layer or convention.
    """

    path: str
    layer: str = ""
    convention: str = ""

    @classmethod
    def parse(cls, text: str) -> MotionSource:
        """'vectors.####.exr', 'vectors.####.exr:vector', ':motion=next-down'; UsageError for anything else."""
        path, colon, layer = text.rpartition(":")
        if not colon or any(mark in layer for mark in "/\\#%@"):
            path, layer = text, ""
        if not text or text == ":":
            raise UsageError(f"expected --motion as PATH:LAYER, got '{text}'; give for example vectors.####.exr:vector")
        return cls.of(path, layer)

    @classmethod
    def of(cls, path: str, layer: str) -> MotionSource:
        """A path, and 'LAYER' or 'LAYER=CONVENTION'. UnknownName for a convention that does not exist."""
        name, _, convention = layer.partition("=")
        if len(name.encode()) > NAME_BYTES or not name.isprintable():
            raise UsageError(
                f"expected a layer's name of at most {NAME_BYTES} bytes for --motion, got {name[:40]!a}; check it"
            )
        if convention and convention not in CONVENTIONS:
            raise UnknownName("convention of motion vectors", convention, CONVENTIONS)
        return cls(path, name, convention)

    @property
    def named(self) -> str:
        """Layer and convention, as they are typed."""
        return f"{self.layer}={self.convention}" if self.convention else self.layer


def equivalents(meaning: ChannelConvention, slot: int = 0, directions: int = 1) -> list[str]:
    """Conventions of this many directions whose two channels in this slot mean the same, or nearly the same.

    Motion to the next frame is nearly the negated motion to the previous one.
    """
    negated = ChannelConvention("previous" if meaning.to == "next" else "next", -meaning.x, -meaning.y)
    return [
        name for name, pairs in CONVENTIONS.items() if len(pairs) == directions and pairs[slot] in (meaning, negated)
    ]
