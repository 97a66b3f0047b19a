"""Choose a sink by its address."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Final

from impasto.core.errors import UsageError
from impasto.core.frozen_dataclass import frozen_dataclass
from impasto.core.media.open import is_movie
from impasto.hosts.live.sinks.encoder import LiveEncoding
from impasto.hosts.live.sinks.sink import Sink

BROWSER: Final = "browser"
"""The address of the page, which is no sink of this table: the web process shows it."""


@frozen_dataclass
class SinkOptions:
    """What a sink has to know of the session."""

    fps: Fraction
    sound: bool
    overwrite: bool = False


def open_sink(address: str, options: SinkOptions) -> Sink:
    """The sink of an address, open. Raises UsageError for one that does not exist, OutputError for one that refuses."""
    for belongs, make in _SINKS.items():
        if belongs(address):
            return make(address, options)
    raise UsageError(
        f"expected a sink as browser, a movie file, udp://HOST:PORT, rtmp://…, srt://… or v4l2:/dev/videoN, got "
        f"'{address}'; choose one of these"
    )


def _movie_file(address: str, options: SinkOptions) -> Sink:
    from impasto.hosts.live.sinks.movie_file import MovieFile

    settings = LiveEncoding(options.fps, options.sound, "superfast", 16, zero_latency=False)
    return MovieFile(address, settings, overwrite=options.overwrite)


def _network_stream(address: str, options: SinkOptions) -> Sink:
    from impasto.hosts.live.sinks.network import NetworkStream

    return NetworkStream(address, LiveEncoding(options.fps, options.sound, "ultrafast", 20, zero_latency=True))


def _virtual_camera(address: str, options: SinkOptions) -> Sink:
    from impasto.hosts.live.sinks.v4l2 import VirtualCamera

    return VirtualCamera(address)


_SINKS: Mapping[Callable[[str], bool], Callable[[str, SinkOptions], Sink]] = {
    lambda address: "://" in address: _network_stream,
    lambda address: address.startswith("v4l2:"): _virtual_camera,
    is_movie: _movie_file,
}
