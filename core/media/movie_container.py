"""Movie files and network streams opened by FFmpeg, with nothing let in but containers of pictures and sound.

What FFmpeg complains of while it writes becomes an error of ours here, too.
"""

from __future__ import annotations

import os
import re
from typing import Final, cast

import av

from impasto.core.errors import OutputError, UnreadableMedia, UnsupportedMedia
from impasto.core.media.commit import output_error, refuse_if_full
from impasto.core.media.held_folder import open_file

_MOVIE_DEMUXERS: Final = ("mov", "matroska", "avi", "mxf", "mpeg", "mpegts", "mpegvideo", "asf", "flv", "ogg")
"""Containers that hold their pictures themselves. Not in it: playlists and lists of files (concat, hls, dash, sdp),
which are texts of any name and make FFmpeg open what they say."""
_SOUND_DEMUXERS: Final = ("wav", "w64", "aiff", "flac", "mp3", "aac", "ac3", "eac3")
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
    return _require_pictures(path, _opened_file(path, _MOVIE_DEMUXERS))


def write_failure(error: Exception, temporary: str, final: str) -> OutputError:
    """What a complaint of an encoder or muxer means that writes `temporary`. Raises NoSpace where the disk is full."""
    if os.path.exists(temporary):
        refuse_if_full(temporary, final)
    if isinstance(error, OSError) and not isinstance(error, av.FFmpegError):
        return output_error(final, error)
    said = getattr(error, "strerror", None) or str(error)
    return OutputError(f"expected to write '{final}', got '{said}'; choose another extension or folder")


def open_sound(path: str) -> av.container.InputContainer:
    """An opened file with sound, a movie or not, by the rules of `open_container`."""
    container = _opened_file(path, (*_MOVIE_DEMUXERS, *_SOUND_DEMUXERS))
    if not container.streams.audio:
        container.close()
        raise UnsupportedMedia(f"expected a file with sound, got none in '{path}'; name another")
    return container


def _opened_file(path: str, demuxers: tuple[str, ...]) -> av.container.InputContainer:
    rules = {"format_whitelist": ",".join(demuxers)}
    if os.name != "posix":  # elsewhere file numbers of Python mean nothing to FFmpeg
        return _opened(path, path, {**rules, "protocol_whitelist": "file"})
    try:
        descriptor = open_file(path, os.O_RDONLY)
    except OSError as error:
        raise _unreadable(path, error) from error
    try:
        return _opened(path, "fd:", {**rules, "protocol_whitelist": "fd", "fd": str(descriptor)})
    finally:
        os.close(descriptor)  # FFmpeg has made its own copy


def open_address(url: str, *, timeout: tuple[float, float], options: dict[str, str]) -> av.container.InputContainer:
    """An opened network stream with pictures, waiting at most `timeout` seconds to open and to read.

    A playlist is followed only where the address itself is one (.m3u8, .mpd), and never to files of this machine.
    UnreadableMedia or UnsupportedMedia where there is no stream.
    """
    demuxers = (*_STREAM_DEMUXERS, *_PLAYLIST_DEMUXERS) if _PLAYLIST.search(url) else _STREAM_DEMUXERS
    rules = {"format_whitelist": ",".join(demuxers), "protocol_whitelist": ",".join(_NETWORK_PROTOCOLS)}
    return _require_pictures(url, _opened(url, url, {**rules, **options}, timeout))


def picture_stream(container: av.container.InputContainer) -> av.VideoStream | None:
    """The first video stream that is no cover picture, None where there is none."""
    cover = av.stream.Disposition.attached_pic
    return next((stream for stream in container.streams.video if not stream.disposition & cover), None)


def stream_of(container: av.container.InputContainer) -> av.VideoStream:
    """The pictures of a container that was opened here."""
    stream = picture_stream(container)
    assert stream is not None
    return stream


def _opened(
    name: str, source: str, options: dict[str, str], timeout: tuple[float, float] | None = None
) -> av.container.InputContainer:
    try:
        return av.open(source, "r", metadata_errors="replace", options=options, timeout=timeout)
    except (av.FFmpegError, OSError, ValueError) as error:
        raise _unreadable(name, error) from error


def _require_pictures(name: str, container: av.container.InputContainer) -> av.container.InputContainer:
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
