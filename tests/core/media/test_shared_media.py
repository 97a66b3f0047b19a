"""The promises of reader and writer on real material: reference EXRs, damaged files, movies of both ranges."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from impasto.core.errors import MediaError, UnsupportedMedia
from impasto.core.media import FrameRange, open_reader, open_writer
from impasto.core.media.picture_reader import read_picture
from impasto.core.media.picture_writer import write_picture
from tests.core.media.builders import header_of, luma_planes, native_parts

pytestmark = pytest.mark.shared

PICTURES = [
    "Beachball/multipart.0001.exr",
    "Beachball/singlepart.0002.exr",
    "Chromaticities/XYZ.exr",
    "DisplayWindow/t01.exr",
    "DisplayWindow/t05.exr",
    "DisplayWindow/t08.exr",
    "DisplayWindow/t15.exr",
    "LuminanceChroma/Garden.exr",
    "MultiResolution/PeriodicPattern.exr",
    "MultiView/Adjuster.exr",
    "ScanLines/Cannon.exr",
    "ScanLines/Carrots.exr",
    "TestImages/AllHalfValues.exr",
    "TestImages/BrightRingsNanInf.exr",
    "TestImages/WideColorGamut.exr",
    "Tiles/GoldenGate.exr",
    "grid-overscan.exr",
    "v2/LowResLeftView/composited.exr",
    "dpx/dpx_nuke_10bits_rgb.dpx",
    "hdr/venice_sunset_1k.hdr",
    "png16/flower_small_depth16.ppm",
    *(f"tiff_depth/flower-rgb-contig-{bits}.tif" for bits in ("08", "10", "12", "14", "16")),
]

STAMPED = {"DateTime", "dpx:Version"}
"""OpenImageIO dates a file that bears no date, and writes DPX 2.0."""
NOT_KEPT = {
    "oiio:miplevels",
    "openexr:roundingmode",
    "textureformat",
    "thumbnail_width",
    "thumbnail_height",
    "thumbnail_nchannels",
}
"""What describes mip levels and previews, which are not written."""


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_survives_bit_for_bit(shared_media: Path, tmp_path: Path, name: str) -> None:
    source, result = shared_media / "exr" / name, tmp_path / Path(name).name
    write_picture(str(result), str(result), read_picture(str(source)))
    before, after = native_parts(source), native_parts(result)
    assert len(before) == len(after)
    for (wanted, samples), (found, copies) in zip(before, after, strict=True):
        for fact in ("x", "y", "width", "height", "full_x", "full_y", "full_width", "full_height", "tile_width"):
            assert getattr(wanted, fact) == getattr(found, fact), fact
        assert [str(each) for each in wanted.channelformats] == [str(each) for each in found.channelformats]
        assert list(samples) == list(copies)
        for channel, values in samples.items():
            assert values.dtype == copies[channel].dtype
            assert values.tobytes() == copies[channel].tobytes(), channel
        headers = header_of(wanted), header_of(found)
        differing = {key for key in headers[0].keys() | headers[1].keys() if headers[0].get(key) != headers[1].get(key)}
        # An EXR that was once a TIFF tells so in attributes that OpenImageIO writes into TIFF alone.
        assert {key for key in differing - STAMPED - NOT_KEPT if not key.startswith("tiff:")} == set()


def test_a_sequence_with_a_moving_data_window_survives(shared_media: Path, tmp_path: Path) -> None:
    pattern = str(shared_media / "exr" / "Beachball" / "multipart.####.exr")
    with open_reader(pattern) as reader, open_writer(str(tmp_path / "out.%04d.exr"), reader.info) as writer:
        assert (reader.info.width, reader.info.height, reader.info.frame_count) == (2048, 1556, 2)
        windows = []
        for frame in reader:
            writer.write(frame)
            windows.append(frame.part.data_window)
    assert windows[0] != windows[1]
    assert [frame.part.data_window for frame in open_reader(str(tmp_path / "out.####.exr"))] == windows


def test_every_damaged_file_is_refused(shared_media: Path) -> None:
    damaged = sorted((shared_media / "exr" / "Damaged").iterdir())
    assert damaged
    for path in damaged:
        with pytest.raises(MediaError) as caught:
            read_picture(str(path))
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "kind"), [("LuminanceChroma/Flowers.exr", "subsampled"), ("v2/LowResLeftView/Trunks.exr", "deep")]
)
def test_deep_and_subsampled_are_unsupported(shared_media: Path, name: str, kind: str) -> None:
    with pytest.raises(UnsupportedMedia, match=kind):
        read_picture(str(shared_media / "exr" / name))


def test_a_folder_of_pngs_is_a_shot(shared_media: Path) -> None:
    info = open_reader(str(shared_media / "clips" / "sintel_market_seq")).info
    assert (info.first, info.frame_count, info.width, info.height) == (16, 10, 1024, 436)


@pytest.fixture
def full_range_movie(shared_media: Path, tmp_path: Path) -> Path:
    """A second full-range movie: real frames of a limited-range one, written with the full-range flag in .mp4."""
    target = tmp_path / "full.mp4"
    with av.open(str(shared_media / "clips" / "drive_highway_540p25.mp4")) as source, av.open(str(target), "w") as out:
        stream = out.add_stream("libx264", rate=25, options={"crf": "4", "preset": "ultrafast"})
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = 960, 540, "yuv420p"
        stream.codec_context.color_range = 2
        for index, frame in enumerate(source.decode(video=0)):
            if index == 6:
                break
            wide = frame.reformat(format="yuv420p", src_color_range=1, dst_color_range=2)
            wide.pts, wide.time_base, wide.color_range = index, Fraction(1, 25), 2
            out.mux(stream.encode(wide))
        out.mux(stream.encode(None))
    return target


def assert_levels_survive(source: Path, result: Path, count: int) -> None:
    with open_reader(str(source), frames=FrameRange(1, count)) as reader:
        with open_writer(str(result), reader.info) as writer:
            for frame in reader:
                writer.write(frame)
        before = reader.info.movie
    after = open_reader(str(result)).info.movie
    assert before is not None
    assert after is not None
    assert before.full_range == after.full_range
    planes = [np.stack(luma_planes(path)[:count]).astype(float) for path in (source, result)]
    assert abs(planes[0].mean() - planes[1].mean()) < 0.25
    levels = [np.percentile(plane, [0.5, 5, 50, 95, 99.5]) for plane in planes]
    np.testing.assert_allclose(levels[1], levels[0], atol=1)


@pytest.mark.parametrize("result", ["out.mkv", "out.mp4", "out.mov"])
def test_a_full_range_movie_keeps_its_levels(shared_media: Path, tmp_path: Path, result: str) -> None:
    source = shared_media / "clips" / "person_signing_480p30_fullrange.mkv"
    assert_levels_survive(source, tmp_path / result, 6)


def test_a_second_full_range_movie_keeps_its_levels(full_range_movie: Path, tmp_path: Path) -> None:
    facts = open_reader(str(full_range_movie)).info.movie
    assert facts is not None
    assert facts.full_range
    assert_levels_survive(full_range_movie, tmp_path / "out.mp4", 6)


@pytest.mark.parametrize("name", ["hands_cups_720p30.mp4", "street_bikes_cuts_272p25.mp4"])
def test_a_limited_range_movie_keeps_its_levels(shared_media: Path, tmp_path: Path, name: str) -> None:
    assert_levels_survive(shared_media / "clips" / name, tmp_path / "out.mp4", 4)
