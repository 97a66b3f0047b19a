"""What the numbers of a motion layer mean: which neighbour they point at, and which way is up.

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
                               `impasto.core.motion.agreement` holds against the plates.
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
class Way:
    """What two channels say: the neighbour that they lead to, once multiplied by these, as offsets x, y downwards."""

    to: Neighbour
    x: int
    y: int


CONVENTIONS: dict[str, tuple[Way, ...]] = {
    "blender": (Way("previous", 1, -1), Way("next", -1, 1)),
    "nuke": (Way("next", 1, -1), Way("previous", 1, -1)),
    "nuke-down": (Way("next", 1, 1), Way("previous", 1, 1)),
    "blender-down": (Way("previous", 1, 1), Way("next", -1, -1)),
    "next": (Way("next", 1, -1),),
    "next-down": (Way("next", 1, 1),),
    "previous": (Way("previous", 1, -1),),
    "previous-down": (Way("previous", 1, 1),),
    "since": (Way("previous", -1, 1),),
    "since-down": (Way("previous", -1, -1),),
}
"""Name -> what each two channels of the layer say, in their order."""


@dataclass(frozen=True, slots=True)
class MotionWish:
    """What `--motion PATH:LAYER=CONVENTION` asks for.

    No path is the plates themselves; what no layer and no convention mean says `impasto.core.motion.layers`.
    """

    path: str
    layer: str = ""
    convention: str = ""

    @classmethod
    def parse(cls, text: str) -> MotionWish:
        """'vectors.####.exr', 'vectors.####.exr:vector', ':motion=next-down'; UsageError for what cannot be meant."""
        path, colon, layer = text.rpartition(":")
        if not colon or any(mark in layer for mark in "/\\#%@"):
            path, layer = text, ""
        if not text or text == ":":
            raise UsageError(f"expected --motion as PATH:LAYER, got '{text}'; give for example vectors.####.exr:vector")
        return cls.of(path, layer)

    @classmethod
    def of(cls, path: str, layer: str) -> MotionWish:
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


def alike(way: Way, slot: int = 0, directions: int = 1) -> list[str]:
    """Conventions of so many directions whose two channels in this slot mean this, or as good as this.

    Motion to a neighbour there is motion to the other one here, turned around.
    """
    turned = Way("previous" if way.to == "next" else "next", -way.x, -way.y)
    return [name for name, ways in CONVENTIONS.items() if len(ways) == directions and ways[slot] in (way, turned)]
