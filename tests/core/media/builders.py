"""Small pictures and movies made for one test, by the libraries themselves and not by the code under test."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import OpenImageIO as oiio

from impasto.core.frame import AlphaKind, Attribute, ColourLayer, Frame, Part, Window
from impasto.core.media.shot import MovieFacts, ShotInfo

HALF_PATTERNS = np.arange(65536, dtype=np.uint16).view(np.float16)
"""Every half there is, NaN and infinity included."""


def noise(height: int, width: int, channels: int, dtype: Any, seed: int = 1) -> np.ndarray[Any, Any]:
    """Reproducible samples over the whole range of an integer dtype, or in [-1, 9) for float."""
    random = np.random.default_rng(seed)
    if np.dtype(dtype).kind == "u":
        return random.integers(0, np.iinfo(dtype).max, (height, width, channels), dtype=dtype, endpoint=True)
    return (random.random((height, width, channels)) * 10 - 1).astype(dtype)


def ramp(height: int, width: int, channels: int = 3, *, top: int = 255) -> np.ndarray[Any, Any]:
    """A smooth picture that codecs keep well, from 0 to `top`; uint8 up to 255, else uint16."""
    x = np.linspace(0, top, width)[None, :, None]
    y = np.linspace(0, top, height)[:, None, None]
    values = np.concatenate([x + 0 * y, y + 0 * x, (x + y) / 2, np.full((height, width, 1), top / 2)], axis=2)
    return values[..., :channels].astype(np.uint8 if top <= 255 else np.uint16)


def write_with_oiio(
    path: Path | str, pixels: np.ndarray[Any, Any], stored: str, attributes: Mapping[str, Any] | None = None
) -> None:
    """One part in one type, by OpenImageIO; an attribute is a value or a pair of type name and value."""
    height, width, channels = pixels.shape
    spec = oiio.ImageSpec(width, height, channels, stored)
    for name, value in (attributes or {}).items():
        if isinstance(value, tuple):
            spec.attribute(name, oiio.TypeDesc(value[0]), value[1])
        else:
            spec.attribute(name, value)
    output = oiio.ImageOutput.create(str(path))
    assert output is not None
    assert output.open(str(path), spec), output.geterror()
    assert output.write_image(pixels), output.geterror()
    assert output.close(), output.geterror()


def write_layers(
    path: Path | str,
    layers: Mapping[str, np.ndarray[Any, Any]],
    *,
    window: Window | None = None,
    display: tuple[int, int] | None = None,
) -> None:
    """One part of channels by name, each (H, W), as renderers store what is no colour: float.

    With `window` that part of them is stored, as its data window; `display` is the size of the display window.
    """
    height, width = next(iter(layers.values())).shape
    data = window or Window(0, 0, width, height)
    there = np.s_[data.y : data.y + data.height, data.x : data.x + data.width]
    layers = {name: layer[there] for name, layer in layers.items()}
    height, width = next(iter(layers.values())).shape
    spec = oiio.ImageSpec(width, height, len(layers), "float")
    spec.x, spec.y = data.x, data.y
    spec.full_width, spec.full_height = display or (width, height)
    spec.channelnames = tuple(layers)
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    output = oiio.ImageOutput.create(str(path))
    assert output is not None
    assert output.open(str(path), spec), output.geterror()
    assert output.write_image(np.stack(list(layers.values()), axis=2).astype(np.float32)), output.geterror()
    assert output.close(), output.geterror()


def native_parts(path: Path | str) -> list[tuple[oiio.ImageSpec, dict[str, np.ndarray[Any, Any]]]]:
    """Header and samples of every part, each channel by itself in its stored type, by OpenImageIO."""
    opened = oiio.ImageInput.open(str(path))
    assert opened is not None, oiio.geterror()
    parts = []
    while opened.seek_subimage(len(parts), 0):
        spec = opened.spec()
        formats = [str(each) for each in spec.channelformats] or [str(spec.format)] * spec.nchannels
        samples = {
            name: opened.read_image(len(parts), 0, index, index + 1, formats[index])[..., 0]
            for index, name in enumerate(spec.channelnames)
        }
        parts.append((spec, samples))
    opened.close()
    return parts


def header_of(spec: oiio.ImageSpec) -> dict[str, tuple[str, str]]:
    """Attributes by name, as type and spelled-out value, without what OpenImageIO adds on reading."""
    return {each.name: (str(each.type), repr(each.value)) for each in spec.extra_attribs}


def part_of(pixels: np.ndarray[Any, Any], stored: str, **changes: Any) -> Part:
    """A part of RGB(A) or Y whose data window is its display window."""
    height, width, count = pixels.shape
    names = {1: ("Y",), 3: ("R", "G", "B"), 4: ("R", "G", "B", "A")}[count]
    window = Window(0, 0, width, height)
    facts: dict[str, Any] = {
        "channels": names,
        "formats": (stored,) * count,
        "data_window": window,
        "display_window": window,
    }
    return Part(pixels, **{**facts, **changes})


def frame_of(pixels: np.ndarray[Any, Any], stored: str, *, number: int = 1, **changes: Any) -> Frame:
    """A frame of one part."""
    part = part_of(pixels, stored)
    alpha = 3 if pixels.shape[2] == 4 else None
    layer = ColourLayer(0, (0, 1, 2) if pixels.shape[2] > 1 else (0,), alpha)
    kind = AlphaKind.NONE if alpha is None else AlphaKind.ASSOCIATED
    return Frame((part,), layer, **{"alpha_kind": kind, "number": number, **changes})


def layered_frame(number: int = 1) -> Frame:
    """Two parts, one of half, float and uint32 together, with windows, aspect and attributes of many types."""
    x = number - 3
    window = Window(x, -2, 64, 32)
    random = np.random.default_rng(number)
    mixed = np.empty((32, 64, 6), np.float64)
    mixed[..., :4] = (random.random((32, 64, 4)) * 10 - 1).astype(np.float16)
    mixed[..., 4] = random.standard_normal((32, 64)).astype(np.float32)
    mixed[..., 5] = random.integers(0, 2**32, (32, 64), dtype=np.uint32)
    mixed[0, :4, 5] = (0, 2**24 + 1, 2**32 - 2, 2**32 - 1)
    attributes = {
        "name": Attribute("string", "beauty"),
        "compression": Attribute("string", "piz"),
        "chromaticities": Attribute("float[8]", (0.64, 0.33, 0.3, 0.6, 0.15, 0.06, 0.3127, 0.329)),
        "smpte:TimeCode": Attribute("timecode", (0x01020304, 0)),
        "FramesPerSecond": Attribute("rational", (24000, 1001)),
        "camera": Attribute("string", "A-Kamera ä"),
        "take": Attribute("int", 7),
        "focus": Attribute("float", 0.5),
        "worldToCamera": Attribute("matrix", tuple(float(value) for value in range(16))),
    }
    display = Window(0, 0, 60, 30)
    beauty = Part(
        mixed,
        ("R", "G", "B", "A", "Z", "id"),
        ("half",) * 4 + ("float", "uint"),
        window,
        display,
        1.5,
        attributes,
    )
    specular = Part(
        noise(30, 60, 3, np.float16, seed=number + 50),
        ("R", "G", "B"),
        ("half",) * 3,
        display,
        display,
        1.5,
        {"name": Attribute("string", "specular"), "compression": Attribute("string", "zips")},
    )
    layer = ColourLayer(0, (0, 1, 2), 3)
    return Frame((beauty, specular), layer, alpha_kind=AlphaKind.ASSOCIATED, number=number, source="plate.exr")


def shot_of(path: str = "", *, count: int | None = 1, first: int = 1, **changes: Any) -> ShotInfo:
    """The facts of a still or a sequence."""
    facts: dict[str, Any] = {"kind": "sequence", "width": 64, "height": 32}
    return ShotInfo(path=path, first=first, frame_count=count, **{**facts, **changes})


def movie_facts(**changes: Any) -> MovieFacts:
    """Facts of an untagged 8-bit H.264 movie, with changes."""
    facts: dict[str, Any] = {
        "codec": "h264",
        "pixel_format": "yuv420p",
        "full_range": False,
        "matrix": "unknown",
        "transfer": "unknown",
        "primaries": "unknown",
        "rotation": 0,
        "timecode": None,
        "has_audio": False,
    }
    return MovieFacts(**{**facts, **changes})


def write_movie(
    path: Path | str,
    planes: Sequence[np.ndarray[Any, Any]],
    *,
    encoder: str = "libx264",
    pixel_format: str = "yuv420p",
    rate: Fraction = Fraction(25),
    full_range: bool = False,
    tags: tuple[int, int, int] = (1, 1, 1),
    options: Mapping[str, str] | None = None,
    times: Sequence[int] | None = None,
    rotation: int = 0,
    timecode: str | None = None,
    metadata: Mapping[str, str] | None = None,
    audio: str | None = None,
    sound_rate: int = 48000,
    gop: int = 4,
) -> None:
    """A movie by PyAV whose luma (or first plane, for planar RGB: all three) holds the given code values.

    `planes` are (H, W) arrays of codes of the pixel format's own depth; chroma is neutral. `times` are
    presentation times in 1/1000 s for a variable rate. `audio` names an encoder of a rising tone
    that lasts as long as the pictures.
    """
    height, width = planes[0].shape
    with av.open(str(path), "w") as output:
        output.metadata.update(metadata or {})
        stream = output.add_stream(encoder, rate=rate, options=dict(options or {"crf": "4", "preset": "ultrafast"}))
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = width, height, pixel_format
        context = stream.codec_context
        context.gop_size = gop
        context.color_range = 2 if full_range else 1
        context.colorspace, context.color_trc, context.color_primaries = tags
        if times is not None:
            context.time_base = Fraction(1, 1000)
        if rotation:
            stream.set_display_rotation(rotation)
        if timecode:
            stream.metadata["timecode"] = timecode
        sound = output.add_stream(audio, rate=sound_rate, layout="mono") if audio else None
        for index, plane in enumerate(planes):
            frame = video_frame(plane, pixel_format)
            frame.time_base = Fraction(1, 1000) if times is not None else 1 / rate
            frame.pts = times[index] if times is not None else index
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
        if sound is not None:
            for samples in _rising_tone(sound, Fraction(len(planes)) / rate):
                output.mux(sound.encode(samples))
            output.mux(sound.encode(None))


def video_frame(plane: np.ndarray[Any, Any], pixel_format: str) -> av.VideoFrame:
    """A frame with code values in its luma (or R, G and B), neutral chroma, and a ramp as alpha."""
    height, width = plane.shape
    frame = av.VideoFrame(width, height, pixel_format)
    bits = frame.format.components[0].bits
    dtype = np.uint8 if bits <= 8 else np.uint16
    planar_rgb = frame.format.is_rgb
    for index, target in enumerate(frame.planes):
        rows = np.zeros((target.height, target.line_size // dtype().itemsize), dtype)
        if index == 0 or (planar_rgb and index < 3):
            rows[:, :width] = plane
        elif index < 3:
            rows[:] = 1 << (bits - 1)
        else:
            rows[:, :width] = np.linspace(0, (1 << bits) - 1, width).astype(dtype)
        target.update(rows.tobytes())
    return frame


def _rising_tone(sound: Any, seconds: Fraction) -> Iterator[av.AudioFrame]:
    total, step = int(seconds * 48000), 960
    for start in range(0, total, step):
        count = min(step, total - start)
        time = (start + np.arange(count)) / 48000
        wave = np.sin(2 * np.pi * (300 + 200 * time) * time) * 0.5
        kind = sound.format.name
        if kind in ("fltp", "flt"):
            samples = wave.astype(np.float32)[None]
        elif kind in ("s16", "s16p"):
            samples = (wave * 32767).astype(np.int16)[None]
        else:
            samples = (wave * (2**31 - 1)).astype(np.int32)[None]
        frame = av.AudioFrame.from_ndarray(samples, format=kind, layout="mono")
        frame.sample_rate = 48000
        frame.pts = start
        frame.time_base = Fraction(1, 48000)
        yield frame


def luma_planes(path: Path | str) -> list[np.ndarray[Any, Any]]:
    """The first plane of every frame, in code values."""
    planes = []
    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            plane = frame.planes[0]
            dtype = np.uint8 if frame.format.components[0].bits <= 8 else np.uint16
            rows = np.frombuffer(memoryview(plane), dtype).reshape(plane.height, -1)
            planes.append(rows[:, : plane.width].copy())
    return planes


def leftovers(folder: Path) -> list[str]:
    """Hidden files in a folder: temporary files that should be gone."""
    return sorted(path.name for path in folder.iterdir() if path.name.startswith("."))
