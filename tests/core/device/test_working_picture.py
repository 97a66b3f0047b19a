"""The working picture in tensors against that in numpy, on the CPU in float32: the same steps, the same pixels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from impasto.core import colour
from impasto.core import working_picture as reference
from impasto.core.colour.closed_form import closed_form
from impasto.core.device import working_picture
from impasto.core.device.transfer import upload
from impasto.core.device.working_picture import DeviceWorkingPicture
from impasto.core.engine import Engine
from impasto.core.errors import UsageError
from impasto.core.frame import AlphaKind, Frame, Part, Pixels, Samples, Window
from impasto.core.frame_settings import FrameSettings, Output
from impasto.core.generators.unet import UNetConfig
from impasto.core.grade_settings import After, Before, Resize
from impasto.core.guides import Guide
from impasto.core.params import Params
from impasto.core.style_file import Style
from impasto.core.working_picture import WorkingPicture
from tests.core.generators.test_unet import lively
from tests.core.test_engine import CARD, extremes
from tests.plates import plate

SPACES = (None, "sRGB", "ACEScg", "ACEScct", "ARRI LogC4", "Camera Rec.709", "Gamma 2.4 Encoded Rec.709")
LOGARITHMS = ("ACEScct", "ARRI LogC4")
DEFAULTS = Params()
CHAIN = 4e-6
"""Units in the last place of a dozen float32 steps, relative to a pixel's largest channel."""


def engine_on_device(style: str | Style) -> Engine:
    """An engine on the CPU that paints as an engine on a GPU does."""
    engine = Engine(style, device="cpu", precision="float32")
    engine._passes_on_device = True
    return engine


@pytest.fixture(scope="module")
def identity() -> Engine:
    return engine_on_device("identity")


@pytest.fixture(scope="module")
def style() -> Style:
    net = lively(UNetConfig(widths=(8, 16), blocks=(1, 1)))
    return Style(replace(CARD, halo=net.config.halo), net)


@pytest.fixture(scope="module")
def by_numpy(style: Style) -> Engine:
    return Engine(style, device="cpu", precision="float32")


@pytest.fixture(scope="module")
def on_device(style: Style) -> Engine:
    return engine_on_device(style)


def matted(kind: AlphaKind = AlphaKind.ASSOCIATED, dtype: str = "float32") -> Frame:
    """A plate with every sort of matte: holes, thin edges, light without alpha, 100 and -0.2, NaN and infinity."""
    rng = np.random.default_rng(3)
    pixels = rng.random((61, 93, 4), np.float32)
    alpha = np.clip(rng.random((61, 93), np.float32) * 3 - 1, 0, 1)
    alpha[20:40, 10:70] = 0
    pixels[..., :3] *= alpha[..., None]
    pixels[50:52, 5:9, :3], pixels[55, 20:30, :3] = 100.0, -0.2
    pixels[25, 25, :3] = 30.0
    pixels[3, 3, 0], pixels[26, 25, 1], pixels[44, 80] = np.nan, np.inf, -np.inf
    pixels[..., 3] = alpha
    pixels[7, 7, 3], pixels[7, 8, 3] = np.nan, 1.5
    return Frame.from_pixels(pixels.astype(dtype), alpha_kind=kind)


def both_working(frame: Frame, params: Params = DEFAULTS) -> tuple[WorkingPicture, DeviceWorkingPicture]:
    """The working picture of a frame in numpy and in tensors."""
    with np.errstate(all="ignore"):
        by_numpy = reference.to_working(frame, exposure=params.exposure)
    transform = working_picture.device_transform_of(frame, params, None)
    assert transform is not None
    return by_numpy, working_picture.to_working(upload(frame.part.pixels, "cpu"), transform, params.exposure)


def interleaved(planes: torch.Tensor) -> Samples:
    return np.asarray(planes.permute(1, 2, 0).numpy())


