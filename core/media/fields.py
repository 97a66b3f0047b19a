"""The two fields of interlaced pictures: which comes first, one picture out of both, and how movies say that.

FFmpeg's bwdif (Weston's three-field filter as the BBC's R&D report WHP 191 has it, where something moves) fills the
lines of the later field. It looks at the pictures before and after.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from fractions import Fraction
from typing import Literal

import av

from impasto.core.errors import MediaError

FieldOrder = Literal["", "top", "bottom"]
"""The field that is shown first; empty for pictures without fields."""
_SMALLEST = 4
"""Rows and columns that bwdif takes at least."""
_WAITS = (BlockingIOError, av.error.EOFError)
"""What a filter raises that has no picture ready."""


def field_order_of(frame: av.VideoFrame) -> FieldOrder:
    """The field order of a decoded picture."""
    if not frame.interlaced_frame:
        return ""
    # PyAV does not tell, FFmpeg's own filters know.
    graph = _graph_for(frame, "select", r"eq(interlace_type\,TOPFIRST)")
    graph.vpush(frame)
    try:
        graph.vpull()
    except _WAITS:
        return "bottom"
    return "top"


def said_of(order: FieldOrder) -> str:
    """What is not in a result that cannot state its fields, in the words of the notes."""
    return f"that pictures hold two fields, the {order} one first"


def note_on_fields(path: str, order: FieldOrder, *, deinterlaces: bool) -> str:
    """What an artist should know of the fields of a movie."""
    said = f"'{path}' is interlaced ({order} field first)"
    if deinterlaces:
        return f"{said}: it is deinterlaced by bwdif; --fields keep leaves the fields as they are"
    return f"{said}: its fields are left as they are, both in each picture"


def deinterlaced(pictures: Iterator[tuple[int, av.VideoFrame]]) -> Iterator[tuple[int, av.VideoFrame]]:
    """Numbered pictures, those with fields deinterlaced, all others as they are.

    Once a picture with fields was met each comes when the one after it is known. Where the source fails, the pictures
    before that come first, and the last of them is made without one after it.
    """
    begun: _Deinterlacer | None = None
    before: av.VideoFrame | None = None
    failure: Exception | None = None
    while True:
        try:
            item = next(pictures, None)
        except (av.FFmpegError, MediaError) as error:
            failure, item = error, None
        if item is None:
            break
        number, frame = item
        if begun is not None and not begun.takes(frame):
            yield from begun.rest()
            begun = None
        if begun is None and frame.interlaced_frame and min(frame.width, frame.height) >= _SMALLEST:
            begun = _Deinterlacer(frame)
            if before is not None and begun.takes(before):
                begun.push(None, before)
        if begun is None:
            yield item
        else:
            begun.push(number, frame)
            yield from begun.ready()
        before = frame
    if begun is not None:
        yield from begun.rest()
    if failure is not None:
        raise failure


class _Deinterlacer:
    """bwdif for pictures of one size and format. They come out in order, one for one."""

    def __init__(self, first: av.VideoFrame) -> None:
        self._kind = (first.width, first.height, first.format.name)
        self._graph = _graph_for(first, "bwdif", "mode=send_frame:deint=interlaced")
        self._numbers: deque[int | None] = deque()

    def takes(self, frame: av.VideoFrame) -> bool:
        return (frame.width, frame.height, frame.format.name) == self._kind

    def push(self, number: int | None, frame: av.VideoFrame) -> None:
        """The next picture; without a number it is only looked at by its neighbour."""
        self._numbers.append(number)
        self._graph.vpush(frame)

    def ready(self) -> Iterator[tuple[int, av.VideoFrame]]:
        while self._numbers:
            try:
                made = self._graph.vpull()
            except _WAITS:
                return
            number = self._numbers.popleft()
            if number is not None:
                yield number, made

    def rest(self) -> Iterator[tuple[int, av.VideoFrame]]:
        self._graph.vpush(None)
        yield from self.ready()


class FieldMarker:
    """Marks pictures as interlaced, by which encoders know it."""

    def __init__(self, order: FieldOrder) -> None:
        self.order = order
        self._graph: av.filter.Graph | None = None

    def __call__(self, frame: av.VideoFrame) -> av.VideoFrame:
        """The picture, marked; itself where the order is empty."""
        if not self.order:
            return frame
        if self._graph is None:
            self._graph = _graph_for(frame, "setfield", {"top": "tff", "bottom": "bff"}[self.order])
        self._graph.vpush(frame)
        return self._graph.vpull()


def _graph_for(frame: av.VideoFrame, filter_name: str, settings: str) -> av.filter.Graph:
    """Pictures like this one through one filter."""
    graph = av.filter.Graph()
    source = graph.add_buffer(
        width=frame.width, height=frame.height, format=frame.format, time_base=frame.time_base or Fraction(1, 25)
    )
    between, sink = graph.add(filter_name, settings), graph.add("buffersink")
    source.link_to(between)
    between.link_to(sink)
    graph.configure()
    return graph
