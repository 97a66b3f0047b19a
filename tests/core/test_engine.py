"""The engine on frames of our own making: pixels, parameters, mattes, order, tiles."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from impasto.core.card import Card
from impasto.core.colour import decode, encode, plate_space
from impasto.core.engine import Engine
from impasto.core.errors import DeviceError, OutOfMemory, UsageError
from impasto.core.frame import AlphaKind, Attribute, ColourLayer, Frame, Part, Window
from impasto.core.frame_settings import FrameSettings, Output
from impasto.core.generators.unet import UNetConfig
from impasto.core.grade_settings import After, Before, Resize
from impasto.core.params import Params
from impasto.core.style_file import Style
from tests.core.generators.test_unet import lively
from tests.plates import plate

CARD = Card(
    name="lively", title="Lively", description="", generator="unet", config={}, size="draft", halo=72, stride=8,
    licence="Apache-2.0", weights_sha256="0" * 64, canary=(0.0, 0.0),
)  # fmt: skip


@pytest.fixture(scope="module")
def identity() -> Engine:
    return Engine("identity", device="cpu")


@pytest.fixture(scope="module")
def lively_engine() -> Engine:
    net = lively(UNetConfig(widths=(8, 16), blocks=(1, 1)))
    return Engine(Style(replace(CARD, halo=net.config.halo), net), device="cpu")


def extremes(dtype: str) -> Frame:
    """Values from -10 to 60000, NaN and infinity, in every mixture of channels."""
    values = np.array([-10, -0.2, -1e-4, 0, 1e-6, 1e-3, 0.18, 0.5, 1, 1.0001, 7, 100, 5000, 60000], dtype)
    grid = np.stack(np.meshgrid(values, values, values, indexing="ij"), axis=-1).reshape(14, 196, 3).copy()
    grid[0, 0, 0], grid[3, 7], grid[5, 5, 2] = np.nan, np.inf, -np.inf
    return Frame.from_pixels(grid.astype(dtype))


def test_identity_returns_half_within_one_step(identity: Engine) -> None:
    frame = extremes("float16")
    result = identity.render(frame)
    finite = np.isfinite(frame.colour)
    steps = np.abs(np.spacing(frame.colour[finite]).astype(np.float64))
    assert (np.abs(result.frame.colour[finite].astype(np.float64) - frame.colour[finite]) <= steps).all()


def test_identity_returns_float_within_1e_5(identity: Engine) -> None:
    frame = extremes("float32")
    result = identity(frame)
    finite = np.isfinite(frame.colour)
    np.testing.assert_allclose(result.colour[finite], frame.colour[finite], rtol=1e-5, atol=0)


def test_nan_and_infinity_come_back_as_they_were_and_are_counted(identity: Engine) -> None:
    frame = extremes("float32")
    result = identity.render(frame)
    np.testing.assert_array_equal(
        result.frame.colour[~np.isfinite(frame.colour)], frame.colour[~np.isfinite(frame.colour)]
    )
    assert result.report.invalid_pixels == 3


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float16", "float32"])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("space", [None, "ACEScg", "ACEScct", "sRGB", "ARRI LogC4"])
def test_identity_returns_every_kind_of_frame(identity: Engine, dtype: str, channels: int, space: str | None) -> None:
    frame = replace(plate(dtype=dtype, channels=channels), colour_space=space)
    result = identity(frame)
    np.testing.assert_array_equal(result.part.pixels, frame.part.pixels)
    assert result.part.pixels.dtype == frame.part.pixels.dtype


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (7, 3), (8, 8), (33, 65)])
def test_frames_of_any_size_come_back_in_it(lively_engine: Engine, size: tuple[int, int]) -> None:
    assert lively_engine(plate(*size)).colour.shape == (*size, 3)


def test_a_frame_does_not_depend_on_what_was_rendered_before(lively_engine: Engine) -> None:
    first, second = plate(seed=1), plate(seed=2)
    alone = lively_engine(second).colour
    lively_engine(first)
    np.testing.assert_array_equal(lively_engine(second).colour, alone)


def test_tiles_of_a_frame_equal_the_whole() -> None:
    style = Style(replace(CARD, halo=72), lively(UNetConfig(widths=(32, 80), blocks=(2, 5))))
    frame = plate(157, 203)
    whole = Engine(style, device="cpu", tile="off").render(frame)
    tiled = Engine(style, device="cpu", tile=64).render(frame)
    np.testing.assert_array_equal(whole.frame.colour, tiled.frame.colour)
    assert (whole.report.tile, tiled.report.tile) == (None, 64)


def test_the_plate_is_not_written_to(lively_engine: Engine) -> None:
    for dtype in ("uint8", "float16", "float32"):
        frame = plate(dtype=dtype, channels=4)
        before = frame.part.pixels.copy()
        lively_engine(frame, FrameSettings(Params(strength=0.5, colour=0.5, detail=0.5, exposure=1)))
        np.testing.assert_array_equal(frame.part.pixels, before)


def test_strength_mixes_in_the_plates_own_space(lively_engine: Engine) -> None:
    frame = plate()
    full = lively_engine(frame).colour
    np.testing.assert_array_equal(lively_engine(frame, FrameSettings(Params(strength=0))).colour, frame.colour)
    half = lively_engine(frame, FrameSettings(Params(strength=0.5))).colour
    np.testing.assert_allclose(half, (full + frame.colour) / 2, atol=1e-5)


def test_a_matte_is_strength_per_pixel(lively_engine: Engine) -> None:
    frame = plate()
    matte = np.zeros((40, 56), np.float32)
    matte[:, 28:] = 1
    result = lively_engine(frame, matte=matte).colour
    np.testing.assert_array_equal(result[:, :28], frame.colour[:, :28])
    np.testing.assert_allclose(result[:, 28:], lively_engine(frame).colour[:, 28:], rtol=1e-5, atol=1e-6)


def test_a_matte_of_another_size_is_refused_with_both_sizes(lively_engine: Engine) -> None:
    with pytest.raises(UsageError, match="56x40, got 10x9"):
        lively_engine(plate(), matte=np.ones((9, 10), np.float32))


def test_exposure_is_undone_in_the_result(identity: Engine) -> None:
    frame = plate()
    for stops in (-3.0, 2.0):
        np.testing.assert_allclose(
            identity(frame, FrameSettings(Params(exposure=stops))).colour, frame.colour, rtol=1e-5
        )


def test_exposure_before_the_network_stays_in_the_result(identity: Engine) -> None:
    """The style sees both, the result keeps one; light above white goes along, and what is not finite stays."""
    frame = plate()
    frame.part.pixels[3, 4, 1], frame.part.pixels[5, 5, 0] = np.nan, 7.5
    wanted = frame.colour.copy()
    wanted[np.isfinite(wanted).all(axis=2)] *= 4
    for undone in (0.0, -1.5):
        settings = FrameSettings(Params(exposure=undone), before=Before(exposure=2))
        np.testing.assert_allclose(identity(frame, settings).colour, wanted, rtol=1e-5)


def test_exposure_before_the_network_brightens_8_bits(identity: Engine) -> None:
    grey = Frame.from_pixels(np.full((8, 8, 3), 64, np.uint8), colour_space="sRGB")
    brighter = identity(grey, FrameSettings(before=Before(exposure=1))).colour
    assert (brighter == round(255 * float(encode(2 * decode(np.float32([64 / 255])))[0]))).all()
    half = identity(grey, FrameSettings(Params(strength=0.5), before=Before(exposure=1))).colour
    assert (half > 64).all()
    assert (half < brighter).all(), "strength goes from the plate to the result"


def test_a_broader_stroke_is_the_network_on_a_smaller_plate(identity: Engine, lively_engine: Engine) -> None:
    frame = plate(64, 80)
    for stroke in (0.25, 0.5, 2.0, 4.0):
        np.testing.assert_allclose(
            identity(frame, FrameSettings(Params(stroke=stroke))).colour, frame.colour, atol=1e-5
        )
    assert (
        np.abs(lively_engine(frame, FrameSettings(Params(stroke=2))).colour - lively_engine(frame).colour).max() > 1e-3
    )


def test_colour_and_detail_keep_what_they_name(lively_engine: Engine) -> None:
    frame = replace(plate(dtype="uint8"), colour_space="sRGB")
    plain, kept = lively_engine(frame).colour, lively_engine(frame, FrameSettings(Params(colour=1))).colour

    def chroma(pixels: np.ndarray) -> np.ndarray:
        return pixels[..., 0].astype(float) - pixels[..., 2]

    assert np.abs(chroma(kept) - chroma(frame.colour)).mean() < np.abs(chroma(plain) - chroma(frame.colour)).mean()
    assert not np.array_equal(lively_engine(frame, FrameSettings(Params(detail=1))).colour, plain)


def test_premultiplied_edges_show_no_fringe(lively_engine: Engine) -> None:
    """The colour under a matte must not darken what the network paints beside it."""
    colour = np.full((48, 48, 3), 0.5, np.float32)
    alpha = np.zeros((48, 48, 1), np.float32)
    alpha[:, 24:] = 1
    alpha[:, 22:24] = 0.5
    matted = Frame.from_pixels(np.concatenate((colour * alpha, alpha), axis=2))
    opaque = lively_engine(Frame.from_pixels(colour)).colour
    result = lively_engine(matted)
    np.testing.assert_allclose(result.colour[:, 22:], opaque[:, 22:] * alpha[:, 22:], atol=2e-3)
    np.testing.assert_array_equal(result.colour[:, :22], 0)
    np.testing.assert_array_equal(result.alpha, alpha[..., 0])


def test_light_without_alpha_comes_back_as_it_was(lively_engine: Engine) -> None:
    pixels = np.zeros((16, 16, 4), np.float32)
    pixels[4:8, 4:8, :3] = 30.0
    pixels[10:, :, 3] = 1
    result = lively_engine(Frame.from_pixels(pixels))
    np.testing.assert_array_equal(result.colour[4:8, 4:8], 30.0)


def test_other_parts_and_channels_are_untouched(lively_engine: Engine) -> None:
    window = Window(3, 4, 16, 12)
    rng = np.random.default_rng(5)
    beauty = Part(rng.random((12, 16, 5), np.float32), ("R", "G", "B", "A", "Z"), ("float",) * 5, window, window)
    other = Part(rng.random((12, 16, 1), np.float32), ("id",), ("float",), window, window)
    frame = Frame((other, beauty), ColourLayer(1, (0, 1, 2), 3), alpha_kind=AlphaKind.ASSOCIATED)
    result = lively_engine(frame)
    assert result.parts[0] is other
    np.testing.assert_array_equal(result.part.pixels[..., 3:], beauty.pixels[..., 3:])
    assert not np.array_equal(result.colour, frame.colour)


def test_steps_before_and_after_are_off_unless_asked_for(lively_engine: Engine) -> None:
    frame = plate()
    plain = lively_engine(frame).colour
    np.testing.assert_array_equal(lively_engine(frame, FrameSettings(before=Before(), after=After())).colour, plain)
    for graded in (
        lively_engine(frame, FrameSettings(before=Before(denoise=0.5))),
        lively_engine(frame, FrameSettings(before=Before(gamma=1.5))),
        lively_engine(frame, FrameSettings(after=After(sharpen=1))),
        lively_engine(frame, FrameSettings(after=After(saturation=0.5))),
    ):
        assert np.abs(graded.colour - plain).max() > 1e-3
    assert lively_engine(frame, FrameSettings(before=Before(resize=Resize.parse("50%")))).colour.shape == (20, 28, 3)
    assert lively_engine(frame, FrameSettings(after=After(resize=Resize.parse("200%")))).colour.shape == (80, 112, 3)


def test_a_result_in_another_space_is_float_and_converts_exactly(identity: Engine) -> None:
    frame = replace(plate(dtype="uint8"), colour_space="sRGB")
    result = identity(frame, FrameSettings(output=Output("scene_linear", "half")))
    assert result.part.pixels.dtype == np.float16
    assert result.part.formats == ("half",) * 3
    grey = Frame.from_pixels(np.full((8, 8, 3), 188, np.uint8))
    # IEC 61966-2-1: code value 188 is 0.5029 of full light.
    np.testing.assert_allclose(
        identity(grey, FrameSettings(output=Output("scene_linear", "float"))).colour, 0.50289, rtol=1e-4
    )


def test_light_without_alpha_converts_to_another_space_too(identity: Engine) -> None:
    pixels = np.zeros((16, 16, 4), np.float32)
    pixels[4:8, 4:8, :3] = 0.5
    pixels[10:] = (0.25, 0.25, 0.25, 0.5)
    result = identity(Frame.from_pixels(pixels), FrameSettings(output=Output("srgb")))
    # IEC 61966-2-1: 0.5 of light is code value 0.7354.
    np.testing.assert_allclose(result.colour[5, 5], 0.7354, atol=1e-4)
    np.testing.assert_allclose(result.colour[12, 5], 0.7354 / 2, atol=1e-4)


def test_a_converted_frame_states_its_new_space_and_not_the_old_one(identity: Engine) -> None:
    frame = plate()
    old = {"acesImageContainerFlag": Attribute("int", 1), "colorInteropID": Attribute("string", "lin_ap0_scene")}
    frame = replace(frame, parts=(replace(frame.part, attributes=old),), colour_space="ACES2065-1")
    result = identity(frame, FrameSettings(output=Output("ACEScg")))
    assert result.part.attributes["colorInteropID"].value == "lin_ap1_scene"
    assert result.part.attributes["chromaticities"].value[:2] == (0.713, 0.293)
    assert "acesImageContainerFlag" not in result.part.attributes
    assert plate_space(result).name == "ACEScg"


def test_identifiers_of_32_bits_survive_a_conversion(identity: Engine) -> None:
    window = Window(0, 0, 8, 8)
    pixels = np.full((8, 8, 4), 0.5)
    pixels[..., 3] = 4_000_000_001
    part = Part(pixels, ("R", "G", "B", "id"), ("half", "half", "half", "uint"), window, window)
    result = identity(Frame((part,), ColourLayer(0, (0, 1, 2))), FrameSettings(output=Output("srgb")))
    assert result.part.pixels[0, 0, 3] == 4_000_000_001


def test_infinity_under_half_strength_comes_back_without_a_warning(identity: Engine) -> None:
    frame = extremes("float32")
    result = identity(frame, FrameSettings(Params(strength=0.5)))
    np.testing.assert_array_equal(np.isinf(result.colour), np.isinf(frame.colour))


def test_provenance_names_style_hash_parameters_and_version(identity: Engine) -> None:
    record = identity(plate(), FrameSettings(Params(strength=0.5))).provenance
    assert record["style"] == "identity"
    assert record["style_sha256"] == identity.style.card.weights_sha256
    assert '"strength": 0.5' in record["params"]
    assert record["version"]


def test_the_cards_defaults_apply_where_no_parameters_are_given() -> None:
    net = lively(UNetConfig(widths=(8, 16), blocks=(1, 1)))
    style = Style(replace(CARD, halo=net.config.halo, defaults=Params(strength=0)), net)
    frame = plate()
    np.testing.assert_array_equal(Engine(style, device="cpu")(frame).colour, frame.colour)


def test_cancel_is_asked_before_every_tile(lively_engine: Engine) -> None:
    class Stopped(Exception):
        pass

    def stop() -> None:
        raise Stopped

    with pytest.raises(Stopped):
        lively_engine.render(plate(), cancelled=stop)


def test_out_of_memory_is_met_with_smaller_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    style = Style(replace(CARD, halo=72), lively(UNetConfig(widths=(32, 80), blocks=(2, 5))))
    engine = Engine(style, device="cpu")
    frame = plate(300, 600)
    expected = engine(frame).colour
    whole = engine._net.forward

    def small_only(cells: torch.Tensor) -> torch.Tensor:
        if 16 * cells.shape[2] * cells.shape[3] > 300 * 300:
            raise torch.OutOfMemoryError("too large")
        return whole(cells)

    monkeypatch.setattr(engine._net, "forward", small_only)
    result = engine.render(frame)
    assert result.report.tile == 256
    assert "memory ran short" in result.report.notes[0]
    np.testing.assert_array_equal(result.frame.colour, expected)

    def never(cells: torch.Tensor) -> torch.Tensor:
        raise torch.OutOfMemoryError("too large")

    monkeypatch.setattr(engine._net, "forward", never)
    with pytest.raises(OutOfMemory, match="600x304"):
        engine.render(frame)


def test_what_cannot_be_is_refused_in_one_sentence() -> None:
    with pytest.raises(DeviceError, match="cuda:77"):
        Engine("identity", device="cuda:77")
    with pytest.raises(UsageError, match="bfloat16"):
        Engine("identity", device="cpu", precision="float16")
    with pytest.raises(UsageError, match="64"):
        Engine("identity", device="cpu", tile=3)


@pytest.mark.gpu
def test_half_precision_on_a_gpu_is_near_the_cpu() -> None:
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device on this machine")
    net = lively(UNetConfig(widths=(32, 80), blocks=(2, 5)))
    style, frame = Style(CARD, net), plate(64, 64)
    on_cpu, on_gpu = Engine(style, device="cpu")(frame), Engine(style, device="cuda:0")(frame)
    np.testing.assert_allclose(on_gpu.colour, on_cpu.colour, atol=2e-2)
