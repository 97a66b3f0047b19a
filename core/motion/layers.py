"""Which channels of a picture are its motion vectors, and by which convention they are read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from impasto.core.errors import UnknownName, UsageError
from impasto.core.frame import Part
from impasto.core.guide_planes import find_channel, part_name
from impasto.core.motion.conventions import CONVENTIONS, SAY, MotionWish, Way

ORDERS = ("XYZW", "RGBA", "UV", "XY", "RG")
"""Leaves of channels in the order in which they are meant."""


@dataclass(frozen=True, slots=True)
class Channels:
    """The two channels that lead to a neighbour, by the names that `find_channel` knows, and how they are read."""

    x: str
    y: str
    way: Way
    slot: int = 0
    """Which two of the layer's channels they are, in the order of its convention."""


@dataclass(frozen=True, slots=True)
class MotionLayer:
    """Channels to the next frame and to the previous, None for a direction that nobody rendered."""

    name: str
    next: Channels | None
    previous: Channels | None
    said: bool
    """The user named the convention; else it is a guess by the names of channels."""
    typed: str = ""
    """The layer as it is typed behind a path: nothing where two layers belong together, or where it has no name."""

    @property
    def directions(self) -> int:
        """How many of the two it holds."""
        return (self.next is not None) + (self.previous is not None)


@dataclass(frozen=True, slots=True)
class _Group:
    """Channels of one prefix: leaf in upper case -> name."""

    name: str
    leaves: dict[str, str]

    @property
    def last(self) -> str:
        return self.name.rpartition(".")[2].lower()

    @property
    def guess(self) -> str:
        """The convention that the names of the channels mean, or nothing."""
        found = set(self.leaves)
        if found == set("XYZW"):
            return "blender"
        if found == set("UV"):
            return "previous" if self.last == "backward" else "next"
        return "next" if found == set("XY") else ""


def read_as(parts: Sequence[Part], wish: MotionWish, source: str) -> MotionLayer:
    """Find the layer that is wished for in a picture, and say how its channels are to be read.

    Without a layer: `forward` and `backward` where both are there, else the one layer whose channels look like
    motion. Without a convention: X, Y, Z, W as Blender's, u, v and X, Y to the next frame with y upwards, except
    `backward`, which leads to the previous. Raises UnknownName and UsageError, which name `source` and say what to
    type.
    """
    groups = _groups(parts)
    if not wish.layer:
        both = [group for name in ("forward", "backward") for group in groups if group.last == name and group.guess]
        if len(both) == 2 and wish.convention in ("", "nuke", "nuke-down"):
            ways = CONVENTIONS[wish.convention or "nuke"]
            to_next, to_previous = (_pair(group, source)[0] for group in both)
            return MotionLayer(
                "forward, backward", Channels(*to_next, ways[0]), Channels(*to_previous, ways[1], 1),
                bool(wish.convention),
            )  # fmt: skip
    group = _chosen(groups, wish, source)
    convention = wish.convention or group.guess
    if not convention:
        raise UsageError(
            f"expected a motion layer with channels u, v or X, Y or X, Y, Z, W, got {', '.join(sorted(group.leaves))} "
            f"in '{group.name}' of '{source}', which says nothing of their meaning; {SAY}, of "
            f"{', '.join(CONVENTIONS)}{'' if group.name else ' (without a name: PATH:=CONVENTION)'}"
        )
    ways, pairs = CONVENTIONS[convention], _pair(group, source)
    if len(pairs) < len(ways):
        raise UsageError(
            f"expected {2 * len(ways)} channels for the convention {convention}, '{group.name}' of '{source}' has "
            f"{', '.join(sorted(group.leaves))}; name another layer or convention"
        )
    found = {way.to: Channels(*pair, way, slot) for slot, (way, pair) in enumerate(zip(ways, pairs, strict=False))}
    return MotionLayer(group.name, found.get("next"), found.get("previous"), bool(wish.convention), group.name)


def _groups(parts: Sequence[Part]) -> list[_Group]:
    found: dict[str, dict[str, str]] = {}
    for part in parts:
        for position, channel in enumerate(part.channels):
            prefix, _, leaf = channel.rpartition(".")
            first = find_channel(parts, channel)
            is_own = first is not None and first[0] is part and first[1] == position
            name = channel if is_own else f"{part_name(part)}.{channel}"
            found.setdefault(prefix or part_name(part), {}).setdefault(leaf.upper(), name)
    return [_Group(name, leaves) for name, leaves in found.items()]


def _chosen(groups: Sequence[_Group], wish: MotionWish, source: str) -> _Group:
    """The group that is called so, whole or by its last word, in either case; without a name the one that looks so."""
    if wish.layer:
        wanted = wish.layer.lower()
        whole = [group for group in groups if group.name.lower() == wanted]
        for named in (whole, [group for group in groups if group.last == wanted]):
            if len(named) == 1:
                return named[0]
        raise UnknownName("layer", wish.layer, (group.name for group in groups if group.name), f"(in '{source}')")
    likely = [group for group in groups if group.guess]
    if not likely and (wish.path or wish.convention):
        likely = [group for group in groups if group.name or wish.path]  # what has no name in a plate is its colour
    if len(likely) == 1:
        return likely[0]
    shown = ", ".join(group.name or "one without a name" for group in likely) or "none"
    raise UsageError(
        f"expected one layer of motion vectors in '{source}', found {shown}; name it as --motion PATH:LAYER"
    )


def _pair(group: _Group, source: str) -> list[tuple[str, str]]:
    """The channels of a group two by two, in the order in which they are meant."""
    for order in ORDERS:
        if set(order) <= group.leaves.keys():
            names = [group.leaves[leaf] for leaf in order]
            return list(zip(names[::2], names[1::2], strict=True))
    raise UsageError(
        f"expected channels u, v or X, Y in the motion layer '{group.name}' of '{source}', got "
        f"{', '.join(sorted(group.leaves))}; name the layer that holds vectors"
    )
