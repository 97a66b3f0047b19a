"""Which codec and pixel format a movie is written with: by its extension, its source and its first frame."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

import av

from impasto.core.errors import UsageError
from impasto.core.media.movie_pixels import Layout
from impasto.core.media.shot import ShotInfo


@dataclass(frozen=True, slots=True)
class Encoding:
    """A choice of encoder, complete."""

    encoder: str
    pixel_format: str
    options: Mapping[str, str] = field(default_factory=dict)
    codec_tag: str | None = None
    full_range: bool | None = None
    """The range that the codec insists on, None where both are possible."""
    matrix: int | None = None
    """The matrix that the codec insists on (ITU-T H.273), None where it can be tagged."""

    @property
    def holds_fields(self) -> bool:
        """Whether it can say that pictures hold two fields."""
        return self.encoder == "ffv1" or self.encoder in _FIELD_FLAGS


@dataclass(frozen=True, slots=True)
class MovieContainer:
    """What a kind of movie file holds."""

    muxer: str
    """FFmpeg's name of it."""
    families: tuple[str, ...]
    """Codecs kept from the source, the default first."""
    audio: frozenset[str]
    """Audio codecs whose packets are copied."""
    audio_fallback: str
    """The encoder for all other audio."""
    rotates: bool = True
    """Whether it holds a display matrix."""
    alpha: Literal["associated", "unassociated"] = "associated"
    """How programs take the alpha of such a movie."""
    subtitles: frozenset[str] = frozenset()
    """Subtitle codecs whose packets are copied; others are left out."""
    chapters: bool = True
    attachments: bool = False
    """Whether it holds files beside the streams, covers among them."""
    timed: bool = True
    """Whether packets bear times; else sound begins with the file, and every picture lasts as long."""
    options: Mapping[str, str] = field(default_factory=dict)


_PCM = frozenset({"pcm_s16le", "pcm_s24le", "pcm_s32le", "pcm_f32le", "pcm_s16be", "pcm_s24be", "pcm_u8"})
_MP4_AUDIO = frozenset({"aac", "mp3", "ac3", "eac3", "alac"})
_MP4_TEXT = frozenset({"mov_text"})
CONTAINERS: Mapping[str, MovieContainer] = {
    ".mp4": MovieContainer(
        "mp4",
        ("h264", "hevc"),
        _MP4_AUDIO | {"opus", "flac"},
        "aac",
        options={"movflags": "+faststart"},
        subtitles=_MP4_TEXT,
    ),
    ".m4v": MovieContainer(
        "ipod", ("h264", "hevc"), _MP4_AUDIO, "aac", options={"movflags": "+faststart"}, subtitles=_MP4_TEXT
    ),
    ".mov": MovieContainer("mov", ("h264", "hevc", "prores"), _MP4_AUDIO | _PCM, "aac", subtitles=_MP4_TEXT),
    ".mkv": MovieContainer(
        "matroska",
        ("h264", "hevc", "ffv1", "prores"),
        _MP4_AUDIO | _PCM | {"opus", "vorbis", "flac", "dts", "truehd", "mp2"},
        "flac",
        subtitles=frozenset({"subrip", "ass", "webvtt", "dvd_subtitle", "hdmv_pgs_subtitle", "dvb_subtitle"}),
        attachments=True,
    ),
    ".avi": MovieContainer(
        "avi",
        ("mjpeg", "ffv1"),
        frozenset({"mp3", "ac3", "mp2", "pcm_s16le", "pcm_u8"}),
        "pcm_s16le",
        rotates=False,
        chapters=False,
        timed=False,
    ),
    ".webm": MovieContainer(
        "webm",
        ("vp9",),
        frozenset({"opus", "vorbis"}),
        "libopus",
        alpha="unassociated",
        subtitles=frozenset({"webvtt"}),
    ),
}

_LOSSLESS = ("ffv1", "rawvideo", "huffyuv", "ffvhuff", "utvideo", "v210", "qtrle", "png", "magicyuv", "r210")
_INTERMEDIATE = ("prores", "dnxhd", "cfhd")


def container_of(path: str) -> MovieContainer:
    """What the movie file of this name holds. UsageError for a kind that is read but not written."""
    extension = os.path.splitext(path)[1].lower()
    if extension not in CONTAINERS:
        raise UsageError(f"expected a movie that ends in {', '.join(CONTAINERS)}, got '{path}'; choose one of these")
    return CONTAINERS[extension]


