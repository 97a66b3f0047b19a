"""Choice of the channels of a picture that are its motion vectors, and of the convention by which they are read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from impasto.core.errors import UnknownName, UsageError
from impasto.core.frame import Part, find_channel
from impasto.core.motion.conventions import CONVENTIONS, SAY, ChannelConvention, MotionSource

ORDERS = ("XYZW", "RGBA", "UV", "XY", "RG")
"""Leaves of channel names, in the order of their convention."""


@dataclass(frozen=True, slots=True)
class VectorChannels:
    """The two channels that lead to a neighbour, by the names that `find_channel` takes, and their convention."""

    x: str
    y: str
    convention: ChannelConvention
    slot: int = 0
    """Position of this pair among the layer's pairs, in the order of its convention."""


@dataclass(frozen=True, slots=True)
class MotionLayer:
    """VectorChannels to the next frame and to the previous, None for a direction that nobody rendered."""

    name: str
    next: VectorChannels | None
    previous: VectorChannels | None
    said: bool
    """True where the user named the convention, False where the channel names imply it."""
    typed: str = ""
    """The layer as it is typed after a path; empty for two layers that belong together, or for one without a name."""

    @property
    def directions(self) -> int:
        """How many of the two it holds."""
        return (self.next is not None) + (self.previous is not None)


@dataclass(frozen=True, slots=True)
class _Group:
    """VectorChannels of one prefix: leaf in upper case -> name."""

    name: str
    leaves: dict[str, str]

    @property
    def last(self) -> str:
        return self.name.rpartition(".")[2].lower()

    @property
    def guess(self) -> str:
        """The convention that the channel names imply, or nothing."""
        found = set(self.leaves)
        if found == set("XYZW"):
            return "blender"
        if found == set("UV"):
            return "previous" if self.last == "backward" else "next"
        return "next" if found == set("XY") else ""


def read_as(parts: Sequence[Part], wanted: MotionSource, file: str) -> MotionLayer:
    """The wanted layer of a picture, and how its channels are read.

    Without a layer: `forward` and `backward` where both are there, else the one layer whose channels look like
    motion. Without a convention: X, Y, Z, W as Blender's, u, v and X, Y to the next frame with y upwards, except
    `backward`, which leads to the previous. Raises UnknownName and UsageError, which name `file` and say what to
    type.
    """
    groups = _groups(parts)
    if not wanted.layer:
        both = [group for name in ("forward", "backward") for group in groups if group.last == name and group.guess]
        if len(both) == 2 and wanted.convention in ("", "nuke", "nuke-down"):
            forward, backward = CONVENTIONS[wanted.convention or "nuke"]
            to_next, to_previous = (_pair(group, file)[0] for group in both)
            return MotionLayer(
                "forward, backward", VectorChannels(*to_next, forward), VectorChannels(*to_previous, backward, 1),
                bool(wanted.convention),
            )  # fmt: skip
    group = _chosen(groups, wanted, file)
    convention = wanted.convention or group.guess
    if not convention:
        raise UsageError(
            f"expected a motion layer with channels u, v or X, Y or X, Y, Z, W, got {', '.join(sorted(group.leaves))} "
            f"in '{group.name}' of '{file}', which says nothing of their meaning; {SAY}, of "
            f"{', '.join(CONVENTIONS)}{'' if group.name else ' (without a name: PATH:=CONVENTION)'}"
        )
    meanings, pairs = CONVENTIONS[convention], _pair(group, file)
    if len(pairs) < len(meanings):
        raise UsageError(
            f"expected {2 * len(meanings)} channels for the convention {convention}, '{group.name}' of '{file}' has "
            f"{', '.join(sorted(group.leaves))}; name another layer or convention"
        )
    found = {
        meaning.to: VectorChannels(*pair, meaning, slot)
        for slot, (meaning, pair) in enumerate(zip(meanings, pairs, strict=False))
    }
    return MotionLayer(group.name, found.get("next"), found.get("previous"), bool(wanted.convention), group.name)


def _groups(parts: Sequence[Part]) -> list[_Group]:
    found: dict[str, dict[str, str]] = {}
    for part in parts:
        for position, channel in enumerate(part.channels):
            prefix, _, leaf = channel.rpartition(".")
            first = find_channel(parts, channel)
            is_own = first is not None and first[0] is part and first[1] == position
            name = channel if is_own else f"{part.name}.{channel}"
            found.setdefault(prefix or part.name, {}).setdefault(leaf.upper(), name)
    return [_Group(name, leaves) for name, leaves in found.items()]


def _chosen(groups: Sequence[_Group], wanted: MotionSource, file: str) -> _Group:
    """The group of the wanted name, whole or by its last word, in either case; without a name the one likely group."""
    if wanted.layer:
        name = wanted.layer.lower()
        whole = [group for group in groups if group.name.lower() == name]
        for named in (whole, [group for group in groups if group.last == name]):
            if len(named) == 1:
                return named[0]
        raise UnknownName("layer", wanted.layer, (group.name for group in groups if group.name), f"(in '{file}')")
    likely = [group for group in groups if group.guess]
    if not likely and (wanted.path or wanted.convention):
        likely = [
            group for group in groups if group.name or wanted.path
        ]  # channels without a name in a plate are its colour
    if len(likely) == 1:
        return likely[0]
    shown = ", ".join(group.name or "one without a name" for group in likely) or "none"
    raise UsageError(f"expected one layer of motion vectors in '{file}', found {shown}; name it as --motion PATH:LAYER")


def _pair(group: _Group, file: str) -> list[tuple[str, str]]:
    """The channels of a group in pairs, in the order of their convention."""
    for order in ORDERS:
        if set(order) <= group.leaves.keys():
            names = [group.leaves[leaf] for leaf in order]
            return list(zip(names[::2], names[1::2], strict=True))
    raise UsageError(
        f"expected channels u, v or X, Y in the motion layer '{group.name}' of '{file}', got "
        f"{', '.join(sorted(group.leaves))}; name the layer that holds vectors"
    )
