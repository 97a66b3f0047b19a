from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest

from impasto.core import colour, grade
from impasto.core.errors import UsageError
from impasto.core.frame import AlphaKind, Attribute, Frame, Part, Pixels, Samples, Window
from impasto.core.grade_settings import AFTER_CONTROLS, BEFORE_CONTROLS, After, Before, Resize
from impasto.core.resize import resize_frame
from tests.plates import noise


class TestSettings:
    @pytest.mark.parametrize(("settings", "controls"), [(Before, BEFORE_CONTROLS), (After, AFTER_CONTROLS)])
    def test_every_control_of_the_table_is_a_field_with_its_default(self, settings: type, controls: tuple) -> None:
        defaults = {field.name: field.default for field in fields(settings) if field.name != "resize"}
        assert defaults == {control.name: control.default for control in controls}
        assert all(control.help.endswith(".") for control in controls)

    @pytest.mark.parametrize(
        "wrong",
        [{"denoise": 2}, {"gamma": 0}, {"saturation": -1}, {"black": float("nan")}, {"black": 0.6, "white": 0.5}],
    )
    def test_what_is_out_of_range_is_refused(self, wrong: dict[str, float]) -> None:
        for settings in (Before, After):
            with pytest.raises(UsageError, match="expected"):
                settings(**wrong)

    def test_all_off_is_the_argument_itself(self) -> None:
        picture = noise(4, 4, seed=3)
        assert grade.grade_before(picture, Before()) is picture
        assert grade.grade_after(picture, After(resize=Resize(scale=0.5))) is picture


class TestDenoise:
    def test_noise_goes_and_edges_stay(self) -> None:
        step = np.zeros((64, 64, 3), np.float32)
        step[:, 32:] = 0.8
        grainy = step + np.random.default_rng(1).normal(0, 0.02, step.shape).astype(np.float32)
        result = grade.denoise(grainy, 1.0)
        assert (result - step)[8:-8, 8:24].std() < 0.006
        assert (result[:, 33] - result[:, 30]).mean() > 0.72

    def test_a_constant_stays_and_so_does_the_range_above_one(self) -> None:
        flat = np.full((20, 20, 3), 7.5, np.float32)
        np.testing.assert_allclose(grade.denoise(flat, 1.0), flat, rtol=1e-5)

    def test_a_result_depends_on_twice_the_radius_around_it(self) -> None:
        picture = noise(40, 40, seed=3)
        before = grade.denoise(picture, 0.5)
        picture[20, 20] += 0.5
        moved = np.argwhere(np.abs(grade.denoise(picture, 0.5) - before).max(axis=2) > 1e-5)
        assert np.abs(moved - 20).max() <= 2 * grade.DENOISE_RADIUS

    def test_fine_steps_are_not_squeezed_through_eight_bits(self) -> None:
        ramp = np.broadcast_to(np.linspace(0.5, 0.502, 256, dtype=np.float32)[None, :, None], (9, 256, 3)).copy()
        assert len(np.unique(grade.denoise(ramp, 0.5)[4, :, 0])) > 200


class TestSharpen:
    def test_edges_overshoot_and_flat_areas_stay(self) -> None:
        step = np.full((21, 40, 3), 0.2, np.float32)
        step[:, 20:] = 0.8
        result = grade.sharpen(step, 1.0)
        assert result[10, 20, 0] > 0.9
        assert result[10, 19, 0] < 0.1
        np.testing.assert_allclose(result[:, :16], 0.2, atol=1e-6)


class TestRelief:
    def test_the_side_that_faces_the_light_is_brighter_and_the_other_darker(self) -> None:
        ridge = np.full((31, 31, 3), 0.4, np.float32)
        ridge[:, 15] = 0.5
        for light, brighter, darker in ((0, 16, 14), (180, 14, 16)):
            lit = grade.relief(ridge, 0.5, light)
            assert lit[15, brighter, 0] > 0.44 > 0.36 > lit[15, darker, 0]
        turned = np.ascontiguousarray(ridge.transpose(1, 0, 2))
        lit = grade.relief(turned, 0.5, 90)
        assert lit[14, 15, 0] > 0.44 > 0.36 > lit[16, 15, 0]

    def test_flat_paint_stays_and_a_faint_rim_is_lit_nearly_as_a_strong_one(self) -> None:
        def lit_by(step: float) -> float:
            rim = np.full((31, 61, 3), 0.4, np.float32)
            rim[:, 30:] += step
            change = grade.relief(rim, 1.0, 135.0) - rim
            assert np.abs(change[:, :18]).max() < 1e-6
            return float(np.abs(change).max())

        assert lit_by(0.5) < 2 * lit_by(0.1)

    def test_values_stay_in_range_hues_stay_and_light_above_white_is_not_lit(self) -> None:
        painting = noise(40, 40, seed=5)
        lit = grade.relief(painting, 1.0, 200.0)
        assert 0 <= lit.min() <= lit.max() <= 1
        bright = painting * 0.4 + 2
        assert (grade.relief(bright, 1.0, 200.0) <= bright).all()

    def test_a_result_depends_on_its_reach_alone(self) -> None:
        picture = noise(80, 80, seed=3)
        settings = After(denoise=0.5, sharpen=1, relief=1)
        before = grade.grade_after(picture, settings)
        picture[40, 40] += 0.5
        moved = np.argwhere(np.abs(grade.grade_after(picture, settings) - before).max(axis=2) > 1e-5)
        assert np.abs(moved - 40).max() <= grade.GRADE_REACH


