"""Pictures and sound into a container of FFmpeg, at one size and one rate whatever comes.

Pictures bear the times at which their plates were taken, and sound the time at which it was due; so they stay together
however old a painting is when it is written. Where no painting was made, the last picture is repeated.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from typing import Final

import av
import numpy as np

from impasto.core.errors import OutputError
from impasto.core.frozen_dataclass import frozen_dataclass
from impasto.core.media.movie_pixels import LIMITED, PixelEncoder
from impasto.hosts.live.display import letterboxed
from impasto.hosts.live.pictures import SOUND_RATE, Picture, ShownPicture, SoundChunk

BT709: Final = 1
"""Matrix, transfer and primaries of ITU-T H.273."""
HELD_S: Final = 1.0
"""Sound is written no later, also where its pictures do not come."""
LONGEST_GAP_S: Final = 5.0
"""A longer pause is cut out and not filled with repeats: the machine slept."""
OFF_S: Final = 0.05
"""Sound that is off by more is moved, with silence in the gap."""


@frozen_dataclass
class LiveEncoding:
    """How pictures are encoded."""

    fps: Fraction
    sound: bool
    preset: str
    crf: int
    zero_latency: bool
    """Whether each picture is sent at once, and a keyframe comes every second."""


class LiveEncoder:
    """Writes H.264, and AAC where there is sound, into an open container. The first picture decides the size.

    An odd width or height is made even, because players want colour for every second pixel. `failure` makes an error of
    what PyAV raises while pictures and sound are written.
    """

    def __init__(
        self,
        container: av.container.OutputContainer,
        settings: LiveEncoding,
        failure: Callable[[Exception], OutputError],
    ) -> None:
        self._container, self._settings, self._failure = container, settings, failure
        self._video: av.VideoStream | None = None
        self._audio: av.AudioStream | None = None
        self._slot = -1
        self._origin_s = 0.0
        self._last: Picture | None = None
        self._last_taken_s = 0.0
        self._waiting: deque[SoundChunk] = deque()
        self._fifo = av.AudioFifo()
        self._samples = 0
        """Samples of sound that were handed to the encoder."""

    @property
    def frames(self) -> int:
        """Pictures written, repeats among them."""
        return self._slot + 1

    def send(self, shown: ShownPicture) -> None:
        """Write a picture in its place, and repeat the last one up to there. Raises OutputError."""
        with self._told():
            self._send(shown)

    def hear(self, chunk: SoundChunk) -> None:
        """Keep sound until its pictures are written."""
        self._waiting.append(chunk)

    def wait(self, now: float) -> None:
        """Repeat the last picture up to about now, and let no sound wait for longer. Raises OutputError."""
        with self._told():
            self._catch_up(now)

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except (av.FFmpegError, OSError) as error:
            raise self._failure(error) from error

    def _send(self, shown: ShownPicture) -> None:
        if self._video is None:
            self._begin(shown)
        pixels = letterboxed(shown.pixels, shown.plate.size, self._size)
        taken_s = shown.plate.taken_s
        if taken_s <= self._last_taken_s and self._slot >= 0 and shown.mark:
            taken_s = self._last_taken_s + float(1 / self._settings.fps)  # a held picture, marked: it goes on
        wanted = round((taken_s - self._origin_s) * float(self._settings.fps))
        if wanted < self._slot:
            return
        wanted = max(wanted, self._slot + 1)
        gap = wanted - self._slot - 1
        if gap > LONGEST_GAP_S * self._settings.fps:
            self._origin_s += gap / float(self._settings.fps)
            wanted, gap = self._slot + 1, 0
        self._fill(gap)
        self._write(pixels)
        self._last, self._last_taken_s = pixels, taken_s
        self._write_sound(taken_s)

    def _catch_up(self, now: float) -> None:
        if self._last is None:
            return
        behind = int((now - HELD_S - self._origin_s) * float(self._settings.fps)) - self._slot
        if 0 < behind <= LONGEST_GAP_S * self._settings.fps:
            self._fill(behind)
        self._write_sound(now - HELD_S)

    def finish(self) -> None:
        """Write what the encoders hold back, and the end of the container. Raises what PyAV does."""
        if self._video is not None:
            self._write_sound(float("inf"))
            self._container.mux(self._video.encode(None))
            if self._audio is not None:
                if self._fifo.samples:
                    self._container.mux(self._audio.encode(self._fifo.read(self._fifo.samples)))
                self._container.mux(self._audio.encode(None))
        self._container.close()

    def _begin(self, shown: ShownPicture) -> None:
        width, height = shown.plate.size
        self._size = max(2, width - width % 2), max(2, height - height % 2)
        settings = self._settings
        options = {"preset": settings.preset, "crf": str(settings.crf)}
        if settings.zero_latency:
            options["tune"] = "zerolatency"
        video = self._container.add_stream("libx264", rate=settings.fps, options=options)
        assert isinstance(video, av.VideoStream)
        video.width, video.height = self._size
        video.pix_fmt = "yuv420p"
        context = video.codec_context
        context.time_base = 1 / settings.fps
        context.color_range = LIMITED
        context.colorspace = context.color_trc = context.color_primaries = BT709
        if settings.zero_latency:
            context.gop_size = max(1, round(settings.fps))
        if settings.sound:
            audio = self._container.add_stream("aac", rate=SOUND_RATE, layout="stereo")
            assert isinstance(audio, av.AudioStream)
            self._audio = audio
        self._video = video
        self._encode = PixelEncoder("yuv420p", False, BT709)
        self._origin_s = shown.plate.taken_s

    def _fill(self, count: int) -> None:
        for _ in range(count):
            if self._last is not None:
                self._write(self._last)

    def _write(self, pixels: Picture) -> None:
        assert self._video is not None
        self._slot += 1
        picture = self._encode(pixels)
        picture.time_base = 1 / self._settings.fps
        picture.pts = self._slot
        picture.colorspace, picture.color_trc, picture.color_primaries = BT709, BT709, BT709
        picture.color_range = LIMITED
        self._container.mux(self._video.encode(picture))

    def _write_sound(self, until_s: float) -> None:
        """Encode the sound that belongs to pictures taken up to this time."""
        while self._waiting and self._waiting[0].at_s <= until_s:
            chunk = self._waiting.popleft()
            if self._audio is None or self._video is None:
                continue
            begins = round((chunk.at_s - self._origin_s) * SOUND_RATE)
            samples = chunk.samples
            if begins + samples.shape[1] <= 0:
                continue
            if begins - self._samples > OFF_S * SOUND_RATE:
                self._encode_sound(np.zeros((2, begins - self._samples), np.float32))
            elif self._samples - begins > OFF_S * SOUND_RATE:
                samples = samples[:, self._samples - begins :]
            if samples.shape[1]:
                self._encode_sound(samples)

    def _encode_sound(self, samples: np.ndarray[tuple[int, int], np.dtype[np.float32]]) -> None:
        assert self._audio is not None
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples, np.float32), format="fltp", layout="stereo")
        frame.sample_rate = SOUND_RATE
        frame.time_base = Fraction(1, SOUND_RATE)
        frame.pts = self._samples
        self._samples += samples.shape[1]
        self._fifo.write(frame)
        size = self._audio.codec_context.frame_size or 1024
        while (piece := self._fifo.read(size)) is not None:
            self._container.mux(self._audio.encode(piece))
