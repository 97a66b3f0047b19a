"""The sound of a movie that is played in real time."""

from __future__ import annotations

from collections.abc import Iterator
from types import TracebackType
from typing import Self

import av
import numpy as np

from impasto.core.media.movie_audio import start_of
from impasto.core.media.movie_container import open_container, stream_of
from impasto.hosts.live.pictures import SOUND_RATE, SoundChunk


class MovieSound:
    """The first sound of a movie, decoded to stereo of 48 kHz, handed out as the pictures advance."""

    def __init__(self, path: str) -> None:
        """Open the movie once more. Raises UnreadableMedia, UnsupportedMedia."""
        self._container = open_container(path)
        self._first_picture_s = float(start_of(stream_of(self._container)))
        self._chunks = self._decoded()
        self._next: SoundChunk | None = next(self._chunks, None)

    def until(self, media_s: float) -> Iterator[SoundChunk]:
        """What begins before this time behind the first picture and was not handed out; `at_s` counts from there."""
        while self._next is not None and self._next.at_s < media_s:
            yield self._next
            self._next = next(self._chunks, None)

    def close(self) -> None:
        """Release the file."""
        self._container.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _decoded(self) -> Iterator[SoundChunk]:
        if not self._container.streams.audio:
            return
        resampler = av.AudioResampler(format="fltp", layout="stereo", rate=SOUND_RATE)
        at_s: float | None = None
        try:
            for frame in self._container.decode(self._container.streams.audio[0]):
                if at_s is None:
                    at_s = float(frame.time or 0.0) - self._first_picture_s
                for piece in resampler.resample(frame):
                    samples = np.ascontiguousarray(piece.to_ndarray())
                    yield SoundChunk(samples, at_s)
                    at_s += samples.shape[1] / SOUND_RATE
        except av.FFmpegError:
            return  # damaged sound: the pictures go on without
