"""bfloat16 where it belongs: results of 8 bits, on processors that multiply it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from impasto.core.device import choice
from impasto.core.device.choice import choose_precision
from impasto.core.engine import Engine
from impasto.core.frame import Frame, Pixels
from impasto.core.frame_settings import FrameSettings, Output
from impasto.core.media import FrameRange, open_reader
from impasto.core.metrics import psnr
from impasto.core.style_file import style_files
from tests.plates import noise

LEAST_PSNR_DB = 50.0
CLIPS = {"person_juggle_720p24.mp4": 40, "bbb_animation_720p25.mp4": 30, "drive_highway_540p25.mp4": 10}


@pytest.fixture
def units(monkeypatch: pytest.MonkeyPatch) -> None:
    """A processor with bfloat16 units. Without them torch computes the same by way of float32."""
    monkeypatch.setattr(choice, "has_bfloat16_units", lambda: True)


def test_auto_is_bfloat16_for_eight_bits_alone(units: None) -> None:
    assert choose_precision("auto", "cpu", eight_bit=True) == "bfloat16"
    assert choose_precision("auto", "cpu") == "float32"
    assert choose_precision("float32", "cpu", eight_bit=True) == "float32"
    assert choose_precision("auto", "cuda:0", eight_bit=True) == "float16"
    assert choose_precision("auto", "mps", eight_bit=True) == "float32"


def test_auto_is_float32_on_a_processor_without_the_units(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choice, "has_bfloat16_units", lambda: False)
    assert choose_precision("auto", "cpu", eight_bit=True) == "float32"


@pytest.mark.parametrize(
    ("dtype", "output", "expected"),
    [
        ("uint8", None, "bfloat16"), ("uint16", None, "float32"), ("float16", None, "float32"),
        ("float32", None, "float32"), ("uint8", Output("scene_linear", "half"), "float32"),
    ],
)  # fmt: skip
def test_a_frame_says_in_which_precision_it_was_painted(
    units: None, dtype: str, output: Output | None, expected: str
) -> None:
    pixels = np.random.default_rng(1).integers(0, 255, (48, 64, 3)).astype(dtype)
    painted = Engine("wheatfield-draft", device="cpu")(Frame.from_pixels(pixels), FrameSettings(output=output))
    assert painted.provenance["precision"] == expected


def test_the_precision_of_a_frame_does_not_depend_on_the_frames_before_it(units: None) -> None:
    random = np.random.default_rng(2)
    shallow = Frame.from_pixels(random.integers(0, 255, (48, 64, 3), np.uint8))
    deep = Frame.from_pixels(random.random((48, 64, 3), np.float32))
    first, other = Engine("ink-draft", device="cpu"), Engine("ink-draft", device="cpu")
    one = [first(frame).colour for frame in (shallow, deep)]
    two = [other(frame).colour for frame in (deep, shallow)]
    np.testing.assert_array_equal(one[0], two[1])
    np.testing.assert_array_equal(one[1], two[0])


def test_identity_is_exact_in_bfloat16() -> None:
    pixels = np.random.default_rng(3).random((48, 64, 3), np.float32).astype(np.float16)
    plate = Frame.from_pixels(pixels)
    np.testing.assert_array_equal(Engine("identity", device="cpu", precision="bfloat16")(plate).colour, pixels)


def test_a_tile_equals_the_frame_in_bfloat16() -> None:
    plate = Frame.from_pixels(np.random.default_rng(4).integers(0, 255, (200, 312, 3), np.uint8))
    whole, tiled = (
        Engine("wheatfield-draft", device="cpu", precision="bfloat16", tile=tile)(plate).colour
        for tile in ("off", 128)
    )  # fmt: skip
    np.testing.assert_array_equal(whole, tiled)


def test_a_ramp_gets_no_bands() -> None:
    """A slow ramp keeps its levels: no run of one 8-bit code grows by more than two pixels, in any style."""
    ramp = np.repeat(np.linspace(0.05, 0.95, 1024, dtype=np.float32)[None, :, None], 3, axis=2).repeat(64, axis=0)
    plate = Frame.from_pixels(np.rint(ramp * 255).astype(np.uint8))
    for name in ("wheatfield-draft", "pencil-draft", "clean-draft"):
        exact, quick = (
            longest_run(Engine(name, device="cpu", precision=precision)(plate).colour)
            for precision in ("float32", "bfloat16")
        )  # fmt: skip
        print(f"{name}: longest run of one code {exact} px in float32, {quick} px in bfloat16")
        assert quick <= exact + 2, name


def longest_run(codes: Pixels) -> int:
    """The longest run of one code along the middle row, in green."""
    row = codes[codes.shape[0] // 2, :, 1].astype(int)
    edges = np.flatnonzero(np.diff(row)) + 1
    return int(np.diff(np.concatenate(([0], edges, [len(row)]))).max())


@pytest.mark.slow
@pytest.mark.shared
@pytest.mark.parametrize("name", [name for name in style_files() if name != "identity"])
def test_a_built_in_style_in_bfloat16_is_near_float32(name: str, shared_media: Path) -> None:
    style = f"{name}@ink" if name == "atelier" else name
    exact, quick = (Engine(style, device="cpu", precision=precision) for precision in ("float32", "bfloat16"))
    for clip, number in CLIPS.items():
        with open_reader(str(shared_media / "clips" / clip), frames=FrameRange(number, number)) as reader:
            pixels = next(iter(reader)).colour[::2, ::2]
        plate = Frame.from_pixels(np.ascontiguousarray(pixels))
        one, two = (engine(plate).colour.astype(np.float32) / 255 for engine in (exact, quick))
        found = psnr(one, two)
        print(f"{name} on {clip}: {found:.1f} dB")
        assert found >= LEAST_PSNR_DB, f"{name} on {clip}: {found:.1f} dB"


def test_a_narrow_picture_is_the_same_twice_in_bfloat16() -> None:
    engine = Engine("wheatfield-draft", device="cpu", precision="bfloat16")
    for height in (40, 64, 104, 160):
        frame = Frame.from_pixels(noise(height, 7, dtype="uint8"))
        first = engine(frame).colour
        assert first.shape == (height, 7, 3)
        for _ in range(4):
            np.testing.assert_array_equal(engine(frame).colour, first)
