from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from impasto.core import colour, working_picture
from impasto.core.colour import PlateSpace
from impasto.core.errors import UnknownName, UnsupportedMedia, UsageError
from impasto.core.frame import AlphaKind, Attribute, Frame, Pixels, Samples
from impasto.core.working_picture import to_plate, to_working

MEDIA = Path(__file__).parents[3] / "shared" / "media" / "exr"
XYZ = (1.0, 0.0, 0.0, 1.0, 0.0, 0.0, 1 / 3, 1 / 3)
AP1 = (0.713, 0.293, 0.165, 0.830, 0.128, 0.044, 0.32168, 0.33767)


@pytest.fixture(autouse=True)
def no_studio_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OCIO", raising=False)


def pixel(*values: float) -> Samples:
    return np.array(values, np.float32).reshape(1, 1, 3)


def grey(values: object) -> Samples:
    return np.repeat(np.asarray(values, np.float32).reshape(1, -1, 1), 3, axis=2)


def frame_of(dtype: type = np.float16, *, tag: str | None = None, chromaticities: object = None) -> Frame:
    frame = Frame.from_pixels(np.zeros((2, 2, 3), dtype), colour_space=tag)
    if chromaticities is None:
        return frame
    part = replace(frame.part, attributes={"chromaticities": Attribute("float[8]", chromaticities)})
    return replace(frame, parts=(part,))


def space_named(name: str) -> PlateSpace:
    return colour.plate_space(frame_of(), name)


def through_identity(frame: Frame, override: str | None = None) -> tuple[Samples, Samples]:
    """The way of the package's docstring with a network that changes nothing: before and after `restore`."""
    space = colour.plate_space(frame, override)
    plate = colour.to_float(frame.colour)
    alpha = frame.alpha if frame.alpha_kind is AlphaKind.ASSOCIATED else None
    with np.errstate(all="ignore"):
        linear = colour.to_linear(plate if alpha is None else colour.unpremultiply(plate, alpha), space)
        if alpha is not None:
            linear = colour.fill(linear, colour.coverage(alpha))
        shown, _ = colour.fill_invalid(linear)
        residual = colour.residual_of(shown)
        picture = colour.without_residual(shown, residual)
        assert picture.min() >= 0
        assert picture.max() <= 1
        painted = colour.add_residual(picture, residual)
        result = colour.from_linear(painted, space)
        mask = colour.changed(painted, linear)
    if alpha is not None:
        result = colour.premultiply(result, alpha)
        mask &= colour.coverage(alpha) > 0
    return result, colour.restore(result, plate, mask)


class TestCurve:
    def test_known_values(self) -> None:
        # IEC 61966-2-1, clause 5.2, worked out in decimal arithmetic.
        known = {0.0: 0.0, 0.02: 0.0015479876, 0.5: 0.2140411405, 0.735357: 0.5000000, 1.0: 1.0}
        for encoded, linear in known.items():
            assert colour.decode(pixel(encoded, 0, 0))[0, 0, 0] == pytest.approx(linear, rel=1e-6)
            assert colour.encode(pixel(linear, 0, 0))[0, 0, 0] == pytest.approx(encoded, rel=1e-6)

    def test_one_and_zero_are_exact(self) -> None:
        ends = pixel(0, 1, 0)
        np.testing.assert_array_equal(colour.encode(ends), ends)
        np.testing.assert_array_equal(colour.decode(ends), ends)

    def test_the_round_trip_is_precise_down_to_black(self) -> None:
        light = grey(np.geomspace(1e-12, 1e5, 20001))
        np.testing.assert_allclose(colour.decode(colour.encode(light)), light, rtol=1e-6)

    def test_the_curve_never_runs_backwards_at_the_knee(self) -> None:
        light = [np.float32(0.00313078)]
        for _ in range(300):
            light.append(np.nextafter(light[-1], np.float32(1)))
        assert (np.diff(colour.encode(grey(light))[0, :, 0]) >= 0).all()
        np.testing.assert_allclose(colour.decode(colour.encode(grey(light))), grey(light), rtol=1e-6)

    def test_negative_values_are_mirrored_and_bright_ones_go_on(self) -> None:
        values = pixel(-0.3, 1.7, -2.0)
        np.testing.assert_array_equal(colour.decode(-values), -colour.decode(values))
        assert colour.decode(values)[0, 0, 1] > 3