def choose_encoding(
    path: str, shot: ShotInfo, *, width: int, height: int, deep: bool, alpha: bool, speed: str = "fast"
) -> Encoding:
    """The encoder and its pixel format.

    The source's codec family is kept where the container holds it; lossless and intermediate
    sources become FFV1 (.mkv, .avi) or ProRes (.mov). Otherwise: H.264 in .mp4, .m4v, .mov and
    .mkv, ProRes in .mov for frames with alpha or for pictures deeper than 8 bits, Motion JPEG in
    .avi (FFV1 when deep), VP9 in .webm. Movie sources keep their chroma sampling and depth: 10-bit
    H.264 stays 10-bit. Pictures become 8-bit 4:2:0 in H.264, which is what players play. An odd
    width or height cannot be halved and becomes 4:4:4, so that no column is invented. Alpha is
    kept by ProRes 4444, FFV1 and VP9; H.264, H.265 and Motion JPEG drop it.

    `deep` says whether the frames have more than 8 bits, `alpha` whether they bear alpha. `speed` is a preset of x264
    and x265; the other encoders have one speed.
    """
    container = container_of(path)
    family = _family(container, shot, deep=deep, alpha=alpha)
    source = Layout.of(shot.movie.pixel_format) if shot.movie is not None else None
    odd = bool(width % 2 or height % 2)
    bits = source.bits if source is not None else (10 if deep else 8)
    full_chroma = odd or (source is not None and not source.subsampled_x)
    sampling = "444" if full_chroma else "420" if source is None or source.subsampled_y else "422"
    if family == "h264":
        wide = bits > 8 and source is not None
        return Encoding("libx264", f"yuv{sampling}p{'10le' if wide else ''}", {"crf": "14", "preset": speed})
    if family == "hevc":
        depth = {8: "", 10: "10le"}.get(bits if source is not None else 8, "12le")
        tag = "hvc1" if path.lower().endswith((".mp4", ".m4v", ".mov")) else None
        options = {"crf": "14", "preset": speed, "x265-params": "log-level=error"}
        return Encoding("libx265", f"yuv{sampling}p{depth}", options, codec_tag=tag)
    if family == "prores":
        return _prores(alpha=alpha, full_chroma=full_chroma)
    if family == "ffv1":
        return Encoding("ffv1", _ffv1_format(shot, deep=deep, alpha=alpha), {"level": "3", "slicecrc": "1"})
    if family == "vp9":
        return Encoding("libvpx-vp9", _vp9_format(alpha, odd), {"crf": "18", "b": "0", "row-mt": "1", "cpu-used": "3"})
    return Encoding("mjpeg", "yuvj444p" if full_chroma else "yuvj420p", {"q": "2"}, full_range=True, matrix=5)


def with_fields(encoding: Encoding) -> Encoding:
    """The encoding for pictures that hold two fields, which needs a flag in some encoders."""
    flags = _FIELD_FLAGS.get(encoding.encoder, "")
    return replace(encoding, options={**encoding.options, "flags": flags}) if flags else encoding


_FIELD_FLAGS = {"libx264": "+ildct+ilme", "prores_ks": "+ildct"}
"""Encoders -> the flags by which they encode fields. FFV1 needs none, the others that are used here have no way."""


def _family(container: MovieContainer, shot: ShotInfo, *, deep: bool, alpha: bool) -> str:
    codec = shot.movie.codec if shot.movie is not None else ""
    if codec in container.families:
        return "prores" if alpha and codec in ("h264", "hevc") and "prores" in container.families else codec
    mastered = codec in _LOSSLESS or codec in _INTERMEDIATE or (shot.movie is None and (deep or alpha))
    if "prores" in container.families and "ffv1" not in container.families and (mastered or alpha):
        return "prores"
    if "ffv1" in container.families and (codec in _LOSSLESS or (deep and "mjpeg" in container.families) or alpha):
        return "ffv1"
    return container.families[0]


def _prores(*, alpha: bool, full_chroma: bool) -> Encoding:
    common = {"vendor": "apl0"}
    if alpha:
        return Encoding(
            "prores_ks", "yuva444p10le", {**common, "profile": "4444", "alpha_bits": "16"}, full_range=False
        )
    if full_chroma:
        return Encoding("prores_ks", "yuv444p10le", {**common, "profile": "4444"}, full_range=False)
    return Encoding("prores_ks", "yuv422p10le", {**common, "profile": "hq"}, full_range=False)


def _ffv1_format(shot: ShotInfo, *, deep: bool, alpha: bool) -> str:
    """The source's own pixel format where FFV1 has it and alpha fits, else RGB of 8 or 16 bits."""
    own = shot.movie.pixel_format.replace("yuvj", "yuv") if shot.movie is not None else ""
    known = {form.name for form in av.Codec("ffv1", "w").video_formats or ()}
    if own in known and Layout.of(own).alpha == alpha:
        return own
    if deep:
        return "gbrap16le" if alpha else "gbrp16le"
    return "bgra" if alpha else "bgr0"


def _vp9_format(alpha: bool, odd: bool) -> str:
    if alpha:
        return "yuva420p"
    return "yuv444p" if odd else "yuv420p"
