"""What of the input does not reach the output is named: the libraries' own view of both, walked item by item."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import OpenImageIO as oiio
import pytest
from av.sidedata.sidedata import Type

from impasto.core.frame import AlphaKind, Attribute
from impasto.core.media import FrameRange, open_reader, open_writer
from impasto.core.media.picture_reader import read_picture
from impasto.core.media.picture_writer import write_picture
from tests.core.media.builders import frame_of, layered_frame, noise, shot_of, write_with_oiio
from tests.core.media.interlaced import write_fields


def cover() -> bytes:
    image = av.open(stored := io.BytesIO(), "w", format="image2pipe")
    stream = image.add_stream("png")
    assert isinstance(stream, av.VideoStream)
    stream.width, stream.height, stream.pix_fmt = 16, 16, "rgb24"
    image.mux(stream.encode(av.VideoFrame.from_ndarray(np.full((16, 16, 3), 90, np.uint8), format="rgb24")))
    image.mux(stream.encode(None))
    image.close()
    return stored.getvalue()


def write_full(path: Path) -> None:
    """Two seconds with sound, a subtitle, and what else the container holds: two chapters, a cover."""
    text = {"mkv": "subrip", "mp4": "mov_text", "mov": "mov_text", "webm": "webvtt"}[path.suffix[1:]]
    sound = "libopus" if path.suffix == ".webm" else "aac"
    with av.open(str(path), "w") as output:
        video = output.add_stream("libvpx-vp9" if path.suffix == ".webm" else "libx264", rate=25)
        assert isinstance(video, av.VideoStream)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        audio = output.add_stream(sound, rate=48000, layout="mono")
        titles = output.add_mux_stream(text)
        output.set_chapters(
            [
                {"id": n, "start": n, "end": n + 1, "time_base": Fraction(1), "metadata": {"title": title}}
                for n, title in enumerate(("one", "two"))
            ]
        )
        if path.suffix == ".mkv":
            output.add_attachment("cover.png", "image/png", cover())
        for index in range(50):
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), index * 5, np.uint8), format="rgb24")
            output.mux(video.encode(frame))
            heard = av.AudioFrame.from_ndarray(np.zeros((1, 1920), np.float32), format="fltp", layout="mono")
            heard.sample_rate, heard.pts = 48000, index * 1920
            if path.suffix == ".webm":
                heard = av.AudioFrame.from_ndarray(np.zeros((1, 1920), np.int16), format="s16", layout="mono")
                heard.sample_rate, heard.pts = 48000, index * 1920
            output.mux(audio.encode(heard))
            if index == 10:
                packet = av.Packet(b"\0\x05hello" if text == "mov_text" else b"hello")
                packet.stream, packet.time_base = titles, Fraction(1, 1000)
                packet.pts = packet.dts = 400
                packet.duration = 800
                output.mux(packet)
        output.mux(video.encode(None))
        output.mux(audio.encode(None))


TAGS = {"title": "a film", "artist": "me", "scene": "12", "copyright": "mine"}
"""Tags of a movie; MP4 has no place for the third."""
NO_TAGS = {"major_brand", "minor_version", "compatible_brands", "encoder", "software", "duration", "handler_name"}


def movie_items(path: Path) -> Iterator[str]:
    """What FFmpeg sees in a movie, in the words of the notes."""
    with av.open(str(path)) as container:
        for stream in container.streams:
            if stream.disposition & av.stream.Disposition.attached_pic:
                yield "cover"
            elif stream.type in ("audio", "subtitle", "attachment"):
                words = {"audio": "sound track", "subtitle": "subtitle track", "attachment": "attachment"}
                yield words[stream.type]
        yield from ["chapter" for _ in container.chapters()]
        yield from {f"tag {key.lower()}" for key in container.metadata if key.lower() not in {*NO_TAGS, "timecode"}}
        if any(key.lower() == "timecode" for each in (container, *container.streams) for key in each.metadata):
            yield "timecode"
        if container.streams.video[0].sample_aspect_ratio not in (None, 1):
            yield "pixel aspect"
    with av.open(str(path)) as container:
        first = next(container.decode(video=0))
        if any(each.type == Type.MASTERING_DISPLAY_METADATA for each in first.side_data):
            yield "light levels"
        if first.interlaced_frame:
            yield "two fields"
        alphas = [value for each in streams_of(path) for key, value in each.items() if key.lower() == "alpha_mode"]
        if "1" in alphas or (len(first.format.components) == 4 and first.format.has_palette is False):
            yield "alpha"


def streams_of(path: Path) -> list[dict[str, str]]:
    """The tags of every stream; FFmpeg's own decoders pass over the alpha of WebM, which stands there."""
    with av.open(str(path)) as container:
        return [dict(each.metadata) for each in container.streams]


def picture_items(path: Path) -> Iterator[str]:
    """What OpenImageIO sees in a picture that was made of a movie, in the same words."""
    spec = oiio.ImageInput.open(str(path)).spec()
    held = {each.name: each.value for each in spec.extra_attribs}
    if "smpte:TimeCode" in held:
        yield "timecode"
    if float(held.get("PixelAspectRatio", 1.0)) != 1.0:
        yield "pixel aspect"
    if "A" in spec.channelnames:
        yield "alpha"


