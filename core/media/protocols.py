"""The protocols of network streams, and which of them the installed FFmpeg has."""

from __future__ import annotations

PROTOCOLS = ("rtsp", "rtmp", "rtmps", "http", "https", "udp", "rtp", "tcp", "srt")
"""Of the addresses that are taken for streams; 'rtsps' is read as rtsp is."""
PROBE_S = 0.1


def has_protocol(name: str) -> bool:
    """Whether FFmpeg was built with a protocol. It is asked to open port 0 of this machine, where nothing answers."""
    import av

    try:
        av.open(f"{name}://127.0.0.1:0", timeout=PROBE_S).close()
    except av.error.ProtocolNotFoundError:
        return False
    except (av.FFmpegError, OSError, ValueError):
        return True
    return True
