"""A movie through reader and writer: frames, time, levels, sound, tags."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from impasto.core.errors import OutputExists, UnreadableMedia, UnsupportedMedia, UsageError
from impasto.core.frame import AlphaKind, Frame
from impasto.core.media import FrameRange, ShotInfo, open_reader, open_writer
from impasto.core.media.flatten import flatten, unit_float
from impasto.core.media.orientation import orientation_of
from tests.core.media.builders import (
    frame_of,
    layered_frame,
    leftovers,
    luma_planes,
    noise,
    ramp,
    shot_of,
    write_movie,
)

HEIGHT, WIDTH = 48, 64


def moving_planes(count: int, *, low: int = 16, high: int = 235, top: int = 255) -> list[np.ndarray[Any, Any]]:
    """Luma ramps that scroll, with the frame number as a flat patch, so that frames can be told apart."""
    dtype = np.uint8 if top <= 255 else np.uint16
    base = (low + high) / 2 + (high - low) / 2 * np.cos(np.arange(WIDTH) * 2 * np.pi / WIDTH)
    planes = []
    for index in range(count):
        plane = np.repeat(np.roll(base, index * 3)[None, :], HEIGHT, axis=0)
        plane[:16, :16] = low + (high - low) * (index + 0.5) / count
        planes.append(plane.round().astype(dtype))
    return planes


def copy(source: Path, result: Path, frames: FrameRange | None = None) -> ShotInfo:
    with open_reader(str(source), frames=frames) as reader, open_writer(str(result), reader.info) as writer:
        for frame in reader:
            writer.write(frame)
        return reader.info


def patch(frame: Frame) -> float:
    return float(frame.part.pixels[4:12, 4:12, 1].mean() / np.iinfo(frame.part.pixels.dtype).max)


def packets(path: Path, kind: str) -> Iterator[Any]:
    with av.open(str(path)) as container:
        stream = container.streams.get({kind: 0})[0]
        for packet in container.demux(stream):
            if packet.size:
                yield float(packet.pts * packet.time_base), bytes(packet)


def test_frames_are_numbered_from_one_and_counted(tmp_path: Path) -> None:
    write_movie(tmp_path / "a.mp4", moving_planes(10))
    with open_reader(str(tmp_path / "a.mp4")) as reader:
        info = reader.info
        assert (info.kind, info.first, info.frame_count, info.rate) == ("movie", 1, 10, Fraction(25))
        assert (info.width, info.height) == (WIDTH, HEIGHT)
        frames = list(reader)
    assert [frame.number for frame in frames] == list(range(1, 11))
    np.testing.assert_allclose([patch(frame) for frame in frames], (np.arange(10) + 0.5) / 10, atol=0.02)


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.mov", "a.avi"])
@pytest.mark.parametrize(("first", "last"), [(1, 1), (6, 9), (12, 12)])
def test_a_range_is_exact_to_the_frame(tmp_path: Path, name: str, first: int, last: int) -> None:
    encoder = {"a.avi": "mpeg4"}.get(name, "libx264")
    options = {"b:v": "4M"} if encoder == "mpeg4" else None
    write_movie(tmp_path / name, moving_planes(12), encoder=encoder, options=options, gop=5)
    whole = list(open_reader(str(tmp_path / name)))
    with open_reader(str(tmp_path / name), frames=FrameRange(first, last)) as reader:
        assert (reader.info.first, reader.info.frame_count) == (first, last - first + 1)
        found = list(reader)
    assert [frame.number for frame in found] == list(range(first, last + 1))
    for frame in found:
        np.testing.assert_array_equal(frame.part.pixels, whole[frame.number - 1].part.pixels)


OPEN_GROUPS = {
    "libx264": {"crf": "4", "preset": "fast", "x264-params": "open-gop=1:keyint=6:min-keyint=6:bframes=3:b-adapt=0"},
    "libx265": {"crf": "4", "preset": "fast", "x265-params": "open-gop=1:keyint=6:bframes=3:b-adapt=0:log-level=error"},
}


@pytest.mark.parametrize("encoder", ["libx264", "libx265"])
@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
def test_a_range_is_exact_in_open_groups_of_pictures(tmp_path: Path, name: str, encoder: str) -> None:
    write_movie(tmp_path / name, moving_planes(16), encoder=encoder, options=OPEN_GROUPS[encoder], gop=6)
    whole = list(open_reader(str(tmp_path / name)))
    assert len(whole) == 16
    for first in range(4, 16):
        found = next(iter(open_reader(str(tmp_path / name), frames=FrameRange(first, first))))
        assert found.number == first
        np.testing.assert_array_equal(found.part.pixels, whole[first - 1].part.pixels)


def test_frames_that_share_a_time_are_counted(tmp_path: Path) -> None:
    # Matroska keeps milliseconds, so that pairs of frames at 2000 a second fall on one time.
    options: dict[str, str] = {}
    write_movie(tmp_path / "a.mkv", moving_planes(6), encoder="ffv1", rate=Fraction(2000), options=options)
    whole = list(open_reader(str(tmp_path / "a.mkv")))
    assert [frame.number for frame in whole] == [1, 2, 3, 4, 5, 6]
    found = list(open_reader(str(tmp_path / "a.mkv"), frames=FrameRange(3, 4)))
    assert [frame.number for frame in found] == [3, 4]
    np.testing.assert_array_equal(found[1].part.pixels, whole[3].part.pixels)


def test_a_reader_can_be_read_twice(tmp_path: Path) -> None:
    write_movie(tmp_path / "a.mp4", moving_planes(6))
    with open_reader(str(tmp_path / "a.mp4")) as reader:
        assert [frame.number for frame in reader] == [frame.number for frame in reader]


def test_a_range_beyond_the_movie_is_refused(tmp_path: Path) -> None:
    write_movie(tmp_path / "a.mp4", moving_planes(6))
    with pytest.raises(UsageError, match="expected frames within 1-6"):
        open_reader(str(tmp_path / "a.mp4"), frames=FrameRange(5, 7))


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize(
    ("source", "result"), [("a.mp4", "b.mp4"), ("a.mkv", "b.mkv"), ("a.mp4", "b.mov"), ("a.mp4", "b.mkv")]
)
def test_levels_come_out_as_they_went_in(tmp_path: Path, full: bool, source: str, result: str) -> None:
    low, high = (0, 255) if full else (16, 235)
    write_movie(tmp_path / source, moving_planes(6, low=low, high=high), full_range=full)
    info = copy(tmp_path / source, tmp_path / result)
    assert info.movie is not None
    assert info.movie.full_range is full
    after = open_reader(str(tmp_path / result)).info.movie
    assert after is not None
    assert (after.full_range, after.matrix, after.transfer, after.primaries) == (full, "bt709", "bt709", "bt709")
    before, found = (np.stack(luma_planes(tmp_path / name)).astype(float) for name in (source, result))
    assert before.shape == found.shape
    assert abs(before.mean() - found.mean()) < 0.3
    np.testing.assert_allclose(np.percentile(found, [5, 95]), np.percentile(before, [5, 95]), atol=2)


@pytest.mark.parametrize(
    ("tags", "names"),
    [
        ((1, 1, 1), ("bt709", "bt709", "bt709")),
        ((6, 6, 6), ("smpte170m", "smpte170m", "smpte170m")),
        ((9, 16, 9), ("bt2020nc", "smpte2084", "bt2020")),
        ((9, 18, 9), ("bt2020nc", "arib-std-b67", "bt2020")),
        ((1, 13, 1), ("bt709", "iec61966-2-1", "bt709")),
        ((2, 2, 2), ("unknown", "unknown", "unknown")),
    ],
)
def test_colour_tags_survive(tmp_path: Path, tags: tuple[int, int, int], names: tuple[str, str, str]) -> None:
    write_movie(tmp_path / "a.mp4", moving_planes(3), tags=tags)
    copy(tmp_path / "a.mp4", tmp_path / "b.mp4")
    after = open_reader(str(tmp_path / "b.mp4")).info.movie
    assert after is not None
    assert (after.matrix, after.transfer, after.primaries) == names


@pytest.mark.parametrize("source", [(1, 1, 1), (6, 6, 6), (9, 16, 9), None])
@pytest.mark.parametrize("name", ["b.mp4", "b.mov"])
@pytest.mark.parametrize(
    ("space", "names"),
    [
        ("srgb", ("bt709", "iec61966-2-1", "bt709")),
        ("pq2020", ("bt2020nc", "smpte2084", "bt2020")),
        ("HLG2020", ("bt2020nc", "arib-std-b67", "bt2020")),
        ("ACEScg", ("unknown", "unknown", "unknown")),
    ],
)
def test_frames_in_another_space_are_tagged_with_it(
    tmp_path: Path, source: tuple[int, int, int] | None, name: str, space: str, names: tuple[str, str, str]
) -> None:
    facts = shot_of(count=1)
    if source is not None:
        write_movie(tmp_path / "a.mp4", moving_planes(1), tags=source)
        facts = open_reader(str(tmp_path / "a.mp4")).info
    with open_writer(str(tmp_path / name), facts) as writer:
        writer.write(frame_of(ramp(HEIGHT, WIDTH), "uint8", colour_space=space))
    after = open_reader(str(tmp_path / name)).info.movie
    assert after is not None
    assert (after.matrix, after.transfer, after.primaries) == names


@pytest.mark.parametrize(
    ("tags", "space"),
    [
        ((1, 1, 1), "rec709"),
        ((2, 2, 2), "rec709"),
        ((1, 13, 1), "srgb"),
        ((9, 16, 9), "pq2020"),
        ((9, 18, 9), "hlg2020"),
        ((1, 8, 1), None),
    ],
)
def test_the_colour_space_is_what_the_transfer_says(
    tmp_path: Path, tags: tuple[int, int, int], space: str | None
) -> None:
    write_movie(tmp_path / "a.mp4", moving_planes(2), tags=tags)
    assert next(iter(open_reader(str(tmp_path / "a.mp4")))).colour_space == space


@pytest.mark.parametrize(
    ("source", "encoder", "pixel_format", "result", "codec"),
    [
        ("a.mp4", "libx264", "yuv420p10le", "b.mp4", "h264"),
        ("a.mov", "libx265", "yuv420p10le", "b.mp4", "hevc"),
        ("a.mkv", "ffv1", "yuv422p10le", "b.mkv", "ffv1"),
        ("a.mkv", "ffv1", "gbrp12le", "b.mkv", "ffv1"),
        ("a.mkv", "ffv1", "yuv422p10le", "b.avi", "ffv1"),
        ("a.mov", "prores_ks", "yuv422p10le", "b.mov", "prores"),
        ("a.mkv", "ffv1", "yuv422p10le", "b.mov", "prores"),
    ],
)
def test_ten_bits_stay_ten_bits(
    tmp_path: Path, source: str, encoder: str, pixel_format: str, result: str, codec: str
) -> None:
    twelve = "12" in pixel_format
    low, high = (0, 4095) if twelve else (64, 940)
    options = {"preset": "ultrafast", "crf": "4"} if "26" in encoder else {}
    if encoder == "libx265":
        options["x265-params"] = "log-level=error"
    planes = moving_planes(4, low=low, high=high, top=4095)
    write_movie(tmp_path / source, planes, encoder=encoder, pixel_format=pixel_format, options=options)
    info = copy(tmp_path / source, tmp_path / result)
    with open_reader(str(tmp_path / result)) as reader:
        facts = reader.info.movie
        assert facts is not None
        assert facts.codec == codec
        assert "10" in facts.pixel_format or "12" in facts.pixel_format
        after = [frame.part.pixels for frame in reader]
    assert info.frame_count == len(after) == 4
    before = [frame.part.pixels for frame in open_reader(str(tmp_path / source))]
    assert before[0].dtype == np.uint16
    difference = np.stack(after).astype(float) - np.stack(before).astype(float)
    assert abs(difference.mean()) < 65535 * 0.001
    assert np.abs(difference).mean() < 65535 * 0.01
    if codec == "ffv1":
        # One step of 10 bits: the way through RGB rounds, the codec itself loses nothing.
        assert np.abs(difference[..., 1]).max() <= 64


def test_lossless_yuv_comes_back_code_for_code(tmp_path: Path) -> None:
    planes = moving_planes(3, low=64, high=940, top=1023)
    write_movie(tmp_path / "a.mkv", planes, encoder="ffv1", pixel_format="yuv444p10le", options={})
    copy(tmp_path / "a.mkv", tmp_path / "b.mkv")
    for before, after in zip(luma_planes(tmp_path / "a.mkv"), luma_planes(tmp_path / "b.mkv"), strict=True):
        np.testing.assert_array_equal(before, after)


def test_prores_4444_keeps_its_alpha(tmp_path: Path) -> None:
    write_movie(
        tmp_path / "a.mov",
        moving_planes(3, low=64, high=940, top=1023),
        encoder="prores_ks",
        pixel_format="yuva444p10le",
        options={"profile": "4444", "alpha_bits": "16"},
    )
    copy(tmp_path / "a.mov", tmp_path / "b.mov")
    before, after = (next(iter(open_reader(str(tmp_path / name)))) for name in ("a.mov", "b.mov"))
    assert before.alpha is not None
    assert after.alpha is not None
    assert np.ptp(before.alpha) > 60000
    assert np.abs(after.alpha.astype(int) - before.alpha.astype(int)).max() < 200


@pytest.mark.parametrize("encoder", ["libvpx", "libvpx-vp9"])
@pytest.mark.parametrize("result", ["b.webm", "b.mov", "b.mkv", "b.####.png", "b.####.exr"])
def test_webm_keeps_its_alpha(tmp_path: Path, encoder: str, result: str) -> None:
    options = {"crf": "4", "b:v": "2M", "auto-alt-ref": "0"}
    planes = [np.full((HEIGHT, WIDTH), 180, np.uint8)] * 3
    write_movie(tmp_path / "a.webm", planes, encoder=encoder, pixel_format="yuva420p", options=options)
    info = copy(tmp_path / "a.webm", tmp_path / result)
    assert info.frame_count == 3
    before, after = (list(open_reader(str(tmp_path / name))) for name in ("a.webm", result))
    assert before[0].alpha_kind is AlphaKind.UNASSOCIATED
    for frame, found in zip(before, after, strict=True):
        wanted, alpha = (unit_float(each.alpha) for each in (frame, found))
        assert wanted.min() < 0.02
        assert wanted.max() > 0.98
        np.testing.assert_allclose(alpha, wanted, atol=0.03)
        straight = flatten(found, "unassociated")[..., :3]
        np.testing.assert_allclose(unit_float(straight)[:, 32:], unit_float(frame.colour)[:, 32:], atol=0.04)
    assert [frame.number for frame in open_reader(str(tmp_path / "a.webm"), frames=FrameRange(2, 3))] == [2, 3]


def test_frames_with_alpha_make_a_prores_4444(tmp_path: Path) -> None:
    pixels = ramp(HEIGHT, WIDTH, 4, top=65535)
    with open_writer(str(tmp_path / "a.mov"), shot_of(count=1)) as writer:
        writer.write(frame_of(pixels, "uint16"))
    with open_reader(str(tmp_path / "a.mov")) as reader:
        facts = reader.info.movie
        assert facts is not None
        assert facts.codec == "prores"
        alpha = next(iter(reader)).alpha
    assert alpha is not None
    np.testing.assert_allclose(alpha.astype(float), pixels[..., 3], atol=65535 * 0.002)


@pytest.mark.parametrize(
    ("source", "result"), [("a.mp4", "b.mp4"), ("a.mov", "b.mp4"), ("a.mp4", "b.mkv"), ("a.mkv", "b.mov")]
)
def test_sound_is_copied_packet_by_packet(tmp_path: Path, source: str, result: str) -> None:
    write_movie(tmp_path / source, moving_planes(10), rate=Fraction(10), audio="aac")
    info = copy(tmp_path / source, tmp_path / result)
    assert info.movie is not None
    assert info.movie.has_audio
    before, after = (list(packets(tmp_path / name, "audio")) for name in (source, result))
    assert [data for _, data in before] == [data for _, data in after]
    # Matroska has no times before zero, so pictures and sound are moved together.
    starts = [min(time for time, _ in packets(tmp_path / name, "video")) for name in (source, result)]
    times = [[time - start for time, _ in found] for found, start in zip((before, after), starts, strict=True)]
    np.testing.assert_allclose(times[1], times[0], atol=0.002)


def test_a_cut_range_takes_its_own_sound(tmp_path: Path) -> None:
    write_movie(tmp_path / "a.mov", moving_planes(20), rate=Fraction(10), audio="pcm_s16le")
    copy(tmp_path / "a.mov", tmp_path / "b.mov", FrameRange(11, 20))
    copy(tmp_path / "a.mov", tmp_path / "c.mov", FrameRange(5, 14))
    source = b"".join(data for _, data in packets(tmp_path / "a.mov", "audio"))
    for name, start, seconds in (("b.mov", 1.0, 1.0), ("c.mov", 0.4, 1.0)):
        found = list(packets(tmp_path / name, "audio"))
        data = b"".join(part for _, part in found)
        assert abs(len(data) / 96000 - seconds) < 0.05
        assert abs(source.index(data) / 96000 - (start + found[0][0])) < 0.001


@pytest.mark.parametrize(("result", "codec"), [("b.avi", "pcm_s16le"), ("b.webm", "opus")])
def test_sound_that_the_container_cannot_hold_is_encoded_anew(tmp_path: Path, result: str, codec: str) -> None:
    write_movie(tmp_path / "a.mp4", moving_planes(10), rate=Fraction(10), audio="aac")
    copy(tmp_path / "a.mp4", tmp_path / result)
    with av.open(str(tmp_path / result)) as container:
        stream = container.streams.audio[0]
        assert stream.codec_context.codec.canonical_name == codec
        seconds = sum(frame.samples for frame in container.decode(stream)) / 48000
    assert abs(seconds - 1.0) < 0.06


def test_sound_of_a_rate_that_opus_does_not_take_is_resampled(tmp_path: Path) -> None:
    write_movie(tmp_path / "a.mkv", moving_planes(10), rate=Fraction(10), audio="aac", sound_rate=44100)
    copy(tmp_path / "a.mkv", tmp_path / "b.webm")
    with av.open(str(tmp_path / "b.webm")) as container:
        seconds = sum(frame.samples for frame in container.decode(audio=0)) / 48000
    assert abs(seconds - 1.0) < 0.06


@pytest.mark.parametrize("name", ["a.mp4", "a.mov", "a.mkv"])
@pytest.mark.parametrize("rate", [Fraction(24), Fraction(24000, 1001), Fraction(30000, 1001), Fraction(60)])
def test_rate_and_duration_survive(tmp_path: Path, name: str, rate: Fraction) -> None:
    write_movie(tmp_path / name, moving_planes(12), rate=rate)
    info = copy(tmp_path / name, tmp_path / f"b{name}")
    after = open_reader(str(tmp_path / f"b{name}")).info
    assert after.frame_count == info.frame_count == 12
    assert after.rate is not None
    assert abs(after.rate / rate - 1) < Fraction(1, 2000)
    times = [[time for time, _ in packets(tmp_path / each, "video")] for each in (name, f"b{name}")]
    np.testing.assert_allclose(np.sort(times[1]), np.sort(times[0]), atol=0.0011)


@pytest.mark.parametrize("result", ["b.mkv", "b.mp4"])
def test_a_variable_rate_keeps_its_times(tmp_path: Path, result: str) -> None:
    times = [0, 40, 80, 200, 240, 500, 520, 900]
    write_movie(tmp_path / "a.mkv", moving_planes(8), times=times)
    copy(tmp_path / "a.mkv", tmp_path / result)
    found = sorted(time for time, _ in packets(tmp_path / result, "video"))
    np.testing.assert_allclose(found, np.array(times) / 1000, atol=0.0011)


def test_a_range_of_a_variable_rate_starts_at_zero(tmp_path: Path) -> None:
    write_movie(tmp_path / "a.mkv", moving_planes(6), times=[0, 40, 80, 200, 240, 500])
    copy(tmp_path / "a.mkv", tmp_path / "b.mkv", FrameRange(3, 5))
    found = sorted(time for time, _ in packets(tmp_path / "b.mkv", "video"))
    np.testing.assert_allclose(found, [0, 0.12, 0.16], atol=0.0011)


@pytest.mark.parametrize("result", ["b.mp4", "b.mov", "b.mkv"])
@pytest.mark.parametrize("rotation", [90, 180, 270])
def test_rotation_survives(tmp_path: Path, result: str, rotation: int) -> None:
    write_movie(tmp_path / "a.mp4", moving_planes(2), rotation=rotation if rotation <= 180 else rotation - 360)
    info = copy(tmp_path / "a.mp4", tmp_path / result)
    assert info.movie is not None
    assert info.movie.rotation == rotation
    after = open_reader(str(tmp_path / result)).info.movie
    assert after is not None
    assert after.rotation == rotation


def test_rotation_is_turned_into_pixels_where_the_container_cannot_say_it(tmp_path: Path) -> None:
    write_movie(tmp_path / "a.mp4", moving_planes(2), rotation=90)
    copy(tmp_path / "a.mp4", tmp_path / "b.avi")
    before = next(iter(open_reader(str(tmp_path / "a.mp4")))).part.pixels.astype(int)
    after = next(iter(open_reader(str(tmp_path / "b.avi")))).part.pixels.astype(int)
    assert np.abs(np.rot90(before) - after).mean() < 3


@pytest.mark.parametrize(
    ("source", "result"), [("a.mov", "b.mov"), ("a.mov", "b.mp4"), ("a.mov", "b.mkv"), ("a.mkv", "b.mov")]
)
def test_timecode_survives_and_moves_with_the_range(tmp_path: Path, source: str, result: str) -> None:
    write_movie(tmp_path / source, moving_planes(8), timecode="01:00:00:20")
    with open_reader(str(tmp_path / source)) as reader:
        assert [frame.timecode for frame in reader][4:6] == ["01:00:00:24", "01:00:01:00"]
    copy(tmp_path / source, tmp_path / result)
    copy(tmp_path / source, tmp_path / f"c{result}", FrameRange(6, 8))
    for name, code in ((result, "01:00:00:20"), (f"c{result}", "01:00:01:00")):
        facts = open_reader(str(tmp_path / name)).info.movie
        assert facts is not None
        assert facts.timecode == code


@pytest.mark.parametrize("result", ["b.mp4", "b.mov", "b.mkv"])
def test_tags_survive_and_provenance_joins_them(tmp_path: Path, result: str) -> None:
    write_movie(tmp_path / "a.mp4", moving_planes(2), metadata={"title": "Plate ä", "comment": "take 3"})
    with open_reader(str(tmp_path / "a.mp4")) as reader, open_writer(str(tmp_path / result), reader.info) as writer:
        for frame in reader:
            writer.write(replace(frame, provenance={"style": "a"}))
    with av.open(str(tmp_path / result)) as container:
        tags = {key.lower(): value for key, value in container.metadata.items()}
    assert tags["title"] == "Plate ä"
    assert tags["comment"] == 'take 3\nimpasto {"style": "a"}'


def test_pixel_aspect_survives(tmp_path: Path) -> None:
    frame = layered_frame()
    with open_writer(str(tmp_path / "a.mp4"), shot_of(count=1)) as writer:
        writer.write(frame)
    assert next(iter(open_reader(str(tmp_path / "a.mp4")))).part.pixel_aspect == pytest.approx(1.5)


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.avi", "a.webm"])
def test_an_odd_size_is_kept(tmp_path: Path, name: str) -> None:
    with open_writer(str(tmp_path / name), shot_of(count=2)) as writer:
        for number in (1, 2):
            writer.write(frame_of(ramp(33, 51), "uint8", number=number))
    info = open_reader(str(tmp_path / name)).info
    assert (info.width, info.height, info.frame_count) == (51, 33, 2)


@pytest.mark.parametrize("name", ["a.mp4", "a.mov", "a.avi", "a.webm", "a.mkv"])
def test_float_pictures_make_a_movie(tmp_path: Path, name: str) -> None:
    wanted = ramp(HEIGHT, WIDTH).astype(np.float32) / 255
    with open_writer(str(tmp_path / name), shot_of(count=3, rate=Fraction(30))) as writer:
        for number in (1001, 1002, 1003):
            writer.write(frame_of(wanted, "half", number=number))
    with open_reader(str(tmp_path / name)) as reader:
        assert reader.info.frame_count == 3
        assert reader.info.rate == 30
        for frame in reader:
            found = frame.part.pixels / np.iinfo(frame.part.pixels.dtype).max
            assert np.abs(found - wanted).mean() < 0.02


def test_a_movie_makes_an_exr_sequence(tmp_path: Path) -> None:
    write_movie(tmp_path / "a.mov", moving_planes(3), timecode="01:00:00:00", rotation=90)
    copy(tmp_path / "a.mov", tmp_path / "out.####.exr")
    with open_reader(str(tmp_path / "out.####.exr")) as reader:
        assert reader.info.rate == 25
        frames = list(reader)
    assert [frame.timecode for frame in frames] == ["01:00:00:00", "01:00:00:01", "01:00:00:02"]
    assert frames[0].part.formats == ("half",) * 3
    # Programs do not look in an EXR for the way it is looked at, so it is turned.
    window = frames[0].part.display_window
    assert (window.width, window.height) == (HEIGHT, WIDTH)
    assert orientation_of(frames[0].part) == 1


def test_the_name_appears_only_at_the_end(tmp_path: Path) -> None:
    with open_writer(str(tmp_path / "a.mp4"), shot_of(count=2)) as writer:
        writer.write(frame_of(ramp(HEIGHT, WIDTH), "uint8"))
        assert not (tmp_path / "a.mp4").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["a.mp4"]


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.mov"])
def test_an_interruption_leaves_a_playable_partial(tmp_path: Path, name: str) -> None:
    with pytest.raises(KeyboardInterrupt), open_writer(str(tmp_path / name), shot_of(count=5)) as writer:  # noqa: PT012
        for number in (1, 2, 3):
            writer.write(frame_of(ramp(HEIGHT, WIDTH), "uint8", number=number))
        raise KeyboardInterrupt
    partial = name.replace(".", ".partial.")
    assert [path.name for path in tmp_path.iterdir()] == [partial]
    assert len(list(open_reader(str(tmp_path / partial)))) == 3


def test_an_interruption_leaves_what_bears_the_name_of_a_part(tmp_path: Path) -> None:
    (tmp_path / "a.partial.mp4").write_bytes(b"an earlier part")
    with pytest.raises(KeyboardInterrupt), open_writer(str(tmp_path / "a.mp4"), shot_of(count=5)) as writer:  # noqa: PT012
        writer.write(frame_of(ramp(HEIGHT, WIDTH), "uint8"))
        raise KeyboardInterrupt
    assert (tmp_path / "a.partial.mp4").read_bytes() == b"an earlier part"
    assert writer.path == str(tmp_path / "a.partial-2.mp4")
    assert len(list(open_reader(writer.path))) == 1


def test_an_interruption_before_the_first_frame_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), open_writer(str(tmp_path / "a.mp4"), shot_of(count=5)):
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


def test_an_existing_movie_is_refused_or_replaced(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"earlier")
    with pytest.raises(OutputExists, match="--overwrite"):
        open_writer(str(tmp_path / "a.mp4"), shot_of())
    with open_writer(str(tmp_path / "a.mp4"), shot_of(), overwrite=True) as writer:
        writer.write(frame_of(ramp(HEIGHT, WIDTH), "uint8"))
        assert (tmp_path / "a.mp4").read_bytes() == b"earlier"
    assert open_reader(str(tmp_path / "a.mp4")).info.frame_count == 1


def test_the_input_movie_is_never_the_output(tmp_path: Path) -> None:
    write_movie(tmp_path / "a.mp4", moving_planes(2))
    with open_reader(str(tmp_path / "a.mp4")) as reader, pytest.raises(OutputExists, match="never overwritten"):
        open_writer(str(tmp_path / "." / "a.mp4"), reader.info, overwrite=True)


def test_a_frame_of_another_size_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="a movie has one size"), open_writer(str(tmp_path / "a.mp4"), shot_of()) as w:  # noqa: PT012
        w.write(frame_of(noise(32, 32, 3, np.uint8), "uint8"))
        w.write(frame_of(noise(32, 34, 3, np.uint8), "uint8", number=2))
    assert leftovers(tmp_path) == []


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.mov"])
def test_an_empty_movie_is_one_sentence(tmp_path: Path, name: str) -> None:
    (tmp_path / name).touch()
    with pytest.raises(UnreadableMedia, match="empty file"):
        open_reader(str(tmp_path / name))


def test_content_that_is_no_movie_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"no movie at all" * 100)
    with pytest.raises(UnreadableMedia, match="expected a sound movie"):
        open_reader(str(tmp_path / "a.mp4"))


@pytest.mark.parametrize("share", [0.3, 0.7])
@pytest.mark.parametrize("faststart", [True, False])
def test_a_truncated_mp4_is_refused_at_once(tmp_path: Path, share: float, faststart: bool) -> None:
    source = tmp_path / "a.mp4"
    write_movie(source, moving_planes(20))
    if faststart:
        copy(source, tmp_path / "b.mp4")
        source = tmp_path / "b.mp4"
    whole = source.read_bytes()
    source.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(UnreadableMedia, match="copy it again"):
        open_reader(str(source))


def test_sound_alone_is_no_movie(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "a.mov"), "w") as output:
        stream = output.add_stream("pcm_s16le", rate=48000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 960), np.int16), format="s16", layout="mono")
        frame.sample_rate = 48000
        output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    with pytest.raises(UnsupportedMedia, match="only sound"):
        open_reader(str(tmp_path / "a.mov"))
