"""Interlaced movies for tests: a bar that moves between two fields of a frame."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from impasto.core.media.fields import FieldMarker, FieldOrder, field_order_of

HEIGHT, WIDTH, COUNT = 96, 128, 12
KINDS = {
    "h264.mov": ("libx264", "yuv420p", {"flags": "+ildct+ilme", "crf": "4", "preset": "ultrafast"}),
    "h264.ts": ("libx264", "yuv420p", {"flags": "+ildct+ilme", "crf": "4", "preset": "ultrafast"}),
    "mpeg2.mxf": ("mpeg2video", "yuv420p", {"flags": "+ildct+ilme", "b": "8M"}),
    "prores.mov": ("prores_ks", "yuv422p10le", {"flags": "+ildct"}),
    "ffv1.mkv": ("ffv1", "yuv420p", {}),
}


def bar(time: float) -> np.ndarray:
    """A bright bar on a dim wall at a time, counted in fields; it moves two pixels a field."""
    picture = np.full((HEIGHT, WIDTH, 3), (60, 70, 90), np.uint8)
    left = round(10 + 2 * time)
    picture[:, left : left + 24] = (200, 60, 40)
    return picture


def pictures(order: FieldOrder) -> Iterator[np.ndarray]:
    """Frames of two fields each, half a frame apart."""
    for number in range(COUNT):
        woven = bar(2 * number)
        late = 1 if order == "top" else 0
        woven[late::2] = bar(2 * number + 1)[late::2]
        yield woven


def write_fields(
    path: Path,
    kind: str,
    order: FieldOrder,
    *,
    progressive: int = 0,
    metadata: Mapping[str, str] | None = None,
    timecode: str = "",
    aspect: Fraction | None = None,
) -> None:
    """An interlaced movie; the first frames may be progressive."""
    encoder, pixel_format, options = KINDS[kind]
    mark = FieldMarker(order)
    with av.open(str(path), "w") as output:
        stream = output.add_stream(encoder, rate=25, options=dict(options))
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, pixel_format
        stream.codec_context.gop_size = 5
        output.metadata.update(metadata or {})
        if timecode:
            stream.metadata["timecode"] = timecode
        if aspect is not None:
            stream.sample_aspect_ratio = aspect
        for number, picture in enumerate(pictures(order)):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(format=pixel_format)
            frame.pts, frame.time_base = number, Fraction(1, 25)
            output.mux(stream.encode(frame if number < progressive else mark(frame)))
        output.mux(stream.encode(None))


def order_of(path: Path) -> FieldOrder:
    """The field order of the first picture of a movie."""
    with av.open(str(path)) as container:
        return field_order_of(next(container.decode(video=0)))