def items_of(path: Path) -> list[str]:
    if "#" in path.name:
        return list(picture_items(path.with_name(path.name.replace("####", "0001"))))
    return list(movie_items(path))


def copied(source: Path, result: str, frames: FrameRange | None = None, *, deinterlace: bool = True) -> str:
    """The notes of a copy, as one text."""
    opened = open_reader(str(source), frames=frames, deinterlace=deinterlace)
    with opened as reader, open_writer(result, reader.info) as writer:
        for frame in reader:
            writer.write(frame)
    return "\n".join(writer.notes)


RESULTS = [
    "b.mkv", "b.mp4", "b.mov", "b.webm", "b.avi", "b.####.png", "b.####.exr", "b.####.jpg", "b.####.tif", "b.####.dpx",
    "b.####.hdr", "b.####.ppm",
]  # fmt: skip


def write_odd(path: Path) -> None:
    """Interlaced, anamorphic, with tags and a timecode, HDR10 where it is H.265."""
    write_fields(path, "h264.mov", "bottom", metadata=TAGS, timecode="01:00:00:00", aspect=Fraction(4, 3))


SOURCES = {
    "full.mkv": (write_full, {"subtitle track", "sound track", "chapter", "cover"}),
    "full.mp4": (write_full, {"subtitle track", "sound track", "chapter"}),
    "full.webm": (write_full, {"subtitle track", "sound track", "chapter"}),
    "odd.mkv": (write_odd, {"two fields", "timecode", "pixel aspect", *(f"tag {key}" for key in TAGS)}),
    "hdr.mp4": (lambda path: write_hdr10(path), {"light levels"}),
    "glass.webm": (lambda path: write_alpha(path), {"alpha"}),
}


@pytest.mark.parametrize("result", RESULTS)
@pytest.mark.parametrize("source", SOURCES)
def test_what_a_movie_loses_is_named(tmp_path: Path, source: str, result: str) -> None:
    write, expected = SOURCES[source]
    write(tmp_path / source)
    notes = copied(tmp_path / source, str(tmp_path / result), deinterlace=False)
    before, after = (items_of(tmp_path / name) for name in (source, result))
    assert expected <= set(before)
    for item in set(before):
        assert after.count(item) == before.count(item) or item in notes, item
    for item in set(after) & set(before):
        assert item not in notes or after.count(item) < before.count(item), item


def test_matroska_keeps_subtitles_chapters_and_the_cover(tmp_path: Path) -> None:
    write_full(tmp_path / "a.mkv")
    assert copied(tmp_path / "a.mkv", str(tmp_path / "b.mkv")) == ""
    with av.open(str(tmp_path / "b.mkv")) as container:
        assert [each["metadata"]["title"] for each in container.chapters()] == ["one", "two"]
        assert "cover" in list(movie_items(tmp_path / "b.mkv"))
        titles = [each for each in container.demux(subtitles=0) if each.size]
        assert [bytes(each) for each in titles] == [b"hello"]
        assert float(titles[0].pts * titles[0].time_base) == pytest.approx(0.4, abs=0.05)


@pytest.mark.parametrize("name", ["a.mp4", "a.mov"])
def test_mp4_keeps_subtitles_and_chapters(tmp_path: Path, name: str) -> None:
    write_full(tmp_path / name)
    assert copied(tmp_path / name, str(tmp_path / f"b{name}")) == ""
    assert sorted(movie_items(tmp_path / f"b{name}")) == sorted(movie_items(tmp_path / name))


def test_a_range_takes_its_own_chapters_and_subtitles(tmp_path: Path) -> None:
    write_full(tmp_path / "a.mkv")
    copied(tmp_path / "a.mkv", str(tmp_path / "b.mkv"), FrameRange(31, 50))
    with av.open(str(tmp_path / "b.mkv")) as container:
        found = [(each["metadata"]["title"], each["start"]) for each in container.chapters()]
        assert found == [("two", 0)]
        assert [each for each in container.demux(subtitles=0) if each.size] == []


MASTER = "master-display=G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,1):max-cll=1000,400"


def write_hdr10(path: Path) -> None:
    with av.open(str(path), "w") as output:
        stream = output.add_stream("libx265", rate=25, options={"x265-params": f"log-level=none:{MASTER}"})
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p10le"
        context = stream.codec_context
        context.colorspace, context.color_trc, context.color_primaries = 9, 16, 9
        for _ in range(3):
            output.mux(stream.encode(av.VideoFrame(64, 48, "yuv420p10le")))
        output.mux(stream.encode(None))


def write_alpha(path: Path) -> None:
    with av.open(str(path), "w") as output:
        stream = output.add_stream("libvpx-vp9", rate=25)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuva420p"
        stream.metadata["alpha_mode"] = "1"
        plate = np.full((48, 64, 4), 120, np.uint8)
        output.mux(stream.encode(av.VideoFrame.from_ndarray(plate, format="rgba").reformat(format="yuva420p")))
        output.mux(stream.encode(None))