def assert_close(ours: Pixels, expected: Pixels, tolerance: float) -> None:
    """Equal to a tolerance of each pixel's largest channel; NaN and infinity at the same places; integers to a step."""
    if ours.dtype.kind == "u":
        assert np.abs(ours.astype(int) - expected).max() <= 1
        return
    np.testing.assert_array_equal(np.isnan(ours), np.isnan(expected))
    finite = np.isfinite(expected).all(axis=2)
    np.testing.assert_array_equal(ours[~finite], expected[~finite])
    largest = np.abs(expected[finite].astype(np.float64)).max(axis=1, keepdims=True)
    step = 2.0**-10 if ours.dtype == np.float16 else 0
    assert (np.abs(ours[finite].astype(np.float64) - expected[finite]) <= (tolerance + step) * largest + 1e-7).all()


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float16", "float32"])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("space", SPACES)
def test_the_identity_returns_every_kind_of_frame(
    identity: Engine, dtype: str, channels: int, space: str | None
) -> None:
    frame = replace(plate(dtype=dtype, channels=channels), colour_space=space)
    result = identity(frame)
    np.testing.assert_array_equal(result.part.pixels, frame.part.pixels)
    assert result.part.pixels.dtype == frame.part.pixels.dtype


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_the_identity_returns_extremes_bit_for_bit(identity: Engine, dtype: str) -> None:
    frame = extremes(dtype)
    result = identity.render(frame)
    np.testing.assert_array_equal(result.frame.part.pixels, frame.part.pixels)
    assert result.report.invalid_pixels == 3


@pytest.mark.parametrize("kind", AlphaKind)
@pytest.mark.parametrize("params", [Params(), Params(exposure=2), Params(colour=0.5, detail=0.5, strength=0.5)])
def test_the_identity_returns_mattes_and_what_lies_under_them(
    identity: Engine, kind: AlphaKind, params: Params
) -> None:
    frame = matted(kind)
    result = identity(frame, FrameSettings(params)).part.pixels
    if params.detail:
        # What a blur leaves of nothing is not quite nothing.
        assert_close(result, frame.part.pixels, 1e-5)
    else:
        np.testing.assert_array_equal(result, frame.part.pixels)


@pytest.mark.parametrize("kind", AlphaKind)
@pytest.mark.parametrize("exposure", [0.0, -3.0, 2.0])
def test_the_network_is_shown_what_numpy_shows_it(kind: AlphaKind, exposure: float) -> None:
    expected, ours = both_working(matted(kind), Params(exposure=exposure))
    np.testing.assert_allclose(interleaved(ours.picture), expected.picture, atol=CHAIN)
    assert ours.invalid_pixels == expected.invalid_pixels


values = st.one_of(
    st.floats(-10, 1e4, width=16), st.sampled_from([0.0, -0.0, 1.0, 100.0, -0.2, float("nan"), float("inf")])
)


def test_a_nan_beside_a_hole_does_not_spread_into_it() -> None:
    pixels = np.ones((4, 5, 4), np.float16)
    pixels[0, 4, 0], pixels[2, 2, 3] = np.nan, 0
    expected, ours = both_working(Frame.from_pixels(pixels))
    np.testing.assert_allclose(expected.picture, np.ones((4, 5, 3)), atol=CHAIN)
    np.testing.assert_allclose(interleaved(ours.picture), expected.picture, atol=CHAIN)
    assert ours.invalid_pixels == expected.invalid_pixels == 1


@given(arrays(np.float16, st.tuples(st.integers(1, 9), st.integers(1, 9), st.integers(1, 4)), elements=values))
def test_any_plate_is_shown_as_in_numpy(pixels: Pixels) -> None:
    expected, ours = both_working(Frame.from_pixels(pixels))
    np.testing.assert_allclose(interleaved(ours.picture), expected.picture, atol=CHAIN)
    assert ours.invalid_pixels == expected.invalid_pixels


@given(arrays(np.float16, st.tuples(st.integers(1, 9), st.integers(1, 9), st.integers(1, 4)), elements=values))
def test_any_plate_goes_back_as_in_numpy(pixels: Pixels) -> None:
    expected, ours = both_working(Frame.from_pixels(pixels))
    styled = np.clip(expected.picture * 0.5 + 0.3, 0, 1)
    matte = np.linspace(0, 1, pixels[..., 0].size, dtype=np.float32).reshape(pixels.shape[:2])
    # A float plate, so that no rounding to half hides what differs.
    with np.errstate(all="ignore"):
        theirs = reference.to_plate(expected, styled, strength=0.9, matte=matte).part.pixels
    planes = torch.from_numpy(styled).permute(2, 0, 1)
    result = working_picture.to_plate(ours, planes, 0.9, torch.from_numpy(matte)[None]).numpy()
    np.testing.assert_array_equal(np.isnan(result), np.isnan(theirs))
    np.testing.assert_allclose(result, theirs, rtol=2e-3, atol=2e-3)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float16", "float32"])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("space", SPACES)
