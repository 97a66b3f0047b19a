"""Sound from the source movie into the result: packets copied, or encoded anew where the container cannot hold them."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import av

from impasto.core.media.movie_codec import MovieContainer

_SEEKS_LATE = ("mpegts", "mpeg")
"""Demuxers whose seeks by time may land behind it: they are read from the start."""

_AUDIBLE_S = Fraction(1, 50)
"""Seconds by which sound may begin late without anybody hearing it: an audio frame."""

_OPUS_RATES = (8000, 12000, 16000, 24000, 48000)
"""Samples per second that Opus takes (RFC 6716, section 2.1.3); sound of any other is resampled."""


@dataclass
class _Track:
    source: Any
    """An audio stream, or one of subtitles."""
    target: Any
    copied: bool
    fills: bool
    """Whether silence is put before its first sample, up to the sample's time: the container holds no times."""


def start_of(stream: av.VideoStream | av.AudioStream) -> Fraction:
    """When a stream begins, in seconds on its file's clock."""
    return (stream.start_time or 0) * (stream.time_base or Fraction(1))


class SoundTrack:
    """The audio and subtitle streams of a movie, between two times, fed to the result as its pictures advance."""

    def __init__(
        self,
        source: av.container.InputContainer,
        output: av.container.OutputContainer,
        kind: MovieContainer,
        origin: Fraction,
        start: Fraction | None,
        end: Fraction | None,
        subtitles: tuple[av.stream.Stream, ...] = (),
    ) -> None:
        """Add a stream to the output for every audio stream of the source, and for these subtitles, which are copied.

        All are seconds on the source's clock: `origin` is where the result's clock is 0, `start` and `end` bound what
        is taken, None for all. Packets are kept whole: the sound of a cut range begins at most one packet late. What
        lies before the origin gets negative times, which containers shift or cut by an edit list, pictures along.
        """
        self._source = source
        self._output = output
        self._origin = origin
        self._start = start
        self._end = end
        self._tracks = {
            stream.index: _track_for(stream, output, kind, late=start is not None or _is_late(stream, origin))
            for stream in source.streams.audio
        }
        for stream in subtitles:
            self._tracks[stream.index] = _Track(stream, _named_like(stream, output), copied=True, fills=False)
        self._packets = self._read()
        self._waiting: deque[tuple[Fraction, av.Packet[Any]]] = deque()

    def advance(self, until: Fraction | None) -> None:
        """Write the sound up to a time in the result, in seconds; all of it for None."""
        while True:
            if not self._waiting:
                following = next(self._packets, None)
                if following is None:
                    break
                self._waiting.append(following)
            time, packet = self._waiting[0]
            if until is not None and time > until:
                return
            self._waiting.popleft()
            self._write(packet)
        if until is None:
            for track in self._tracks.values():
                if not track.copied:
                    self._output.mux(track.target.encode(None))
            self._tracks = {}

    def _read(self) -> Iterator[tuple[Fraction, av.Packet[Any]]]:
        """Packets within the range, each with its time in the result."""
        if not self._tracks:
            return
        if self._start is not None and self._source.format.name not in _SEEKS_LATE:
            self._source.seek(int(self._start * av.time_base), backward=True)
        for packet in self._source.demux(tuple(track.source for track in self._tracks.values())):
            if packet.pts is None or packet.dts is None:
                continue
            time = packet.pts * packet.time_base
            if self._start is not None and time < self._start:
                continue
            if self._end is not None and time >= self._end:
                continue
            yield time - self._origin, packet

    def _write(self, packet: av.Packet[Any]) -> None:
        track = self._tracks[packet.stream_index]
        shift = round(self._origin / packet.time_base)
        if not track.copied:
            for frame in track.source.decode(packet):
                if frame.pts is not None and frame.time_base is not None:
                    frame.pts -= round(self._origin / frame.time_base)
                if track.fills and frame.time is not None and (samples := round(frame.time * frame.sample_rate)) > 0:
                    self._output.mux(track.target.encode(_silence_like(frame, samples)))
                track.fills = False
                self._output.mux(track.target.encode(frame))
            return
        assert packet.pts is not None
        assert packet.dts is not None
        packet.pts -= shift
        packet.dts -= shift
        packet.stream = track.target
        self._output.mux(packet)


def _track_for(
    stream: av.AudioStream, output: av.container.OutputContainer, kind: MovieContainer, *, late: bool
) -> _Track:
    """A stream of the result for one of the source; `late` says whether it may begin after the pictures."""
    copied = stream.codec_context.codec.canonical_name in kind.audio and (kind.timed or not late)
    if copied:
        target = _named_like(stream, output)
    else:
        rate = stream.rate if kind.audio_fallback != "libopus" or stream.rate in _OPUS_RATES else 48000
        target = output.add_stream(kind.audio_fallback, rate=rate, layout=stream.layout)
        _name_like(target, stream)
    return _Track(stream, target, copied, fills=not kind.timed)


def _named_like(stream: Any, output: av.container.OutputContainer) -> Any:
    """A stream of the result whose packets are those of a stream of the source."""
    target = output.add_stream_from_template(stream)
    _name_like(target, stream)
    return target


def _name_like(target: av.stream.Stream, stream: av.stream.Stream) -> None:
    for key, value in stream.metadata.items():
        if key.lower() in ("language", "title", "handler_name"):
            target.metadata[key.lower()] = value


def _is_late(stream: av.AudioStream, origin: Fraction) -> bool:
    return start_of(stream) - origin > _AUDIBLE_S


def _silence_like(frame: av.AudioFrame, samples: int) -> av.AudioFrame:
    """Samples of zero in the format of a frame, that end where it begins."""
    silence = av.AudioFrame(format=frame.format.name, layout=frame.layout.name, samples=samples)
    for plane in silence.planes:
        plane.update(bytes(plane.buffer_size))
    silence.sample_rate = frame.sample_rate
    silence.time_base = Fraction(1, frame.sample_rate)
    silence.pts = 0
    return silence