def light_of(path: Path) -> list[bytes]:
    kinds = (Type.MASTERING_DISPLAY_METADATA, Type.CONTENT_LIGHT_LEVEL)
    with av.open(str(path)) as container:
        return [bytes(each) for each in next(container.decode(video=0)).side_data if each.type in kinds]


@pytest.mark.parametrize("result", ["b.mp4", "b.mov", "b.mkv"])
def test_hdr10_static_metadata_survives(tmp_path: Path, result: str) -> None:
    write_hdr10(tmp_path / "a.mp4")
    assert len(light_of(tmp_path / "a.mp4")) == 2
    assert copied(tmp_path / "a.mp4", str(tmp_path / result)) == ""
    assert light_of(tmp_path / result) == light_of(tmp_path / "a.mp4")


def test_hdr10_static_metadata_that_the_codec_cannot_say_is_named(tmp_path: Path) -> None:
    write_hdr10(tmp_path / "a.mp4")
    assert "light levels" in copied(tmp_path / "a.mp4", str(tmp_path / "b.webm"))


def test_alpha_that_the_codec_does_not_hold_is_named(tmp_path: Path) -> None:
    write_with_oiio(tmp_path / "a.png", noise(48, 64, 4, np.uint8), "uint8")
    assert "alpha" in copied(tmp_path / "a.png", str(tmp_path / "b.mp4"))
    assert "alpha" in copied(tmp_path / "a.png", str(tmp_path / "b.jpg"))


TECHNICAL = {
    "compression", "planarconfig", "DateTime", "Software", "PixelAspectRatio", "name", "screenWindowCenter",
    "screenWindowWidth", "Orientation", "FramesPerSecond", "chromaticities", "Exif:ColorSpace",
}  # fmt: skip
"""Attributes of structure, and those that are set from the frame's own facts."""
STRUCTURE = ("oiio:", "openexr:", "tiff:", "png:", "dpx:", "jpeg:")


@pytest.mark.parametrize("result", ["b.png", "b.jpg", "b.tif", "b.dpx", "b.hdr", "b.ppm", "b.exr"])
@pytest.mark.parametrize("kind", ["exr", "tif", "jpg", "png"])
def test_what_a_picture_loses_is_named(tmp_path: Path, kind: str, result: str) -> None:
    attributes = {"Artist": "A. Painter", "Exif:FNumber": 2.8, "Copyright": "me", "ImageDescription": "a plate"}
    source = tmp_path / f"a.{kind}"
    if kind == "exr":
        write_picture(str(source), str(source), layered_frame())
    else:
        write_with_oiio(source, noise(24, 32, 3, np.uint8), "uint8", attributes)
    lost = write_picture(str(tmp_path / result), str(tmp_path / result), read_picture(str(source)))
    before, after = (oiio.ImageInput.open(str(path)).spec() for path in (source, tmp_path / result))
    held = {each.name for each in after.extra_attribs}
    for each in before.extra_attribs:
        if not each.name.startswith(STRUCTURE) and each.name not in TECHNICAL:
            assert each.name in held or f"attribute {each.name}" in lost, each.name
    for channel in before.channelnames:
        assert channel in after.channelnames or f"channel {channel}" in lost or (channel == "A" and "alpha" in lost)
    if kind == "exr" and result != "b.exr":
        assert "part specular" in lost
        assert "what lies outside the display window" in lost


@pytest.mark.parametrize("alpha", [True, False])
def test_further_channels_of_a_tiff_survive(tmp_path: Path, alpha: bool) -> None:
    spec = oiio.ImageSpec(8, 4, 5, "uint16")
    spec.channelnames = ("R", "G", "B", "A", "mask") if alpha else ("R", "G", "B", "mask", "depth")
    spec.alpha_channel = 3 if alpha else -1
    spec.attribute("oiio:UnassociatedAlpha", 1)
    pixels = noise(4, 8, 5, np.uint16)
    output = oiio.ImageOutput.create(str(tmp_path / "a.tif"))
    assert output.open(str(tmp_path / "a.tif"), spec)
    assert output.write_image(pixels)
    assert output.close()
    frame = read_picture(str(tmp_path / "a.tif"))
    assert write_picture(str(tmp_path / "b.tif"), str(tmp_path / "b.tif"), frame) == []
    found = read_picture(str(tmp_path / "b.tif"))
    np.testing.assert_array_equal(found.part.pixels, frame.part.pixels)
    assert found.part.channels == frame.part.channels
    assert "channel channel4" in write_picture(str(tmp_path / "c.png"), str(tmp_path / "c.png"), frame)


def test_the_notes_of_a_sequence_name_its_losses_once(tmp_path: Path) -> None:
    frame = frame_of(noise(8, 8, 4, np.uint8), "uint8", alpha_kind=AlphaKind.ASSOCIATED)
    part = replace(frame.part, attributes={"take": Attribute("int", 7)})
    with open_writer(str(tmp_path / "a.####.jpg"), shot_of("plate.####.exr", count=2)) as writer:
        for number in (1, 2):
            writer.write(replace(frame, parts=(part,), number=number))
    assert writer.notes == ("not in the result are, of 'plate.####.exr': alpha, attribute take",)