def test_a_painted_plate_goes_back_into_its_own_space(dtype: str, channels: int, space: str | None) -> None:
    frame = replace(plate(dtype=dtype, channels=channels), colour_space=space)
    expected, ours = both_working(frame)
    styled = np.clip(expected.picture * 0.7 + 0.2, 0, 1)
    theirs = reference.to_plate(expected, styled, strength=0.8).part.pixels
    result = working_picture.to_plate(ours, torch.from_numpy(styled).permute(2, 0, 1), 0.8, None).numpy()
    if space not in LOGARITHMS:
        assert_close(result, theirs, CHAIN)
    elif dtype == "float32" and channels == 3:
        # A dark channel's code is coarse beside a bright one, so the light is compared, which a code magnifies.
        logarithm = colour.plate_space(frame)
        assert_close(*(colour.to_linear(each, logarithm) for each in (result, theirs)), 2e-5)


ALL = Params(strength=0.7, colour=0.4, detail=0.6, exposure=1)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float16", "float32"])
@pytest.mark.parametrize("params", [Params(), ALL, Params(stroke=2.0), Params(stroke=0.6), Params(stroke=3.3)])
def test_a_whole_frame_is_that_of_numpy(by_numpy: Engine, on_device: Engine, dtype: str, params: Params) -> None:
    """The network's own rounding included, which a wild random network and light above 1 magnify."""
    frame = replace(plate(64, 81, dtype=dtype), colour_space="sRGB")
    expected, ours = by_numpy.render(frame, FrameSettings(params)), on_device.render(frame, FrameSettings(params))
    assert_close(ours.frame.part.pixels, expected.frame.part.pixels, 2e-5)
    assert ours.frame.provenance == expected.frame.provenance
    assert ours.report.seconds.keys() == expected.report.seconds.keys()


def test_a_matte_of_strength_and_a_matte_of_alpha_are_those_of_numpy(by_numpy: Engine, on_device: Engine) -> None:
    frame = matted()
    matte = np.linspace(-0.1, 1.1, 61 * 93, dtype=np.float32).reshape(61, 93)
    with np.errstate(all="ignore"):
        expected = by_numpy(frame, FrameSettings(ALL), matte=matte).part.pixels
    result = on_device(frame, FrameSettings(ALL), matte=matte).part.pixels
    np.testing.assert_array_equal(result[..., 3], frame.alpha)
    assert_close(result[..., :3], expected[..., :3], 1e-4)
    with pytest.raises(UsageError, match="93x61, got 10x9"):
        on_device(frame, matte=np.ones((9, 10), np.float32))


def test_a_plate_all_without_alpha_comes_back(on_device: Engine) -> None:
    pixels = np.full((16, 16, 4), 30.0, np.float32)
    pixels[..., 3] = 0
    np.testing.assert_array_equal(on_device(Frame.from_pixels(pixels)).part.pixels, pixels)


def test_channels_in_any_order_and_beside_others_keep_their_place(by_numpy: Engine, on_device: Engine) -> None:
    window = Window(0, 0, 16, 12)
    pixels = np.random.default_rng(5).random((12, 16, 4), np.float32)
    part = Part(pixels, ("B", "Z", "G", "R"), ("float",) * 4, window, window)
    frame = Frame((part,), Frame.from_pixels(pixels).layer)
    frame = replace(frame, layer=replace(frame.layer, colour=(3, 2, 0), alpha=None))
    result = on_device(frame).part.pixels
    np.testing.assert_array_equal(result[..., 1], pixels[..., 1])
    assert_close(result, by_numpy(frame).part.pixels, 2e-5)


def test_guides_go_to_the_network_beside_the_picture() -> None:
    net = lively(UNetConfig(widths=(8, 16), blocks=(1, 1), guides=1))
    style = Style(replace(CARD, halo=net.config.halo, guides=(Guide("Z", "depth"),)), net)
    window = Window(0, 0, 16, 12)
    pixels = np.random.default_rng(5).random((12, 16, 4), np.float32)
    part = Part(pixels, ("R", "G", "B", "Z"), ("float",) * 4, window, window)
    frame = Frame((part,), replace(Frame.from_pixels(pixels).layer, alpha=None))
    expected = Engine(style, device="cpu", precision="float32")(frame).part.pixels
    assert_close(engine_on_device(style)(frame).part.pixels, expected, 2e-5)


def test_tiles_and_the_whole_agree() -> None:
    style = Style(replace(CARD, halo=72), lively(UNetConfig(widths=(32, 80), blocks=(2, 5))))
    frame = plate(157, 203)
    tiled = Engine(style, device="cpu", precision="float32", tile=64)
    tiled._passes_on_device = True
    whole = engine_on_device(style).render(frame)
    result = tiled.render(frame)
    np.testing.assert_array_equal(result.frame.colour, whole.frame.colour)
    assert (result.report.tile, whole.report.tile) == (64, None)


