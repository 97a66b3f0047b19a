"""Adds the painted frames as another take of the clip. Nothing is placed above, and the editor can switch back."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from impasto.hosts.bridge.errors import BridgeError
from impasto.hosts.resolve.api_checks import frame, must, try_twice, unique_id
from impasto.hosts.resolve.selection import Piece

if TYPE_CHECKING:
    from fusionscript import MediaPoolItem, TimelineItem


def make_take(clip: MediaPoolItem, piece: Piece) -> None:
    """Add the painted frames as a take of the clip and choose it. The length of the clip stays as it is."""
    item = piece.item
    do = "choose the track instead"
    if item is None:
        raise BridgeError(f"expected a clip for a take, got a stretch of the timeline; {do}")
    takes = int(must(item.GetTakesCount(), f"count the takes of '{piece.name}'", do))
    selected = int(must(item.GetSelectedTakeIndex(), f"say which take of '{piece.name}' is chosen", do))
    if takes:
        last = must(item.GetTakeByIndex(takes), f"tell the takes of '{piece.name}'", do)
        if unique_id(last["mediaPoolItem"]) == unique_id(clip):
            takes = _without_last(item, takes, selected)  # of an earlier run that was killed before it chose it
    length = frame(item.GetDuration)
    if piece.frames.count != length:
        raise BridgeError(f"expected the whole of '{piece.name}' for a take, got a part; move the marks, or {do}")
    for end in (piece.left + length, piece.left + length - 1):
        must(item.AddTake(clip, piece.left, end), f"add a take to '{piece.name}'", do)
        # The clip itself becomes the first take where it had none.
        added = max(takes, 1) + 1
        try:
            must(item.SelectTakeByIndex(added), f"choose the new take of '{piece.name}'", do)
            fits = frame(item.GetDuration) == length
        except BridgeError:
            _without_last(item, added, selected)
            raise
        if fits:
            return
        takes = _without_last(item, added, selected)
    raise BridgeError(f"expected a take of {length} frames for '{piece.name}', Resolve made another; {do}")


def _without_last(item: TimelineItem, takes: int, selected: int) -> int:
    """Remove the last of so many takes. A clip with no other take left becomes a plain clip again."""
    try_twice(partial(item.SelectTakeByIndex, max(1, min(selected, takes - 1))))
    try_twice(partial(item.DeleteTakeByIndex, takes))
    if takes > 2:
        return takes - 1
    try_twice(item.FinalizeTake)
    return 0