class TestLevels:
    def test_black_white_and_gamma(self) -> None:
        tones = np.array([[[0.1, 0.9, 0.3]]], np.float32)
        np.testing.assert_allclose(grade.levels(tones, 0.1, 0.9, 2.0), [[[0, 1, 0.5]]], atol=1e-6)

    def test_values_outside_keep_their_order(self) -> None:
        tones = np.linspace(-2, 5, 300, dtype=np.float32).reshape(1, 100, 3)
        assert (np.diff(grade.levels(tones, 0.1, 0.9, 1.7).ravel()) > 0).all()


class TestSaturate:
    def test_zero_is_luma_and_two_doubles_chroma(self) -> None:
        picture = noise(5, 5, seed=3)
        luma = (picture * colour.LUMA).sum(axis=2, keepdims=True)
        np.testing.assert_allclose(grade.saturate(picture, 0), np.repeat(luma, 3, axis=2), atol=1e-6)
        np.testing.assert_allclose(grade.saturate(picture, 2) - luma, 2 * (picture - luma), atol=1e-6)


class TestInvalid:
    def test_invalid_pixels_come_out_as_they_were_and_touch_no_other(self) -> None:
        picture = np.full((30, 30, 3), 0.5, np.float32)
        picture[10, 10] = (np.nan, 0.2, 0.3)
        picture[20, 5] = (0.1, np.inf, 0.3)
        result = grade.grade_after(picture, After(denoise=0.5, sharpen=1))
        np.testing.assert_array_equal(result[[10, 20], [10, 5]], picture[[10, 20], [10, 5]])
        others = np.isfinite(picture).all(axis=2)
        np.testing.assert_allclose(result[others], 0.5, atol=1e-5)


class TestResizeParse:
    @pytest.mark.parametrize(
        ("text", "size"),
        [
            ("50%", (960, 540)),
            ("1280x720", (1280, 720)),
            ("1280x", (1280, 720)),
            ("x270", (480, 270)),
            ("12.5%", (240, 135)),
        ],
    )
    def test_what_is_understood(self, text: str, size: tuple[int, int]) -> None:
        assert Resize.parse(text).size_for(1920, 1080) == size

    @pytest.mark.parametrize(
        "text", ["", "x", "0%", "-5%", "big", "0x10", "1280", "1e3%", "10x20x30", "99999x1", "nan%"]
    )
    def test_what_is_not(self, text: str) -> None:
        with pytest.raises(UsageError, match="1280x720"):
            Resize.parse(text)

    def test_a_size_is_at_least_one_and_not_beyond_the_largest(self) -> None:
        assert Resize.parse("1%").size_for(8, 8) == (1, 1)
        with pytest.raises(UsageError, match="32768"):
            Resize.parse("900%").size_for(8192, 100)


def two_parts() -> Frame:
    """Half RGBA with an id in one part, depth in another; the data window is smaller than the display window."""
    pixels = np.zeros((20, 30, 5), np.float32)
    pixels[..., :3] = (0.5, 0.25, 0.125)
    pixels[..., 3] = 0.5
    pixels[:, 15:, 4] = 17
    data, display = Window(10, 20, 30, 20), Window(0, 0, 60, 60)
    kept = {"owner": Attribute("string", "me")}
    beauty = Part(pixels, ("R", "G", "B", "A", "id"), ("half",) * 4 + ("float",), data, display, 2.0, kept)
    depth = Part(np.where(pixels[..., 4:] > 0, 900.0, 1.0).astype(np.float32), ("Z",), ("float",), data, display)
    from_memory = Frame.from_pixels(pixels[..., :4])
    return replace(from_memory, parts=(beauty, depth))


def windowed(pixels: Pixels, data: Window, display: Window) -> Frame:
    frame = Frame.from_pixels(np.ascontiguousarray(pixels))
    return replace(frame, parts=(replace(frame.part, data_window=data, display_window=display),))


