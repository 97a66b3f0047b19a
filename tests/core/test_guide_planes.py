"""Guide layers: how each channel is read, where it is looked for, and that the network sees it in register."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from impasto.core.card import Card, KeyFacts, card_from_json
from impasto.core.colour import encode
from impasto.core.engine import Engine
from impasto.core.errors import StyleError, UsageError
from impasto.core.frame import Attribute, ColourLayer, Frame, Part, Pixels, Samples, Window
from impasto.core.frame_settings import FrameSettings
from impasto.core.generators.packed import from_cells
from impasto.core.generators.unet import UNetConfig
from impasto.core.grade_settings import Before, Resize
from impasto.core.guide_planes import planes_of, read
from impasto.core.guides import READINGS, Guide, Reading, planes_in
from impasto.core.keyframe_paint.stored_keys import Keys
from impasto.core.params import Params
from impasto.core.style_file import Style, load_style, read_card, save_style
from tests import plates
from tests.core.generators.test_unet import lively

HEIGHT, WIDTH = 88, 120
GUIDES = (Guide("normal.X", "normal"), Guide("Z", "depth", 5.0), Guide("object.ID", "id"))
NET = lively(UNetConfig(widths=(8, 16), blocks=(1, 1), guides=planes_in(GUIDES)))
CARD = Card(
    name="guided", title="Guided", description="", generator="unet", config={}, size="draft", halo=NET.config.halo,
    stride=8, licence="Apache-2.0", weights_sha256="0" * 64, canary=(0.0, 0.0), guides=GUIDES,
)  # fmt: skip
STYLE = Style(CARD, NET)
ODD = np.array([[np.nan, np.inf, -np.inf, -1e30, 1e30, -2, -1, -0.0, 0, 1e-30, 0.5, 1, 3, 6e4]], np.float32)


def part_of(channels: str, pixels: Pixels, data: Window | None = None, name: str = "") -> Part:
    names = tuple(channels.split())
    window = Window(0, 0, WIDTH, HEIGHT)
    attributes = {"name": Attribute("string", name)} if name else {}
    return Part(pixels, names, ("float",) * len(names), data or window, window, attributes=attributes)


def layers(seed: int = 1, height: int = HEIGHT, width: int = WIDTH) -> Pixels:
    """normal.X, Z and object.ID: slopes and steps."""
    chance = np.random.default_rng(seed)
    slopes = np.linspace(-1, 1, width) * np.linspace(0.2, 1, height)[:, None]
    ids = np.repeat(chance.integers(0, 9, (height, 1 + width // 16)), 16, axis=1)[:, :width]
    return np.stack((slopes, 3 + 9 * chance.random((height, width)), ids), axis=2).astype(np.float32)


def plate(*guides: Part) -> Frame:
    return replace(plates.plate(HEIGHT, WIDTH, seed=2), colour_space="srgb", number=7, guides=guides)


def aov(seed: int = 1) -> Part:
    return part_of("normal.X Z object.ID", layers(seed))


@pytest.mark.parametrize("reading", READINGS)
def test_every_reading_is_finite_and_in_0_to_1_whatever_comes(reading: Reading) -> None:
    planes = read(ODD, Guide("x", reading, 2.0))
    assert planes.shape == (*ODD.shape, 3 if reading == "id" else 1)
    assert planes.dtype == np.float32
    assert np.isfinite(planes).all()
    assert planes.min() >= 0
    assert planes.max() <= 1


def test_readings_are_the_rules_that_are_written_down() -> None:
    values = np.array([[-2, -1, -0.5, 0, 0.5, 2]], np.float32)

    def by(reading: Reading, scale: float = 1.0) -> list[float]:
        return [round(float(value), 4) for value in read(values, Guide("x", reading, scale))[0, :, 0]]

    assert by("normal") == [0, 0, 0.25, 0.5, 0.75, 1]
    assert by("depth", 2.0) == [0.5, 0.6667, 0.8, 1, 0.8, 0.5]
    assert by("mask") == [0, 0, 0, 0, 0.5, 1]
    assert by("vector", 2.0) == [0.25, 0.3333, 0.4, 0.5, 0.6, 0.75]
    assert by("colour") == [0, 0, 0, 0, round(float(encode(np.full((1, 1), 0.5, np.float32))[0, 0]), 4), 1]
    in_8_bits = np.array([[0, 51, 255]], np.uint8)
    assert read(in_8_bits, Guide("x", "colour"))[0, :, 0].tolist() == pytest.approx([0, 0.2, 1])


def test_nothing_there_reads_as_far_away() -> None:
    far = read(np.array([[np.inf, np.nan, 1e10]], np.float32), Guide("Z", "depth", 5.0))
    assert far.max() < 1e-6


def test_identifiers_keep_apart_and_are_the_same_in_every_type() -> None:
    numbers = np.arange(2000).reshape(1, -1)
    planes = read(numbers.astype(np.float32), Guide("x", "id"))
    assert len(np.unique(planes.reshape(-1, 3), axis=0)) == 2000
    assert np.abs(np.corrcoef(numbers[0], planes[0, :, 0])[0, 1]) < 0.1, "no order"
    for dtype in (np.float16, np.float64, np.uint16):
        np.testing.assert_array_equal(read(numbers.astype(dtype), Guide("x", "id")), planes)
    large = np.array([[4_000_000_001, 4_000_000_002]], np.float64)
    assert len(np.unique(read(large, Guide("x", "id")).reshape(-1, 3), axis=0)) == 2


def test_what_a_pixel_reads_as_does_not_depend_on_the_rest_of_the_frame() -> None:
    frame, bright = plate(aov(1)), plate(part_of("normal.X Z object.ID", layers(1) * [[[1, 1, 1]]]))
    bright.guides[0].pixels[40:, :, 1] = 1e6
    here, there = planes_of(frame, GUIDES), planes_of(bright, GUIDES)
    assert here is not None
    assert there is not None
    np.testing.assert_array_equal(here[:40], there[:40])


def test_channels_are_found_in_other_files_first_then_in_any_part_of_the_plate() -> None:
    own = part_of("N.X depth", layers()[..., :2])
    frame = plate()
    frame = replace(frame, parts=(*frame.parts, own))
    wanted = (Guide("N.X", "mask"),)
    np.testing.assert_array_equal(planes_of(frame, wanted)[..., 0], np.clip(own.pixels[..., 0], 0, 1))  # type: ignore[index]
    other = part_of("N.X", np.full((HEIGHT, WIDTH, 1), 0.25, np.float32))
    assert planes_of(replace(frame, guides=(other,)), wanted).max() == 0.25  # type: ignore[union-attr]


def test_channels_of_one_name_are_told_apart_by_their_part() -> None:
    left, right = (part_of("X", np.full((HEIGHT, WIDTH, 1), value, np.float32), name=name)
                   for name, value in (("left", 0.25), ("right", 0.75)))  # fmt: skip
    planes = planes_of(plate(left, right), (Guide("right.X", "mask"), Guide("X", "mask")))
    assert planes is not None
    assert planes[0, 0].tolist() == [0.75, 0.25]


def test_a_missing_channel_is_named_with_its_frame() -> None:
    with pytest.raises(UsageError, match=r"'Z' that this style .* frame 7 has none, only normal\.X, R, G, B"):
        planes_of(plate(part_of("normal.X", layers()[..., :1])), GUIDES)


def test_layers_of_another_size_are_refused() -> None:
    window = Window(0, 0, 60, 44)
    small = Part(layers(1, 44, 60), ("normal.X", "Z", "object.ID"), ("float",) * 3, window, window)
    with pytest.raises(UsageError, match=r"plate's size 120x88, got 60x44 for 'normal\.X' of frame 7"):
        planes_of(plate(small), GUIDES)


def test_data_windows_lie_upon_each_other_and_what_is_uncovered_is_nothing() -> None:
    whole = planes_of(plate(aov()), GUIDES)
    cut = part_of("normal.X Z object.ID", layers()[10:50, 20:100], Window(20, 10, 80, 40))
    planes = planes_of(plate(cut), GUIDES)
    assert whole is not None
    assert planes is not None
    np.testing.assert_array_equal(planes[10:50, 20:100], whole[10:50, 20:100])
    assert planes[0, 0].tolist() == [0.5, 0, 0, 0, 0]
    frame = plate(aov())
    overscan = part_of("R G B", np.zeros((HEIGHT + 8, WIDTH + 6, 3), np.float32), Window(-2, -3, WIDTH + 6, HEIGHT + 8))
    planes = planes_of(replace(frame, parts=(overscan,)), GUIDES)
    assert planes is not None
    np.testing.assert_array_equal(planes[3 : 3 + HEIGHT, 2 : 2 + WIDTH], whole)


def test_guides_change_the_painting_and_never_come_out_of_it() -> None:
    engine = Engine(STYLE, device="cpu")
    results = [engine(plate(aov(seed))) for seed in (1, 3)]
    assert not np.array_equal(results[0].colour, results[1].colour)
    assert results[0].guides == ()
    assert len(results[0].parts) == 1


def test_a_tile_equals_the_full_frame_with_guides() -> None:
    config = UNetConfig(widths=(32, 80), blocks=(2, 5), guides=planes_in(GUIDES))
    style = Style(replace(CARD, halo=config.halo), lively(config))
    window = Window(0, 0, 248, 232)
    colour = np.random.default_rng(3).random((232, 248, 3), np.float32)
    frame = Frame((Part(colour, ("R", "G", "B"), ("float",) * 3, window, window),), ColourLayer(0, (0, 1, 2)), "srgb")
    big = Part(layers(1, 232, 248), aov().channels, ("float",) * 3, window, window)
    whole, tiled = Engine(style, device="cpu", tile="off"), Engine(style, device="cpu", tile=64)
    for params in (Params(), Params(stroke=0.8)):
        seen = replace(frame, guides=(big,))
        np.testing.assert_array_equal(
            tiled(seen, FrameSettings(params)).colour, whole(seen, FrameSettings(params)).colour
        )


def test_the_device_sees_the_guides_that_numpy_sees() -> None:
    device, reference = Engine(STYLE, device="cpu"), Engine(STYLE, device="cpu")
    device._passes_on_device = True
    for params in (Params(), Params(stroke=2.0)):
        result = device(plate(aov()), FrameSettings(params)).colour
        np.testing.assert_allclose(result, reference(plate(aov()), FrameSettings(params)).colour, atol=5e-5)


def test_strokes_scale_the_guides_with_the_plate() -> None:
    """Painted at half the size: the network sees the halves of both, so halving both first is the same to it."""
    engine = Engine(STYLE, device="cpu")
    asked: list[torch.Tensor] = []
    maps = engine._maps
    engine._maps = lambda net, cells, cancelled: asked.append(cells) or maps(net, cells, cancelled)  # type: ignore[method-assign,func-returns-value]
    frame = plate(aov())
    engine(frame, FrameSettings(Params(stroke=2.0)))
    seen = from_cells(asked[0], NET.config.shuffle)
    planes = planes_of(frame, GUIDES)
    assert planes is not None
    halves = planes.reshape(HEIGHT // 2, 2, WIDTH // 2, 2, 5).mean((1, 3))
    np.testing.assert_allclose(seen[: HEIGHT // 2, : WIDTH // 2, 3:].numpy(), halves, atol=1e-6)


def test_guides_follow_the_plate_into_another_size() -> None:
    engine = Engine(STYLE, device="cpu")
    painted = engine(plate(aov()), FrameSettings(before=Before(resize=Resize.parse("50%")))).colour
    assert painted.shape == (HEIGHT // 2, WIDTH // 2, 3)
    doubled = layers().repeat(2, axis=0).repeat(2, axis=1)[::2, ::2]
    assert np.array_equal(doubled, layers()), "nearest samples of what is doubled are what was there"
    window = Window(0, 0, 2 * WIDTH, 2 * HEIGHT)
    colour = plate().colour.repeat(2, axis=0).repeat(2, axis=1)
    large = Part(colour, ("R", "G", "B"), ("float",) * 3, window, window)
    big = Part(layers().repeat(2, axis=0).repeat(2, axis=1), aov().channels, ("float",) * 3, window, window)
    frame = replace(plate(), parts=(large,), guides=(big,))
    resized = engine(frame, FrameSettings(before=Before(resize=Resize.parse("50%")))).colour
    np.testing.assert_allclose(resized, engine(plate(aov())).colour, atol=1e-4)


def keyed(planes: Samples, picture: Samples, paint: Samples) -> Style:
    """The style with one key of frame 7."""
    plates, paints, guides = (
        torch.from_numpy(each.astype(np.float16)).permute(2, 0, 1)[None].contiguous()
        for each in (picture, paint, planes)
    )
    facts = KeyFacts((7,), HEIGHT, WIDTH, "float16")
    keys = Keys(facts, plates, paints, torch.full((1, 1, HEIGHT, WIDTH), 255, dtype=torch.uint8), guides)
    return Style(replace(CARD, keys=facts), NET, keys=keys)


def test_keys_are_painted_with_the_guides_of_their_own_frame() -> None:
    frame, paint = plate(aov(3)), np.random.default_rng(4).random((HEIGHT, WIDTH, 3), np.float32)
    own = planes_of(plate(aov(1)), GUIDES)
    assert own is not None
    engine = Engine(keyed(own, frame.colour, paint), device="cpu")
    asked: list[torch.Tensor] = []
    maps = engine._maps
    engine._maps = lambda net, cells, cancelled: asked.append(cells) or maps(net, cells, cancelled)  # type: ignore[method-assign,func-returns-value]
    result = engine(frame).colour
    seen = [from_cells(cells, NET.config.shuffle) for cells in asked]
    assert [tuple(each.shape) for each in seen] == [(HEIGHT, WIDTH, 8)] * 2
    np.testing.assert_allclose(seen[1][..., 3:].numpy(), own, atol=1e-3)
    assert np.abs(result - paint).max() < 0.01, "on its own plate a key is its paint"


def test_a_style_with_guides_and_keys_comes_back_from_its_file(tmp_path: Path) -> None:
    planes = planes_of(plate(aov(1)), GUIDES)
    assert planes is not None
    style = keyed(planes, plate().colour, plate().colour)
    assert style.keys is not None
    saved = save_style(tmp_path / "g.safetensors", style.card, NET, style.keys)
    loaded = load_style(tmp_path / "g.safetensors")
    assert loaded.card == saved.card
    assert loaded.card.guides == GUIDES
    assert loaded.keys is not None
    assert loaded.keys.guides is not None
    assert style.keys.guides is not None
    assert torch.equal(loaded.keys.guides, style.keys.guides)


@pytest.mark.parametrize(
    ("guides", "message"),
    [
        ([{"channel": "Z", "reading": "depth", "scale": 5.0}], "expected 5 guide planes .* got 1"),
        ([{"channel": "Z", "reading": "deep", "scale": 5.0}], "does not fit: guide 'Z' read as deep"),
        ([{"channel": "Z", "reading": "depth", "scale": 0}], "with scale 0"),
        ([{"channel": "", "reading": "depth", "scale": 1.0}], "does not fit"),
        (["Z"], "does not fit"),
    ],
)
def test_a_card_whose_guides_cannot_be_is_refused(guides: list[Any], message: str, tmp_path: Path) -> None:
    path = tmp_path / "g.safetensors"
    save_style(path, CARD, NET)
    card = {**json.loads(read_card(path).to_json()), "guides": guides}
    save_file(load_file(path), path, metadata={"card": json.dumps(card)})
    with pytest.raises(StyleError, match=message):
        load_style(path)


def test_a_card_of_schema_2_sees_its_guides_as_they_are() -> None:
    facts = {**json.loads(CARD.to_json()), "schema": 2, "guides": ["normal.X", "Z"]}
    guides = card_from_json(json.dumps(facts), "old").guides
    assert guides == (Guide("normal.X", "plain"), Guide("Z", "plain"))
    values = np.array([[-3.0, 0.5, 70]], np.float32)
    np.testing.assert_array_equal(read(values, guides[0])[..., 0], values)