class TestSamples:
    @pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
    def test_every_integer_comes_back(self, dtype: type) -> None:
        every = np.arange(np.iinfo(dtype).max + 1, dtype=dtype).reshape(1, -1, 1)
        fractions = colour.to_float(every)
        assert fractions.dtype == np.float32
        assert fractions[0, -1, 0] == 1
        np.testing.assert_array_equal(colour.to_samples(fractions, dtype), every)

    def test_integers_are_rounded_and_clipped_and_nan_is_black(self) -> None:
        values = np.array([[[-1, 2, np.nan, np.inf, -np.inf, 0.5019]]], np.float32)
        assert colour.to_samples(values, np.uint8).ravel().tolist() == [0, 255, 0, 255, 0, 128]

    def test_floats_are_not_clipped(self) -> None:
        values = np.array([[[-10, 60000, np.inf]]], np.float32)
        np.testing.assert_array_equal(colour.to_samples(values, np.float16), values.astype(np.float16))

    def test_other_integers_are_refused(self) -> None:
        with pytest.raises(UnsupportedMedia, match="uint32"):
            colour.to_float(np.zeros((1, 1, 3), np.uint32))


class TestPlateSpace:
    def test_silent_floats_are_scene_linear_and_silent_integers_srgb(self) -> None:
        half = colour.plate_space(frame_of(np.float16))
        light = pixel(-1, 0.5, 100)
        np.testing.assert_array_equal(colour.to_linear(light, half), light)
        assert colour.plate_space(frame_of(np.uint8)).is_working

    def test_movies_are_the_working_picture_code_for_code(self) -> None:
        assert colour.plate_space(frame_of(np.uint16, tag="rec709")).is_working

    def test_linear_samples_take_the_chromaticities_of_their_header(self) -> None:
        for tag in (None, "scene_linear", "Linear"):
            assert colour.plate_space(frame_of(tag=tag, chromaticities=XYZ)).chromaticities == XYZ

    def test_a_named_space_outranks_the_header_and_the_user_outranks_both(self) -> None:
        frame = frame_of(tag="ACEScg", chromaticities=XYZ)
        assert colour.plate_space(frame).name == "ACEScg"
        assert colour.plate_space(frame, "arri_logc4").name == "ARRI LogC4"

    @pytest.mark.parametrize(
        "name",
        ["srgb", "rec709", "scene_linear", "pq2020", "hlg2020", "ACEScg", "acescg", "lin_rec709", "acescct"]
        + ["ARRI LogC4", "lin_ap1_scene", "g24_rec709_scene", "color_timing", "ocio:itu709_rec709_scene"],
    )
    def test_tags_names_aliases_roles_and_interop_ids_are_known(self, name: str) -> None:
        assert colour.plate_space(frame_of(tag=name)) == colour.plate_space(frame_of(), name)

    def test_an_unknown_name_offers_the_nearest(self) -> None:
        with pytest.raises(UnknownName, match="ARRI LogC4"):
            colour.plate_space(frame_of(), "ARI LogC4")
        with pytest.raises(UnknownName, match="--input-space"):
            colour.plate_space(frame_of(tag="KodakLog"))

    def test_impossible_chromaticities_are_refused(self) -> None:
        for numbers in ((0.3,) * 8, (0.0,) * 8, (float("nan"),) * 8, (0.64, 0.33)):
            with pytest.raises(UnsupportedMedia, match="chromaticities"):
                colour.plate_space(frame_of(chromaticities=numbers))

    def test_every_name_on_the_list_can_be_used(self) -> None:
        for name in colour.spaces():
            space = space_named(name)
            assert np.isfinite(colour.to_linear(pixel(0.4, 0.4, 0.4), space)).all(), name

    def test_the_studio_configuration_is_read_when_asked_for(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        assert "studio-config" in colour.config_name()
        # Space 'Double' holds ACES2065-1 times two; scene_linear is the studio's own role.
        (tmp_path / "studio.ocio").write_text(
            "ocio_profile_version: 2\n"
            "roles: {default: ap0, aces_interchange: ap0, scene_linear: Double}\n"
            "displays: {d: [!<View> {name: v, colorspace: ap0}]}\n"
            "colorspaces:\n"
            "  - !<ColorSpace> {name: ap0}\n"
            "  - !<ColorSpace> {name: Double, to_scene_reference: !<MatrixTransform>\n"
            "     {matrix: [0.5, 0, 0, 0, 0, 0.5, 0, 0, 0, 0, 0.5, 0, 0, 0, 0, 1]}}\n"
        )
        monkeypatch.setenv("OCIO", str(tmp_path / "studio.ocio"))
        assert colour.config_name().endswith("studio.ocio")
        assert colour.spaces()[:2] == ("ap0", "Double")
        assert space_named("scene_linear").name == "Double"
        np.testing.assert_allclose(colour.to_linear(pixel(2, 2, 2), space_named("Double")), 1, rtol=1e-5)
        assert space_named("ACEScg").name == "ACEScg"

    def test_a_broken_studio_configuration_is_a_usage_error(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("OCIO", "/nowhere/studio.ocio")
        with pytest.raises(UsageError, match=r"\$OCIO"):
            colour.plate_space(frame_of(), "ACEScg")

    def test_import_reads_no_environment(self) -> None:
        code = "import os; os.environ['OCIO']='/nowhere'; import impasto.core.colour, json; print(json.dumps('fine'))"
        answer = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, timeout=60)
        assert json.loads(answer.stdout) == "fine"


class TestConversion:
    def test_acescg_is_the_published_matrix(self) -> None:
        # AP1 to Rec.709 with Bradford from ACES white to D65, as printed in the ACES documentation
        # (rows of the matrix: what pure red, green and blue of ACEScg turn into, transposed).
        published = [[1.70505, -0.62179, -0.08326], [-0.13026, 1.14080, -0.01055], [-0.02400, -0.12897, 1.15297]]
        primaries = np.eye(3, dtype=np.float32).reshape(1, 3, 3)
        by_name = colour.to_linear(primaries, space_named("ACEScg"))[0].T
        by_header = colour.to_linear(primaries, colour.plate_space(frame_of(chromaticities=AP1)))[0].T
        np.testing.assert_allclose(by_name, published, atol=2e-5)
        np.testing.assert_allclose(by_header, published, atol=2e-5)

    def test_xyz_primaries_are_tristimulus_values(self) -> None:
        # The D65 white of IEC 61966-2-1, clause 5.1.
        white = colour.to_linear(pixel(0.9505, 1.0, 1.0890), colour.plate_space(frame_of(chromaticities=XYZ)))
        np.testing.assert_allclose(white, 1, atol=5e-4)

    @pytest.mark.parametrize(
        ("name", "code", "light"),
        [
            # ARRI, ALEXA LogC curve usage in VFX (2012), EI 800: 18 % grey is 0.391007, black 0.092809.
            ("ARRI LogC3 (EI800)", 0.391007, 0.18),
            ("ARRI LogC3 (EI800)", 0.092809, 0.0),
            # ARRI, LogC4 specification (2022): 18 % grey is 0.2783958, black 0.0928641.
            ("ARRI LogC4", 0.2783958, 0.18),
            ("ARRI LogC4", 0.0928641, 0.0),
            # Sony, S-Log3 technical summary: 18 % is 420 of 1023, black 95.
            ("S-Log3 S-Gamut3", 420 / 1023, 0.18),
            ("S-Log3 S-Gamut3", 95 / 1023, 0.0),
            # Academy S-2016-001 (ACEScct): 18 % grey is 0.4135884.
            ("ACEScct", 0.4135884, 0.18),
            # ITU-R BT.2408-7, table 1: 203 cd/m² is 58 % PQ; 1.0 is 100 cd/m².
            ("pq2020", 0.58069, 2.03),
        ],
    )
    def test_grey_of_a_camera_curve(self, name: str, code: float, light: float) -> None:
        np.testing.assert_allclose(
            colour.to_linear(pixel(code, code, code), space_named(name)), light, rtol=2e-4, atol=2e-6
        )

    @pytest.mark.parametrize(
        "name",
        [
            "srgb",
            "scene_linear",
            "ACEScg",
            "ACES2065-1",
            "acescct",
            "ARRI LogC3 (EI800)",
            "ARRI LogC4",
            "Camera Rec.709",
        ]
        + ["S-Log3 S-Gamut3.Cine", "V-Log V-Gamut", "Log3G10 REDWideGamutRGB", "CanonLog3 CinemaGamut D55", "adobergb"],
    )
    def test_light_comes_back_within_a_millionth_of_the_largest_channel(self, name: str) -> None:
        light = np.random.default_rng(5).uniform(0.001, 8, (65, 16, 3)).astype(np.float32)
        space = space_named(name)
        back = colour.to_linear(colour.from_linear(light, space), space)
        # A log in float32 resolves light to the step of its code value times the slope of the curve.
        limit = 2e-6 if "Log" in name or "cct" in name else 1e-6
        assert (np.abs(back - light).max(axis=2) / light.max(axis=2)).max() < limit

    @pytest.mark.parametrize("name", ["srgb", "scene_linear", "ACEScg", "ARRI LogC4"])
    def test_the_plate_is_not_written_to(self, name: str) -> None:
        plate = np.random.default_rng(6).random((70, 3, 3)).astype(np.float32)
        before = plate.copy()
        colour.to_linear(plate, space_named(name))
        colour.from_linear(plate, space_named(name))
        np.testing.assert_array_equal(plate, before)

    def test_a_result_does_not_depend_on_the_rows_around_it(self) -> None:
        plate = np.random.default_rng(7).random((150, 5, 3)).astype(np.float32)
        for name in ("srgb", "ACEScg", "ARRI LogC4", "pq2020"):
            whole = colour.to_linear(plate, space_named(name))
            np.testing.assert_array_equal(colour.to_linear(plate[37:91], space_named(name)), whole[37:91])


def split(linear: Samples) -> tuple[Samples, colour.Residual]:
    """The picture that the network sees of light without an invalid pixel, and the rest."""
    residual = colour.residual_of(linear)
    return colour.without_residual(linear, residual), residual


class TestHdrResidual:
    def test_bright_and_negative_light_is_taken_off(self) -> None:
        picture, residual = split(pixel(100, -0.2, 50))
        assert residual.gain is not None
        assert residual.floor is not None
        np.testing.assert_array_equal(residual.gain, [[100]])
        np.testing.assert_array_equal(residual.floor, pixel(0, -0.2, 0))
        np.testing.assert_allclose(picture, colour.encode(pixel(1, 0, 0.5)), rtol=1e-6)

    def test_what_the_network_does_is_scaled_by_the_gain(self) -> None:
        _, residual = split(pixel(100, -0.2, 50))
        np.testing.assert_allclose(
            colour.add_residual(pixel(0.5, 0.5, 0.5), residual), pixel(21.40411, 21.20411, 21.40411), rtol=1e-6
        )

    def test_a_network_may_leave_its_range(self) -> None:
        _, residual = split(pixel(0.5, 0.5, 0.5))
        np.testing.assert_array_equal(
            colour.add_residual(pixel(-0.1, 1.5, 0), residual), colour.decode(pixel(-0.1, 1.5, 0))
        )

    @settings(max_examples=60, deadline=None)
    @given(arrays(np.float32, (3, 4, 3), elements=st.floats(-10, 60000, width=32)))
    def test_an_identity_returns_float_light(self, light: Samples) -> None:
        picture, residual = split(light)
        back = colour.add_residual(picture, residual)
        np.testing.assert_allclose(back, light, rtol=1e-6, atol=1e-37)
        assert not colour.changed(back, light).any()

    def test_an_identity_returns_every_half(self) -> None:
        every = np.arange(65536, dtype=np.uint16).view(np.float16)
        plate = np.stack([every, every[::-1], np.roll(every, 9001)], axis=1).reshape(256, 256, 3)
        frame = Frame.from_pixels(plate)
        _, result = through_identity(frame)
        np.testing.assert_array_equal(
            colour.to_samples(result, np.float16).view(np.uint16)[np.isfinite(plate)],
            plate.view(np.uint16)[np.isfinite(plate)],
        )
        np.testing.assert_array_equal(colour.to_samples(result, np.float16), plate)

    def test_an_invalid_pixel_changes_no_other(self) -> None:
        light = np.full((9, 9, 3), 4.0, np.float32)
        light[4, 4], light[6, 2] = (np.nan, 0.1, 0.2), (0.1, np.inf, -np.inf)
        expected = colour.add_residual(np.ones_like(light), colour.residual_of(np.full((9, 9, 3), 4.0, np.float32)))
        with np.errstate(invalid="ignore"):
            result = colour.add_residual(np.ones_like(light), colour.residual_of(light))
        valid = np.isfinite(light).all(axis=2)
        np.testing.assert_array_equal(result[valid], expected[valid])
        assert not colour.changed(light, light)[~valid].any()


class TestWorkingPicture:
    def test_invalid_pixels_are_hidden_and_counted(self) -> None:
        light = np.full((9, 9, 3), 0.25, np.float32)
        light[4, 4], light[6, 2] = (np.nan, 0.1, 0.2), (0.1, np.inf, -np.inf)
        working = to_working(Frame.from_pixels(light))
        assert working.invalid_pixels == 2
        np.testing.assert_allclose(working.picture, colour.encode(np.full((9, 9, 3), 0.25, np.float32)), rtol=1e-6)

    def test_a_frame_without_one_valid_pixel_is_black_to_the_network(self) -> None:
        assert not to_working(Frame.from_pixels(np.full((3, 3, 3), np.nan, np.float32))).picture.any()

    def test_the_largest_floats_do_not_overflow(self) -> None:
        light = np.full((4, 4, 3), 3e38, np.float32)
        light[1, 1] = np.nan
        assert np.isfinite(to_working(Frame.from_pixels(light)).picture).all()

    @pytest.mark.parametrize("dtype", ["uint8", "float16", "float32"])
    @pytest.mark.parametrize("space", [None, "ACEScct"])
    def test_strips_equal_the_whole(self, dtype: str, space: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
        pixels = np.random.default_rng(1).random((61, 47, 4)) * 1.2 - 0.1
        pixels[20:40, 10:30, 3] = 0
        frame = Frame.from_pixels((pixels * 200).astype(dtype) if dtype == "uint8" else pixels.astype(dtype))
        results = []
        for strip in (1, 1 << 15):
            monkeypatch.setattr(working_picture, "STRIP_PIXELS", strip)
            working = to_working(frame, input_space=space, exposure=0.5)
            result = to_plate(working, working.picture * np.float32(0.9), strength=0.8)
            results.append((working.picture, result.part.pixels))
        for one, other in zip(*results, strict=True):
            np.testing.assert_array_equal(one, other)


class TestRestore:
    def test_unchanged_pixels_are_the_plates_own_through_a_log_curve(self) -> None:
        plate = np.random.default_rng(8).uniform(0, 0.9, (40, 40, 3)).astype(np.float32)
        raw, result = through_identity(Frame.from_pixels(plate), "ARRI LogC4")
        assert (raw != plate).any()
        np.testing.assert_array_equal(result, plate)

    def test_a_change_above_rounding_is_kept(self) -> None:
        linear = np.full((2, 2, 3), 0.5, np.float32)
        painted = linear.copy()
        painted[0, 0, 1] *= np.float32(1 + 1e-5)
        mask = colour.changed(painted, linear)
        assert mask.tolist() == [[True, False], [False, False]]
        np.testing.assert_array_equal(colour.restore(painted, linear, mask), painted)

    def test_a_pixel_the_network_made_invalid_counts_as_changed(self) -> None:
        linear = np.full((1, 2, 3), 0.5, np.float32)
        painted = linear.copy()
        painted[0, 0, 0] = np.nan
        assert colour.changed(painted, linear).tolist() == [[True, False]]


class TestAlpha:
    def test_premultiplication_is_undone_and_done_again(self) -> None:
        alpha = np.linspace(0.01, 1, 40, dtype=np.float32).reshape(4, 10)
        straight = np.random.default_rng(9).random((4, 10, 3)).astype(np.float32)
        premultiplied = straight * alpha[..., None]
        np.testing.assert_allclose(colour.unpremultiply(premultiplied, alpha), straight, rtol=1e-6)
        np.testing.assert_allclose(colour.premultiply(straight, alpha), premultiplied, rtol=1e-6)

    def test_tiny_alpha_does_not_explode(self) -> None:
        alpha = np.array([[1e-4, 1e-30, 0, -1, np.nan, np.inf]], np.float32)
        light = np.full((1, 6, 3), 7, np.float32)
        np.testing.assert_array_equal(colour.unpremultiply(light, alpha), light)
        assert not colour.coverage(alpha).any()

    def test_light_without_a_matte_comes_out_as_it_was(self) -> None:
        plate = np.zeros((8, 8, 4), np.float16)
        plate[2:5, 2:5] = (0.2, 0.4, 0.1, 0.5)
        plate[0, 0] = (3, 2, 1, 0)
        plate[7, 7] = (5, 5, 5, 1e-4)
        frame = Frame.from_pixels(plate)
        _, result = through_identity(frame)
        np.testing.assert_array_equal(result, plate[..., :3].astype(np.float32))


class TestFill:
    def test_a_constant_colour_fills_every_hole_with_itself(self) -> None:
        tint = np.broadcast_to(np.float32([0.2, 0.5, 3.0]), (45, 67, 3)).copy()
        weight = np.zeros((45, 67), np.float32)
        weight[10:12, 30:33] = (1, 0.5, 0.01)
        poisoned = tint.copy()
        poisoned[weight == 0] = np.nan
        np.testing.assert_allclose(colour.fill(poisoned, weight), tint, rtol=1e-5)

    def test_known_pixels_stay_bit_for_bit(self) -> None:
        rng = np.random.default_rng(10)
        pixels = rng.normal(size=(33, 20, 3)).astype(np.float32)
        weight = (rng.random((33, 20)) > 0.6).astype(np.float32)
        filled = colour.fill(pixels, weight)
        np.testing.assert_array_equal(filled[weight > 0], pixels[weight > 0])
        assert filled.min() >= pixels[weight > 0].min()
        assert filled.max() <= pixels[weight > 0].max()

    def test_the_fill_meets_the_edge_without_a_step(self) -> None:
        columns = np.linspace(0.2, 0.8, 64, dtype=np.float32)
        pixels = np.repeat(np.broadcast_to(columns, (64, 64))[..., None], 3, axis=2).copy()
        weight = np.ones((64, 64), np.float32)
        weight[:, 40:] = 0
        filled = colour.fill(pixels * weight[..., None], weight)
        assert np.abs(filled[:, 40] - pixels[:, 39]).max() < 0.05

    @pytest.mark.parametrize("shape", [(1, 1), (1, 9), (9, 1), (2, 3)])
    def test_small_frames(self, shape: tuple[int, int]) -> None:
        weight = np.zeros(shape, np.float32)
        weight[0, 0] = 1
        np.testing.assert_allclose(colour.fill(np.full((*shape, 3), 0.5, np.float32), weight), 0.5)

    def test_nothing_to_fill_from_is_black(self) -> None:
        assert not colour.fill(np.full((3, 3, 3), np.nan, np.float32), np.zeros((3, 3), np.float32)).any()

    def test_no_black_reaches_the_edge_of_a_matte(self) -> None:
        # A network with a wide reach, for which a box stands here, must not see the black below the matte.
        plate = np.zeros((32, 32, 4), np.float32)
        plate[8:24, 8:24] = (0.6, 0.3, 0.2, 1)
        linear = colour.fill(plate[..., :3], colour.coverage(plate[..., 3]))
        np.testing.assert_allclose(linear, np.broadcast_to(plate[10, 10, :3], (32, 32, 3)), rtol=1e-5)


class TestKeepColour:
    def test_amount_zero_is_the_style(self) -> None:
        styled, plate = pixel(0.1, 0.2, 0.3), pixel(0.9, 0.1, 0.5)
        assert colour.keep_colour(styled, plate, 0) is styled

    def test_light_from_the_style_hue_from_the_plate(self) -> None:
        styled, plate = pixel(0.5, 0.5, 0.5), pixel(0.5, 0.3, 0.3)
        kept = colour.keep_colour(styled, plate, 1)
        assert float((kept * colour.LUMA).sum()) == pytest.approx(0.5, abs=1e-6)
        np.testing.assert_allclose(kept[0, 0, 0] - kept[0, 0, 1], 0.2, atol=1e-6)

    def test_no_channel_leaves_the_range_and_luma_stays(self) -> None:
        rng = np.random.default_rng(11)
        styled, plate = rng.random((2, 50, 50, 3)).astype(np.float32)
        kept = colour.keep_colour(styled, plate, 1)
        assert kept.min() > -1e-6
        assert kept.max() < 1 + 1e-6
        np.testing.assert_allclose((kept * colour.LUMA).sum(axis=2), (styled * colour.LUMA).sum(axis=2), atol=1e-6)

    def test_an_unchanged_plate_stays(self) -> None:
        plate = np.random.default_rng(12).random((20, 20, 3)).astype(np.float32)
        np.testing.assert_allclose(colour.keep_colour(plate.copy(), plate, 1), plate, atol=3e-7)


class TestDetail:
    def test_an_unchanged_plate_gains_nothing(self) -> None:
        plate = np.random.default_rng(13).random((30, 30, 3)).astype(np.float32)
        np.testing.assert_array_equal(colour.put_back_detail(plate.copy(), plate, 1), plate)

    def test_a_smooth_style_gets_the_whole_detail(self) -> None:
        plate = np.random.default_rng(14).random((30, 30, 3)).astype(np.float32)
        flat = np.full_like(plate, 0.5)
        full = colour.put_back_detail(flat, plate, 1) - flat
        half = colour.put_back_detail(flat, plate, 0.5) - flat
        assert full.std() > 0.2
        np.testing.assert_allclose(half * 2, full, atol=1e-6)

    def test_a_result_depends_on_six_pixels_around_it(self) -> None:
        plate = np.random.default_rng(15).random((40, 40, 3)).astype(np.float32)
        styled = plate[::-1].copy()
        before = colour.put_back_detail(styled, plate, 1)
        plate[20, 20] += 1
        moved = np.argwhere((colour.put_back_detail(styled, plate, 1) != before).any(axis=2))
        assert np.abs(moved - 20).max() <= 6


def read(name: str) -> Frame:
    if not MEDIA.is_dir():
        pytest.skip("the shared test pictures are not beside the repository")
    oiio = pytest.importorskip("OpenImageIO")
    source = oiio.ImageInput.open(str(MEDIA / name))
    assert source is not None, oiio.geterror()
    spec = source.spec()
    pixels: Pixels = source.read_image(spec.format)
    chromaticities = spec.getattribute("chromaticities")
    source.close()
    frame = Frame.from_pixels(pixels)
    if chromaticities is None:
        return frame
    part = replace(frame.part, attributes={"chromaticities": Attribute("float[8]", chromaticities)})
    return replace(frame, parts=(part,))


@pytest.mark.shared
class TestRealPlates:
    def test_xyz_shows_the_same_picture_as_rec709(self) -> None:
        xyz, reference = read("Chromaticities/XYZ.exr"), read("Chromaticities/Rec709.exr")
        linear = colour.to_linear(colour.to_float(xyz.colour), colour.plate_space(xyz))
        np.testing.assert_allclose(linear, colour.to_float(reference.colour), atol=0.006)

    @pytest.mark.parametrize("space", [None, "ACEScg", "ARRI LogC4"])
    @pytest.mark.parametrize(
        "name",
        ["TestImages/WideColorGamut.exr", "TestImages/BrightRingsNanInf.exr", "TestImages/AllHalfValues.exr"]
        + ["Chromaticities/XYZ.exr", "ScanLines/Desk.exr", "v2/LowResLeftView/composited.exr"],
    )
    def test_an_identity_returns_the_plate(self, name: str, space: str | None) -> None:
        frame = read(name)
        _, result = through_identity(frame, space)
        np.testing.assert_array_equal(colour.to_samples(result, np.float16), frame.colour)


def test_a_log_dpx_is_read_by_kodaks_curve() -> None:
    """Code 685 of 1023 is white, 95 black, and 445 mid grey is 0.1493 of white, by the paper's formula."""
    codes = np.array([[[685, 95, 445]]], np.float32) / 1023
    frame = replace(Frame.from_pixels(np.zeros((1, 1, 3), np.uint16)), colour_space="cineon_log")
    space = colour.plate_space(frame)
    linear = colour.to_linear(codes, space)
    black = 10 ** ((95 - 685) * 0.002 / 0.6)
    expected = (10 ** ((445 - 685) * 0.002 / 0.6) - black) / (1 - black)
    np.testing.assert_allclose(linear, [[[1.0, 0.0, expected]]], atol=1e-5)
    np.testing.assert_allclose(colour.from_linear(linear, space), codes, atol=1e-6)


NUKE_DEFAULT = """ocio_profile_version: 1
search_path: luts
roles: {scene_linear: linear, compositing_log: curve}
displays:
  default:
    - !<View> {name: sRGB, colorspace: curve}
colorspaces:
  - !<ColorSpace> {name: linear, isdata: false}
  - !<ColorSpace> {name: curve, isdata: false, to_reference: !<ExponentTransform> {value: [2.2, 2.2, 2.2, 1]}}
"""
ACES_1 = """ocio_profile_version: 1
roles: {scene_linear: ACES - ACEScg, reference: ACES - ACES2065-1}
displays:
  default:
    - !<View> {name: none, colorspace: ACES - ACEScg}
colorspaces:
  - !<ColorSpace> {name: ACES - ACES2065-1, isdata: false}
  - !<ColorSpace>
    name: ACES - ACEScg
    isdata: false
    to_reference: !<MatrixTransform> {matrix: [0.695452241357, 0.140678696470, 0.163869062172, 0, 0.044794563372, 0.859671118456, 0.095534318172, 0, -0.005525882558, 0.004025210305, 1.001500672252, 0, 0, 0, 0, 1]}
  - !<ColorSpace> {name: curve, isdata: false, to_reference: !<ExponentTransform> {value: [2.2, 2.2, 2.2, 1]}}
"""  # noqa: E501


@pytest.mark.parametrize(("text", "primaries", "assumed"), [(NUKE_DEFAULT, None, True), (ACES_1, "ACES2065-1", False)])
def test_a_configuration_of_version_1_works_for_its_own_spaces(
    tmp_path: Path, text: str, primaries: str | None, assumed: bool
) -> None:
    """The first has no primaries of its own, the second is told by its conversions."""
    (tmp_path / "config.ocio").write_text(text)
    frame = Frame.from_pixels(np.zeros((1, 1, 3), np.float32))
    pixels = np.random.default_rng(5).random((8, 8, 3)).astype(np.float32)
    with colour.configuration(str(tmp_path / "config.ocio")):
        space = colour.plate_space(frame, "curve")
        light = colour.to_linear(pixels, space)
        np.testing.assert_allclose(colour.from_linear(light, space), pixels, atol=2e-5)
        said = colour.assumption_on(space)
    expected = pixels**2.2
    if primaries is not None:
        expected = colour.to_linear(expected, colour.plate_space(frame, primaries))
    np.testing.assert_allclose(light, expected, atol=2e-5)
    assert (said is not None) == assumed
    assert said is None or "'linear' is taken as linear light of Rec.709" in said


def test_a_configuration_without_any_linear_space_says_which_role_is_missing(tmp_path: Path) -> None:
    text = NUKE_DEFAULT.replace("scene_linear: linear", "default: reference").replace("name: linear", "name: reference")
    (tmp_path / "config.ocio").write_text(text)
    frame = Frame.from_pixels(np.zeros((1, 1, 3), np.float32))
    with (
        colour.configuration(str(tmp_path / "config.ocio")),
        pytest.raises(UsageError, match=r"expected a role aces_interchange or scene_linear in .* found neither"),
    ):
        colour.to_linear(frame.colour, colour.plate_space(frame, "curve"))


def test_a_linear_space_is_known_by_its_name_where_no_role_is_there(tmp_path: Path) -> None:
    (tmp_path / "config.ocio").write_text(NUKE_DEFAULT.replace("scene_linear: linear", "default: linear"))
    frame = Frame.from_pixels(np.full((1, 1, 3), 0.5, np.float32))
    with colour.configuration(str(tmp_path / "config.ocio")):
        found = colour.to_linear(frame.colour, colour.plate_space(frame, "curve"))
    np.testing.assert_allclose(found, 0.5**2.2, atol=1e-5)