def spot(width: int, height: int, centre: tuple[float, float]) -> Samples:
    """A soft spot on black, (H, W, 3), around a place in pixels from the upper left corner."""
    x, y = np.arange(width) + 0.5 - centre[0], np.arange(height) + 0.5 - centre[1]
    light = np.exp(-(x**2 + (y**2)[:, None]) / (2 * 3.5**2)).astype(np.float32)
    return np.repeat(light[..., None], 3, axis=2)


def centroid(light: Pixels) -> tuple[float, float]:
    rows, columns = np.mgrid[: light.shape[0], : light.shape[1]] + 0.5
    return float((columns * light).sum() / light.sum()), float((rows * light).sum() / light.sum())


class TestResizeFrame:
    @pytest.mark.parametrize("text", ["50%", "170%"])
    def test_ids_and_depths_are_never_blended(self, text: str) -> None:
        result = resize_frame(two_parts(), Resize.parse(text))
        assert set(np.unique(result.parts[0].pixels[..., 4])) == {0, 17}
        assert set(np.unique(result.parts[1].pixels)) == {1, 900}

    def test_windows_are_scaled_and_facts_stay(self) -> None:
        result = resize_frame(two_parts(), Resize.parse("50%"))
        for part in result.parts:
            assert part.data_window == Window(5, 10, 15, 10)
            assert part.display_window == Window(0, 0, 30, 30)
        assert result.part.pixel_aspect == 2.0
        assert result.part.attributes["owner"].value == "me"
        assert result.part.formats == two_parts().part.formats

    @pytest.mark.parametrize("text", ["50%", "33%", "200%", "45x70"])
    def test_a_constant_stays_constant(self, text: str) -> None:
        whole = replace(two_parts().part, display_window=Window(10, 20, 30, 20))
        result = resize_frame(replace(two_parts(), parts=(whole,)), Resize.parse(text))
        expected = np.broadcast_to(np.float32([0.5, 0.25, 0.125, 0.5]), (*result.colour.shape[:2], 4))
        np.testing.assert_allclose(result.part.pixels[..., :4], expected, rtol=1e-5)

    def test_a_pixel_that_the_window_covers_in_part_is_as_opaque_as_it_is_covered(self) -> None:
        pixels = np.ones((8, 5, 4), np.float32)
        pixels[..., :3] = 0.25
        result = resize_frame(windowed(pixels, Window(1, 0, 5, 8), Window(0, 0, 8, 8)), Resize.parse("50%"))
        assert result.part.data_window == Window(0, 0, 3, 4)
        np.testing.assert_allclose(result.part.pixels[0, :, 3], [0.5, 1, 1])
        np.testing.assert_allclose(result.part.pixels[0, :, 0], [0.125, 0.25, 0.25], rtol=1e-6)

    def test_without_alpha_the_edge_keeps_its_values(self) -> None:
        result = resize_frame(
            windowed(np.full((8, 5, 3), 0.25, np.float32), Window(1, 0, 5, 8), Window(0, 0, 8, 8)), Resize.parse("50%")
        )
        np.testing.assert_allclose(result.colour, 0.25, rtol=1e-6)

    @pytest.mark.parametrize("text", ["50%", "37%", "45x61", "150%", "100x"])
    def test_a_feature_lands_where_the_display_window_says(self, text: str) -> None:
        inside = (20.3, 17.8)
        blob = spot(41, 37, inside)
        for x in range(-25, 30, 3):
            window, display = Window(x + 3, x - 2, 41, 37), Window(3, -2, 64, 64)
            result = resize_frame(windowed(blob, window, display), Resize.parse(text)).part
            own = result.display_window
            found = centroid(result.pixels[..., 0])
            assert result.data_window.x - own.x + found[0] == pytest.approx((x + inside[0]) * own.width / 64, abs=0.1)
            assert result.data_window.y - own.y + found[1] == pytest.approx((x + inside[1]) * own.height / 64, abs=0.1)

    @pytest.mark.parametrize("text", ["50%", "75%", "150%", "45x80"])
    def test_a_cropped_plate_is_the_crop_of_the_resized_plate(self, text: str) -> None:
        whole = spot(64, 64, (30, 34))
        display = Window(0, 0, 64, 64)
        expected = resize_frame(windowed(whole, display, display), Resize.parse(text)).part
        for x in (1, 6, 11):
            crop = windowed(whole[9:60, x : x + 43], Window(x, 9, 43, 51), display)
            part = resize_frame(crop, Resize.parse(text)).part
            left, top = part.data_window.x, part.data_window.y
            same = expected.pixels[top : top + part.data_window.height, left : left + part.data_window.width]
            np.testing.assert_allclose(part.pixels[4:-4, 4:-4], same[4:-4, 4:-4], atol=2e-5)

    @pytest.mark.parametrize("text", ["50%", "37%", "150%"])
    def test_ids_and_depths_are_taken_from_under_the_centre_of_the_pixel(self, text: str) -> None:
        for x in range(-9, 9):
            places = np.zeros((8, 41, 4), np.float32)
            places[..., 3] = x + np.arange(41) + 0.5
            data, display = Window(x, 0, 41, 8), Window(0, 0, 64, 8)
            part = Part(places, ("R", "G", "B", "Z"), ("float",) * 4, data, display)
            frame = replace(Frame.from_pixels(places[..., :3]), parts=(part,))
            result = resize_frame(frame, Resize.parse(text)).part
            step = 64 / result.display_window.width
            centres = (result.data_window.x + np.arange(result.data_window.width) + 0.5) * step
            assert np.abs(result.pixels[0, 1:-1, 3] - centres[1:-1]).max() <= 0.5 + 1e-4

    @pytest.mark.parametrize("x", [-3, -1, 0, 1, 2, 5])
    def test_the_display_window_gets_the_size_asked_for_wherever_it_lies(self, x: int) -> None:
        window = Window(x, x, 2002, 2)
        frame = windowed(np.zeros((2, 2002, 3), np.uint8), window, window)
        result = resize_frame(frame, Resize.parse("1001x1")).part
        assert (result.display_window.width, result.display_window.height) == (1001, 1)
        assert result.data_window == result.display_window

    def test_the_same_size_is_the_same_frame(self) -> None:
        frame = two_parts()
        assert resize_frame(frame, Resize.parse("100%")) is frame

    def test_smaller_is_the_mean_of_light(self) -> None:
        checks = np.zeros((4, 4, 3), np.uint8)
        checks[::2, ::2] = checks[1::2, 1::2] = 255
        # Half the light of white is 188 in sRGB, not 128.
        assert np.unique(resize_frame(Frame.from_pixels(checks), Resize.parse("50%")).colour).tolist() == [188]

    def test_larger_does_not_ring(self) -> None:
        spot = np.full((15, 15, 3), 0.1, np.float16)
        spot[7, 7] = 5000
        result = resize_frame(Frame.from_pixels(spot), Resize.parse("300%"))
        assert result.colour.min() >= np.float16(0.1)
        assert result.colour.max() <= 5000

    @pytest.mark.parametrize("kind", [AlphaKind.ASSOCIATED, AlphaKind.UNASSOCIATED])
    def test_no_dark_fringe_at_the_edge_of_a_matte(self, kind: AlphaKind) -> None:
        pixels = np.zeros((16, 16, 4), np.float32)
        pixels[5:11, 5:11] = (0.8, 0.4, 0.2, 1)
        frame = Frame.from_pixels(pixels, alpha_kind=kind)
        for text in ("50%", "250%"):
            result = resize_frame(frame, Resize.parse(text))
            alpha = result.alpha
            assert alpha is not None
            covered = alpha > 0.01
            straight = result.colour / alpha[..., None].clip(1e-9) if kind is AlphaKind.ASSOCIATED else result.colour
            if text == "50%":
                expected = np.broadcast_to([0.8, 0.4, 0.2], straight[covered].shape)
                np.testing.assert_allclose(straight[covered], expected, rtol=1e-4)
            assert (alpha[covered] < 0.99).any()

    @pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float16])
    @pytest.mark.parametrize("channels", [1, 2, 3, 4])
    def test_every_kind_of_frame(self, dtype: type, channels: int) -> None:
        frame = Frame.from_pixels(np.ones((5, 7, channels), dtype))
        for text in ("1x1", "3x9", "20x2"):
            result = resize_frame(frame, Resize.parse(text))
            assert result.part.pixels.dtype == dtype
            np.testing.assert_array_equal(result.part.pixels, 1)

    @pytest.mark.parametrize(("text", "places"), [("50%", {(1, 1)}), ("200%", {(6, 6), (6, 7), (7, 6), (7, 7)})])
    def test_invalid_pixels_come_back_and_touch_no_other(self, text: str, places: set[tuple[int, int]]) -> None:
        pixels = np.full((8, 8, 4), 0.5, np.float16)
        pixels[3, 3] = (np.nan, np.inf, 0, 1)
        result = resize_frame(Frame.from_pixels(pixels), Resize.parse(text)).part.pixels
        valid = np.isfinite(result).all(axis=2)
        assert {(int(row), int(column)) for row, column in np.argwhere(~valid)} == places
        np.testing.assert_array_equal(result[~valid], np.broadcast_to(pixels[3, 3], (len(places), 4)))
        np.testing.assert_allclose(result[valid][:, :3], 0.5, rtol=0.5)

    def test_an_invalid_pixel_that_is_nearest_to_none_is_filled(self) -> None:
        pixels = np.full((8, 8, 3), 0.5, np.float16)
        pixels[2, 2] = np.nan
        result = resize_frame(Frame.from_pixels(pixels), Resize.parse("50%"))
        np.testing.assert_allclose(result.colour, 0.5, rtol=1e-3)
