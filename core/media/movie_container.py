"""Movie files and network streams opened by FFmpeg, with nothing let in but containers of pictures and sound."""

from __future__ import annotations

import os
import re
from typing import Final, cast

import av

from impasto.core.errors import UnreadableMedia, UnsupportedMedia
from impasto.core.media.held_folder import open_file

_MOVIE_DEMUXERS: Final = ("mov", "matroska", "avi", "mxf", "mpeg", "mpegts", "mpegvideo", "asf", "flv", "ogg")
"""Containers that hold their pictures themselves. Not in it: playlists and lists of files (concat, hls, dash, sdp),
which are texts of any name and make FFmpeg open what they say."""
_STREAM_DEMUXERS: Final = (
    *_MOVIE_DEMUXERS, "rtsp", "rtp", "mpjpeg", "mjpeg", "mjpeg_2000", "h264", "hevc", "av1", "obu", "ivf", "nut",
)  # fmt: skip
_PLAYLIST_DEMUXERS: Final = ("hls", "dash", "aac", "ac3", "eac3", "mp3", "webvtt")
_PLAYLIST = re.compile(r"\.(m3u8?|mpd)([?#]|$)", re.IGNORECASE)
_NETWORK_PROTOCOLS: Final = (
    "http", "https", "httpproxy", "tcp", "tls", "udp", "rtp", "srtp", "rtmp", "rtmpe", "rtmps", "rtmpt", "rtmpte",
    "rtmpts", "ffrtmphttp", "ffrtmpcrypt", "srt", "crypto",
)  # fmt: skip
"""What an address, and a playlist behind it, may be fetched by: never files of this machine."""


def open_container(path: str) -> av.container.InputContainer:
    """An opened movie file with a video stream.

    FFmpeg is handed the open file and not its name, and has no other way to open anything: neither a file beside it
    nor an address. UnreadableMedia or UnsupportedMedia where there is no movie.
    """
    rules = {"format_whitelist": ",".join(_MOVIE_DEMUXERS)}
    if os.name != "posix":  # elsewhere file numbers of Python mean nothing to FFmpeg
        return _with_pictures(path, path, {**rules, "protocol_whitelist": "file"})
    try:
        descriptor = open_file(path, os.O_RDONLY)
    except OSError as error:
        raise _unreadable(path, error) from error
    try:
        return _with_pictures(path, "fd:", {**rules, "protocol_whitelist": "fd", "fd": str(descriptor)})
    finally:
        os.close(descriptor)  # FFmpeg has made its own copy


def open_address(url: str, *, timeout: tuple[float, float], options: dict[str, str]) -> av.container.InputContainer:
    """An opened network stream with pictures, waiting at most `timeout` seconds to open and to read.

    A playlist is followed only where the address itself is one (.m3u8, .mpd), and never to files of this machine.
    UnreadableMedia or UnsupportedMedia where there is no stream.
    """
    demuxers = (*_STREAM_DEMUXERS, *_PLAYLIST_DEMUXERS) if _PLAYLIST.search(url) else _STREAM_DEMUXERS
    rules = {"format_whitelist": ",".join(demuxers), "protocol_whitelist": ",".join(_NETWORK_PROTOCOLS)}
    return _with_pictures(url, url, {**rules, **options}, timeout)


def picture_stream(container: av.container.InputContainer) -> av.VideoStream | None:
    """The first video stream that is no cover picture, None where there is none."""
    cover = av.stream.Disposition.attached_pic
    return next((stream for stream in container.streams.video if not stream.disposition & cover), None)


def stream_of(container: av.container.InputContainer) -> av.VideoStream:
    """The pictures of a container that was opened here."""
    stream = picture_stream(container)
    assert stream is not None
    return stream


def _with_pictures(
    name: str, source: str, options: dict[str, str], timeout: tuple[float, float] | None = None
) -> av.container.InputContainer:
    try:
        container = av.open(source, "r", metadata_errors="replace", options=options, timeout=timeout)
    except (av.FFmpegError, OSError, ValueError) as error:
        raise _unreadable(name, error) from error
    stream = picture_stream(container)
    if stream is None:
        container.close()
        raise UnsupportedMedia(f"expected a movie with pictures, got only sound or data in '{name}'")
    if cast("av.VideoCodecContext | None", stream.codec_context) is None:
        container.close()
        raise UnreadableMedia(f"expected pictures of a known codec in '{name}', got another; check or copy it again")
    stream.thread_type = av.codec.context.ThreadType.AUTO
    return container


def _unreadable(name: str, error: Exception) -> UnreadableMedia:
    said = getattr(error, "strerror", None) or str(error)
    return UnreadableMedia(f"expected a sound movie at '{name}', got '{said}'; check or copy it again")