@pytest.mark.parametrize(
    "frame",
    [
        replace(plate(), colour_space="hlg2020"),
        replace(plate(), colour_space="Cineon_log"),
        replace(plate(channels=4), colour_space="ACEScct"),
        Frame.from_pixels(np.zeros((8, 8, 3), np.float32), colour_space="CanonLog2 CinemaGamut D55"),
    ],
)
def test_a_frame_that_a_device_cannot_take_exactly_goes_through_numpy(frame: Frame) -> None:
    assert working_picture.device_transform_of(frame, Params(), None) is None


def test_a_picture_smaller_than_the_blur_of_detail_goes_through_numpy() -> None:
    assert working_picture.device_transform_of(plate(6, 40), Params(detail=0.5), None) is None
    assert working_picture.device_transform_of(plate(6, 40), Params(), None) is not None


def test_grades_sizes_and_other_spaces_go_through_numpy(by_numpy: Engine, on_device: Engine) -> None:
    frame = plate()
    for settings in (
        FrameSettings(before=Before(denoise=0.5)),
        FrameSettings(after=After(sharpen=1)),
        FrameSettings(after=After(resize=Resize.parse("50%"))),
        FrameSettings(output=Output("srgb")),
    ):
        np.testing.assert_array_equal(
            on_device.render(frame, settings).frame.part.pixels,
            by_numpy.render(frame, settings).frame.part.pixels,
        )


@pytest.mark.parametrize("passes", [False, True])
def test_the_result_lands_where_it_is_asked_to(style: Style, passes: bool) -> None:
    engine = Engine(style, device="cpu", precision="float32")
    engine._passes_on_device = passes
    frame = plate(channels=4)
    expected = engine(frame).part.pixels
    room = np.zeros((50, 60, 4), np.float32)
    for into in (np.empty_like(expected), room[:40, :56], room[40:0:-1, :56], np.zeros((40, 56, 8), "f4")[..., ::2]):
        result = engine.render(frame, into=into).frame
        assert result.part.pixels is into
        np.testing.assert_array_equal(into, expected)
    with pytest.raises(UsageError, match="float32"):
        engine.render(frame, into=np.empty((40, 56, 4), np.float16))


@pytest.mark.parametrize("passes", [False, True])
def test_a_cancelled_frame_leaves_its_target_as_it_was(style: Style, passes: bool) -> None:
    class Stopped(Exception):
        pass

    calls = []

    def stop_at_last() -> None:
        calls.append(1)
        if len(calls) == 2:
            raise Stopped

    engine = Engine(style, device="cpu", precision="float32")
    engine._passes_on_device = passes
    into = np.full((40, 56, 3), 7, np.float32)
    with pytest.raises(Stopped):
        engine.render(plate(), into=into, cancelled=stop_at_last)
    assert (into == 7).all()


def test_a_plate_that_is_read_only_and_upside_down_is_taken_as_it_is(by_numpy: Engine, on_device: Engine) -> None:
    pixels = plate().part.pixels[::-1]
    pixels.flags.writeable = False
    frame = Frame.from_pixels(pixels)
    assert_close(on_device(frame).part.pixels, by_numpy(frame).part.pixels, 2e-5)


def test_without_memory_for_colour_on_the_device_the_processor_takes_over(
    by_numpy: Engine, on_device: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def too_large(*_: object) -> None:
        raise torch.OutOfMemoryError("too large")

    monkeypatch.setattr("impasto.core.device.frame_job.to_working", too_large)
    result = on_device.render(plate())
    np.testing.assert_array_equal(result.frame.part.pixels, by_numpy(plate()).part.pixels)
    assert "memory ran short" in result.report.notes[0]


def test_a_style_that_invents_nan_paints_it_where_numpy_does(style: Style, by_numpy: Engine, on_device: Engine) -> None:
    """A broken network must be seen and not hidden behind the plate."""
    expected, ours = both_working(plate())
    styled = expected.picture.copy()
    styled[3, 3] = np.nan
    theirs = reference.to_plate(expected, styled, strength=1).part.pixels
    result = working_picture.to_plate(ours, torch.from_numpy(styled).permute(2, 0, 1), 1.0, None).numpy()
    np.testing.assert_array_equal(np.isnan(result), np.isnan(theirs))
    assert np.isnan(result[3, 3]).all()


def test_a_closed_form_is_found_once_and_kept() -> None:
    space = working_picture.plate_space(plate(), "ACEScct")
    assert closed_form(space) is closed_form(space)
