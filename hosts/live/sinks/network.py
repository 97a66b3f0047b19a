"""Network streams: MPEG-TS over udp, FLV over rtmp by PyAV; SRT through an `ffmpeg` program that has it."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
from functools import cache
from typing import Final
from urllib.parse import urlsplit

import av

from impasto.core.errors import OutputError, UsageError
from impasto.hosts.live.pictures import ShownPicture, SoundChunk
from impasto.hosts.live.sinks.encoder import LiveEncoder, LiveEncoding

FORMATS: Final = {"udp": "mpegts", "rtmp": "flv", "rtmps": "flv", "srt": "mpegts"}
PACKET_BYTES: Final = 1316
"""Seven packets of MPEG-TS, which fit into one datagram of Ethernet."""
AT_ONCE: Final = {"flush_packets": "1", "max_delay": "0", "max_interleave_delta": "200000"}
TIMEOUT_S: Final = 5.0
ASK_S: Final = 5.0


def is_network(address: str) -> bool:
    """Whether a sink's address is that of a stream."""
    return "://" in address


class NetworkStream:
    """A stream of H.264 and AAC that others can join every second. It is not encrypted."""

    def __init__(self, address: str, settings: LiveEncoding) -> None:
        """Connect. Raises UsageError for an address, OutputError where nobody takes the stream."""
        scheme = address.partition("://")[0].lower()
        if scheme not in FORMATS:
            known = ", ".join(f"{name}://" for name in FORMATS)
            raise UsageError(f"expected a stream as {known}, got '{address}'; choose one of these")
        self.name = address
        self._program: subprocess.Popen[bytes] | None = None
        try:
            if scheme == "srt":
                self._program = _srt_program(address)
                assert self._program.stdin is not None
                container = av.open(self._program.stdin, "w", format=FORMATS[scheme], options=AT_ONCE)
            else:
                require_port(address)
                container = av.open(
                    _with_packets(address), "w", format=FORMATS[scheme], options=AT_ONCE, timeout=TIMEOUT_S
                )
        except (av.FFmpegError, OSError) as error:
            raise self._failure(error) from error
        self._encoder = LiveEncoder(container, settings, self._failure)

    def send(self, shown: ShownPicture) -> None:
        """See `Sink`."""
        self._encoder.send(shown)

    def hear(self, chunk: SoundChunk) -> None:
        """See `Sink`."""
        self._encoder.hear(chunk)

    def wait(self, now: float) -> None:
        """See `Sink`."""
        self._encoder.wait(now)

    def close(self, error: BaseException | None = None) -> None:
        """Hang up."""
        with contextlib.suppress(av.FFmpegError, OSError):
            self._encoder.finish()
        if self._program is not None:
            with contextlib.suppress(OSError):
                assert self._program.stdin is not None
                self._program.stdin.close()
            try:
                self._program.wait(TIMEOUT_S)
            except subprocess.TimeoutExpired:
                self._program.kill()
                self._program.wait()

    def _failure(self, error: Exception) -> OutputError:
        said = getattr(error, "strerror", None) or str(error)
        return OutputError(f"expected somebody who takes '{self.name}', got '{said}'; start the receiver first")


def require_port(address: str) -> None:
    """Raise UsageError for the address of a stream without a host, or for udp without a port."""
    parts = urlsplit(address)
    try:
        port = parts.port
    except ValueError:
        port = None
    if not parts.hostname or (port is None and parts.scheme == "udp"):
        raise UsageError(f"expected a stream as udp://HOST:PORT, got '{address}'; name both")


def srt_problem() -> str:
    """Why SRT cannot be sent from here; empty where it can."""
    program = shutil.which("ffmpeg")
    if program is None:
        return "the PyAV that is installed has no srt, and no ffmpeg program is in the PATH; install ffmpeg"
    return "" if _has_srt(program) else f"'{program}' was built without srt; install an ffmpeg that has it"


def leaves_this_machine(address: str) -> bool:
    """Whether a stream goes to others: it can be read by whoever is on the way."""
    return (urlsplit(address).hostname or "") not in ("127.0.0.1", "::1", "localhost")


@cache
def _has_srt(program: str) -> bool:
    try:
        found = subprocess.run(
            [program, "-hide_banner", "-protocols"], capture_output=True, text=True, timeout=ASK_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    _, _, outputs = found.stdout.partition("Output:")
    return "srt" in outputs.split()


def _srt_program(address: str) -> subprocess.Popen[bytes]:
    """An ffmpeg that sends what it reads, unchanged."""
    if problem := srt_problem():
        raise OutputError(f"expected a way to send '{address}': {problem}, or use udp:// or rtmp://")
    program = shutil.which("ffmpeg")
    assert program is not None
    command = [program, "-hide_banner", "-loglevel", "error", "-fflags", "nobuffer", "-f", "mpegts", "-i", "pipe:0"]
    return subprocess.Popen(
        [*command, "-c", "copy", "-f", "mpegts", "-flush_packets", "1", address],
        stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip


def _with_packets(address: str) -> str:
    if not address.lower().startswith("udp://") or "pkt_size" in address:
        return address
    return f"{address}{'&' if '?' in address else '?'}pkt_size={PACKET_BYTES}"
