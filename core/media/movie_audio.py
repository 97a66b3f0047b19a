"""Sound from the source movie into the result: packets copied, or encoded anew where the container cannot hold them."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

import av

from impasto.core.media.movie_codec import MovieContainer


@dataclass
class _Track:
    source: av.AudioStream
    target: av.AudioStream
    copied: bool


class SoundTrack:
    """The audio streams of a source movie, between two times, fed to the result as its pictures advance."""

    def __init__(
        self,
        source: av.container.InputContainer,
        output: av.container.OutputContainer,
        kind: MovieContainer,
        start: Fraction,
        end: Fraction | None,
    ) -> None:
        """Add a stream to the output for every audio stream of the source.

        `start` and `end` are seconds on the source's clock; `end` None copies to the last packet.
        Packets are kept whole: the sound of a cut range begins at most one packet late.
        """
        self._source = source
        self._output = output
        self._start = start
        self._end = end
        self._tracks = {
            stream.index: _Track(stream, *_target_for(stream, output, kind)) for stream in source.streams.audio
        }
        self._packets = self._read()
        self._waiting: deque[tuple[Fraction, av.Packet[av.AudioStream]]] = deque()

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

    def _read(self) -> Iterator[tuple[Fraction, av.Packet[av.AudioStream]]]:
        """Packets within the range, each with its time in the result."""
        if not self._tracks:
            return
        if self._start > 0:
            self._source.seek(int(self._start * av.time_base), backward=True)
        for packet in self._source.demux(tuple(track.source for track in self._tracks.values())):
            if packet.pts is None or packet.dts is None:
                continue
            time = packet.pts * packet.time_base - self._start
            if time < 0 and self._start > 0:
                continue
            if self._end is not None and time >= self._end - self._start:
                continue
            yield time, packet

    def _write(self, packet: av.Packet[av.AudioStream]) -> None:
        track = self._tracks[packet.stream_index]
        shift = int(self._start / packet.time_base)
        if not track.copied:
            for frame in track.source.decode(packet):
                if frame.pts is not None and frame.time_base is not None:
                    frame.pts -= int(self._start / frame.time_base)
                self._output.mux(track.target.encode(frame))
            return
        assert packet.pts is not None
        assert packet.dts is not None
        packet.pts -= shift
        packet.dts -= shift
        packet.stream = track.target
        self._output.mux(packet)


def _target_for(
    stream: av.AudioStream, output: av.container.OutputContainer, kind: MovieContainer
) -> tuple[av.AudioStream, bool]:
    copied = stream.codec_context.codec.canonical_name in kind.audio
    if copied:
        target = output.add_stream_from_template(stream)
    else:
        added = output.add_stream(kind.audio_fallback, rate=stream.rate, layout=stream.layout)
        assert isinstance(added, av.AudioStream)
        target = added
    for key, value in stream.metadata.items():
        if key.lower() in ("language", "title", "handler_name"):
            target.metadata[key.lower()] = value
    return target, copied
