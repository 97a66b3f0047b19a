"""Pictures with ICC profiles that no name stands for: curves, matrices, grey, and the tables of cameras."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from impasto.core import colour
from impasto.core.engine import Engine
from impasto.core.frame import Frame
from impasto.core.frame_settings import FrameSettings
from impasto.core.icc import REC709, colorants_of, make_profile, profile_for
from impasto.core.icc_stages import has_tables, stages_of
from impasto.core.media import open_reader, open_writer
from impasto.core.media.picture_reader import read_picture
from impasto.core.working_picture import without_tables
from impasto.server.protocol.messages import RenderSettings, ShotJob
from impasto.server.shots.output_space import output_of
from tests.core.media.builders import noise, shot_of, write_with_oiio
from tests.core.media.profiles import CAMERA, Table, camera_xyz, grey_profile, lab_of, table_profile

TABLES: list[tuple[Table, str]] = [
    ("mft1", "Lab "), ("mft2", "Lab "), ("mft2", "XYZ "), ("mAB8", "Lab "), ("mAB16", "Lab "), ("mAB16", "XYZ "),
]  # fmt: skip
PROFILES = {
    "Display P3": profile_for("srgb_p3d65_scene") or b"",
    "Adobe RGB": profile_for("g22_adobergb_scene") or b"",
    "camera": make_profile(CAMERA, "a camera"),
    "tables": table_profile("mft2", "Lab "),
}
TO_REC709 = np.linalg.inv(colorants_of(REC709).T)


def muted() -> np.ndarray:
    """Colours that are inside every space here, in soft waves that JPEG and H.264 keep."""
    y, x = np.mgrid[0:64, 0:96] / 64
    waves = [np.sin(3 * x + 2 * y), np.sin(2 * x - 3 * y + 1), np.sin(4 * y + 2)]
    return np.rint(127 + 20 * np.stack(waves, axis=2)).astype(np.uint8)


def written(path: Path, pixels: np.ndarray, profile: bytes, stored: str = "uint8") -> Frame:
    write_with_oiio(path, pixels, stored, {"ICCProfile": (f"uint8[{len(profile)}]", profile)})
    return read_picture(str(path))


def light(frame: Frame) -> np.ndarray:
    return colour.to_linear(colour.to_float(frame.colour), colour.plate_space(frame))


@pytest.mark.parametrize(("kind", "connection"), TABLES)
def test_tables_mean_what_littlecms_reads_in_them(kind: Table, connection: str) -> None:
    image, cms = pytest.importorskip("PIL.Image"), pytest.importorskip("PIL.ImageCms")
    profile, pixels = table_profile(kind, connection), noise(48, 48, 3, np.uint8)  # type: ignore[arg-type]
    found = colour.encode(colour.to_linear(colour.to_float(pixels), colour.PlateSpace("camera", profile=profile)))
    exact = cms.Flags.NOOPTIMIZE
    transform = cms.buildTransform(
        cms.ImageCmsProfile(io.BytesIO(profile)), cms.createProfile("sRGB"), "RGB", "RGB", 1, exact
    )
    expected = np.asarray(cms.applyTransform(image.fromarray(pixels), transform), np.float64)
    np.testing.assert_allclose(found.clip(0, 1) * 255, expected, atol=0.75)


@pytest.mark.parametrize(("kind", "connection"), TABLES)
def test_tables_mean_the_camera_that_they_were_made_of(kind: Table, connection: str) -> None:
    profile, pixels = table_profile(kind, connection), muted()  # type: ignore[arg-type]
    found = colour.to_linear(colour.to_float(pixels), colour.PlateSpace("camera", profile=profile))
    xyz = camera_xyz(pixels / 255)
    difference = lab_of(found @ np.linalg.inv(TO_REC709).T) - lab_of(xyz)
    assert np.linalg.norm(difference, axis=-1).max() < (1.5 if "8" in kind or kind == "mft1" else 0.2)


def test_curves_and_a_matrix_lead_there_and_back() -> None:
    space = colour.PlateSpace("camera", profile=PROFILES["camera"])
    pixels = colour.to_float(noise(32, 32, 3, np.uint16))
    found = colour.to_linear(pixels, space)
    np.testing.assert_allclose(found, camera_xyz(pixels.astype(np.float64)) @ TO_REC709.T, atol=5e-4)  # 1.8 in 1/256
    np.testing.assert_allclose(colour.from_linear(found, space), pixels, atol=2e-4)


def test_grey_has_the_curve_of_its_profile(tmp_path: Path) -> None:
    frame = written(tmp_path / "a.tif", np.full((8, 8, 1), 128, np.uint8), grey_profile(1.8))
    assert frame.colour_space == "icc"
    space = colour.plate_space(frame)
    found = colour.to_linear(np.repeat(colour.to_float(frame.colour), 3, axis=2), space)
    np.testing.assert_allclose(found, (128 / 255) ** 1.8, atol=1e-3)


@pytest.mark.parametrize(
    "broken", [b"", b"nonsense", table_profile("mft2", "XYZ ")[:400], table_profile("mAB16", "Lab ")[:-9000]]
)
def test_a_profile_that_stops_short_is_none(broken: bytes) -> None:
    assert stages_of(broken) is None
    sound = bytearray(table_profile("mAB16", "XYZ "))
    sound[sound.index(b"mAB ") + 16 : sound.index(b"mAB ") + 20] = b"\xff\xff\xff\xf0"
    assert stages_of(bytes(sound)) is None


@pytest.fixture(scope="module")
def identity() -> Engine:
    return Engine("identity", device="cpu")


@pytest.fixture(scope="module")
def painter() -> Engine:
    """Paints as `identity` does, under another name."""
    style = Engine("identity", device="cpu").style
    return Engine(replace(style, card=replace(style.card, name="paint")), device="cpu")


RESULTS = ["b.jpg", "b.png", "b.tif", "b.exr", "b.dpx", "b.hdr", "b.ppm", "b.mp4"]


@pytest.mark.parametrize("result", RESULTS)
@pytest.mark.parametrize("source", ["a.jpg", "a.png", "a.tif"])
@pytest.mark.parametrize("profile", PROFILES)
def test_every_pair_of_formats_keeps_the_look(
    tmp_path: Path, painter: Engine, profile: str, source: str, result: str
) -> None:
    frame = written(tmp_path / source, muted(), PROFILES[profile])
    assert frame.notes == ()
    job = ShotJob(RenderSettings("paint"), str(tmp_path / source), str(tmp_path / result))
    info = shot_of(job.input, width=96, height=64, kind="still")
    with open_writer(job.output, info) as writer:
        writer.write(painter(frame, FrameSettings(output=output_of(job, info, frame))))
    with open_reader(job.output) as reader:
        again = next(iter(reader))
    lossy = {"b.jpg": 0.03, "b.mp4": 0.06}.get(result, 0.006)
    if source == "a.jpg" and result == "b.jpg":
        lossy = 0.06
    shown, expected = colour.encode(light(again)), colour.encode(light(frame))
    assert np.abs(shown - expected).max() < lossy
    if profile != "tables" and result in ("b.png", "b.tif"):
        np.testing.assert_array_equal(again.colour, frame.colour)
        assert bytes(again.part.attributes["ICCProfile"].value) == PROFILES[profile]


@pytest.mark.parametrize("result", ["b.png", "b.tif"])
@pytest.mark.parametrize("profile", ["camera", "tables"])
def test_identity_leaves_codes_and_profile_as_they_were(
    tmp_path: Path, identity: Engine, profile: str, result: str
) -> None:
    frame = written(tmp_path / "a.tif", noise(32, 48, 3, np.uint16), PROFILES[profile], "uint16")
    rendered = identity.render(frame)
    assert rendered.report.notes == ()
    with open_writer(str(tmp_path / result), shot_of(frame.source, width=48, height=32, kind="still")) as writer:
        writer.write(rendered.frame)
    again = read_picture(str(tmp_path / result))
    np.testing.assert_array_equal(again.colour, frame.colour)
    assert bytes(again.part.attributes["ICCProfile"].value) == PROFILES[profile]


def test_tables_give_way_to_display_p3_and_it_is_said(tmp_path: Path, painter: Engine) -> None:
    frame = written(tmp_path / "a.tif", noise(32, 48, 3, np.uint16), PROFILES["tables"], "uint16")
    assert has_tables(PROFILES["tables"])
    rendered = painter.render(frame)
    assert "written in Display P3" in rendered.report.notes[0]
    assert rendered.frame.colour_space == "srgb_p3d65_scene"
    assert rendered.frame.part.pixels.dtype == np.uint16
    assert rendered.frame.excess is not None  # noise has colours that no display shows
    shown = without_tables(frame, as_stored=False)
    np.testing.assert_allclose(light(shown), light(frame), atol=2e-3)
