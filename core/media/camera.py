"""Cameras and network streams: frames until the source is closed or goes away."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction
from types import TracebackType
from typing import Protocol, Self

import av
import numpy as np

from impasto.core.errors import UnreadableMedia, UnsupportedMedia
from impasto.core.frame import AlphaKind, Frame, Pixels
from impasto.core.media.fields import deinterlaced, note_on_fields
from impasto.core.media.movie_container import open_address, stream_of
from impasto.core.media.movie_facts import facts_of
from impasto.core.media.movie_reader import FrameConverter, StreamFacts, decoded_pictures, first_frame
from impasto.core.media.shot import ShotInfo

_WIDTH, _HEIGHT, _RATE = 3, 4, 5
"""cv2.CAP_PROP_FRAME_WIDTH, _HEIGHT, _FPS."""
_LOG_ERRORS = 2
"""cv2.utils.logging.LOG_LEVEL_ERROR."""
_OPEN_TIMEOUT_S, _READ_TIMEOUT_S = 10.0, 10.0


class Capture(Protocol):
    """The part of cv2.VideoCapture that is used."""

    def isOpened(self) -> bool: ...  # noqa: N802

    def read(self) -> tuple[bool, Pixels | None]: ...

    def get(self, prop: int) -> float: ...

    def release(self) -> None: ...


class CameraReader:
    """A local camera by its number; frames are uint8 RGB, count from 1, and come until it is closed."""

    def __init__(self, index: int, open_capture: Callable[[int], Capture] | None = None) -> None:
        """Open the camera. Raises UnreadableMedia where there is none or another program has it."""
        self._name = f"camera:{index}"
        self._capture = (open_capture or _open_capture)(index)
        opened, picture = self._capture.read() if self._capture.isOpened() else (False, None)
        if not opened or picture is None:
            self._capture.release()
            raise UnreadableMedia(
                f"expected a camera at '{self._name}', found none that gives pictures;"
                " plug it in, close other programs that use it, or try another number"
            )
        self._pending: Pixels | None = picture
        rate = self._capture.get(_RATE)
        self._info = ShotInfo(
            path=self._name,
            kind="stream",
            first=1,
            frame_count=None,
            width=picture.shape[1],
            height=picture.shape[0],
            rate=Fraction(rate).limit_denominator(1001) if 1 <= rate <= 1000 else None,
        )
        self._closed = False

    @property
    def info(self) -> ShotInfo:
        """The facts of the first picture; rate is what the driver claims."""
        return self._info

    def __iter__(self) -> Iterator[Frame]:
        """Frames until `close`, or until the camera gives no more."""
        number = 0
        while not self._closed:
            picture = self._pending
            self._pending = None
            if picture is None:
                _, picture = self._capture.read()
            if picture is None:
                return
            number += 1
            rgb = np.ascontiguousarray(picture[..., ::-1] if picture.ndim == 3 else picture[..., None])
            yield replace(Frame.from_pixels(rgb, alpha_kind=AlphaKind.NONE, number=number), source=self._name)

    def close(self) -> None:
        """Release the camera."""
        if not self._closed:
            self._closed = True
            self._capture.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class StreamReader:
    """A network stream (rtsp, http, udp, srt, …); frames as a movie's, until it ends or is closed."""

    def __init__(self, url: str, *, deinterlace: bool = True) -> None:
        """Connect, waiting at most ten seconds. Interlaced pictures come deinterlaced, and then one picture later.

        Raises UnreadableMedia, UnsupportedMedia.
        """
        self._url = url
        options = {"rtsp_transport": "tcp"} if url.lower().startswith("rtsp") else {}
        try:
            self._container = open_address(url, timeout=(_OPEN_TIMEOUT_S, _READ_TIMEOUT_S), options=options)
        except UnreadableMedia as error:
            if not isinstance(error.__cause__, av.error.ProtocolNotFoundError):
                raise
            name = url.partition("://")[0]
            raise UnsupportedMedia(
                f"expected a stream that this FFmpeg can open, got '{url}', and the PyAV that is installed was built "
                f"without {name}; send it as rtsp, rtmp or udp (srt-live-transmit turns SRT into udp), or build PyAV "
                f"against an FFmpeg that has {name}; `impasto doctor` lists what there is"
            ) from error.__cause__
        try:
            self._first = first_frame(self._container, url)
            facts = facts_of(self._container, self._first)
            self._fields, self._deinterlace = facts.field_order, deinterlace
            facts = replace(facts, field_order="") if deinterlace else facts
            stream = stream_of(self._container)
            rate = stream.guessed_rate or stream.average_rate
            self._converter = FrameConverter(url, facts, self._first, StreamFacts.of(stream, rate))
        except BaseException:
            self._container.close()
            raise
        self._closed = False
        self._info = ShotInfo(
            path=url,
            kind="stream",
            first=1,
            frame_count=None,
            width=self._first.width,
            height=self._first.height,
            rate=rate,
            movie=facts,
        )

    @property
    def info(self) -> ShotInfo:
        """The facts of the first picture."""
        return self._info

    def __iter__(self) -> Iterator[Frame]:
        """Frames, counted from 1 as they arrive. Raises UnreadableMedia when the connection fails."""
        number = 0
        pictures = enumerate(itertools.chain([self._first], decoded_pictures(self._container)), 1)
        fields = (note_on_fields(self._url, self._fields, deinterlaces=self._deinterlace),) if self._fields else ()
        try:
            for number, decoded in deinterlaced(pictures) if self._deinterlace else pictures:
                if self._closed:
                    return
                frame = self._converter(decoded, number)
                yield replace(frame, notes=fields) if number == 1 else frame
        except (av.FFmpegError, OSError) as error:
            if not self._closed:
                raise UnreadableMedia(
                    f"expected the stream '{self._url}' to go on, got '{error.strerror}' after {number} frames;"
                    " check the network and the source"
                ) from error

    def close(self) -> None:
        """Hang up."""
        if not self._closed:
            self._closed = True
            self._container.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _open_capture(index: int) -> Capture:
    import cv2
    from cv2.utils import logging

    # Its warnings about a missing camera would come before our one sentence.
    before = logging.setLogLevel(_LOG_ERRORS)
    try:
        return cv2.VideoCapture(index)
    finally:
        logging.setLogLevel(before)
